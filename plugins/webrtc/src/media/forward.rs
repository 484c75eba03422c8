//! For those who pass packets on as they are: [`Deduplicator`] where they come in, [`Forwarder`] where they go out.
//!
//! Losses stay visible to the far side, and a packet that was sent again and arrives late still finds its place,
//! because numbers keep their distances. Each number goes out once: encryption must never see it with another payload.

use bytes::Bytes;
use levada_plugin::colour::Colour;

use super::colour;
use super::timeline::ticks_of;
use crate::codec::Codec;
use crate::peer::RtpOut;

/// What RTP says of a packet besides time and payload, as it rides beside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpFields {
    /// The packet's number, wrapping.
    pub sequence: u16,
    /// The stream's number.
    pub ssrc: u32,
    /// What its header states of the colours, if it does.
    pub colour: Option<Colour>,
}

impl RtpFields {
    /// The name under which the fields travel as side data.
    pub const SIDE_DATA: &'static str = "levada.rtp/1";

    /// Their bytes, little-endian: stream number, packet number, two bytes of zero, and four of the colours as the
    /// header extension has them, all zero where there is none.
    pub fn to_bytes(self) -> [u8; 12] {
        let [a, b, c, d] = self.ssrc.to_le_bytes();
        let [e, f] = self.sequence.to_le_bytes();
        let [g, h, i, j] = self.colour.map(colour::write).unwrap_or_default();
        [a, b, c, d, e, f, 0, 0, g, h, i, j]
    }

    /// Reads them; `None` when there are too few bytes. Those of the colours may be missing.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[a, b, c, d, e, f, ..], rest) = bytes.split_first_chunk::<8>()?;
        let stated = rest.iter().any(|byte| *byte != 0);
        Some(Self {
            ssrc: u32::from_le_bytes([a, b, c, d]),
            sequence: u16::from_le_bytes([e, f]),
            colour: colour::read(rest).filter(|_| stated),
        })
    }
}

/// Numbers that are remembered behind the newest.
const WINDOW: u16 = 1024;
/// A distance from the newest that means a new beginning.
const RESTART: i32 = 3000;

/// Tells whether a packet of one stream has been seen before.
#[derive(Debug, Clone)]
pub struct Deduplicator {
    newest: Option<u16>,
    seen: [u64; WINDOW as usize / 64],
    suspect: Option<u16>,
}

impl Default for Deduplicator {
    fn default() -> Self {
        Self {
            newest: None,
            seen: [0; WINDOW as usize / 64],
            suspect: None,
        }
    }
}

impl Deduplicator {
    fn mark(&mut self, sequence: u16, seen: bool) -> bool {
        let place = usize::from(sequence % WINDOW);
        let bit = 1_u64 << (place % 64);
        let word = &mut self.seen[place / 64];
        let was = *word & bit != 0;
        *word = if seen { *word | bit } else { *word & !bit };
        was
    }

    /// Whether the packet is new. `false` also for one too old to tell, and for one stray number far away.
    pub fn is_new(&mut self, sequence: u16) -> bool {
        let Some(newest) = self.newest else {
            self.newest = Some(sequence);
            self.mark(sequence, true);
            return true;
        };
        let ahead = i32::from(sequence.wrapping_sub(newest) as i16);
        if ahead.abs() >= RESTART {
            let confirmed = self.suspect == Some(sequence);
            self.suspect = Some(sequence.wrapping_add(1));
            if confirmed {
                *self = Self::default();
                return self.is_new(sequence);
            }
            return false;
        }
        self.suspect = None;
        if ahead > 0 {
            for passed in 1..=ahead.min(i32::from(WINDOW)) {
                self.mark(newest.wrapping_add(passed as u16), false);
            }
            // Beyond the window the loop has emptied every place once.
            self.newest = Some(sequence);
        } else if -ahead >= i32::from(WINDOW) {
            return false;
        }
        !self.mark(sequence, true)
    }
}

/// Numbers the packets of the one stream that this side sends, whatever streams they come from.
///
/// Packets that bring numbers of their own keep their distances; others go behind the newest.
#[derive(Debug, Clone)]
pub struct Forwarder {
    start: u32,
    /// The next number behind all that have gone out.
    next: u16,
    source: Option<Incoming>,
}

/// The stream that comes in.
#[derive(Debug, Clone)]
struct Incoming {
    ssrc: u32,
    /// What to add to its numbers.
    offset: u16,
    /// How many of the last numbers are its own, at most [`WINDOW`]. What lies behind them went out with packets of the
    /// stream before.
    own: u16,
}

impl Forwarder {
    /// A forwarder whose time 0 has this RTP timestamp and whose first packet has this number. Both should be random,
    /// the number below 2^15 (RFC 3711, 3.3.1).
    pub fn new(start: u32, first: u16) -> Self {
        Self {
            start,
            next: first,
            source: None,
        }
    }

    /// The number of a packet that was made here.
    pub fn number(&mut self) -> u16 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.begin_stream();
        number
    }

    /// Puts what comes in from now on behind the newest number, whatever its own numbers say.
    pub fn begin_stream(&mut self) {
        self.source = None;
    }

    /// Makes the packet to send. `None` when its number lies so far behind that it may have been used already: by this
    /// stream, or by the one before.
    pub fn forward(
        &mut self,
        codec: Codec,
        payload: Bytes,
        pts_ns: i64,
        marker: bool,
        fields: Option<RtpFields>,
    ) -> Option<RtpOut> {
        let sequence = match (fields, &mut self.source) {
            (None, _) => self.number(),
            (Some(fields), Some(source)) if source.ssrc == fields.ssrc => {
                let sequence = fields.sequence.wrapping_add(source.offset);
                let ahead = i32::from(sequence.wrapping_sub(self.next) as i16);
                if ahead >= RESTART {
                    self.anchor(fields)
                } else if ahead < -i32::from(source.own) {
                    return None;
                } else {
                    if ahead >= 0 {
                        // Below RESTART, so that neither sum overflows.
                        source.own = (source.own + ahead as u16 + 1).min(WINDOW);
                        self.next = sequence.wrapping_add(1);
                    }
                    sequence
                }
            }
            // The first packet of a stream goes behind the last of the one before.
            (Some(fields), _) => self.anchor(fields),
        };
        Some(RtpOut {
            codec,
            payload,
            marker,
            timestamp: self
                .start
                .wrapping_add(ticks_of(pts_ns, codec.clock_rate())),
            sequence: Some(sequence),
            colour: fields.and_then(|fields| fields.colour),
        })
    }

    fn anchor(&mut self, fields: RtpFields) -> u16 {
        let at = self.number();
        self.source = Some(Incoming {
            ssrc: fields.ssrc,
            offset: at.wrapping_sub(fields.sequence),
            own: 1,
        });
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_their_bytes() {
        let fields = RtpFields {
            sequence: 65_000,
            ssrc: 0xdead_beef,
            colour: None,
        };
        let coloured = RtpFields {
            colour: colour::read(&[1, 13, 1, 0x20]),
            ..fields
        };
        for fields in [fields, coloured] {
            assert_eq!(RtpFields::from_bytes(&fields.to_bytes()), Some(fields));
        }
        assert_eq!(
            RtpFields::from_bytes(&coloured.to_bytes()[..8]),
            Some(fields)
        );
        assert_eq!(RtpFields::from_bytes(&[0; 7]), None);
    }

    #[test]
    fn each_packet_is_new_once() {
        let mut known = Deduplicator::default();
        for (sequence, new) in [
            (65_534, true),
            (65_535, true),
            (65_534, false),
            (2, true),
            (1, true),
            (0, true),
            (1, false),
            (1500, true),
            (2, false),
            (1499, true),
            (30_000, false),
            (30_001, true),
            (30_000, true),
        ] {
            assert_eq!(known.is_new(sequence), new, "{sequence}");
        }
    }

    #[test]
    fn distances_between_numbers_are_kept_and_a_new_stream_follows_on() {
        let mut forwarder = Forwarder::new(0, 1);
        let forward = |forwarder: &mut Forwarder, ssrc, sequence| {
            let fields = RtpFields {
                sequence,
                ssrc,
                colour: None,
            };
            let packet = forwarder.forward(Codec::Vp8, Bytes::new(), 0, false, Some(fields));
            packet.and_then(|packet| packet.sequence)
        };
        assert_eq!(forward(&mut forwarder, 1, 65_534), Some(1));
        assert_eq!(forward(&mut forwarder, 1, 2), Some(5));
        assert_eq!(forward(&mut forwarder, 1, 65_535), Some(2));
        assert_eq!(forward(&mut forwarder, 1, 63_000), None);
        assert_eq!(forward(&mut forwarder, 2, 500), Some(6));
        assert_eq!(forward(&mut forwarder, 2, 501), Some(7));
        assert_eq!(forward(&mut forwarder, 2, 9000), Some(8));
        assert_eq!(forwarder.number(), 9);
        assert_eq!(forward(&mut forwarder, 2, 9002), Some(10));
        let packet = forwarder.forward(Codec::Vp8, Bytes::new(), 0, true, None);
        assert_eq!(packet.and_then(|packet| packet.sequence), Some(11));
    }

    #[test]
    fn a_packet_from_before_a_new_beginning_gets_no_number_that_went_out_before() {
        let mut forwarder = Forwarder::new(0, 1);
        for (ssrc, sequence, number) in [
            (1, 100, Some(1)),
            // Another stream.
            (2, 500, Some(2)),
            (2, 499, None),
            (2, 501, Some(3)),
            (2, 503, Some(5)),
            (2, 502, Some(4)),
            (2, 498, None),
            // The same one, which begins anew.
            (2, 9000, Some(6)),
            (2, 8999, None),
            (2, 9002, Some(8)),
            (2, 9001, Some(7)),
        ] {
            let fields = RtpFields {
                sequence,
                ssrc,
                colour: None,
            };
            let packet = forwarder.forward(Codec::Vp8, Bytes::new(), 0, false, Some(fields));
            assert_eq!(packet.and_then(|packet| packet.sequence), number);
        }
    }

    #[test]
    fn a_stream_longer_than_all_numbers_keeps_its_late_packets() {
        let mut forwarder = Forwarder::new(0, 1);
        for sequence in (0..200_u32).map(|step| (step * 997) as u16) {
            let mut forward = |sequence| {
                let fields = RtpFields {
                    sequence,
                    ssrc: 1,
                    colour: None,
                };
                let packet = forwarder.forward(Codec::Vp8, Bytes::new(), 0, false, Some(fields));
                packet.map(|packet| packet.sequence)
            };
            let number = Some(sequence.wrapping_add(1));
            assert_eq!(forward(sequence), Some(number));
            if sequence != 0 {
                let late = Some(sequence.wrapping_sub(995));
                assert_eq!(forward(sequence.wrapping_sub(996)), Some(late));
            }
        }
    }
}
