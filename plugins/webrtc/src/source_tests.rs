//! The source with a session whose peer is played by the test.

use std::sync::Arc;

use bytes::Bytes;
use levada_plugin::harness::Harness;

use crate::media::{Packetiser, PacketiserStart};
use crate::node_tests::{TURN, next_session, packets_of, vp8, vp8_of_size};
use crate::sink_tests::Notes;
use crate::source::Source;
use crate::{
    Codec, ConnectionState, MediaKind, Peer, PeerEvent, PeerSink, RtpIn, Session, TrackId,
    TrackInfo,
};

const AUDIO: usize = 0;
const VIDEO: usize = 1;
const SOUND: TrackId = TrackId(0);
const PICTURES: TrackId = TrackId(1);

/// A source, and the session that packets come by. Only one at a time, because of the numbers of sessions.
struct Line {
    source: Harness<Source>,
    session: Arc<Session>,
    _peer: Arc<dyn Peer>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Line {
    fn new() -> Line {
        let turn = TURN.blocking_lock();
        let session = Session::open(next_session(), |_| {}).unwrap();
        let peer: Arc<dyn Peer> = Arc::new(Notes::default());
        session.set_peer(&peer);
        // All outputs but the one for everything.
        let source = Harness::<Source>::with_linked_ports(&[], 0b111).unwrap();
        Line {
            source,
            session,
            _peer: peer,
            _turn: turn,
        }
    }

    fn sound(&self, ssrc: u32, sequence: u16) {
        self.session.rtp(RtpIn {
            colour: None,
            track: SOUND,
            codec: Codec::Opus,
            payload: Bytes::from(vec![0x78, sequence as u8]),
            marker: false,
            timestamp: u32::from(sequence) * 960,
            sequence,
            ssrc,
        });
    }

    /// Sends the packets of pictures, except those that get lost.
    fn pictures(&self, units: &[Bytes], lost: &[u16]) {
        let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
        let packets = units
            .iter()
            .zip(0..)
            .flat_map(|(unit, number)| packets_of(&mut packetiser, unit, number * 20_000_000));
        for (packet, sequence) in packets.zip(0..).filter(|(_, at)| !lost.contains(at)) {
            self.session.rtp(RtpIn {
                colour: None,
                track: PICTURES,
                codec: packet.codec,
                payload: packet.payload,
                marker: packet.marker,
                timestamp: packet.timestamp,
                sequence,
                ssrc: 7,
            });
        }
    }

    /// How many frames came since the last look.
    fn came(&self, port: usize) -> usize {
        let came = self.source.take_ingested().into_iter();
        came.filter(|(at, _)| *at == port).count()
    }
}

#[test]
fn what_waits_for_a_lost_packet_goes_on_when_its_track_ends() {
    let line = Line::new();
    for sequence in [0, 2, 3] {
        line.sound(1, sequence);
    }
    assert_eq!(line.came(AUDIO), 1);
    line.session.event(PeerEvent::TrackEnded(SOUND));
    assert_eq!((line.came(AUDIO), line.source.dropped()), (2, 0));
}

#[test]
fn what_waits_for_a_lost_packet_goes_on_when_another_stream_takes_the_track() {
    let line = Line::new();
    for (ssrc, sequence) in [(1, 0), (1, 2), (2, 100)] {
        line.sound(ssrc, sequence);
    }
    assert_eq!((line.came(AUDIO), line.source.dropped()), (3, 0));
}

#[test]
fn what_waits_for_a_lost_packet_goes_on_when_the_connection_ends() {
    let line = Line::new();
    for sequence in [0, 2, 3] {
        line.sound(1, sequence);
    }
    line.session
        .event(PeerEvent::State(ConnectionState::Closed));
    assert_eq!((line.came(AUDIO), line.source.dropped()), (3, 0));
}

#[test]
fn what_waits_for_a_lost_packet_when_the_host_stops_is_counted() {
    let mut line = Line::new();
    for sequence in [0, 2, 3] {
        line.sound(1, sequence);
    }
    line.source.drain().unwrap();
    assert_eq!((line.came(AUDIO), line.source.dropped()), (1, 2));
}

#[test]
fn pictures_that_came_to_nothing_when_their_track_ended_are_counted() {
    // Each has four packets: the second one's second is lost, the third cannot do without it.
    let units = [vp8(0, true), vp8(1, false), vp8(2, false)];
    let line = Line::new();
    line.pictures(&units, &[5]);
    assert_eq!((line.came(VIDEO), line.source.dropped()), (1, 0));
    line.session.event(PeerEvent::TrackEnded(PICTURES));
    assert_eq!((line.came(VIDEO), line.source.dropped()), (0, 2));
    drop(line);

    // The last one's last never came.
    let line = Line::new();
    line.pictures(&units[..2], &[7]);
    assert_eq!((line.came(VIDEO), line.source.dropped()), (1, 0));
    line.session.event(PeerEvent::TrackEnded(PICTURES));
    assert_eq!((line.came(VIDEO), line.source.dropped()), (0, 1));
}

#[test]
fn pictures_of_more_sizes_than_a_session_has_formats_go_on_and_are_not_counted_as_dropped() {
    let line = Line::new();
    let units: Vec<_> = (0..100)
        .map(|number| vp8_of_size(0, 640 + 2 * number, 360))
        .collect();
    line.pictures(&units, &[]);
    let came = line.source.take_ingested();
    assert_eq!((came.len(), line.source.dropped()), (100, 0));
    let mut formats: Vec<_> = came.iter().map(|(_, frame)| frame.format_id()).collect();
    formats.dedup();
    assert!(formats.len() < 100 && !formats.contains(&0));
}

#[test]
fn tracks_that_the_peer_gives_one_name_are_streams_of_their_own() {
    let line = Line::new();
    let send = |track, sequence: u16| {
        line.session.rtp(RtpIn {
            colour: None,
            track: TrackId(track),
            codec: Codec::Opus,
            payload: Bytes::from_static(&[0x78, 0]),
            marker: false,
            timestamp: u32::from(sequence) * 960,
            sequence,
            ssrc: track.into(),
        });
        line.source.take_ingested()[0].1.stream()
    };
    for track in [0, 1, 2] {
        line.session.event(PeerEvent::TrackAdded(TrackInfo {
            id: TrackId(track),
            kind: MediaKind::Audio,
            codec: Codec::Opus,
            clock_rate: 48_000,
            channels: 2,
            fmtp: String::new(),
            label: "voice".to_owned(),
        }));
    }
    let (first, second) = (send(0, 0), send(1, 0));
    assert_ne!(first, second);
    assert_eq!((send(0, 1), send(1, 1)), (first, second));
    // What takes the place of a track that has ended goes on with its stream.
    line.session.event(PeerEvent::TrackEnded(TrackId(0)));
    assert_eq!(send(2, 0), first);
}
