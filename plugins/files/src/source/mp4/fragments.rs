//! [`Fragments`]: MP4 whose tables stand in front of each stretch of media (ISO/IEC 14496-12, 8.8).
//!
//! The tables of one fragment are read at a time, of at most [`MAX_TABLE`] bytes, and its media where they say it lies. A file
//! that was cut off in a fragment or elsewhere, as by a crash while it was written, ends with the fragment before, and a line in
//! the log says so. Samples that the movie box itself lists come before the fragments. Fragments order their samples
//! without regard to edit lists, so what the tables say of a few samples is read ahead to put tracks in the order of decoding.

use std::{collections::VecDeque, num::NonZeroU32, ops::Range};

use levada_plugin::prelude::*;
use shiguredo_mp4::{
    aux::SampleTableAccessor,
    boxes::{MoofBox, MoovBox, SampleEntry, StblBox},
};
use tracing::warn;

use super::{
    super::{
        AUDIO, Carried, Demuxer, Unit, VIDEO,
        bytes::{DAMAGED, Source},
        of_port,
    },
    Place,
    coded::{Coded, begins, carried_by, edit_of, ns_of, port_or_left_out},
    length,
    tables::{Known, Listed, MAX_TABLE, list},
};

/// Samples of a track that are read ahead before the next fragment is, at most.
const MAX_AHEAD: usize = 4096;

/// A file that is open, and where it stands.
pub(super) struct Fragments {
    source: Source,
    tracks: Vec<Track>,
    /// Tracks that are not played, by port, and what they hold.
    others: Vec<(usize, String)>,
    /// All tracks, as fragments know them.
    known: Vec<Known>,
    /// Where the movie box ends, and the next box begins.
    first: u64,
    at: u64,
    /// Whether there are no more fragments.
    is_over: bool,
    /// The time in the movie that is time 0, in ns.
    origin: i64,
    /// No picture before this one, and no sound before `origin`.
    first_picture: i64,
}

struct Track {
    id: u32,
    port: usize,
    /// Units of the track's time in a second.
    scale: i128,
    /// The media time that is time 0, in units, and a pause in front, in ns.
    edit: (i128, i64),
    /// How many samples were seen, up to two, and how long the second one lasts, in units: writers stretch the first packet of
    /// sound up to where that of the pictures begins.
    seen: u32,
    usual_lasts: u32,
    /// Its samples in front of the first fragment, and the number of the next one, from 1 on.
    table: SampleTableAccessor<StblBox>,
    next: u32,
    /// The number of the description that `coded` follows.
    entry: Option<usize>,
    coded: Coded,
    ahead: VecDeque<Sample>,
}

/// A sample that is to be played.
struct Sample {
    at: u64,
    len: u64,
    pts: i64,
    dts: i64,
    end: i64,
    key: bool,
    /// The number of its description.
    entry: usize,
}

impl Track {
    /// What its samples hold, by its descriptions.
    fn entries(&self) -> &[SampleEntry] {
        &self.table.stbl_box().stsd_box.entries
    }

    /// Whether its decoder puts out a part of a packet, where only that is to be heard.
    fn can_be_cut(&self) -> bool {
        self.port == AUDIO && Coded::can_be_cut(self.entries().first())
    }

    /// Takes the next sample in front of the first fragment; `false` when there is none.
    fn read_table(&mut self) -> bool {
        let sample = NonZeroU32::new(self.next).and_then(|next| self.table.get_sample(next));
        let Some(sample) = sample else {
            return false;
        };
        let listed = Listed {
            track: 0,
            at: sample.data_offset(),
            len: sample.data_size().into(),
            time: sample.timestamp(),
            shift: sample.composition_time_offset().unwrap_or(0),
            lasts: sample.duration(),
            key: sample.is_sync_sample(),
            entry: sample.chunk().sample_entry_index(),
        };
        self.next = self.next.saturating_add(1);
        let sample = self.sample(&listed);
        self.ahead.push_back(sample);
        true
    }

    /// Where those samples end, in units.
    fn table_ends(&self) -> u64 {
        let last = NonZeroU32::new(self.table.sample_count());
        let last = last.and_then(|last| self.table.get_sample(last));
        last.map_or(0, |last| {
            last.timestamp().saturating_add(last.duration().into())
        })
    }

    fn sample(&mut self, listed: &Listed) -> Sample {
        // A packet of sound decodes to its full length, even where its writer shortened the last one, unless its
        // decoder parts it.
        if self.seen < 2 {
            (self.seen, self.usual_lasts) = (self.seen + 1, listed.lasts);
        }
        let full = if self.port == AUDIO && self.seen == 2 && !self.can_be_cut() {
            self.usual_lasts
        } else {
            0
        };
        let lasts = i128::from(listed.lasts.max(full));
        let ns = |units: i128| ns_of(units, self.scale, self.edit);
        let dts = i128::from(listed.time);
        let pts = dts + i128::from(listed.shift);
        Sample {
            at: listed.at,
            len: listed.len,
            pts: ns(pts),
            dts: ns(dts),
            end: ns(pts + lasts),
            key: self.port == AUDIO || listed.key,
            entry: listed.entry,
        }
    }
}

impl Fragments {
    /// Takes a file over whose movie box lies there and says that fragments follow.
    ///
    /// # Errors
    /// When the tables of a track in it contradict each other.
    pub fn open(
        source: Source,
        moov: MoovBox,
        place: Range<u64>,
        mut others: Vec<(usize, String)>,
        wanted: [bool; 2],
    ) -> Result<Fragments> {
        let (mut tracks, mut known): (Vec<Track>, Vec<_>) = (vec![], vec![]);
        for trak in moov.trak_boxes {
            let id = trak.tkhd_box.track_id;
            let said = moov.mvex_box.iter().flat_map(|mvex| &mvex.trex_boxes);
            known.push(Known::new(
                id,
                said.into_iter().find(|trex| trex.track_id == id),
            ));
            let Some(port) = port_or_left_out(&trak, &mut others) else {
                continue;
            };
            if wanted[port] && tracks.iter().all(|t| t.port != port) {
                let movie_scale = i128::from(moov.mvhd_box.timescale.get());
                let table = SampleTableAccessor::new(trak.mdia_box.minf_box.stbl_box);
                let table = table.map_err(|cause| {
                    source.error(
                        place.start,
                        format_args!("track {id} in the movie box: {cause}; {DAMAGED}"),
                    )
                })?;
                tracks.push(Track {
                    id,
                    port,
                    scale: trak.mdia_box.mdhd_box.timescale.get().into(),
                    edit: edit_of(trak.edts_box.as_ref(), movie_scale, id),
                    seen: 0,
                    usual_lasts: 0,
                    table,
                    next: 1,
                    entry: None,
                    coded: Coded::new(port, id),
                    ahead: VecDeque::new(),
                });
            }
        }
        Ok(Fragments {
            source,
            tracks,
            others,
            known,
            first: place.end,
            at: place.end,
            is_over: false,
            origin: 0,
            first_picture: i64::MIN,
        })
    }

    /// Reads the next sample of each track in front of the first fragment, or then the tables of the next one; `false` when there
    /// is none.
    fn read_some(&mut self) -> Result<bool> {
        let mut is_read = false;
        for track in &mut self.tracks {
            is_read |= track.read_table();
        }
        Ok(is_read || self.read_fragment()?)
    }

    /// Reads the tables of the next fragment; `false` when there is none.
    fn read_fragment(&mut self) -> Result<bool> {
        while self.at < self.source.len() {
            let at = self.at;
            let Some(place) = self.whole(at)? else {
                return Ok(false);
            };
            self.at = place.end;
            if place.kind != MoofBox::TYPE {
                continue;
            }
            let len = place.end.saturating_sub(place.content);
            let len = self
                .source
                .check(place.content, len, MAX_TABLE, "a fragment's table")?;
            // The media follows.
            if self.whole(place.end)?.is_none() {
                return Ok(false);
            }
            let mut bytes = vec![0; len];
            self.source.read(place.content, &mut bytes)?;
            let listed = list(&bytes, at, &mut self.known).ok_or_else(|| {
                self.source.error(
                    at,
                    format_args!(
                        "the fragment's tables do not add up, or list too many samples; {DAMAGED}"
                    ),
                )
            })?;
            for sample in listed {
                let id = self.known[sample.track].id;
                if let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) {
                    let sample = track.sample(&sample);
                    track.ahead.push_back(sample);
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// The box at a place; `None` when the file ends within it.
    fn whole(&mut self, at: u64) -> Result<Option<Place>> {
        let place = Place::read(&mut self.source, at)?;
        let place = place.filter(|place| place.end <= self.source.len());
        if place.is_none() {
            warn!(
                at,
                "the file ends within a fragment; it was cut off, or is being written still"
            );
        }
        Ok(place)
    }

    fn rewind(&mut self) {
        (self.at, self.is_over) = (self.first, false);
        self.known.iter_mut().for_each(|known| known.ends = 0);
        for track in &mut self.tracks {
            track.ahead.clear();
            track.next = 1;
            let known = self.known.iter_mut().find(|known| known.id == track.id);
            if let Some(known) = known {
                known.ends = track.table_ends();
            }
        }
    }

    /// Reads ahead until each track has a sample, the file ends, or one track has far more than another.
    fn read_ahead(&mut self) -> Result {
        let lacks = |tracks: &[Track]| tracks.iter().any(|t| t.ahead.is_empty());
        let is_full = |tracks: &[Track]| tracks.iter().any(|t| t.ahead.len() >= MAX_AHEAD);
        while !self.is_over && lacks(&self.tracks) && !is_full(&self.tracks) {
            self.is_over = !self.read_some()?;
        }
        Ok(())
    }

    /// The time of the last picture at or before `at_ns` with which decoding can begin.
    fn find_key(&mut self, at_ns: i64) -> Result<Option<i64>> {
        self.rewind();
        let mut found = None;
        while self.read_some()? {
            for track in &mut self.tracks {
                let is_video = track.port == VIDEO;
                let entries = &track.table.stbl_box().stsd_box.entries;
                for sample in track.ahead.drain(..).filter(|s| is_video && s.key) {
                    if found.is_some() && sample.pts > at_ns {
                        return Ok(found);
                    }
                    // Where nothing else is, it is the file's first.
                    let is_first = found.is_none();
                    if is_first
                        || entries.get(sample.entry).map_or(Ok(true), |entry| {
                            begins(entry, &mut self.source, sample.at, sample.len)
                        })?
                    {
                        found = Some(sample.pts);
                    }
                }
            }
        }
        Ok(found)
    }
}

impl Demuxer for Fragments {
    fn has(&self, port: usize) -> bool {
        self.tracks.iter().any(|track| track.port == port)
    }

    fn carries(&self, port: usize) -> Vec<Carried> {
        let track = self.tracks.iter().find(|track| track.port == port);
        track.map_or(vec![], |track| carried_by(track.entries(), port))
    }

    fn length(&mut self) -> Option<i64> {
        length::ends(&mut self.source, self.first, &mut self.known);
        let ends = self.known.iter().filter_map(|known| {
            let track = self.tracks.iter().find(|track| track.id == known.id)?;
            Some(ns_of(known.ends.into(), track.scale, track.edit))
        });
        let length = ends.max()?.saturating_sub(self.origin);
        self.rewind();
        Some(length).filter(|length| *length > 0)
    }

    fn not_played(&self, port: usize) -> Vec<String> {
        of_port(&self.others, port)
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        (self.origin, self.first_picture) = (at_ns.max(0), i64::MIN);
        if at_ns > 0
            && let Some(key) = self.find_key(at_ns)?
        {
            (self.origin, self.first_picture) = (key, key);
        }
        self.rewind();
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        loop {
            self.read_ahead()?;
            let next = self.tracks.iter_mut().filter(|t| !t.ahead.is_empty());
            let next = next.min_by_key(|t| t.ahead.front().map_or(i64::MAX, |s| s.dts));
            let Some((track, sample)) = next.and_then(|t| t.ahead.pop_front().map(|s| (t, s)))
            else {
                return Ok(None);
            };
            if track.entry != Some(sample.entry) {
                let described = track.table.stbl_box().stsd_box.entries.get(sample.entry);
                let described = described.map_or_else(
                    || Err(Error::new("a sample is of no description")),
                    |entry| track.coded.describe(entry, host),
                );
                described.map_err(|cause| self.source.error(sample.at, cause))?;
                track.entry = Some(sample.entry);
            }
            let from = if track.port == AUDIO {
                self.origin
            } else {
                self.first_picture
            };
            if sample.pts < from && !(track.can_be_cut() && sample.end > from) {
                continue;
            }
            let payload =
                track
                    .coded
                    .read(&mut self.source, sample.at, sample.len, sample.key, host)?;
            return Ok(Some(Unit {
                port: track.port,
                payload,
                format: track.coded.format(),
                pts: sample.pts.saturating_sub(self.origin),
                dts: sample.dts.saturating_sub(self.origin),
                end: sample.end.saturating_sub(self.origin),
                key: sample.key,
            }));
        }
    }
}
