//! [`Fragments`]: MP4 whose tables stand in front of each stretch of media (ISO/IEC 14496-12, 8.8).
//!
//! One fragment is in memory at a time, of at most [`MAX_FRAGMENT`] bytes. A file that was cut off in a fragment, as by a
//! crash while it was written, ends with the one before, and a line in the log says so. Fragments order their samples
//! without regard to edit lists, so what the tables say of a few samples is read ahead to put tracks in the order of decoding.

use std::collections::VecDeque;

use levada_plugin::prelude::*;
use shiguredo_mp4::{
    boxes::{MoovBox, SampleEntry},
    demux::{DemuxError, Fmp4FileDemuxer, Input},
};
use tracing::warn;

use super::{
    super::{AUDIO, Demuxer, MAX_OTHERS, Unit, VIDEO, bytes::Source, of_port},
    coded::{Coded, edit_of, formats_of, not_played, ns_of, port_of},
    length,
};

/// The largest fragment, in bytes.
const MAX_FRAGMENT: u64 = 64 << 20;

/// Samples of a track that are read ahead, at most.
const MAX_AHEAD: usize = 4096;

/// A file that is open, and where it stands.
pub(super) struct Fragments {
    source: Source,
    demuxer: Fmp4FileDemuxer,
    tracks: Vec<Track>,
    /// Tracks that are not played, by port, and what they hold.
    others: Vec<(usize, String)>,
    bytes: Vec<u8>,
    /// Whether the demuxer has no more.
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
    /// How long a sample lasts, in units, unless its fragment says.
    usual_lasts: u32,
    /// How long the first packet of sound lasts, in units.
    first_lasts: Option<u32>,
    /// What its samples hold, by the descriptions in the movie box.
    formats: Vec<Format>,
    coded: Coded,
    ahead: VecDeque<Sample>,
}

/// What the tables say of a sample.
struct Sample {
    track: usize,
    at: u64,
    len: u64,
    pts: i64,
    dts: i64,
    end: i64,
    key: bool,
    /// The description, where it is another one from here on.
    entry: Option<Box<SampleEntry>>,
}

impl Fragments {
    /// Takes a file over whose movie box says that fragments follow.
    pub fn open(source: Source, moov: &MoovBox, wanted: [bool; 2]) -> Fragments {
        let (mut tracks, mut others): (Vec<Track>, Vec<_>) = (vec![], vec![]);
        for trak in &moov.trak_boxes {
            let entries = &trak.mdia_box.minf_box.stbl_box.stsd_box.entries;
            let id = trak.tkhd_box.track_id;
            let Some(port) = entries.first().and_then(port_of) else {
                warn!(
                    track = id,
                    "a track of a kind that is not played is left out"
                );
                if others.len() < MAX_OTHERS {
                    others.extend(not_played(trak));
                }
                continue;
            };
            if wanted[port] && tracks.iter().all(|t| t.port != port) {
                let movie_scale = i128::from(moov.mvhd_box.timescale.get());
                let defaults = moov.mvex_box.iter().flat_map(|mvex| &mvex.trex_boxes);
                let mut defaults = defaults.filter(|trex| trex.track_id == id);
                tracks.push(Track {
                    usual_lasts: defaults.next().map_or(0, |t| t.default_sample_duration),
                    id,
                    port,
                    scale: trak.mdia_box.mdhd_box.timescale.get().into(),
                    edit: edit_of(trak.edts_box.as_ref(), movie_scale, id),
                    first_lasts: None,
                    formats: formats_of(entries, port),
                    ahead: VecDeque::new(),
                    coded: Coded::new(port, id),
                });
            }
        }
        Fragments {
            source,
            demuxer: Fmp4FileDemuxer::new(),
            tracks,
            others,
            bytes: vec![],
            is_over: false,
            origin: 0,
            first_picture: i64::MIN,
        }
    }

    /// Gives the demuxer what it asks for; `false` when the file ends before.
    fn feed(&mut self) -> Result<bool> {
        let Some(wanted) = self.demuxer.required_input() else {
            return Ok(true);
        };
        let at = wanted.position;
        let left = self.source.len().saturating_sub(at);
        let len = wanted.size.map_or(left, |size| size as u64);
        // A header is asked for whole, and may be the file's last and shorter.
        if len > left && len > 64 {
            if self.demuxer.tracks().is_ok() {
                warn!(
                    at,
                    "the file ends within a fragment; it was cut off, or is being written still"
                );
                return Ok(false);
            }
            self.source.check(at, len, MAX_FRAGMENT, "a box")?;
        }
        let len = self
            .source
            .check(at, len.min(left), MAX_FRAGMENT, "a fragment")?;
        self.bytes.resize(len, 0);
        self.source.read(at, &mut self.bytes)?;
        self.demuxer.handle_input(Input {
            position: at,
            data: &self.bytes,
        });
        Ok(true)
    }

    /// The next sample of a track that is wanted, in the file's own order.
    fn sample(&mut self) -> Result<Option<Sample>> {
        loop {
            let at = self
                .demuxer
                .required_input()
                .map_or(0, |wanted| wanted.position);
            let sample = match self.demuxer.next_sample() {
                Ok(Some(sample)) => sample,
                Ok(None) => return Ok(None),
                Err(DemuxError::InputRequired(_)) => {
                    if !self.feed()? {
                        return Ok(None);
                    }
                    continue;
                }
                Err(cause) => {
                    return Err(self
                        .source
                        .error(at, format_args!("the fragment is damaged: {cause}")));
                }
            };
            let Some(index) = self
                .tracks
                .iter()
                .position(|t| t.id == sample.track.track_id)
            else {
                continue;
            };
            let track = &mut self.tracks[index];
            // A packet of sound decodes to its full length, even where its writer shortened the last one.
            let full = if track.port == AUDIO {
                *track.first_lasts.get_or_insert(sample.duration)
            } else {
                0
            };
            let lasts = i128::from(sample.duration.max(full));
            let ns = |units: i128| ns_of(units, track.scale, track.edit);
            let dts = i128::from(sample.timestamp);
            let pts = dts + i128::from(sample.composition_time_offset.unwrap_or(0));
            return Ok(Some(Sample {
                track: index,
                at: sample.data_offset,
                len: sample.data_size as u64,
                pts: ns(pts),
                dts: ns(dts),
                end: ns(pts + lasts),
                key: track.port == AUDIO || sample.keyframe,
                entry: sample.sample_entry.cloned().map(Box::new),
            }));
        }
    }

    fn rewind(&mut self) {
        self.demuxer = Fmp4FileDemuxer::new();
        self.is_over = false;
        self.tracks.iter_mut().for_each(|track| track.ahead.clear());
    }

    /// Reads ahead until each track has a sample, the file ends, or one track has far more than another.
    fn read_ahead(&mut self) -> Result {
        let lacks = |tracks: &[Track]| tracks.iter().any(|t| t.ahead.is_empty());
        let is_full = |tracks: &[Track]| tracks.iter().any(|t| t.ahead.len() >= MAX_AHEAD);
        while !self.is_over && lacks(&self.tracks) && !is_full(&self.tracks) {
            match self.sample()? {
                Some(sample) => {
                    let track = &mut self.tracks[sample.track];
                    track.ahead.push_back(sample);
                }
                None => self.is_over = true,
            }
        }
        Ok(())
    }

    /// The time of the last picture at or before `at_ns` with which decoding can begin.
    fn find_key(&mut self, at_ns: i64) -> Result<Option<i64>> {
        self.rewind();
        let mut found = None;
        while let Some(sample) = self.sample()? {
            if self.tracks[sample.track].port == VIDEO && sample.key {
                if found.is_some() && sample.pts > at_ns {
                    break;
                }
                found = Some(sample.pts);
            }
        }
        Ok(found)
    }
}

impl Demuxer for Fragments {
    fn has(&self, port: usize) -> bool {
        self.tracks.iter().any(|track| track.port == port)
    }

    fn formats(&self, port: usize) -> Vec<Format> {
        let track = self.tracks.iter().find(|track| track.port == port);
        track.map_or(vec![], |track| track.formats.clone())
    }

    fn length(&mut self) -> Option<i64> {
        let of = |tracks: &[Track], id| tracks.iter().position(|track| track.id == id);
        let tracks = &self.tracks;
        let ends = length::ends(&mut self.source, |id| {
            of(tracks, id).map_or(0, |track| tracks[track].usual_lasts)
        });
        let ends = ends.iter().filter_map(|(id, end)| {
            let track = &tracks[of(tracks, *id)?];
            Some(ns_of(i128::from(*end), track.scale, track.edit))
        });
        Some(ends.max()?.saturating_sub(self.origin))
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
            if let Some(entry) = &sample.entry {
                let described = track.coded.describe(entry, host);
                described.map_err(|cause| self.source.error(sample.at, cause))?;
            }
            let from = if track.port == AUDIO {
                self.origin
            } else {
                self.first_picture
            };
            if sample.pts < from {
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
