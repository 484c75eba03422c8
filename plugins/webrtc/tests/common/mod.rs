//! Two peers in one process, over real sockets on loopback.
#![allow(dead_code)] // Each test file uses its part.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use levada_webrtc::{
    ConnectionState, IceCandidate, Message, Peer, PeerConfig, PeerEvent, PeerSink, RtpIn, TokioPeer,
};
use tokio::sync::Notify;

/// Longer than anything here takes on the slowest machine; only a failing test waits this long.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Everything that a sink was given.
#[derive(Default, Clone)]
pub struct Heard {
    pub rtp: Vec<RtpIn>,
    pub messages: Vec<(String, Message)>,
    pub events: Vec<PeerEvent>,
}

#[derive(Default)]
pub struct Recorder {
    pub heard: Mutex<Heard>,
    changed: Notify,
}

impl Recorder {
    fn note(&self, note: impl FnOnce(&mut Heard)) {
        note(&mut self.heard.lock().unwrap());
        self.changed.notify_waiters();
    }

    /// Waits until `found` finds something in what was heard.
    pub async fn wait<T>(&self, what: &str, mut found: impl FnMut(&Heard) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(value) = found(&self.heard.lock().unwrap()) {
                    return value;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(value) => value,
            Err(_) => panic!("waited in vain for {what}"),
        }
    }

    pub async fn wait_event(&self, what: &str, wanted: impl Fn(&PeerEvent) -> bool) -> PeerEvent {
        self.wait(what, |heard| {
            heard.events.iter().find(|event| wanted(event)).cloned()
        })
        .await
    }

    pub async fn wait_channel(&self, label: &str) {
        let open = PeerEvent::ChannelOpen {
            label: label.to_owned(),
        };
        self.wait_event("an open channel", |event| *event == open)
            .await;
    }
}

impl PeerSink for Recorder {
    fn rtp(&self, packet: RtpIn) {
        self.note(|heard| heard.rtp.push(packet));
    }

    fn message(&self, label: &str, message: Message) {
        self.note(|heard| heard.messages.push((label.to_owned(), message)));
    }

    fn event(&self, event: PeerEvent) {
        self.note(|heard| heard.events.push(event));
    }
}

pub struct Side {
    pub peer: Arc<TokioPeer>,
    pub sink: Arc<Recorder>,
}

pub fn loopback() -> PeerConfig {
    PeerConfig {
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        ..PeerConfig::default()
    }
}

pub async fn side(config: PeerConfig) -> Side {
    let sink = Arc::new(Recorder::default());
    let peer = TokioPeer::new(config, sink.clone()).await.unwrap();
    Side {
        peer: Arc::new(peer),
        sink,
    }
}

/// Connects with all candidates in the descriptions.
pub async fn connect(offerer: &Side, answerer: &Side) {
    offerer.peer.create_offer().await.unwrap();
    let offer = offerer.peer.wait_for_ice_gathering().await.unwrap();
    answerer
        .peer
        .handle_offer_and_create_answer(&offer)
        .await
        .unwrap();
    let answer = answerer.peer.wait_for_ice_gathering().await.unwrap();
    offerer.peer.handle_answer(&answer).await.unwrap();
    wait_connected(offerer, answerer).await;
}

pub async fn wait_connected(one: &Side, other: &Side) {
    for side in [one, other] {
        tokio::time::timeout(LIMIT, side.peer.wait_for_connection())
            .await
            .expect("connecting takes too long")
            .unwrap();
        assert_eq!(side.peer.state(), ConnectionState::Connected);
    }
}

/// The local candidates, once there are no more.
pub async fn candidates(side: &Side) -> Vec<IceCandidate> {
    side.sink
        .wait_event("the end of gathering", |event| {
            *event == PeerEvent::GatheringComplete
        })
        .await;
    let heard = side.sink.heard.lock().unwrap();
    heard
        .events
        .iter()
        .filter_map(|event| match event {
            PeerEvent::LocalCandidate(candidate) => Some(candidate.clone()),
            _ => None,
        })
        .collect()
}

/// A pair with a data channel `chat` of the offering side, connected and open.
pub async fn pair() -> (Side, Side) {
    let (a, b) = (side(loopback()).await, side(loopback()).await);
    a.peer.add_data_channel("chat").await.unwrap();
    connect(&a, &b).await;
    a.sink.wait_channel("chat").await;
    b.sink.wait_channel("chat").await;
    (a, b)
}

pub async fn close(a: Side, b: Side) {
    a.peer.close().await;
    b.peer.close().await;
}
