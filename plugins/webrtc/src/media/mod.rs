//! Turns RTP packets into access units and back, for Opus, G.711, VP8 and H.264.
//!
//! No sockets, no tasks and no clock: packets go in, units come out, and what depends on time takes the time as an
//! argument. Everything here may be fed by a stranger, so every parser is bounded and none can panic, and what is held
//! back is limited in packets, bytes and time.
//!
//! An *access unit* is what a decoder takes at once: one Opus packet, the samples of one packet of
//! G.711, one VP8 frame, or the NAL units of one H.264
//! picture in Annex B form with four-byte start codes.

pub(crate) mod colour;
mod depacketiser;
mod forward;
mod h264;
mod opus;
mod packetiser;
mod reorder;
mod sps;
mod timeline;
mod unit;
mod vp8;

pub use depacketiser::{DepacketiseStats, Depacketiser, RtpPacket};
pub use forward::{Deduplicator, Forwarder, RtpFields};
pub use opus::duration_us as opus_duration_us;
pub use packetiser::{DEFAULT_PAYLOAD_BYTES, PacketiseError, Packetiser, PacketiserStart};
pub use reorder::ReorderLimits;
pub use timeline::{Timeline, ticks_of};
pub use unit::AccessUnit;

use bytes::Bytes;

use crate::codec::Codec;

/// Whether the payload of one RTP packet begins a keyframe, for those who pass packets on without reassembly.
pub fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => false,
        Codec::Vp8 => vp8::Descriptor::parse(payload).is_some_and(|descriptor| {
            descriptor.starts_frame && vp8::is_keyframe(&payload[descriptor.len..])
        }),
        Codec::H264 => h264::starts_keyframe(payload),
    }
}

/// A piece of a unit: a few bytes of its own, and then a slice of a packet.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    prefix: [u8; 5],
    prefix_len: u8,
    bytes: Bytes,
}

impl Part {
    fn new(prefix: &[u8], bytes: Bytes) -> Self {
        let mut part = Part {
            prefix: [0; 5],
            prefix_len: prefix.len().min(5) as u8,
            bytes,
        };
        for (slot, byte) in part.prefix.iter_mut().zip(prefix) {
            *slot = *byte;
        }
        part
    }

    fn prefix(&self) -> &[u8] {
        &self.prefix[..usize::from(self.prefix_len)]
    }

    fn len(&self) -> usize {
        self.prefix().len() + self.bytes.len()
    }
}
