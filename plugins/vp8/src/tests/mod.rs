//! Both nodes as an engine sees them. What they have in common is here: streams that another encoder made, and what
//! another decoder makes of them.

mod damage;
mod decoding;
#[cfg(feature = "encoder")]
mod encoding;

use levada_plugin::{
    harness::{Harness, Output},
    prelude::*,
};

use crate::{codec, decoder::Vp8Decoder};

const FRAME_NS: i64 = 40_000_000;

/// A stream that libvpx encoded, and the FNV-1a hash of all bytes that ffmpeg's decoder and libvpx make of it.
struct Sample {
    file: &'static [u8],
    size: (u32, u32),
    pictures: usize,
    hash: u64,
}

/// Two frames of it are not to be shown; two partitions; golden and altref frames with signs; 17 kB.
const MOVING: Sample = Sample {
    file: include_bytes!("../../tests/moving.ivf"),
    size: (176, 144),
    pictures: 40,
    hash: 0x40e0_db88_8d3d_ff69,
};

/// Odd sizes, and versions 1 to 3 of the bitstream: simple loop filter, bilinear prediction, whole pixels of colour.
const ODD: [Sample; 3] = [
    Sample {
        file: include_bytes!("../../tests/odd1.ivf"),
        size: (35, 29),
        pictures: 8,
        hash: 0xc9de_288c_61bb_4028,
    },
    Sample {
        file: include_bytes!("../../tests/odd2.ivf"),
        size: (35, 29),
        pictures: 8,
        hash: 0x09e3_8cd5_eeac_9718,
    },
    Sample {
        file: include_bytes!("../../tests/odd3.ivf"),
        size: (35, 29),
        pictures: 8,
        hash: 0xdecd_c677_d823_6d21,
    },
];

impl Sample {
    /// The frames of the IVF file.
    fn units(&self) -> Vec<&'static [u8]> {
        let (mut units, mut rest) = (vec![], &self.file[32..]);
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            units.push(&behind[8..8 + length]);
            rest = &behind[8 + length..];
        }
        units
    }
}

/// FNV-1a, continued.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(hash, step)
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// A frame of a stream, flagged as sources do.
fn coded(node: &Harness<Vp8Decoder>, n: i64, bytes: &[u8]) -> Frame {
    let flag = if codec::is_keyframe(bytes) {
        flags::KEYFRAME
    } else {
        flags::INTER
    };
    Frame::from_bytes(Kind::Video, bytes.to_vec().into())
        .with_format_id(node.format_id(&Format::video("vp8", 0, 0)))
        .with_pts(n * FRAME_NS)
        .with_duration_us(40_000)
        .with_stream(1)
        .with_flags(flag)
}

fn push(node: &mut Harness<Vp8Decoder>, n: i64, bytes: &[u8]) -> Result<Output> {
    let frame = coded(node, n, bytes);
    node.push(0, vec![frame])
}

fn of_kind(kind: u32, stream: u32) -> Event {
    Event {
        kind,
        stream,
        value: 0,
    }
}
