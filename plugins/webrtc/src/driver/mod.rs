//! The driver behind [`Peer`](crate::Peer): the crate `webrtc` on tokio.
//!
//! `tokio` holds the connection and its calls, `negotiation` the steps of descriptions, `engine` builds it, `shared` is what its tasks have in common,
//! `outbound` sends media, `tracks` receives it, `channels` does the data channels, `sdp` reads the little that is
//! needed of descriptions, and `socket` is the runtime with our UDP sockets.
//!
//! Who owns whom, for a connection must leave nothing behind: the peer owns the connection and the shared state; the
//! connection owns its event handler, which refers to the shared state weakly; tasks own the shared state and end
//! when it says stop. Data channels own the connection, so closing empties their list.

mod channels;
mod engine;
mod negotiation;
mod outbound;
mod sdp;
mod shared;
mod socket;
mod tokio;
mod tracks;

pub use self::sdp::Abilities;
pub use self::tokio::TokioPeer;
pub(crate) use self::tokio::random;
