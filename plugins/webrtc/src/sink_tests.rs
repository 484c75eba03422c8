//! The sink with a peer that only notes what it is given to send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use levada_plugin::harness::Harness;
use levada_plugin::prelude::*;

use crate::media::RtpFields;
use crate::node_tests::{TURN, next_session};
use crate::sink::Sink;
use crate::{
    Codec, ConnectionState, IceCandidate, MediaKind, Message, Peer, PeerError, PeerStats, Refused,
    RtpOut, Session, TrackId,
};

const AUDIO: usize = 0;
const VIDEO: usize = 1;
const IN: usize = 3;
const MS: i64 = 1_000_000;

#[derive(Default)]
pub(crate) struct Notes {
    sent: Mutex<Vec<RtpOut>>,
    refuses: AtomicBool,
}

#[async_trait]
impl Peer for Notes {
    async fn create_offer(&self) -> Result<String, PeerError> {
        Err(PeerError::Closed)
    }
    async fn handle_offer_and_create_answer(&self, _sdp: &str) -> Result<String, PeerError> {
        Err(PeerError::Closed)
    }
    async fn handle_answer(&self, _sdp: &str) -> Result<(), PeerError> {
        Err(PeerError::Closed)
    }
    async fn add_ice_candidate(&self, _candidate: IceCandidate) -> Result<(), PeerError> {
        Err(PeerError::Closed)
    }
    async fn wait_for_ice_gathering(&self) -> Result<String, PeerError> {
        Err(PeerError::Closed)
    }
    async fn local_description(&self) -> Option<String> {
        None
    }
    async fn wait_for_connection(&self) -> Result<(), PeerError> {
        Ok(())
    }
    async fn add_data_channel(&self, _label: &str) -> Result<(), PeerError> {
        Err(PeerError::Closed)
    }
    fn send_rtp(&self, packet: RtpOut) -> Result<(), Refused> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(Refused::QueueFull);
        }
        self.sent.lock().unwrap().push(packet);
        Ok(())
    }
    fn send_data(&self, _label: &str, _message: Message) -> Result<(), Refused> {
        Err(Refused::NoSuchChannel)
    }
    fn request_keyframe(&self, _track: TrackId) -> Result<(), Refused> {
        Err(Refused::NoSuchTrack)
    }
    fn limit_bitrate(&self, _track: TrackId, _bits_per_second: u64) -> Result<(), Refused> {
        Err(Refused::NoSuchTrack)
    }
    fn negotiated(&self, kind: MediaKind) -> Vec<Codec> {
        let codecs = Codec::ALL.into_iter();
        codecs.filter(|codec| codec.kind() == kind).collect()
    }
    fn state(&self) -> ConnectionState {
        ConnectionState::Connected
    }
    fn stats(&self) -> PeerStats {
        PeerStats::default()
    }
    async fn close(&self) {}
}

/// A sink, and the peer behind it. Only one at a time, because of the numbers of sessions.
struct Line {
    sink: Harness<Sink>,
    peer: Arc<Notes>,
    _session: Arc<Session>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Line {
    fn new() -> Line {
        let turn = TURN.blocking_lock();
        let session = Session::open(next_session(), |_| {}).unwrap();
        let peer = Arc::new(Notes::default());
        let face: Arc<dyn Peer> = peer.clone();
        session.set_peer(&face);
        let mut sink = Harness::<Sink>::new(&[]).unwrap();
        sink.tick(0).unwrap();
        Line {
            sink,
            peer,
            _session: session,
            _turn: turn,
        }
    }

    /// Pushes a frame of a stream at a moment, and answers whether it was sent whole.
    fn push(&mut self, now: i64, port: usize, format: &Format, frame: Frame) -> bool {
        let (sent, dropped) = (self.peer.sent.lock().unwrap().len(), self.sink.dropped());
        self.sink.tick(now).unwrap();
        let frame = frame.with_format_id(self.sink.format_id(format));
        self.sink.push(port, vec![frame.with_pts(now)]).unwrap();
        let sent = self.peer.sent.lock().unwrap().len() > sent;
        let dropped = self.sink.dropped() > dropped;
        assert_ne!(sent, dropped, "what is not sent is counted");
        sent
    }

    fn sound(&mut self, now: i64, port: usize, stream: u16) -> bool {
        let frame = Frame::from_bytes(Kind::Audio, vec![0x78, stream as u8].into());
        let format = Format::audio("opus", 48_000, 2);
        self.push(now, port, &format, frame.with_stream(stream))
    }

    fn picture(&mut self, now: i64, stream: u16, flag: u16) -> bool {
        let format = Format::video("vp8", 640, 360);
        self.push(now, VIDEO, &format, picture(vec![0x10; 100], stream, flag))
    }

    fn end(&mut self, port: usize) {
        let kind = event::kind::END_OF_STREAM;
        let event = Event {
            kind,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        self.sink.event(port, event).unwrap();
    }

    fn keyframes_asked_for(&self) -> usize {
        let raised = self.sink.take_raised().into_iter();
        raised
            .filter(|(port, event)| *port == VIDEO && event.kind == event::kind::KEYFRAME_REQUEST)
            .count()
    }

    /// The numbers of the packets that were sent, from the first one's on.
    fn numbers(&self) -> Vec<u16> {
        let sent = self.peer.sent.lock().unwrap();
        let numbers = sent.iter().filter_map(|packet| packet.sequence);
        let numbers: Vec<_> = numbers.collect();
        let first = numbers[0];
        numbers.iter().map(|at| at.wrapping_sub(first)).collect()
    }
}

fn picture(payload: Vec<u8>, stream: u16, flag: u16) -> Frame {
    Frame::from_bytes(Kind::Video, payload.into())
        .with_stream(stream)
        .with_flags(flag)
}

#[test]
fn a_further_stream_of_a_kind_is_dropped_and_counted_and_never_interleaved() {
    let mut line = Line::new();
    for round in 0..50 {
        let now = round * 20 * MS;
        assert!(line.sound(now, IN, 4));
        assert!(!line.sound(now, IN, 5));
        // The same number at another input is another stream's, where nodes number none.
        assert!(!line.sound(now, AUDIO, 4));
    }
    let sent = line.peer.sent.lock().unwrap();
    let payloads = sent.iter().map(|packet| packet.payload.clone());
    assert!(payloads.eq(std::iter::repeat_n(Bytes::from_static(&[0x78, 4]), 50)));
    drop(sent);
    // Pictures are another lane.
    assert!(line.picture(1000 * MS, 5, flags::KEYFRAME));
}

#[test]
fn another_stream_is_sent_once_the_first_has_been_silent_and_the_first_then_waits() {
    let mut line = Line::new();
    assert!(line.sound(0, IN, 1));
    assert!(!line.sound(1999 * MS, IN, 2));
    assert!(line.sound(2000 * MS, IN, 2));
    assert!(!line.sound(2000 * MS, IN, 1));
    assert!(line.sound(2020 * MS, IN, 2));
    assert_eq!(line.numbers(), [0, 1, 2]);
}

#[test]
fn another_stream_is_sent_at_once_when_the_input_of_the_first_has_ended() {
    let mut line = Line::new();
    assert!(line.sound(0, AUDIO, 1));
    line.end(IN);
    assert!(!line.sound(20 * MS, IN, 2));
    line.end(AUDIO);
    assert!(line.sound(40 * MS, IN, 2));
}

#[test]
fn pictures_of_another_stream_begin_at_a_keyframe_which_is_asked_for() {
    let mut line = Line::new();
    assert!(line.picture(0, 1, flags::KEYFRAME));
    assert!(!line.picture(20 * MS, 2, flags::INTER));
    assert_eq!(line.keyframes_asked_for(), 0);
    assert!(!line.picture(3000 * MS, 2, flags::INTER));
    assert_eq!(line.keyframes_asked_for(), 1);
    assert!(!line.picture(3020 * MS, 2, flags::INTER));
    assert!(line.picture(3040 * MS, 2, flags::KEYFRAME));
    assert!(line.picture(3060 * MS, 2, flags::INTER));
    assert_eq!(line.keyframes_asked_for(), 0);
}

#[test]
fn packets_of_another_stream_begin_at_a_keyframe_with_numbers_of_their_own() {
    let mut line = Line::new();
    let format = Format::video("rtp-vp8", 640, 360);
    // One bit of the payload says whether the frame is a keyframe. Both streams have one number at their sender.
    let mut push = |now: i64, stream, sequence, inter: u8| {
        let fields = RtpFields {
            sequence,
            ssrc: 7,
            colour: None,
        };
        let frame = picture(vec![0x10, inter, 0, 0], stream, 0)
            .with_side_data(RtpFields::SIDE_DATA, &fields.to_bytes());
        line.push(now * MS, VIDEO, &format, frame)
    };
    assert!(push(0, 1, 10, 0));
    assert!(push(20, 1, 12, 1));
    assert!(!push(3000, 2, 11, 1));
    assert!(push(3020, 2, 13, 0));
    assert!(!push(3020, 2, 12, 1), "it may be older than the keyframe");
    assert!(push(3040, 2, 15, 1));
    assert_eq!(line.keyframes_asked_for(), 1);
    assert_eq!(line.numbers(), [0, 2, 3, 5]);
}

#[test]
fn after_a_picture_that_cannot_be_sent_a_keyframe_is_asked_for_and_waited_for() {
    let mut line = Line::new();
    let format = Format::video("h264", 640, 360);
    let mut now = 0;
    let mut push = |line: &mut Line, unit: &[u8], flag| {
        now += 20 * MS;
        line.push(now, VIDEO, &format, picture(unit.to_vec(), 1, flag))
    };
    let (key, inter) = ([0, 0, 0, 1, 0x65, 0x88], [0, 0, 0, 1, 0x41, 0x9a]);
    // A type of NAL unit that only packets have, and lengths in place of start codes.
    let unsendable: [&[u8]; 2] = [&[0, 0, 0, 1, 24, 1], &[0, 0, 0, 2, 0x41, 0x9a]];
    for unit in unsendable {
        assert!(push(&mut line, &key, flags::KEYFRAME));
        assert!(push(&mut line, &inter, flags::INTER));
        assert!(!push(&mut line, unit, flags::INTER));
        assert_eq!(line.keyframes_asked_for(), 1);
        assert!(!push(&mut line, &inter, flags::INTER));
        assert_eq!(line.keyframes_asked_for(), 0, "it was just asked for");
    }
    assert!(push(&mut line, &key, flags::KEYFRAME));
    // Nothing refers to a unit without a picture.
    let delimiter = [0, 0, 0, 1, 9, 0xf0];
    assert!(!push(&mut line, &delimiter, flags::INTER));
    assert!(push(&mut line, &inter, flags::INTER));
    assert_eq!(line.keyframes_asked_for(), 0);
}
