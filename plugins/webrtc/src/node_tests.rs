//! The two node types with a real peer behind them: what a second peer sends comes out of the source, and what is
//! pushed into the sink reaches the second peer.

mod colours;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use levada_plugin::harness::{Harness, Value};
use levada_plugin::prelude::*;

use crate::media::{Packetiser, PacketiserStart};
use crate::sink::Sink;
use crate::source::Source;
use crate::{
    Codec, Message, Peer, PeerConfig, PeerEvent, PeerSink, RtpIn, RtpOut, Session, TokioPeer,
};

/// The harness numbers its nodes, and takes that for the session; so tests take turns.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Learns the number of the harness that was made last.
struct Number;

static LAST: AtomicU64 = AtomicU64::new(0);

impl Node for Number {
    const NAME: &'static str = "number";
    const SUMMARY: &'static str = "Learns its session's number";
    const PORTS: &'static [Port] = &[];

    fn create(config: &Config) -> Result<Self> {
        LAST.store(config.session(), Ordering::Relaxed);
        Ok(Number)
    }
}

pub(crate) fn next_session() -> u64 {
    drop(Harness::<Number>::new(&[]).unwrap());
    LAST.load(Ordering::Relaxed) + 1
}

/// The near peer's sink: the sessions of both nodes.
struct Both([Arc<Session>; 2]);

impl PeerSink for Both {
    fn rtp(&self, packet: RtpIn) {
        self.0[0].rtp(packet);
    }
    fn message(&self, label: &str, message: Message) {
        self.0[0].message(label, message);
    }
    fn event(&self, event: PeerEvent) {
        for session in &self.0 {
            session.event(event.clone());
        }
    }
}

#[derive(Default)]
struct Far {
    rtp: Mutex<Vec<RtpIn>>,
    messages: Mutex<Vec<(String, Message)>>,
    events: Mutex<Vec<PeerEvent>>,
}

impl PeerSink for Far {
    fn rtp(&self, packet: RtpIn) {
        self.rtp.lock().unwrap().push(packet);
    }
    fn message(&self, label: &str, message: Message) {
        let message = (label.to_owned(), message);
        self.messages.lock().unwrap().push(message);
    }
    fn event(&self, event: PeerEvent) {
        self.events.lock().unwrap().push(event);
    }
}

struct Line {
    far: TokioPeer,
    heard: Arc<Far>,
    near: Arc<dyn Peer>,
    source: Harness<Source>,
    sink: Harness<Sink>,
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = found() {
                return value;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(60);
    match tokio::time::timeout(limit, wait).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

async fn line(mode: &'static str) -> Line {
    let config = PeerConfig {
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        ..PeerConfig::default()
    };
    let first = next_session();
    let sessions = [first, first + 1].map(|id| Session::open(id, |_| {}).unwrap());
    let near = TokioPeer::new(config.clone(), Arc::new(Both(sessions.clone())))
        .await
        .unwrap();
    let near: Arc<dyn Peer> = Arc::new(near);
    sessions.iter().for_each(|session| session.set_peer(&near));
    let params = [("mode", Value::Text(mode)), ("adapt", Value::Bool(true))];
    let source = Harness::<Source>::new(&params).unwrap();
    let sink = Harness::<Sink>::new(&[]).unwrap();

    let heard = Arc::new(Far::default());
    let far = TokioPeer::new(config, heard.clone()).await.unwrap();
    // The harness knows no labels, so the sink sends on the channel without one.
    for label in ["chat", ""] {
        far.add_data_channel(label).await.unwrap();
    }
    far.create_offer().await.unwrap();
    let offer = far.wait_for_ice_gathering().await.unwrap();
    near.handle_offer_and_create_answer(&offer).await.unwrap();
    let answer = near.wait_for_ice_gathering().await.unwrap();
    far.handle_answer(&answer).await.unwrap();
    far.wait_for_connection().await.unwrap();
    near.wait_for_connection().await.unwrap();
    until("two open channels", || {
        let events = heard.events.lock().unwrap();
        let open = events
            .iter()
            .filter(|event| matches!(event, PeerEvent::ChannelOpen { .. }));
        (open.count() == 2).then_some(())
    })
    .await;
    Line {
        far,
        heard,
        near,
        source,
        sink,
    }
}

impl Line {
    /// Everything that the source handed in at one port, once there is as much as wanted.
    async fn frames(&mut self, all: &mut Vec<(usize, Frame)>, port: usize, count: usize) {
        let source = &self.source;
        until("frames from the source", || {
            all.extend(source.take_ingested());
            (all.iter().filter(|(at, _)| *at == port).count() >= count).then_some(())
        })
        .await;
    }

    async fn close(self) {
        drop((self.source, self.sink));
        self.near.close().await;
        self.far.close().await;
    }
}

pub(crate) fn vp8(number: u8, keyframe: bool) -> Bytes {
    if keyframe {
        return vp8_of_size(number, 640, 360);
    }
    let mut frame = vec![number; 4000];
    frame[0] = 0x11;
    frame.into()
}

/// A keyframe.
pub(crate) fn vp8_of_size(number: u8, width: u16, height: u16) -> Bytes {
    let mut frame = vec![number; 4000];
    frame[0] = 0x10;
    frame[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
    frame[6..8].copy_from_slice(&width.to_le_bytes());
    frame[8..10].copy_from_slice(&height.to_le_bytes());
    frame.into()
}

pub(crate) fn packets_of(packetiser: &mut Packetiser, unit: &Bytes, pts_ns: i64) -> Vec<RtpOut> {
    let mut packets = Vec::new();
    packetiser.packetise(unit, pts_ns, &mut packets).unwrap();
    packets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_and_messages_come_in_and_go_out() {
    let _turn = TURN.lock().await;
    let mut line = line("encoded").await;
    let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
    for number in 0..10_u8 {
        let pts = i64::from(number) * 20_000_000;
        let sound = RtpOut {
            codec: Codec::Opus,
            payload: Bytes::from(vec![0x78, number, 1, 2]),
            marker: false,
            timestamp: u32::from(number) * 960,
            sequence: None,
            colour: None,
        };
        line.far.send_rtp(sound).unwrap();
        for packet in packets_of(&mut packetiser, &vp8(number, number == 0), pts) {
            line.far.send_rtp(packet).unwrap();
        }
    }
    line.far.send_data("chat", Message::text("hello")).unwrap();
    line.far
        .send_data("chat", Message::binary(vec![1, 2, 3]))
        .unwrap();

    let mut all = Vec::new();
    for (port, count) in [(0, 10), (1, 10), (2, 2), (3, 22)] {
        line.frames(&mut all, port, count).await;
    }
    let at = |port: usize| {
        let frames = all.iter().filter(|(at, _)| *at == port);
        frames.map(|(_, frame)| frame.clone()).collect::<Vec<_>>()
    };
    let (sound, pictures, data) = (at(0), at(1), at(2));
    for (number, frame) in sound.iter().enumerate() {
        assert_eq!(frame.payload(), &[0x78, number as u8, 1, 2]);
        assert_eq!(frame.kind(), Kind::Audio);
        assert_eq!(frame.duration_us(), 20_000);
        assert_eq!(frame.pts() - sound[0].pts(), number as i64 * 20_000_000);
    }
    for (number, frame) in pictures.iter().enumerate() {
        assert_eq!(frame.payload(), vp8(number as u8, number == 0));
        assert_eq!(frame.has(flags::KEYFRAME), number == 0);
        assert_eq!(frame.has(flags::INTER), number != 0);
        assert_eq!(frame.pts() - pictures[0].pts(), number as i64 * 20_000_000);
    }
    assert_eq!(line.source.bytes_copied(), 10 * 4000);
    assert_eq!(line.source.dropped(), 0);
    assert_eq!(
        (data[0].payload(), data[1].payload()),
        (&b"hello"[..], &[1, 2, 3][..])
    );
    assert_eq!(data[0].stream(), data[1].stream());
    assert_ne!(data[0].format_id(), data[1].format_id());

    // Back again.
    let mut push = |port, format: Format, frames: Vec<Frame>| {
        let id = line.sink.format_id(&format);
        let frames = frames.into_iter().map(|frame| frame.with_format_id(id));
        line.sink.push(port, frames.collect()).unwrap();
    };
    push(0, Format::audio("opus", 48_000, 2), sound);
    push(3, Format::video("vp8", 640, 360), pictures);
    push(2, Format::data("text/plain"), vec![data[0].clone()]);
    push(
        2,
        Format::data("application/octet-stream"),
        vec![data[1].clone()],
    );
    let heard = line.heard.clone();
    let rtp = until("everything at the far side", || {
        let (rtp, messages) = (heard.rtp.lock().unwrap(), heard.messages.lock().unwrap());
        (rtp.len() == 50 && messages.len() == 2).then(|| rtp.clone())
    })
    .await;
    let sound: Vec<_> = rtp
        .iter()
        .filter(|packet| packet.codec == Codec::Opus)
        .collect();
    assert_eq!(sound.len(), 10);
    for pair in sound.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 960);
    }
    let pictures = rtp.iter().filter(|packet| packet.codec == Codec::Vp8);
    assert_eq!(pictures.clone().filter(|packet| packet.marker).count(), 10);
    let bytes: Vec<u8> = pictures
        .flat_map(|packet| packet.payload[4..].to_vec())
        .collect();
    let sent: Vec<u8> = (0..10)
        .flat_map(|number| vp8(number, number == 0))
        .collect();
    assert_eq!(bytes, sent);
    let messages = heard.messages.lock().unwrap().clone();
    assert_eq!(messages[0], (String::new(), Message::text("hello")));
    assert_eq!(messages[1], (String::new(), Message::binary(vec![1, 2, 3])));
    assert_eq!(line.sink.bytes_copied(), 10 * 4000);
    assert_eq!(line.sink.dropped(), 0);
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_pass_untouched_with_their_gaps() {
    let _turn = TURN.lock().await;
    let mut line = line("packets").await;
    let numbers = [65_533_u16, 65_534, 1, 0, 5, 5];
    for (index, sequence) in numbers.into_iter().enumerate() {
        let packet = RtpOut {
            codec: Codec::Vp8,
            payload: Bytes::from(vec![0x10, (index != 0).into(), index as u8]),
            marker: index % 2 == 1,
            timestamp: 3003 * index as u32,
            sequence: Some(sequence),
            colour: None,
        };
        line.far.send_rtp(packet).unwrap();
    }
    let mut all = Vec::new();
    // The last came twice; it is the far peer's encryption or our memory that keeps it out.
    line.frames(&mut all, 1, 5).await;
    let frames: Vec<_> = all
        .into_iter()
        .filter_map(|(port, frame)| (port == 1).then_some(frame))
        .collect();
    assert!(frames[0].has(flags::KEYFRAME) && !frames[0].has(flags::DISCONTINUITY));
    assert!(frames[2].has(flags::INTER) && frames[2].has(flags::DISCONTINUITY));
    assert!(frames[1].has(flags::MARKER) && !frames[2].has(flags::MARKER));
    assert_eq!(line.source.bytes_copied(), 0);

    let id = line.sink.format_id(&Format::video("rtp-vp8", 0, 0));
    let frames = frames.into_iter().map(|frame| frame.with_format_id(id));
    line.sink.push(1, frames.collect()).unwrap();
    let heard = line.heard.clone();
    let rtp = until("five packets", || {
        let rtp = heard.rtp.lock().unwrap();
        (rtp.len() == 5).then(|| rtp.clone())
    })
    .await;
    let distances: Vec<_> = rtp
        .iter()
        .map(|packet| packet.sequence.wrapping_sub(rtp[0].sequence))
        .collect();
    assert_eq!(distances, [0, 1, 4, 3, 8]);
    for (index, packet) in rtp.iter().enumerate() {
        assert_eq!(packet.payload, vec![0x10, (index != 0).into(), index as u8]);
        assert_eq!(packet.marker, index % 2 == 1);
        let since = packet.timestamp.wrapping_sub(rtp[0].timestamp);
        assert_eq!(since, 3003 * index as u32);
    }
    assert_eq!(line.sink.bytes_copied(), 0);
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyframe_requests_travel_from_the_far_screen_to_the_far_camera() {
    let _turn = TURN.lock().await;
    let mut line = line("encoded").await;
    let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
    // A picture that is no keyframe: the source withholds it and asks.
    for packet in packets_of(&mut packetiser, &vp8(1, false), 0) {
        line.far.send_rtp(packet).unwrap();
    }
    let heard = line.heard.clone();
    let requests = || {
        let events = heard.events.lock().unwrap();
        let requests = events
            .iter()
            .filter(|event| **event == PeerEvent::KeyframeWanted);
        requests.count()
    };
    until("the source's request", || (requests() == 1).then_some(())).await;

    // The sink sends a picture, whose receiver asks for a keyframe.
    let id = line.sink.format_id(&Format::video("vp8", 0, 0));
    let frame = Frame::from_bytes(Kind::Video, vp8(0, true));
    let frame = frame.with_format_id(id).with_flags(flags::KEYFRAME);
    line.sink.push(1, vec![frame]).unwrap();
    let track = until("the track", || {
        let rtp = line.heard.rtp.lock().unwrap();
        rtp.first().map(|packet| packet.track)
    })
    .await;
    line.far.request_keyframe(track).unwrap();
    let sink = &line.sink;
    let raised = until("the sink's event", || {
        let raised = sink.take_raised();
        (!raised.is_empty()).then_some(raised)
    })
    .await;
    let (port, request) = raised[0];
    assert_eq!((port, request.kind), (1, event::kind::KEYFRAME_REQUEST));
    // The engine carries it to the source.
    assert!(line.source.event(1, request).unwrap());
    until("the request at the camera", || {
        (requests() == 2).then_some(())
    })
    .await;
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bitrate_travels_from_the_far_screen_to_the_far_camera() {
    let _turn = TURN.lock().await;
    let mut line = line("encoded").await;
    let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
    for packet in packets_of(&mut packetiser, &vp8(0, true), 0) {
        line.far.send_rtp(packet).unwrap();
    }
    line.frames(&mut Vec::new(), 1, 1).await;
    // Pictures come to the sink at the input for everything, as its stream 7.
    let id = line.sink.format_id(&Format::video("vp8", 0, 0));
    let frame = Frame::from_bytes(Kind::Video, vp8(0, true));
    let frame = frame.with_format_id(id).with_flags(flags::KEYFRAME);
    line.sink.push(3, vec![frame.with_stream(7)]).unwrap();
    let track = until("the track", || {
        let rtp = line.heard.rtp.lock().unwrap();
        rtp.first().map(|packet| packet.track)
    })
    .await;
    line.far.limit_bitrate(track, 400_000).unwrap();
    let sink = &line.sink;
    let mut raised = Vec::new();
    until("the sink's events", || {
        raised.extend(sink.take_raised());
        (raised.len() >= 3).then_some(())
    })
    .await;
    let at = |port, stream, value| {
        let kind = event::kind::BITRATE;
        (
            port,
            Event {
                kind,
                stream,
                value,
            },
        )
    };
    let expected = [
        at(1, event::ALL_STREAMS, 400_000),
        at(3, 7, 400_000),
        at(0, event::ALL_STREAMS, 100_000),
    ];
    assert_eq!(raised, expected);
    // The engine carries it to the source, which tells the camera.
    assert!(line.source.event(1, raised[0].1).unwrap());
    let heard = line.heard.clone();
    let told = until("the bitrate at the camera", || {
        let events = heard.events.lock().unwrap();
        events.iter().find_map(|event| match event {
            PeerEvent::Bitrate { bits_per_second } => Some(*bits_per_second),
            _ => None,
        })
    })
    .await;
    assert_eq!(told, 400_000);
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_the_bitrate_that_exclude_each_other_are_refused() {
    let _turn = TURN.lock().await;
    let line = line("encoded").await;
    // The number after the two of the line.
    let session = Session::open(next_session(), |_| {}).unwrap();
    session.set_peer(&line.near);
    let bounds = [
        ("min-bitrate", Value::Integer(500)),
        ("max-bitrate", Value::Integer(499)),
    ];
    let error = Harness::<Sink>::new(&bounds).err().unwrap().to_string();
    assert!(
        error.contains("500 kbit/s") && error.contains("499 kbit/s"),
        "{error}"
    );
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_a_session_say_what_is_wrong() {
    let _turn = TURN.lock().await;
    let error = Harness::<Source>::new(&[]).err().unwrap().to_string();
    assert!(error.contains("has no peer"), "{error}");
    let line = line("encoded").await;
    let error = Harness::<Sink>::new(&[]).err().unwrap().to_string();
    assert!(error.contains("has no peer"), "{error}");
    line.close().await;
}
