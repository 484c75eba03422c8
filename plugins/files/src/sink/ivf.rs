//! [`Ivf`]: IVF, a header of 32 bytes, and frames behind their length and time in units of 1/90000 s.

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
/// Where the header says how many frames follow.
const COUNT_AT: u64 = 24;
/// What each unit of AV1 begins with in this container.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

struct Track {
    only: Only,
    is_av1: bool,
    first: i64,
    last: Option<u64>,
    count: u32,
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
            count: 0,
        }))
    }
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
        let units = (i128::from(frame.pts()) - i128::from(track.first)) * SCALE + 500_000_000;
        let time = u64::try_from(units.div_euclid(1_000_000_000)).ok();
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
        track.count = track.count.saturating_add(1);
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        let Some(track) = &self.track else {
            return Ok(false);
        };
        self.file.seek(SeekFrom::Start(COUNT_AT))?;
        self.file.write_all(&track.count.to_le_bytes())?;
        self.file.sync_all()?;
        Ok(true)
    }
}
