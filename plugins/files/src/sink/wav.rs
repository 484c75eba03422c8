//! [`Wav`]: WAVE, with samples as whole numbers or floats, or as G.711 brings them.
//!
//! The header says "up to the end of the file" until the recording ends; then it is given the true lengths. Room for the 64-bit lengths
//! of RF64 (EBU Tech 3306) is kept in front in a chunk that nobody reads, for recordings beyond 4 GB. A hole in the sound is
//! silence.

use std::io::{self, Read, Seek, SeekFrom, Write};

use levada_plugin::{as_f32, prelude::*};

use super::{
    Writer,
    disk::Disk,
    only::{Only, same},
    pace::{Pace, Place},
};

/// Silence that one hole becomes at most, in ns.
const MAX_SILENCE_NS: i64 = 600_000_000_000;
/// The header's length, and the places in it that are filled at the end.
const HEADER: u64 = 94;
const JUNK_AT: u64 = 12;
const FACT_AT: u64 = 82;
const DATA_AT: u64 = 90;

/// What raw samples become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    S16,
    S24,
    F32,
}

impl Samples {
    /// By the value of the param.
    pub fn named(name: &str) -> Samples {
        match name {
            "s24" => Samples::S24,
            "f32" => Samples::F32,
            _ => Samples::S16,
        }
    }
}

/// How a frame's bytes become a file's.
#[derive(Clone, Copy)]
enum Coding {
    Raw(Samples),
    /// G.711, whose silence is this byte.
    Bytes(u8),
}

impl Coding {
    /// The kind of a WAVE file, and bits of a sample.
    fn kind(self) -> (u16, u16) {
        match self {
            Coding::Raw(Samples::S16) => (1, 16),
            Coding::Raw(Samples::S24) => (1, 24),
            Coding::Raw(Samples::F32) => (3, 32),
            Coding::Bytes(0xd5) => (6, 8),
            Coding::Bytes(_) => (7, 8),
        }
    }

    /// Appends a frame's samples; `None` when they are not whole.
    fn append(self, payload: &[u8], to: &mut Vec<u8>) -> Option<()> {
        let Coding::Raw(samples) = self else {
            to.extend_from_slice(payload);
            return Some(());
        };
        let from = as_f32(payload)?;
        match samples {
            Samples::S16 => to.extend(
                from.iter()
                    .flat_map(|x| ((x * 32_768.0).round() as i16).to_le_bytes()),
            ),
            Samples::S24 => to.extend(from.iter().flat_map(|x| {
                let whole = (x * 8_388_608.0).round().clamp(-8_388_608.0, 8_388_607.0);
                let [a, b, c, _] = (whole as i32).to_le_bytes();
                [a, b, c]
            })),
            Samples::F32 => to.extend(from.iter().flat_map(|x| x.to_le_bytes())),
        }
        Some(())
    }
}

/// A stream that is being recorded.
struct Track {
    only: Only,
    coding: Coding,
    /// Bytes of one sample of each channel, in a frame and in the file.
    moments: (usize, usize),
    pace: Pace,
}

/// A file that is being written.
pub(super) struct Wav {
    file: Disk,
    samples: Samples,
    track: Option<Track>,
    bytes: Vec<u8>,
}

impl Wav {
    pub fn new(file: Disk, samples: Samples) -> Wav {
        Wav {
            file,
            samples,
            track: None,
            bytes: vec![],
        }
    }

    fn begin(&mut self, frame: &Frame, ctx: &Context) -> Result<Track> {
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        let coding = match format.encoding.as_str() {
            "f32" => Coding::Raw(self.samples),
            "pcma" => Coding::Bytes(0xd5),
            "pcmu" => Coding::Bytes(0xff),
            _ => {
                return Err(Error::new(format_args!(
                    "{format:?} is not recorded as WAVE; f32, pcmu and pcma are"
                )));
            }
        };
        let Media::Audio { rate, channels } = format.media else {
            return Err(Error::new(format_args!("{format:?} is no sound")));
        };
        let (kind, bits) = coding.kind();
        let of_frame = if matches!(coding, Coding::Raw(_)) {
            4
        } else {
            1
        };
        let wide = channels as usize * usize::from(bits / 8);
        let per_second = u64::from(rate) * wide as u64;
        if !(1..=64).contains(&channels) || rate == 0 || per_second > u32::MAX.into() {
            return Err(Error::new(format_args!(
                "{channels} channels at {rate} Hz make no WAVE file"
            )));
        }
        let mut head = b"RIFF\xff\xff\xff\xffWAVEJUNK\x1c\0\0\0".to_vec();
        head.resize(head.len() + 28, 0);
        head.extend(b"fmt \x12\0\0\0");
        head.extend(kind.to_le_bytes());
        head.extend((channels as u16).to_le_bytes());
        head.extend(rate.to_le_bytes());
        head.extend((per_second as u32).to_le_bytes());
        head.extend((wide as u16).to_le_bytes());
        head.extend(bits.to_le_bytes());
        head.extend(b"\0\0fact\x04\0\0\0\xff\xff\xff\xffdata\xff\xff\xff\xff");
        self.file.write_all(&head)?;
        Ok(Track {
            only: Only::new(frame, format),
            coding,
            moments: (of_frame * channels as usize, wide),
            // Two clocks drift apart; a block's length apart is not heard.
            pace: Pace::new((rate.into(), 1), u64::from(rate / 50), MAX_SILENCE_NS),
        })
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> Result {
        self.file.seek(SeekFrom::Start(at))?;
        Ok(self.file.write_all(bytes)?)
    }
}

impl Writer for Wav {
    fn take(&mut self, _port: usize, frame: &Frame, ctx: &Context) -> Result<bool> {
        if self.track.is_none() {
            self.track = Some(self.begin(frame, ctx)?);
        }
        let Some(track) = &mut self.track else {
            return Ok(false);
        };
        let payload = frame.payload();
        let (of_frame, wide) = track.moments;
        let taken = track.only.takes(frame, ctx, same)?
            && !payload.is_empty()
            && payload.len().is_multiple_of(of_frame);
        let place = if taken {
            track.pace.place(frame.pts())
        } else {
            Place::Late
        };
        self.bytes.clear();
        if place == Place::Late || track.coding.append(payload, &mut self.bytes).is_none() {
            return Ok(false);
        }
        if let Place::After(missing) = place {
            let len = missing * wide as u64;
            match track.coding {
                // What nobody has written reads as 0.
                Coding::Raw(_) => {
                    self.file.seek(SeekFrom::Current(len as i64))?;
                }
                Coding::Bytes(silence) => {
                    io::copy(&mut io::repeat(silence).take(len), &mut self.file)?;
                }
            }
            track.pace.advance(missing);
        }
        self.file.write_all(&self.bytes)?;
        ctx.copied(self.bytes.len());
        track.pace.advance((payload.len() / of_frame) as u64);
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        let Some(track) = &self.track else {
            return Ok(false);
        };
        let count = track.pace.count();
        let len = count * track.moments.1 as u64;
        if !len.is_multiple_of(2) {
            self.file.write_all(&[0])?;
        }
        let riff = HEADER - 8 + len.next_multiple_of(2);
        let short = |long: u64| u32::try_from(long).unwrap_or(u32::MAX).to_le_bytes();
        if riff > u32::MAX.into() {
            self.patch(0, b"RF64")?;
            let mut sizes = b"ds64\x1c\0\0\0".to_vec();
            for long in [riff, len, count] {
                sizes.extend(long.to_le_bytes());
            }
            self.patch(JUNK_AT, &sizes)?;
        }
        self.patch(4, &short(riff))?;
        self.patch(FACT_AT, &short(count))?;
        self.patch(DATA_AT, &short(len))?;
        self.file.sync_all()?;
        Ok(count > 0)
    }
}
