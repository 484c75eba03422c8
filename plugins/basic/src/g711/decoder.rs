//! `g711-decoder`: codes to samples.

use levada_plugin::{as_f32_mut, prelude::*};

use super::law::Law;

/// Decodes G.711.
///
/// **Inputs** `in`: `audio/pcmu` or `audio/pcma`, one code a sample, channels interleaved, blocks of any length.
/// **Outputs** `out`: `audio/f32` at the rate and with the channels that the codes have; time, duration and stream are the
/// block's. Samples are written once into a buffer on loan. **Params** none.
/// **Example** `"phone.audio -> decode -> meter"` with `decode = { type = "g711-decoder" }`.
#[derive(Default)]
pub struct G711Decoder {
    /// The format of the last block, its law and the format of what is made of it.
    known: Option<(u32, Law, u32)>,
}

impl G711Decoder {
    #[cold]
    fn open(id: u32, ctx: &Context) -> Result<(Law, u32)> {
        let format = ctx.format(id).unwrap_or_default();
        let law = match format.encoding.as_str() {
            "pcmu" => Some(Law::Mu),
            "pcma" => Some(Law::A),
            _ => None,
        };
        match (law, format.media) {
            (Some(law), Media::Audio { rate, channels }) if rate > 0 && channels > 0 => {
                Ok((law, ctx.format_id(&Format::audio("f32", rate, channels))?))
            }
            _ => Err(Error::new(format_args!(
                "g711-decoder takes audio/pcmu or audio/pcma of known rate and channels, not {format}; put the decoder \
                 of that format here"
            ))),
        }
    }

    fn take(&mut self, frame: Frame, ctx: &Context) -> Result<Frame> {
        let id = frame.format_id();
        let (law, out) = match self.known {
            Some((known, law, out)) if known == id => (law, out),
            _ => Self::open(id, ctx)?,
        };
        self.known = Some((id, law, out));
        let codes = frame.payload();
        let mut loan = ctx.loan(size_of_val(codes) * size_of::<f32>())?;
        let samples = as_f32_mut(loan.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        let values = law.values();
        for (sample, code) in samples.iter_mut().zip(codes) {
            *sample = values[usize::from(*code)];
        }
        ctx.copied(loan.len());
        let mut frame = frame.with_format_id(out).with_flags(flags::KEYFRAME);
        frame.set_payload(loan);
        Ok(frame)
    }
}

impl Node for G711Decoder {
    const NAME: &'static str = "g711-decoder";
    const SUMMARY: &'static str = "Decodes the sound of telephones, PCMU and PCMA";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("audio/pcmu audio/pcma"),
        Port::output("out").formats("audio/f32"),
    ];
    const CONVERTER: bool = true;

    fn create(_config: &Config) -> Result<Self> {
        Ok(G711Decoder::default())
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
