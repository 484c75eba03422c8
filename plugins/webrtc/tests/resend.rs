//! Lost packets of pictures are asked for and sent again, whichever codec was agreed and whoever offered.

mod common;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use levada_webrtc::{Codec, Loss, LossControl, MediaKind, Peer, PeerConfig, RtpOut, SeededLoss};

/// The description of a side that does not know VP8.
fn without_vp8(sdp: &str) -> String {
    sdp.lines()
        .filter(|line| !line.contains(":96 "))
        .map(|line| match line.starts_with("m=video") {
            true => line.replace(" 96", "") + "\r\n",
            false => line.to_owned() + "\r\n",
        })
        .collect()
}

async fn lost_packets_come_again(codec: Codec, sender_offers: bool) {
    let control = LossControl::new(SeededLoss {
        seed: 11,
        per_thousand: 100,
        outgoing: false,
        ..SeededLoss::default()
    });
    let lossy = PeerConfig {
        loss: Some(Loss::Controlled(control.clone())),
        ..loopback()
    };
    let (sender, receiver) = (side(loopback()).await, side(lossy).await);
    let (offerer, answerer) = match sender_offers {
        true => (&sender, &receiver),
        false => (&receiver, &sender),
    };
    offerer.peer.create_offer().await.unwrap();
    let mut offer = offerer.peer.wait_for_ice_gathering().await.unwrap();
    if codec == Codec::H264 {
        offer = without_vp8(&offer);
    }
    answerer
        .peer
        .handle_offer_and_create_answer(&offer)
        .await
        .unwrap();
    let answer = answerer.peer.wait_for_ice_gathering().await.unwrap();
    offerer.peer.handle_answer(&answer).await.unwrap();
    wait_connected(offerer, answerer).await;
    assert_eq!(sender.peer.negotiated(MediaKind::Video)[0], codec);
    if codec == Codec::H264 {
        assert_eq!(sender.peer.negotiated(MediaKind::Video), [Codec::H264]);
    }

    let mut clock = tokio::time::interval(Duration::from_millis(2));
    for number in 0..500_u16 {
        clock.tick().await;
        // The first establishes the stream; what is lost at the very end nobody can miss.
        control.set((10..450).contains(&number));
        let packet = RtpOut {
            codec,
            payload: Bytes::from(number.to_be_bytes().to_vec()),
            marker: true,
            timestamp: u32::from(number) * 180,
            sequence: None,
            colour: None,
        };
        sender.peer.send_rtp(packet).unwrap();
    }
    receiver
        .sink
        .wait("all packets", |heard| {
            let seen: HashSet<_> = heard.rtp.iter().map(|packet| &packet.payload).collect();
            (seen.len() == 500).then_some(())
        })
        .await;
    assert!(control.dropped() > 20);
    close(sender, receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_of_the_offering_side() {
    lost_packets_come_again(Codec::Vp8, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_of_the_answering_side() {
    lost_packets_come_again(Codec::Vp8, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_of_an_offering_side_whose_vp8_was_not_taken() {
    lost_packets_come_again(Codec::H264, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_of_an_answering_side_that_was_offered_no_vp8() {
    lost_packets_come_again(Codec::H264, false).await;
}
