//! [`Ivf`]: IVF, a header of 32 bytes, and frames behind their length and time in units of 1/90000 s.
//!
//! What the header says of the length, libvpx's tools fill with the number of frames, which is the duration where a frame lasts
//! one unit; ffmpeg, which reads it as the duration in units, writes that as well, and so does this.

use std::io::{Seek, SeekFrom, Write};

use levada_plugin::prelude::*;
use shiguredo_mp4::bitstream::{av1, vp8};

use super::{
    Writer,
    disk::Disk,
    entry::vp9_size,
    only::{Only, same_encoding},
};

/// Units of time in a second.
const SCALE: i128 = 90_000;
/// Where the header says how long it is.
const LENGTH_AT: u64 = 24;
/// What each unit of AV1 begins with in this container.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

struct Track {
    only: Only,
    is_av1: bool,
    first: i64,
    last: Option<u64>,
    /// How long the last frame says that it lasts, in units.
    lasts: u64,
    count: u64,
}

impl Track {
    /// How long it is, in units. Where the last frame does not say, it lasts as long as the others do.
    fn length(&self) -> u32 {
        let last = self.last.unwrap_or(0);
        let lasts = match self.lasts {
            0 => last / self.count.saturating_sub(1).max(1),
            lasts => lasts,
        };
        u32::try_from(last.saturating_add(lasts)).unwrap_or(u32::MAX)
    }
}

/// A file that is being written.
pub(super) struct Ivf {
    file: Disk,
    track: Option<Track>,
}

impl Ivf {
    pub fn new(file: Disk) -> Ivf {
        Ivf { file, track: None }
    }

    /// Writes the header; `None` when decoding cannot begin with the frame.
    fn begin(&mut self, frame: &Frame, ctx: &Context) -> Result<Option<Track>> {
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        let unit = frame.payload();
        let (name, size) = match (format.kind(), format.encoding.as_str()) {
            (Kind::Video, "vp8") => (b"VP80", vp8_size(unit)),
            (Kind::Video, "vp9") => (b"VP90", vp9_size(unit)),
            (Kind::Video, "av1") => (b"AV01", av1_size(unit)),
            _ => {
                return Err(Error::new(format_args!(
                    "{format:?} is not recorded as IVF; VP8, VP9 and AV1 are"
                )));
            }
        };
        let Some((width, height)) = size.filter(|_| frame.has(flags::KEYFRAME)) else {
            return Ok(None);
        };
        let mut head = b"DKIF\0\0\x20\0".to_vec();
        head.extend(name);
        head.extend(width.to_le_bytes());
        head.extend(height.to_le_bytes());
        head.extend((SCALE as u32).to_le_bytes());
        head.extend(1_u32.to_le_bytes());
        head.extend([0; 8]);
        self.file.write_all(&head)?;
        Ok(Some(Track {
            is_av1: format.encoding == "av1",
            only: Only::new(frame, format),
            first: frame.pts(),
            last: None,
            lasts: 0,
            count: 0,
        }))
    }
}

/// A time in units, to the nearest one.
fn units(ns: i128) -> std::result::Result<u64, std::num::TryFromIntError> {
    u64::try_from((ns * SCALE + 500_000_000).div_euclid(1_000_000_000))
}

fn vp8_size(unit: &[u8]) -> Option<(u16, u16)> {
    let key = vp8::parse_frame_header(unit).ok()?.keyframe?;
    Some((key.width, key.height))
}

fn av1_size(unit: &[u8]) -> Option<(u16, u16)> {
    let obus = av1::parse_obus(unit, av1::Av1ObuParseContext::Sample).ok()?;
    let is_header = |obu: &&av1::Av1Obu| obu.obu_type == av1::Av1ObuType::SequenceHeader;
    let header = av1::parse_sequence_header(obus.iter().find(is_header)?.payload).ok()?;
    let side = |pixels: u32| u16::try_from(pixels).ok();
    Some((
        side(header.max_frame_width)?,
        side(header.max_frame_height)?,
    ))
}

impl Writer for Ivf {
    fn take(&mut self, _port: usize, frame: &Frame, ctx: &Context) -> Result<bool> {
        if self.track.is_none() {
            self.track = self.begin(frame, ctx)?;
        }
        let Some(track) = &mut self.track else {
            return Ok(false);
        };
        let time = units(i128::from(frame.pts()) - i128::from(track.first)).ok();
        let payload = frame.payload();
        let starts = track.is_av1 && !payload.starts_with(&TEMPORAL_DELIMITER);
        let head: &[u8] = if starts { &TEMPORAL_DELIMITER } else { &[] };
        let len = u32::try_from(payload.len() + head.len()).ok();
        let taken = track.only.takes(frame, ctx, same_encoding)? && !payload.is_empty();
        // A picture that is not shown may have the time of the one behind it.
        let (Some(time), Some(len), true) = (time.filter(|t| track.last <= Some(*t)), len, taken)
        else {
            return Ok(false);
        };
        self.file.write_all(&len.to_le_bytes())?;
        self.file.write_all(&time.to_le_bytes())?;
        self.file.write_all(head)?;
        self.file.write_all(payload)?;
        track.last = Some(time);
        track.lasts = units(i128::from(frame.duration_us()) * 1000).unwrap_or(0);
        track.count = track.count.saturating_add(1);
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        let Some(track) = &self.track else {
            return Ok(false);
        };
        self.file.seek(SeekFrom::Start(LENGTH_AT))?;
        self.file.write_all(&track.length().to_le_bytes())?;
        self.file.sync_all()?;
        Ok(true)
    }
}
