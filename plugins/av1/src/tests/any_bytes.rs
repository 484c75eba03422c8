//! Temporal units of any content: the body of the fuzz target, under seeded damage.

#[path = "../../../../fuzz/bodies/av1.rs"]
mod body;

use proptest::prelude::*;

use super::{MOVING, ODD, units};

#[test]
fn the_headers_of_whole_streams_are_read() {
    for sample in [&MOVING, &ODD] {
        let headers = units(sample.file).into_iter().map(body::run);
        assert!(headers.sum::<usize>() >= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn damaged_units_are_looked_at(
        which in 0_usize..8,
        flips in prop::collection::vec((0_usize..200, any::<u8>()), 1..8),
        keep in 0_usize..400,
    ) {
        let mut bytes = units(MOVING.file)[which].to_vec();
        for (at, bits) in flips {
            let len = bytes.len();
            bytes[at % len] ^= bits;
        }
        bytes.truncate(keep);
        body::run(&bytes);
    }

    #[test]
    fn any_bytes_are_looked_at(mut bytes in prop::collection::vec(any::<u8>(), 0..1_500), is_header in any::<bool>()) {
        if let (Some(first), true) = (bytes.first_mut(), is_header) {
            // A sequence header with its size behind.
            *first = 0x0a;
        }
        body::run(&bytes);
    }
}
