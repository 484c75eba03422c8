//! [`AnnexB`]: H.264 as a stream of bytes (ITU-T H.264, annex B): NAL units behind start codes, and nothing else.
//!
//! A picture begins where its parameter sets do, or with a slice of its first block (7.4.1.2.3). The file has no times: pictures
//! are decoded one after the other at a steady rate, which the parameter set says (E.2.1) or a param, and are shown by the rank of
//! their picture order count among those up to the next one that nothing refers across (8.2.1). The file is scanned
//! in pieces; places of a few pictures are read ahead, and one of at most [`MAX_UNIT`](super::MAX_UNIT)
//! bytes is in memory, with one set of each kind of parameters of at most [`MAX_SET`].

mod scan;

use std::collections::VecDeque;

use levada_plugin::prelude::*;

use super::{
    Carried, Demuxer, MAX_UNIT, Unit, VIDEO,
    bytes::Source,
    h264::{Parameters, PictureOrder, h264},
    order::AHEAD,
};
use scan::Scanner;

/// The largest parameter set, in bytes.
const MAX_SET: usize = 4096;
/// How far the first parameter set may lie behind the beginning.
const MAX_PREAMBLE: u64 = 1 << 20;
/// As much of a slice as its header takes.
const SLICE_HEAD: usize = 64;

/// Types of NAL units.
const SLICE: u8 = 1;
const PARTITION: u8 = 2;
const IDR: u8 = 5;
const SEQUENCE: u8 = 7;
const PICTURE: u8 = 8;

/// A file that is open.
pub(super) struct AnnexB {
    source: Source,
    format: Format,
    /// By how many pictures they are out of order at most, where the first parameter set says so.
    reordering: Option<u32>,
    /// Ns from one picture to the next, as a fraction.
    step: (u64, u64),
    scanner: Scanner,
    parameters: Parameters,
    /// The last set of each kind, with a start code in front.
    sets: [Vec<u8>; 2],
    order_count: PictureOrder,
    /// The picture that is being put together.
    open: Option<Picture>,
    ahead: VecDeque<Picture>,
    is_over: bool,
    /// Pictures in front of the group that `ahead` begins in.
    before: u64,
    /// Those of the group that were taken: how many, and the order counts of the last few.
    taken: u64,
    recent: VecDeque<i64>,
    /// By how many pictures decoding runs ahead; `None` before the first.
    lead: Option<u64>,
    last_dts: i64,
    /// The picture where playing began.
    origin: u64,
}

/// A picture's place.
#[derive(Clone)]
struct Picture {
    at: u64,
    end: u64,
    key: bool,
    has_slices: bool,
    /// Its parameter sets lie in it.
    has_sets: bool,
    /// Its order count, from the last IDR on.
    count: i64,
    /// The number of its group: those that begin with an IDR.
    group: u64,
}

/// A picture, and which one it is in the order of decoding and in that of showing.
struct Taken {
    picture: Picture,
    decoded: u64,
    shown: u64,
}

impl AnnexB {
    /// Reads the first parameter set.
    ///
    /// # Errors
    /// When there is none, or it does not say how many pictures a second there are and `fps` is 0.
    pub fn open(mut source: Source, fps: f64) -> Result<AnnexB> {
        let mut scanner = Scanner::new(0);
        let mut head = vec![];
        loop {
            let Some(nal) = scanner.next(&mut source)? else {
                return Err(source.error(source.len(), "the file ends without a sequence parameter set, so nothing in it can be decoded"));
            };
            if nal.kind == SEQUENCE {
                nal.head(&mut source, MAX_SET, &mut head)?;
                let (parameters, stated) = Parameters::read(&head).ok_or_else(|| {
                    source.error(nal.at, "the sequence parameter set is malformed")
                })?;
                let step = match stated.rate {
                    _ if fps > 0.0 => ((1e9 / fps * 1000.0).round() as u64, 1000),
                    Some((over, under)) => (under.saturating_mul(1_000_000_000), over),
                    None => {
                        return Err(source.error(
                            nal.at,
                            "the stream does not say how many pictures a second it has; set the param fps",
                        ));
                    }
                };
                let [_, profile, constraints, level, ..] = head[..] else {
                    return Err(source.error(nal.at, "the sequence parameter set is malformed"));
                };
                return Ok(AnnexB {
                    source,
                    format: h264(profile, constraints, level, stated.width, stated.height),
                    reordering: stated.reordering,
                    step,
                    scanner: Scanner::new(0),
                    parameters,
                    sets: [vec![], vec![]],
                    order_count: PictureOrder::default(),
                    open: None,
                    ahead: VecDeque::new(),
                    is_over: false,
                    before: 0,
                    taken: 0,
                    recent: VecDeque::new(),
                    lead: None,
                    last_dts: i64::MIN,
                    origin: 0,
                });
            }
            if nal.end > MAX_PREAMBLE {
                return Err(source.error(
                    nal.at,
                    format_args!("no sequence parameter set begins within {MAX_PREAMBLE} bytes"),
                ));
            }
        }
    }

    fn ns(&self, pictures: i128) -> i64 {
        let ns = pictures * i128::from(self.step.0) / i128::from(self.step.1);
        ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    fn rewind(&mut self) {
        self.scanner = Scanner::new(0);
        self.order_count = PictureOrder::default();
        (self.open, self.is_over) = (None, false);
        self.ahead.clear();
        self.recent.clear();
        (self.before, self.taken) = (0, 0);
        (self.lead, self.last_dts) = (None, i64::MIN);
    }

    /// Reads up to the end of the next picture; `None` at the end of the file.
    fn picture(&mut self) -> Result<Option<Picture>> {
        let mut head = vec![];
        while let Some(nal) = self.scanner.next(&mut self.source)? {
            let is_slice = matches!(nal.kind, SLICE | PARTITION | IDR);
            let slice = if is_slice {
                nal.head(&mut self.source, SLICE_HEAD, &mut head)?;
                let slice = self.parameters.slice(&head);
                Some(slice.ok_or_else(|| self.source.error(nal.at, "a slice's header is malformed, or pictures are interlaced; progressive ones are played"))?)
            } else {
                None
            };
            let begins = match &slice {
                Some(slice) => slice.is_first,
                None => matches!(nal.kind, 6..=9 | 14..=18),
            };
            let done = begins && self.open.as_ref().is_some_and(|open| open.has_slices);
            let done = if done { self.open.take() } else { None };
            let group = self.order_count.groups();
            let open = self.open.get_or_insert(Picture {
                at: nal.at,
                end: nal.at,
                key: false,
                has_slices: false,
                has_sets: false,
                count: 0,
                group,
            });
            open.end = nal.end;
            if let Some(slice) = slice {
                if !open.has_slices {
                    open.count = self.order_count.count(
                        nal.kind == IDR,
                        nal.is_reference,
                        &slice,
                        &self.parameters,
                    );
                    open.group = self.order_count.groups();
                }
                open.has_slices = true;
                open.key |= nal.kind == IDR;
            }
            if nal.kind == SEQUENCE || nal.kind == PICTURE {
                open.has_sets |= nal.kind == SEQUENCE;
                nal.head(&mut self.source, MAX_SET, &mut head)?;
                if nal.kind == SEQUENCE
                    && let Some((parameters, _)) = Parameters::read(&head)
                {
                    self.parameters = parameters;
                }
                let set = &mut self.sets[usize::from(nal.kind == PICTURE)];
                *set = [&[0, 0, 0, 1][..], &head].concat();
            }
            if open.end - open.at > MAX_UNIT {
                return Err(self.source.error(
                    open.at,
                    format_args!("a picture has more than {MAX_UNIT} bytes"),
                ));
            }
            if let Some(done) = done {
                return Ok(Some(done));
            }
        }
        Ok(self.open.take().filter(|open| open.has_slices))
    }

    /// Reads pictures ahead, as far as their order asks for.
    fn read_ahead(&mut self) -> Result {
        while !self.is_over && self.ahead.len() < AHEAD {
            match self.picture()? {
                Some(picture) => self.ahead.push_back(picture),
                None => self.is_over = true,
            }
        }
        Ok(())
    }

    /// How many pictures of its group are shown before this one, which lies in the first group that is ahead.
    fn rank(&self, index: usize) -> u64 {
        let picture = &self.ahead[index];
        let later = self.recent.iter().filter(|count| **count > picture.count);
        let earlier = self.ahead.iter().enumerate().filter(|(at, other)| {
            other.group == picture.group && (other.count, *at) < (picture.count, index)
        });
        self.taken.saturating_sub(later.count() as u64) + earlier.count() as u64
    }

    /// Takes the next picture in the order of decoding.
    fn take(&mut self) -> Result<Option<Taken>> {
        self.read_ahead()?;
        let Some(group) = self.ahead.front().map(|first| first.group) else {
            return Ok(None);
        };
        if self.lead.is_none() {
            let of_group = self.ahead.iter().take_while(|p| p.group == group).count();
            let leads = (0..of_group).map(|index| (index as u64).saturating_sub(self.rank(index)));
            self.lead = leads.max();
        }
        let shown = self.before + self.rank(0);
        let Some(picture) = self.ahead.pop_front() else {
            return Ok(None);
        };
        let decoded = self.before + self.taken;
        self.taken += 1;
        self.recent.push_back(picture.count);
        if self.recent.len() > AHEAD {
            self.recent.pop_front();
        }
        if self.ahead.front().is_none_or(|next| next.group != group) {
            (self.before, self.taken) = (self.before + self.taken, 0);
            self.recent.clear();
        }
        Ok(Some(Taken {
            picture,
            decoded,
            shown,
        }))
    }

    /// The last picture shown at or before `at_ns` with which decoding can begin: its number in both orders.
    fn find_key(&mut self, at_ns: i64) -> Result<Option<(u64, u64)>> {
        self.origin = 0;
        self.rewind();
        let mut found = None;
        while let Some(taken) = self.take()? {
            if taken.picture.key {
                if found.is_some() && self.ns(taken.shown.into()) > at_ns {
                    break;
                }
                found = Some((taken.decoded, taken.shown));
            }
        }
        Ok(found)
    }
}

impl Demuxer for AnnexB {
    fn has(&self, port: usize) -> bool {
        port == VIDEO
    }

    fn carries(&self, port: usize) -> Vec<Carried> {
        if !self.has(port) {
            return vec![];
        }
        vec![Carried {
            format: self.format.clone(),
            reordering: self.reordering,
        }]
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        let key = if at_ns > 0 {
            self.find_key(at_ns)?
        } else {
            None
        };
        let (decoded, shown) = key.unwrap_or((0, 0));
        self.origin = shown;
        self.rewind();
        for _ in 0..decoded {
            self.take()?;
        }
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        let Some(taken) = self.take()? else {
            return Ok(None);
        };
        let picture = &taken.picture;
        let sets = if picture.key && !picture.has_sets {
            self.sets.concat()
        } else {
            vec![]
        };
        let mut payload = host.loan(sets.len() + (picture.end - picture.at) as usize)?;
        let (front, body) = payload.as_mut_slice().split_at_mut(sets.len());
        front.copy_from_slice(&sets);
        self.source.read(picture.at, body)?;
        let since = |number: u64| i128::from(number) - i128::from(self.origin);
        let pts = self.ns(since(taken.shown));
        let early = since(taken.decoded) - i128::from(self.lead.unwrap_or(0));
        let dts = self.ns(early).min(pts).max(self.last_dts.saturating_add(1));
        self.last_dts = dts;
        Ok(Some(Unit {
            port: VIDEO,
            payload,
            format: host.format_id(&self.format)?,
            pts,
            dts,
            end: self.ns(since(taken.shown) + 1),
            key: picture.key,
        }))
    }
}
