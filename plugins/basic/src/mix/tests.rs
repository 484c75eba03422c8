use super::*;
use levada_plugin::harness::{Harness, Output, Value};

const MS: i64 = 1_000_000;

/// A mixer of mono sound at 48 kHz whose first `inputs` inputs are linked.
fn mixer(inputs: u32, params: &[(&str, Value)]) -> Result<Harness<Mix>> {
    let mut all = vec![("channels", Value::Integer(1))];
    all.extend_from_slice(params);
    Harness::with_linked_ports(&all, ((1 << inputs) - 1) | (1 << OUT))
}

/// `ms` of sound with one value.
fn block(mix: &Harness<Mix>, pts: i64, ms: i64, value: f32) -> Result<Frame> {
    let mut loan = mix.loan((ms * 48) as usize * size_of::<f32>())?;
    as_f32_mut(loan.as_mut_slice())
        .expect("aligned")
        .fill(value);
    let format = mix.format_id(&Format::audio("f32", 48_000, 1));
    Ok(Frame::new(Kind::Audio, loan)
        .with_format_id(format)
        .with_pts(pts))
}

/// Times and samples of what came out, checked to be without a hole unless it is marked.
#[derive(Default)]
struct Heard {
    pts: Vec<i64>,
    samples: Vec<f32>,
    jumps: usize,
    next: Option<i64>,
}

impl Heard {
    fn hear(&mut self, out: Output) {
        for (port, frame) in out {
            assert_eq!(port, OUT);
            let samples = as_f32(frame.payload()).expect("aligned");
            let length = samples.len() as i64 * 1_000_000_000 / 48_000;
            if frame.has(flags::DISCONTINUITY) {
                self.jumps += 1;
            } else if let Some(next) = self.next {
                assert!(
                    (frame.pts() - next).abs() <= 1,
                    "{} after {next}",
                    frame.pts()
                );
            }
            self.next = Some(frame.pts() + length);
            self.pts.push(frame.pts());
            self.samples.extend_from_slice(samples);
        }
    }

    /// How many ms of each value, one after the other.
    fn runs(&self) -> Vec<(f32, usize)> {
        let mut runs: Vec<(f32, usize)> = vec![];
        for sample in &self.samples {
            match runs.last_mut() {
                Some((value, count)) if (*value - sample).abs() < 1e-6 => *count += 1,
                _ => runs.push((*sample, 1)),
            }
        }
        runs.iter()
            .map(|(value, count)| (*value, count / 48))
            .collect()
    }
}

#[test]
fn sound_of_one_moment_is_added_up_at_its_own_time_whatever_its_blocks() -> Result {
    let mut mix = mixer(2, &[("gain2", Value::Float(-20.0))])?;
    let mut heard = Heard::default();
    let begin = 7_000_000_123;
    // 20 ms blocks on one input; 10 ms blocks on the other, which begins 15 ms later.
    for n in 0..6 {
        let frame = block(&mix, begin + n * 20 * MS, 20, 0.25)?;
        heard.hear(mix.push(0, vec![frame])?);
        for half in 0..2 {
            let pts = begin + (15 + n * 20 + half * 10) * MS;
            let frame = block(&mix, pts, 10, 0.5)?;
            heard.hear(mix.push(1, vec![frame])?);
        }
    }
    heard.hear(mix.drain()?);
    assert_eq!(heard.pts[0], begin);
    assert_eq!(heard.runs(), [(0.25, 15), (0.3, 105), (0.05, 15)]);
    assert_eq!(heard.jumps, 0);
    Ok(())
}

#[test]
fn a_silent_input_holds_nobody_up_for_longer_than_the_bound_and_joins_again() -> Result {
    let mut mix = mixer(2, &[])?;
    let mut heard = Heard::default();
    let mut longest = 0;
    for n in 0..100 {
        let frame = block(&mix, n * 20 * MS, 20, 0.25)?;
        heard.hear(mix.push(0, vec![frame])?);
        longest = longest.max((n + 1) * 20 * MS - heard.next.unwrap_or(0));
        if n >= 50 {
            let frame = block(&mix, n * 20 * MS, 20, 0.25)?;
            heard.hear(mix.push(1, vec![frame])?);
        }
    }
    heard.hear(mix.drain()?);
    assert!(longest <= PATIENCE_NS + 20 * MS, "{longest} ns");
    assert_eq!(heard.samples.len(), 100 * 20 * 48);
    assert_eq!(heard.pts[0], 0);
    // The block with which it comes back is late; the others wait for it from then on.
    assert_eq!(heard.runs(), [(0.25, 1020), (0.5, 980)]);
    assert_eq!(mix.dropped(), 1);
    Ok(())
}

#[test]
fn inputs_that_have_ended_are_not_waited_for() -> Result {
    let mut mix = mixer(3, &[])?;
    for port in [1, 2] {
        let end = Event {
            kind: event::kind::END_OF_STREAM,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        mix.event(port, end)?;
    }
    let frame = block(&mix, 5, 20, 0.25)?;
    assert_eq!(mix.push(0, vec![frame])?.len(), 1);
    Ok(())
}

#[test]
fn a_gap_says_that_an_input_need_not_be_waited_for() -> Result {
    let mut mix = mixer(2, &[])?;
    let frame = block(&mix, 0, 20, 0.25)?;
    assert!(mix.push(0, vec![frame])?.is_empty());
    let gap = Event {
        kind: event::kind::GAP,
        stream: event::ALL_STREAMS,
        value: 60 * MS,
    };
    assert!(mix.event(1, gap)?, "it does not hold of the mix");
    let mut heard = Heard::default();
    let frame = block(&mix, 20 * MS, 60, 0.25)?;
    heard.hear(mix.push(0, vec![frame])?);
    assert_eq!(heard.samples.len(), 60 * 48);
    Ok(())
}

#[test]
fn loud_sums_are_bent_below_full_scale_and_others_are_exact() {
    for sum in [0.0, 0.3, -0.9, 0.9] {
        assert_eq!(limit(sum), sum);
    }
    let mut last = limit(0.9);
    for step in 1..=40 {
        let bent = limit(0.9 + step as f32 * 0.005);
        assert!(bent > last && bent < 1.0, "{bent} after {last}");
        last = bent;
    }
    assert!(limit(1e30) <= 1.0 && limit(-8.0) >= -1.0);
    assert!((limit(0.9001) - 0.9001).abs() < 1e-6, "no edge at the knee");
}

#[test]
fn an_input_with_another_clock_is_laid_to_where_the_mix_is() -> Result {
    let mut mix = mixer(2, &[])?;
    let mut heard = Heard::default();
    for n in 0..50 {
        let frame = block(&mix, 9_000_000 * MS + n * 20 * MS, 20, 0.25)?;
        heard.hear(mix.push(0, vec![frame])?);
        let frame = block(&mix, n * 20 * MS, 20, 0.25)?;
        heard.hear(mix.push(1, vec![frame])?);
    }
    heard.hear(mix.drain()?);
    assert_eq!(heard.runs(), [(0.5, 1000)]);
    assert_eq!((heard.jumps, mix.dropped()), (0, 0));
    Ok(())
}

#[test]
fn a_pause_of_all_inputs_is_left_out_and_marked_and_times_stay_true() -> Result {
    let mut mix = mixer(2, &[])?;
    let mut heard = Heard::default();
    for begin in [0, 30_000 * MS] {
        for n in 0..20 {
            for port in 0..2 {
                let frame = block(&mix, begin + n * 20 * MS, 20, 0.25)?;
                heard.hear(mix.push(port, vec![frame])?);
            }
        }
    }
    heard.hear(mix.drain()?);
    assert_eq!(heard.jumps, 1);
    assert!(heard.pts.contains(&(30_000 * MS)), "{:?}", heard.pts);
    assert_eq!(mix.dropped(), 0);
    assert_eq!(heard.runs(), [(0.5, 800)]);
    Ok(())
}

#[test]
fn sound_that_lies_far_apart_takes_no_memory_for_the_time_between() -> Result {
    let mut mix = mixer(2, &[])?;
    let mut heard = Heard::default();
    for (port, seconds) in [(0, 0), (1, 3000), (0, 1), (1, 3001)] {
        let frame = block(&mix, seconds * 1000 * MS, 20, 0.25)?;
        heard.hear(mix.push(port, vec![frame])?);
    }
    heard.hear(mix.drain()?);
    assert!(
        heard.samples.len() <= 5 * 20 * 48,
        "{} samples",
        heard.samples.len()
    );
    assert!(heard.jumps > 0 && heard.pts.contains(&(3_000_000 * MS)));
    Ok(())
}

#[test]
fn one_absurd_time_ends_nothing() -> Result {
    let mut mix = mixer(2, &[])?;
    let mut samples = 0;
    for n in 0..50 {
        for port in 0..2 {
            let pts = match (n, port) {
                (10, 0) => i64::MAX,
                (20, 1) => i64::MIN,
                _ => n * 20 * MS,
            };
            let frame = block(&mix, pts, 20, 0.25)?;
            let out = mix.push(port, vec![frame])?;
            samples += out
                .iter()
                .map(|(_, f)| f.payload().len() / 4)
                .sum::<usize>();
        }
    }
    assert!(samples >= 48 * 900, "{samples} samples of 1 s");
    Ok(())
}

#[test]
fn a_second_stream_of_an_input_is_dropped_and_counted() -> Result {
    let mut mix = mixer(1, &[])?;
    for (stream, pts, dropped) in [(1, 0, 0), (2, 20, 1), (1, 20, 1)] {
        let frame = block(&mix, pts * MS, 20, 0.1)?.with_stream(stream);
        mix.push(0, vec![frame])?;
        assert_eq!(mix.dropped(), dropped);
    }
    Ok(())
}

#[test]
fn other_formats_are_refused_with_both_and_the_ports_say_so_before() -> Result {
    let mut mix = mixer(1, &[])?;
    let other = mix.format_id(&Format::audio("f32", 44_100, 2));
    let frame = block(&mix, 0, 20, 0.1)?.with_format_id(other);
    let refused = mix.push(0, vec![frame]).err().map(|e| e.to_string());
    assert!(
        refused
            .as_ref()
            .is_some_and(|e| e.contains("48000") && e.contains("44100") && e.contains("resample")),
        "{refused:?}"
    );
    let offered = Harness::<Mix>::offers(&[("rate", Value::Integer(16_000))], 3)?;
    assert_eq!(offered.as_deref(), Some("audio/f32;rate=16000;channels=2"));
    Ok(())
}
