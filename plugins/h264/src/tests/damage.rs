//! Bytes that no encoder made: dropped and counted, never an error, never a panic.

use super::*;
use crate::tests::decoding::{B_FRAMES, IN_ORDER, units};

/// A sequence of numbers that repeats with its seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }
}

/// Pushes damaged bytes in place of `unit`'s; how many pictures came.
fn push(decoder: &mut Harness<H264Decoder>, unit: &Frame, bytes: Vec<u8>) -> Result<usize> {
    let bits = if unit.has(flags::KEYFRAME) {
        flags::KEYFRAME
    } else {
        flags::INTER
    };
    let input = Frame::from_bytes(Kind::Video, bytes.into())
        .with_format_id(decoder.format_id(&Format::video("h264", 0, 0)))
        .with_pts(unit.pts())
        .with_flags(bits);
    Ok(decoder.push(0, vec![input])?.len())
}

/// The decoder still works: a whole stream comes out whole.
fn recovers(decoder: &mut Harness<H264Decoder>, units: &[Frame]) -> Result {
    for unit in units {
        assert_eq!(push(decoder, unit, unit.payload().to_vec())?, 1);
    }
    Ok(())
}

#[test]
fn flipped_bits_cost_pictures_and_nothing_else() -> Result {
    let units = stream(8, 96, 64, &[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let mut random = Random(42);
    let mut came = 0;
    for _ in 0..300 {
        for unit in &units {
            let mut bytes = unit.payload().to_vec();
            for _ in 0..=random.next(3) {
                let at = random.next(bytes.len());
                bytes[at] ^= 1 << random.next(8);
            }
            came += push(&mut decoder, unit, bytes)?;
        }
        assert!(decoder.take_raised().len() <= 1);
    }
    println!(
        "{came} of 2400 damaged units gave a picture, {} were dropped",
        decoder.dropped()
    );
    assert!(decoder.dropped() > 100);
    assert!(
        came as u64 + decoder.dropped() >= 2300,
        "what gives no picture is counted"
    );
    recovers(&mut decoder, &units)
}

#[test]
fn damage_in_other_profiles_is_borne_as_well() -> Result {
    let sound = stream(3, 96, 64, &[])?;
    let mut random = Random(1);
    for data in [B_FRAMES, IN_ORDER] {
        let mut decoder = Harness::<H264Decoder>::new(&[])?;
        let mut pushed = 0;
        for _ in 0..60 {
            for (n, unit) in (0..).zip(units(data)) {
                let mut bytes = unit.to_vec();
                // Parameter sets, which the decoder reads and rewrites, are as likely to be hit as slices.
                for _ in 0..random.next(3) {
                    let at = random.next(bytes.len());
                    bytes[at] ^= 1 << random.next(8);
                }
                bytes.truncate(bytes.len() - random.next(20).saturating_sub(15));
                let unit = Frame::from_bytes(Kind::Video, vec![0].into()).with_pts(n * 40_000_000);
                push(&mut decoder, &unit, bytes)?;
                pushed += 1;
            }
        }
        assert!(decoder.dropped() > 0 && decoder.dropped() <= pushed);
        // What waits for its turn is from before.
        decoder.event(
            0,
            Event {
                kind: event::kind::FLUSH,
                stream: event::ALL_STREAMS,
                value: 0,
            },
        )?;
        recovers(&mut decoder, &sound)?;
    }
    Ok(())
}

#[test]
fn units_cut_anywhere_cost_pictures_and_nothing_else() -> Result {
    let units = stream(3, 96, 64, &[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for unit in &units {
        let whole = unit.payload();
        for cut in (0..whole.len()).step_by(7) {
            push(&mut decoder, &units[0], units[0].payload().to_vec())?;
            push(&mut decoder, unit, whole[..cut].to_vec())?;
        }
    }
    assert!(decoder.dropped() > 0);
    recovers(&mut decoder, &units)
}

#[test]
fn rubbish_with_and_without_start_codes_is_dropped_and_counted() -> Result {
    let units = stream(2, 96, 64, &[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let mut random = Random(7);
    let mut pushed = 0;
    for kind in (0..32u8).cycle().take(640) {
        let mut bytes = vec![0, 0, 0, 1, kind | 0x60];
        bytes.extend((0..random.next(200)).map(|_| random.next(256) as u8));
        push(&mut decoder, &units[0], bytes.clone())?;
        bytes.drain(..4);
        push(&mut decoder, &units[0], bytes)?;
        pushed += 2;
    }
    push(&mut decoder, &units[0], vec![])?;
    assert!(decoder.dropped() > 0 && decoder.dropped() <= pushed + 1);
    recovers(&mut decoder, &units)
}

#[test]
fn a_huge_picture_in_a_few_bytes_is_refused_before_the_library_sees_it() -> Result {
    let units = stream(2, 96, 64, &[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    // Baseline, 16,384x16,384: 1024 by 1024 blocks.
    let mut bits = String::from("1" /* id 0 */);
    bits += "1" /* frame_num */;
    bits += "011" /* order 2 */;
    bits += "010" /* one reference */;
    bits += "0";
    for _ in 0..2 {
        bits += "0000000000";
        bits += "10000000000"; // 1023 in Exp-Golomb: ten zeroes, then 1024 in eleven bits
    }
    bits += "1101";
    while bits.len() % 8 != 0 {
        bits.push('0');
    }
    let body =
        (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap_or(0));
    let mut bytes = vec![0, 0, 0, 1, 0x67, 66, 0xc0, 52];
    bytes.extend(body.chain([0x80]));
    assert_eq!(
        crate::sps::read(nal::look(&bytes).sps.unwrap_or_default()),
        Err(crate::sps::Unfit::TooLarge(1024, 1024))
    );
    bytes.extend([
        0, 0, 0, 1, 0x68, 0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21, 0xa0,
    ]);
    assert_eq!(push(&mut decoder, &units[0], bytes)?, 0);
    assert_eq!(decoder.dropped(), 1);
    recovers(&mut decoder, &units)
}
