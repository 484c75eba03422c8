//! H.264 for Levada: the node types `h264-decoder` and `h264-encoder`, on Cisco's OpenH264.
//!
//! A frame of `video/h264` is one access unit in Annex B (ITU-T H.264): NAL units behind start codes, with
//! the parameter sets in band at each keyframe. A frame of `video/i420` is one picture. Both nodes keep a
//! codec for each stream of their link, at most eight of them, and copy each frame once:
//! the library lends its own memory and writes nowhere else. The copy is declared.
//!
//! What OpenH264 can take bounds both: pictures of one size of block (no interlacing), 4:2:0, 8 bits; it
//! decodes up to 36,864 blocks of 16x16 (4096x2304, level 5.2) and encodes up to 3840x2160.
//!
//! **Patents.** H.264 is covered by patents in some countries. OpenH264's source is free, and Cisco pays the
//! fees only for the binaries that it distributes itself; this crate builds the source. Whoever ships it is
//! to see whether a licence is needed.
#![deny(missing_docs)]

mod at_once;
mod bits;
mod codec;
mod colour;
mod decoder;
mod encoder;
mod frame_rate;
mod nal;
mod reorder;
mod sps;
mod streams;
#[cfg(test)]
mod tests;
mod vui;

use decoder::H264Decoder;
use encoder::H264Encoder;

levada_plugin::export_plugin!(H264Decoder, H264Encoder);
