//! `vad`: says when somebody speaks.

mod detector;

use levada_plugin::{Streams, as_f32, prelude::*};

use detector::Detector;

/// Name of the side data that frames are given.
const SIDE_DATA: &str = "levada.voice/1";
const OUT: usize = 1;
const CHANGES: usize = 2;
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// Says when somebody speaks (voice activity detection), by the sound's energy and spectrum.
///
/// **Inputs** `in`: `audio/f32` at 8000 to 192000 Hz; channels are added up. **Outputs** `out`: the same frames, untouched, with a
/// piece of side data, `levada.voice/1`: 8 bytes in the machine's order, a `u32` that is 1 while a voice is heard at the end
/// of the frame and 0 otherwise, and an `f32`, the level in dB below full scale of the band in which voices are looked for.
/// `changes`: a message (`application/json`) each time that a voice begins or ends, `{"voice":true,"pts_ns":1200000000}`,
/// at the end of the frame in which that was found, so that it can be sent on a data channel. **Params** `threshold`:
/// how far a voice rises above what is heard without one; `hold`: how long a voice may pause. A voice is found within
/// about 40 ms; nothing is held back for it. **Example** `links = ["mic -> speech -> speaker", "speech.changes ->
/// screen.data"]` with `speech = { type = "vad" }`.
pub struct Vad {
    threshold_db: f64,
    hold_s: f64,
    message: u32,
    streams: Streams<Stream>,
}

struct Stream {
    format: u32,
    rate: u32,
    channels: usize,
    detector: Detector,
    /// What was said last.
    said: bool,
}

impl Vad {
    fn open(&self, id: u32, ctx: &Context) -> Result<Stream> {
        let format = ctx.format(id).unwrap_or_default();
        match format.media {
            Media::Audio { rate, channels }
                if format.encoding == "f32"
                    && RATES.contains(&rate)
                    && (1..=255).contains(&channels) =>
            {
                Ok(Stream {
                    format: id,
                    rate,
                    channels: channels as usize,
                    detector: Detector::new(rate, self.threshold_db, self.hold_s),
                    said: false,
                })
            }
            _ => Err(Error::new(format_args!(
                "vad takes audio/f32 at {} to {} Hz, not {format:?}; put a decoder or a converter before this node",
                RATES.start(),
                RATES.end()
            ))),
        }
    }

    fn hear(&mut self, frame: Frame, ctx: &mut Context) -> Result<Frame> {
        let id = frame.stream();
        if self
            .streams
            .get(id)
            .is_none_or(|s| s.format != frame.format_id())
        {
            let mut opened = self.open(frame.format_id(), ctx)?;
            // A voice that was heard has ended when nothing is heard of it in the new format.
            opened.said = self.streams.get(id).is_some_and(|s| s.said);
            self.streams.remove(id);
            self.streams.of(id, || Ok(opened))?;
        }
        let Some(stream) = self.streams.get(id) else {
            return Ok(frame);
        };
        let channels = stream.channels;
        let samples = as_f32(frame.payload())
            .filter(|samples| samples.len().is_multiple_of(channels))
            .ok_or_else(|| {
                Error::new(format_args!(
                    "a block of {} bytes holds no whole number of samples of {channels} channels, or is not aligned in memory",
                    frame.payload().len()
                ))
            })?;
        for moment in samples.chunks_exact(channels) {
            stream.detector.hear(moment.iter().sum());
        }
        let speaks = stream.detector.speaks();
        if stream.said != speaks {
            stream.said = speaks;
            let length = samples.len() as i64 / channels as i64 * 1_000_000_000;
            let now = frame.pts().saturating_add(length / i64::from(stream.rate));
            let text = format!("{{\"voice\":{speaks},\"pts_ns\":{now}}}");
            // What a node makes counts as copied.
            ctx.copied(text.len());
            let message = Frame::from_bytes(Kind::Data, text.into_bytes().into())
                .with_format_id(self.message)
                .with_stream(id)
                .with_pts(now)
                .with_flags(flags::KEYFRAME);
            ctx.emit(CHANGES, message)?;
        }
        let mut content = [0; 8];
        content[..4].copy_from_slice(&u32::from(speaks).to_ne_bytes());
        content[4..].copy_from_slice(&(stream.detector.level_db() as f32).to_ne_bytes());
        Ok(frame.with_side_data(SIDE_DATA, &content))
    }
}

impl Node for Vad {
    const NAME: &'static str = "vad";
    const SUMMARY: &'static str = "Says when somebody speaks";
    const PORTS: &'static [Port] = &[
        Port::input("in")
            .formats("audio/f32")
            .forwards_to(OUT as u32),
        Port::output("out").formats("audio/f32"),
        Port::output("changes").formats("data/*"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::float("threshold", 9.0)
            .range(1.0, 60.0)
            .unit("dB")
            .help("How far a voice rises above what is heard without one"),
        Param::float("hold", 0.3)
            .range(0.0, 10.0)
            .unit("s")
            .help("How long a voice may pause before it has ended"),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Vad {
            threshold_db: config.float("threshold")?,
            hold_s: config.float("hold")?,
            message: config.host().format_id(&Format::data("application/json"))?,
            streams: Streams::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        let mut failed = None;
        frames.replace_each(|frame| {
            let heard = self.hear(frame, ctx);
            heard.map_err(|error| failed.get_or_insert(error)).ok()
        });
        failed.map_or(Ok(()), Err)
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        if (port, event.kind) == (0, event::kind::FLUSH) {
            let (threshold, hold) = (self.threshold_db, self.hold_s);
            for (_, stream) in self.streams.meant_by(&event) {
                stream.detector = Detector::new(stream.rate, threshold, hold);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use levada_plugin::{as_f32_mut, harness::Harness};

    /// A sound by its sample's number and time in seconds.
    type Sound = fn(u32, f64) -> f64;

    fn hiss(n: u32, _: f64) -> f64 {
        let mut x = n.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
        x ^= x >> 15;
        x = x.wrapping_mul(0x2c1b_3c6d);
        x ^= x >> 12;
        x = x.wrapping_mul(0x297a_2d39);
        x ^= x >> 15;
        f64::from(x) / f64::from(u32::MAX) * 2.0 - 1.0
    }

    fn hum(_: u32, t: f64) -> f64 {
        (TAU * 50.0 * t).sin()
    }

    /// A vowel of 140 Hz: harmonics that fall off above 700 Hz, four syllables a second.
    fn voice(_: u32, t: f64) -> f64 {
        let syllable = 0.6 + 0.4 * (TAU * 4.0 * t).sin();
        let tone: f64 = (1..16)
            .map(|k| {
                let hz = 140.0 * f64::from(k);
                (TAU * hz * t).sin() / (1.0 + (hz / 700.0).powi(2))
            })
            .sum();
        syllable * tone / 4.0
    }

    fn silence(_: u32, _: f64) -> f64 {
        0.0
    }

    /// The messages, by ms, of sounds that last a second each, at a rate and in blocks of so many ms.
    fn changes(rate: u32, block_ms: u32, gain: f64, sounds: &[Sound]) -> Result<Vec<(bool, i64)>> {
        let mut vad = Harness::<Vad>::new(&[])?;
        let format = vad.format_id(&Format::audio("f32", rate, 2));
        let (mut n, mut found) = (0, vec![]);
        let block = rate * block_ms / 1000;
        while n < rate * sounds.len() as u32 {
            let mut loan = vad.loan(block as usize * 8)?;
            let samples = as_f32_mut(loan.as_mut_slice()).expect("aligned");
            let pts = i64::from(n) * 1_000_000_000 / i64::from(rate);
            for pair in samples.chunks_exact_mut(2) {
                let sound = sounds
                    .get((n / rate) as usize)
                    .unwrap_or(&(silence as Sound));
                let sample = gain * sound(n, f64::from(n) / f64::from(rate)) + 0.001 * hiss(n, 0.0);
                pair.fill((sample / 2.0) as f32);
                n += 1;
            }
            let at = loan.as_mut_slice().as_ptr();
            let frame = Frame::new(Kind::Audio, loan)
                .with_format_id(format)
                .with_pts(pts);
            for (port, frame) in vad.push(0, vec![frame])? {
                if port == CHANGES {
                    let text = String::from_utf8_lossy(frame.payload()).into_owned();
                    let is_voice = text.starts_with("{\"voice\":true,\"pts_ns\":");
                    assert!(is_voice || text.starts_with("{\"voice\":false,"), "{text}");
                    assert!(text.ends_with(&format!(":{}}}", frame.pts())), "{text}");
                    found.push((is_voice, frame.pts() / 1_000_000));
                } else {
                    assert_eq!((port, frame.payload().as_ptr()), (OUT, at));
                    let side = frame.side_data(SIDE_DATA).expect("side data");
                    let last = found.last().is_some_and(|(is_voice, _)| *is_voice);
                    assert_eq!(side[..4], u32::from(last).to_ne_bytes());
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn a_voice_is_told_within_50_ms_and_its_end_when_the_hold_is_over() -> Result {
        for (rate, block_ms) in [(8_000, 20), (16_000, 10), (44_100, 20), (48_000, 20)] {
            let found = changes(rate, block_ms, 0.3, &[silence, voice, silence])?;
            let [(true, begin), (false, end)] = found[..] else {
                panic!("{found:?} at {rate} Hz");
            };
            assert!((1020..=1050).contains(&begin), "{begin} ms at {rate} Hz");
            assert!((2290..=2360).contains(&end), "{end} ms at {rate} Hz");
        }
        Ok(())
    }

    #[test]
    fn neither_hum_nor_hiss_nor_silence_is_a_voice() -> Result {
        for rate in [8_000, 16_000, 48_000] {
            for gain in [0.01, 0.1, 0.7] {
                let found = changes(rate, 20, gain, &[silence, hum, silence, hiss, hiss])?;
                assert_eq!(found, [], "{rate} Hz, gain {gain}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_soft_voice_is_found_and_what_is_hardly_there_is_not() -> Result {
        assert_eq!(
            changes(48_000, 20, 0.03, &[silence, voice, silence])?.len(),
            2
        );
        assert_eq!(
            changes(48_000, 20, 0.000_3, &[silence, voice, silence])?,
            []
        );
        Ok(())
    }

    #[test]
    fn samples_that_are_no_numbers_do_not_deafen_it() -> Result {
        let mut vad = Harness::<Vad>::new(&[])?;
        let format = vad.format_id(&Format::audio("f32", 48_000, 1));
        let mut told = 0;
        for n in 0..100u32 {
            let mut loan = vad.loan(960 * 4)?;
            let samples = as_f32_mut(loan.as_mut_slice()).expect("aligned");
            for (at, sample) in samples.iter_mut().enumerate() {
                let t = f64::from(n * 960 + at as u32) / 48_000.0;
                let bad = [f32::NAN, f32::INFINITY, f32::MAX][at % 3];
                *sample = if n == 0 {
                    bad
                } else {
                    0.3 * voice(0, t) as f32
                };
            }
            let frame = Frame::new(Kind::Audio, loan).with_format_id(format);
            told += vad
                .push(0, vec![frame])?
                .iter()
                .filter(|(p, _)| *p == CHANGES)
                .count();
        }
        assert_eq!(told, 1, "it begins and does not end");
        Ok(())
    }
}
