//! Puts the packets of one stream in order, waits a little for missing ones, and says what never came.
//!
//! A ring holds the packets after the next expected one. A gap is waited for until either limit is passed: packets
//! (the ring would grow beyond its size) or time (the stream has moved on by so many ticks). Time is the stream's own,
//! so nothing here needs a clock; a stream that stops leaves what it has not completed.
//!
//! A sequence number far from the expected one is believed when the next packet follows it, as RFC 3550, A.1 does:
//! one stray packet changes nothing, and a sender that begins anew is followed.

use std::collections::VecDeque;

use super::RtpPacket;

/// How long a gap is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReorderLimits {
    /// At most so many packets after a gap are held, 1 to 2048.
    pub packets: usize,
    /// At most so much of the stream's time after a gap is held, in ticks.
    pub ticks: u32,
}

/// A jump forward of this many packets or more is a new beginning.
const MAX_DROPOUT: i32 = 3000;
/// A packet this many or more behind the expected one is a new beginning.
const MAX_MISORDER: i32 = 1000;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Packet(RtpPacket),
    /// So many packets never came. 0 after a new beginning, when the number is unknown.
    Gap(u32),
}

#[derive(Debug)]
pub(super) struct Reorder {
    limits: ReorderLimits,
    /// `ring[0]` is the place of packet `expected`.
    ring: VecDeque<Option<RtpPacket>>,
    held: usize,
    /// What was held when the stream began anew.
    before: VecDeque<Option<RtpPacket>>,
    expected: Option<u16>,
    newest: u32,
    /// The number that would confirm a new beginning.
    suspect: Option<u16>,
    restarted: bool,
    flushing: bool,
    /// Packets that came twice or too late.
    pub(super) late: u64,
}

impl Reorder {
    pub(super) fn new(limits: ReorderLimits) -> Self {
        Self {
            limits: ReorderLimits {
                packets: limits.packets.clamp(1, 2048),
                ticks: limits.ticks,
            },
            ring: VecDeque::new(),
            held: 0,
            before: VecDeque::new(),
            expected: None,
            newest: 0,
            suspect: None,
            restarted: false,
            flushing: false,
            late: 0,
        }
    }

    pub(super) fn push(&mut self, packet: RtpPacket) {
        let expected = *self.expected.get_or_insert_with(|| {
            self.newest = packet.timestamp;
            packet.sequence
        });
        let ahead = i32::from(packet.sequence.wrapping_sub(expected) as i16);
        if !(-MAX_MISORDER..MAX_DROPOUT).contains(&ahead) {
            let confirmed = self.suspect == Some(packet.sequence);
            self.suspect = Some(packet.sequence.wrapping_add(1));
            if !confirmed {
                self.late += 1;
                return;
            }
            // A new beginning: nothing more comes of what was before.
            self.before.append(&mut self.ring);
            self.held = 0;
            self.expected = Some(packet.sequence);
            self.newest = packet.timestamp;
            self.restarted = true;
            self.insert(0, packet);
            return;
        }
        self.suspect = None;
        match usize::try_from(ahead) {
            Ok(ahead) => self.insert(ahead, packet),
            Err(_) => self.late += 1,
        }
    }

    fn insert(&mut self, ahead: usize, packet: RtpPacket) {
        if packet.timestamp.wrapping_sub(self.newest) as i32 > 0 {
            self.newest = packet.timestamp;
        }
        while self.ring.len() <= ahead {
            self.ring.push_back(None);
        }
        if let Some(slot) = self.ring.get_mut(ahead) {
            if slot.is_some() {
                self.late += 1;
            } else {
                *slot = Some(packet);
                self.held += 1;
            }
        }
    }

    /// Waits for nothing any more.
    pub(super) fn flush(&mut self) {
        self.flushing = true;
    }

    pub(super) fn pop(&mut self) -> Option<Next> {
        if let Some(slot) = self.before.pop_front() {
            let Some(packet) = slot else {
                // There is a packet behind each gap.
                let missing = self.before.iter().take_while(|slot| slot.is_none()).count();
                self.before.drain(..missing);
                return Some(Next::Gap(missing as u32 + 1));
            };
            return Some(Next::Packet(packet));
        }
        if std::mem::take(&mut self.restarted) {
            return Some(Next::Gap(0));
        }
        if self.held == 0 {
            return None;
        }
        let missing = self.ring.iter().take_while(|slot| slot.is_none()).count();
        if missing == 0 {
            let packet = self.ring.pop_front().flatten()?;
            self.held -= 1;
            self.advance(1);
            return Some(Next::Packet(packet));
        }
        let first = self.ring.get(missing)?.as_ref()?;
        let waited = self.newest.wrapping_sub(first.timestamp) as i32;
        let over = self.flushing
            || self.ring.len() > self.limits.packets
            || i64::from(waited) > i64::from(self.limits.ticks);
        if !over {
            return None;
        }
        self.ring.drain(..missing);
        self.advance(missing);
        Some(Next::Gap(missing as u32))
    }

    fn advance(&mut self, by: usize) {
        self.expected = self.expected.map(|next| next.wrapping_add(by as u16));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn packet(sequence: u16, timestamp: u32) -> RtpPacket {
        RtpPacket {
            payload: Bytes::new(),
            sequence,
            timestamp,
            marker: false,
            colour: None,
        }
    }

    fn run(limits: ReorderLimits, packets: &[(u16, u32)]) -> (Vec<i64>, u64) {
        let mut reorder = Reorder::new(limits);
        let mut out = Vec::new();
        for (sequence, timestamp) in packets {
            reorder.push(packet(*sequence, *timestamp));
            while let Some(next) = reorder.pop() {
                out.push(match next {
                    Next::Packet(packet) => i64::from(packet.sequence),
                    Next::Gap(missing) => -1 - i64::from(missing),
                });
            }
        }
        (out, reorder.late)
    }

    const LIMITS: ReorderLimits = ReorderLimits {
        packets: 4,
        ticks: 1000,
    };

    #[test]
    fn shuffled_packets_come_out_in_order_across_the_wrap() {
        let (out, late) = run(
            LIMITS,
            &[(65534, 0), (0, 0), (65535, 0), (2, 0), (1, 0), (1, 0)],
        );
        assert_eq!(out, [65534, 65535, 0, 1, 2]);
        assert_eq!(late, 1);
    }

    #[test]
    fn a_gap_is_given_up_when_too_many_packets_wait() {
        let (out, _) = run(LIMITS, &[(1, 0), (3, 0), (4, 0), (5, 0), (6, 0), (2, 0)]);
        assert_eq!(out, [1, -2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_gap_is_given_up_when_the_stream_has_moved_on() {
        let (out, _) = run(LIMITS, &[(1, 0), (3, 500), (4, 1501)]);
        assert_eq!(out, [1, -2, 3, 4]);
    }

    #[test]
    fn one_stray_packet_changes_nothing_and_two_begin_anew() {
        let (out, late) = run(
            LIMITS,
            &[(1, 0), (30_000, 0), (2, 0), (40_000, 9), (40_001, 9)],
        );
        assert_eq!(out, [1, 2, -1, 40_001]);
        assert_eq!(late, 2);
    }

    #[test]
    fn what_waited_when_the_stream_begins_anew_goes_on() {
        let (out, late) = run(
            LIMITS,
            &[
                (1, 0),
                (4, 0),
                (6, 0),
                (40_000, 9),
                (40_001, 9),
                (40_002, 9),
            ],
        );
        assert_eq!(out, [1, -3, 4, -2, 6, -1, 40_001, 40_002]);
        assert_eq!(late, 1);
    }

    #[test]
    fn a_jump_within_bounds_is_one_gap() {
        let (out, _) = run(LIMITS, &[(1, 0), (2001, 0)]);
        assert_eq!(out, [1, -2000, 2001]);
    }
}
