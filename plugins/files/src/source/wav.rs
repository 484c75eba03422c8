//! [`Wav`]: WAVE (RIFF, "Multimedia Programming Interface and Data Specifications 1.0").
//!
//! Samples become `audio/f32` in blocks of 20 ms. Whole numbers of 8, 16, 24 and 32 bits and floats of 32 and 64 are known.
//! A block is in memory at a time. A data chunk that claims more than the file holds, as one that is being written does,
//! ends with the file.

use levada_plugin::{SampleClock, as_f32_mut, prelude::*};

use super::{AUDIO, Demuxer, Unit, bytes::Source};

/// Chunks in front of the samples, at most.
const MAX_CHUNKS: usize = 256;
const BLOCKS_PER_SECOND: u32 = 50;
const PCM: u16 = 1;
const FLOAT: u16 = 3;
/// The kind is the first two bytes of what follows.
const EXTENSIBLE: u16 = 0xfffe;

/// A file that is open.
pub(super) struct Wav {
    source: Source,
    layout: Layout,
    /// Where the samples begin, and how many of each channel there are.
    data: u64,
    total: u64,
    /// The sample where playing began, and the next one.
    origin: u64,
    next: u64,
    bytes: Vec<u8>,
}

struct Layout {
    rate: u32,
    channels: u32,
    read: fn(&[u8]) -> f32,
    sample_bytes: usize,
}

impl Wav {
    /// Reads the chunks up to the samples.
    ///
    /// # Errors
    /// When the file is no WAVE file, or holds what is not known.
    pub fn open(mut source: Source) -> Result<Wav> {
        let (mut at, mut layout) = (12, None);
        for _ in 0..MAX_CHUNKS {
            source.check(at, 8, 8, "a chunk's header")?;
            let mut head = [0; 8];
            source.read(at, &mut head)?;
            let len = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
            match (&head[..4], layout) {
                (b"fmt ", _) => layout = Some(Layout::read(&mut source, at + 8, len)?),
                (b"data", Some(layout)) => return Ok(Wav::new(source, layout, at + 8, len)),
                (b"data", None) => {
                    return Err(
                        source.error(at, "samples come before the chunk that describes them")
                    );
                }
                (_, before) => layout = before,
            }
            // Chunks begin at even places.
            at += 8 + len + len % 2;
        }
        Err(source.error(
            at,
            format_args!("more than {MAX_CHUNKS} chunks come before the samples"),
        ))
    }

    fn new(source: Source, layout: Layout, data: u64, len: u64) -> Wav {
        let moment = layout.moment() as u64;
        let len = len.min(source.len().saturating_sub(data));
        Wav {
            source,
            data,
            total: len / moment,
            origin: 0,
            next: 0,
            bytes: vec![],
            layout,
        }
    }
}

impl Layout {
    fn read(source: &mut Source, at: u64, len: u64) -> Result<Layout> {
        source.check(at, 16, len.max(16), "the chunk that describes the samples")?;
        let mut head = [0; 26];
        let known = if len < 26 {
            16
        } else {
            source.check(at, 26, 26, "the chunk that describes the samples")?
        };
        source.read(at, &mut head[..known])?;
        let short = |n: usize| u16::from_le_bytes([head[n], head[n + 1]]);
        let kind = if short(0) == EXTENSIBLE {
            short(24)
        } else {
            short(0)
        };
        let rate = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let (channels, bits) = (u32::from(short(2)), short(14));
        let read: fn(&[u8]) -> f32 = match (kind, bits) {
            (PCM, 8) => |b| f32::from(i16::from(b[0]) - 128) / 128.0,
            (PCM, 16) => |b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0,
            (PCM, 24) => |b| (i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8) as f32 / 8_388_608.0,
            (PCM, 32) => |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 2_147_483_648.0,
            (FLOAT, 32) => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            (FLOAT, 64) => {
                |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
            }
            _ => {
                return Err(source.error(
                    at,
                    format_args!("samples of kind {kind} with {bits} bits are not known; write whole numbers or floats"),
                ));
            }
        };
        if channels == 0 || channels > 64 || rate == 0 || rate > 768_000 {
            return Err(source.error(
                at,
                format_args!("{channels} channels at {rate} Hz make no sound"),
            ));
        }
        Ok(Layout {
            rate,
            channels,
            read,
            sample_bytes: usize::from(bits / 8),
        })
    }

    /// Bytes of one sample of each channel.
    fn moment(&self) -> usize {
        self.sample_bytes * self.channels as usize
    }

    fn ns(&self, samples: u64) -> i64 {
        let mut clock = SampleClock::new(self.rate);
        clock.advance(usize::try_from(samples).unwrap_or(usize::MAX));
        clock.now_ns()
    }
}

impl Demuxer for Wav {
    fn has(&self, port: usize) -> bool {
        port == AUDIO
    }

    fn formats(&self, port: usize) -> Vec<Format> {
        if !self.has(port) {
            return vec![];
        }
        vec![Format::audio("f32", self.layout.rate, self.layout.channels)]
    }

    fn length(&mut self) -> Option<i64> {
        Some(self.layout.ns(self.total - self.origin))
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        let sample = i128::from(at_ns.max(0)) * i128::from(self.layout.rate) / 1_000_000_000;
        self.origin = u64::try_from(sample).unwrap_or(u64::MAX).min(self.total);
        self.next = self.origin;
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        let layout = &self.layout;
        let block = u64::from((layout.rate / BLOCKS_PER_SECOND).max(1));
        let count = block.min(self.total - self.next);
        if count == 0 {
            return Ok(None);
        }
        self.bytes.resize(count as usize * layout.moment(), 0);
        let at = self.data + self.next * layout.moment() as u64;
        self.source.read(at, &mut self.bytes)?;
        let mut payload =
            host.loan(count as usize * layout.channels as usize * size_of::<f32>())?;
        let room = as_f32_mut(payload.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        for (sample, bytes) in room
            .iter_mut()
            .zip(self.bytes.chunks_exact(layout.sample_bytes))
        {
            *sample = (layout.read)(bytes);
        }
        host.copied(payload.len());
        let from = self.next - self.origin;
        self.next += count;
        let pts = layout.ns(from);
        Ok(Some(Unit {
            port: AUDIO,
            payload,
            format: host.format_id(&Format::audio("f32", layout.rate, layout.channels))?,
            pts,
            dts: pts,
            end: layout.ns(from + count),
            key: true,
        }))
    }
}
