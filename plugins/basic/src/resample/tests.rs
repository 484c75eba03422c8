use std::f64::consts::TAU;

use levada_plugin::{
    as_f32, as_f32_mut, as_i16, as_i16_mut,
    harness::{Harness, Output, Value},
    prelude::*,
};

use super::{Resample, rate::RateConverter};

const MS: i64 = 1_000_000;

fn node(rate: i64, channels: i64) -> Result<Harness<Resample>> {
    Harness::new(&[
        ("rate", Value::Integer(rate)),
        ("channels", Value::Integer(channels)),
    ])
}

fn block(node: &Harness<Resample>, format: &Format, pts: i64, samples: &[f32]) -> Result<Frame> {
    let mut loan = node.loan(size_of_val(samples))?;
    as_f32_mut(loan.as_mut_slice())
        .expect("aligned")
        .copy_from_slice(samples);
    let frame = Frame::new(Kind::Audio, loan).with_pts(pts);
    Ok(frame.with_format_id(node.format_id(format)))
}

fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
    let value = |n: usize| 0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin();
    (0..samples).map(|n| value(n) as f32).collect()
}

/// Pushes a sound in blocks of the lengths given, again and again, and drains.
fn convert(
    node: &mut Harness<Resample>,
    rate: u32,
    sound: &[f32],
    lengths: &[usize],
) -> Result<Output> {
    let format = Format::audio("f32", rate, 1);
    let (mut out, mut at) = (vec![], 0);
    for length in lengths.iter().cycle() {
        let part = &sound[at..sound.len().min(at + length)];
        let pts = at as i64 * 1_000_000_000 / i64::from(rate);
        out.extend(node.push(0, vec![block(node, &format, pts, part)?])?);
        at += part.len();
        if at == sound.len() {
            break;
        }
    }
    out.extend(node.drain()?);
    Ok(out)
}

fn samples(out: &[(usize, Frame)]) -> Vec<f32> {
    let of = |frame: &Frame| as_f32(frame.payload()).expect("aligned").to_vec();
    out.iter().flat_map(|(_, frame)| of(frame)).collect()
}

/// How far what is heard is below what it should be, in dB, without the edges of the sound.
fn error_db(heard: &[f32], wanted: impl Fn(usize) -> f64) -> f64 {
    let (mut error, mut signal) = (1e-30, 1e-30);
    let inner = heard.iter().enumerate().skip(500);
    for (n, heard) in inner.take(heard.len() - 1000) {
        error += (f64::from(*heard) - wanted(n)).powi(2);
        signal += wanted(n).powi(2);
    }
    10.0 * (error / signal).log10()
}

#[test]
fn a_tone_keeps_its_pitch_its_level_and_its_time() -> Result {
    for (from, to) in [
        (44_100, 48_000),
        (48_000, 44_100),
        (48_000, 16_000),
        (16_000, 48_000),
        (48_000, 8_000),
        (8_000, 48_000),
        (192_000, 8_000),
        // A ratio with so many fractions that weights are blended.
        (44_100, 44_057),
    ] {
        for hz in [100.0, 1_000.0, f64::from(from.min(to)) * 0.43] {
            let mut node = node(i64::from(to), 0)?;
            let out = convert(
                &mut node,
                from,
                &tone(hz, from, from as usize),
                &[from as usize / 50],
            )?;
            let heard = samples(&out);
            let db = error_db(&heard, |n| {
                0.5 * (TAU * hz * n as f64 / f64::from(to)).sin()
            });
            assert!(db < -70.0, "{from} to {to}, {hz} Hz: {db:.1} dB");
            assert_eq!(heard.len(), to as usize, "{from} to {to}");
        }
    }
    Ok(())
}

#[test]
fn what_is_too_high_for_the_new_rate_is_not_heard() -> Result {
    for hz in [8_100.0, 10_000.0, 15_900.0, 20_000.0] {
        let mut node = node(16_000, 0)?;
        let out = convert(&mut node, 48_000, &tone(hz, 48_000, 48_000), &[960])?;
        let heard = samples(&out);
        let inner = &heard[500..heard.len() - 500];
        let peak = inner.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
        assert!(peak < 0.0005, "{hz} Hz: {peak}");
    }
    Ok(())
}

#[test]
fn any_block_lengths_give_the_same_samples_at_the_same_times() -> Result {
    let sound = tone(440.0, 44_100, 20_000);
    let whole = samples(&convert(&mut node(48_000, 0)?, 44_100, &sound, &[20_000])?);
    for lengths in [&[1, 2, 3][..], &[441], &[1024], &[1, 9_999, 17]] {
        let out = convert(&mut node(48_000, 0)?, 44_100, &sound, lengths)?;
        assert_eq!(samples(&out), whole, "blocks of {lengths:?}");
        let mut count = 0;
        for (_, block) in &out {
            assert_eq!(block.pts(), count * 1_000_000_000 / 48_000);
            assert!(!block.has(flags::DISCONTINUITY));
            count += as_f32(block.payload()).expect("aligned").len() as i64;
        }
    }
    Ok(())
}

#[test]
fn ten_minutes_do_not_drift() {
    let mut converter = RateConverter::new(44_100, 48_000, 1);
    let (hz, mut pushed, mut made, mut worst) = (440.0, 0_usize, 0_usize, 0.0_f64);
    while pushed < 600 * 44_100 {
        let input = &mut converter.input()[0];
        // Whole periods are taken off, so that the last minute is as exact as the first.
        let sample = |n: usize| (n as f64 * hz / 44_100.0).fract() * TAU;
        input.extend((pushed..pushed + 44_100).map(|n| sample(n).sin() as f32));
        pushed += 44_100;
        let ready = converter.ready();
        converter.take(ready, |n, _, heard| {
            if made + n > 500 {
                let wanted = ((made + n) as f64 * hz / 48_000.0).fract() * TAU;
                worst = worst.max((f64::from(heard) - wanted.sin()).abs());
            }
        });
        made += ready;
    }
    converter.flush();
    made += converter.ready();
    assert_eq!(made, 600 * 48_000);
    assert!(worst < 0.001, "{worst}");
}

#[test]
fn what_is_wanted_already_is_not_touched() -> Result {
    let mut node = node(48_000, 2)?;
    let format = Format::audio("f32", 48_000, 2);
    for pts in [0, 20 * MS] {
        let frame = block(&node, &format, pts, &[0.1; 1920])?;
        let at = frame.payload().as_ptr();
        let out = node.push(0, vec![frame])?;
        assert_eq!(out[0].1.payload().as_ptr(), at);
    }
    assert_eq!(node.bytes_copied(), 0);
    Ok(())
}

#[test]
fn frames_of_two_kinds_in_one_batch_stay_in_order() -> Result {
    let mut node = node(48_000, 1)?;
    let as_wanted = Format::audio("f32", 48_000, 1);
    let other = Format::audio("f32", 48_000, 2);
    let batch = vec![
        block(&node, &as_wanted, 0, &[0.1; 960])?,
        block(&node, &other, 20 * MS, &[0.1; 1920])?,
        block(&node, &as_wanted, 40 * MS, &[0.1; 960])?,
    ];
    let times: Vec<i64> = node
        .push(0, batch)?
        .iter()
        .map(|(_, f)| f.pts() / MS)
        .collect();
    assert_eq!(times, [0, 20, 40]);
    Ok(())
}

#[test]
fn channels_are_mixed_without_delay_where_the_rate_stays() -> Result {
    let stereo = Format::audio("f32", 48_000, 2);
    let mut down = node(0, 1)?;
    let out = down.push(0, vec![block(&down, &stereo, 0, &[0.5, -0.1, 0.2, 0.2])?])?;
    assert_eq!(samples(&out), [0.2, 0.2]);
    assert_eq!(
        out[0].1.format_id(),
        down.format_id(&Format::audio("f32", 48_000, 1))
    );
    assert_eq!(down.bytes_copied(), 8);
    let mut up = node(0, 2)?;
    let mono = Format::audio("f32", 48_000, 1);
    let out = up.push(0, vec![block(&up, &mono, 0, &[0.5, -0.1])?])?;
    assert_eq!(samples(&out), [0.5, 0.5, -0.1, -0.1]);
    Ok(())
}

#[test]
fn every_number_of_channels_that_is_offered_is_made_of_every_other() -> Result {
    for from in 1..=8 {
        for to in 1..=8 {
            let mut node = node(0, to)?;
            let format = Format::audio("f32", 48_000, from);
            let frame = block(&node, &format, 0, &vec![0.5; 480 * from as usize])?;
            let out = node.push(0, vec![frame])?;
            assert_eq!(samples(&out).len(), 480 * to as usize, "{from} to {to}");
        }
    }
    Ok(())
}

#[test]
fn rate_and_channels_change_at_once() -> Result {
    let mut node = node(16_000, 2)?;
    let out = convert(&mut node, 48_000, &tone(1_000.0, 48_000, 48_000), &[960])?;
    let heard = samples(&out);
    assert_eq!(heard.len(), 2 * 16_000);
    assert!(heard.chunks(2).all(|pair| pair[0] == pair[1]));
    Ok(())
}

#[test]
fn a_jump_lets_out_what_was_held_and_begins_anew() -> Result {
    let mut node = node(48_000, 1)?;
    let format = Format::audio("f32", 24_000, 1);
    let sound = tone(440.0, 24_000, 2_400);
    let mut out = node.push(0, vec![block(&node, &format, 0, &sound)?])?;
    // 5 ms of jitter are none of its business.
    out.extend(node.push(0, vec![block(&node, &format, 105 * MS, &sound)?])?);
    out.extend(node.push(0, vec![block(&node, &format, 9_000 * MS, &sound)?])?);
    out.extend(node.drain()?);
    let first: Vec<_> = out
        .iter()
        .filter(|(_, f)| f.pts() < 1_000 * MS)
        .cloned()
        .collect();
    assert_eq!(samples(&first).len(), 2 * 4_800);
    let after = &out[first.len()].1;
    assert_eq!(after.pts(), 9_000 * MS);
    assert!(after.has(flags::DISCONTINUITY));
    assert_eq!(samples(&out).len(), 3 * 4_800);
    Ok(())
}

fn whole_block(
    node: &Harness<Resample>,
    format: &Format,
    pts: i64,
    samples: &[i16],
) -> Result<Frame> {
    let mut loan = node.loan(size_of_val(samples))?;
    as_i16_mut(loan.as_mut_slice())
        .expect("aligned")
        .copy_from_slice(samples);
    let frame = Frame::new(Kind::Audio, loan).with_pts(pts);
    Ok(frame.with_format_id(node.format_id(format)))
}

fn to(encoding: &'static str, rate: i64, channels: i64) -> Result<Harness<Resample>> {
    Harness::new(&[
        ("encoding", Value::Text(encoding)),
        ("rate", Value::Integer(rate)),
        ("channels", Value::Integer(channels)),
    ])
}

#[test]
fn whole_numbers_become_float_and_are_the_same_again() -> Result {
    let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let (whole, float) = (
        Format::audio("s16", 48_000, 2),
        Format::audio("f32", 48_000, 2),
    );
    let mut up = to("f32", 0, 0)?;
    let out = up.push(0, vec![whole_block(&up, &whole, 7, &all)?])?;
    assert_eq!(out[0].1.format_id(), up.format_id(&float));
    assert_eq!(out[0].1.pts(), 7);
    let heard = samples(&out);
    let mut pairs = heard.iter().zip(&all);
    assert!(pairs.all(|(float, whole)| *float == f32::from(*whole) / 32_768.0));
    assert_eq!(up.bytes_copied(), 4 << 16);

    let mut down = to("s16", 0, 0)?;
    let out = down.push(0, vec![block(&down, &float, 7, &heard)?])?;
    assert_eq!(out[0].1.format_id(), down.format_id(&whole));
    assert_eq!(as_i16(out[0].1.payload()), Some(&all[..]));
    // What is beyond full scale is as loud as can be.
    let loud = [1.0, -1.0, 7.0, -7.0, f32::INFINITY, f32::NAN];
    let out = down.push(0, vec![block(&down, &float, 1_000 * MS, &loud)?])?;
    let most = [i16::MAX, i16::MIN, i16::MAX, i16::MIN, i16::MAX, 0];
    assert_eq!(as_i16(out[0].1.payload()), Some(&most[..]));
    Ok(())
}

#[test]
fn whole_numbers_that_are_wanted_are_not_touched_and_others_are_converted_in_one_pass() -> Result {
    let format = Format::audio("s16", 48_000, 2);
    let sound: Vec<i16> = (0..9_600)
        .map(|n| (n * 37 % 20_000 - 10_000) as i16)
        .collect();
    let mut same = to("s16", 48_000, 2)?;
    let frame = whole_block(&same, &format, 0, &sound)?;
    let at = frame.payload().as_ptr();
    assert_eq!(same.push(0, vec![frame])?[0].1.payload().as_ptr(), at);
    assert_eq!(same.bytes_copied(), 0);

    let mut node = to("f32", 16_000, 1)?;
    let mut out = node.push(0, vec![whole_block(&node, &format, 0, &sound)?])?;
    out.extend(node.drain()?);
    let heard = samples(&out);
    assert_eq!(heard.len(), 1_600);
    let float: Vec<f32> = sound.iter().map(|s| f32::from(*s) / 32_768.0).collect();
    let format = Format::audio("f32", 48_000, 2);
    let mut other = to("f32", 16_000, 1)?;
    let mut out = other.push(0, vec![block(&other, &format, 0, &float)?])?;
    out.extend(other.drain()?);
    assert_eq!(samples(&out), heard);
    Ok(())
}

#[test]
fn half_a_sample_is_refused() -> Result {
    let mut node = to("f32", 0, 0)?;
    let format = node.format_id(&Format::audio("s16", 48_000, 2));
    let frame = Frame::new(Kind::Audio, node.loan(6)?).with_format_id(format);
    let refused = node.push(0, vec![frame]).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("6 bytes") && e.contains("2 channels")));
    Ok(())
}

#[test]
fn what_it_cannot_do_is_refused_with_a_remedy() -> Result {
    assert!(
        node(100, 0)
            .err()
            .is_some_and(|e| e.to_string().contains("8000"))
    );
    for format in [
        Format::audio("opus", 48_000, 2),
        Format::audio("f32", 1, 1),
        Format::audio("f32", 48_000, 0),
        Format::audio("f32", 48_000, 99),
    ] {
        let mut node = node(16_000, 1)?;
        let frame = block(&node, &format, 0, &[0.0; 4])?;
        assert!(node.push(0, vec![frame]).is_err(), "{format:?}");
    }
    Ok(())
}
