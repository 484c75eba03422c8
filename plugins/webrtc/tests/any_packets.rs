//! Packets of any content, in any order: the body of the fuzz target, under seeded damage.

#[path = "../../../fuzz/bodies/depacketiser.rs"]
mod body;

use proptest::prelude::*;

/// A packet as the body reads it: numbers and times that mostly go on, and a payload that begins as those of the
/// codecs do.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let heads = prop_oneof![
        // VP8 descriptors, with and without extensions, in front of a keyframe.
        Just(vec![0x10, 0x50, 1, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0]),
        Just(vec![0x90, 0xff, 0x80, 1, 2, 3, 0x30]),
        // H.264: sets, an aggregate, fragments, slices.
        Just(vec![0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5]),
        Just(vec![0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]),
        Just(vec![0x7c, 0x85, 0x88]),
        Just(vec![0x7c, 0x45]),
        Just(vec![0x65, 0x88, 0x84]),
        Just(vec![0x41, 0x9a]),
        Just(vec![]),
    ];
    let tail = prop::collection::vec(any::<u8>(), 0..60);
    (any::<[u8; 3]>(), heads, tail).prop_map(|(head, begin, tail)| {
        let len = (begin.len() + tail.len()) as u8;
        [&head[..], &[len], &begin, &tail].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_packets_make_units_within_bounds(
        codec in 0_u8..4,
        packets in prop::collection::vec(packet(), 0..80),
    ) {
        body::run(&[&[codec][..], &packets.concat()].concat());
    }

    #[test]
    fn any_bytes_make_units_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        body::run(&bytes);
    }
}

#[test]
fn good_packets_make_units() {
    // Ten packets of Opus, each its own unit.
    let packet = [0, 150, 0, 3, 0xfc, 0xff, 0xfe];
    assert!(body::run(&[&[0][..], &packet.repeat(10)].concat()) >= 9);
}
