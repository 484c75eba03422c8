//! The source with a session whose peer is played by the test.

use std::sync::Arc;

use bytes::Bytes;
use levada_plugin::harness::Harness;

use crate::media::{Packetiser, PacketiserStart};
use crate::node_tests::{TURN, next_session, packets_of, vp8_of_size};
use crate::sink_tests::Notes;
use crate::source::Source;
use crate::{Codec, Peer, PeerSink, RtpIn, Session, TrackId};

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

    /// Sends the packets of pictures, except those that get lost.
    fn pictures(&self, units: &[Bytes], lost: &[u16]) {
        let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
        let packets = units
            .iter()
            .zip(0..)
            .flat_map(|(unit, number)| packets_of(&mut packetiser, unit, number * 20_000_000));
        for (packet, sequence) in packets.zip(0..).filter(|(_, at)| !lost.contains(at)) {
            self.session.rtp(RtpIn {
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
