use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};
use proptest::prelude::*;

use crate::{
    decoder::Decoder,
    encoder::Encoder,
    test_signal::{block, noise, samples, sine, snr},
};

const MS: i64 = 1_000_000;

fn mono() -> Format {
    Format::audio("f32", 48_000, 1)
}

/// Encodes all of `sound` in blocks of `length` samples of each channel, and what is held at the end.
fn encode(
    encoder: &mut Harness<Encoder>,
    format: &Format,
    sound: &[f32],
    length: usize,
) -> Result<Vec<(usize, Frame)>> {
    let Media::Audio { rate, channels } = format.media else {
        return Err(Error::new("not sound"));
    };
    let mut packets = vec![];
    for (n, part) in sound.chunks(length * channels as usize).enumerate() {
        let pts = (n * length) as i64 * 1_000_000_000 / i64::from(rate);
        packets.extend(encoder.push(0, vec![block(encoder, format, pts, part)?])?);
    }
    packets.extend(encoder.drain()?);
    Ok(packets)
}

/// Decodes packets that another node made.
fn decode(format: &Format, packets: &[(usize, Frame)]) -> Result<Vec<(usize, Frame)>> {
    let mut decoder = Harness::<Decoder>::new(&[])?;
    let format = decoder.format_id(format);
    let mut out = vec![];
    for (_, packet) in packets {
        out.extend(decoder.push(0, vec![packet.clone().with_format_id(format)])?);
    }
    assert_eq!(decoder.dropped(), 0);
    Ok(out)
}

#[test]
fn what_is_decoded_is_what_was_encoded() -> Result {
    // Sound, bitrate, the codec's delay in samples, the least SNR in dB.
    let cases = [
        ("audio", sine(440.0, 48_000, 1, 96_000), 64.0, 312, 25.0),
        ("audio", sine(440.0, 48_000, 2, 96_000), 96.0, 312, 25.0),
        // The codec keeps low rumble out of speech, which shifts phases.
        ("voip", sine(440.0, 48_000, 1, 96_000), 64.0, 312, 12.0),
        ("lowdelay", sine(440.0, 48_000, 1, 96_000), 64.0, 120, 25.0),
        ("audio", noise(96_000, 7), 128.0, 312, 4.0),
    ];
    for (application, sound, bitrate, delay, floor) in cases {
        let channels = if bitrate == 96.0 { 2 } else { 1 };
        let format = Format::audio("f32", 48_000, channels as u32);
        let mut encoder = Harness::<Encoder>::new(&[
            ("application", Value::Text(application)),
            ("bitrate", Value::Float(bitrate)),
        ])?;
        let packets = encode(&mut encoder, &format, &sound, 960)?;
        let coded = Format::audio("opus", 48_000, channels as u32);
        let heard = samples(&decode(&coded, &packets)?);
        assert_eq!(heard.len(), sound.len(), "{application}");
        // The first 100 ms are the codec's to settle.
        let settled = 4800 * channels;
        let snr = snr(&sound[settled..], &heard[settled..], delay * channels);
        println!("{application} {bitrate} kbit/s, {channels} channels: {snr:.1} dB");
        assert!(snr > floor, "{application} at {bitrate}: {snr:.1} dB");
    }
    Ok(())
}

#[test]
fn every_rate_of_opus_is_taken_and_others_are_refused_with_a_remedy() -> Result {
    for rate in [8_000, 12_000, 16_000, 24_000, 48_000] {
        let format = Format::audio("f32", rate, 1);
        let mut encoder = Harness::<Encoder>::new(&[])?;
        let sound = sine(300.0, rate, 1, rate as usize);
        let packets = encode(&mut encoder, &format, &sound, rate as usize / 100)?;
        assert_eq!(packets.len(), 50, "{rate}");
        let heard = decode(&Format::audio("opus", 48_000, 1), &packets)?;
        assert_eq!(samples(&heard).len(), 48_000, "{rate}");
    }
    for (rate, channels) in [(44_100, 2), (48_000, 6), (0, 0)] {
        let mut encoder = Harness::<Encoder>::new(&[])?;
        let format = Format::audio("f32", rate, channels);
        let refused = encoder.push(0, vec![block(&encoder, &format, 0, &[0.0; 12])?]);
        assert!(refused.is_err_and(|e| e.to_string().contains("resample")));
    }
    Ok(())
}

#[test]
fn packets_are_timed_by_counting_samples_whatever_the_blocks() -> Result {
    for length in [1, 441, 959, 960, 961, 5000] {
        let mut encoder = Harness::<Encoder>::new(&[])?;
        let packets = encode(
            &mut encoder,
            &mono(),
            &sine(440.0, 48_000, 1, 9_601),
            length,
        )?;
        let times: Vec<i64> = packets.iter().map(|(_, p)| p.pts()).collect();
        // Ten whole packets, and one with the last sample.
        let wanted: Vec<i64> = (0..11).map(|n| n * 20 * MS).collect();
        assert_eq!(times, wanted, "blocks of {length}");
        assert!(packets.iter().all(|(_, p)| p.duration_us() == 20_000));
    }
    Ok(())
}

#[test]
fn a_jump_is_followed_and_flagged_and_jitter_is_not() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[])?;
    let sound = sine(440.0, 48_000, 1, 1_440);
    let at = |encoder: &Harness<Encoder>, pts| block(encoder, &mono(), pts, &sound);
    let mut packets = encoder.push(0, vec![at(&encoder, 1_000 * MS)?])?;
    // 5 ms off: sound goes on by the count.
    packets.extend(encoder.push(0, vec![at(&encoder, 1_035 * MS)?])?);
    // What is held (20 ms from 1040) goes out before what follows on the jump.
    packets.extend(encoder.push(0, vec![at(&encoder, 9_000 * MS)?])?);
    packets.extend(encoder.drain()?);
    let seen: Vec<_> = packets
        .iter()
        .map(|(_, p)| (p.pts() / MS, p.has(flags::DISCONTINUITY)))
        .collect();
    let wanted = [
        (1000, false),
        (1020, false),
        (1040, false),
        (9000, true),
        (9020, false),
    ];
    assert_eq!(seen, wanted);
    Ok(())
}

#[test]
fn a_format_that_changes_loses_no_sample() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[])?;
    let stereo = Format::audio("f32", 48_000, 2);
    let first = block(&encoder, &mono(), 0, &[0.1; 480])?;
    let second = block(&encoder, &stereo, 10 * MS, &[0.1; 1920])?;
    let packets = encoder.push(0, vec![first, second])?;
    assert_eq!(packets.len(), 2);
    assert_eq!(packets[1].1.pts(), 10 * MS);
    assert_ne!(packets[0].1.format_id(), packets[1].1.format_id());
    Ok(())
}

#[test]
fn the_format_says_what_sdp_wants() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[("fec", Value::Bool(true))])?;
    let stereo = Format::audio("f32", 48_000, 2);
    let packets = encoder.push(0, vec![block(&encoder, &stereo, 0, &[0.0; 1920])?])?;
    let said = Format::audio("opus", 48_000, 2)
        .with_config("minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1");
    assert_eq!(packets[0].1.format_id(), encoder.format_id(&said));
    Ok(())
}

#[test]
fn the_bitrate_is_kept_and_a_receivers_wish_followed_at_the_next_packet() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[
        ("bitrate", Value::Float(96.0)),
        ("application", Value::Text("audio")),
    ])?;
    let sound = noise(48_000, 3);
    let mut pts = 0;
    let mut kbits = |encoder: &mut Harness<Encoder>| -> Result<f64> {
        let mut bytes = 0;
        for part in sound.chunks(960) {
            let packets = encoder.push(0, vec![block(encoder, &mono(), pts, part)?])?;
            bytes += packets
                .iter()
                .map(|(_, p)| p.payload().len())
                .sum::<usize>();
            pts += 20 * MS;
        }
        Ok(bytes as f64 * 8.0 / 1000.0)
    };
    let bitrate = |value| Event {
        kind: event::kind::BITRATE,
        stream: 0,
        value,
    };
    let near = |is: f64, wanted: f64| (is / wanted - 1.0).abs() < 0.15;
    let set = kbits(&mut encoder)?;
    assert!(near(set, 96.0), "{set} kbit/s");
    assert!(encoder.event(1, bitrate(32_000))?);
    let lower = kbits(&mut encoder)?;
    assert!(near(lower, 32.0), "{lower} kbit/s");
    assert!(encoder.event(1, bitrate(i64::MAX))?);
    let again = kbits(&mut encoder)?;
    assert!(near(again, 96.0), "no more than was set: {again} kbit/s");
    assert!(encoder.event(1, bitrate(i64::MIN))?);
    assert!(kbits(&mut encoder)? < 16.0);
    Ok(())
}

#[test]
fn whole_packets_are_read_where_they_lie() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[])?;
    let packets = encoder.push(0, vec![block(&encoder, &mono(), 0, &noise(1920, 1))?])?;
    let made: usize = packets.iter().map(|(_, p)| p.payload().len()).sum();
    assert_eq!((packets.len(), encoder.bytes_copied()), (2, made as u64));
    // 100 samples wait for more, and are copied for that.
    encoder.push(0, vec![block(&encoder, &mono(), 40 * MS, &[0.0; 100])?])?;
    assert_eq!(encoder.bytes_copied(), made as u64 + 400);
    Ok(())
}

#[test]
fn several_streams_do_not_mix() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[])?;
    let mut packets = vec![];
    for n in 0..10_i64 {
        for stream in [3, 4] {
            let frame = block(&encoder, &mono(), n * 10 * MS, &[0.0; 480])?;
            packets.extend(encoder.push(0, vec![frame.with_stream(stream)])?);
        }
    }
    for stream in [3, 4] {
        let of = packets.iter().filter(|(_, p)| p.stream() == stream);
        let times: Vec<i64> = of.map(|(_, p)| p.pts() / MS).collect();
        assert_eq!(times, [0, 20, 40, 60, 80]);
    }
    Ok(())
}

#[test]
fn a_block_that_would_burst_is_refused_with_a_remedy() -> Result {
    let mut encoder = Harness::<Encoder>::new(&[])?;
    let refused = encoder.push(0, vec![block(&encoder, &mono(), 0, &vec![0.0; 48_000])?]);
    assert!(refused.is_err_and(|e| e.to_string().contains("of at most 240 ms")));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_samples_are_encoded_and_can_be_decoded(
        values in prop::collection::vec(any::<f32>(), 960..2000),
        application in prop::sample::select(vec!["voip", "audio", "lowdelay"]),
    ) {
        let mut encoder = Harness::<Encoder>::new(&[("application", Value::Text(application))]).expect("no error ends the session");
        let packets = encode(&mut encoder, &mono(), &values, 480).expect("no error ends the session");
        prop_assert_eq!(packets.len(), values.len().div_ceil(960));
        let heard = samples(&decode(&Format::audio("opus", 48_000, 1), &packets).expect("no error ends the session"));
        prop_assert!(heard.iter().all(|s| s.is_finite()));
    }
}
