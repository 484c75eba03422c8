//! AAC-LC (ISO/IEC 14496-3) and MP3 (ISO/IEC 11172-3): `aac-decoder` and `mp3-decoder`, by the crates of Symphonia.
//!
//! One packet becomes one block, at the packet's time. The codec lends its own memory, so samples are copied once, into a
//! buffer of the engine's pool. A packet that cannot be decoded is dropped and counted, and the block behind it is flagged;
//! nothing that a file holds ends a session.

mod codec;
mod decoder;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;

use codec::{Aac, Mp3};
use decoder::Decoder;

levada_plugin::export_plugin!(Decoder<Aac>, Decoder<Mp3>);
