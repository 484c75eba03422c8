//! Floors of quality: how much noise the codec adds to music-like sound at stated bitrates (`docs/codecs.md` has the
//! table). Opus keeps what is heard and not the wave, so these are no measure of how it sounds, but a setting that costs
//! quality is seen.

use std::f64::consts::TAU;

use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};

use crate::{
    decoder::Decoder,
    encoder::Encoder,
    test_signal::{block, samples, snr},
};

/// The codec's delay in samples.
const DELAY: usize = 312;

/// Two seconds of a chord whose tones beat and swell, in each channel another one.
fn chord(channels: usize) -> Vec<f32> {
    const TONES: [(f64, f64); 6] = [
        (220.0, 0.20),
        (277.2, 0.15),
        (329.6, 0.15),
        (880.0, 0.08),
        (1760.0, 0.04),
        (3520.0, 0.02),
    ];
    let at = |n: usize, channel: usize| {
        let t = n as f64 / 48_000.0;
        let swell = 0.7 + 0.3 * (TAU * 1.5 * t + channel as f64).sin();
        let tones = TONES.map(|(hz, peak)| {
            let hz = hz * (1.0 + 0.25 * channel as f64);
            peak * (TAU * hz * t + 0.6 * (TAU * 5.0 * t).sin()).sin()
        });
        (swell * tones.iter().sum::<f64>()) as f32
    };
    (0..96_000)
        .flat_map(|n| (0..channels).map(move |channel| at(n, channel)))
        .collect()
}

/// The mean of the ratios of 20 ms each, in dB, none below 0 or above 60.
fn segmental(said: &[f32], heard: &[f32], length: usize) -> f64 {
    let ratios: Vec<f64> = said
        .chunks_exact(length)
        .zip(heard.chunks_exact(length))
        .map(|(said, heard)| snr(said, heard, 0).clamp(0.0, 60.0))
        .collect();
    ratios.iter().sum::<f64>() / ratios.len() as f64
}

#[test]
fn sound_comes_back_with_at_least_the_stated_ratio_at_each_bitrate() -> Result {
    for (bitrate, channels, floor) in [
        (24.0, 1, (16.0, 17.5)),
        (64.0, 1, (24.5, 25.5)),
        (64.0, 2, (19.5, 19.5)),
        (128.0, 2, (26.0, 26.0)),
    ] {
        let sound = chord(channels);
        let mut encoder = Harness::<Encoder>::new(&[
            ("application", Value::Text("audio")),
            ("bitrate", Value::Float(bitrate)),
        ])?;
        let mut decoder = Harness::<Decoder>::new(&[])?;
        let format = Format::audio("f32", 48_000, channels as u32);
        let coded = Format::audio("opus", 48_000, channels as u32);
        let (mut heard, mut bytes) = (vec![], 0);
        for (n, part) in sound.chunks(960 * channels).enumerate() {
            let input = block(&encoder, &format, n as i64 * 20_000_000, part)?;
            for (_, packet) in encoder.push(0, vec![input])? {
                bytes += packet.payload().len();
                let packet = packet.with_format_id(decoder.format_id(&coded));
                heard.extend(samples(&decoder.push(0, vec![packet])?));
            }
        }
        // The first 100 ms are the codec's to settle.
        let settled = 4800 * channels;
        let (said, heard) = (&sound[settled..], &heard[settled + DELAY * channels..]);
        let ratio = snr(&said[..heard.len()], heard, 0);
        let of_parts = segmental(said, heard, 960 * channels);
        let kbits = bytes as f64 * 8.0 / 2000.0;
        println!(
            "{bitrate} kbit/s, {channels} channels: {ratio:.1} dB, {of_parts:.1} dB in parts, {kbits:.0} kbit/s"
        );
        assert!(
            ratio > floor.0,
            "{bitrate} kbit/s, {channels} channels: {ratio:.1} dB"
        );
        assert!(
            of_parts > floor.1,
            "{bitrate} kbit/s, {channels} channels: {of_parts:.1} dB in parts"
        );
        assert!(kbits < bitrate * 1.1, "{kbits:.0} of {bitrate} kbit/s");
    }
    Ok(())
}
