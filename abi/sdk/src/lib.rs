//! Write plugins for Levada: node types in Rust that graphs can name.
//!
//! A plugin is a crate of `crate-type = ["cdylib"]` that depends on this crate alone. It implements
//! [`Node`] and ends with [`export_plugin!`]. What a node sees is safe Rust: a [`Frame`] is one unit
//! of media whose payload is shared memory, [`Frames`] is the batch that a call brings, [`Context`]
//! hands frames on. Nothing is copied unless the node copies, and [`Context::make_writable`] says so
//! when it does. `tracing` events of a plugin appear in the host's log.
//!
//! ```
//! use levada_plugin::prelude::*;
//!
//! /// Lets every second frame through.
//! struct Half { odd: bool }
//!
//! impl Node for Half {
//!     const NAME: &'static str = "half";
//!     const SUMMARY: &'static str = "Lets every second frame through";
//!     const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];
//!
//!     fn create(_config: &Config) -> Result<Self> {
//!         Ok(Half { odd: false })
//!     }
//!
//!     fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
//!         frames.replace_each(|frame| {
//!             self.odd = !self.odd;
//!             self.odd.then_some(frame)
//!         });
//!         Ok(())
//!     }
//! }
//! ```
#![deny(missing_docs)]

pub mod buffer;
mod closure;
pub mod colour;
pub mod decoded;
mod describe;
mod error;
mod export;
mod format;
mod frame;
mod glue;
pub mod harness;
mod host;
mod layout;
mod log;
mod node;
pub mod picture;
mod sample_clock;
mod samples;
mod side;
mod streams;

pub use buffer::Loan;
pub use closure::{Outcome, Picture, Sound};
pub use describe::{Param, Port};
pub use error::{Error, Result};
pub use export::{
    Builtin, TypeDesc, closure_plugin, closure_plugin_of, picture_closure, sound_closure,
};
pub use format::{Format, Media};
pub use frame::{Frame, Frames, Kind};
pub use host::{Context, Host, Refused};
pub use levada_abi::{Event, Plugin, event, flags};
pub use node::{Check, Config, Cost, Node, Offers};
pub use sample_clock::SampleClock;
pub use samples::{as_f32, as_f32_mut, as_i16, as_i16_mut};
pub use streams::Streams;

/// Everything that a plugin's source wants in scope.
pub mod prelude {
    pub use crate::{
        Builtin, Check, Config, Context, Cost, Error, Event, Format, Frame, Frames, Host, Kind,
        Media, Node, Offers, Param, Port, Result, event, export_plugin, flags,
    };
}

/// Used by the code that [`export_plugin!`] generates; no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::{export::note, log::install};
    pub use abi_stable;
    pub use levada_abi as abi;
}
