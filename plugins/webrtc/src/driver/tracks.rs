//! Receives media: one task for each remote track.
//!
//! The crate's queue of a track holds 256 events and throws away what does not fit, so it is emptied by a task that
//! does nothing else, and the sink must return at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::outbound::poll_once;
use super::shared::{Shared, count, lock};
use crate::codec::{Codec, MediaKind};
use crate::error::Refused;
use crate::keyframes::is_keyframe_request;
use crate::media::colour;
use crate::peer::{PeerEvent, RtpIn, TrackId, TrackInfo};

/// The most remote tracks that a peer may have at a time.
const MAX_TRACKS: usize = 64;

struct Entry {
    id: TrackId,
    kind: MediaKind,
    /// The stream that the last packet came with.
    ssrc: AtomicU32,
    track: Arc<dyn TrackRemote>,
}

/// The remote tracks that are alive.
#[derive(Default)]
pub(super) struct Tracks {
    alive: Mutex<Vec<Arc<Entry>>>,
    next: Mutex<u16>,
}

impl Tracks {
    fn add(&self, kind: MediaKind, ssrc: u32, track: Arc<dyn TrackRemote>) -> Option<Arc<Entry>> {
        let mut alive = lock(&self.alive);
        if alive.len() >= MAX_TRACKS {
            return None;
        }
        let mut next = lock(&self.next);
        let id = TrackId(*next);
        *next = next.checked_add(1)?;
        let entry = Arc::new(Entry {
            id,
            kind,
            ssrc: AtomicU32::new(ssrc),
            track,
        });
        alive.push(entry.clone());
        Some(entry)
    }

    fn remove(&self, id: TrackId) {
        lock(&self.alive).retain(|entry| entry.id != id);
    }

    pub(super) fn clear(&self) {
        lock(&self.alive).clear();
    }

    /// Asks for a keyframe of a video track (RFC 4585, 6.3.1).
    pub(super) fn request_keyframe(&self, id: TrackId) -> Result<(), Refused> {
        self.tell(id, |media_ssrc| {
            Box::new(PictureLossIndication {
                sender_ssrc: 0,
                media_ssrc,
            })
        })
    }

    /// Says how much the sender of a video track may send (draft-alvestrand-rmcat-remb-03).
    pub(super) fn limit_bitrate(&self, id: TrackId, bits: u64) -> Result<(), Refused> {
        self.tell(id, |ssrc| {
            Box::new(ReceiverEstimatedMaximumBitrate {
                sender_ssrc: 0,
                // It has a mantissa of 18 bits on the way.
                bitrate: bits as f32,
                ssrcs: vec![ssrc],
            })
        })
    }

    /// Sends the RTCP packet that `about` makes of the stream of a video track.
    fn tell(
        &self,
        id: TrackId,
        about: impl FnOnce(u32) -> Box<dyn rtc::rtcp::Packet>,
    ) -> Result<(), Refused> {
        let entry = lock(&self.alive)
            .iter()
            .find(|entry| entry.id == id && entry.kind == MediaKind::Video)
            .cloned()
            .ok_or(Refused::NoSuchTrack)?;
        let packet = about(entry.ssrc.load(Ordering::Relaxed));
        match poll_once(entry.track.write_rtcp(vec![packet])) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(Refused::Closed),
            None => Err(Refused::QueueFull),
        }
    }
}

/// Begins to receive a track. Called on the connection's task.
pub(super) fn accept(shared: &Arc<Shared>, track: Arc<dyn TrackRemote>) {
    let task = receive(shared.clone(), track);
    shared.spawn(task);
}

async fn receive(shared: Arc<Shared>, track: Arc<dyn TrackRemote>) {
    let mut entry: Option<Arc<Entry>> = None;
    let mut full = false;
    while let Some(event) = track.poll().await {
        match event {
            TrackRemoteEvent::OnRtpPacket(packet) => {
                let header = packet.header;
                let Some(codec) = shared.payload_types.get(header.payload_type) else {
                    count(&shared.counters.rtp_unknown);
                    continue;
                };
                if entry.is_none() && !full {
                    entry = announce(&shared, &track, codec, header.ssrc).await;
                    full = entry.is_none();
                }
                let Some(entry) = &entry else {
                    // Over the limit: the queue is emptied all the same, or the crate would log each packet.
                    continue;
                };
                entry.ssrc.store(header.ssrc, Ordering::Relaxed);
                count(&shared.counters.rtp_received);
                let id = shared.colour_id.load(Ordering::Relaxed);
                let colour = header
                    .extensions
                    .iter()
                    .find(|extension| extension.id == id && id != 0)
                    .filter(|_| codec.kind() == MediaKind::Video)
                    .and_then(|extension| colour::read(&extension.payload));
                shared.with_sink(|sink| {
                    sink.rtp(RtpIn {
                        track: entry.id,
                        codec,
                        payload: packet.payload,
                        marker: header.marker,
                        timestamp: header.timestamp,
                        sequence: header.sequence_number,
                        ssrc: header.ssrc,
                        colour,
                    });
                });
            }
            TrackRemoteEvent::OnEnded => break,
            _ => {}
        }
    }
    if let Some(entry) = entry {
        shared.tracks.remove(entry.id);
        shared.event(PeerEvent::TrackEnded(entry.id));
    }
}

async fn announce(
    shared: &Shared,
    track: &Arc<dyn TrackRemote>,
    codec: Codec,
    ssrc: u32,
) -> Option<Arc<Entry>> {
    let Some(entry) = shared.tracks.add(codec.kind(), ssrc, track.clone()) else {
        tracing::warn!(
            limit = MAX_TRACKS,
            "a remote track is ignored: the peer has too many"
        );
        return None;
    };
    let negotiated = track.codec(ssrc).await.unwrap_or_default();
    shared.event(PeerEvent::TrackAdded(TrackInfo {
        id: entry.id,
        kind: codec.kind(),
        codec,
        clock_rate: codec.clock_rate(),
        channels: negotiated.channels,
        fmtp: negotiated.sdp_fmtp_line,
        label: track.track_id().await,
    }));
    Some(entry)
}

/// Hears what the other side says about the pictures that we send, and passes its keyframe requests on.
pub(super) async fn hear_requests(shared: Arc<Shared>, track: Arc<TrackLocalStaticRTP>) {
    while let Some(TrackLocalEvent::OnRtcpPacket(packets)) = track.poll().await {
        if packets
            .iter()
            .any(|packet| is_keyframe_request(packet.as_ref()))
        {
            count(&shared.counters.keyframes_wanted);
            shared.event(PeerEvent::KeyframeWanted);
        }
    }
}
