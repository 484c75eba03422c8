//! Units that were cut into packets, shuffled, doubled and lost come out as they were, or as honest gaps.

use bytes::Bytes;
use levada_webrtc::media::{
    Depacketiser, Packetiser, PacketiserStart, ReorderLimits, RtpPacket, starts_keyframe,
};
use levada_webrtc::{Codec, MediaKind, RtpOut};

/// Numbers that repeat by their seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        // Never 0, so that no start code appears in them.
        (0..len).map(|_| self.below(255) as u8 + 1).collect()
    }
}

struct Sent {
    unit: Bytes,
    keyframe: bool,
    pts_ns: i64,
    packets: Vec<RtpPacket>,
}

fn unit(random: &mut Random, codec: Codec, keyframe: bool) -> Bytes {
    let len = 1 + random.below(4000);
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => random.bytes(1 + len / 10),
        Codec::Vp8 => {
            let mut frame = random.bytes(9 + len);
            frame[0] = if keyframe { 0x10 } else { 0x11 };
            if keyframe {
                frame[3..10].copy_from_slice(&[0x9d, 0x01, 0x2a, 64, 1, 240, 0]);
            }
            frame
        }
        Codec::H264 => {
            let mut stream = Vec::new();
            let mut nal = |header: u8, random: &mut Random, len| {
                stream.extend([0, 0, 0, 1, header, 0x80]);
                stream.extend(random.bytes(len));
            };
            if keyframe {
                nal(0x67, random, 10);
                nal(0x68, random, 4);
            }
            nal(if keyframe { 0x65 } else { 0x41 }, random, len);
            if random.below(3) == 0 {
                // A second slice, which does not begin the picture.
                stream.extend([0, 0, 0, 1, 0x41, 0x40]);
                stream.extend(random.bytes(len / 2 + 1));
            }
            stream
        }
    }
    .into()
}

fn send(random: &mut Random, codec: Codec, count: usize) -> Vec<Sent> {
    let start = PacketiserStart {
        timestamp: random.next() as u32,
        picture_id: random.next() as u16,
    };
    let mut packetiser = Packetiser::new(codec, start, 500);
    let mut sequence = random.next() as u16;
    (0..count)
        .map(|index| {
            let keyframe = index % 10 == 0;
            let unit = unit(random, codec, keyframe);
            let pts_ns = index as i64 * 20_000_000;
            let mut packets = Vec::new();
            packetiser.packetise(&unit, pts_ns, &mut packets).unwrap();
            let packets = packets.into_iter().map(
                |RtpOut {
                     payload,
                     marker,
                     timestamp,
                     ..
                 }| {
                    sequence = sequence.wrapping_add(1);
                    RtpPacket {
                        payload,
                        sequence,
                        timestamp,
                        marker,
                        colour: None,
                    }
                },
            );
            Sent {
                unit,
                keyframe,
                pts_ns,
                packets: packets.collect(),
            }
        })
        .collect()
}

/// Moves packets by a few places, doubles some and loses some. The very first stays, for a receiver that begins with
/// the second cannot know that there was another.
fn travel(random: &mut Random, sent: &mut [Sent], lose_per_thousand: usize) -> Vec<RtpPacket> {
    let mut packets = Vec::new();
    for (index, unit) in sent.iter_mut().enumerate() {
        let all = std::mem::take(&mut unit.packets);
        for packet in all {
            let first = index == 0 && packets.is_empty();
            if first || random.below(1000) >= lose_per_thousand {
                let place = packets.len() * 4 + if first { 0 } else { random.below(24) };
                packets.push((place, packet.clone()));
                if random.below(20) == 0 {
                    packets.push((place + random.below(40), packet.clone()));
                }
                unit.packets.push(packet);
            }
        }
    }
    packets.sort_by_key(|(place, _)| *place);
    packets.into_iter().map(|(_, packet)| packet).collect()
}

const LIMITS: ReorderLimits = ReorderLimits {
    packets: 64,
    ticks: 1 << 20,
};

#[test]
fn units_survive_shuffling_and_doubling_and_losses_are_honest() {
    for seed in 1..=60 {
        for codec in Codec::ALL {
            for lose in [0, 5, 50] {
                check(seed, codec, lose);
            }
        }
    }
}

fn check(seed: u64, codec: Codec, lose: usize) {
    let what = format!("seed {seed}, {codec}, {lose} of 1000 lost");
    let mut random = Random(seed * 7919);
    let mut sent = send(&mut random, codec, 80);
    let wanted: Vec<usize> = sent.iter().map(|unit| unit.packets.len()).collect();
    let packets = travel(&mut random, &mut sent, lose);

    let mut depacketiser = Depacketiser::new(codec, LIMITS);
    let mut units = Vec::new();
    for packet in packets {
        depacketiser.push(packet);
        while let Some(unit) = depacketiser.pop() {
            units.push(unit);
        }
    }
    depacketiser.flush();
    while let Some(unit) = depacketiser.pop() {
        units.push(unit);
    }

    // What should have come: whole units, of video none between a loss and the next keyframe, each mark in its place.
    let mut waiting = codec.kind() == MediaKind::Video;
    let mut mark = false;
    let mut units = units.into_iter();
    for (unit, wanted) in sent.iter().zip(wanted) {
        let whole = unit.packets.len() == wanted;
        if !whole {
            waiting = codec.kind() == MediaKind::Video;
            mark = true;
        } else if unit.keyframe || !waiting {
            let got = units
                .next()
                .unwrap_or_else(|| panic!("{what}: a unit is missing"));
            waiting = false;
            assert_eq!(got.discontinuity, mark, "{what}");
            mark = false;
            assert_eq!(got.pts_ns, unit.pts_ns, "{what}");
            if codec.kind() == MediaKind::Video {
                assert_eq!(got.keyframe, unit.keyframe, "{what}");
            }
            if codec == Codec::Vp8 && unit.keyframe {
                assert_eq!(got.size, Some((320, 240)), "{what}");
            }
            let mut copy = vec![0; got.len()];
            assert_eq!(got.write_to(&mut copy), copy.len());
            assert_eq!(copy, unit.unit, "{what}");
            let in_one_packet = wanted == 1 && codec != Codec::H264;
            let (bytes, copied) = got.into_bytes();
            assert_eq!(bytes, unit.unit, "{what}");
            assert_eq!(
                copied,
                if in_one_packet { 0 } else { bytes.len() },
                "{what}"
            );
        } else {
            mark = true;
        }
    }
    assert!(units.next().is_none(), "{what}: a unit too many");
    if lose == 0 {
        let stats = depacketiser.stats();
        assert_eq!(
            (stats.lost, stats.dropped, stats.malformed),
            (0, 0, 0),
            "{what}"
        );
        assert_eq!(stats.units, 80, "{what}");
    }
}

#[test]
fn a_keyframe_is_asked_for_after_a_loss_at_the_given_rate_and_no_more_once_it_came() {
    let mut random = Random(5);
    let sent = send(&mut random, Codec::Vp8, 30);
    let mut depacketiser = Depacketiser::new(
        Codec::Vp8,
        ReorderLimits {
            packets: 2,
            ..LIMITS
        },
    );
    let mut asked = Vec::new();
    for (index, unit) in sent.into_iter().enumerate() {
        let lost = index == 3;
        for packet in unit.packets.into_iter().skip(usize::from(lost)) {
            depacketiser.push(packet);
            while depacketiser.pop().is_some() {}
        }
        if depacketiser.keyframe_wanted(unit.pts_ns, 50_000_000) {
            asked.push(index);
        }
    }
    // 20 ms a unit: every 50 ms is every third. Unit 10 is a keyframe.
    assert!(asked.len() >= 2 && asked[0] >= 3, "{asked:?}");
    for pair in asked.windows(2) {
        assert_eq!(pair[1] - pair[0], 3, "{asked:?}");
    }
    assert!(*asked.last().unwrap() < 10, "{asked:?}");
}

#[test]
fn an_idr_picture_gets_the_parameter_sets_that_came_before() {
    let nal = |sequence, payload: &'static [u8], timestamp| RtpPacket {
        payload: Bytes::from_static(payload),
        sequence,
        timestamp,
        marker: true,
        colour: None,
    };
    let mut depacketiser = Depacketiser::new(Codec::H264, LIMITS);
    // An IDR picture without its parameter sets cannot be decoded.
    depacketiser.push(nal(1, &[0x65, 0x80], 0));
    assert!(depacketiser.pop().is_none());
    // STAP-A with both sets, as a unit of its own.
    depacketiser.push(nal(2, &[24, 0, 2, 0x67, 1, 0, 2, 0x68, 2], 1));
    assert!(depacketiser.pop().is_none());
    depacketiser.push(nal(3, &[0x65, 0x81], 2));
    let unit = depacketiser.pop().unwrap();
    assert!(unit.keyframe);
    let (bytes, _) = unit.into_bytes();
    assert_eq!(
        bytes,
        &[
            0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 0x81
        ][..]
    );
}

#[test]
fn strangers_cannot_make_it_panic_or_hold_without_bound() {
    let mut random = Random(99);
    for codec in Codec::ALL {
        let mut depacketiser = Depacketiser::new(codec, ReorderLimits::of(codec));
        for round in 0..200_000_u32 {
            let len = random.below(12);
            let mut payload: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
            if random.below(2) == 0 && !payload.is_empty() {
                // Often enough something that looks right.
                payload[0] = [0x10, 0x90, 0x65, 0x67, 24, 28][random.below(6)];
            }
            let _ = starts_keyframe(codec, &payload);
            let packet = RtpPacket {
                payload: payload.into(),
                sequence: match random.below(10) {
                    0 => random.next() as u16,
                    _ => round as u16,
                },
                timestamp: match random.below(10) {
                    0 => random.next() as u32,
                    _ => round / 5 * 3000,
                },
                marker: random.below(4) == 0,
                colour: None,
            };
            depacketiser.push(packet);
            while let Some(unit) = depacketiser.pop() {
                assert!(unit.len() < 1 << 20);
            }
        }
    }
}

#[test]
fn a_unit_that_never_ends_is_given_up() {
    for codec in [Codec::Vp8, Codec::H264] {
        let mut depacketiser = Depacketiser::new(codec, LIMITS);
        let mut payload = vec![0x10; 1200];
        if codec == Codec::H264 {
            payload[..3].copy_from_slice(&[28, 0x85, 0x80]);
        }
        for sequence in 0..20_000_u16 {
            depacketiser.push(RtpPacket {
                payload: payload.clone().into(),
                sequence,
                timestamp: 0,
                marker: false,
                colour: None,
            });
            assert!(depacketiser.pop().is_none());
            // What follows the first packet.
            payload[..2].copy_from_slice(if codec == Codec::Vp8 {
                &[0, 0x10]
            } else {
                &[28, 5]
            });
        }
        let stats = depacketiser.stats();
        assert_eq!(
            (stats.malformed, stats.dropped),
            (1, 1),
            "{codec}: {stats:?}"
        );
    }
}
