//! Bytes that no encoder made: dropped and counted, never an error. A panic of the library would end this program.

use proptest::prelude::*;

use super::*;

#[test]
fn units_cut_anywhere_cost_pictures_and_nothing_else() -> Result {
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    let units = units(MOVING.file);
    let mut pushed = 0;
    for unit in &units[..4] {
        for cut in (0..unit.len()).step_by(7) {
            push(&mut node, 0, units[0])?;
            push(&mut node, 1, &unit[..cut])?;
            pushed += 2;
        }
    }
    assert!(node.dropped() > 0 && node.dropped() <= pushed);
    decodes(&mut node, &ODD)
}

#[test]
fn a_huge_picture_in_a_few_bytes_is_refused_before_the_library_sees_it() -> Result {
    // A reduced header: main profile, level 31, sides of 16 bits.
    let mut bits = String::from("000" /* profile */);
    bits += "11" /* still picture, reduced */;
    bits += "11111";
    bits += "1111" /* 16 bits of width */;
    bits += "1111";
    bits += "1111111111111111";
    bits += "1111111111111111";
    bits += "000000" /* tools */;
    bits += "000" /* 8 bits, in colour, unspecified */;
    bits += "0";
    while bits.len() % 8 != 0 {
        bits.push('0');
    }
    let byte = |at: usize| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap_or(0);
    let header: Vec<u8> = (0..bits.len() / 8).map(byte).collect();
    let judged = crate::sequence::read(&header);
    assert_eq!(
        judged,
        Err(crate::sequence::Unfit::TooLarge(65_536, 65_536))
    );
    let mut unit = vec![0x12, 0, 0x0a, header.len() as u8];
    unit.extend(header);
    unit.extend([0x32, 1, 0]);
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    assert!(push(&mut node, 0, &unit)?.is_empty());
    assert_eq!(node.dropped(), 1);
    decodes(&mut node, &ODD)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn flipped_bits_cost_pictures_and_nothing_else(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..40),
    ) {
        let mut node = Harness::<Av1Decoder>::new(&[]).expect("it can be made");
        let units = units(MOVING.file);
        let mut came = 0;
        for (n, (unit, (at, bit))) in (0..).zip(units.iter().zip(flips.iter().cycle())) {
            let mut bytes = unit.to_vec();
            // The headers are a few bytes, and matter most.
            let within = if n % 3 == 0 { bytes.len() } else { bytes.len().min(40) };
            bytes[at.index(within)] ^= 1_u8 << bit;
            came += push(&mut node, n, &bytes).expect("no unit ends the session").len();
        }
        prop_assert!(came <= units.len());
        decodes(&mut node, &ODD).expect("it goes on");
    }

    #[test]
    fn no_bytes_end_the_session(
        bodies in prop::collection::vec((0..16_u8, prop::collection::vec(any::<u8>(), 0..120)), 1..40),
    ) {
        let mut node = Harness::<Av1Decoder>::new(&[]).expect("it can be made");
        let sound = units(ODD.file);
        for (n, (kind, body)) in (0..).zip(&bodies) {
            push(&mut node, n, sound[0]).expect("no unit ends the session");
            push(&mut node, n, body).expect("no unit ends the session");
            let mut unit = vec![kind << 3 | 2, body.len() as u8];
            unit.extend(body);
            push(&mut node, n, &unit).expect("no unit ends the session");
        }
        decodes(&mut node, &ODD).expect("it goes on");
    }
}
