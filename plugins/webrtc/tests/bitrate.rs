//! What the network takes, as the far side's reports show it.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::*;
use levada_webrtc::{Codec, Loss, LossControl, Peer, PeerConfig, PeerEvent, RtpOut, SeededLoss};

fn bitrates(side: &Side) -> Vec<u64> {
    let heard = side.sink.heard.lock().unwrap();
    let bits = |event: &PeerEvent| match event {
        PeerEvent::Bitrate { bits_per_second } => Some(*bits_per_second),
        _ => None,
    };
    heard.events.iter().filter_map(bits).collect()
}

/// Sends 1 Mbit/s until `done`.
async fn send(side: &Side, timestamp: &mut u32, what: &str, done: impl Fn() -> bool) {
    let mut clock = tokio::time::interval(Duration::from_millis(8));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let sending = async {
        while !done() {
            clock.tick().await;
            *timestamp = timestamp.wrapping_add(720);
            let packet = RtpOut {
                codec: Codec::Vp8,
                payload: Bytes::from(vec![0x10; 1000]),
                marker: true,
                timestamp: *timestamp,
                sequence: None,
                colour: None,
            };
            side.peer.send_rtp(packet).unwrap();
        }
    };
    if tokio::time::timeout(LIMIT, sending).await.is_err() {
        panic!("waited in vain for {what}: {:?}", bitrates(side));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_packets_lower_the_bitrate_and_it_climbs_when_they_arrive_again() {
    let control = LossControl::new(SeededLoss {
        seed: 7,
        per_thousand: 300,
        incoming: false,
        ..SeededLoss::default()
    });
    let lossy = PeerConfig {
        loss: Some(Loss::Controlled(control.clone())),
        ..loopback()
    };
    let (camera, screen) = (side(lossy).await, side(loopback()).await);
    connect(&camera, &screen).await;
    let (mut timestamp, began) = (0, tokio::time::Instant::now());
    let mut told = Vec::new();
    send(&camera, &mut timestamp, "two quiet seconds", || {
        began.elapsed() > Duration::from_secs(2)
    })
    .await;
    control.set(true);
    send(&camera, &mut timestamp, "less", || {
        bitrates(&camera).last().is_some_and(|bits| *bits < 700_000)
    })
    .await;
    control.set(false);
    told.extend(bitrates(&camera));
    let low = told[told.len() - 1];
    send(&camera, &mut timestamp, "more", || {
        bitrates(&camera)
            .last()
            .is_some_and(|bits| *bits > low * 5 / 4)
    })
    .await;
    assert!(control.dropped() > 20);
    close(camera, screen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_receiver_asks_for_is_told_once() {
    let (camera, screen) = (side(loopback()).await, side(loopback()).await);
    connect(&camera, &screen).await;
    let mut timestamp = 0;
    let arrived = || screen.sink.heard.lock().unwrap().rtp.len() > 5;
    send(&camera, &mut timestamp, "packets", arrived).await;
    let track = screen.sink.heard.lock().unwrap().rtp[0].track;
    for _ in 0..2 {
        screen.peer.limit_bitrate(track, 300_000).unwrap();
    }
    send(&camera, &mut timestamp, "the limit", || {
        !bitrates(&camera).is_empty()
    })
    .await;
    screen.peer.limit_bitrate(track, 303_000).unwrap();
    screen.peer.limit_bitrate(track, 200_000).unwrap();
    send(&camera, &mut timestamp, "another limit", || {
        bitrates(&camera).len() > 1
    })
    .await;
    assert_eq!(bitrates(&camera), [300_000, 200_000]);
    close(camera, screen).await;
}
