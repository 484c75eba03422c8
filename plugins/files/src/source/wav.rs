//! [`Wav`]: WAVE (RIFF, "Multimedia Programming Interface and Data Specifications 1.0").
//!
//! Samples become `audio/f32` in blocks of 20 ms; whole numbers of 8, 16, 24 and 32 bits and floats of 32 and 64 are known. G.711
//! goes as it is. A block is in memory at a time. RF64 (EBU Tech 3306) is WAVE whose lengths may stand, with 64 bits, in a chunk in
//! front. A data chunk that claims more than the file holds, as one that is being written does,
//! ends with the file.

use levada_plugin::{SampleClock, prelude::*};

use super::{AUDIO, Carried, Demuxer, Unit, bytes::Source, pcm::Pcm};

/// Chunks in front of the samples, at most.
const MAX_CHUNKS: usize = 256;
const BLOCKS_PER_SECOND: u32 = 50;
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const MULAW: u16 = 7;
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
    coding: Coding,
}

#[derive(Clone, Copy)]
enum Coding {
    Raw(Pcm),
    /// Bytes that go as they are, under this name.
    G711(&'static str),
}

impl Wav {
    /// Reads the chunks up to the samples.
    ///
    /// # Errors
    /// When the file is no WAVE file, or holds what is not known.
    pub fn open(mut source: Source) -> Result<Wav> {
        let (mut at, mut layout, mut long) = (12, None, None);
        for _ in 0..MAX_CHUNKS {
            source.check(at, 8, 8, "a chunk's header")?;
            let mut head = [0; 8];
            source.read(at, &mut head)?;
            let len = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
            match &head[..4] {
                b"fmt " => layout = Some(Layout::read(&mut source, at + 8, len)?),
                b"ds64" if len >= 16 => {
                    source.check(at + 8, 16, 16, "the chunk of long lengths")?;
                    let mut sizes = [0; 16];
                    source.read(at + 8, &mut sizes)?;
                    let of_data = sizes[8..].iter().rev();
                    long = Some(of_data.fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
                }
                b"data" => {
                    let len = long.filter(|_| len == u32::MAX.into()).unwrap_or(len);
                    return match layout {
                        Some(layout) => Ok(Wav::new(source, layout, at + 8, len)),
                        None => {
                            Err(source
                                .error(at, "samples come before the chunk that describes them"))
                        }
                    };
                }
                _ => {}
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
        let coding = match (kind, bits) {
            (PCM, _) => Pcm::whole(bits).map(Coding::Raw),
            (FLOAT, _) => Pcm::float(bits).map(Coding::Raw),
            (ALAW, 8) => Some(Coding::G711("pcma")),
            (MULAW, 8) => Some(Coding::G711("pcmu")),
            _ => None,
        };
        let Some(coding) = coding else {
            return Err(source.error(
                at,
                format_args!(
                    "samples of kind {kind} with {bits} bits are not played; whole numbers of 8, 16, 24 and 32 bits, floats of 32 and 64, and G.711 are"
                ),
            ));
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
            coding,
        })
    }

    /// Bytes of one sample of each channel.
    fn moment(&self) -> usize {
        let sample = match self.coding {
            Coding::Raw(pcm) => pcm.bytes,
            Coding::G711(_) => 1,
        };
        sample * self.channels as usize
    }

    fn format(&self) -> Format {
        let name = match self.coding {
            Coding::Raw(_) => "f32",
            Coding::G711(name) => name,
        };
        Format::audio(name, self.rate, self.channels)
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

    fn carries(&self, port: usize) -> Vec<Carried> {
        if !self.has(port) {
            return vec![];
        }
        vec![self.layout.format().into()]
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
        let (at, len) = (
            self.data + self.next * layout.moment() as u64,
            count as usize * layout.moment(),
        );
        let payload = match layout.coding {
            Coding::Raw(pcm) => {
                self.bytes.resize(len, 0);
                self.source.read(at, &mut self.bytes)?;
                pcm.convert(&self.bytes, host)?
            }
            Coding::G711(_) => {
                let mut payload = host.loan(len)?;
                self.source.read(at, payload.as_mut_slice())?;
                payload
            }
        };
        let from = self.next - self.origin;
        self.next += count;
        let pts = layout.ns(from);
        Ok(Some(Unit {
            port: AUDIO,
            payload,
            format: host.format_id(&layout.format())?,
            pts,
            dts: pts,
            end: layout.ns(from + count),
            key: true,
        }))
    }
}
