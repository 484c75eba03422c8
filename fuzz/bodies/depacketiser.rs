//! What a depacketiser makes of any packets: units within bounds, and no panic.

use bytes::Bytes;
use levada_webrtc::{
    Codec,
    media::{Depacketiser, ReorderLimits, RtpFields, RtpPacket, starts_keyframe},
};

/// The largest unit that may come.
const LARGEST: usize = (8 << 20) + 1_500;

/// Reads packets out of the bytes, each behind a head of four: how far its number and its time are from those before,
/// the marker, and its length. How many units came.
///
/// # Panics
/// When a promise is broken.
pub fn run(bytes: &[u8]) -> u64 {
    let Some((choice, mut rest)) = bytes.split_first() else {
        return 0;
    };
    let codec = match choice % 4 {
        0 => Codec::Opus,
        1 => Codec::Vp8,
        2 => Codec::Pcmu,
        _ => Codec::H264,
    };
    let mut depacketiser = Depacketiser::new(codec, ReorderLimits::of(codec));
    let (mut sequence, mut timestamp) = (0_u16, 0_u32);
    while let [number, time, marker, len, body @ ..] = rest {
        let (payload, left) = body.split_at(usize::from(*len).min(body.len()));
        rest = left;
        // Mostly the next one; now and then far away.
        sequence = sequence.wrapping_add(match number {
            0..200 => 1,
            other => u16::from(*other).wrapping_mul(317),
        });
        timestamp = timestamp.wrapping_add(match time {
            0..100 => 0,
            100..200 => 3_000,
            other => u32::from(*other).wrapping_mul(0x0102_0304),
        });
        starts_keyframe(codec, payload);
        depacketiser.push(RtpPacket {
            payload: Bytes::copy_from_slice(payload),
            sequence,
            timestamp,
            marker: marker % 4 == 0,
            // Read as they travel beside a packet, which is as its header has them.
            colour: RtpFields::from_bytes(payload).and_then(|fields| fields.colour),
        });
        take(&mut depacketiser);
        depacketiser.keyframe_wanted(i64::from(timestamp), 1);
    }
    depacketiser.flush();
    take(&mut depacketiser);
    depacketiser.stats().units
}

fn take(depacketiser: &mut Depacketiser) {
    while let Some(unit) = depacketiser.pop() {
        assert!(!unit.is_empty() && unit.len() <= LARGEST);
        let mut whole = vec![0; unit.len()];
        assert_eq!(unit.write_to(&mut whole), whole.len());
    }
}
