//! Media files: `file-source` plays them, `file-sink` records them.
//!
//! `source` has the one node; each kind of file is a `Demuxer` that hands out one unit of a track after
//! the other, in the order of their decoding. `sink` has the other; each kind of file is a `Writer`. MP4 is read and written by the crate `shiguredo_mp4`: it needs no other, does no I/O
//! itself, so that no more than the movie's tables and one unit are in memory, and checks those tables against each other
//! before it believes them.
//!
//! What a file says is not trusted: every offset and length is compared with the file's and with a bound, and a file that
//! lies ends the session with an error that names the place.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ebml;
mod ogg;
mod opus;
mod sink;
mod source;

use levada_plugin::{Builtin, Plugin};

/// For tests that run one node alone.
#[doc(hidden)]
pub use {sink::FileSink, source::FileSource};

/// Describes the plugin.
#[must_use]
pub fn plugin() -> Plugin {
    Builtin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with::<source::FileSource>()
        .with::<sink::FileSink>()
        .into_plugin()
}
