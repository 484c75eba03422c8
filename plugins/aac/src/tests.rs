use levada_plugin::{
    as_f32,
    harness::{Harness, Output},
    prelude::*,
};
use proptest::prelude::*;

use crate::{
    codec::{Aac, Codec, Mp3},
    decoder::Decoder,
};

/// Half a second of 1 kHz at 48 kHz, in one channel, as ffmpeg wrote it.
const AAC: &[u8] = include_bytes!("../tests/tone.aac");
const MP3: &[u8] = include_bytes!("../tests/tone.mp3");
const AAC_BLOCK: usize = 1024;
const MP3_BLOCK: usize = 1152;

/// Object type 2 (LC), rate index 3 (48 kHz), one channel.
const CONFIG: [u8; 2] = [0x11, 0x88];

/// The access units of an ADTS file (ISO/IEC 13818-7, 6.2).
fn aac() -> Vec<Vec<u8>> {
    let (mut units, mut rest) = (vec![], AAC);
    while rest.len() > 7 {
        let length =
            usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5] >> 5);
        units.push(rest[7..length].to_vec());
        rest = &rest[length..];
    }
    units
}

/// The frames of an MP3 file of 64 kbit/s: 24 ms each.
fn mp3() -> Vec<Vec<u8>> {
    MP3.chunks(192).map(<[u8]>::to_vec).collect()
}

fn format<C: Codec>() -> Format {
    Format::audio(C::ENCODING, 48_000, 1).with_config(CONFIG)
}

fn push<C: Codec>(
    node: &mut Harness<Decoder<C>>,
    n: i64,
    block: usize,
    bytes: Vec<u8>,
) -> Result<Output> {
    let id = node.format_id(&format::<C>());
    let frame = Frame::from_bytes(Kind::Audio, bytes.into());
    let pts = n * block as i64 * 1_000_000_000 / 48_000;
    node.push(0, vec![frame.with_format_id(id).with_pts(pts)])
}

fn decode<C: Codec>(packets: &[Vec<u8>], block: usize) -> Result<Vec<f32>> {
    let mut node = Harness::<Decoder<C>>::new(&[])?;
    let mut heard = vec![];
    for (n, packet) in (0..).zip(packets) {
        let out = push(&mut node, n, block, packet.clone())?;
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].1.pts(), n * block as i64 * 1_000_000_000 / 48_000);
        assert_eq!(
            out[0].1.format_id(),
            node.format_id(&Format::audio("f32", 48_000, 1))
        );
        assert!(!out[0].1.has(flags::DISCONTINUITY));
        let samples = as_f32(out[0].1.payload()).expect("aligned");
        assert_eq!(samples.len(), block);
        heard.extend_from_slice(samples);
    }
    assert_eq!(node.bytes_copied(), heard.len() as u64 * 4);
    assert_eq!(node.dropped(), 0);
    Ok(heard)
}

/// Asserts that the middle of a sound is the tone: 1 kHz with a peak of 0.25.
fn assert_tone(heard: &[f32]) {
    let middle = &heard[4_800..19_200];
    let rises = middle
        .windows(2)
        .filter(|w| w[0] < 0.0 && w[1] >= 0.0)
        .count();
    assert!((299..=301).contains(&rises), "{rises} periods in 0.3 s");
    let peak = middle.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    assert!((peak - 0.25).abs() < 0.02, "{peak}");
}

#[test]
fn aac_becomes_the_tone_that_it_was() -> Result {
    let heard = decode::<Aac>(&aac(), AAC_BLOCK)?;
    assert_eq!(heard.len(), 25 * AAC_BLOCK);
    assert_tone(&heard);
    Ok(())
}

#[test]
fn mp3_becomes_the_tone_that_it_was() -> Result {
    let heard = decode::<Mp3>(&mp3(), MP3_BLOCK)?;
    assert_eq!(heard.len(), 22 * MP3_BLOCK);
    assert_tone(&heard);
    Ok(())
}

#[test]
fn a_damaged_packet_is_dropped_and_counted_and_flags_the_next_block() -> Result {
    let mut node = Harness::<Decoder<Aac>>::new(&[])?;
    let packets = aac();
    push(&mut node, 0, AAC_BLOCK, packets[0].clone())?;
    assert!(push(&mut node, 1, AAC_BLOCK, packets[1][..4].to_vec())?.is_empty());
    assert_eq!(node.dropped(), 1);
    let out = push(&mut node, 2, AAC_BLOCK, packets[2].clone())?;
    assert!(out[0].1.has(flags::DISCONTINUITY));
    Ok(())
}

#[test]
fn what_it_cannot_decode_is_refused() -> Result {
    let without = Format::audio("aac", 48_000, 2);
    // Object type 1 is AAC Main.
    let main = Format::audio("aac", 48_000, 1).with_config([0x09, 0x88]);
    for (format, says) in [
        (without, "AudioSpecificConfig"),
        (main, "AAC-LC"),
        (Format::audio("opus", 48_000, 2), "audio/aac"),
    ] {
        let mut node = Harness::<Decoder<Aac>>::new(&[])?;
        let id = node.format_id(&format);
        let frame = Frame::from_bytes(Kind::Audio, vec![1, 2, 3].into()).with_format_id(id);
        let refused = node.push(0, vec![frame]).err().map(|e| e.to_string());
        assert!(
            refused.as_ref().is_some_and(|e| e.contains(says)),
            "{refused:?}"
        );
    }
    Ok(())
}

/// Pushes damaged packets; none may end the session or make a sample that is no number.
fn survive<C: Codec>(packets: Vec<Vec<u8>>, block: usize, flips: &[(usize, u8)]) {
    let mut node = Harness::<Decoder<C>>::new(&[]).expect("it can be made");
    for ((n, mut packet), (at, bits)) in (0..).zip(packets).zip(flips.iter().cycle()) {
        let at = at % packet.len();
        packet[at] ^= bits;
        packet.truncate(packet.len() - at % 7);
        let out = push(&mut node, n, block, packet).expect("no packet ends the session");
        for (_, block) in out {
            let samples = as_f32(block.payload()).expect("aligned");
            assert!(samples.iter().all(|s| s.is_finite()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn damaged_packets_end_no_session(flips in prop::collection::vec(any::<(usize, u8)>(), 1..9)) {
        survive::<Aac>(aac(), AAC_BLOCK, &flips);
        survive::<Mp3>(mp3(), MP3_BLOCK, &flips);
    }

    #[test]
    fn no_bytes_end_the_session(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..20),
    ) {
        survive::<Aac>(packets.clone(), AAC_BLOCK, &[(0, 0)]);
        survive::<Mp3>(packets, MP3_BLOCK, &[(0, 0)]);
    }

    #[test]
    fn no_configuration_panics(config in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Aac::open(&Format::audio("aac", 48_000, 2).with_config(config));
    }
}
