//! What the encoder makes, and what it does when asked.

use levada_plugin::{
    harness::Value,
    picture::{I420, I420Mut, i420_bytes},
};

use super::*;
use crate::encoder::Vp8Encoder;

const SIZE: (u32, u32) = (320, 180);

/// Picture `n` of a stream: a texture that moves by two pixels a frame, under noise that no encoder can foresee.
fn picture(n: i64, (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let mut bytes = vec![0; i420_bytes(width, height)?];
    let mut picture = I420Mut::new(&mut bytes, width, height)?;
    for (y, row) in picture.y().chunks_exact_mut(width as usize).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = (x as i64 + 2 * n, y as i64);
            let mixed = (x << 40 ^ y << 20 ^ n).wrapping_mul(0x2545_f491_4f6c_dd1d);
            let texture = (x / 8 + y / 8) % 2 * 60 + (x * 3 + y * 2) % 128;
            *pixel = (20 + texture + ((mixed >> 40) & 7)) as u8;
        }
    }
    picture.u().fill((100 + n % 50) as u8);
    picture.v().fill((150 - n % 50) as u8);
    Ok(bytes)
}

fn encode(node: &mut Harness<Vp8Encoder>, n: i64, size: (u32, u32)) -> Result<Output> {
    let bytes = picture(n, size)?;
    let mut loan = node.loan(bytes.len())?;
    loan.as_mut_slice().copy_from_slice(&bytes);
    let frame = Frame::new(Kind::Video, loan)
        .with_format_id(node.format_id(&Format::video("i420", size.0, size.1)))
        .with_pts(n * 1_000_000_000 / 30)
        .with_duration_us(33_333)
        .with_stream(1);
    node.push(0, vec![frame])
}

/// Encodes pictures `range`; the frames with the number of their picture.
fn run(node: &mut Harness<Vp8Encoder>, range: std::ops::Range<i64>) -> Result<Vec<(i64, Frame)>> {
    let mut units = Vec::new();
    for n in range {
        let out = encode(node, n, SIZE)?;
        units.extend(out.into_iter().map(|(_, unit)| (n, unit)));
    }
    Ok(units)
}

fn keyframes(units: &[(i64, Frame)]) -> Vec<i64> {
    let keys = units.iter().filter(|(_, unit)| unit.has(flags::KEYFRAME));
    keys.map(|(n, _)| *n).collect()
}

/// Likeness of two planes in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
    let mean = squares.sum::<u64>() as f64 / a.len() as f64;
    20.0 * 255f64.log10() - 10.0 * mean.max(1e-10).log10()
}

#[test]
fn a_round_trip_keeps_the_picture_at_any_size() -> Result {
    for size in [SIZE, (97, 65), (640, 361)] {
        let mut node = Harness::<Vp8Encoder>::new(&[("bitrate", Value::Integer(2500))])?;
        let mut decoder = Harness::<Vp8Decoder>::new(&[])?;
        let mut worst = f64::MAX;
        for n in 0..30 {
            let out = encode(&mut node, n, size)?;
            let unit = &out[0].1;
            assert_eq!(unit.has(flags::KEYFRAME), n == 0);
            assert_eq!(
                unit.has(flags::KEYFRAME),
                codec::is_keyframe(unit.payload())
            );
            assert_eq!((unit.pts(), unit.stream()), (n * 1_000_000_000 / 30, 1));
            let shown = push(&mut decoder, n, unit.payload())?;
            let sent = picture(n, size)?;
            let (sent, shown) = (
                I420::new(&sent, size.0, size.1)?,
                I420::new(shown[0].1.payload(), size.0, size.1)?,
            );
            worst = worst.min(psnr(sent.y(), shown.y()));
        }
        println!("{size:?}: {worst:.1} dB at worst");
        assert!(worst > 27.0, "{size:?}: {worst:.1} dB");
        assert_eq!(decoder.dropped(), 0);
    }
    Ok(())
}

#[test]
fn frames_come_with_the_colours_of_their_pictures_and_a_change_needs_no_keyframe() -> Result {
    let mut node = Harness::<Vp8Encoder>::new(&[])?;
    let bytes = picture(0, SIZE)?;
    for (n, colours) in (0..).zip(["range=full;matrix=smpte170m", "range=limited", ""]) {
        let format = Format::video("i420", SIZE.0, SIZE.1).with_config(colours);
        let frame = Frame::from_bytes(Kind::Video, bytes.clone().into())
            .with_format_id(node.format_id(&format))
            .with_pts(n * 33_333_333)
            .with_stream(1);
        let out = node.push(0, vec![frame])?;
        assert_eq!(out[0].1.has(flags::KEYFRAME), n == 0);
        let format = node.format(out[0].1.format_id()).unwrap_or_default();
        assert_eq!(
            format,
            Format::video("vp8", SIZE.0, SIZE.1).with_config(colours)
        );
    }
    Ok(())
}

#[test]
fn a_keyframe_comes_with_the_next_picture_after_a_request_and_not_otherwise() -> Result {
    let mut node = Harness::<Vp8Encoder>::new(&[])?;
    let mut units = run(&mut node, 0..7)?;
    assert!(node.event(1, of_kind(event::kind::KEYFRAME_REQUEST, 1))?);
    units.extend(run(&mut node, 7..12)?);
    assert!(
        node.event(1, of_kind(event::kind::KEYFRAME_REQUEST, 9))?,
        "another stream's"
    );
    units.extend(run(&mut node, 12..15)?);
    assert!(node.event(
        1,
        of_kind(event::kind::KEYFRAME_REQUEST, event::ALL_STREAMS)
    )?);
    units.extend(run(&mut node, 15..18)?);
    assert_eq!(keyframes(&units), [0, 7, 15]);
    let mut node = Harness::<Vp8Encoder>::new(&[("keyframe-interval", Value::Float(0.5))])?;
    assert_eq!(keyframes(&run(&mut node, 0..40)?), [0, 15, 30]);
    Ok(())
}

#[test]
fn a_bitrate_event_is_followed_within_a_second_without_a_new_stream() -> Result {
    for skip in [true, false] {
        let params = [
            ("bitrate", Value::Integer(1200)),
            ("skip", Value::Bool(skip)),
        ];
        let mut node = Harness::<Vp8Encoder>::new(&params)?;
        let mut units = run(&mut node, 0..90)?;
        let told = |node: &mut Harness<Vp8Encoder>, stream: u32, value: i64| {
            let kind = event::kind::BITRATE;
            node.event(
                1,
                Event {
                    kind,
                    stream,
                    value,
                },
            )
        };
        assert!(told(&mut node, 1, 300_000)?);
        units.extend(run(&mut node, 90..150)?);
        assert!(told(&mut node, event::ALL_STREAMS, 50_000_000)?);
        units.extend(run(&mut node, 150..210)?);
        // kbit/s of a second.
        let kbits = |from: i64| {
            let within = units.iter().filter(|(n, _)| (from..from + 30).contains(n));
            within.map(|(_, unit)| unit.payload().len()).sum::<usize>() * 8 / 1000
        };
        let (before, after, again) = (kbits(60), kbits(120), kbits(180));
        println!("skip {skip}: {before}, then {after}, then {again} kbit/s");
        assert!((800..=1400).contains(&before), "{before}");
        assert!((180..=375).contains(&after), "{after}");
        assert!(
            (800..=1400).contains(&again),
            "never beyond the param: {again}"
        );
        assert_eq!(keyframes(&units), [0], "the stream goes on");
        assert_eq!(
            node.dropped(),
            210 - units.len() as u64,
            "what is left out is counted"
        );
    }
    Ok(())
}

#[test]
fn another_size_begins_with_a_keyframe_and_times_may_go_back() -> Result {
    let mut node = Harness::<Vp8Encoder>::new(&[])?;
    let mut decoder = Harness::<Vp8Decoder>::new(&[])?;
    for size in [SIZE, (2, 2), (64, 200), SIZE] {
        for n in [5, 6, 3, 1000, 4] {
            let out = encode(&mut node, n, size)?;
            assert_eq!(out[0].1.has(flags::KEYFRAME), n == 5, "{size:?}");
            let shown = push(&mut decoder, n, out[0].1.payload())?;
            let format = decoder.format_id(&Format::video("i420", size.0, size.1));
            assert_eq!(shown[0].1.format_id(), format);
        }
    }
    let refused = encode(&mut node, 0, (8192, 2000))
        .err()
        .map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("8192x2000") && e.contains("resize")));
    Ok(())
}
