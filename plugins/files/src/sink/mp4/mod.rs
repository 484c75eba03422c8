//! [`Fragments`]: a file that grows by a fragment each second.
//!
//! What is in memory is at most [`MAX_WAITING`] bytes and one unit of each track. The movie box is written with the first
//! fragment, when every linked track is known, or the others have waited for [`PATIENCE_NS`]; so a track that comes later has no
//! place in it. Where a track begins later than another, an empty edit says by how much.

mod track;

use std::{io::Write, num::NonZeroU32};

use levada_plugin::prelude::*;
use shiguredo_mp4::{
    Decode, Encode, FixedPointNumber,
    boxes::{EdtsBox, ElstBox, ElstEntry, FtypBox, HdlrBox, MoovBox},
    mux::Fmp4SegmentMuxer,
};
use tracing::warn;

use super::{AUDIO, VIDEO, Writer, disk::Disk};
use track::Track;

/// How much a fragment lasts, unless it grows too large.
const FRAGMENT_NS: i64 = 1_000_000_000;
/// How long the first fragment waits for a track that brings nothing, in the time of what waits and by the clock: a file
/// that is played as fast as it goes brings seconds of sound at once, while its pictures are still being encoded.
const PATIENCE_NS: i64 = 2_000_000_000;
/// How many bytes wait at most before a fragment is written.
const MAX_WAITING: usize = 8 << 20;
/// Units of time in a second of the movie.
const MOVIE_SCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("it is not 0");

/// A file that is being written.
pub(super) struct Fragments {
    file: Disk,
    muxer: Option<Fmp4SegmentMuxer>,
    linked: [bool; 2],
    tracks: [Option<Track>; 2],
    /// Whether the movie box has been written.
    has_begun: bool,
    has_warned: bool,
    /// When the first unit came, by the host's clock.
    since: Option<i64>,
}

impl Fragments {
    pub fn new(file: Disk, linked: [bool; 2]) -> Fragments {
        Fragments {
            file,
            muxer: None,
            linked,
            tracks: [None, None],
            has_begun: false,
            has_warned: false,
            since: None,
        }
    }

    /// Whether a fragment is full, and may be written, `now` by the host's clock.
    fn is_time(&mut self, now: i64) -> bool {
        let waited = now.saturating_sub(*self.since.get_or_insert(now));
        let waiting = self.tracks.iter().flatten().map(Track::waiting);
        let (ns, bytes) = waiting.fold((0, 0), |sum, it| (sum.0.max(it.0), sum.1 + it.1));
        let is_full = ns >= FRAGMENT_NS || bytes >= MAX_WAITING;
        let all_known = (0..2).all(|port| {
            !self.linked[port] || self.tracks[port].as_ref().is_some_and(Track::has_any)
        });
        let is_patient = ns.min(waited) < PATIENCE_NS && bytes < MAX_WAITING;
        is_full && (self.has_begun || all_known || !is_patient)
    }

    /// Writes a fragment of what waits.
    fn write(&mut self, is_end: bool) -> Result {
        if !self.has_begun {
            for track in &mut self.tracks {
                *track = track.take().filter(Track::has_any);
            }
        }
        let (mut samples, mut media) = (vec![], vec![]);
        for track in self.tracks.iter_mut().flatten() {
            let (more, bytes) = track.take(media.len() as u64, is_end);
            samples.extend(more);
            media.extend(bytes);
        }
        if samples.is_empty() {
            return Ok(());
        }
        let mut muxer = match self.muxer.take() {
            Some(muxer) => muxer,
            None => Fmp4SegmentMuxer::new()?,
        };
        let mut head = muxer.create_media_segment_metadata(&samples)?;
        if !std::mem::replace(&mut self.has_begun, true) {
            let mut movie = self.movie(&self.init(&muxer)?)?;
            movie.append(&mut head);
            head = movie;
        }
        self.muxer = Some(muxer);
        self.file.write_all(&head)?;
        self.file.write_all(&media)?;
        Ok(())
    }

    /// What stands in front of the first fragment. A track of which one unit alone has come, as of slides, is in no fragment yet;
    /// a copy of the muxer hears of it nevertheless, and numbers it as the muxer itself will.
    fn init(&self, muxer: &Fmp4SegmentMuxer) -> Result<Vec<u8>> {
        let mut muxer = muxer.clone();
        for sample in self.tracks.iter().flatten().filter_map(Track::announced) {
            muxer.create_media_segment_metadata(&[sample])?;
        }
        Ok(muxer.init_segment_bytes()?)
    }

    /// The movie box, with an edit list that says when each track begins.
    fn movie(&self, init: &[u8]) -> Result<Vec<u8>> {
        let (_, len) = FtypBox::decode(init)?;
        let (mut moov, _) = MoovBox::decode(&init[len..])?;
        moov.mvhd_box.timescale = MOVIE_SCALE;
        if let Some(mvex) = &mut moov.mvex_box {
            // Nobody knows yet how long it will be.
            mvex.mehd_box = None;
        }
        let begins = self
            .tracks
            .iter()
            .flatten()
            .map(|track| track.first)
            .min()
            .unwrap_or(0);
        for trak in &mut moov.trak_boxes {
            let is_video = trak.mdia_box.hdlr_box.handler_type == HdlrBox::HANDLER_TYPE_VIDE;
            let Some(track) = &self.tracks[if is_video { VIDEO } else { AUDIO }] else {
                continue;
            };
            let late = i128::from(track.first) - i128::from(begins);
            let late = late * i128::from(MOVIE_SCALE.get()) / 1_000_000_000;
            let edit = |edit_duration, media_time| ElstEntry {
                edit_duration,
                media_time,
                media_rate: FixedPointNumber::new(1, 0),
            };
            let mut entries = vec![];
            if late > 0 {
                entries.push(edit(u64::try_from(late).unwrap_or(u64::MAX), -1));
            }
            // All of the media, however long it becomes.
            entries.push(edit(0, 0));
            trak.edts_box = Some(EdtsBox {
                elst_box: Some(ElstBox { entries }),
                unknown_boxes: vec![],
            });
        }
        let mut bytes = init[..len].to_vec();
        bytes.extend(moov.encode_to_vec()?);
        Ok(bytes)
    }
}

impl Writer for Fragments {
    fn take(&mut self, port: usize, frame: &Frame, ctx: &Context) -> Result<bool> {
        if self.tracks[port].is_none() && !self.has_begun {
            self.tracks[port] = Track::begin(port, frame, ctx)?;
        }
        let taken = self.tracks[port]
            .as_mut()
            .is_some_and(|track| track.push(frame));
        if !taken {
            if self.has_begun
                && self.tracks[port].is_none()
                && !std::mem::replace(&mut self.has_warned, true)
            {
                warn!(
                    port,
                    "the recording began without this track, which came too late and is left out"
                );
            }
            return Ok(false);
        }
        ctx.copied(frame.payload().len());
        if self.is_time(ctx.now()) {
            self.write(false)?;
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        self.write(true)?;
        self.file.sync_all()?;
        Ok(self.has_begun)
    }
}
