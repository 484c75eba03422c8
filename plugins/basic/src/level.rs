//! `level`: prints a meter.

use std::io::Write;

use levada_plugin::{as_f32, as_i16, prelude::*};

const WIDTH: usize = 40;
const FLOOR_DB: f64 = -60.0;

/// Measures sound and prints a meter line for each stretch of it on stderr: level (RMS) and peak in dB
/// below full scale.
///
/// **Inputs** `in`: `audio/f32` or `audio/s16`, read-only. **Outputs** none. **Params** `every`: seconds of
/// sound in a line.
pub struct Level {
    name: String,
    every: f64,
    /// The format that the sums below belong to.
    format: u32,
    /// Seconds that one sample of one channel stands for; 0 for a format without samples.
    seconds_per_sample: f64,
    is_f32: bool,
    sums: Sums,
}

#[derive(Default)]
struct Sums {
    samples: u64,
    squares: f64,
    peak: f64,
}

impl Sums {
    fn add(&mut self, sample: f64) {
        self.samples += 1;
        self.squares += sample * sample;
        self.peak = self.peak.max(sample.abs());
    }

    fn line(&self, name: &str) -> String {
        let rms = decibels((self.squares / self.samples.max(1) as f64).sqrt());
        let peak = decibels(self.peak);
        let place = |db: f64| ((1.0 - db.max(FLOOR_DB) / FLOOR_DB) * WIDTH as f64).round() as usize;
        let (bar, mark) = (place(rms), place(peak).clamp(1, WIDTH));
        let meter: String = (1..=WIDTH)
            .map(|at| match at {
                _ if at <= bar => '#',
                _ if at == mark => '|',
                _ => '.',
            })
            .collect();
        format!("{name}  {rms:6.1} dBFS  peak {peak:6.1}  {meter}\n")
    }
}

/// Decibels relative to full scale; silence is the floor's double, so that it prints as a number.
fn decibels(amplitude: f64) -> f64 {
    if amplitude > 0.0 {
        (20.0 * amplitude.log10()).max(FLOOR_DB * 2.0)
    } else {
        FLOOR_DB * 2.0
    }
}

impl Level {
    fn print(&mut self) {
        if self.sums.samples > 0 {
            // A closed stderr is no reason to end the sound.
            let _ = std::io::stderr().write_all(self.sums.line(&self.name).as_bytes());
            self.sums = Sums::default();
        }
    }

    fn set_format(&mut self, id: u32, ctx: &Context) -> Result {
        let format = ctx.format(id).unwrap_or_default();
        let Media::Audio { rate, channels } = format.media else {
            return Err(Error::new(format_args!(
                "level takes raw sound, not {format:?}"
            )));
        };
        self.is_f32 = match format.encoding.as_str() {
            "f32" => true,
            "s16" => false,
            other => {
                return Err(Error::new(format_args!(
                    "level takes audio/f32 or audio/s16, not audio/{other}"
                )));
            }
        };
        self.print();
        self.format = id;
        self.seconds_per_sample = 1.0 / (f64::from(rate.max(1)) * f64::from(channels.max(1)));
        Ok(())
    }
}

impl Node for Level {
    const NAME: &'static str = "level";
    const SUMMARY: &'static str = "Measures sound and prints a meter on stderr";
    const PORTS: &'static [Port] = &[Port::input("in").formats("audio/f32 audio/s16").read_only()];
    const PARAMS: &'static [Param] = &[Param::float("every", 1.0)
        .range(0.02, 3600.0)
        .unit("s")
        .help("How much sound a line stands for")];
    // Writing to a terminal may wait.
    const COST: Cost = Cost::Blocking;

    fn create(config: &Config) -> Result<Self> {
        Ok(Level {
            name: config.name().to_owned(),
            every: config.float("every")?,
            format: 0,
            seconds_per_sample: 0.0,
            is_f32: true,
            sums: Sums::default(),
        })
    }

    fn observe(&mut self, _port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        for frame in frames {
            if frame.format_id() != self.format {
                self.set_format(frame.format_id(), ctx)?;
            }
            let bytes = frame.payload();
            let aligned = if self.is_f32 {
                as_f32(bytes)
                    .map(|samples| samples.iter().for_each(|s| self.sums.add(f64::from(*s))))
            } else {
                as_i16(bytes).map(|samples| {
                    samples
                        .iter()
                        .for_each(|s| self.sums.add(f64::from(*s) / 32_768.0))
                })
            };
            aligned.ok_or_else(|| Error::new("a block's samples are not aligned in memory"))?;
            if self.sums.samples as f64 * self.seconds_per_sample >= self.every {
                self.print();
            }
        }
        Ok(())
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        self.print();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::Harness;

    #[test]
    fn a_full_scale_sine_is_three_decibels_below_its_peak() {
        let mut sums = Sums::default();
        (0..48_000).for_each(|n| sums.add((f64::from(n) * 0.01).sin()));
        let line = sums.line("meter");
        assert!(
            line.starts_with("meter    -3.0 dBFS  peak   -0.0  ######"),
            "{line:?}"
        );
    }

    #[test]
    fn silence_prints_an_empty_bar() {
        let mut sums = Sums::default();
        sums.add(0.0);
        assert!(
            sums.line("m")
                .contains("-120.0 dBFS  peak -120.0  |......."),
            "{:?}",
            sums.line("m")
        );
    }

    #[test]
    fn encoded_sound_is_refused() -> Result {
        let mut level = Harness::<Level>::new(&[])?;
        let format = level.format_id(&Format::audio("opus", 48_000, 2));
        let frame = Frame::from_bytes(Kind::Audio, vec![1, 2, 3].into()).with_format_id(format);
        assert!(
            level
                .push(0, vec![frame])
                .is_err_and(|e| e.to_string().contains("audio/opus"))
        );
        Ok(())
    }
}
