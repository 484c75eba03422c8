//! A peer's sound, pictures and messages through a graph and back, over real sockets and without a
//! browser: both modes, one link for all and one for each, with what it copies.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use levada::engine::{
    Engine, EngineConfig,
    graph::{GraphBuilder, Plan},
};
use levada_webrtc::{
    Codec, Message, Peer, PeerConfig, PeerEvent, PeerSink, RtpIn, RtpOut, Session, TokioPeer,
    TrackId,
    media::{Packetiser, PacketiserStart},
};
use tokio::sync::Notify;

const LIMIT: Duration = Duration::from_secs(60);
const UNITS: usize = 120;

/// The far side: writes down what comes back.
#[derive(Default)]
struct Far {
    seen: Mutex<Seen>,
    news: Notify,
}

#[derive(Clone, Default)]
struct Seen {
    sound: usize,
    pictures: usize,
    messages: usize,
    video: Option<TrackId>,
    open: bool,
    keyframes_wanted: usize,
}

impl Far {
    fn note(&self, f: impl FnOnce(&mut Seen)) {
        f(&mut self.seen.lock().expect("no panic under the lock"));
        self.news.notify_waiters();
    }

    /// Waits until what was seen is enough.
    async fn wait(&self, what: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
        let wait = async {
            loop {
                let news = self.news.notified();
                let seen = self.seen.lock().expect("no panic under the lock").clone();
                if enough(&seen) {
                    return seen;
                }
                news.await;
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }
}

impl PeerSink for Far {
    fn rtp(&self, packet: RtpIn) {
        self.note(|seen| match packet.codec {
            Codec::Opus => seen.sound += 1,
            _ => {
                seen.video = Some(packet.track);
                // The marker is on the last packet of a picture.
                seen.pictures += usize::from(packet.marker);
            }
        });
    }

    fn message(&self, _label: &str, _message: Message) {
        self.note(|seen| seen.messages += 1);
    }

    fn event(&self, event: PeerEvent) {
        self.note(|seen| match event {
            PeerEvent::ChannelOpen { .. } => seen.open = true,
            PeerEvent::KeyframeWanted => seen.keyframes_wanted += 1,
            _ => {}
        });
    }
}

fn config() -> PeerConfig {
    PeerConfig {
        addresses: vec!["127.0.0.1:0".parse().expect("an address")],
        ..PeerConfig::default()
    }
}

async fn send(far: &TokioPeer) {
    let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
    let mut packets = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(3));
    for unit in 0..UNITS {
        // The pace of a sender, so that the sockets' buffers are not the limit.
        pace.tick().await;
        let is_key = unit % 40 == 0;
        let mut picture = vec![unit as u8; if is_key { 60_000 } else { 6_000 }];
        // The first bit of a VP8 frame says whether it needs others (RFC 6386, 9.1).
        picture[0] = if is_key { 0x10 } else { 0x11 };
        let pts = unit as i64 * 33_000_000;
        packetiser
            .packetise(&Bytes::from(picture), pts, &mut packets)
            .expect("a picture to cut up");
        for packet in packets.drain(..) {
            far.send_rtp(packet).expect("room for a packet");
        }
        let sound = RtpOut {
            codec: Codec::Opus,
            payload: Bytes::from_static(&[0xfc, 0xff, 0xfe]),
            marker: false,
            timestamp: unit as u32 * 960,
            sequence: None,
            colour: None,
        };
        far.send_rtp(sound).expect("room for a packet");
        if unit % 10 == 0 {
            far.send_data("chat", Message::binary(vec![unit as u8; 50_000]))
                .expect("room for a message");
        }
    }
}

async fn echo(mode: &str, links: &[&str]) {
    let engine = Engine::start(&EngineConfig::default()).expect("threads");
    let registry = levada::graph_file::builtin_types();
    let mut graph = GraphBuilder::new("echo");
    graph.node("browser", "webrtc-source").param("mode", mode);
    graph.node("screen", "webrtc-sink");
    for link in links {
        graph.link(link);
    }
    let graph = graph
        .build(&registry)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let plan = Arc::new(Plan::new(graph, &registry).expect("the registry has all types"));

    let id = engine.reserve_session();
    let near = Session::with_peer(id, config(), |_| ())
        .await
        .expect("a peer");
    let (tell, ended) = tokio::sync::oneshot::channel();
    let session = engine.start_reserved(id, &plan, move |ended| {
        let _ = tell.send(ended);
    });
    let session = session.unwrap_or_else(|error| panic!("{error}"));
    let sink = Arc::new(Far::default());
    let far = TokioPeer::new(config(), sink.clone())
        .await
        .expect("a peer");

    let connect = async {
        far.add_data_channel("chat").await?;
        far.create_offer().await?;
        near.handle_offer_and_create_answer(&far.wait_for_ice_gathering().await?)
            .await?;
        far.handle_answer(&near.wait_for_ice_gathering().await?)
            .await?;
        far.wait_for_connection().await
    };
    tokio::time::timeout(LIMIT, connect)
        .await
        .expect("in time")
        .expect("they connect");
    sink.wait("the data channel", |seen| seen.open).await;
    send(&far).await;
    let seen = sink
        .wait("all to come back", |seen| {
            seen.sound >= UNITS && seen.pictures >= UNITS && seen.messages >= UNITS / 10
        })
        .await;

    // What the far side asks for reaches the far side itself, by way of the sink and the source.
    far.request_keyframe(seen.video.expect("pictures came"))
        .expect("room for a request");
    sink.wait("the keyframe request", |seen| seen.keyframes_wanted > 0)
        .await;

    let report = session.report();
    assert!(
        report
            .links
            .iter()
            .all(|link| link.frames > 0 && link.dropped == 0),
        "{report:#?}"
    );
    assert_eq!(report.bytes_copied > 0, mode == "encoded", "{report:#?}");
    near.close().await;
    let ended = tokio::time::timeout(LIMIT, ended)
        .await
        .expect("the session ends with its peer");
    assert_eq!(ended.expect("told").error, None);
    far.close().await;
    assert!(
        Session::find(id).is_none(),
        "nothing of the session is left"
    );
}

const TOGETHER: &[&str] = &["browser.out -> screen.in"];
const APART: &[&str] = &[
    "browser.audio -> screen.audio",
    "browser.video -> screen.video",
    "browser.data -> screen.data",
];

#[tokio::test(flavor = "multi_thread")]
async fn access_units_come_back_and_only_pictures_are_copied() {
    echo("encoded", TOGETHER).await;
    echo("encoded", APART).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_come_back_without_a_copy() {
    echo("packets", TOGETHER).await;
    echo("packets", APART).await;
}
