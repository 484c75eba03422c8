//! What the decoders make of a sound, beside what ffmpeg makes of it.

use levada_plugin::{as_f32, harness::Harness, prelude::*};

use crate::{
    codec::{Aac, Codec, Mp3},
    decoder::Decoder,
};

/// 0.7 s of two chords with noise, 48 kHz, 2 channels, 96 kbit/s, as ffmpeg wrote it.
const AAC: &[u8] = include_bytes!("../tests/chord.aac");
const MP3: &[u8] = include_bytes!("../tests/chord.mp3");
/// Every 67th sample that ffmpeg decodes of it, the first one first, both channels counted: f32, little-endian.
const AAC_SAMPLES: &[u8] = include_bytes!("../tests/chord.aac.f32");
const MP3_SAMPLES: &[u8] = include_bytes!("../tests/chord.mp3.f32");
const STEP: usize = 67;

/// The access units of an ADTS file (ISO/IEC 13818-7, 6.2).
fn aac() -> Vec<&'static [u8]> {
    let (mut units, mut rest) = (vec![], AAC);
    while rest.len() > 7 {
        let length =
            usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5] >> 5);
        units.push(&rest[7..length]);
        rest = &rest[length..];
    }
    units
}

/// Decodes all packets, of blocks of so many samples.
fn decode<C: Codec>(packets: &[&'static [u8]]) -> Result<Vec<f32>> {
    let mut node = Harness::<Decoder<C>>::new(&[])?;
    // Object type 2 (LC), 48 kHz, 2 channels.
    let format = Format::audio(C::ENCODING, 48_000, 2).with_config([0x11, 0x90]);
    let format = node.format_id(&format);
    let mut heard = vec![];
    for packet in packets {
        let frame = Frame::from_bytes(Kind::Audio, (*packet).into()).with_format_id(format);
        for (_, block) in node.push(0, vec![frame])? {
            heard.extend_from_slice(as_f32(block.payload()).expect("aligned"));
        }
    }
    assert_eq!(node.dropped(), 0);
    Ok(heard)
}

/// Signal to difference in dB, of the samples that there are of both.
fn likeness(heard: &[f32], reference: &[u8]) -> f64 {
    let reference = reference.as_chunks::<4>().0.iter();
    let reference: Vec<f32> = reference.map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(heard.len().div_ceil(STEP), reference.len());
    let (mut signal, mut difference) = (0.0, 1e-30);
    for (heard, reference) in heard.iter().step_by(STEP).zip(&reference) {
        signal += f64::from(*reference).powi(2);
        difference += f64::from(heard - reference).powi(2);
    }
    assert!(signal > 1.0, "there is something to hear");
    10.0 * (signal / difference).log10()
}

#[test]
fn samples_are_those_of_another_decoder_up_to_rounding() -> Result {
    let mp3: Vec<_> = MP3.chunks(288).collect();
    for (name, heard, reference) in [
        ("AAC", decode::<Aac>(&aac())?, AAC_SAMPLES),
        ("MP3", decode::<Mp3>(&mp3)?, MP3_SAMPLES),
    ] {
        let db = likeness(&heard, reference);
        println!("{name}: {db:.1} dB");
        assert!(db > 100.0, "{name}: {db:.1} dB");
    }
    Ok(())
}
