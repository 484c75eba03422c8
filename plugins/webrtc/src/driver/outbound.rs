//! Sends media: from any thread, without waiting.
//!
//! The crate's `write_rtp` is a future that puts the packet into a bounded queue of 256 which the connection's task
//! empties. That queue has room nearly always, so the future is polled once, on the caller's thread, and is done: no
//! task of ours is woken. When it is full (a keyframe of several hundred packets at once), the packet goes to a second
//! bounded queue that a task of the peer empties by waiting. While that queue holds anything, all packets of the lane
//! go through it, so they stay in order.
//!
//! `write_rtp` also answers Ok for packets that the core then throws away: a wrong stream number, a payload type that
//! was not agreed, a header extension that was not. So all three are made here from what was agreed, a packet whose
//! codec was not is refused before it gets that far, and one with an extension that was not goes without it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::RTCRtpParameters;
use tokio::sync::Notify;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::shared::{Shared, count, lock};
use crate::codec::{Codec, MediaKind};
use crate::error::Refused;
use crate::media::colour;
use crate::peer::RtpOut;

/// Packets of one kind that may wait in the second queue: a keyframe of about one megabyte.
const OVERFLOW_PACKETS: usize = 1024;

/// Polls a future a single time on this thread. A future that is not ready is dropped.
pub(super) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// The sending side of one kind of media.
#[derive(Default)]
struct Lane {
    track: Option<Arc<TrackLocalStaticRTP>>,
    ssrc: u32,
    /// By [`Codec::index`].
    payload_types: [Option<u8>; Codec::ALL.len()],
    /// Codecs in the other side's order of preference.
    order: Vec<Codec>,
    /// The number of the header extension that states colours.
    colour_id: Option<u8>,
    last_sequence: u16,
    overflow: VecDeque<rtp::Packet>,
    /// The task is at work on `overflow`: nothing may overtake it.
    draining: bool,
}

/// Both lanes, and the bell of the task that drains them.
#[derive(Default)]
pub(super) struct Outbound {
    lanes: [Mutex<Lane>; MediaKind::ALL.len()],
    bell: Notify,
}

impl Outbound {
    /// Puts a lane's track in place, once it belongs to the connection.
    pub(super) fn attach(&self, kind: MediaKind, track: Arc<TrackLocalStaticRTP>, ssrc: u32) {
        let mut lane = lock(&self.lanes[kind.index()]);
        lane.track = Some(track);
        lane.ssrc = ssrc;
        // A random start (RFC 3550, 5.1) that leaves room before the first wrap, which encryption has to guess.
        lane.last_sequence = (ssrc as u16) & 0x7fff;
    }

    /// Notes what the other side agreed to receive; an empty list of codecs stops the lane.
    pub(super) fn negotiate(&self, kind: MediaKind, agreed: &RTCRtpParameters) {
        let mut lane = lock(&self.lanes[kind.index()]);
        lane.payload_types = Default::default();
        lane.order.clear();
        let colour = agreed.header_extensions.iter();
        lane.colour_id = colour
            .filter(|extension| extension.uri == colour::URI)
            .find_map(|extension| u8::try_from(extension.id).ok())
            // The core writes headers of the short form, which has room for these.
            .filter(|id| (1..=14).contains(id));
        for parameters in &agreed.codecs {
            let Some(codec) = Codec::from_mime_type(&parameters.rtp_codec.mime_type) else {
                continue;
            };
            // Without packetization mode 1, fragments of a picture are not allowed (RFC 6184, 6.2).
            let usable = codec != Codec::H264
                || parameters
                    .rtp_codec
                    .sdp_fmtp_line
                    .contains("packetization-mode=1");
            if usable && codec.kind() == kind && lane.payload_types[codec.index()].is_none() {
                lane.payload_types[codec.index()] = Some(parameters.payload_type);
                lane.order.push(codec);
            }
        }
    }

    pub(super) fn negotiated(&self, kind: MediaKind) -> Vec<Codec> {
        lock(&self.lanes[kind.index()]).order.clone()
    }

    /// Takes a packet, or says why not. The caller counts.
    pub(super) fn send(&self, packet: RtpOut) -> Result<(), Refused> {
        let mut lane = lock(&self.lanes[packet.codec.kind().index()]);
        let track = lane.track.clone().ok_or(Refused::NotNegotiated)?;
        let payload_type =
            lane.payload_types[packet.codec.index()].ok_or(Refused::NotNegotiated)?;
        let sequence = packet
            .sequence
            .unwrap_or_else(|| lane.last_sequence.wrapping_add(1));
        let mut header = rtp::Header {
            version: 2,
            marker: packet.marker,
            payload_type,
            sequence_number: sequence,
            timestamp: packet.timestamp,
            ssrc: lane.ssrc,
            ..rtp::Header::default()
        };
        if let (Some(id), Some(colour)) = (lane.colour_id, packet.colour) {
            let bytes = Bytes::copy_from_slice(&colour::write(colour));
            // The number and the length fit; if they did not, the packet would go without it.
            let _ = header.set_extension(id, bytes);
        }
        let packet = rtp::Packet {
            header,
            payload: packet.payload,
        };
        if !lane.draining {
            match poll_once(track.write_rtp(packet.clone())) {
                Some(Ok(())) => {
                    lane.last_sequence = sequence;
                    return Ok(());
                }
                Some(Err(_)) => return Err(Refused::Closed),
                None => {}
            }
        }
        if lane.overflow.len() >= OVERFLOW_PACKETS {
            return Err(Refused::QueueFull);
        }
        lane.last_sequence = sequence;
        lane.overflow.push_back(packet);
        if !lane.draining {
            lane.draining = true;
            self.bell.notify_one();
        }
        Ok(())
    }

    pub(super) fn clear(&self) {
        for lane in &self.lanes {
            *lock(lane) = Lane::default();
        }
    }

    /// The next packet of the second queue; ends the lane's draining when there is none.
    fn next(&self, kind: MediaKind) -> Option<(Arc<TrackLocalStaticRTP>, rtp::Packet)> {
        let mut lane = lock(&self.lanes[kind.index()]);
        let track = lane.track.clone();
        match (track, lane.overflow.pop_front()) {
            (Some(track), Some(packet)) => Some((track, packet)),
            _ => {
                lane.draining = false;
                None
            }
        }
    }
}

/// The task that empties the second queues.
pub(super) async fn drain(shared: Arc<Shared>) {
    loop {
        shared.outbound.bell.notified().await;
        // Sound first: it is short, and its deadline is nearer.
        for kind in MediaKind::ALL {
            while let Some((track, packet)) = shared.outbound.next(kind) {
                if track.write_rtp(packet).await.is_err() {
                    count(&shared.counters.rtp_refused);
                }
            }
        }
    }
}
