//! Access units of any content: the body of the fuzz target, under seeded damage.

#[path = "../../../../fuzz/bodies/h264.rs"]
mod body;

use proptest::prelude::*;

const STREAMS: [&[u8]; 2] = [
    include_bytes!("../../tests/in-order.h264"),
    include_bytes!("../../tests/b-frames.h264"),
];

#[test]
fn the_sets_of_whole_streams_are_read() {
    assert!(STREAMS.iter().all(|stream| body::run(stream) >= 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn damaged_streams_are_looked_at(
        which in 0_usize..2,
        flips in prop::collection::vec((0_usize..200, any::<u8>()), 1..8),
        cut in 0_usize..400,
    ) {
        let mut bytes = STREAMS[which][..400].to_vec();
        for (at, bits) in flips {
            bytes[at] ^= bits;
        }
        bytes.truncate(400 - cut);
        body::run(&bytes);
    }

    #[test]
    fn any_bytes_are_looked_at(mut bytes in prop::collection::vec(any::<u8>(), 0..1_500), is_set in any::<bool>()) {
        if let (Some(first), true) = (bytes.first_mut(), is_set) {
            *first = 0x67;
        }
        body::run(&bytes);
    }
}
