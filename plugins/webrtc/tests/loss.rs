//! A burst of lost packets: pictures come back, whole, and nothing half is shown in between.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use levada_webrtc::media::{
    AccessUnit, Depacketiser, Packetiser, PacketiserStart, ReorderLimits, RtpPacket,
};
use levada_webrtc::{
    Codec, Loss, LossControl, Message, Peer, PeerConfig, PeerEvent, PeerSink, RtpIn, SeededLoss,
    TokioPeer, TrackId,
};
use std::sync::Arc;

/// A frame of 5000 bytes that says which it is.
fn frame(number: u32, keyframe: bool) -> Bytes {
    let mut frame = vec![number as u8; 5000];
    frame[0] = if keyframe { 0x10 } else { 0x11 };
    frame[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
    frame[10..14].copy_from_slice(&number.to_be_bytes());
    frame.into()
}

#[derive(Default)]
struct Camera {
    wanted: AtomicBool,
}

impl PeerSink for Camera {
    fn rtp(&self, _: RtpIn) {}
    fn message(&self, _: &str, _: Message) {}
    fn event(&self, event: PeerEvent) {
        if event == PeerEvent::KeyframeWanted {
            self.wanted.store(true, Ordering::Relaxed);
        }
    }
}

struct Screen {
    depacketiser: Mutex<Depacketiser>,
    shown: Mutex<Vec<AccessUnit>>,
    wanted: Mutex<Option<TrackId>>,
}

impl PeerSink for Screen {
    fn rtp(&self, packet: RtpIn) {
        let mut depacketiser = self.depacketiser.lock().unwrap();
        depacketiser.push(RtpPacket {
            payload: packet.payload,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            colour: None,
        });
        while let Some(unit) = depacketiser.pop() {
            self.shown.lock().unwrap().push(unit);
        }
        // The packet's own time is clock enough: 90 ticks a millisecond.
        let now = i64::from(packet.timestamp) * 1_000_000 / 90;
        if depacketiser.keyframe_wanted(now, 100_000_000) {
            *self.wanted.lock().unwrap() = Some(packet.track);
        }
    }
    fn message(&self, _: &str, _: Message) {}
    fn event(&self, _: PeerEvent) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_recover_from_a_burst_of_lost_packets() {
    let control = LossControl::new(SeededLoss {
        seed: 7,
        per_thousand: 500,
        outgoing: false,
        ..SeededLoss::default()
    });
    let camera_sink = Arc::new(Camera::default());
    let screen_sink = Arc::new(Screen {
        depacketiser: Mutex::new(Depacketiser::new(Codec::Vp8, ReorderLimits::of(Codec::Vp8))),
        shown: Mutex::default(),
        wanted: Mutex::default(),
    });
    let camera = TokioPeer::new(loopback(), camera_sink.clone())
        .await
        .unwrap();
    let lossy = PeerConfig {
        loss: Some(Loss::Controlled(control.clone())),
        ..loopback()
    };
    let screen = TokioPeer::new(lossy, screen_sink.clone()).await.unwrap();
    camera.create_offer().await.unwrap();
    let offer = camera.wait_for_ice_gathering().await.unwrap();
    screen.handle_offer_and_create_answer(&offer).await.unwrap();
    let answer = screen.wait_for_ice_gathering().await.unwrap();
    camera.handle_answer(&answer).await.unwrap();
    camera.wait_for_connection().await.unwrap();
    screen.wait_for_connection().await.unwrap();

    let start = PacketiserStart {
        timestamp: 1000,
        picture_id: 1,
    };
    let mut packetiser = Packetiser::new(Codec::Vp8, start, 1200);
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    let mut packets = Vec::new();
    let mut recovered_after = None;
    for number in 0..3000_u32 {
        clock.tick().await;
        control.set((50..100).contains(&number));
        let keyframe = number == 0 || camera_sink.wanted.swap(false, Ordering::Relaxed);
        let pts = i64::from(number) * 10_000_000;
        packetiser
            .packetise(&frame(number, keyframe), pts, &mut packets)
            .unwrap();
        for packet in packets.drain(..) {
            camera.send_rtp(packet).unwrap();
        }
        let wanted = screen_sink.wanted.lock().unwrap().take();
        if let Some(track) = wanted {
            screen.request_keyframe(track).unwrap();
        }
        let shown = screen_sink.shown.lock().unwrap();
        let after = shown
            .iter()
            .filter(|unit| unit.pts_ns >= 1_000_000_000)
            .count();
        if after >= 50 {
            recovered_after = Some(number);
            break;
        }
    }
    assert!(recovered_after.is_some(), "the pictures froze for good");
    assert!(
        control.dropped() > 20,
        "the burst lost {}",
        control.dropped()
    );

    // Everything that was shown is whole, in order, and decodable: a gap is followed by a keyframe, and marked.
    let shown = std::mem::take(&mut *screen_sink.shown.lock().unwrap());
    let mut expected = 0;
    for unit in shown {
        let (keyframe, marked) = (unit.keyframe, unit.discontinuity);
        let (bytes, _) = unit.into_bytes();
        let number = u32::from_be_bytes(bytes[10..14].try_into().unwrap());
        assert_eq!(bytes, frame(number, keyframe));
        assert!(number >= expected);
        assert_eq!(number > expected, marked);
        assert!(number == expected || keyframe, "{number} after a gap");
        expected = number + 1;
    }
    let stats = screen_sink.depacketiser.lock().unwrap().stats();
    assert!(stats.late + stats.lost + stats.dropped > 0, "{stats:?}");
    camera.close().await;
    screen.close().await;
}
