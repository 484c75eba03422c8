//! The node as an engine sees it. What the tests have in common is here: streams that another encoder made, and what
//! other decoders make of them.

mod any_bytes;
mod damage;
mod decoding;

use levada_plugin::{
    harness::{Harness, Output},
    picture::i420_bytes,
    prelude::*,
};

use crate::{Av1Decoder, obu};

const FRAME_NS: i64 = 40_000_000;

/// A stream that libaom encoded, and the FNV-1a hash of all bytes that dav1d and libaom make of it.
struct Sample {
    file: &'static [u8],
    size: (u32, u32),
    /// What its pictures' format states of their colours.
    colours: &'static str,
    /// Whether the hash is of the brightness alone.
    is_gray: bool,
    units: usize,
    hash: u64,
}

/// Hidden frames and frames that show one of those, inter prediction of all kinds.
const MOVING: Sample = Sample {
    file: include_bytes!("../../tests/moving.ivf"),
    size: (176, 144),
    colours: "",
    is_gray: false,
    units: 30,
    hash: 0xee7a_30b5_4300_adff,
};

/// Odd sides, all values of a sample, stated colours, two keyframes.
const ODD: Sample = Sample {
    file: include_bytes!("../../tests/odd.ivf"),
    size: (35, 29),
    colours: "range=full;primaries=bt709;transfer=srgb;matrix=bt709",
    is_gray: false,
    units: 6,
    hash: 0xca38_0566_301b_093b,
};

const GRAY: Sample = Sample {
    file: include_bytes!("../../tests/gray.ivf"),
    size: (64, 48),
    colours: "range=full",
    is_gray: true,
    units: 4,
    hash: 0x1146_965b_7db4_9f35,
};

/// The temporal units of an IVF file.
fn units(file: &'static [u8]) -> Vec<&'static [u8]> {
    let (mut units, mut rest) = (vec![], &file[32..]);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        units.push(&behind[8..8 + length]);
        rest = &behind[8 + length..];
    }
    units
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, continued.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(hash, step)
}

/// A unit, flagged as sources do.
fn coded(node: &Harness<Av1Decoder>, n: i64, bytes: &[u8]) -> Frame {
    let begins = obu::look(bytes).is_ok_and(|unit| unit.sequence.is_some());
    Frame::from_bytes(Kind::Video, bytes.to_vec().into())
        .with_format_id(node.format_id(&Format::video("av1", 0, 0)))
        .with_pts(n * FRAME_NS)
        .with_duration_us(40_000)
        .with_stream(1)
        .with_flags(if begins {
            flags::KEYFRAME
        } else {
            flags::INTER
        })
}

fn push(node: &mut Harness<Av1Decoder>, n: i64, bytes: &[u8]) -> Result<Output> {
    let frame = coded(node, n, bytes);
    node.push(0, vec![frame])
}

/// Decodes a whole sample, which comes out to the bit.
fn decodes(node: &mut Harness<Av1Decoder>, sample: &Sample) -> Result {
    let (width, height) = sample.size;
    let format = Format::video("i420", width, height).with_config(sample.colours);
    let (mut hash, mut count) = (FNV, 0);
    for (n, unit) in (0..).zip(units(sample.file)) {
        for (port, picture) in push(node, n, unit)? {
            assert_eq!(port, 1);
            assert_eq!(node.format(picture.format_id()), Some(format.clone()));
            assert_eq!(
                (picture.pts(), picture.duration_us()),
                (n * FRAME_NS, 40_000)
            );
            assert_eq!(picture.stream(), 1);
            assert_eq!(picture.payload().len(), i420_bytes(width, height)?);
            let (y, colours) = picture.payload().split_at((width * height) as usize);
            hash = fnv(hash, y);
            if sample.is_gray {
                assert!(colours.iter().all(|c| *c == 128));
            } else {
                hash = fnv(hash, colours);
            }
            count += 1;
        }
    }
    assert_eq!((count, hash), (sample.units, sample.hash));
    Ok(())
}

fn of_kind(kind: u32, stream: u32) -> Event {
    Event {
        kind,
        stream,
        value: 0,
    }
}
