//! Media, messages and keyframe requests between two peers, through real sockets.

mod common;

use bytes::Bytes;
use common::*;
use levada_plugin::colour::Colour;
use levada_webrtc::{Codec, MediaKind, Message, Peer, PeerEvent, Refused, RtpIn, RtpOut, TrackId};

fn out(codec: Codec, number: u32) -> RtpOut {
    RtpOut {
        codec,
        payload: Bytes::from(format!("{codec} {number}")),
        marker: number.is_multiple_of(3),
        timestamp: number.wrapping_mul(960),
        sequence: None,
        colour: None,
    }
}

async fn packets(side: &Side, codec: Codec, count: usize) -> Vec<RtpIn> {
    side.sink
        .wait(&format!("{count} packets of {codec}"), |heard| {
            let packets = heard.rtp.iter().filter(|packet| packet.codec == codec);
            let packets: Vec<_> = packets.cloned().collect();
            (packets.len() >= count).then_some(packets)
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_and_pictures_arrive_whole_and_in_order_both_ways() {
    let (a, b) = pair().await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        for codec in [Codec::Opus, Codec::Vp8] {
            for number in 0..100 {
                from.peer.send_rtp(out(codec, number)).unwrap();
            }
            let packets = packets(to, codec, 100).await;
            let first = packets[0].sequence;
            for (number, packet) in packets.iter().enumerate() {
                let sent = out(codec, number as u32);
                assert_eq!(packet.payload, sent.payload);
                assert_eq!(packet.marker, sent.marker);
                assert_eq!(packet.timestamp, sent.timestamp);
                assert_eq!(packet.sequence, first.wrapping_add(number as u16));
            }
        }
        let events = to.sink.heard.lock().unwrap().events.clone();
        let tracks: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event {
                PeerEvent::TrackAdded(info) => Some(info),
                _ => None,
            })
            .collect();
        assert_eq!(tracks.len(), 2);
        assert_eq!(tracks[0].kind, MediaKind::Audio);
        assert_eq!((tracks[0].clock_rate, tracks[0].channels), (48_000, 2));
        assert_eq!(tracks[0].fmtp, "minptime=10;useinbandfec=1");
        assert_eq!(tracks[1].codec, Codec::Vp8);
        assert_eq!(from.peer.stats().rtp_sent, 200);
        assert_eq!(from.peer.stats().rtp_refused, 0);
        assert_eq!(to.peer.stats().rtp_received, 200);
    }
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_video_codec_is_sent_under_its_own_payload_type() {
    let (a, b) = pair().await;
    for number in 0..3 {
        a.peer.send_rtp(out(Codec::Vp8, number)).unwrap();
        a.peer.send_rtp(out(Codec::H264, number)).unwrap();
    }
    let h264 = packets(&b, Codec::H264, 3).await;
    let vp8 = packets(&b, Codec::Vp8, 3).await;
    assert_eq!(h264[0].ssrc, vp8[0].ssrc);
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_ones_own_keep_their_gaps() {
    let (a, b) = pair().await;
    let numbers = [65_000, 65_001, 65_005, 65_535, 0, 3];
    for sequence in numbers {
        let packet = RtpOut {
            sequence: Some(sequence),
            ..out(Codec::Opus, u32::from(sequence))
        };
        a.peer.send_rtp(packet).unwrap();
    }
    let heard: Vec<_> = packets(&b, Codec::Opus, numbers.len())
        .await
        .iter()
        .map(|packet| packet.sequence)
        .collect();
    assert_eq!(heard, numbers);
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyframe_larger_than_the_first_queue_arrives_whole() {
    let (a, b) = pair().await;
    let peer = a.peer.clone();
    // A plain thread: sending needs no runtime.
    let sent = std::thread::spawn(move || {
        (0..900)
            .filter(|number| {
                let packet = RtpOut {
                    payload: vec![*number as u8; 1100].into(),
                    ..out(Codec::Vp8, *number)
                };
                peer.send_rtp(packet).is_ok()
            })
            .count()
    })
    .join()
    .unwrap();
    assert_eq!(sent, 900);
    let heard = packets(&b, Codec::Vp8, 900).await;
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_floods_is_refused_and_every_refusal_counted() {
    let (a, b) = pair().await;
    let mut refused = 0;
    for number in 0..20_000 {
        match a.peer.send_rtp(out(Codec::Opus, number)) {
            Ok(()) => {}
            Err(Refused::QueueFull) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let stats = a.peer.stats();
    assert!(refused > 0, "the queues took 20,000 packets at once");
    assert_eq!(stats.rtp_refused, refused);
    assert_eq!(stats.rtp_sent, 20_000 - refused);
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_before_it_is_agreed() {
    let a = side(loopback()).await;
    let refused = a.peer.send_rtp(out(Codec::Opus, 0));
    assert_eq!(refused, Err(Refused::NotConnected));
    let refused = a.peer.send_data("chat", Message::text("x"));
    assert_eq!(refused, Err(Refused::NoSuchChannel));
    assert_eq!(
        a.peer.request_keyframe(TrackId(0)),
        Err(Refused::NoSuchTrack)
    );
    let stats = a.peer.stats();
    assert_eq!((stats.rtp_refused, stats.messages_refused), (1, 1));
    a.peer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyframe_request_reaches_the_sender_of_the_pictures() {
    let (a, b) = pair().await;
    a.peer.send_rtp(out(Codec::Vp8, 0)).unwrap();
    packets(&b, Codec::Vp8, 1).await;
    let added = b
        .sink
        .wait_event("the track", |event| {
            matches!(event, PeerEvent::TrackAdded(_))
        })
        .await;
    let PeerEvent::TrackAdded(track) = added else {
        unreachable!()
    };
    for wanted in 1..=20 {
        b.peer.request_keyframe(track.id).unwrap();
        a.sink
            .wait("a keyframe request", |heard| {
                let requests = heard.events.iter();
                let requests = requests.filter(|event| **event == PeerEvent::KeyframeWanted);
                (requests.count() == wanted).then_some(())
            })
            .await;
    }
    assert_eq!(a.peer.stats().keyframes_wanted, 20);
    assert_eq!(b.peer.stats().keyframes_requested, 20);
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_bytes_travel_both_ways_on_any_channel() {
    let (a, b) = pair().await;
    b.peer.add_data_channel("files").await.unwrap();
    a.sink.wait_channel("files").await;
    b.sink.wait_channel("files").await;
    let big: Bytes = (0..200_000_u32).map(|n| n as u8).collect();
    for (from, to) in [(&a, &b), (&b, &a)] {
        let sent = [
            ("chat", Message::text("grüß dich")),
            ("files", Message::binary(big.clone())),
            ("chat", Message::text("")),
            ("files", Message::binary(vec![7; 262_144])),
        ];
        for (label, message) in &sent {
            from.peer.send_data(label, message.clone()).unwrap();
        }
        let heard = to
            .sink
            .wait("four messages", |heard| {
                (heard.messages.len() == 4).then(|| heard.messages.clone())
            })
            .await;
        for label in ["chat", "files"] {
            let of = |(_, message): &(_, Message)| message.clone();
            let wanted: Vec<_> = sent.iter().filter(|(other, _)| *other == label).collect();
            let wanted: Vec<_> = wanted
                .into_iter()
                .map(|(_, message)| message.clone())
                .collect();
            let heard: Vec<_> = heard
                .iter()
                .filter(|(other, _)| other == label)
                .map(of)
                .collect();
            assert_eq!(heard, wanted, "{label}");
        }
    }
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_cannot_be_sent_are_refused_with_the_reason() {
    let (a, b) = pair().await;
    let duplicate = a.peer.add_data_channel("chat").await.unwrap_err();
    assert!(duplicate.to_string().contains("\"chat\" exists already"));
    let cases = [
        ("none", Message::text("x"), Refused::NoSuchChannel),
        ("chat", Message::binary(vec![0; 262_145]), Refused::TooLarge),
        (
            "chat",
            Message {
                text: true,
                payload: Bytes::from_static(&[0xff]),
            },
            Refused::NotText,
        ),
    ];
    for (label, message, reason) in cases {
        assert_eq!(a.peer.send_data(label, message), Err(reason));
    }
    assert_eq!(a.peer.stats().messages_refused, 3);
    b.peer.close().await;
    a.peer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_go_without_colours_where_the_other_side_does_not_hear_them() {
    let (a, b) = (side(loopback()).await, side(loopback()).await);
    a.peer.create_offer().await.unwrap();
    let offer = a.peer.wait_for_ice_gathering().await.unwrap();
    let heard = |line: &&str| line.ends_with("rtp-hdrext/color-space");
    assert_eq!(offer.lines().filter(heard).count(), 1, "{offer}");
    let rest = offer.lines().filter(|line| !heard(line));
    let without: String = rest.map(|line| format!("{line}\r\n")).collect();
    b.peer
        .handle_offer_and_create_answer(&without)
        .await
        .unwrap();
    let answer = b.peer.wait_for_ice_gathering().await.unwrap();
    assert_eq!(answer.lines().filter(heard).count(), 0, "{answer}");
    a.peer.handle_answer(&answer).await.unwrap();
    wait_connected(&a, &b).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        for number in 0..3 {
            let packet = RtpOut {
                colour: Some(Colour::default()),
                ..out(Codec::Vp8, number)
            };
            from.peer.send_rtp(packet).unwrap();
        }
        let packets = packets(to, Codec::Vp8, 3).await;
        assert!(packets.iter().all(|packet| packet.colour.is_none()));
    }
    close(a, b).await;
}
