//! Bytes that no encoder made: dropped and counted, never an error, never a panic that comes out.

use proptest::prelude::*;

use super::*;

/// The decoder still works: a whole stream comes out to the bit.
fn recovers(node: &mut Harness<Vp8Decoder>) -> Result {
    let mut hash = FNV;
    for (n, unit) in (0..).zip(ODD[0].units()) {
        for (_, picture) in push(node, n, unit)? {
            hash = fnv(hash, picture.payload());
        }
    }
    assert_eq!(hash, ODD[0].hash);
    Ok(())
}

#[test]
fn frames_cut_anywhere_cost_pictures_and_nothing_else() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let units = ODD[1].units();
    let mut pushed = 0;
    for unit in &units[..2] {
        for cut in 0..unit.len() {
            push(&mut node, 0, units[0])?;
            push(&mut node, 1, &unit[..cut])?;
            pushed += 1;
        }
    }
    assert!(node.dropped() > 0 && node.dropped() <= pushed);
    recovers(&mut node)
}

#[test]
fn a_huge_picture_in_a_few_bytes_is_refused_before_memory_is_taken() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let mut bytes = ODD[0].units()[0].to_vec();
    // Width and height are 14 bits each behind the start code.
    bytes[6..10].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    assert!(push(&mut node, 0, &bytes)?.is_empty());
    assert_eq!(node.dropped(), 1);
    let why = codec::Decoder::new()
        .decode(&bytes)
        .expect_err("it is too large");
    assert!(why.to_string().contains("268402689 pixels"), "{why}");
    recovers(&mut node)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bits_cost_pictures_and_nothing_else(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..40),
    ) {
        let mut node = Harness::<Vp8Decoder>::new(&[]).expect("it can be made");
        let units = MOVING.units();
        let mut came = 0;
        for (n, (unit, (at, bit))) in (0..).zip(units.iter().zip(flips.iter().cycle())) {
            let mut bytes = unit.to_vec();
            // The headers are a few bytes, and matter most.
            let within = if n % 3 == 0 { bytes.len() } else { bytes.len().min(24) };
            bytes[at.index(within)] ^= 1_u8 << bit;
            came += push(&mut node, n, &bytes).expect("no frame ends the session").len();
        }
        prop_assert!(came as u64 + node.dropped() <= units.len() as u64);
        recovers(&mut node).expect("it goes on");
    }

    #[test]
    fn no_bytes_end_the_session(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..30),
    ) {
        let mut node = Harness::<Vp8Decoder>::new(&[]).expect("it can be made");
        for (n, bytes) in (0..).zip(&frames) {
            push(&mut node, n, bytes).expect("no frame ends the session");
            // With a start code, and a size that can be.
            let mut bytes = bytes.clone();
            if bytes.len() > 10 {
                bytes[0] &= 0xfe;
                bytes[3..10].copy_from_slice(&[0x9d, 0x01, 0x2a, 35, 0, 29, 0]);
            }
            push(&mut node, n, &bytes).expect("no frame ends the session");
        }
        recovers(&mut node).expect("it goes on");
    }
}
