//! Floors of quality: how like the pictures that come back are to those that went in, at stated bitrates.
//!
//! The floors are a little below what was measured with OpenH264 2.6 (`docs/codecs.md` has the table), so that a setting that
//! costs quality is seen.

use super::*;

const SIZE: (u32, u32) = (640, 360);
const PICTURES: i64 = 60;

/// What there is to see.
#[derive(Clone, Copy, Debug)]
enum Scene {
    /// A texture that moves by two pixels a picture.
    Motion,
    /// The same under faint noise, which no encoder can foresee.
    Noisy,
    /// Noise alone.
    Noise,
}

fn scene(scene: Scene, n: i64) -> Result<Vec<u8>> {
    let (width, height) = SIZE;
    if let Scene::Noisy = scene {
        return picture(n, width, height);
    }
    let mut bytes = vec![128; i420_bytes(width, height)?];
    let mut picture = I420Mut::new(&mut bytes, width, height)?;
    let w = picture.width();
    for (y, row) in picture.y().chunks_exact_mut(w).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = (x as i64, y as i64);
            *pixel = match scene {
                Scene::Noise => {
                    let mixed = (x << 40 ^ y << 20 ^ n).wrapping_mul(0x2545_f491_4f6c_dd1d);
                    96 + (mixed >> 40 & 63) as u8
                }
                _ => {
                    let x = x + 2 * n;
                    (20 + (x / 8 + y / 8) % 2 * 60 + (x * 3 + y * 2) % 128) as u8
                }
            };
        }
    }
    Ok(bytes)
}

/// Encodes and decodes the scene at 30 pictures a second: the mean likeness of Y behind the first second, in dB, and the
/// kbit/s of that time.
fn measure(what: Scene, bitrate: i64) -> Result<(f64, f64)> {
    let mut encoder = Harness::<H264Encoder>::new(&[("bitrate", Value::Integer(bitrate))])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let (mut sum, mut bytes, mut count) = (0.0, 0, 0);
    for n in 0..PICTURES {
        let sent = scene(what, n)?;
        let mut loan = encoder.loan(sent.len())?;
        loan.as_mut_slice().copy_from_slice(&sent);
        let input = Frame::new(Kind::Video, loan)
            .with_format_id(encoder.format_id(&Format::video("i420", SIZE.0, SIZE.1)))
            .with_pts(n * FRAME_NS)
            .with_stream(1);
        let out = encoder.push(0, vec![input])?;
        let unit = &out[0].1;
        let input = coded(&decoder, unit);
        let shown = decoder.push(0, vec![input])?;
        if n >= 30 {
            let light = (SIZE.0 * SIZE.1) as usize;
            sum += psnr(&sent[..light], &shown[0].1.payload()[..light]);
            bytes += unit.payload().len();
            count += 1;
        }
    }
    let kbits = bytes as f64 * 8.0 * 30.0 / 1000.0 / f64::from(count);
    Ok((sum / f64::from(count), kbits))
}

#[test]
fn pictures_come_back_at_least_as_like_as_stated_at_each_bitrate() -> Result {
    for (what, bitrate, floor) in [
        (Scene::Motion, 500, 42.0),
        (Scene::Motion, 1500, 48.0),
        (Scene::Noisy, 500, 34.0),
        (Scene::Noisy, 1500, 37.5),
        (Scene::Noisy, 4000, 38.0),
        (Scene::Noise, 4000, 27.5),
    ] {
        let (db, kbits) = measure(what, bitrate)?;
        println!("{what:?} at {bitrate} kbit/s: {db:.1} dB, {kbits:.0} kbit/s");
        assert!(db > floor, "{what:?} at {bitrate} kbit/s: {db:.1} dB");
        assert!(
            kbits < bitrate as f64 * 1.2,
            "{what:?}: {kbits:.0} of {bitrate} kbit/s"
        );
    }
    Ok(())
}
