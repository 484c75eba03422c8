//! What the encoder makes, and what it does when asked.

use super::*;

/// Encodes pictures `from..to`; the units with the number of their picture.
fn run(
    encoder: &mut Harness<H264Encoder>,
    range: std::ops::Range<i64>,
) -> Result<Vec<(i64, Frame)>> {
    let mut units = Vec::new();
    for n in range {
        let input = frame(encoder, n, 320, 180)?;
        units.extend(
            encoder
                .push(0, vec![input])?
                .into_iter()
                .map(|(_, unit)| (n, unit)),
        );
    }
    Ok(units)
}

fn keyframes(units: &[(i64, Frame)]) -> Vec<i64> {
    units
        .iter()
        .filter(|(_, unit)| unit.has(flags::KEYFRAME))
        .map(|(n, _)| *n)
        .collect()
}

#[test]
fn a_keyframe_comes_with_the_next_picture_after_a_request_and_not_otherwise() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    let mut units = run(&mut encoder, 0..7)?;
    assert!(encoder.event(1, keyframe_request(1))?);
    assert!(encoder.event(1, keyframe_request(1))?);
    units.extend(run(&mut encoder, 7..12)?);
    assert!(encoder.event(1, keyframe_request(9))?, "another stream's");
    units.extend(run(&mut encoder, 12..15)?);
    assert!(encoder.event(1, keyframe_request(event::ALL_STREAMS))?);
    units.extend(run(&mut encoder, 15..18)?);
    assert_eq!(keyframes(&units), [0, 7, 15]);
    for (n, unit) in &units {
        let look = nal::look(unit.payload());
        assert_eq!(look.is_idr, unit.has(flags::KEYFRAME), "{n}");
        assert_eq!(
            look.sps.is_some(),
            look.is_idr,
            "parameter sets in band at each keyframe"
        );
    }
    Ok(())
}

#[test]
fn keyframes_come_at_the_interval_that_is_asked_for() -> Result {
    let params = [
        ("keyframe-interval", Value::Float(0.5)),
        ("skip", Value::Bool(false)),
    ];
    let mut encoder = Harness::<H264Encoder>::new(&params)?;
    let units = run(&mut encoder, 0..50)?;
    let keyframes = keyframes(&units);
    assert!(
        keyframes.len() == 4
            && keyframes
                .windows(2)
                .all(|w| (15..=16).contains(&(w[1] - w[0]))),
        "{keyframes:?}"
    );
    Ok(())
}

#[test]
fn the_stream_is_constrained_baseline() -> Result {
    let units = stream(1, 320, 180, &[])?;
    let sps = nal::look(units[0].payload()).sps.unwrap_or_default();
    let [_, profile, constraints, ..] = sps else {
        panic!("{sps:?}")
    };
    assert_eq!(*profile, 66);
    assert_eq!(
        constraints & 0x40,
        0x40,
        "constraint_set1: decoders of the main profile take it"
    );
    Ok(())
}

/// kbit/s of the units of pictures in `range`, at 30 a second.
fn kbits(units: &[(i64, Frame)], range: std::ops::Range<i64>) -> i64 {
    let seconds = (range.end - range.start) as f64 / 30.0;
    let within = units.iter().filter(|(n, _)| range.contains(n));
    let bytes: usize = within.map(|(_, unit)| unit.payload().len()).sum();
    (bytes as f64 * 8.0 / 1000.0 / seconds) as i64
}

#[test]
fn a_bitrate_event_is_followed_within_a_second_without_a_new_stream() -> Result {
    for skip in [true, false] {
        let params = [
            ("bitrate", Value::Integer(1200)),
            ("skip", Value::Bool(skip)),
        ];
        let mut encoder = Harness::<H264Encoder>::new(&params)?;
        let mut units = run(&mut encoder, 0..90)?;
        let before = kbits(&units, 60..90);
        assert!(encoder.event(1, bitrate(1, 300_000))?);
        units.extend(run(&mut encoder, 90..150)?);
        let after = kbits(&units, 120..150);
        assert!(encoder.event(1, bitrate(event::ALL_STREAMS, 900_000))?);
        units.extend(run(&mut encoder, 150..210)?);
        let again = kbits(&units, 180..210);
        assert!(encoder.event(1, bitrate(1, 50_000_000))?);
        units.extend(run(&mut encoder, 210..270)?);
        let most = kbits(&units, 240..270);
        println!("skip {skip}: {before}, then {after}, then {again}, then {most} kbit/s");
        assert!((800..=1400).contains(&before), "{before}");
        assert!((180..=375).contains(&after), "{after}");
        assert!((600..=1100).contains(&again), "{again}");
        assert!(
            (800..=1400).contains(&most),
            "never beyond the param: {most}"
        );
        assert_eq!(keyframes(&units), [0], "the stream goes on");
        let left_out = 270 - units.len() as u64;
        assert_eq!(encoder.dropped(), left_out, "what is left out is counted");
        assert!(skip || left_out == 0);
    }
    Ok(())
}

#[test]
fn the_bitrate_holds_at_whatever_rate_pictures_come() -> Result {
    // 15 and 120 a second: each picture of the slow stream may have eight times the bits.
    for hz in [15, 120] {
        let params = [
            ("bitrate", Value::Integer(600)),
            ("skip", Value::Bool(false)),
        ];
        let mut encoder = Harness::<H264Encoder>::new(&params)?;
        let mut bytes = 0;
        for n in 0..hz * 4 {
            let input = frame(&encoder, n, 320, 180)?.with_pts(n * 1_000_000_000 / hz);
            for (_, unit) in encoder.push(0, vec![input])? {
                bytes += if n >= hz * 2 { unit.payload().len() } else { 0 };
            }
        }
        let kbits = bytes * 8 / 2 / 1000;
        println!("{hz} Hz: {kbits} kbit/s");
        assert!((350..=800).contains(&kbits), "{hz} Hz: {kbits} kbit/s");
    }
    Ok(())
}

#[test]
fn another_size_begins_with_a_keyframe_and_is_decoded_as_such() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let sizes = [(320, 180), (640, 360), (16, 16), (320, 180), (64, 200)];
    let mut n = 0;
    for (width, height) in sizes {
        for at in 0..4 {
            let input = frame(&encoder, n, width, height)?;
            let out = encoder.push(0, vec![input])?;
            let unit = &out[0].1;
            assert_eq!(unit.has(flags::KEYFRAME), at == 0, "{width}x{height}");
            assert_eq!(
                unit.format_id(),
                encoder.format_id(&Format::video("h264", width, height))
            );
            let input = coded(&decoder, unit);
            let shown = decoder.push(0, vec![input])?;
            let shown = &shown[0].1;
            assert_eq!(
                shown.format_id(),
                decoder.format_id(&Format::video("i420", width, height))
            );
            let sent = picture(n, width, height)?;
            let likeness = psnr(
                I420::new(&sent, width, height)?.y(),
                I420::new(shown.payload(), width, height)?.y(),
            );
            assert!(likeness > 24.0, "{width}x{height}: {likeness:.1} dB");
            n += 1;
        }
    }
    assert_eq!(decoder.dropped() + encoder.dropped(), 0);
    Ok(())
}

#[test]
fn odd_sizes_lose_their_last_row_or_column() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[("bitrate", Value::Integer(3000))])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for (width, height) in [(97, 65), (98, 33), (33, 98)] {
        let input = frame(&encoder, 0, width, height)?;
        let out = encoder.push(0, vec![input])?;
        let input = coded(&decoder, &out[0].1);
        let shown = decoder.push(0, vec![input])?;
        let (w, h) = (width & !1, height & !1);
        assert_eq!(
            shown[0].1.format_id(),
            decoder.format_id(&Format::video("i420", w, h))
        );
        let sent = picture(0, width, height)?;
        let (sent, shown) = (
            I420::new(&sent, width, height)?,
            I420::new(shown[0].1.payload(), w, h)?,
        );
        let rows = sent.planes()[0].rows().zip(shown.planes()[0].rows());
        let worst = rows
            .map(|(a, b)| psnr(&a[..w as usize], b))
            .fold(f64::MAX, f64::min);
        assert!(worst > 24.0, "{width}x{height}: {worst:.1} dB");
    }
    Ok(())
}

#[test]
fn too_small_is_dropped_and_too_large_is_an_error_with_a_remedy() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    for (width, height) in [(2, 2), (15, 64), (64, 15)] {
        let input = frame(&encoder, 0, width, height)?;
        assert!(encoder.push(0, vec![input])?.is_empty());
    }
    assert_eq!(encoder.dropped(), 3);
    let portrait = frame(&encoder, 0, 2160, 3840)?;
    assert_eq!(encoder.push(0, vec![portrait])?.len(), 1);
    for (width, height) in [(3842, 64), (2400, 2400)] {
        let input = frame(&encoder, 0, width, height)?;
        let refused = encoder.push(0, vec![input]).err().map(|e| e.to_string());
        assert!(
            refused
                .is_some_and(|e| e.contains(&format!("{width}x{height}")) && e.contains("resize"))
        );
    }
    Ok(())
}

#[test]
fn streams_of_one_link_are_encoded_apart() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for n in 0..6 {
        for (stream, width) in [(1, 320), (2, 160)] {
            let input = frame(&encoder, n, width, 96)?.with_stream(stream);
            let out = encoder.push(0, vec![input])?;
            assert_eq!(
                out[0].1.has(flags::KEYFRAME),
                n == 0,
                "no size changes within a stream"
            );
            let input = coded(&decoder, &out[0].1);
            let shown = decoder.push(0, vec![input])?;
            assert_eq!(shown[0].1.stream(), stream);
            assert_eq!(
                shown[0].1.format_id(),
                decoder.format_id(&Format::video("i420", width, 96))
            );
        }
    }
    Ok(())
}
