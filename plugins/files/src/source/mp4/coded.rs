//! What both kinds of MP4 share: from a track's description to a format, and from a sample's bytes to a payload.

use levada_plugin::{Loan, colour::Colour, prelude::*};
use shiguredo_mp4::{
    BaseBox,
    boxes::{EdtsBox, HdlrBox, SampleEntry, TrakBox, VpccBox},
};
use tracing::warn;

use super::super::{
    AUDIO, Carried, MAX_OTHERS, MAX_UNIT, VIDEO, aac,
    bytes::Source,
    h264::{self, Avc},
};

const NS: i128 = 1_000_000_000;

/// How a track's samples are coded.
pub(super) struct Coded {
    port: usize,
    track: u32,
    format: u32,
    avc: Option<Avc>,
}

impl Coded {
    /// Nothing is known yet of a track for a port.
    pub fn new(port: usize, track: u32) -> Coded {
        Coded {
            port,
            track,
            format: 0,
            avc: None,
        }
    }

    /// The format's id in the session.
    pub fn format(&self) -> u32 {
        self.format
    }

    /// Whether decoders put out a part of a packet of a description, where only that is to be heard.
    pub fn can_be_cut(entry: Option<&SampleEntry>) -> bool {
        matches!(entry, Some(SampleEntry::Opus(_)))
    }

    /// Follows a description of what samples hold.
    ///
    /// # Errors
    /// When it is of another kind than the track's port, or the session has no room for its format.
    pub fn describe(&mut self, entry: &SampleEntry, host: &Host) -> Result {
        let described = Some(entry).filter(|e| port_of(e) == Some(self.port));
        let Some((format, avc)) = described.and_then(format_of) else {
            return Err(Error::new(format_args!(
                "track {} goes on in a codec that is not played",
                self.track
            )));
        };
        self.format = host.format_id(&format)?;
        self.avc = avc;
        Ok(())
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// When the file has no such bytes, or they are not what the description says.
    pub fn read(
        &self,
        source: &mut Source,
        at: u64,
        len: u64,
        key: bool,
        host: &Host,
    ) -> Result<Loan> {
        let len = source.check(at, len, MAX_UNIT, "a sample")?;
        match &self.avc {
            Some(avc) => {
                let unit = avc.unit(len, key, host, |room| source.read(at, room))?;
                unit.map_err(|misfit| {
                    let cause = format_args!(
                        "the NAL units of a sample of track {} do not add up to it",
                        self.track
                    );
                    source.error(at + misfit.0 as u64, cause)
                })
            }
            None => {
                let mut loan = host.loan(len)?;
                source.read(at, loan.as_mut_slice())?;
                Ok(loan)
            }
        }
    }
}

/// The time in the movie of a time of a track, in ns. `edit` is as [`edit_of`] says.
pub(super) fn ns_of(units: i128, scale: i128, edit: (i128, i64)) -> i64 {
    let ns = ((units - edit.0) * NS).div_euclid(scale) + i128::from(edit.1);
    ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
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

/// The port for a track; `None` when it is not played.
fn port_of_track(trak: &TrakBox) -> Option<usize> {
    let entries = &trak.mdia_box.minf_box.stbl_box.stsd_box.entries;
    entries.first().and_then(port_of)
}

/// The port of a track; one of a kind that is not played is noted in `others`.
pub(super) fn port_or_left_out(trak: &TrakBox, others: &mut Vec<(usize, String)>) -> Option<usize> {
    let port = port_of_track(trak);
    if port.is_none() {
        warn!(
            track = trak.tkhd_box.track_id,
            "a track of a kind that is not played is left out"
        );
        if others.len() < MAX_OTHERS {
            others.extend(not_played(trak));
        }
    }
    port
}

/// The port that a track is for and that does not play it, and what the track holds: the name of its box, or what an `mp4a`
/// is of.
fn not_played(trak: &TrakBox) -> Option<(usize, String)> {
    let port = match trak.mdia_box.hdlr_box.handler_type {
        HdlrBox::HANDLER_TYPE_SOUN => AUDIO,
        HdlrBox::HANDLER_TYPE_VIDE => VIDEO,
        _ => return None,
    };
    let entry = trak.mdia_box.minf_box.stbl_box.stsd_box.entries.first()?;
    let what = match entry {
        SampleEntry::Mp4a(it) => {
            let kind = it.esds_box.es.dec_config_descr.object_type_indication;
            format!("MPEG-4 audio of kind {kind:#04x}")
        }
        other => format!("\"{}\"", other.box_type()),
    };
    let id = trak.tkhd_box.track_id;
    Some((port, format!("track {id} holds {what}")))
}

/// Whether decoding can begin with a sample of a description that the tables mark so.
///
/// # Errors
/// When it cannot be read.
pub(super) fn begins(entry: &SampleEntry, source: &mut Source, at: u64, len: u64) -> Result<bool> {
    match entry {
        SampleEntry::Avc1(avc1) => {
            let (_, avc) = Avc::described(&avc1.avcc_box, 0, 0);
            avc.is_idr(len, |from, room| source.read(at.saturating_add(from), room))
        }
        _ => Ok(true),
    }
}

/// What samples of a port are, by their descriptions.
pub(super) fn carried_by(entries: &[SampleEntry], port: usize) -> Vec<Carried> {
    let of_port = entries.iter().filter(|entry| port_of(entry) == Some(port));
    let carried = |entry: &SampleEntry| {
        let reordering = match entry {
            SampleEntry::Avc1(avc1) => h264::reordering(&avc1.avcc_box),
            _ => None,
        };
        let (format, _) = format_of(entry)?;
        Some(Carried { format, reordering })
    };
    of_port.filter_map(carried).collect()
}

/// The colours that a description of VP8 states: none where they are those that VP8 means by itself, for that is what
/// those write who know of none.
fn vp8_colour(said: &VpccBox) -> Colour {
    const BT601: u8 = 6;
    let points = [
        said.colour_primaries,
        said.transfer_characteristics,
        said.matrix_coefficients,
    ];
    let is_full = said.video_full_range_flag.get() == 1;
    if !is_full && points == [BT601; 3] {
        return Colour::default();
    }
    let [primaries, transfer, matrix] = points.map(Colour::stated);
    Colour {
        full_range: Some(is_full),
        primaries,
        transfer,
        matrix,
    }
}

/// The format of what a description is about, and how H.264 is framed.
fn format_of(entry: &SampleEntry) -> Option<(Format, Option<Avc>)> {
    let video = |name: &str, visual: &shiguredo_mp4::boxes::VisualSampleEntryFields| {
        Format::video(name, visual.width.into(), visual.height.into())
    };
    Some(match entry {
        SampleEntry::Avc1(avc1) => {
            let (width, height) = (avc1.visual.width.into(), avc1.visual.height.into());
            let (format, avc) = Avc::described(&avc1.avcc_box, width, height);
            (format, Some(avc))
        }
        SampleEntry::Vp08(it) => {
            let config = vp8_colour(&it.vpcc_box).to_string();
            (video("vp8", &it.visual).with_config(config), None)
        }
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
                0x40 | 0x66..=0x68 => {
                    // The box has no room for rates above 65,535 Hz, and two channels are written whatever there are.
                    let config = config?;
                    let said = aac::rate_and_channels(&config);
                    let (rate, channels) = (said.0.unwrap_or(rate), said.1.unwrap_or(channels));
                    (
                        Format::audio("aac", rate, channels).with_config(config),
                        None,
                    )
                }
                // MPEG-2 and MPEG-1 audio, whose frames say which layer they are.
                0x69 | 0x6b => (Format::audio("mp3", rate, channels), None),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// The media time at which the first edit begins, in the track's units, and the pause before it, in ns.
pub(super) fn edit_of(edts: Option<&EdtsBox>, movie_scale: i128, track: u32) -> (i128, i64) {
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
