use std::sync::LazyLock;

use levada_plugin::{
    as_f32,
    harness::{Harness, Output, Value},
    prelude::*,
};
use proptest::prelude::*;

use crate::{
    decoder::Decoder,
    encoder::Encoder,
    test_signal::{block, rms, samples, sine, snr, steepest},
};

const MS: i64 = 1_000_000;

/// Packets of 20 ms of a sine of two seconds.
fn packets(params: &[(&str, Value)]) -> Result<Vec<Frame>> {
    packets_of(&sine(440.0, 48_000, 1, 96_000), params)
}

fn packets_of(sound: &[f32], params: &[(&str, Value)]) -> Result<Vec<Frame>> {
    let mut encoder = Harness::<Encoder>::new(params)?;
    let format = Format::audio("f32", 48_000, 1);
    let mut out = vec![];
    for (n, part) in sound.chunks(960).enumerate() {
        let frame = block(&encoder, &format, n as i64 * 20 * MS, part)?;
        out.extend(encoder.push(0, vec![frame])?);
    }
    Ok(out.into_iter().map(|(_, packet)| packet).collect())
}

fn speech() -> Result<Vec<Frame>> {
    packets(&[
        ("application", Value::Text("voip")),
        ("bitrate", Value::Float(24.0)),
        ("fec", Value::Bool(true)),
        ("loss", Value::Integer(20)),
    ])
}

fn decoder(params: &[(&str, Value)]) -> Result<(Harness<Decoder>, u32)> {
    let decoder = Harness::<Decoder>::new(params)?;
    let format = decoder.format_id(&Format::audio("opus", 48_000, 1));
    Ok((decoder, format))
}

/// Decodes the packets whose number `arrives`.
fn decode(
    decoder: &mut (Harness<Decoder>, u32),
    packets: &[Frame],
    arrives: impl Fn(usize) -> bool,
) -> Result<Output> {
    let mut out = vec![];
    for (_, packet) in packets.iter().enumerate().filter(|(n, _)| arrives(*n)) {
        let packet = packet.clone().with_format_id(decoder.1);
        out.extend(decoder.0.push(0, vec![packet])?);
    }
    Ok(out)
}

/// Asserts that blocks follow each other without a hole.
fn assert_continuous(blocks: &[(usize, Frame)]) {
    for pair in blocks.windows(2) {
        let (before, after) = (&pair[0].1, &pair[1].1);
        let end = before.pts() + i64::from(before.duration_us()) * 1000;
        assert_eq!(end, after.pts());
        assert!(!after.has(flags::DISCONTINUITY));
    }
}

#[test]
fn packets_become_blocks_of_the_rate_and_channels_that_are_asked_for() -> Result {
    let packets = packets(&[])?;
    for (rate, channels) in [(48_000, 0), (16_000, 1), (48_000, 2), (8_000, 2)] {
        let mut decoder = decoder(&[
            ("rate", Value::Integer(rate)),
            ("channels", Value::Integer(channels)),
        ])?;
        let out = decode(&mut decoder, &packets, |_| true)?;
        assert_eq!(out.len(), 100);
        assert_continuous(&out);
        let format = Format::audio("f32", rate as u32, channels.max(1) as u32);
        let id = decoder.0.format_id(&format);
        assert!(out.iter().all(|(_, block)| block.format_id() == id));
        let heard = samples(&out);
        assert_eq!(heard.len() as i64, 2 * rate * channels.max(1));
        assert!((rms(&heard[heard.len() / 2..]) - 0.283).abs() < 0.01);
        assert_eq!(decoder.0.bytes_copied(), heard.len() as u64 * 4);
    }
    assert!(Harness::<Decoder>::new(&[("rate", Value::Integer(44_100))]).is_err());
    Ok(())
}

#[test]
fn lost_packets_are_concealed_without_a_hole_or_a_click() -> Result {
    // Music (CELT) and speech (SILK), one packet lost and three in a row.
    for coded in [
        packets(&[("application", Value::Text("audio"))])?,
        speech()?,
    ] {
        for lost in [50..51, 50..53] {
            let mut decoder = decoder(&[])?;
            let out = decode(&mut decoder, &coded, |n| !lost.contains(&n))?;
            assert_continuous(&out);
            let heard = samples(&out);
            assert_eq!(heard.len(), 96_000);
            // From 10 ms before the loss to 40 ms behind it.
            let around = &heard[50 * 960 - 480..lost.end * 960 + 1920];
            let filled = &heard[50 * 960..51 * 960];
            assert!(rms(filled) > 0.1, "the sound goes on: {}", rms(filled));
            // A step of the sine itself is at most 0.023.
            assert!(steepest(around) < 0.15, "a click of {}", steepest(around));
            assert_eq!(decoder.0.dropped(), 0);
        }
    }
    Ok(())
}

/// A hum in which every tenth 20 ms, from the eighth on, is a loud tone that nothing before it hints at.
fn bursts() -> Vec<f32> {
    let value = |n: usize| {
        let (hz, level) = if n / 960 % 10 == 7 {
            (310.0, 0.5)
        } else {
            (170.0, 0.06)
        };
        let turns = hz * n as f64 / 48_000.0;
        let voice = |h: u32| (std::f64::consts::TAU * turns * f64::from(h)).sin() / f64::from(h);
        (level * (1..12).map(voice).sum::<f64>()) as f32
    };
    (0..96_000).map(value).collect()
}

#[test]
fn in_band_fec_brings_back_what_was_lost() -> Result {
    let repaired = |params: &[(&str, Value)]| -> Result<f64> {
        let coded = packets_of(&bursts(), params)?;
        let whole = samples(&decode(&mut decoder(&[])?, &coded, |_| true)?);
        let heard = samples(&decode(&mut decoder(&[])?, &coded, |n| n % 10 != 7)?);
        let lost = |all: &[f32]| -> Vec<f32> {
            let of = |n: usize| &all[n * 960..(n + 1) * 960];
            (17..97).step_by(10).flat_map(of).copied().collect()
        };
        Ok(snr(&lost(&whole), &lost(&heard), 0))
    };
    let speech = ("bitrate", Value::Float(24.0));
    let fec = [
        speech,
        ("fec", Value::Bool(true)),
        ("loss", Value::Integer(20)),
    ];
    let (with, without) = (repaired(&fec)?, repaired(&[speech])?);
    println!("lost packets: {with:.1} dB with FEC, {without:.1} dB without");
    assert!(
        with > 10.0 && without < 3.0,
        "{with:.1} dB, {without:.1} dB without"
    );
    Ok(())
}

#[test]
fn more_than_can_be_concealed_is_a_jump_that_is_announced() -> Result {
    let coded = packets(&[])?;
    let mut decoder = decoder(&[])?;
    let out = decode(&mut decoder, &coded, |n| !(20..60).contains(&n))?;
    assert_continuous(&out[..21]);
    assert_eq!(out[20].1.duration_us(), 120_000);
    assert!(out[21].1.has(flags::DISCONTINUITY));
    assert_eq!(out[21].1.pts(), 1_200 * MS);
    assert_continuous(&out[21..]);
    let gap = Event {
        kind: event::kind::GAP,
        stream: 0,
        value: 1_200 * MS,
    };
    assert_eq!(decoder.0.take_signalled(), [(1, gap)]);
    Ok(())
}

#[test]
fn a_gap_that_will_be_filled_is_kept_and_another_goes_on() -> Result {
    let coded = packets(&[])?;
    let gap = |value| Event {
        kind: event::kind::GAP,
        stream: event::ALL_STREAMS,
        value,
    };

    let mut first = decoder(&[])?;
    assert!(!first.0.event(0, gap(5))?, "nothing has come yet");
    decode(&mut first, &coded[..10], |_| true)?;
    assert!(first.0.event(0, gap(220 * MS))?);
    let out = decode(&mut first, &coded, |n| n == 11)?;
    assert_eq!(
        (out.len(), out[0].1.pts()),
        (2, 200 * MS),
        "filled as if it had not been announced"
    );
    assert!(first.0.event(0, gap(280 * MS))?);
    let tail = first.0.drain()?;
    assert_eq!(
        (tail[0].1.pts(), tail[0].1.duration_us()),
        (240 * MS, 40_000)
    );

    let mut second = decoder(&[])?;
    decode(&mut second, &coded[..10], |_| true)?;
    assert!(!second.0.event(0, gap(800 * MS))?);
    let out = decode(&mut second, &coded, |n| n == 40)?;
    assert_eq!(out.len(), 1, "what has been given up is not filled");
    assert!(out[0].1.has(flags::DISCONTINUITY));
    Ok(())
}

#[test]
fn what_lies_before_time_0_or_was_heard_or_is_no_sound_is_cut_off() -> Result {
    let coded = packets(&[])?;
    let mut decoder = decoder(&[])?;
    // As a file is played twice: its first packet reaches 6.5 ms before its beginning, its last one 5 ms beyond its end.
    let early = 6_500_000;
    let length = 5 * 20 * MS - early - 5 * MS;
    let mut out = vec![];
    for pass in 0..2 {
        for (n, packet) in (0..).zip(&coded[..5]) {
            let pts = pass * length + n * 20 * MS - early;
            let lasts = if n == 4 { 15_000 } else { 20_000 };
            let packet = packet.clone().with_format_id(decoder.1);
            let packet = packet.with_pts(pts).with_duration_us(lasts);
            out.extend(decoder.0.push(0, vec![packet])?);
        }
    }
    assert_continuous(&out);
    assert_eq!((out.len(), out[0].1.pts()), (10, 0));
    assert_eq!(decoder.0.dropped(), 0);
    let heard = samples(&out).len() as i64;
    assert_eq!(heard, 2 * length * 48 / MS);
    Ok(())
}

#[test]
fn late_and_malformed_packets_are_dropped_and_counted() -> Result {
    let coded = packets(&[])?;
    let mut decoder = decoder(&[])?;
    decode(&mut decoder, &coded[..10], |_| true)?;
    assert!(decode(&mut decoder, &coded[..10], |n| n == 4)?.is_empty());
    assert_eq!(decoder.0.dropped(), 1);
    // Code 3 with no frames, and frames that exceed the packet.
    for bad in [&[0xff, 0][..], &[], &[0xfe, 200, 0, 0]] {
        let frame = Frame::from_bytes(Kind::Audio, bad.to_vec().into())
            .with_format_id(decoder.1)
            .with_pts(200 * MS);
        assert!(decoder.0.push(0, vec![frame])?.is_empty());
    }
    assert_eq!(decoder.0.dropped(), 4);
    let out = decode(&mut decoder, &coded, |n| n == 11)?;
    assert_eq!(
        (out[0].1.pts(), out[1].1.pts()),
        (200 * MS, 220 * MS),
        "its time is concealed"
    );
    Ok(())
}

#[test]
fn a_sender_that_falls_silent_is_followed() -> Result {
    let coded = speech()?;
    let mut decoder = decoder(&[])?;
    let mut out = decode(&mut decoder, &coded[..50], |_| true)?;
    // DTX: a packet that is its first byte alone, every 20 ms.
    for n in 50..60 {
        let toc = vec![coded[49].payload()[0] & 0xfc];
        let silent = Frame::from_bytes(Kind::Audio, toc.into())
            .with_pts(n * 20 * MS)
            .with_format_id(decoder.1);
        out.extend(decoder.0.push(0, vec![silent])?);
    }
    out.extend(decode(&mut decoder, &coded, |n| n >= 60)?);
    assert_continuous(&out);
    assert_eq!((out.len(), decoder.0.dropped()), (100, 0));
    Ok(())
}

#[test]
fn a_flush_forgets_the_past() -> Result {
    let coded = packets(&[])?;
    let mut decoder = decoder(&[])?;
    decode(&mut decoder, &coded[..10], |_| true)?;
    let flush = Event {
        kind: event::kind::FLUSH,
        stream: event::ALL_STREAMS,
        value: 0,
    };
    assert!(!decoder.0.event(0, flush)?, "it goes on");
    let out = decode(&mut decoder, &coded, |n| n == 12)?;
    assert_eq!(out.len(), 1, "nothing is missing after it");
    Ok(())
}

#[test]
fn formats_that_it_cannot_decode_are_refused() -> Result {
    for format in [
        Format::audio("f32", 48_000, 2),
        Format::audio("opus", 48_000, 6),
    ] {
        let mut decoder = Harness::<Decoder>::new(&[])?;
        let id = decoder.format_id(&format);
        let frame = Frame::from_bytes(Kind::Audio, vec![0x78, 1, 2].into()).with_format_id(id);
        assert!(decoder.push(0, vec![frame]).is_err());
    }
    Ok(())
}

/// What is damaged below: times and bytes of packets.
static SPEECH: LazyLock<Vec<(i64, Vec<u8>)>> = LazyLock::new(|| {
    let coded = speech().expect("speech can be encoded");
    coded
        .iter()
        .map(|p| (p.pts(), p.payload().to_vec()))
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_end_the_session(
        junk in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0_i64..400), 1..20),
    ) {
        let (mut decoder, format) = decoder(&[]).expect("no error ends the session");
        let mut pts = 0;
        for (bytes, ms) in junk {
            pts += ms * MS;
            let frame = Frame::from_bytes(Kind::Audio, bytes.into()).with_format_id(format).with_pts(pts);
            for (_, block) in decoder.push(0, vec![frame]).expect("no error ends the session") {
                let samples = as_f32(block.payload()).expect("aligned");
                prop_assert!(samples.iter().all(|s| s.is_finite()));
                prop_assert_eq!(samples.len() as u32, block.duration_us() / 1000 * 48 + block.duration_us() % 1000 * 48 / 1000);
            }
        }
    }

    #[test]
    fn damaged_packets_end_no_session(flips in prop::collection::vec((any::<usize>(), 0_u8..8), 1..40)) {
        let (mut decoder, format) = decoder(&[]).expect("no error ends the session");
        for (packet, flip) in SPEECH.iter().zip(flips.iter().cycle()) {
            let mut bytes = packet.1.clone();
            let at = flip.0 % bytes.len();
            bytes[at] ^= 1 << flip.1;
            let frame = Frame::from_bytes(Kind::Audio, bytes.into()).with_format_id(format);
            for (_, block) in decoder.push(0, vec![frame.with_pts(packet.0)]).expect("no error ends the session") {
                prop_assert!(as_f32(block.payload()).expect("aligned").iter().all(|s| s.is_finite()));
            }
        }
    }
}
