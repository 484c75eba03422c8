//! [`Movie`]: MP4 (ISO/IEC 14496-12) whose tables stand in one movie box.
//!
//! Boxes are skipped by their headers up to `moov`, which is read whole and decoded. From then on a unit's time, place and
//! length come from its track's tables. Besides the tables, at most as large as a few times [`MAX_MOOV`], one unit of at most
//! [`MAX_UNIT`](super::MAX_UNIT) bytes is in memory. A movie box that says so is followed by [`fragments`].

mod coded;
mod fragments;
mod length;
mod tables;
mod track;

use levada_plugin::prelude::*;
use shiguredo_mp4::{BoxHeader, BoxType, Decode, ErrorKind, boxes::MoovBox};

use super::{Demuxer, MAX_OTHERS, Unit, bytes::Source, of_port};
use coded::not_played;
use fragments::Fragments;
use track::Track;

/// The largest movie box, in bytes: the tables of more than ten hours.
const MAX_MOOV: u64 = 16 << 20;
/// Boxes in front of the movie box, at most.
const MAX_BOXES: usize = 4096;

/// A file that is open, and where each track stands.
pub(super) struct Movie {
    source: Source,
    /// What is wanted: the first track of sound and the first of pictures.
    tracks: Vec<Track>,
    /// Tracks that are not played, by port, and what they hold.
    others: Vec<(usize, String)>,
}

impl Movie {
    /// Reads the movie box.
    ///
    /// # Errors
    /// When there is none, it is damaged or too large, or none of its tracks can be played.
    pub fn open(mut source: Source, wanted: [bool; 2]) -> Result<Box<dyn Demuxer>> {
        let (at, len) = find_moov(&mut source)?;
        let mut bytes = vec![0; len];
        source.read(at, &mut bytes)?;
        let (moov, _) = MoovBox::decode(&bytes)
            .map_err(|cause| source.error(at, format_args!("the movie box is damaged: {cause}")))?;
        drop(bytes);
        if moov.mvex_box.is_some() {
            let place = at..at + len as u64;
            return Ok(Box::new(Fragments::open(source, moov, place, wanted)?));
        }
        let (mut tracks, mut others): (Vec<Track>, Vec<_>) = (vec![], vec![]);
        let movie_scale = moov.mvhd_box.timescale;
        for trak in moov.trak_boxes {
            let id = trak.tkhd_box.track_id;
            let other = not_played(&trak);
            let opened = Track::open(trak, movie_scale).map_err(|cause| {
                source.error(at, format_args!("track {id} in the movie box: {cause}"))
            })?;
            if opened.is_none() && others.len() < MAX_OTHERS {
                others.extend(other);
            }
            if let Some(track) = opened
                && wanted[track.port()]
                && tracks.iter().all(|t| t.port() != track.port())
            {
                tracks.push(track);
            }
        }
        Ok(Box::new(Movie {
            source,
            tracks,
            others,
        }))
    }
}

/// The place and the length of the movie box.
fn find_moov(source: &mut Source) -> Result<(u64, usize)> {
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        let Some(found) = Place::read(source, at)? else {
            return Err(source.error(
                at,
                "the file ends without a movie box; it was cut off, or is being written still",
            ));
        };
        if found.kind == MoovBox::TYPE {
            return Ok((
                at,
                source.check(at, found.end - at, MAX_MOOV, "the movie box")?,
            ));
        }
        at = found.end;
    }
    Err(source.error(
        at,
        format_args!("more than {MAX_BOXES} boxes come before a movie box"),
    ))
}

/// Where a box lies, by its header; its end may lie behind that of the file.
struct Place {
    kind: BoxType,
    content: u64,
    end: u64,
}

impl Place {
    /// Reads the header that lies at a place; `None` when the file ends before that does.
    fn read(source: &mut Source, at: u64) -> Result<Option<Place>> {
        let left = source.len().saturating_sub(at);
        let mut header = [0; BoxHeader::MAX_SIZE];
        let header = &mut header[..left.min(BoxHeader::MAX_SIZE as u64) as usize];
        if left < BoxHeader::MIN_SIZE as u64 {
            return Ok(None);
        }
        source.read(at, header)?;
        let (header, len) = match BoxHeader::decode(header) {
            Ok(read) => read,
            Err(cause) if cause.kind == ErrorKind::InsufficientBuffer => return Ok(None),
            Err(cause) => {
                return Err(source.error(at, format_args!("no box begins here: {cause}")));
            }
        };
        let end = match header.box_size.get() {
            0 => source.len(),
            size => at.saturating_add(size),
        };
        Ok(Some(Place {
            kind: header.box_type,
            content: at + len as u64,
            end,
        }))
    }
}

impl Demuxer for Movie {
    fn has(&self, port: usize) -> bool {
        self.tracks.iter().any(|track| track.port() == port)
    }

    fn formats(&self, port: usize) -> Vec<Format> {
        let track = self.tracks.iter().find(|track| track.port() == port);
        track.map_or(vec![], Track::formats)
    }

    fn length(&mut self) -> Option<i64> {
        self.tracks.iter().filter_map(Track::length).max()
    }

    fn not_played(&self, port: usize) -> Vec<String> {
        of_port(&self.others, port)
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        // Pictures can be decoded from a keyframe on only, so they say where it begins.
        self.tracks.sort_by_key(|track| usize::MAX - track.port());
        let mut origin = at_ns;
        for (index, track) in self.tracks.iter_mut().enumerate() {
            if index == 0 && at_ns > 0 {
                origin = track.seek_key(at_ns, &mut self.source)?;
            }
            track.begin(origin, &mut self.source)?;
        }
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        let next = self
            .tracks
            .iter_mut()
            .filter_map(|t| Some((t.next_dts()?, t)));
        match next.min_by_key(|(dts, _)| *dts) {
            Some((_, track)) => track.take(&mut self.source, host).map(Some),
            None => Ok(None),
        }
    }
}
