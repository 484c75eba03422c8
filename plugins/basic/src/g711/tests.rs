use std::f64::consts::TAU;

use levada_plugin::{
    as_f32, as_f32_mut,
    harness::{Harness, Value},
    prelude::*,
};

use super::{G711Decoder, G711Encoder, law::Law};

/// A second of a tone that is no divisor of the rate, `db` below full scale.
fn tone(db: f64) -> Vec<f32> {
    let peak = 10_f64.powf(db / 20.0);
    let sample = |n: i32| peak * (TAU * 1004.0 * f64::from(n) / 8000.0 + 0.3).sin();
    (0..8000).map(|n| sample(n) as f32).collect()
}

fn block(node: &Harness<G711Encoder>, samples: &[f32]) -> Result<Frame> {
    let mut loan = node.loan(size_of_val(samples))?;
    as_f32_mut(loan.as_mut_slice())
        .expect("aligned")
        .copy_from_slice(samples);
    let format = node.format_id(&Format::audio("f32", 8000, 1));
    Ok(Frame::new(Kind::Audio, loan).with_format_id(format))
}

#[test]
fn codes_have_the_values_of_the_tables() {
    // ITU-T G.711, tables 1a to 2b: in 16 bits, where mu-law's 8031 is 32124 and A-law's 4032 is 32256.
    for (law, code, value) in [
        (Law::Mu, 0x80, 32_124),
        (Law::Mu, 0x00, -32_124),
        (Law::Mu, 0x8f, 16_764),
        (Law::Mu, 0xfe, 8),
        (Law::Mu, 0xff, 0),
        (Law::A, 0xaa, 32_256),
        (Law::A, 0x2a, -32_256),
        (Law::A, 0xd5, 8),
        (Law::A, 0x55, -8),
        (Law::A, 0xc5, 264),
        (Law::A, 0xf5, 528),
    ] {
        let found = law.values()[code] * 32_768.0;
        assert_eq!(found, value as f32, "{law:?} {code:#x}");
    }
}

#[test]
fn each_code_is_the_one_of_its_value_and_none_is_louder_than_the_last() {
    for law in [Law::Mu, Law::A] {
        for code in 0..=255_u8 {
            assert_eq!(law.code(law.values()[usize::from(code)]), code, "{law:?}");
        }
        let top = |sample: f32| law.values()[usize::from(law.code(sample))];
        for loud in [1.0, 1.5, f32::MAX, f32::INFINITY] {
            assert!(top(loud) > 0.97 && top(-loud) < -0.97, "{law:?} {loud}");
        }
        assert!(top(f32::NAN).abs() < 0.001);
    }
}

#[test]
fn a_milliwatt_of_1_khz_is_the_sequence_that_is_laid_down() {
    // ITU-T G.711, tables 5 and 6: a tone of 0 dBm0, 3.14 dB (A) and 3.17 dB (mu) below the loudest sine.
    for (law, codes, below) in [
        (
            Law::Mu,
            [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e],
            317,
        ),
        (
            Law::A,
            [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4],
            314,
        ),
    ] {
        // It was in 1/100 dB.
        let below = f64::from(below) / 100.0;
        let values = codes.map(|code: usize| f64::from(law.values()[code]));
        let power: f64 = values.iter().map(|v| v * v).sum::<f64>() / 8.0;
        let db = 10.0 * (2.0 * power).log10();
        assert!((db + below).abs() < 0.05, "{law:?}: {db:.3} dB");
        // Half a period above and half below, by one peak and 22.5 degrees on.
        let peak = 10_f64.powf(-below / 20.0);
        for (n, code) in (0..).zip(codes) {
            let sample = -peak * (TAU * (f64::from(n) + 0.5) / 8.0).sin();
            assert_eq!(usize::from(law.code(sample as f32)), code, "{law:?} {n}");
        }
    }
}

#[test]
fn a_tone_comes_back_with_the_ratio_of_its_law_at_any_level() -> Result {
    for (encoding, floor) in [("pcmu", 33.5), ("pcma", 33.0)] {
        let params = [("encoding", Value::Text(encoding))];
        let mut encoder = Harness::<G711Encoder>::new(&params)?;
        let mut decoder = Harness::<G711Decoder>::new(&[])?;
        for db in [-0.3, -3.0, -10.0, -20.0, -30.0, -40.0] {
            let said = tone(db);
            let frame = block(&encoder, &said)?
                .with_pts(7)
                .with_stream(3)
                .with_duration_us(1_000_000);
            let coded = encoder.push(0, vec![frame])?;
            let coded = &coded[0].1;
            assert_eq!(coded.payload().len(), said.len());
            let format = Format::audio(encoding, 8000, 1);
            assert_eq!(encoder.format(coded.format_id()), Some(format.clone()));
            let frame = Frame::from_bytes(Kind::Audio, coded.bytes())
                .with_format_id(decoder.format_id(&format))
                .with_pts(coded.pts())
                .with_stream(coded.stream())
                .with_duration_us(coded.duration_us());
            let heard = decoder.push(0, vec![frame])?;
            let heard = &heard[0].1;
            assert_eq!(
                heard.format_id(),
                decoder.format_id(&Format::audio("f32", 8000, 1))
            );
            assert_eq!(
                (heard.pts(), heard.stream(), heard.duration_us()),
                (7, 3, 1_000_000)
            );
            let heard = as_f32(heard.payload()).expect("aligned");
            let (mut signal, mut error) = (0.0, 0.0);
            for (s, h) in said.iter().zip(heard) {
                signal += f64::from(*s).powi(2);
                error += f64::from(s - h).powi(2);
            }
            let snr = 10.0 * (signal / error).log10();
            assert!(snr > floor, "{encoding} at {db} dB: {snr:.1} dB");
        }
        assert_eq!(encoder.bytes_copied(), 6 * 8000);
        assert_eq!(decoder.bytes_copied(), 6 * 8000 * 4);
    }
    Ok(())
}

#[test]
fn what_they_do_not_take_is_refused_with_a_remedy() -> Result {
    let mut encoder = Harness::<G711Encoder>::new(&[])?;
    let wide = encoder.format_id(&Format::audio("f32", 48_000, 2));
    let frame = block(&encoder, &[0.0; 8])?.with_format_id(wide);
    let refused = encoder.push(0, vec![frame]).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("48000") && e.contains("resample")));
    let mut decoder = Harness::<G711Decoder>::new(&[])?;
    let opus = decoder.format_id(&Format::audio("opus", 48_000, 2));
    let frame = Frame::from_bytes(Kind::Audio, vec![1].into()).with_format_id(opus);
    let refused = decoder.push(0, vec![frame]).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("audio/opus") && e.contains("decoder")));
    Ok(())
}
