//! H.264 in RTP (RFC 6184, packetization mode 1), and the little that is needed of its NAL units (ITU-T H.264, 7.3).

use bytes::Bytes;

use super::{Part, sps};

pub(super) const START_CODE: [u8; 4] = [0, 0, 0, 1];

const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

const fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// Whether a slice is the first of its picture: `first_mb_in_slice` is 0, coded as a single 1 bit.
fn is_first_slice(body: Option<&u8>) -> bool {
    body.is_some_and(|byte| byte & 0x80 != 0)
}

/// Whether an access unit can begin with a NAL unit of this type and first body byte.
fn can_begin(kind: u8, body: Option<&u8>, with_sets: bool) -> bool {
    match kind {
        SPS | DELIMITER => true,
        _ if with_sets => false,
        1 | 2 | IDR => is_first_slice(body),
        SEI | PPS | 14..=18 => true,
        _ => false,
    }
}

/// Whether a packet can be the first of an access unit, when the one before it does not tell. `with_sets`: packets are
/// missing in front of it, and this sender puts parameter sets in front of its keyframes, so a keyframe without them
/// has lost them.
pub(super) fn can_begin_unit(payload: &[u8], with_sets: bool) -> bool {
    let Some(header) = payload.first() else {
        return false;
    };
    match nal_type(*header) {
        STAP_A => payload
            .get(3)
            .is_some_and(|header| can_begin(nal_type(*header), payload.get(4), with_sets)),
        FU_A => payload.get(1).is_some_and(|fragment| {
            fragment & FU_START != 0 && can_begin(nal_type(*fragment), payload.get(2), with_sets)
        }),
        kind => can_begin(kind, payload.get(1), with_sets),
    }
}

/// Whether a packet begins a keyframe: parameter sets, or the first slice of an IDR picture.
pub(super) fn starts_keyframe(payload: &[u8]) -> bool {
    let begins = |header: Option<&u8>, body: Option<&u8>| {
        header.is_some_and(|header| match nal_type(*header) {
            SPS => true,
            IDR => is_first_slice(body),
            _ => false,
        })
    };
    match payload.first().map(|header| nal_type(*header)) {
        Some(STAP_A) => begins(payload.get(3), payload.get(4)),
        Some(FU_A) => {
            payload
                .get(1)
                .is_some_and(|fragment| fragment & FU_START != 0)
                && begins(payload.get(1), payload.get(2))
        }
        _ => begins(payload.first(), payload.get(1)),
    }
}

/// The NAL units of one access unit while they arrive.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// In a fragmented NAL unit, whose next fragment must follow.
    fragment: Option<u8>,
    pub(super) has_idr: bool,
    pub(super) has_sps: bool,
    /// A slice of a picture; a unit without one only sets parameters.
    pub(super) has_slice: bool,
}

/// The packet does not follow RFC 6184, or not the packet before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Unit {
    /// Adds a packet's NAL units to `parts`.
    pub(super) fn add(
        &mut self,
        payload: &Bytes,
        sets: &mut ParameterSets,
        parts: &mut Vec<Part>,
    ) -> Result<(), Malformed> {
        let header = *payload.first().ok_or(Malformed)?;
        match nal_type(header) {
            FU_A => self.add_fragment(header, payload, parts),
            _ if self.fragment.is_some() => Err(Malformed),
            1..=23 => {
                self.whole(payload.clone(), sets, parts);
                Ok(())
            }
            STAP_A => {
                let mut rest = payload.slice(1..);
                while !rest.is_empty() {
                    let length = rest.get(..2).ok_or(Malformed)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    if length == 0 || rest.len() < 2 + length {
                        return Err(Malformed);
                    }
                    self.whole(rest.slice(2..2 + length), sets, parts);
                    rest = rest.slice(2 + length..);
                }
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    fn whole(&mut self, nal: Bytes, sets: &mut ParameterSets, parts: &mut Vec<Part>) {
        let kind = nal.first().map_or(0, |header| nal_type(*header));
        self.note(kind);
        match kind {
            SPS => {
                sets.sps = Some(nal.clone());
                sets.in_band = true;
            }
            PPS => sets.pps = Some(nal.clone()),
            // They say nothing to a decoder.
            DELIMITER | FILLER => return,
            _ => {}
        }
        parts.push(Part::new(&START_CODE, nal));
    }

    fn add_fragment(
        &mut self,
        indicator: u8,
        payload: &Bytes,
        parts: &mut Vec<Part>,
    ) -> Result<(), Malformed> {
        let fragment = *payload.get(1).ok_or(Malformed)?;
        let kind = nal_type(fragment);
        let body = payload.slice(2..);
        let (starts, ends) = (fragment & FU_START != 0, fragment & FU_END != 0);
        if body.is_empty() || (starts && ends) || !(1..=23).contains(&kind) {
            return Err(Malformed);
        }
        if starts {
            if self.fragment.is_some() {
                return Err(Malformed);
            }
            self.note(kind);
            let [a, b, c, d] = START_CODE;
            parts.push(Part::new(&[a, b, c, d, (indicator & 0xe0) | kind], body));
        } else {
            if self.fragment != Some(kind) {
                return Err(Malformed);
            }
            parts.push(Part::new(&[], body));
        }
        self.fragment = (!ends).then_some(kind);
        Ok(())
    }

    fn note(&mut self, kind: u8) {
        self.has_idr |= kind == IDR;
        self.has_sps |= kind == SPS;
        self.has_slice |= (1..=IDR).contains(&kind);
    }

    /// Whether no NAL unit is half there.
    pub(super) fn is_complete(&self) -> bool {
        self.fragment.is_none()
    }
}

/// The last parameter sets, which an IDR picture needs in front of it wherever they came from.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    pub(super) sps: Option<Bytes>,
    pub(super) pps: Option<Bytes>,
    /// The sender puts them into the same unit as the IDR picture: so it is believed until a whole unit shows otherwise.
    pub(super) in_band: bool,
}

impl ParameterSets {
    /// Puts them in front of a unit that has none. `false` when they are not known.
    pub(super) fn put_before(&self, parts: &mut Vec<Part>) -> bool {
        let (Some(sps), Some(pps)) = (&self.sps, &self.pps) else {
            return false;
        };
        let sets = [sps, pps].map(|set| Part::new(&START_CODE, set.clone()));
        parts.splice(0..0, sets);
        true
    }

    /// Width and height that the sequence parameter set gives, in pixels.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        sps::size(self.sps.as_ref()?)
    }
}

/// The NAL units of an Annex B byte stream, without copies; `None` when it does not begin with a start code.
pub(super) fn nal_units(stream: &Bytes) -> Option<Vec<Bytes>> {
    let mut units = Vec::new();
    let mut begin = match stream.as_ref() {
        [0, 0, 0, 1, ..] => 4,
        [0, 0, 1, ..] => 3,
        _ => return None,
    };
    let mut at = begin;
    let mut push = |from: usize, mut to: usize| {
        // Zeroes in front of a start code belong to it, for a NAL unit never ends with one.
        while to > from && stream[to - 1] == 0 {
            to -= 1;
        }
        if to > from {
            units.push(stream.slice(from..to));
        }
    };
    while at + 3 <= stream.len() {
        // A start code needs a byte of at most 1 in its third place, so most bytes are passed three at a time.
        match stream[at + 2] {
            1 if stream[at] == 0 && stream[at + 1] == 0 => {
                push(begin, at);
                begin = at + 3;
                at = begin;
            }
            0 => at += 1,
            _ => at += 3,
        }
    }
    push(begin, stream.len());
    Some(units)
}

/// Whether a sender leaves a NAL unit out, for it says nothing to a decoder.
pub(super) fn is_padding(nal: &[u8]) -> bool {
    nal.first()
        .is_some_and(|header| matches!(nal_type(*header), DELIMITER | FILLER))
}

/// Whether a NAL unit may travel by itself.
pub(super) fn is_sendable(nal: &[u8]) -> bool {
    nal.first()
        .is_some_and(|header| (1..=23).contains(&nal_type(*header)))
}

/// The two bytes in front of a fragment.
pub(super) fn fragment_header(nal_header: u8, first: bool, last: bool) -> [u8; 2] {
    let start = if first { FU_START } else { 0 };
    let end = if last { FU_END } else { 0 };
    [
        (nal_header & 0xe0) | FU_A,
        start | end | nal_type(nal_header),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_stream_is_cut_at_its_start_codes() {
        let stream = Bytes::from_static(&[
            0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0, 1,
        ]);
        let units = nal_units(&stream).unwrap();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 0, 3, 1]]);
        assert_eq!(nal_units(&Bytes::from_static(&[0x65, 0])), None);
        assert_eq!(nal_units(&Bytes::new()), None);
    }

    #[test]
    fn a_broken_aggregate_is_malformed() {
        for payload in [
            &[24, 0][..],
            &[24, 0, 0],
            &[24, 0, 5, 1],
            &[28],
            &[28, 0xc5, 1],
            &[31, 1],
        ] {
            let added = Unit::default().add(
                &Bytes::from_static(payload),
                &mut ParameterSets::default(),
                &mut Vec::new(),
            );
            assert_eq!(added, Err(Malformed), "{payload:?}");
        }
    }
}
