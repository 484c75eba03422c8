//! G.711 (ITU-T, 1988), the codec of telephones: `g711-decoder` and `g711-encoder`.
//!
//! A code of 8 bits stands for a sample, by one of two laws ([`law`]); there is no state, so nothing waits and nothing
//! that is lost matters to what follows. RTP carries it at 8000 Hz in one channel as PCMU and PCMA (RFC 3551, 4.5.14).

mod decoder;
mod encoder;
mod law;
#[cfg(test)]
mod tests;

pub use decoder::G711Decoder;
pub use encoder::G711Encoder;
