//! `g711-encoder`: samples to codes.

use levada_plugin::{as_f32, prelude::*};

use super::law::Law;

/// Encodes G.711.
///
/// **Inputs** `in`: `audio/f32` at 8000 Hz, one channel, blocks of any length. **Outputs** `out`: `audio/pcmu` or
/// `audio/pcma`, one code a sample; time, duration and stream are the block's. Codes are written once into a buffer on loan.
/// **Params** `encoding`: `pcmu` (mu-law) or `pcma` (A-law). **Example** `"microphone -> encode -> line"` with
/// `encode = { type = "g711-encoder", params = { encoding = "pcma" } }`.
pub struct G711Encoder {
    law: Law,
    /// The format of the last block, known to fit, and the format of what is made of it.
    known: Option<(u32, u32)>,
}

impl G711Encoder {
    #[cold]
    fn open(&self, id: u32, ctx: &Context) -> Result<u32> {
        let format = ctx.format(id).unwrap_or_default();
        if format.encoding != "f32"
            || !matches!(
                format.media,
                Media::Audio {
                    rate: 8000,
                    channels: 1
                }
            )
        {
            return Err(Error::new(format_args!(
                "g711-encoder takes audio/f32 at 8000 Hz with 1 channel, not {format}; put a resample node with \
                 rate = 8000 and channels = 1 in front of it"
            )));
        }
        let encoding = match self.law {
            Law::Mu => "pcmu",
            Law::A => "pcma",
        };
        ctx.format_id(&Format::audio(encoding, 8000, 1))
    }

    fn take(&mut self, frame: Frame, ctx: &Context) -> Result<Frame> {
        let id = frame.format_id();
        let out = match self.known {
            Some((known, out)) if known == id => out,
            _ => self.open(id, ctx)?,
        };
        self.known = Some((id, out));
        let samples = as_f32(frame.payload()).ok_or_else(|| {
            Error::new(format_args!(
                "a block of {} bytes holds no whole number of samples, or is not aligned in memory",
                frame.payload().len()
            ))
        })?;
        let mut loan = ctx.loan(samples.len())?;
        for (code, sample) in loan.as_mut_slice().iter_mut().zip(samples) {
            *code = self.law.code(*sample);
        }
        ctx.copied(loan.len());
        let mut frame = frame.with_format_id(out).with_flags(flags::KEYFRAME);
        frame.set_payload(loan);
        Ok(frame)
    }
}

impl Node for G711Encoder {
    const NAME: &'static str = "g711-encoder";
    const SUMMARY: &'static str = "Encodes samples as the sound of telephones, PCMU or PCMA";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("audio/f32;rate=8000;channels=1"),
        Port::output("out").formats("audio/pcmu audio/pcma"),
    ];
    const PARAMS: &'static [Param] = &[Param::choice("encoding", "pcmu pcma", "pcmu")
        .help("The law: mu-law of North America and Japan, or A-law")];
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        Ok(G711Encoder {
            law: match config.text("encoding")? {
                "pcma" => Law::A,
                _ => Law::Mu,
            },
            known: None,
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            // An empty block is none.
            if !frame.payload().is_empty() {
                let block = self.take(frame, ctx)?;
                ctx.emit(1, block)?;
            }
        }
        Ok(())
    }
}
