//! Both nodes as an engine sees them. What they have in common is here: pictures, streams, and a measure of
//! likeness.

mod any_bytes;
mod colours;
mod damage;
mod decoding;
mod encoding;
mod quality;

use levada_plugin::{
    harness::{Harness, Value},
    picture::{I420, I420Mut, i420_bytes},
    prelude::*,
};

use crate::{H264Decoder, H264Encoder, nal};

const FRAME_NS: i64 = 1_000_000_000 / 30;

/// A picture of a stream: a texture that moves by two pixels a frame, under noise that no encoder can foresee, in
/// colours that change.
fn picture(n: i64, width: u32, height: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; i420_bytes(width, height)?];
    let mut picture = I420Mut::new(&mut bytes, width, height)?;
    let w = picture.width();
    for (y, row) in picture.y().chunks_exact_mut(w).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = (x as i64 + 2 * n, y as i64);
            let stripes = (x / 8 + y / 8) % 2 * 60;
            let slope = (x * 3 + y * 2) % 128;
            let mixed = (x << 40 ^ y << 20 ^ n).wrapping_mul(0x2545_f491_4f6c_dd1d);
            let noise = (mixed >> 40) & 7;
            *pixel = (20 + stripes + slope + noise) as u8;
        }
    }
    picture.u().fill((100 + n % 50) as u8);
    picture.v().fill((150 - n % 50) as u8);
    Ok(bytes)
}

/// Frame `n` of such a stream at 30 pictures a second, in memory of the host.
fn frame<N: Node>(harness: &Harness<N>, n: i64, width: u32, height: u32) -> Result<Frame> {
    let bytes = picture(n, width, height)?;
    let mut loan = harness.loan(bytes.len())?;
    loan.as_mut_slice().copy_from_slice(&bytes);
    Ok(Frame::new(Kind::Video, loan)
        .with_format_id(harness.format_id(&Format::video("i420", width, height)))
        .with_pts(n * FRAME_NS)
        .with_duration_us(33_333)
        .with_stream(1)
        .with_flags(flags::KEYFRAME))
}

/// A decoder's input: the payload of `unit` as a frame that the decoder's host knows.
fn coded(decoder: &Harness<H264Decoder>, unit: &Frame) -> Frame {
    let bits = [flags::KEYFRAME, flags::INTER, flags::DISCONTINUITY];
    let bits = bits.into_iter().filter(|bit| unit.has(*bit)).sum();
    Frame::from_bytes(Kind::Video, unit.bytes())
        .with_format_id(decoder.format_id(&Format::video("h264", 0, 0)))
        .with_pts(unit.pts())
        .with_duration_us(unit.duration_us())
        .with_stream(unit.stream())
        .with_flags(bits)
}

/// Encodes `count` pictures, which gives a unit for each.
fn stream(count: i64, width: u32, height: u32, params: &[(&str, Value)]) -> Result<Vec<Frame>> {
    let params: Vec<_> = params
        .iter()
        .copied()
        .chain([("skip", Value::Bool(false))])
        .collect();
    let mut encoder = Harness::<H264Encoder>::new(&params)?;
    let mut units = Vec::new();
    for n in 0..count {
        let input = frame(&encoder, n, width, height)?;
        units.extend(
            encoder
                .push(0, vec![input])?
                .into_iter()
                .map(|(_, unit)| unit),
        );
    }
    assert_eq!(units.len(), count as usize);
    Ok(units)
}

/// Likeness of two planes in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    let mean = squares as f64 / a.len() as f64;
    20.0 * 255f64.log10() - 10.0 * mean.max(1e-10).log10()
}

fn keyframe_request(stream: u32) -> Event {
    Event {
        kind: event::kind::KEYFRAME_REQUEST,
        stream,
        value: 0,
    }
}

fn bitrate(stream: u32, bits: i64) -> Event {
    Event {
        kind: event::kind::BITRATE,
        stream,
        value: bits,
    }
}

#[test]
fn a_round_trip_keeps_the_picture_and_its_time_and_copies_each_frame_once() -> Result {
    let (width, height) = (320, 180);
    let mut encoder = Harness::<H264Encoder>::new(&[("bitrate", Value::Integer(1500))])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let (mut coded_bytes, mut raw_bytes, mut worst) = (0, 0, f64::MAX);
    for n in 0..60 {
        let input = frame(&encoder, n, width, height)?;
        let units = encoder.push(0, vec![input])?;
        for (_, unit) in units {
            coded_bytes += unit.payload().len() as u64;
            assert_eq!(unit.has(flags::KEYFRAME), n == 0);
            assert_eq!(unit.has(flags::INTER), n != 0);
            let input = coded(&decoder, &unit);
            let out = decoder.push(0, vec![input])?;
            assert_eq!(out.len(), 1, "a picture in the same call");
            let shown = &out[0].1;
            assert_eq!(
                (shown.pts(), shown.duration_us(), shown.stream()),
                (n * FRAME_NS, 33_333, 1)
            );
            let format = decoder.format_id(&Format::video("i420", width, height));
            assert_eq!(shown.format_id(), format);
            raw_bytes += shown.payload().len() as u64;
            let sent = picture(n, width, height)?;
            let (sent, shown) = (
                I420::new(&sent, width, height)?,
                I420::new(shown.payload(), width, height)?,
            );
            for (a, b) in sent.planes().iter().zip(shown.planes()) {
                worst = worst.min(psnr(a.data, b.data));
            }
        }
    }
    println!(
        "worst plane {worst:.1} dB, {} kbit/s",
        coded_bytes * 8 / 2000
    );
    assert!(worst > 30.0, "{worst:.1} dB");
    assert!(raw_bytes >= 55 * i420_bytes(width, height)? as u64);
    assert_eq!(encoder.bytes_copied(), coded_bytes);
    assert_eq!(decoder.bytes_copied(), raw_bytes);
    Ok(())
}

#[test]
fn frames_of_another_format_are_refused_with_a_remedy() -> Result {
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let vp8 = decoder.format_id(&Format::video("vp8", 64, 48));
    let input = Frame::from_bytes(Kind::Video, vec![0; 9].into()).with_format_id(vp8);
    let refused = decoder.push(0, vec![input]).err().map(|e| e.to_string());
    assert!(
        refused.is_some_and(|e| e.contains("video/vp8 64x48") && e.contains("put the decoder"))
    );
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    let nv12 = encoder.format_id(&Format::video("nv12", 64, 48));
    let input = Frame::from_bytes(Kind::Video, vec![0; 9].into()).with_format_id(nv12);
    assert!(
        encoder
            .push(0, vec![input])
            .is_err_and(|e| e.to_string().contains("video/nv12"))
    );
    Ok(())
}
