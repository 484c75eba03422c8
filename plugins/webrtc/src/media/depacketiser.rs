//! [`Depacketiser`]: packets of one stream in, access units out.
//!
//! Packets are put in order ([`super::reorder`]), then gathered until the marker or the next timestamp ends the unit.
//! After a loss the rules are strict, for a decoder fed with half a picture shows rubbish until the next keyframe:
//! a unit with a missing packet is dropped, video is withheld until the next keyframe, a keyframe is asked for, and the
//! next unit that does come is marked. What has been dropped is counted.

use std::collections::VecDeque;

use bytes::Bytes;
use levada_plugin::colour::Colour;

use super::h264::{self, ParameterSets};
use super::reorder::{Next, Reorder, ReorderLimits};
use super::timeline::Timeline;
use super::unit::{AccessUnit, Content};
use super::{Part, vp8};
use crate::codec::{Codec, MediaKind};

/// The largest unit that is put together, in bytes. A stranger may send one that never ends.
const MAX_UNIT_BYTES: usize = 8 << 20;
/// The most pieces of a unit.
const MAX_UNIT_PARTS: usize = 16_384;

/// One RTP packet of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpPacket {
    /// The payload; empty for a packet that only pads.
    pub payload: Bytes,
    /// Its number, wrapping.
    pub sequence: u16,
    /// Sampling time in ticks, wrapping.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// What its header states of the colours.
    pub colour: Option<Colour>,
}

/// What a depacketiser has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DepacketiseStats {
    /// Packets given.
    pub packets: u64,
    /// Packets that came twice, or too late to be waited for.
    pub late: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets whose payload was not well-formed.
    pub malformed: u64,
    /// Units made.
    pub units: u64,
    /// Units dropped because a packet of them was missing or malformed.
    pub dropped: u64,
    /// Whole units withheld because no keyframe had come since the loss, or yet.
    pub withheld: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Depacketiser {
    codec: Codec,
    reorder: Reorder,
    timeline: Timeline,
    stats: DepacketiseStats,
    /// The timestamp of the unit being gathered.
    open: Option<u32>,
    parts: Vec<Part>,
    bytes: usize,
    /// What a packet of the unit being gathered stated of its colours.
    stated: Option<Colour>,
    /// What holds of them.
    colour: Colour,
    h264: h264::Unit,
    sets: ParameterSets,
    /// Packets with this timestamp belong to a unit that has been dropped.
    broken: Option<u32>,
    /// Nothing has begun since packets went missing.
    after_gap: bool,
    await_keyframe: bool,
    discontinuity: bool,
    last_pts: Option<i64>,
    /// When a keyframe was asked for last, ns.
    asked: Option<i64>,
    flushed: bool,
    /// A packet can end one unit and be another: at most two.
    ready: VecDeque<AccessUnit>,
}

impl ReorderLimits {
    /// The default for a codec: video waits long enough for a lost packet to be asked for and sent again; sound, which
    /// is not sent again, waits for packets that overtook each other.
    pub const fn of(codec: Codec) -> Self {
        let (packets, ms) = match codec.kind() {
            MediaKind::Audio => (32, 60),
            MediaKind::Video => (512, 200),
        };
        Self {
            packets,
            ticks: codec.clock_rate() / 1000 * ms,
        }
    }
}

impl Depacketiser {
    /// A depacketiser for one stream of a codec.
    pub fn new(codec: Codec, limits: ReorderLimits) -> Self {
        Self {
            codec,
            reorder: Reorder::new(limits),
            timeline: Timeline::new(codec.clock_rate()),
            stats: DepacketiseStats::default(),
            open: None,
            parts: Vec::new(),
            bytes: 0,
            stated: None,
            colour: Colour::default(),
            h264: h264::Unit::default(),
            sets: ParameterSets::default(),
            broken: None,
            after_gap: false,
            await_keyframe: codec.is_inter_coded(),
            discontinuity: false,
            last_pts: None,
            asked: None,
            flushed: false,
            ready: VecDeque::with_capacity(2),
        }
    }

    /// Gives a packet. Take the units with [`pop`](Self::pop) before the next, or what is held grows.
    pub fn push(&mut self, packet: RtpPacket) {
        self.stats.packets += 1;
        self.reorder.push(packet);
    }

    /// Takes the next unit, if there is one.
    pub fn pop(&mut self) -> Option<AccessUnit> {
        loop {
            if let Some(unit) = self.ready.pop_front() {
                self.stats.units += 1;
                return Some(unit);
            }
            match self.reorder.pop() {
                Some(Next::Packet(packet)) => self.take(packet),
                Some(Next::Gap(missing)) => {
                    self.stats.lost += u64::from(missing);
                    self.lose();
                }
                None => {
                    if let Some(timestamp) = self.open.filter(|_| self.flushed) {
                        self.break_unit(timestamp);
                    }
                    return None;
                }
            }
        }
    }

    /// Says that the stream has ended: what is held comes out without waiting, and a unit that is not complete then
    /// counts as dropped.
    pub fn flush(&mut self) {
        self.flushed = true;
        self.reorder.flush();
    }

    /// Says that a unit was lost after it left here, so that the following ones are of no use without a keyframe.
    pub fn unit_lost(&mut self) {
        self.discontinuity = true;
        self.await_keyframe = self.codec.is_inter_coded();
    }

    /// Whether a keyframe should be asked for now: one is needed, and none was asked for within `interval_ns`.
    /// `now_ns` is any clock that does not go back.
    pub fn keyframe_wanted(&mut self, now_ns: i64, interval_ns: i64) -> bool {
        let due = self
            .asked
            .is_none_or(|asked| now_ns.saturating_sub(asked) >= interval_ns);
        let wanted = self.await_keyframe && due;
        if wanted {
            self.asked = Some(now_ns);
        }
        wanted
    }

    /// The counters.
    pub fn stats(&self) -> DepacketiseStats {
        DepacketiseStats {
            late: self.reorder.late,
            ..self.stats
        }
    }

    fn take(&mut self, packet: RtpPacket) {
        self.timeline.begin(packet.timestamp);
        if packet.payload.is_empty() {
            // It only pads.
            return;
        }
        if self.codec.kind() == MediaKind::Audio {
            let unit = self.unit(Content::Whole(packet.payload), packet.timestamp, true, None);
            self.ready.push_back(unit);
            return;
        }
        if self.open.is_some_and(|open| open != packet.timestamp) {
            // Nothing is missing in between, so the marker was.
            self.finish();
        }
        if self.broken == Some(packet.timestamp) {
            return;
        }
        if self.open.is_none() {
            if !self.begins_unit(&packet.payload) {
                self.break_unit(packet.timestamp);
                return;
            }
            self.broken = None;
            self.after_gap = false;
            self.open = Some(packet.timestamp);
        }
        self.stated = packet.colour.or(self.stated);
        let added = self.add(&packet.payload);
        if added.is_err() || self.parts.len() > MAX_UNIT_PARTS || self.bytes > MAX_UNIT_BYTES {
            self.stats.malformed += 1;
            self.break_unit(packet.timestamp);
        } else if packet.marker {
            self.finish();
        }
    }

    fn begins_unit(&self, payload: &[u8]) -> bool {
        match self.codec {
            Codec::Opus | Codec::Pcmu | Codec::Pcma => true,
            Codec::Vp8 => {
                vp8::Descriptor::parse(payload).is_some_and(|descriptor| descriptor.starts_frame)
            }
            Codec::H264 => h264::can_begin_unit(payload, self.after_gap && self.sets.in_band),
        }
    }

    fn add(&mut self, payload: &Bytes) -> Result<(), h264::Malformed> {
        let before = self.parts.len();
        match self.codec {
            Codec::Opus | Codec::Pcmu | Codec::Pcma => {}
            Codec::Vp8 => {
                let descriptor = vp8::Descriptor::parse(payload).ok_or(h264::Malformed)?;
                if descriptor.starts_frame && before > 0 {
                    return Err(h264::Malformed);
                }
                let bytes = payload.slice(descriptor.len..);
                self.parts.push(Part::new(&[], bytes));
            }
            Codec::H264 => self.h264.add(payload, &mut self.sets, &mut self.parts)?,
        }
        self.bytes += self.parts[before..].iter().map(Part::len).sum::<usize>();
        Ok(())
    }

    /// Something is missing: the unit at work cannot be completed.
    fn lose(&mut self) {
        if let Some(timestamp) = self.open {
            self.break_unit(timestamp);
        }
        self.after_gap = true;
        self.unit_lost();
    }

    fn break_unit(&mut self, timestamp: u32) {
        self.stats.dropped += 1;
        self.broken = Some(timestamp);
        self.reset();
        self.unit_lost();
    }

    fn reset(&mut self) {
        self.open = None;
        self.parts.clear();
        self.bytes = 0;
        self.stated = None;
        self.h264 = h264::Unit::default();
    }

    /// Ends the unit at work.
    fn finish(&mut self) {
        let Some(timestamp) = self.open else {
            return;
        };
        let (keyframe, size) = match self.codec {
            Codec::Opus | Codec::Pcmu | Codec::Pcma => (true, None),
            Codec::Vp8 => {
                let first = self.parts.first().map_or(&[][..], |part| &part.bytes);
                (vp8::is_keyframe(first), vp8::size(first))
            }
            Codec::H264 => {
                if !self.h264.is_complete() {
                    self.stats.malformed += 1;
                    return self.break_unit(timestamp);
                }
                if !self.h264.has_slice {
                    // Parameter sets alone: remembered, and put in front of the next IDR picture.
                    return self.reset();
                }
                if self.h264.has_idr {
                    self.sets.in_band = self.h264.has_sps;
                }
                let decodable = self.h264.has_idr
                    && (self.h264.has_sps || self.sets.put_before(&mut self.parts));
                let size = if decodable { self.sets.size() } else { None };
                (decodable, size)
            }
        };
        if self.await_keyframe && !keyframe {
            self.stats.withheld += 1;
            self.discontinuity = true;
            return self.reset();
        }
        if keyframe {
            self.await_keyframe = false;
            self.asked = None;
        }
        if keyframe || self.stated.is_some() {
            self.colour = self.stated.unwrap_or_default();
        }
        let content = match self.parts.as_slice() {
            [part] if part.prefix_len == 0 => Content::Whole(part.bytes.clone()),
            parts => Content::Parts {
                len: parts.iter().map(Part::len).sum(),
                parts: std::mem::take(&mut self.parts),
            },
        };
        let unit = self.unit(content, timestamp, keyframe, size);
        self.reset();
        self.ready.push_back(unit);
    }

    fn unit(
        &mut self,
        content: Content,
        timestamp: u32,
        keyframe: bool,
        size: Option<(u32, u32)>,
    ) -> AccessUnit {
        let pts_ns = self.timeline.pts_ns(timestamp);
        let back = self.last_pts.is_some_and(|last| pts_ns < last);
        self.last_pts = Some(pts_ns);
        AccessUnit {
            content,
            pts_ns,
            timestamp,
            keyframe,
            discontinuity: std::mem::take(&mut self.discontinuity) || back,
            size,
            colour: self.colour,
        }
    }
}
