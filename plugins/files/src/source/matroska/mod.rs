//! [`Matroska`]: Matroska and WebM (RFC 9559).
//!
//! What stands in front of the clusters is read by the headers of its elements, and of it the tracks, within [`MAX_TRACKS`] bytes.
//! From there on blocks follow each other (`walk`); places and times of a few are read ahead, to put tracks in the
//! order of decoding and to tell how long a unit lasts, and one unit of at most [`MAX_UNIT`](super::MAX_UNIT) bytes is in
//! memory. Times in the file are rounded, often to a millisecond: sound that says how long it lasts goes on where it
//! ended, as long as the file's time is that near.

mod element;
mod track;
mod walk;

use std::collections::VecDeque;

use levada_plugin::{Loan, prelude::*};

use super::{
    AUDIO, Carried, Demuxer, MAX_OTHERS, MAX_UNIT, Unit, VIDEO,
    bytes::Source,
    of_port,
    order::{AHEAD, Order},
};
use crate::ebml::id;
use element::{Element, float, uint, within};
use track::{Found, Track};
use walk::Walk;

/// The tracks' descriptions, and other parts that are read whole, in bytes.
const MAX_TRACKS: u64 = 1 << 20;
/// Elements in front of the clusters, at most.
const MAX_ELEMENTS: usize = 4096;
/// Units of a track whose places are read ahead, at most.
const MAX_AHEAD: usize = 4096;

/// A file that is open.
pub(super) struct Matroska {
    source: Source,
    /// A unit of time, ns.
    scale: u64,
    /// How long the file says it is, in units of time; nothing that is no length.
    duration: Option<f64>,
    /// Where clusters begin, the segment ends, and whether it says so itself.
    first: u64,
    end: u64,
    is_open: bool,
    tracks: Vec<Playing>,
    /// Tracks that are not played, by port, and why.
    others: Vec<(usize, String)>,
    walk: Walk,
    is_over: bool,
    /// The time in the file that is time 0, ns.
    origin: i64,
    /// No picture before the one whose block lies there.
    first_picture: u64,
}

struct Playing {
    track: Track,
    ahead: VecDeque<Place>,
    /// The next unit, with when it is to be decoded.
    ready: Option<(Place, i64)>,
    order: Order,
    /// Where the last unit of sound ended.
    ends: Option<i64>,
    /// How long the last unit lasted.
    lasted: i64,
}

/// A unit's place and time, ns.
struct Place {
    at: u64,
    len: usize,
    pts: i64,
    key: bool,
    lasts: Option<i64>,
    /// How much of its end is no sound.
    discard: i64,
}

impl Matroska {
    /// Reads what stands in front of the clusters.
    ///
    /// # Errors
    /// When it is damaged, or describes no tracks.
    pub fn open(mut source: Source, wanted: [bool; 2]) -> Result<Matroska> {
        let head = Element::read(&mut source, 0)?;
        let content = head.content(&mut source, MAX_TRACKS, "the header")?;
        let doc_type = within(&content).find(|(id, _)| *id == id::DOC_TYPE);
        let doc_type = doc_type.map_or(&b"matroska"[..], |(_, content)| content);
        if !doc_type.starts_with(b"matroska") && !doc_type.starts_with(b"webm") {
            let name = String::from_utf8_lossy(&doc_type[..doc_type.len().min(32)]).into_owned();
            return Err(source.error(
                0,
                format_args!("this is {name:?}; Matroska and WebM are played"),
            ));
        }
        let segment = Element::read(&mut source, head.end.unwrap_or(head.at))?;
        if segment.id != id::SEGMENT {
            return Err(source.error(segment.from, "no segment begins here"));
        }
        let end = segment.end.unwrap_or(source.len());
        let mut file = Matroska {
            scale: 1_000_000,
            duration: None,
            first: segment.at,
            end,
            is_open: segment.end.is_none(),
            tracks: vec![],
            others: vec![],
            walk: Walk::new(segment.at, end, false),
            is_over: false,
            origin: 0,
            first_picture: 0,
            source,
        };
        file.read_head(segment.at, wanted)?;
        file.rewind(file.first);
        Ok(file)
    }

    /// Reads the elements up to the first cluster.
    fn read_head(&mut self, mut at: u64, wanted: [bool; 2]) -> Result {
        let mut has_tracks = false;
        for _ in 0..MAX_ELEMENTS {
            if at >= self.end {
                return Err(self.source.error(
                    at,
                    "the file ends without a cluster; it was cut off, or nothing was recorded: record it again",
                ));
            }
            let element = Element::read(&mut self.source, at)?;
            match element.id {
                id::INFO => {
                    let content = element.content(
                        &mut self.source,
                        MAX_TRACKS,
                        "the segment's information",
                    )?;
                    for (id, content) in within(&content) {
                        match id {
                            id::TIMESTAMP_SCALE => {
                                self.scale = uint(content).unwrap_or(0).clamp(1, 1_000_000_000);
                            }
                            id::DURATION => {
                                self.duration = float(content).filter(|units| *units > 0.0);
                            }
                            _ => {}
                        }
                    }
                }
                id::TRACKS => {
                    let content = element.content(
                        &mut self.source,
                        MAX_TRACKS,
                        "the description of the tracks",
                    )?;
                    self.read_tracks(&content, wanted);
                    has_tracks = true;
                }
                id::CLUSTER if has_tracks => {
                    self.first = element.from;
                    return Ok(());
                }
                id::CLUSTER => {
                    return Err(self
                        .source
                        .error(at, "clusters come before the tracks are described"));
                }
                _ => {}
            }
            let Some(end) = element.end else {
                return Err(self.source.error(
                    at,
                    "an element that is no cluster does not say where it ends",
                ));
            };
            at = end;
        }
        Err(self.source.error(
            at,
            format_args!("more than {MAX_ELEMENTS} elements come before a cluster"),
        ))
    }

    fn read_tracks(&mut self, content: &[u8], wanted: [bool; 2]) {
        for (_, entry) in within(content).filter(|(id, _)| *id == id::TRACK_ENTRY) {
            match Track::read(entry) {
                Found::Track(track) => {
                    let is_first = self.tracks.iter().all(|t| t.track.port != track.port);
                    if wanted[track.port] && is_first {
                        self.tracks.push(Playing {
                            track: *track,
                            ahead: VecDeque::new(),
                            ready: None,
                            order: Order::default(),
                            ends: None,
                            lasted: 0,
                        });
                    }
                }
                Found::Other(port, why) if self.others.len() < MAX_OTHERS => {
                    self.others.push((port, why))
                }
                Found::Other(..) | Found::Nothing => {}
            }
        }
    }

    /// Goes to a cluster, or another element beside it.
    fn rewind(&mut self, at: u64) {
        self.walk = Walk::new(at, self.end, self.is_open);
        self.is_over = false;
        for playing in &mut self.tracks {
            playing.ahead.clear();
            (playing.ready, playing.order) = (None, Order::default());
            (playing.ends, playing.lasted) = (None, 0);
        }
    }

    fn ns(&self, units: i128) -> i64 {
        let ns = units.saturating_mul(self.scale.into());
        ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// Reads the next block of a track that is wanted; `false` at the end.
    fn read_block(&mut self) -> Result<bool> {
        let Some(block) = self.walk.next(&mut self.source)? else {
            return Ok(false);
        };
        let index = self
            .tracks
            .iter()
            .position(|t| t.track.number == block.track);
        let Some(index) = index else {
            return Ok(true);
        };
        let time = self.ns(block.time.into());
        let lasts = block.lasts.map(|units| self.ns(units.into()));
        let playing = &mut self.tracks[index];
        let track = &playing.track;
        if track.port == VIDEO && block.from < self.first_picture {
            return Ok(true);
        }
        let count = block.frames.len() as i64;
        let each = lasts.map(|lasts| lasts / count).or(track.lasts);
        let mut pts = time.saturating_sub(track.delay);
        for (at, len) in block.frames {
            if len as u64 > MAX_UNIT || len == 0 {
                continue;
            }
            // Only the first of laced frames has a time; the others follow it.
            let lasts = match each {
                None if count > 1 => track.lasts_at(&mut self.source, at, len)?,
                each => each,
            };
            if track.is_reordered() {
                playing.order.push(pts);
            }
            playing.ahead.push_back(Place {
                at,
                len,
                pts,
                key: block.key || track.port == AUDIO,
                lasts,
                discard: 0,
            });
            pts = pts.saturating_add(lasts.unwrap_or(0));
        }
        if let Some(last) = playing.ahead.back_mut() {
            last.discard = block.discard;
        }
        Ok(true)
    }

    /// Reads ahead until each track has what its next unit asks for, the file ends, or one track has far more than
    /// another.
    fn read_ahead(&mut self) -> Result {
        let lacks = |t: &Playing| {
            let need = if t.track.is_reordered() { AHEAD } else { 2 };
            t.ready.is_none() && t.ahead.len() < need
        };
        while !self.is_over
            && self.tracks.iter().any(lacks)
            && self.tracks.iter().all(|t| t.ahead.len() < MAX_AHEAD)
        {
            self.is_over = !self.read_block()?;
        }
        self.tracks.iter_mut().for_each(Playing::prepare);
        Ok(())
    }

    /// The last picture at or before `at_ns` with which decoding can begin: its time, its block, and the cluster in front of its
    /// own.
    fn find_key(&mut self, at_ns: i64) -> Result<Option<(i64, u64, u64)>> {
        let Some(video) = self.tracks.iter().find(|t| t.track.port == VIDEO) else {
            return Ok(None);
        };
        let track = &video.track;
        let mut walk = Walk::new(self.first, self.end, self.is_open);
        let (mut found, mut clusters) = (None, (self.first, self.first));
        while let Some(block) = walk.next(&mut self.source)? {
            if block.cluster != clusters.1 {
                clusters = (clusters.1, block.cluster);
            }
            if block.track == track.number && block.key {
                let pts = self.ns(block.time.into());
                if found.is_some() && pts > at_ns {
                    break;
                }
                // Where nothing else is, it is the file's first.
                let (at, len) = block.frames.first().copied().unwrap_or((block.from, 0));
                if found.is_none() || track.begins(&mut self.source, at, len)? {
                    found = Some((pts, block.from, clusters.0));
                }
            }
        }
        Ok(found)
    }
}

impl Playing {
    /// Takes the next unit from those that were read ahead.
    fn prepare(&mut self) {
        if self.ready.is_some() {
            return;
        }
        let dts = match self.ahead.front() {
            None => return,
            Some(_) if self.track.is_reordered() => {
                self.order.take(self.ahead.iter().map(|place| place.pts))
            }
            Some(place) => place.pts,
        };
        let Some(mut place) = self.ahead.pop_front() else {
            return;
        };
        if let Some((len, lasts)) = self.track.first_block(place.len) {
            self.ahead.push_front(Place {
                at: place.at + len as u64,
                len: place.len - len,
                pts: place.pts.saturating_add(lasts),
                ..place
            });
            place.len = len;
        }
        self.ready = Some((place, dts));
    }

    /// How long a unit lasts.
    fn lasts(&self, place: &Place, payload: &Loan) -> i64 {
        let next = || {
            let later = self
                .ahead
                .iter()
                .map(|other| other.pts)
                .filter(|pts| *pts > place.pts);
            later.min().map(|pts| pts.saturating_sub(place.pts))
        };
        let by_content = self
            .track
            .lasts_by(payload)
            .filter(|_| self.track.port == AUDIO);
        by_content
            .or(place.lasts)
            .or_else(next)
            .unwrap_or(self.lasted)
    }
}

impl Demuxer for Matroska {
    fn has(&self, port: usize) -> bool {
        self.tracks.iter().any(|playing| playing.track.port == port)
    }

    fn carries(&self, port: usize) -> Vec<Carried> {
        let track = self
            .tracks
            .iter()
            .find(|playing| playing.track.port == port);
        track.map_or(vec![], |playing| vec![playing.track.carried()])
    }

    fn length(&mut self) -> Option<i64> {
        // A cast from float to integer saturates.
        let end = (self.duration? * self.scale as f64) as i64;
        Some(end.saturating_sub(self.origin)).filter(|length| *length > 0)
    }

    fn not_played(&self, port: usize) -> Vec<String> {
        of_port(&self.others, port)
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        (self.origin, self.first_picture) = (at_ns.max(0), 0);
        let mut from = self.first;
        if at_ns > 0
            && let Some((pts, block, cluster)) = self.find_key(at_ns)?
        {
            (self.origin, self.first_picture, from) = (pts, block, cluster);
        }
        self.rewind(from);
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        loop {
            self.read_ahead()?;
            let ready = self.tracks.iter_mut().filter(|t| t.ready.is_some());
            let next = ready.min_by_key(|t| t.ready.as_ref().map_or(i64::MAX, |(_, dts)| *dts));
            let Some((playing, (place, dts))) = next.and_then(|t| t.ready.take().map(|r| (t, r)))
            else {
                return Ok(None);
            };
            let track = &playing.track;
            let is_sound = track.port == AUDIO;
            let jitter = self.scale * 3 / 2;
            // Far in front of the beginning; what is near is looked at, for the sake of its exact time.
            if is_sound && place.pts.saturating_add(1_000_000_000) < self.origin {
                continue;
            }
            let payload = track.unit(&mut self.source, place.at, place.len, place.key, host)?;
            let mut lasts = playing.lasts(&place, &payload);
            playing.lasted = lasts;
            if playing.track.can_be_cut() {
                lasts = lasts.saturating_sub(place.discard).max(0);
            }
            let mut pts = place.pts;
            if is_sound {
                if let Some(ends) = playing.ends.filter(|ends| ends.abs_diff(pts) <= jitter) {
                    pts = ends;
                }
                let ends = pts.saturating_add(lasts);
                playing.ends = Some(ends);
                let is_before = if playing.track.can_be_cut() {
                    ends <= self.origin
                } else {
                    pts < self.origin
                };
                if is_before {
                    continue;
                }
            }
            let track = &playing.track;
            return Ok(Some(Unit {
                port: track.port,
                payload,
                format: host.format_id(&track.format)?,
                pts: pts.saturating_sub(self.origin),
                dts: if is_sound { pts } else { dts }.saturating_sub(self.origin),
                end: pts.saturating_add(lasts).saturating_sub(self.origin),
                key: place.key,
            }));
        }
    }
}
