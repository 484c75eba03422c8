//! Makes PCM audio louder or quieter: the example to copy for a plugin of your own.

use levada_plugin::{as_f32_mut, as_i16_mut, prelude::*};

/// Multiplies every sample by one factor.
///
/// **Inputs** `in`: `audio/f32` or `audio/s16`, any rate and channels. **Outputs** `out`: the same
/// frames, edited in place. **Params** `db`: gain in decibels, -60 to 60. Samples that leave the
/// range are limited to full scale.
struct Gain {
    factor: f32,
}

impl Node for Gain {
    const NAME: &'static str = "gain";
    const SUMMARY: &'static str = "Makes PCM audio louder or quieter";
    const PORTS: &'static [Port] = &[
        Port::input("in")
            .formats("audio/f32 audio/s16")
            .forwards_to(1),
        Port::output("out").formats("audio/f32 audio/s16"),
    ];
    const PARAMS: &'static [Param] = &[Param::float("db", 0.0)
        .range(-60.0, 60.0)
        .unit("dB")
        .help("Gain; 6 doubles the amplitude")];

    fn create(config: &Config) -> Result<Self> {
        let factor = 10f64.powf(config.float("db")? / 20.0) as f32;
        Ok(Gain { factor })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            let format = ctx.format(frame.format_id()).unwrap_or_default();
            let bytes = ctx.make_writable(frame)?;
            match format.encoding.as_str() {
                "f32" => {
                    let samples = as_f32_mut(bytes)
                        .ok_or_else(|| Error::new("f32 samples are not aligned"))?;
                    samples
                        .iter_mut()
                        .for_each(|s| *s = (*s * self.factor).clamp(-1.0, 1.0));
                }
                "s16" => {
                    let samples = as_i16_mut(bytes)
                        .ok_or_else(|| Error::new("s16 samples are not aligned"))?;
                    // A cast from float to integer saturates, which is the limit wanted here.
                    samples
                        .iter_mut()
                        .for_each(|s| *s = (f32::from(*s) * self.factor) as i16);
                }
                other => {
                    return Err(Error::new(format_args!(
                        "gain takes audio/f32 or audio/s16, not {other:?}"
                    )));
                }
            }
        }
        Ok(())
    }
}

levada_plugin::export_plugin!(Gain);

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::{Harness, Value};

    #[test]
    fn six_decibels_double_the_amplitude_in_place() -> Result {
        let mut gain = Harness::<Gain>::new(&[("db", Value::Float(6.020_599_913))])?;
        let format = gain.format_id(&Format::audio("f32", 48_000, 1));
        let input: Vec<u8> = [0.1f32, -0.25, 0.9]
            .iter()
            .flat_map(|s| s.to_ne_bytes())
            .collect();
        let mut loan = gain.loan(input.len())?;
        loan.as_mut_slice().copy_from_slice(&input);
        let frame = Frame::new(Kind::Audio, loan).with_format_id(format);
        let at = frame.payload().as_ptr();
        let out = gain.push(0, vec![frame])?;
        let samples = levada_plugin::as_f32(out[0].1.payload()).expect("aligned");
        assert!((samples[0] - 0.2).abs() < 1e-6 && (samples[1] + 0.5).abs() < 1e-6);
        assert_eq!(samples[2], 1.0, "limited to full scale");
        assert_eq!(out[0].1.payload().as_ptr(), at, "edited in place");
        assert_eq!(gain.bytes_copied(), 0);
        Ok(())
    }

    #[test]
    fn a_format_that_is_not_pcm_is_refused() -> Result {
        let mut gain = Harness::<Gain>::new(&[])?;
        let format = gain.format_id(&Format::audio("opus", 48_000, 2));
        let frame = Frame::from_bytes(Kind::Audio, vec![0u8; 4].into()).with_format_id(format);
        assert!(
            gain.push(0, vec![frame])
                .is_err_and(|e| e.to_string().contains("opus"))
        );
        Ok(())
    }
}
