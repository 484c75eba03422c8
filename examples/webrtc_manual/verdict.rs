//! What was sent and what came back, unit by unit, and whether that is the same.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

/// Units of a stream that are kept; more than an hour of either kind.
const MAX_UNITS: usize = 1 << 18;

/// The units of one stream, by their hashes, noted by closures on the engine's threads.
pub struct Record {
    hash: fn(&[u8]) -> u64,
    units: Mutex<Units>,
    progress: watch::Sender<()>,
}

#[derive(Default)]
struct Units {
    sent: Vec<u64>,
    returned: Vec<u64>,
    too_many: bool,
}

impl Record {
    /// Begins a record of units that `hash` tells apart; `progress` is told of each.
    pub fn new(hash: fn(&[u8]) -> u64, progress: &watch::Sender<()>) -> Record {
        Record {
            hash,
            units: Mutex::default(),
            progress: progress.clone(),
        }
    }

    /// Notes a unit on its way out.
    pub fn sent(&self, payload: &[u8]) {
        self.note(payload, |units| &mut units.sent);
    }

    /// Notes a unit that came back.
    pub fn returned(&self, payload: &[u8]) {
        self.note(payload, |units| &mut units.returned);
    }

    fn note(&self, payload: &[u8], list: fn(&mut Units) -> &mut Vec<u64>) {
        let hash = (self.hash)(payload);
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        let list = list(&mut units);
        if list.len() < MAX_UNITS {
            list.push(hash);
        } else {
            units.too_many = true;
        }
        drop(units);
        self.progress.send_replace(());
    }

    /// Compares what came back with what was sent.
    pub fn verdict(&self) -> Verdict {
        let units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        Verdict {
            too_many: units.too_many,
            ..Verdict::of(&units.sent, &units.returned)
        }
    }
}

/// How far what came back is what was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Units sent.
    pub sent: usize,
    /// Units that came back.
    pub returned: usize,
    /// Of those: the very bytes that were sent, in order.
    pub verified: usize,
    /// Of those: bytes that were sent, but earlier than one that came back before, or twice.
    pub displaced: usize,
    /// Of those: bytes that were never sent.
    pub altered: usize,
    /// Places where units are missing, the beginning and the end included.
    pub gaps: usize,
    /// There was more than could be compared.
    pub too_many: bool,
}

impl Verdict {
    /// Compares two lists of hashes.
    pub fn of(sent: &[u64], returned: &[u64]) -> Verdict {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, hash) in sent.iter().enumerate() {
            places.entry(*hash).or_default().push(place);
        }
        let mut verdict = Verdict {
            sent: sent.len(),
            returned: returned.len(),
            ..Verdict::default()
        };
        // The place after the last unit that was found.
        let mut next = 0;
        for hash in returned {
            let Some(places) = places.get(hash) else {
                verdict.altered += 1;
                continue;
            };
            // Silence may be sent many times: the first of them that has not come back yet.
            match places.get(places.partition_point(|place| *place < next)) {
                Some(place) => {
                    verdict.verified += 1;
                    verdict.gaps += usize::from(*place > next);
                    next = place + 1;
                }
                None => verdict.displaced += 1,
            }
        }
        verdict.gaps += usize::from(next < sent.len());
        verdict
    }

    /// Whether everything came back, in order, and nothing else.
    pub fn is_good(&self) -> bool {
        !self.too_many
            && self.sent > 0
            && self.verified == self.sent
            && self.returned == self.sent
            && self.gaps == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            sent,
            returned,
            verified,
            displaced,
            altered,
            gaps,
            too_many,
        } = self;
        let result = match () {
            () if *too_many => "too long to compare",
            () if *sent == 0 => "nothing was sent",
            () if self.is_good() => "ok",
            () => "FAILED",
        };
        write!(
            f,
            "{sent:>7} {returned:>9} {verified:>9} {gaps:>5} {displaced:>10} {altered:>8}   {result}"
        )
    }
}

/// The hash of a packet of sound: of all its bytes.
pub fn of_packet(packet: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    packet.hash(&mut hasher);
    hasher.finish()
}

/// The hash of an H.264 access unit in Annex B: of its NAL units one by one. RTP carries those alone (RFC 6184), not
/// the start codes between them, and no delimiters and filler, which say nothing.
pub fn of_picture(unit: &[u8]) -> u64 {
    const DELIMITER: u8 = 9;
    const FILLER: u8 = 12;
    let mut hasher = DefaultHasher::new();
    for nal in nal_units(unit) {
        let kind = nal.first().map_or(0, |header| header & 0x1f);
        if kind != DELIMITER && kind != FILLER {
            nal.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What stands between the start codes, without the zeros around it (ITU-T H.264, B.1).
fn nal_units(unit: &[u8]) -> Vec<&[u8]> {
    let mut codes = Vec::new();
    let mut at = 0;
    while at + 3 <= unit.len() {
        if unit[at..at + 3] == [0, 0, 1] {
            codes.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = codes.iter().skip(1).copied().chain([unit.len()]);
    let nals = codes.iter().zip(ends).map(|(code, end)| {
        let nal = &unit[code + 3..end];
        let zeros = nal.iter().rev().take_while(|byte| **byte == 0).count();
        &nal[..nal.len() - zeros]
    });
    nals.filter(|nal| !nal.is_empty()).collect()
}
