//! Sessions: how the nodes of a graph find their peer.
//!
//! Whoever accepts a peer opens a [`Session`] under the number that the graph's nodes will be given, builds the peer
//! with the session as its sink, and starts the graph. The nodes `webrtc-source` and `webrtc-sink` look their session
//! up by that number when they are created. A session lives as long as somebody holds it, and is found only as long as
//! it lives; opening the same number twice is an error.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use thiserror::Error;

use crate::config::PeerConfig;
use crate::driver::TokioPeer;
use crate::error::PeerError;
use crate::peer::{ConnectionState, Message, Peer, PeerEvent, PeerSink, RtpIn, TrackId, TrackInfo};

static SESSIONS: LazyLock<Mutex<HashMap<u64, Weak<Session>>>> = LazyLock::new(Mutex::default);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No section below leaves its data half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The number is taken.
    #[error("session {0} is open already; reserve a number of its own for each peer")]
    Exists(u64),
    /// The peer could not be built.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// Receives what a peer sends: the source node's side of a session.
pub(crate) trait Receiver: Send + Sync {
    fn rtp(&self, session: &Session, packet: RtpIn);
    fn message(&self, label: &str, message: Message);
    fn track_ended(&self, track: TrackId);
    /// Nothing more will come.
    fn ended(&self);
}

/// Hears what the other side says about what it is sent: the sink node's side of a session.
pub(crate) trait Feedback: Send + Sync {
    fn keyframe_wanted(&self);
    /// The network takes so many bits a second, of everything together.
    fn bitrate(&self, bits: u64);
}

type Listener = Box<dyn Fn(&PeerEvent) + Send + Sync>;

/// What a graph's nodes and their peer have in common. It is the peer's [`PeerSink`].
pub struct Session {
    id: u64,
    peer: RwLock<Option<Weak<dyn Peer>>>,
    listener: Listener,
    receiver: RwLock<Option<Arc<dyn Receiver>>>,
    feedback: RwLock<Option<Arc<dyn Feedback>>>,
    tracks: Mutex<Vec<TrackInfo>>,
}

impl Session {
    /// Opens a session. `listener` hears every event of the peer, on the driver's threads; it must return at once.
    ///
    /// # Errors
    ///
    /// [`SessionError::Exists`].
    pub fn open(
        id: u64,
        listener: impl Fn(&PeerEvent) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, SessionError> {
        let mut sessions = lock(&SESSIONS);
        if sessions
            .get(&id)
            .is_some_and(|session| session.strong_count() > 0)
        {
            return Err(SessionError::Exists(id));
        }
        let session = Arc::new(Self {
            id,
            peer: RwLock::default(),
            listener: Box::new(listener),
            receiver: RwLock::default(),
            feedback: RwLock::default(),
            tracks: Mutex::default(),
        });
        sessions.insert(id, Arc::downgrade(&session));
        Ok(session)
    }

    /// Opens a session and builds its peer on the current tokio runtime. The peer keeps the session open until it is
    /// closed.
    ///
    /// # Errors
    ///
    /// [`SessionError::Exists`], or what [`TokioPeer::new`] says.
    pub async fn with_peer(
        id: u64,
        config: PeerConfig,
        listener: impl Fn(&PeerEvent) + Send + Sync + 'static,
    ) -> Result<Arc<TokioPeer>, SessionError> {
        let session = Self::open(id, listener)?;
        let peer = Arc::new(TokioPeer::new(config, session.clone()).await?);
        let face: Arc<dyn Peer> = peer.clone();
        session.set_peer(&face);
        Ok(peer)
    }

    /// The open session with this number.
    pub fn find(id: u64) -> Option<Arc<Self>> {
        lock(&SESSIONS).get(&id)?.upgrade()
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Says which peer the session is about. The session does not keep it alive.
    pub fn set_peer(&self, peer: &Arc<dyn Peer>) {
        *self.peer.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(peer));
    }

    /// The peer, if it is still there.
    pub fn peer(&self) -> Option<Arc<dyn Peer>> {
        let peer = self.peer.read().unwrap_or_else(PoisonError::into_inner);
        peer.as_ref()?.upgrade()
    }

    pub(crate) fn track(&self, id: TrackId) -> Option<TrackInfo> {
        lock(&self.tracks)
            .iter()
            .find(|track| track.id == id)
            .cloned()
    }

    /// Puts the source node in place; `false` when there is one.
    pub(crate) fn attach_receiver(&self, receiver: Arc<dyn Receiver>) -> bool {
        attach(&self.receiver, receiver)
    }

    pub(crate) fn detach_receiver(&self) {
        detach(&self.receiver);
    }

    /// Puts the sink node in place; `false` when there is one.
    pub(crate) fn attach_feedback(&self, listener: Arc<dyn Feedback>) -> bool {
        attach(&self.feedback, listener)
    }

    pub(crate) fn detach_feedback(&self) {
        detach(&self.feedback);
    }
}

fn attach<T: ?Sized>(place: &RwLock<Option<Arc<T>>>, value: Arc<T>) -> bool {
    let mut place = place.write().unwrap_or_else(PoisonError::into_inner);
    let free = place.is_none();
    if free {
        *place = Some(value);
    }
    free
}

fn detach<T: ?Sized>(place: &RwLock<Option<Arc<T>>>) {
    // The value is dropped outside the lock.
    let _value = place.write().unwrap_or_else(PoisonError::into_inner).take();
}

/// Calls what is in place, without the lock: the call may run the graph up to the node's own end, which detaches it.
fn call<T: ?Sized>(place: &RwLock<Option<Arc<T>>>, call: impl FnOnce(&T)) {
    let value = place.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(value) = value {
        call(&value);
    }
}

impl PeerSink for Session {
    fn rtp(&self, packet: RtpIn) {
        call(&self.receiver, |receiver| receiver.rtp(self, packet));
    }

    fn message(&self, label: &str, message: Message) {
        call(&self.receiver, |receiver| receiver.message(label, message));
    }

    fn event(&self, event: PeerEvent) {
        match &event {
            PeerEvent::TrackAdded(info) => lock(&self.tracks).push(info.clone()),
            PeerEvent::TrackEnded(id) => {
                lock(&self.tracks).retain(|track| track.id != *id);
                call(&self.receiver, |receiver| receiver.track_ended(*id));
            }
            PeerEvent::KeyframeWanted => {
                call(&self.feedback, Feedback::keyframe_wanted);
            }
            PeerEvent::Bitrate { bits_per_second } => {
                call(&self.feedback, |sink| sink.bitrate(*bits_per_second));
            }
            PeerEvent::State(ConnectionState::Closed | ConnectionState::Failed { .. }) => {
                call(&self.receiver, Receiver::ended);
            }
            _ => {}
        }
        (self.listener)(&event);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut sessions = lock(&SESSIONS);
        // The number may have been opened anew in between.
        if sessions
            .get(&self.id)
            .is_some_and(|session| session.strong_count() == 0)
        {
            sessions.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_while_it_lives_and_its_number_is_free_afterwards() {
        let id = u64::MAX - 1;
        let session = Session::open(id, |_| {}).unwrap();
        assert!(Arc::ptr_eq(&Session::find(id).unwrap(), &session));
        let second = Session::open(id, |_| {});
        assert_eq!(second.err(), Some(SessionError::Exists(id)));
        drop(session);
        assert!(Session::find(id).is_none());
        let third = Session::open(id, |_| {}).unwrap();
        assert_eq!(third.id(), id);
    }
}
