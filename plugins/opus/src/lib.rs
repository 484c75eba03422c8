//! Opus (RFC 6716): `opus-decoder` and `opus-encoder`, by the crate `ropus`, a port of libopus to Rust.
//!
//! Both read packets and samples where they lie and write into memory of the engine's pool. The encoder copies
//! only what does not fill a packet yet. Each keeps a codec for each stream of its port, so several voices may
//! share a link. What comes from a network may not end a session: a packet on which the codec failed, even by a
//! panic, counts as lost.
//!
//! The crate `opus-rs` was tried first: it encodes music in half the time, but it panicked on speech with FEC and
//! exceeded low bitrates two-fold.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod decoder;
#[cfg(test)]
mod decoder_tests;
mod encoder;
#[cfg(test)]
mod encoder_tests;
mod packet;
#[cfg(test)]
mod quality_tests;
#[cfg(test)]
mod test_signal;

use levada_plugin::{Builtin, Plugin};

/// Describes the plugin.
#[must_use]
pub fn plugin() -> Plugin {
    Builtin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with::<decoder::Decoder>()
        .with::<encoder::Encoder>()
        .into_plugin()
}

/// The samples a second that Opus knows.
const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
