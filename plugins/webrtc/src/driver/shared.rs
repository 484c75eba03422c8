//! What a peer, its event handler and its tasks have in common.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceConnectionState, RTCIceGatheringState,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

use super::channels::{self, Channels};
use super::outbound::Outbound;
use super::tracks::{self, Tracks};
use crate::codec::Codec;
use crate::peer::{ConnectionState, IceCandidate, PeerEvent, PeerSink, PeerStats};

/// Locks a mutex whether or not a thread panicked while it held it: every section below leaves its data whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counters behind [`PeerStats`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) rtp_received: AtomicU64,
    pub(super) rtp_unknown: AtomicU64,
    pub(super) rtp_sent: AtomicU64,
    pub(super) rtp_refused: AtomicU64,
    pub(super) messages_received: AtomicU64,
    pub(super) messages_sent: AtomicU64,
    pub(super) messages_refused: AtomicU64,
    pub(super) keyframes_wanted: AtomicU64,
    pub(super) keyframes_requested: AtomicU64,
    pub(super) bytes_copied: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn snapshot(&self) -> PeerStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PeerStats {
            rtp_received: get(&self.rtp_received),
            rtp_unknown: get(&self.rtp_unknown),
            rtp_sent: get(&self.rtp_sent),
            rtp_refused: get(&self.rtp_refused),
            messages_received: get(&self.messages_received),
            messages_sent: get(&self.messages_sent),
            messages_refused: get(&self.messages_refused),
            keyframes_wanted: get(&self.keyframes_wanted),
            keyframes_requested: get(&self.keyframes_requested),
            bytes_copied: get(&self.bytes_copied),
        }
    }
}

/// The codec of each payload type that the other side may send, after our own description.
pub(super) struct PayloadTypes([AtomicU8; 128]);

impl PayloadTypes {
    fn new() -> Self {
        Self([const { AtomicU8::new(0) }; 128])
    }

    pub(super) fn set(&self, payload_type: u8, codec: Codec) {
        if let Some(slot) = self.0.get(usize::from(payload_type)) {
            slot.store(codec.index() as u8 + 1, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, payload_type: u8) -> Option<Codec> {
        let value = self
            .0
            .get(usize::from(payload_type))?
            .load(Ordering::Relaxed);
        Codec::ALL.get(usize::from(value).checked_sub(1)?).copied()
    }
}

/// See the module.
pub(super) struct Shared {
    /// Taken away on close. Every call of the sink holds the lock, so that after closing there is none.
    sink: RwLock<Option<Arc<dyn PeerSink>>>,
    pub(super) state: watch::Sender<ConnectionState>,
    pub(super) gathered: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    pub(super) closing: tokio::sync::Mutex<()>,
    handle: Handle,
    tasks: Mutex<JoinSet<()>>,
    pub(super) counters: Counters,
    pub(super) payload_types: PayloadTypes,
    /// The number of the header extension by which the other side states colours; 0 for none.
    pub(super) colour_id: AtomicU8,
    pub(super) outbound: Outbound,
    pub(super) tracks: Tracks,
    pub(super) channels: Channels,
}

impl Shared {
    pub(super) fn new(sink: Arc<dyn PeerSink>, handle: Handle, channels: Channels) -> Arc<Self> {
        Arc::new(Self {
            sink: RwLock::new(Some(sink)),
            state: watch::Sender::new(ConnectionState::New),
            gathered: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            closing: tokio::sync::Mutex::default(),
            handle,
            tasks: Mutex::new(JoinSet::new()),
            counters: Counters::default(),
            payload_types: PayloadTypes::new(),
            colour_id: AtomicU8::new(0),
            outbound: Outbound::default(),
            tracks: Tracks::default(),
            channels,
        })
    }

    /// Calls the sink, unless the peer is closed.
    pub(super) fn with_sink(&self, call: impl FnOnce(&dyn PeerSink)) {
        let sink = self.sink.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = sink.as_deref() {
            call(sink);
        }
    }

    pub(super) fn event(&self, event: PeerEvent) {
        self.with_sink(|sink| sink.event(event));
    }

    /// Changes the state, unless it is final already, and tells the sink.
    pub(super) fn set_state(&self, state: ConnectionState) {
        let changed = self.state.send_if_modified(|current| {
            let change = *current != state && !current.is_final();
            // A failed connection may still be closed.
            let close = state == ConnectionState::Closed && *current != ConnectionState::Closed;
            if change || close {
                current.clone_from(&state);
            }
            change || close
        });
        if changed {
            self.event(PeerEvent::State(state));
        }
    }

    /// Runs a task that ends when the peer stops, at the latest at its next point of waiting.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stop.subscribe();
        let mut tasks = lock(&self.tasks);
        // Forget what has ended, or a peer that opens and closes channels for days would fill the set.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(
            async move {
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = task => {}
                }
            },
            &self.handle,
        );
    }

    /// Tells every task to end.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Lets go of everything that refers to the connection, and of the sink.
    pub(super) fn release(&self) {
        self.outbound.clear();
        self.tracks.clear();
        self.channels.clear();
        self.sink
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Waits for the tasks, after [`stop`](Self::stop).
    pub(super) async fn join(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }
}

/// Hears from the connection. Its methods run on the connection's own task: they return at once.
pub(super) struct Events {
    /// Weak, for the connection owns this.
    pub(super) shared: Weak<Shared>,
    ice_failed: std::sync::atomic::AtomicBool,
}

impl Events {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            ice_failed: std::sync::atomic::AtomicBool::new(false),
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        match event.candidate.to_json() {
            // All sections are bundled, so every candidate belongs to the first. The crate's empty `mid` would name
            // a section that does not exist.
            Ok(candidate) => shared.event(PeerEvent::LocalCandidate(IceCandidate {
                candidate: candidate.candidate,
                sdp_mid: None,
                sdp_m_line_index: Some(0),
                username_fragment: candidate.username_fragment,
            })),
            Err(error) => tracing::debug!(%error, "a local candidate cannot be written"),
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete
            && let Some(shared) = self.shared.upgrade()
        {
            shared.gathered.send_replace(true);
            shared.event(PeerEvent::GatheringComplete);
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        let failed = state == RTCIceConnectionState::Failed;
        self.ice_failed.store(failed, Ordering::Relaxed);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let was = shared.state.borrow().clone();
        shared.set_state(match state {
            RTCPeerConnectionState::New | RTCPeerConnectionState::Unspecified => return,
            RTCPeerConnectionState::Connecting => ConnectionState::Connecting,
            RTCPeerConnectionState::Connected => ConnectionState::Connected,
            RTCPeerConnectionState::Disconnected => ConnectionState::Disconnected,
            // This side is closing, and says so itself when it is done.
            _ if shared.is_stopped() => return,
            RTCPeerConnectionState::Closed => ConnectionState::Failed {
                reason: "the other side closed the connection".to_owned(),
            },
            RTCPeerConnectionState::Failed => ConnectionState::Failed {
                reason: match was {
                    ConnectionState::Connected | ConnectionState::Disconnected => {
                        "nothing was heard from the other side any more"
                    }
                    _ if self.ice_failed.load(Ordering::Relaxed) => {
                        "no pair of addresses works between the two sides; they may need a TURN server"
                    }
                    _ => "the encryption handshake (DTLS) failed or its certificate does not match",
                }
                .to_owned(),
            },
            _ => return,
        });
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        if let Some(shared) = self.shared.upgrade() {
            channels::accept(&shared, channel);
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        if let Some(shared) = self.shared.upgrade() {
            tracks::accept(&shared, track);
        }
    }
}
