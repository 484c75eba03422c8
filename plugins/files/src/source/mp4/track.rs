//! [`Track`]: one track of a movie, from its tables to its units.

use std::num::NonZeroU32;

use levada_plugin::prelude::*;
use shiguredo_mp4::{
    aux::{SampleAccessor, SampleTableAccessor},
    boxes::{EdtsBox, SampleEntry, StblBox, TrakBox},
};
use tracing::warn;

use super::super::{AUDIO, MAX_UNIT, Unit, VIDEO, bytes::Source, h264::Avc};

const NS: i128 = 1_000_000_000;

/// One track, and where it stands.
pub(super) struct Track {
    port: usize,
    id: u32,
    table: SampleTableAccessor<StblBox>,
    /// Units of the track's time in a second.
    scale: i128,
    /// The media time that is time 0, in units.
    edit: i128,
    /// A pause in front, in ns.
    pause: i64,
    /// The number of the next sample, from 1 on.
    next: u32,
    /// The time in the movie that is to be time 0, in ns.
    origin: i64,
    /// How long the first sample lasts, in units.
    first_lasts: u32,
    /// The description that `format` and `avc` belong to.
    entry: Option<usize>,
    format: u32,
    avc: Option<Avc>,
}

type Sample<'a> = SampleAccessor<'a, StblBox>;

impl Track {
    /// Takes a track of the movie; `None` when it holds nothing that can be played.
    ///
    /// # Errors
    /// When its tables contradict each other.
    pub fn open(trak: TrakBox, movie_scale: NonZeroU32) -> Result<Option<Track>> {
        let id = trak.tkhd_box.track_id;
        let scale = i128::from(trak.mdia_box.mdhd_box.timescale.get());
        let stbl = trak.mdia_box.minf_box.stbl_box;
        let Some(port) = stbl.stsd_box.entries.first().and_then(port_of) else {
            warn!(
                track = id,
                "a track of a kind that is not played is left out"
            );
            return Ok(None);
        };
        let (edit, pause) = edit_of(trak.edts_box.as_ref(), i128::from(movie_scale.get()), id);
        let table = SampleTableAccessor::new(stbl)?;
        let first_lasts = table
            .get_sample(NonZeroU32::MIN)
            .map_or(0, |s| s.duration());
        Ok(Some(Track {
            port,
            id,
            table,
            first_lasts,
            scale,
            edit,
            pause,
            next: 1,
            origin: 0,
            entry: None,
            format: 0,
            avc: None,
        }))
    }

    /// Whether it is sound or pictures: the number of the port.
    pub fn port(&self) -> usize {
        self.port
    }

    /// The time in the movie of a time of the track, in ns.
    fn ns(&self, units: i128) -> i64 {
        let ns = ((units - self.edit) * NS).div_euclid(self.scale) + i128::from(self.pause);
        ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    fn sample(&self, number: u32) -> Option<Sample<'_>> {
        self.table.get_sample(NonZeroU32::new(number)?)
    }

    fn pts(&self, sample: &Sample) -> i64 {
        let shift = i128::from(sample.composition_time_offset().unwrap_or(0));
        self.ns(i128::from(sample.timestamp()) + shift)
    }

    /// The last sample from which decoding can begin whose time is at or before `at_ns`; the first if there is none.
    fn key_before(&self, at_ns: i64) -> u32 {
        let units = (i128::from(at_ns) - i128::from(self.pause)) * self.scale / NS + self.edit;
        let units = u64::try_from(units.max(0)).unwrap_or(u64::MAX);
        // Beyond the end, the last one.
        let last = || self.sample(self.table.sample_count());
        let sample = self.table.get_sample_by_timestamp(units).or_else(last);
        sample
            .and_then(|s| s.sync_sample())
            .map_or(1, |s| s.index().get())
    }

    /// The time of that sample, in the movie's time.
    pub fn seek_key(&self, at_ns: i64) -> i64 {
        let sample = self.sample(self.key_before(at_ns));
        sample.map_or(0, |sample| self.pts(&sample))
    }

    /// Goes to where decoding has to begin for `origin`, which becomes time 0.
    pub fn begin(&mut self, origin: i64) {
        self.origin = origin;
        self.next = self.key_before(origin);
        if self.port == AUDIO {
            // Sound that begins before would overlap with the end of the pass before.
            let begins_before = |s: Sample| self.pts(&s) < origin;
            self.next += u32::from(self.sample(self.next).is_some_and(begins_before));
        }
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
        let number = self.next;
        let sample = self.sample(number);
        let Some(sample) = sample else {
            return Err(Error::new("a track has ended"));
        };
        let entry = sample.chunk().sample_entry_index();
        let (at, len) = (sample.data_offset(), u64::from(sample.data_size()));
        let key = self.port == AUDIO || sample.is_sync_sample();
        let dts = i128::from(sample.timestamp());
        let pts = dts + i128::from(sample.composition_time_offset().unwrap_or(0));
        // Writers shorten the last packet of sound to where it should end, but it decodes to its full length.
        let full = if self.port == AUDIO {
            self.first_lasts
        } else {
            0
        };
        let end = self.ns(pts + i128::from(sample.duration().max(full)));
        let (pts, dts) = (self.ns(pts), self.ns(dts));
        if self.entry != Some(entry) {
            self.describe(entry, host).map_err(|cause| {
                source.error(
                    at,
                    format_args!("sample {number} of track {}: {cause}", self.id),
                )
            })?;
        }
        let what = format!("sample {number} of track {}", self.id);
        let len = source.check(at, len, MAX_UNIT, &what)?;
        let payload = match &self.avc {
            Some(avc) => {
                let unit = avc.unit(len, key, host, |room| source.read(at, room))?;
                unit.map_err(|misfit| {
                    let cause = format_args!("the NAL units of {what} do not add up to it");
                    source.error(at + misfit.0 as u64, cause)
                })?
            }
            None => {
                let mut loan = host.loan(len)?;
                source.read(at, loan.as_mut_slice())?;
                loan
            }
        };
        self.next = self.next.saturating_add(1);
        Ok(Unit {
            port: self.port,
            payload,
            format: self.format,
            pts: pts.saturating_sub(self.origin),
            dts: dts.saturating_sub(self.origin),
            end: end.saturating_sub(self.origin),
            key,
        })
    }

    /// Follows a description of what samples hold.
    fn describe(&mut self, index: usize, host: &Host) -> Result {
        let entry = self.table.stbl_box().stsd_box.entries.get(index);
        let described = entry.filter(|e| port_of(e) == Some(self.port));
        let Some((format, avc)) = described.and_then(format_of) else {
            return Err(Error::new(
                "its description is of a kind that is not played",
            ));
        };
        self.format = host.format_id(&format)?;
        self.avc = avc;
        self.entry = Some(index);
        Ok(())
    }
}

/// The port for what a description is about; `None` when it is not played.
fn port_of(entry: &SampleEntry) -> Option<usize> {
    match entry {
        SampleEntry::Avc1(_)
        | SampleEntry::Vp08(_)
        | SampleEntry::Vp09(_)
        | SampleEntry::Av01(_) => Some(VIDEO),
        SampleEntry::Mp4a(_) | SampleEntry::Opus(_) => format_of(entry).map(|_| AUDIO),
        _ => None,
    }
}

/// The format of what a description is about, and how H.264 is framed.
fn format_of(entry: &SampleEntry) -> Option<(Format, Option<Avc>)> {
    let video = |name: &str, visual: &shiguredo_mp4::boxes::VisualSampleEntryFields| {
        Format::video(name, visual.width.into(), visual.height.into())
    };
    Some(match entry {
        SampleEntry::Avc1(avc1) => {
            let avcc = &avc1.avcc_box;
            // As SDP has it (RFC 6184, 8.1).
            let config = format!(
                "packetization-mode=1;profile-level-id={:02x}{:02x}{:02x}",
                avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication
            );
            let sets = avcc.sps_list.iter().chain(&avcc.pps_list);
            let avc = Avc::new(usize::from(avcc.length_size_minus_one.get()) + 1, sets);
            (video("h264", &avc1.visual).with_config(config), Some(avc))
        }
        SampleEntry::Vp08(it) => (video("vp8", &it.visual), None),
        SampleEntry::Vp09(it) => (video("vp9", &it.visual), None),
        SampleEntry::Av01(it) => {
            let config = it.av1c_box.config_obus.clone();
            (video("av1", &it.visual).with_config(config), None)
        }
        SampleEntry::Opus(it) => {
            let channels = u32::from(it.dops_box.output_channel_count);
            let config = if channels == 2 {
                "stereo=1;sprop-stereo=1"
            } else {
                ""
            };
            (
                Format::audio("opus", 48_000, channels).with_config(config),
                None,
            )
        }
        SampleEntry::Mp4a(it) => {
            let codec = &it.esds_box.es.dec_config_descr;
            let (rate, channels) = (
                it.audio.samplerate.integer.into(),
                it.audio.channelcount.into(),
            );
            let config = codec
                .dec_specific_info
                .as_ref()
                .map(|info| info.payload.clone());
            match codec.object_type_indication {
                // MPEG-4 audio, and MPEG-2's three kinds of AAC.
                0x40 | 0x66..=0x68 => (
                    Format::audio("aac", rate, channels).with_config(config?),
                    None,
                ),
                // MPEG-2 and MPEG-1 audio, whose frames say which layer they are.
                0x69 | 0x6b => (Format::audio("mp3", rate, channels), None),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// The media time at which the first edit begins, in the track's units, and the pause before it, in ns.
fn edit_of(edts: Option<&EdtsBox>, movie_scale: i128, track: u32) -> (i128, i64) {
    let entries = edts
        .and_then(|e| e.elst_box.as_ref())
        .map_or(&[][..], |e| &e.entries);
    let mut pause = 0;
    for (index, entry) in entries.iter().enumerate() {
        if entry.media_time >= 0 {
            if index + 1 < entries.len() {
                warn!(track, "edits beyond the first are ignored");
            }
            return (entry.media_time.into(), pause);
        }
        let ns = i128::from(entry.edit_duration) * NS / movie_scale.max(1);
        pause = pause.saturating_add(ns.clamp(0, i64::MAX.into()) as i64);
    }
    (0, pause)
}
