//! [`Track`]: one track of a movie, from its tables to its units.

use std::num::NonZeroU32;

use levada_plugin::prelude::*;
use shiguredo_mp4::{
    aux::{SampleAccessor, SampleTableAccessor},
    boxes::{StblBox, TrakBox},
};

use super::{
    super::{AUDIO, Carried, Unit, bytes::Source},
    coded::{Coded, begins, carried_by, edit_of, ns_of},
};

const NS: i128 = 1_000_000_000;
/// As far as pictures can be out of order (ITU-T H.264, A.3.1).
const MAX_REORDERING: u32 = 16;
/// Samples that are looked at for their order.
const MAX_LOOKED_AT: u32 = 4096;

/// One track, and where it stands.
pub(super) struct Track {
    port: usize,
    table: SampleTableAccessor<StblBox>,
    /// Units of the track's time in a second.
    scale: i128,
    /// The media time that is time 0, in units, and a pause in front, in ns.
    edit: (i128, i64),
    /// The number of the next sample, from 1 on.
    next: u32,
    /// The time in the movie that is to be time 0, in ns.
    origin: i64,
    /// How long the second sample lasts, in units: writers stretch the first packet of sound up to where pictures begin.
    usual_lasts: u32,
    /// The number of the description that `coded` follows.
    entry: Option<usize>,
    coded: Coded,
}

type Sample<'a> = SampleAccessor<'a, StblBox>;

impl Track {
    /// Takes a track of the movie that is for a port.
    ///
    /// # Errors
    /// When its tables contradict each other.
    pub fn open(trak: TrakBox, port: usize, movie_scale: NonZeroU32) -> Result<Track> {
        let id = trak.tkhd_box.track_id;
        let scale = i128::from(trak.mdia_box.mdhd_box.timescale.get());
        let stbl = trak.mdia_box.minf_box.stbl_box;
        let edit = edit_of(trak.edts_box.as_ref(), i128::from(movie_scale.get()), id);
        let table = SampleTableAccessor::new(stbl)?;
        let second = table.get_sample(NonZeroU32::MIN.saturating_add(1));
        let usual_lasts = second.map_or(0, |s| s.duration());
        Ok(Track {
            port,
            table,
            usual_lasts,
            scale,
            edit,
            next: 1,
            origin: 0,
            entry: None,
            coded: Coded::new(port, id),
        })
    }

    /// Whether it is sound or pictures: the number of the port.
    pub fn port(&self) -> usize {
        self.port
    }

    /// What its samples hold, by its descriptions.
    pub fn carries(&self) -> Vec<Carried> {
        let mut carried = carried_by(&self.table.stbl_box().stsd_box.entries, self.port);
        let is_silent = |it: &&mut Carried| it.format.encoding == "h264" && it.reordering.is_none();
        for it in carried.iter_mut().filter(is_silent) {
            it.reordering = self.is_shuffled().then_some(MAX_REORDERING);
        }
        carried
    }

    /// Whether some of the first samples are shown before others that come before them.
    fn is_shuffled(&self) -> bool {
        let numbers = 1..=self.table.sample_count().min(MAX_LOOKED_AT);
        let times = numbers.map_while(|number| Some(self.pts(&self.sample(number)?)));
        !times.is_sorted()
    }

    fn can_be_cut(&self) -> bool {
        Coded::can_be_cut(self.table.stbl_box().stsd_box.entries.first())
    }

    /// The time in the movie of a time of the track, in ns.
    fn ns(&self, units: i128) -> i64 {
        ns_of(units, self.scale, self.edit)
    }

    fn sample(&self, number: u32) -> Option<Sample<'_>> {
        self.table.get_sample(NonZeroU32::new(number)?)
    }

    fn pts(&self, sample: &Sample) -> i64 {
        let shift = i128::from(sample.composition_time_offset().unwrap_or(0));
        self.ns(i128::from(sample.timestamp()) + shift)
    }

    /// The last sample from which decoding can begin whose time is at or before `at_ns`; the first if there is none.
    fn key_before(&self, at_ns: i64, source: &mut Source) -> Result<u32> {
        let units = (i128::from(at_ns) - i128::from(self.edit.1)) * self.scale / NS + self.edit.0;
        let units = u64::try_from(units.max(0)).unwrap_or(u64::MAX);
        // Beyond the end, the last one.
        let last = || self.sample(self.table.sample_count());
        let sample = self.table.get_sample_by_timestamp(units).or_else(last);
        let mut key = sample.and_then(|s| s.sync_sample());
        while let Some(sample) = key {
            let (entry, number) = (sample.chunk().sample_entry(), sample.index().get());
            let (at, len) = (sample.data_offset(), u64::from(sample.data_size()));
            if number == 1 || begins(entry, source, at, len)? {
                return Ok(number);
            }
            key = self.sample(number - 1).and_then(|s| s.sync_sample());
        }
        Ok(1)
    }

    /// The time of that sample, in the movie's time.
    ///
    /// # Errors
    /// When samples cannot be read.
    pub fn seek_key(&self, at_ns: i64, source: &mut Source) -> Result<i64> {
        let sample = self.sample(self.key_before(at_ns, source)?);
        Ok(sample.map_or(0, |sample| self.pts(&sample)))
    }

    /// Goes to where decoding has to begin for `origin`, which becomes time 0.
    ///
    /// # Errors
    /// When samples cannot be read.
    pub fn begin(&mut self, origin: i64, source: &mut Source) -> Result {
        self.origin = origin;
        self.next = self.key_before(origin, source)?;
        if self.port == AUDIO {
            // Sound that begins before would overlap with the end of the pass before, unless its decoder parts it.
            let can_be_cut = self.can_be_cut();
            let begins_before = |s: Sample| {
                let ends = self.ns(i128::from(s.timestamp()) + i128::from(s.duration()));
                self.pts(&s) < origin && !(can_be_cut && ends > origin)
            };
            self.next += u32::from(self.sample(self.next).is_some_and(begins_before));
        }
        Ok(())
    }

    /// How much there is from where playing began up to the end of the last sample, in ns.
    pub fn length(&self) -> Option<i64> {
        let last = self.sample(self.table.sample_count())?;
        let end = i128::from(last.timestamp()) + i128::from(last.duration());
        Some(self.ns(end).saturating_sub(self.origin))
    }

    /// When the next unit is to be decoded.
    pub fn next_dts(&self) -> Option<i64> {
        let sample = self.sample(self.next)?;
        Some(self.ns(sample.timestamp().into()))
    }

    /// Reads the next unit.
    ///
    /// # Errors
    /// When the file has no such bytes, or they are not what the track's description says.
    pub fn take(&mut self, source: &mut Source, host: &Host) -> Result<Unit> {
        let Some(sample) = self.sample(self.next) else {
            return Err(Error::new("a track has ended"));
        };
        let entry = sample.chunk().sample_entry_index();
        let (at, len) = (sample.data_offset(), u64::from(sample.data_size()));
        let key = self.port == AUDIO || sample.is_sync_sample();
        let dts = i128::from(sample.timestamp());
        let pts = dts + i128::from(sample.composition_time_offset().unwrap_or(0));
        // Writers shorten the last packet of sound to where it should end, but it decodes to its full length, unless its
        // decoder parts it.
        let full = if self.port == AUDIO && !self.can_be_cut() {
            self.usual_lasts
        } else {
            0
        };
        let end = self.ns(pts + i128::from(sample.duration().max(full)));
        let (pts, dts) = (self.ns(pts), self.ns(dts));
        if self.entry != Some(entry) {
            let described = self.table.stbl_box().stsd_box.entries.get(entry);
            let described = described.map_or(Ok(()), |it| self.coded.describe(it, host));
            described.map_err(|cause| source.error(at, cause))?;
            self.entry = Some(entry);
        }
        let payload = self.coded.read(source, at, len, key, host)?;
        self.next = self.next.saturating_add(1);
        Ok(Unit {
            port: self.port,
            payload,
            format: self.coded.format(),
            pts: pts.saturating_sub(self.origin),
            dts: dts.saturating_sub(self.origin),
            end: end.saturating_sub(self.origin),
            key,
        })
    }
}
