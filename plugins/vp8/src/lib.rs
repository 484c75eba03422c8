//! VP8 (RFC 6386): the node type `vp8-decoder`, and `vp8-encoder` with the feature `encoder` (`vp8-encoder` of the host).
//!
//! A frame of `video/vp8` is one frame of the codec as RTP and files carry it; a frame of `video/i420` is one
//! picture. The decoder is the crate `oxideav-vp8`, which has no unsafe code; whatever panics in it over damaged
//! bytes ends there. The encoder is libvpx of the system, behind a few functions in C (`encoder/vpx.c`), so that no
//! layout of its structs is written down twice.
//!
//! Both keep a codec for each stream of their link and copy each frame once, which is declared: neither library
//! writes into memory of others.
#![deny(missing_docs)]

mod codec;
mod decoder;
#[cfg(feature = "encoder")]
mod encoder;
#[cfg(test)]
mod tests;

use levada_plugin::{Builtin, Plugin};

/// Describes the plugin.
#[must_use]
pub fn plugin() -> Plugin {
    let plugin = Builtin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with::<decoder::Vp8Decoder>();
    #[cfg(feature = "encoder")]
    let plugin = plugin.with::<encoder::Vp8Encoder>();
    plugin.into_plugin()
}
