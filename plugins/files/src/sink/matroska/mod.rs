//! [`Matroska`]: Matroska (RFC 9559), and WebM, which is the same with fewer codecs.
//!
//! A cluster of about a second is written whole, so what is in the file can be played at any time; the segment that they lie in says
//! "up to the end of the file" until the recording ends. Then come the places of keyframes, to jump to, and the header, which kept room
//! for it, is told the duration and where those places stand. What is in memory is at most [`MAX_WAITING`] bytes and
//! [`MAX_CUES`] places: when there are more, every other one goes.
//!
//! The tracks are described in front of the first cluster, when every linked one is known, or the others have waited for
//! [`PATIENCE_NS`]; so a track that comes later has no place. Time 0 is that of the first unit.

mod track;

use std::io::{Seek, SeekFrom, Write};

use levada_plugin::prelude::*;
use tracing::warn;

use super::{AUDIO, VIDEO, Writer, disk::Disk};
use crate::ebml::{UNKNOWN_SIZE, id, put, put_all, put_float, put_id, put_size, put_uint};
use track::{Block, Track};

/// How much a cluster lasts, unless it grows too large.
const CLUSTER_NS: i64 = 1_000_000_000;
/// How long the first cluster waits for a track that brings nothing, in the time of what waits and by the clock: a file
/// that is played as fast as it goes brings seconds of sound at once, while its pictures are still being encoded.
const PATIENCE_NS: i64 = 2_000_000_000;
/// How many bytes wait at most before a cluster is written.
const MAX_WAITING: usize = 8 << 20;
/// Places of keyframes that are kept at most.
const MAX_CUES: usize = 8192;
/// What times count in, ns: what players of WebM expect.
const SCALE_NS: i64 = 1_000_000;
/// A block's time is at most so far from its cluster's, in units: it has 16 bits.
const MAX_FROM_CLUSTER: i64 = 30_000;
/// The room that is kept in front for where the other parts stand.
const SEEK_HEAD: usize = 68;
/// The room for the duration.
const DURATION: usize = 11;

/// Where a cluster lies that begins with a keyframe.
struct Cue {
    time: u64,
    track: usize,
    /// From where the segment's content begins.
    at: u64,
}

/// A file that is being written.
pub(super) struct Matroska {
    file: Disk,
    doc_type: &'static str,
    linked: [bool; 2],
    tracks: [Option<Track>; 2],
    waiting: Vec<Block>,
    bytes: usize,
    /// Set when the header has been written.
    begun: Option<Begun>,
    has_warned: bool,
    /// When the first unit came, by the host's clock.
    since: Option<i64>,
}

/// What is known from the header on. Places are from the file's beginning.
struct Begun {
    /// The time that is 0 in the file, ns.
    origin: i64,
    segment: u64,
    info: u64,
    tracks: u64,
    duration_at: u64,
    /// Where the next cluster begins.
    at: u64,
    /// The end of the last unit, ns from the origin.
    end: i64,
    cues: Vec<Cue>,
    /// One in so many keyframes is noted.
    every: usize,
    keys: usize,
}

impl Matroska {
    /// A file of this document type, `webm` or `matroska`.
    pub fn new(file: Disk, linked: [bool; 2], doc_type: &'static str) -> Matroska {
        Matroska {
            file,
            doc_type,
            linked,
            tracks: [None, None],
            waiting: vec![],
            bytes: 0,
            begun: None,
            has_warned: false,
            since: None,
        }
    }

    /// How much time waits, ns.
    fn waiting_ns(&self) -> i64 {
        let times = || self.waiting.iter().map(|block| block.order);
        let ends = times().min().zip(times().max());
        ends.map_or(0, |(first, last)| last.saturating_sub(first))
    }

    /// Whether a cluster is to be written, `now` by the host's clock.
    fn is_time(&mut self, frame: &Frame, now: i64) -> bool {
        let waited = now.saturating_sub(*self.since.get_or_insert(now));
        let ns = self.waiting_ns();
        let is_key = frame.kind() == Kind::Video && frame.has(flags::KEYFRAME);
        let is_full = self.bytes >= MAX_WAITING;
        // A keyframe likes to begin a cluster, so the one before may end early.
        let is_long = ns >= CLUSTER_NS || (is_key && ns >= CLUSTER_NS / 2);
        let all_known = (0..2).all(|port| !self.linked[port] || self.tracks[port].is_some());
        is_full || (is_long && (self.begun.is_some() || all_known || ns.min(waited) >= PATIENCE_NS))
    }

    /// Writes what waits.
    fn flush(&mut self) -> Result {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        waiting.sort_by_key(|block| block.order);
        if self.begun.is_none() {
            let origin = waiting.iter().map(|block| block.pts).min().unwrap_or(0);
            let begun = self.begin(origin)?;
            self.begun = Some(begun);
        }
        let Some(begun) = &mut self.begun else {
            return Ok(());
        };
        let mut cluster = Cluster::default();
        for block in &waiting {
            let time = begun.time(block.pts);
            begun.end = begun.end.max(
                block
                    .pts
                    .saturating_add(block.lasts)
                    .saturating_sub(begun.origin),
            );
            let starts = block.port == VIDEO && block.key && !cluster.is_empty();
            let is_far = (time - cluster.time).abs() > MAX_FROM_CLUSTER;
            if starts || (is_far && !cluster.is_empty()) {
                begun.at += cluster.write(&mut self.file)?;
            }
            if cluster.is_empty() {
                cluster.time = time;
                let has_video = self.tracks[VIDEO].is_some();
                if block.key && (block.port == VIDEO || !has_video) {
                    begun.note(Cue {
                        time: time as u64,
                        track: block.port,
                        at: begun.at - begun.segment,
                    });
                }
            }
            cluster.add(time, block);
        }
        begun.at += cluster.write(&mut self.file)?;
        Ok(())
    }

    /// Writes all that stands in front of the clusters.
    fn begin(&mut self, origin: i64) -> Result<Begun> {
        let mut head = vec![];
        put_all(&mut head, id::EBML, |to| {
            // Versions of EBML, and the longest identifier and size.
            for (id, value) in [(0x4286, 1), (0x42f7, 1), (0x42f2, 4), (0x42f3, 8)] {
                put_uint(to, id, value);
            }
            put(to, id::DOC_TYPE, self.doc_type.as_bytes());
            // The version of the document, and which one is needed to read it.
            put_uint(to, 0x4287, 4);
            put_uint(to, 0x4285, 2);
        });
        put_id(&mut head, id::SEGMENT);
        head.extend(UNKNOWN_SIZE);
        let segment = head.len() as u64;
        put(&mut head, id::VOID, &[0; SEEK_HEAD - 2]);
        let info = head.len() as u64;
        put_all(&mut head, id::INFO, |to| {
            put_uint(to, id::TIMESTAMP_SCALE, SCALE_NS as u64);
            put(to, id::MUXING_APP, b"levada");
            put(to, id::WRITING_APP, b"levada");
            put(to, id::VOID, &[0; DURATION - 2]);
        });
        let tracks = head.len() as u64;
        put_all(&mut head, id::TRACKS, |to| {
            for track in self.tracks.iter().flatten() {
                track.describe(to);
            }
        });
        self.file.write_all(&head)?;
        Ok(Begun {
            origin,
            segment,
            info,
            tracks,
            duration_at: tracks - DURATION as u64,
            at: head.len() as u64,
            end: 0,
            cues: vec![],
            every: 1,
            keys: 0,
        })
    }
}

impl Begun {
    /// A time in the file's units, 0 at least.
    fn time(&self, pts: i64) -> i64 {
        (pts.saturating_sub(self.origin).saturating_add(SCALE_NS / 2)).max(0) / SCALE_NS
    }

    fn note(&mut self, cue: Cue) {
        if self.keys.is_multiple_of(self.every) {
            if self.cues.len() >= MAX_CUES {
                let mut index = 0;
                self.cues.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.every *= 2;
            }
            self.cues.push(cue);
        }
        self.keys += 1;
    }

    /// The places of keyframes.
    fn cues(&self) -> Vec<u8> {
        let mut cues = vec![];
        put_all(&mut cues, id::CUES, |to| {
            for cue in &self.cues {
                put_all(to, id::CUE_POINT, |to| {
                    put_uint(to, id::CUE_TIME, cue.time);
                    put_all(to, id::CUE_TRACK_POSITIONS, |to| {
                        put_uint(to, id::CUE_TRACK, cue.track as u64 + 1);
                        put_uint(to, id::CUE_CLUSTER_POSITION, cue.at);
                    });
                });
            }
        });
        cues
    }

    /// Where the parts stand, as long as the room that was kept for it.
    fn seek_head(&self, cues_at: u64) -> Vec<u8> {
        let mut head = vec![];
        put_all(&mut head, id::SEEK_HEAD, |to| {
            let parts = [
                (id::INFO, self.info),
                (id::TRACKS, self.tracks),
                (id::CUES, cues_at),
            ];
            for (part, at) in parts {
                put_all(to, id::SEEK, |to| {
                    put(to, id::SEEK_ID, &part.to_be_bytes());
                    put(to, id::SEEK_POSITION, &(at - self.segment).to_be_bytes());
                });
            }
        });
        head
    }
}

impl Writer for Matroska {
    fn take(&mut self, port: usize, frame: &Frame, ctx: &Context) -> Result<bool> {
        if self.tracks[port].is_none() {
            if self.begun.is_none() {
                self.tracks[port] = Track::begin(port, frame, ctx)?;
            } else if !std::mem::replace(&mut self.has_warned, true) {
                warn!(
                    port,
                    "the recording began without this track, which came too late and is left out"
                );
            }
        }
        let block = self.tracks[port]
            .as_mut()
            .and_then(|track| track.block(frame));
        // What lies before the beginning of all has no time.
        let begins = self.begun.as_ref().map_or(i64::MIN, |begun| begun.origin);
        let Some(block) = block.filter(|block| block.pts >= begins) else {
            return Ok(false);
        };
        if self.is_time(frame, ctx.now()) {
            self.flush()?;
        }
        ctx.copied(block.payload.len());
        self.bytes += block.payload.len();
        self.waiting.push(block);
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        self.flush()?;
        let Some(begun) = &self.begun else {
            return Ok(false);
        };
        let cues = begun.cues();
        self.file.write_all(&cues)?;
        let mut patch = |at: u64, bytes: &[u8]| {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.write_all(bytes)
        };
        let seek_head = begun.seek_head(begun.at);
        if seek_head.len() == SEEK_HEAD {
            patch(begun.segment, &seek_head)?;
        }
        let mut duration = vec![];
        put_float(
            &mut duration,
            id::DURATION,
            begun.end as f64 / SCALE_NS as f64,
        );
        patch(begun.duration_at, &duration)?;
        let size = begun.at + cues.len() as u64 - begun.segment;
        patch(begun.segment - 8, &(size | 1 << 56).to_be_bytes())?;
        self.file.sync_all()?;
        Ok(true)
    }
}

/// A cluster that is being put together.
#[derive(Default)]
struct Cluster {
    /// Its time, in units.
    time: i64,
    blocks: Vec<u8>,
}

impl Cluster {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn add(&mut self, time: i64, block: &Block) {
        let from = (time - self.time).clamp(-MAX_FROM_CLUSTER, MAX_FROM_CLUSTER) as i16;
        let add = |to: &mut Vec<u8>, id, flags| {
            put_id(to, id);
            put_size(to, block.payload.len() as u64 + 4);
            to.push(0x80 | (block.port as u8 + 1));
            to.extend(from.to_be_bytes());
            to.push(flags);
            to.extend_from_slice(&block.payload);
        };
        if block.beyond > 0 {
            return put_all(&mut self.blocks, id::BLOCK_GROUP, |to| {
                add(to, id::BLOCK, 0);
                // A number with a sign, which eight bytes always have room for.
                put(to, id::DISCARD_PADDING, &block.beyond.to_be_bytes());
            });
        }
        let is_key = block.key || block.port == AUDIO;
        add(
            &mut self.blocks,
            id::SIMPLE_BLOCK,
            if is_key { 0x80 } else { 0 },
        );
    }

    /// Writes it, if there is anything in it, and begins anew: how many bytes that were.
    fn write(&mut self, file: &mut Disk) -> Result<u64> {
        if self.is_empty() {
            return Ok(0);
        }
        let mut time = vec![];
        put_uint(&mut time, id::TIMESTAMP, self.time as u64);
        let mut head = vec![];
        put_id(&mut head, id::CLUSTER);
        put_size(&mut head, (time.len() + self.blocks.len()) as u64);
        head.append(&mut time);
        file.write_all(&head)?;
        file.write_all(&self.blocks)?;
        let written = head.len() + self.blocks.len();
        self.blocks.clear();
        Ok(written as u64)
    }
}
