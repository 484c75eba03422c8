//! AV1 for Levada: the node type `av1-decoder`, on rav1d.
//!
//! A frame of `video/av1` is one temporal unit: OBUs with their sizes, as RTP receivers put them together and files
//! hold them (AV1 Bitstream & Decoding Process Specification, 5.3 and 7.5), with the sequence header in band at each
//! keyframe. A frame of `video/i420` is one picture.
//!
//! The library is a port of C and keeps C's interface inside, so a panic in it would end the process and not just a
//! call. So only OBUs that decoding needs get there: its reader of metadata, for one, cannot bear an empty one (`obu`),
//! and a sequence is judged by its header before (`sequence`). What is behind those is the part of the library that
//! others have fuzzed for years, and the tests here do it again.
#![deny(missing_docs)]

mod bits;
mod codec;
mod decoder;
mod obu;
mod sequence;
#[cfg(test)]
mod tests;

use decoder::Av1Decoder;

levada_plugin::export_plugin!(Av1Decoder);
