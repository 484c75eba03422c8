//! The peer itself: the calls of [`Peer`], each a few steps on the crate's connection.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit};

use super::channels::{self, Channels};
use super::negotiation::Negotiation;
use super::shared::{Events, Shared, count};
use super::{engine, outbound};
use crate::codec::{Codec, MediaKind};
use crate::config::PeerConfig;
use crate::congestion::Congestion;
use crate::error::{PeerError, Refused};
use crate::peer::{
    ConnectionState, IceCandidate, Message, Peer, PeerEvent, PeerSink, PeerStats, RtpOut, TrackId,
};

/// A peer on the crate `webrtc`, driven by tokio.
///
/// Dropping it closes it too, but in the background; call [`Peer::close`] to know when everything is gone.
pub struct TokioPeer {
    pub(super) config: PeerConfig,
    pub(super) connection: Arc<dyn PeerConnection>,
    pub(super) shared: Arc<Shared>,
    handle: Handle,
    /// Lives as long as the crate's connection does.
    #[cfg(test)]
    events: std::sync::Weak<Events>,
    /// Held through an exchange of descriptions, whose steps belong together.
    negotiation: Mutex<Negotiation>,
}

impl TokioPeer {
    /// Builds a peer that reports to `sink`. Must be called on a multi-thread or current-thread tokio runtime with
    /// I/O and time enabled; the connection's tasks run there.
    ///
    /// # Errors
    ///
    /// [`PeerError::Config`] with every problem of the configuration; [`PeerError::Setup`] when no socket could be
    /// bound.
    pub async fn new(config: PeerConfig, sink: Arc<dyn PeerSink>) -> Result<Self, PeerError> {
        config.validate()?;
        let handle = Handle::current();
        let (channels, queue) = Channels::new();
        let shared = Shared::new(sink, handle.clone(), channels);
        let events = Arc::new(Events::new(&shared));
        #[cfg(test)]
        let weak_events = Arc::downgrade(&events);
        let weak_shared = Arc::downgrade(&shared);
        let on_end = Box::new(move || {
            if let Some(shared) = weak_shared.upgrade()
                && !shared.is_stopped()
            {
                shared.set_state(ConnectionState::Failed {
                    reason: "the connection's task ended by an error; see the log".to_owned(),
                });
            }
        });
        let congestion = Congestion::new();
        let mut bitrates = congestion.subscribe();
        let connection = engine::build(&config, &congestion, events, on_end).await?;
        let hearer = shared.clone();
        shared.spawn(async move {
            while bitrates.changed().await.is_ok() {
                let bits_per_second = *bitrates.borrow_and_update();
                hearer.event(PeerEvent::Bitrate { bits_per_second });
            }
        });
        shared.spawn(outbound::drain(shared.clone()));
        shared.spawn(channels::write(shared.clone(), queue));
        Ok(Self {
            config,
            connection,
            shared,
            handle,
            #[cfg(test)]
            events: weak_events,
            negotiation: Mutex::default(),
        })
    }

    fn check_open(&self) -> Result<(), PeerError> {
        if self.shared.is_stopped() {
            return Err(PeerError::Closed);
        }
        Ok(())
    }
}

/// A number that nobody can guess from outside, and that differs from call to call.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[async_trait]
impl Peer for TokioPeer {
    async fn create_offer(&self) -> Result<String, PeerError> {
        let mut negotiation = self.negotiation.lock().await;
        self.check_open()?;
        self.offer(&mut negotiation)
            .await
            .map_err(|error| PeerError::Description {
                what: "own offer",
                cause: error.to_string(),
            })
    }

    async fn handle_offer_and_create_answer(&self, sdp: &str) -> Result<String, PeerError> {
        let mut negotiation = self.negotiation.lock().await;
        self.check_open()?;
        self.answer(&mut negotiation, sdp)
            .await
            .map_err(|error| PeerError::Description {
                what: "offer",
                cause: error.to_string(),
            })
    }

    async fn handle_answer(&self, sdp: &str) -> Result<(), PeerError> {
        let mut negotiation = self.negotiation.lock().await;
        self.check_open()?;
        self.accept(&mut negotiation, sdp)
            .await
            .map_err(|error| PeerError::Description {
                what: "answer",
                cause: error.to_string(),
            })
    }

    async fn add_ice_candidate(&self, candidate: IceCandidate) -> Result<(), PeerError> {
        self.check_open()?;
        if candidate.candidate.is_empty() {
            return Ok(());
        }
        self.connection
            .add_ice_candidate(RTCIceCandidateInit {
                candidate: candidate.candidate,
                sdp_mid: candidate.sdp_mid,
                sdp_mline_index: candidate.sdp_m_line_index,
                username_fragment: candidate.username_fragment,
                url: None,
            })
            .await
            .map_err(|error| PeerError::Candidate {
                cause: error.to_string(),
            })
    }

    async fn wait_for_ice_gathering(&self) -> Result<String, PeerError> {
        let mut gathered = self.shared.gathered.subscribe();
        let mut state = self.shared.state.subscribe();
        tokio::select! {
            _ = gathered.wait_for(|gathered| *gathered) => {}
            ended = state.wait_for(ConnectionState::is_final) => {
                return Err(not_connected(ended.ok().as_deref()));
            }
        }
        self.local_description()
            .await
            .ok_or_else(|| PeerError::Description {
                what: "own description",
                cause: "there is none yet".to_owned(),
            })
    }

    async fn local_description(&self) -> Option<String> {
        let description = self.connection.local_description().await?;
        Some(description.sdp)
    }

    async fn wait_for_connection(&self) -> Result<(), PeerError> {
        let mut state = self.shared.state.subscribe();
        let reached = state
            .wait_for(|state| *state == ConnectionState::Connected || state.is_final())
            .await;
        match reached {
            Ok(state) if *state == ConnectionState::Connected => Ok(()),
            Ok(state) => Err(not_connected(Some(&state))),
            Err(_) => Err(PeerError::Closed),
        }
    }

    async fn add_data_channel(&self, label: &str) -> Result<(), PeerError> {
        self.check_open()?;
        self.shared.channels.reserve(label)?;
        match self.connection.create_data_channel(label, None).await {
            Ok(channel) => {
                let shared = self.shared.clone();
                self.shared
                    .spawn(channels::read(shared, label.into(), channel));
                Ok(())
            }
            Err(error) => {
                self.shared.channels.give_up(label);
                Err(PeerError::Setup {
                    step: "data channel",
                    cause: error.to_string(),
                })
            }
        }
    }

    fn send_rtp(&self, packet: RtpOut) -> Result<(), Refused> {
        let sent = match &*self.shared.state.borrow() {
            _ if self.shared.is_stopped() => Err(Refused::Closed),
            ConnectionState::Connected | ConnectionState::Disconnected => Ok(()),
            state if state.is_final() => Err(Refused::Closed),
            _ => Err(Refused::NotConnected),
        }
        .and_then(|()| self.shared.outbound.send(packet));
        count(match sent {
            Ok(()) => &self.shared.counters.rtp_sent,
            Err(_) => &self.shared.counters.rtp_refused,
        });
        sent
    }

    fn send_data(&self, label: &str, message: Message) -> Result<(), Refused> {
        let sent = if self.shared.is_stopped() || self.shared.state.borrow().is_final() {
            Err(Refused::Closed)
        } else {
            self.shared.channels.send(label, message)
        };
        count(match sent {
            Ok(()) => &self.shared.counters.messages_sent,
            Err(_) => &self.shared.counters.messages_refused,
        });
        sent
    }

    fn request_keyframe(&self, track: TrackId) -> Result<(), Refused> {
        self.shared.tracks.request_keyframe(track)?;
        count(&self.shared.counters.keyframes_requested);
        Ok(())
    }

    fn limit_bitrate(&self, track: TrackId, bits_per_second: u64) -> Result<(), Refused> {
        self.shared.tracks.limit_bitrate(track, bits_per_second)
    }

    fn negotiated(&self, kind: MediaKind) -> Vec<Codec> {
        self.shared.outbound.negotiated(kind)
    }

    fn state(&self) -> ConnectionState {
        self.shared.state.borrow().clone()
    }

    fn stats(&self) -> PeerStats {
        self.shared.counters.snapshot()
    }

    async fn close(&self) {
        close(self.shared.clone(), self.connection.clone()).await;
    }
}

impl Drop for TokioPeer {
    fn drop(&mut self) {
        // The crate's connection, dropped alone, leaves its task and sockets behind. So does a `close` that was
        // given up half way.
        if *self.shared.state.borrow() != ConnectionState::Closed {
            self.handle
                .spawn(close(self.shared.clone(), self.connection.clone()));
        }
    }
}

async fn close(shared: Arc<Shared>, connection: Arc<dyn PeerConnection>) {
    // A second caller waits for the first, and then finds nothing to do.
    let _closing = shared.closing.lock().await;
    if *shared.state.borrow() == ConnectionState::Closed {
        return;
    }
    shared.stop();
    shared.join().await;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing a connection");
    }
    // Last, so that nothing is heard after it.
    shared.set_state(ConnectionState::Closed);
    shared.release();
}

fn not_connected(state: Option<&ConnectionState>) -> PeerError {
    PeerError::NotConnected {
        reason: match state {
            Some(ConnectionState::Failed { reason }) => reason.clone(),
            _ => "it was closed".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::RtpIn;

    struct Deaf;

    impl PeerSink for Deaf {
        fn rtp(&self, _: RtpIn) {}
        fn message(&self, _: &str, _: Message) {}
        fn event(&self, _: PeerEvent) {}
    }

    async fn gone(peer: TokioPeer, close: bool) {
        let (connection, shared) = (peer.events.clone(), Arc::downgrade(&peer.shared));
        if close {
            peer.close().await;
        }
        drop(peer);
        let gone = async {
            while connection.upgrade().is_some() || shared.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone)
            .await
            .expect("the connection outlives its peer");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_connection_inside_is_freed_when_closed_and_when_dropped() {
        for close in [true, false] {
            let config = PeerConfig {
                addresses: vec!["127.0.0.1:0".parse().unwrap()],
                ..PeerConfig::default()
            };
            let a = TokioPeer::new(config.clone(), Arc::new(Deaf))
                .await
                .unwrap();
            let b = TokioPeer::new(config, Arc::new(Deaf)).await.unwrap();
            a.add_data_channel("chat").await.unwrap();
            a.create_offer().await.unwrap();
            let offer = a.wait_for_ice_gathering().await.unwrap();
            b.handle_offer_and_create_answer(&offer).await.unwrap();
            let answer = b.wait_for_ice_gathering().await.unwrap();
            a.handle_answer(&answer).await.unwrap();
            a.wait_for_connection().await.unwrap();
            for peer in [a, b] {
                gone(peer, close).await;
            }
        }
    }
}
