//! Signaling for Levada: how two WebRTC peers find each other and exchange their descriptions.
//!
//! Five parts, from the inside out:
//!
//! * [`protocol`]: the messages, their limits, and the check of hostile text. No I/O.
//! * [`room`]: who may talk to whom, as a state machine. No I/O, no clock.
//! * [`link`]: what an application sees of "the other side", wherever that side is.
//! * [`server`]: HTTP and WebSocket. It relays between two peers of a room ([`Mode::Relay`]), or is itself the
//!   counterpart of every browser ([`Mode::Host`]). It also serves the web page.
//! * [`client`]: joins a room of a relay and yields a [`Link`].
//!
//! Media never passes through here. What must hold: every queue, body, table and wait has a bound, and nothing that a
//! stranger sends can stop another connection or the process.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
pub mod description;
pub mod link;
mod page;
pub mod protocol;
pub mod room;
pub mod server;

pub use client::{ClientError, ConnectOptions, Reconnect, connect};
pub use description::{Answer, Description, DescriptionError, SdpError, SdpType, check_sdp};
pub use link::{FarEnd, Joined, LINK_CAPACITY, Link};
pub use protocol::{Candidate, ErrorCode, Message, ParseError};
pub use server::{BindError, Host, Limits, Mode, Refusal, Server, ServerConfig};
