//! [`Packetiser`]: access units in, packets of one stream out.
//!
//! Timestamps are computed from the unit's absolute time, so a stream of any length does not drift. The payload is
//! sliced where RTP adds nothing to it (Opus, small NAL units) and copied once where a header has to stand in front of
//! a fragment.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::timeline::ticks_of;
use super::{h264, vp8};
use crate::codec::Codec;
use crate::peer::RtpOut;

/// Payload bytes of a packet that pass every network: with all headers, the extension that states colours included, the
/// datagram stays below 1280 bytes.
pub const DEFAULT_PAYLOAD_BYTES: usize = 1188;

/// A unit that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PacketiseError {
    /// The unit has no bytes, or none that a decoder needs.
    #[error("the access unit is empty")]
    Empty,
    /// An H.264 unit that does not begin with a start code.
    #[error(
        "the H.264 access unit is not in Annex B form: it must begin with 00 00 01 or 00 00 00 01"
    )]
    NotAnnexB,
    /// An H.264 unit with a NAL unit of a type that is reserved for packets.
    #[error("NAL unit type {0} cannot be sent; the types are 1 to 23")]
    NalType(u8),
}

/// Where a stream's numbers begin. Give random values (RFC 3550, 5.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketiserStart {
    /// The RTP timestamp of time 0.
    pub timestamp: u32,
    /// The first VP8 picture id; 15 bits are used.
    pub picture_id: u16,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Packetiser {
    codec: Codec,
    start: u32,
    picture_id: u16,
    max_payload: usize,
}

impl Packetiser {
    /// A packetiser for one stream, whose payloads have at most `max_payload` bytes (at least 64; Opus packets are
    /// never cut).
    pub fn new(codec: Codec, start: PacketiserStart, max_payload: usize) -> Self {
        Self {
            codec,
            start: start.timestamp,
            picture_id: start.picture_id & 0x7fff,
            max_payload: max_payload.max(64),
        }
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The RTP timestamp of a time.
    pub fn timestamp(&self, pts_ns: i64) -> u32 {
        self.start
            .wrapping_add(ticks_of(pts_ns, self.codec.clock_rate()))
    }

    /// Appends the packets of a unit to `out`, and returns how many bytes of payload were copied.
    ///
    /// # Errors
    ///
    /// Why the unit cannot be sent; `out` is as it was.
    pub fn packetise(
        &mut self,
        unit: &Bytes,
        pts_ns: i64,
        out: &mut Vec<RtpOut>,
    ) -> Result<usize, PacketiseError> {
        if unit.is_empty() {
            return Err(PacketiseError::Empty);
        }
        let timestamp = self.timestamp(pts_ns);
        let first = out.len();
        let codec = self.codec;
        let packet = |payload| RtpOut {
            codec,
            payload,
            marker: false,
            timestamp,
            sequence: None,
            colour: None,
        };
        let copied = match codec {
            Codec::Opus => {
                out.push(packet(unit.clone()));
                return Ok(0);
            }
            Codec::Pcmu | Codec::Pcma => {
                // A sample is a byte, so any cut is between two of them, and a tick later for each.
                for (index, chunk) in unit.chunks(self.max_payload).enumerate() {
                    let ticks = (index * self.max_payload) as u32;
                    out.push(RtpOut {
                        timestamp: timestamp.wrapping_add(ticks),
                        ..packet(unit.slice_ref(chunk))
                    });
                }
                return Ok(0);
            }
            Codec::Vp8 => {
                let room = self.max_payload - vp8::DESCRIPTOR_BYTES;
                let id = self.picture_id;
                let payloads = fragments(unit, room, |first, _| vp8::descriptor(first, id));
                out.extend(payloads.map(packet));
                self.picture_id = (self.picture_id + 1) & 0x7fff;
                unit.len()
            }
            Codec::H264 => {
                let mut nals = h264::nal_units(unit).ok_or(PacketiseError::NotAnnexB)?;
                nals.retain(|nal| !h264::is_padding(nal));
                if let Some(nal) = nals.iter().find(|nal| !h264::is_sendable(nal)) {
                    return Err(PacketiseError::NalType(nal[0] & 0x1f));
                }
                let mut copied = 0;
                for nal in nals {
                    if nal.len() <= self.max_payload {
                        out.push(packet(nal));
                        continue;
                    }
                    // The NAL unit's own header goes into the headers of its fragments.
                    let (header, body) = (nal[0], nal.slice(1..));
                    let payloads = fragments(&body, self.max_payload - 2, |first, last| {
                        h264::fragment_header(header, first, last)
                    });
                    out.extend(payloads.map(packet));
                    copied += body.len();
                }
                copied
            }
        };
        match out[first..].last_mut() {
            Some(last) => last.marker = true,
            None => return Err(PacketiseError::Empty),
        }
        Ok(copied)
    }
}

/// Cuts a payload into fragments of at most `room` bytes, each with a header in front, in one allocation and one copy.
fn fragments<'a, const N: usize>(
    payload: &'a Bytes,
    room: usize,
    header: impl Fn(bool, bool) -> [u8; N] + 'a,
) -> impl Iterator<Item = Bytes> + 'a {
    let count = payload.len().div_ceil(room);
    let mut memory = BytesMut::with_capacity(payload.len() + count * N);
    payload.chunks(room).enumerate().map(move |(index, chunk)| {
        memory.put_slice(&header(index == 0, index + 1 == count));
        memory.put_slice(chunk);
        memory.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packetise(
        codec: Codec,
        unit: &[u8],
        max: usize,
    ) -> Result<(Vec<RtpOut>, usize), PacketiseError> {
        let mut out = Vec::new();
        let mut packetiser = Packetiser::new(codec, PacketiserStart::default(), max);
        packetiser
            .packetise(&Bytes::copy_from_slice(unit), 0, &mut out)
            .map(|copied| (out, copied))
    }

    #[test]
    fn small_units_are_not_copied() {
        let (packets, copied) = packetise(Codec::Opus, &[7; 300], 100).unwrap();
        assert_eq!((packets.len(), copied), (1, 0));
        let unit = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3];
        let (packets, copied) = packetise(Codec::H264, &unit, 100).unwrap();
        assert_eq!((packets.len(), copied), (3, 0));
        let markers: Vec<_> = packets.iter().map(|packet| packet.marker).collect();
        assert_eq!(markers, [false, false, true]);
    }

    #[test]
    fn long_blocks_of_g711_are_cut_between_samples() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let (packets, copied) = packetise(codec, &[7; 250], 100).unwrap();
            let cut: Vec<_> = packets
                .iter()
                .map(|packet| (packet.timestamp, packet.payload.len(), packet.marker))
                .collect();
            assert_eq!(cut, [(0, 100, false), (100, 100, false), (200, 50, false)]);
            assert_eq!(copied, 0);
        }
    }

    #[test]
    fn no_payload_is_longer_than_allowed() {
        for codec in [Codec::Vp8, Codec::H264] {
            for len in [95, 96, 97, 98, 99, 100, 101, 1000, 5000] {
                let mut unit = vec![0, 0, 0, 1];
                unit.resize(4 + len, 0x65);
                let (packets, _) = packetise(codec, &unit, 100).unwrap();
                assert!(packets.iter().all(|packet| packet.payload.len() <= 100));
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_the_reason() {
        assert_eq!(
            packetise(Codec::Vp8, &[], 100).unwrap_err(),
            PacketiseError::Empty
        );
        assert_eq!(
            packetise(Codec::H264, &[0x65, 1], 100).unwrap_err(),
            PacketiseError::NotAnnexB
        );
        let delimiter = [0, 0, 0, 1, 9, 0xf0];
        assert_eq!(
            packetise(Codec::H264, &delimiter, 100).unwrap_err(),
            PacketiseError::Empty
        );
        let aggregate = [0, 0, 0, 1, 24, 1];
        assert_eq!(
            packetise(Codec::H264, &aggregate, 100).unwrap_err(),
            PacketiseError::NalType(24)
        );
    }
}
