//! `throttle`: passes at most so many frames a second.
//!
//! Each stream has a moment from which on the next frame may pass. A frame that passes moves it on by one period, so
//! the average is kept exactly; one that is up to half a period early passes as well, so that jitter and a camera's
//! 33.3 ms against a period of 66.7 ms do not make it drop two of three.

use levada_plugin::{Streams, prelude::*};

/// Passes at most `fps` frames a second of each stream, by their `pts`; the others are dropped, and counted.
///
/// **Inputs** `in`: `video/i420` or messages. Coded video is decoded in front of it, because what is coded refers to
/// frames that would be dropped. **Outputs** `out`: the frames that pass, untouched. **Params** `fps`: frames a second.
/// A time that goes back by more than two periods, and a flush, begin anew. **Example**
/// `"camera -> slower -> detector"` with `slower = { type = "throttle", params = { fps = 5 } }`.
pub struct Throttle {
    period_ns: i64,
    /// By stream: when the next frame may pass.
    due: Streams<i64>,
}

impl Throttle {
    fn passes(&mut self, frame: &Frame) -> Result<bool> {
        let (pts, period) = (frame.pts(), self.period_ns);
        let due = self.due.of(frame.stream(), || Ok(pts))?;
        let early = due.saturating_sub(pts);
        // Two periods: no frame that passed lies that far ahead of the next one's moment.
        let goes_back = early > period.saturating_mul(2);
        if early > period / 2 && !goes_back {
            return Ok(false);
        }
        // The moments stay a period apart, so that lateness does not add up; after a pause they begin with this frame,
        // so that no burst makes up for it.
        let is_late = pts.saturating_sub(*due) >= period;
        let from = if goes_back || is_late { pts } else { *due };
        *due = from.saturating_add(period);
        Ok(true)
    }
}

impl Node for Throttle {
    const NAME: &'static str = "throttle";
    const SUMMARY: &'static str = "Passes at most so many frames a second";
    const PORTS: &'static [Port] = &[
        Port::input("in")
            .formats("video/i420 data/*")
            .forwards_to(1),
        Port::output("out").formats("video/i420 data/*"),
    ];
    const PARAMS: &'static [Param] = &[Param::float("fps", 10.0)
        .range(0.01, 1000.0)
        .unit("Hz")
        .help("How many frames pass in a second, at most")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Throttle {
            // The range keeps it inside its type, and above 0.
            period_ns: (1e9 / config.float("fps")?) as i64,
            due: Streams::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        let (mut dropped, mut failed) = (0, None);
        frames.replace_each(|frame| match self.passes(&frame) {
            Ok(true) => Some(frame),
            Ok(false) => {
                dropped += 1;
                None
            }
            Err(error) => {
                failed.get_or_insert(error);
                None
            }
        });
        if dropped > 0 {
            ctx.dropped(dropped);
        }
        failed.map_or(Ok(()), Err)
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        if (port, event.kind) == (0, event::kind::FLUSH) {
            let meant: Vec<u16> = self.due.meant_by(&event).map(|(id, _)| id).collect();
            meant.into_iter().for_each(|id| self.due.remove(id));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::{Harness, Value};

    /// The times of the frames that pass.
    fn pass(throttle: &mut Harness<Throttle>, times: &[i64]) -> Result<Vec<i64>> {
        let frames = times
            .iter()
            .map(|pts| Frame::from_bytes(Kind::Video, "p".into()).with_pts(*pts));
        let out = throttle.push(0, frames.collect())?;
        Ok(out.iter().map(|(_, frame)| frame.pts()).collect())
    }

    #[test]
    fn no_more_than_fps_frames_pass_whatever_the_jitter_and_all_others_are_counted() -> Result {
        for (fps, comes, jitter_ms) in [
            (15.0, 30.0, 8),
            (10.0, 30.0, 15),
            (7.0, 60.0, 3),
            (24.0, 30.0, 0),
        ] {
            let mut throttle = Harness::<Throttle>::new(&[("fps", Value::Float(fps))])?;
            let count = comes as i64 * 20;
            let times: Vec<i64> = (0..count)
                .map(|n| (n as f64 * 1e9 / comes) as i64 + (n * 7 % 3 - 1) * jitter_ms * 500_000)
                .collect();
            let passed = pass(&mut throttle, &times)?;
            assert_eq!(throttle.dropped(), (count as usize - passed.len()) as u64);
            let wanted = (20.0 * fps) as usize;
            assert!(
                (wanted - 2..=wanted + 1).contains(&passed.len()),
                "{} of {wanted} at {fps} of {comes} a second",
                passed.len()
            );
        }
        Ok(())
    }

    #[test]
    fn a_slower_stream_passes_whole_and_a_pause_makes_no_burst() -> Result {
        let mut throttle = Harness::<Throttle>::new(&[("fps", Value::Float(10.0))])?;
        let slow: Vec<i64> = (0..20).map(|n| n * 200_000_000).collect();
        assert_eq!(pass(&mut throttle, &slow)?, slow);
        let burst: Vec<i64> = (0..10).map(|n| 60_000_000_000 + n * 1_000_000).collect();
        assert_eq!(pass(&mut throttle, &burst)?, [60_000_000_000]);
        Ok(())
    }

    #[test]
    fn a_time_that_goes_back_begins_anew() -> Result {
        let mut throttle = Harness::<Throttle>::new(&[("fps", Value::Float(10.0))])?;
        assert_eq!(
            pass(&mut throttle, &[i64::MAX, 5, 6, i64::MIN])?,
            [i64::MAX, 5, i64::MIN]
        );
        Ok(())
    }
}
