//! `test-audio`: makes a tone in real time.

use std::f64::consts::TAU;

use levada_plugin::{as_f32_mut, prelude::*};

const BLOCKS_PER_SECOND: i64 = 50;
/// A beep's part of a second.
const BEEPS_PART: i64 = 10;
const BLOCK_NS: i64 = 1_000_000_000 / BLOCKS_PER_SECOND;

/// Makes a sine tone in blocks of 20 ms, one every 20 ms.
///
/// **Inputs** none. **Outputs** `out`: `audio/f32`, interleaved, the same tone in every channel. **Params**
/// `frequency` in Hz, `db` (peak level, 0 is full scale), `rate` in Hz (a multiple of 50), `channels`; `beeps`: the tone is
/// heard for the first tenth of each second alone, so that delays and sound against picture can be measured.
/// A block that finds no room waits; the tone stays continuous and catches up.
pub struct TestAudio {
    host: Host,
    frequency: f64,
    amplitude: f64,
    beeps: bool,
    rate: u32,
    channels: usize,
    format: u32,
    stream: u16,
    /// When block 0 is due, ns: at the first tick.
    start: Option<i64>,
    block: i64,
}

impl TestAudio {
    fn samples_per_block(&self) -> i64 {
        i64::from(self.rate) / BLOCKS_PER_SECOND
    }

    fn make_block(&self) -> Result<Frame> {
        let count = self.samples_per_block();
        let mut loan = self
            .host
            .loan(count as usize * self.channels * size_of::<f32>())?;
        let samples = as_f32_mut(loan.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        let first = self.block * count;
        for (index, across) in samples.chunks_exact_mut(self.channels).enumerate() {
            // Whole periods are taken off before the sine, so that an hour in sounds as exact as the start.
            let sample = (first + index as i64) % i64::from(self.rate);
            if self.beeps && sample * BEEPS_PART >= i64::from(self.rate) {
                across.fill(0.0);
                continue;
            }
            let periods = (first + index as i64) as f64 * self.frequency / f64::from(self.rate);
            across.fill((self.amplitude * (TAU * periods.fract()).sin()) as f32);
        }
        Ok(Frame::new(Kind::Audio, loan)
            .with_format_id(self.format)
            .with_stream(self.stream)
            .with_pts(self.block * BLOCK_NS)
            .with_duration_us((BLOCK_NS / 1000) as u32)
            .with_flags(flags::KEYFRAME))
    }
}

impl Node for TestAudio {
    const NAME: &'static str = "test-audio";
    const SUMMARY: &'static str = "Makes a tone in blocks of 20 ms, in real time";
    const PORTS: &'static [Port] =
        &[Port::output("out").formats("audio/f32;rate=8000..192000;channels=1..8")];
    const PARAMS: &'static [Param] = &[
        Param::float("frequency", 440.0)
            .range(20.0, 20_000.0)
            .unit("Hz")
            .help("Pitch of the tone"),
        Param::float("db", -20.0)
            .range(-120.0, 0.0)
            .unit("dB")
            .help("Peak level; 0 is full scale"),
        Param::integer("rate", 48_000)
            .range(8_000.0, 192_000.0)
            .unit("Hz")
            .help("Samples a second; a multiple of 50"),
        Param::integer("channels", 1)
            .range(1.0, 8.0)
            .help("Channels, all with the same tone"),
        Param::bool("beeps", false).help("Beep on each second instead of a tone without end"),
    ];

    const CHECK: Option<Check> = Some(|config| {
        let rate = config.integer("rate")?;
        if rate % BLOCKS_PER_SECOND != 0 {
            return Err(Error::new(format_args!(
                "rate = {rate} does not divide into blocks of 20 ms; use a multiple of {BLOCKS_PER_SECOND}, such as 48000"
            )));
        }
        Ok(())
    });

    fn create(config: &Config) -> Result<Self> {
        let rate = config.integer("rate")?;
        // The ranges above keep both far inside their types.
        let (rate, channels) = (rate as u32, config.integer("channels")? as usize);
        let host = config.host();
        Ok(TestAudio {
            host,
            frequency: config.float("frequency")?,
            amplitude: 10f64.powf(config.float("db")? / 20.0),
            beeps: config.bool("beeps")?,
            rate,
            channels,
            format: host.format_id(&Format::audio("f32", rate, channels as u32))?,
            stream: host.stream_id(Kind::Audio, config.name())?,
            start: None,
            block: 0,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let start = *self.start.get_or_insert_with(|| ctx.now());
        if ctx.now() >= start + self.block * BLOCK_NS {
            ctx.emit(0, self.make_block()?)?;
            self.block += 1;
        }
        self.host.wake_at(start + self.block * BLOCK_NS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::{
        as_f32,
        harness::{Harness, Value},
    };

    #[test]
    fn the_tone_has_its_pitch_level_and_pace() -> Result {
        let params = [
            ("frequency", Value::Float(1000.0)),
            ("db", Value::Float(-6.0)),
            ("channels", Value::Integer(2)),
        ];
        let mut tone = Harness::<TestAudio>::new(&params)?;
        let (mut crossings, mut peak, mut last) = (0, 0f32, 0f32);
        for block in 0..50 {
            let out = tone.tick(block * BLOCK_NS)?;
            assert_eq!(out[0].1.pts(), block * BLOCK_NS);
            assert_eq!(tone.deadline(), Some((block + 1) * BLOCK_NS));
            let samples = as_f32(out[0].1.payload()).expect("aligned");
            assert_eq!(samples.len(), 960 * 2);
            for pair in samples.chunks_exact(2) {
                assert_eq!(pair[0], pair[1]);
                crossings += u32::from(last < 0.0 && pair[0] >= 0.0);
                peak = peak.max(pair[0].abs());
                last = pair[0];
            }
        }
        assert!(
            (999..=1000).contains(&crossings),
            "{crossings} periods in a second"
        );
        assert!((peak - 0.501).abs() < 0.005, "{peak}");
        Ok(())
    }

    #[test]
    fn beeps_fill_the_first_tenth_of_each_second() -> Result {
        let mut tone = Harness::<TestAudio>::new(&[("beeps", Value::Bool(true))])?;
        for block in 0..150 {
            let out = tone.tick(block * BLOCK_NS)?;
            let samples = as_f32(out[0].1.payload()).expect("aligned");
            let is_heard = samples.iter().any(|s| s.abs() > 0.05);
            assert_eq!(is_heard, block % 50 < 5, "block {block}");
        }
        Ok(())
    }

    #[test]
    fn nothing_is_emitted_before_its_time() -> Result {
        let mut tone = Harness::<TestAudio>::new(&[])?;
        assert_eq!(tone.tick(0)?.len(), 1);
        assert_eq!(tone.tick(BLOCK_NS - 1)?.len(), 0);
        assert_eq!(tone.tick(BLOCK_NS)?.len(), 1);
        Ok(())
    }

    #[test]
    fn a_rate_that_does_not_divide_is_refused_with_a_remedy() {
        let refused = Harness::<TestAudio>::new(&[("rate", Value::Integer(44_101))]);
        assert!(
            refused
                .err()
                .is_some_and(|e| e.to_string().contains("multiple of 50"))
        );
    }
}
