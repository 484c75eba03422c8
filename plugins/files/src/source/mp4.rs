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
use shiguredo_mp4::{
    BoxHeader, BoxType, Decode, ErrorKind,
    boxes::{MoovBox, TrakBox},
};
use tracing::warn;

use super::{
    AUDIO, Carried, Demuxer, MAX_OTHERS, Unit, VIDEO,
    bytes::{DAMAGED, Source},
    of_port,
};
use coded::port_or_left_out;
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
        let (moov, mut others) = decode(&mut bytes).map_err(|cause| {
            source.error(
                at,
                format_args!(
                    "the movie box is not understood: {cause}; rewrite the file, such as with ffmpeg -i IN -c copy OUT.mp4"
                ),
            )
        })?;
        drop(bytes);
        if moov.mvex_box.is_some() {
            let place = at..at + len as u64;
            return Ok(Box::new(Fragments::open(
                source, moov, place, others, wanted,
            )?));
        }
        let mut tracks: Vec<Track> = vec![];
        let movie_scale = moov.mvhd_box.timescale;
        for trak in moov.trak_boxes {
            let id = trak.tkhd_box.track_id;
            let Some(port) = port_or_left_out(&trak, &mut others) else {
                continue;
            };
            // What nobody wants may be damaged.
            if wanted[port] && tracks.iter().all(|t| t.port() != port) {
                let opened = Track::open(trak, port, movie_scale);
                tracks.push(opened.map_err(|cause| {
                    source.error(
                        at,
                        format_args!("track {id} in the movie box: {cause}; {DAMAGED}"),
                    )
                })?);
            }
        }
        Ok(Box::new(Movie {
            source,
            tracks,
            others,
        }))
    }
}

/// The movie box from its bytes, without the tracks that are not understood: what those are is said for both ports, because who
/// knows which of them they are for.
fn decode(bytes: &mut [u8]) -> Result<(MoovBox, Vec<(usize, String)>), shiguredo_mp4::Error> {
    let cause = match MoovBox::decode(bytes) {
        Ok((moov, _)) => return Ok((moov, vec![])),
        Err(cause) => cause,
    };
    let mut others = vec![];
    let (_, mut at) = BoxHeader::decode(bytes)?;
    while at < bytes.len() {
        let (header, _) = BoxHeader::decode(&bytes[at..])?;
        let len = usize::try_from(header.box_size.get()).unwrap_or(0);
        let Some(child) = bytes.get(at..at.saturating_add(len)).filter(|_| len > 0) else {
            return Err(cause);
        };
        if header.box_type == TrakBox::TYPE
            && let Err(cause) = TrakBox::decode(child)
        {
            warn!(%cause, "a track that is not understood is left out");
            let what = format!("a track in the movie box is not understood ({cause})");
            others.extend([(AUDIO, what.clone()), (VIDEO, what)]);
            // A box of this kind is passed over.
            bytes[at + 4..at + 8].copy_from_slice(b"free");
        }
        at += len;
    }
    others.truncate(MAX_OTHERS);
    if others.is_empty() {
        return Err(cause);
    }
    Ok((MoovBox::decode(bytes)?.0, others))
}

/// The place and the length of the movie box.
fn find_moov(source: &mut Source) -> Result<(u64, usize)> {
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        let Some(found) = Place::read(source, at)? else {
            return Err(source.error(
                at,
                "the file ends without a movie box, in which its tables are; it was cut off, or is being written still: wait until it is written, or record it again, in fragments or as Matroska, which are played as far as they reach",
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

    fn carries(&self, port: usize) -> Vec<Carried> {
        let track = self.tracks.iter().find(|track| track.port() == port);
        track.map_or(vec![], Track::carries)
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
