//! [`Track`]: the samples of a stream that wait to be written.
//!
//! A sample's length in time is known when the next one comes, so the last one always waits. Times are counted in the track's
//! units from its first sample on, each from its own time in ns, so nothing adds up. A picture that is not shown may have the
//! time of the one behind it, which then lies a unit later: samples without a length confuse players.

use levada_plugin::prelude::*;
use shiguredo_mp4::{TrackKind, mux::Sample};

use super::super::{
    AUDIO, VIDEO, decoding_time,
    entry::{Description, describe},
};

/// A stream's samples, and how they are described.
pub(super) struct Track {
    kind: TrackKind,
    stream: u16,
    description: Description,
    is_described: bool,
    /// The decoding time of the first sample, in ns.
    pub first: i64,
    /// That of the last one.
    last: i64,
    pending: Vec<Pending>,
    data: Vec<u8>,
}

struct Pending {
    /// Decoding time in units from the first sample on.
    time: u64,
    /// How much later it is shown, in units.
    shift: i64,
    /// How long it says that it lasts, in units.
    lasts: u32,
    key: bool,
    len: usize,
}

impl Track {
    /// Begins with a stream's first unit; `None` when decoding cannot begin with it.
    ///
    /// # Errors
    /// When the stream is of a kind that is not recorded.
    pub fn begin(port: usize, frame: &Frame, ctx: &Context) -> Result<Option<Track>> {
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        if port == VIDEO && !frame.has(flags::KEYFRAME) {
            return Ok(None);
        }
        let description = describe(&format, frame.payload())?;
        Ok(description.map(|description| Track {
            kind: if port == AUDIO {
                TrackKind::Audio
            } else {
                TrackKind::Video
            },
            stream: frame.stream(),
            description,
            is_described: false,
            first: decoding_time(frame),
            last: i64::MIN,
            pending: vec![],
            data: vec![],
        }))
    }

    /// Whether a sample waits.
    pub fn has_any(&self) -> bool {
        !self.pending.is_empty()
    }

    /// A sample that stands for those to come, as long as none has been taken.
    pub fn announced(&self) -> Option<Sample> {
        (!self.is_described).then(|| Sample {
            track_kind: self.kind,
            timescale: self.description.scale,
            sample_entry: Some(self.description.entry.clone()),
            duration: 0,
            keyframe: true,
            composition_time_offset: None,
            data_offset: 0,
            data_size: 1,
        })
    }

    /// How much waits, in ns and bytes.
    pub fn waiting(&self) -> (i64, usize) {
        let ends = self.pending.first().zip(self.pending.last());
        let units = ends.map_or(0, |(first, last)| last.time - first.time);
        let ns = u128::from(units) * 1_000_000_000 / u128::from(self.description.scale.get());
        (i64::try_from(ns).unwrap_or(i64::MAX), self.data.len())
    }

    fn units(&self, ns: i64) -> i128 {
        // Rounded to the nearest.
        (i128::from(ns) * i128::from(self.description.scale.get()) + 500_000_000)
            .div_euclid(1_000_000_000)
    }

    /// Takes a unit; `false` when it cannot be a sample: of another stream, earlier than the one before (of sound, not later
    /// either), or malformed.
    pub fn push(&mut self, frame: &Frame) -> bool {
        let due = decoding_time(frame);
        let Ok(mut time) = u64::try_from(self.units(due.saturating_sub(self.first))) else {
            return false;
        };
        let next = self.pending.last().map_or(0, |last| last.time + 1);
        let is_late = match self.kind {
            TrackKind::Video => due < self.last,
            _ => time < next,
        };
        time = time.max(next);
        if frame.stream() != self.stream || is_late || frame.payload().is_empty() {
            return false;
        }
        let before = self.data.len();
        if !self
            .description
            .coding
            .append(frame.payload(), &mut self.data)
        {
            self.data.truncate(before);
            return false;
        }
        self.last = due;
        let shift = -i64::from(frame.dts_delta_us()) * 1000;
        self.pending.push(Pending {
            time,
            shift: self.units(shift) as i64,
            lasts: u32::try_from(self.units(i64::from(frame.duration_us()) * 1000)).unwrap_or(0),
            key: self.kind == TrackKind::Audio || frame.has(flags::KEYFRAME),
            len: self.data.len() - before,
        });
        true
    }

    /// Takes what can be written: its samples, to lie `at` in the media, and their bytes. At the end all of it, before only
    /// what another sample follows.
    pub fn take(&mut self, at: u64, is_end: bool) -> (Vec<Sample>, Vec<u8>) {
        let count = if is_end {
            self.pending.len()
        } else {
            self.pending.len().saturating_sub(1)
        };
        let (mut samples, mut len) = (Vec::with_capacity(count), 0);
        for (index, pending) in self.pending.iter().take(count).enumerate() {
            let next = self.pending.get(index + 1);
            let lasts = next.map_or(u64::from(pending.lasts), |next| next.time - pending.time);
            let entry = self.description.entry.clone();
            samples.push(Sample {
                track_kind: self.kind,
                timescale: self.description.scale,
                sample_entry: (!std::mem::replace(&mut self.is_described, true)).then_some(entry),
                duration: u32::try_from(lasts).unwrap_or(u32::MAX),
                keyframe: pending.key,
                composition_time_offset: (self.kind == TrackKind::Video).then_some(pending.shift),
                data_offset: at + len as u64,
                data_size: pending.len,
            });
            len += pending.len;
        }
        self.pending.drain(..count);
        let rest = self.data.split_off(len);
        (samples, std::mem::replace(&mut self.data, rest))
    }
}
