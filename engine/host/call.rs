//! [`Call`]: one peer connection and the session of the graph that belongs to it.
//!
//! The two share a number: the session's source and sink find their peer by it. A call ends when it
//! is closed, when its peer is lost, or when a node of its session fails; whoever holds it sees which
//! by [`Call::next`]. A call that is dropped ends as well, without anybody waiting for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use levada_engine::{Ended, Engine, NodeError, Report, Session, graph::Plan};
use levada_webrtc::{ConnectionState, IceCandidate, Peer, PeerConfig, PeerEvent, SessionError};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::codecs;

/// How long a session may drain before it is ended without.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a call did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection cannot be made.
    #[error(transparent)]
    Peer(#[from] SessionError),
    /// The graph's session cannot be started.
    #[error(transparent)]
    Node(#[from] Box<NodeError>),
}

/// What all calls of a program share.
#[derive(Clone)]
pub(crate) struct Calls {
    pub engine: Engine,
    pub plan: Arc<Plan>,
    pub config: PeerConfig,
    /// What the sessions that have ended did, together.
    pub total: Arc<Mutex<Report>>,
}

impl Calls {
    pub fn new(engine: Engine, plan: Arc<Plan>, config: PeerConfig) -> Calls {
        let total = Arc::new(Mutex::new(plan.report()));
        let config = codecs::narrowed(&config, &plan);
        Calls {
            engine,
            plan,
            config,
            total,
        }
    }

    /// Makes a peer and starts the session that belongs to it.
    pub async fn open(&self) -> Result<Call, CallError> {
        let id = self.engine.reserve_session();
        let (peer, events) = open_peer(id, self.config.clone()).await?;
        Ok(Call::start(self, id, peer, events)?)
    }

    /// What the ended sessions did, together.
    pub fn report(&self) -> Report {
        self.total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Candidates that wait to be sent to the other side; a connection has fewer.
const MAX_CANDIDATES: usize = 256;

/// What a peer says of itself, for whoever holds its call. A state replaces the one before; a
/// candidate that nobody takes beyond [`MAX_CANDIDATES`] is lost, as on a bad network.
pub(crate) struct PeerEvents {
    states: watch::Receiver<ConnectionState>,
    candidates: mpsc::Receiver<Option<IceCandidate>>,
}

/// Makes the peer of session `id`.
pub(crate) async fn open_peer(
    id: u64,
    config: PeerConfig,
) -> Result<(Arc<dyn Peer>, PeerEvents), SessionError> {
    let (states, seen) = watch::channel(ConnectionState::New);
    let (found, candidates) = mpsc::channel(MAX_CANDIDATES);
    let listen = move |event: &PeerEvent| match event {
        PeerEvent::State(state) => {
            // The last word on a connection is that it failed, and why; that it was closed comes after.
            states.send_if_modified(|now| {
                let is_news = !now.is_final() && now != state;
                if is_news {
                    now.clone_from(state);
                }
                is_news
            });
        }
        PeerEvent::LocalCandidate(candidate) => {
            let _ = found.try_send(Some(candidate.clone()));
        }
        PeerEvent::GatheringComplete => {
            let _ = found.try_send(None);
        }
        _ => debug!(session = id, ?event, "peer"),
    };
    let peer = levada_webrtc::Session::with_peer(id, config, listen).await?;
    Ok((
        peer,
        PeerEvents {
            states: seen,
            candidates,
        },
    ))
}

/// See the module's documentation.
pub(crate) struct Call {
    pub id: u64,
    pub peer: Arc<dyn Peer>,
    events: PeerEvents,
    session: Arc<Session>,
    ended: Option<oneshot::Receiver<Ended>>,
}

/// What happens to a call.
pub(crate) enum Happening {
    /// A candidate to send to the other side; `None` after the last.
    Candidate(Option<IceCandidate>),
    /// The call is over: close it.
    Over(String),
}

impl Call {
    /// Starts a session for a peer that exists already.
    pub fn start(
        calls: &Calls,
        id: u64,
        peer: Arc<dyn Peer>,
        events: PeerEvents,
    ) -> Result<Call, Box<NodeError>> {
        let (tell, ended) = oneshot::channel();
        let total = calls.total.clone();
        let started = calls.engine.start_reserved(id, &calls.plan, move |ended| {
            total
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&ended.report);
            // Nobody waits for the session of a call that was dropped.
            let _ = tell.send(ended);
        });
        match started {
            Ok(session) => Ok(Call {
                id,
                peer,
                events,
                session,
                ended: Some(ended),
            }),
            Err(error) => {
                tokio::spawn(async move { peer.close().await });
                Err(error)
            }
        }
    }

    /// Waits for the next thing that happens. May be cancelled and called again.
    pub async fn next(&mut self) -> Happening {
        loop {
            let ended = async {
                match &mut self.ended {
                    Some(ended) => ended.await.ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(candidate) = self.events.candidates.recv() => return Happening::Candidate(candidate),
                changed = self.events.states.changed() => {
                    let state = self.events.states.borrow_and_update().clone();
                    match state {
                        ConnectionState::Failed { reason } => {
                            return Happening::Over(format!("the connection failed: {reason}"));
                        }
                        _ if changed.is_err() || state == ConnectionState::Closed => {
                            return Happening::Over("the connection was closed".into());
                        }
                        ConnectionState::Connected => info!(session = self.id, "connected"),
                        ConnectionState::Disconnected => {
                            warn!(session = self.id, "nothing has been heard from the peer for a while");
                        }
                        _ => {}
                    }
                }
                ended = ended => {
                    self.ended = None;
                    return Happening::Over(match ended.and_then(|ended| ended.error) {
                        Some(error) => error.to_string(),
                        None => "the graph came to its end".into(),
                    });
                }
            }
        }
    }

    /// Drains and ends the session, then closes the connection.
    pub async fn close(mut self, why: &str) {
        self.session.stop();
        if let Some(mut ended) = self.ended.take()
            && tokio::time::timeout(DRAIN, &mut ended).await.is_err()
        {
            warn!(
                session = self.id,
                "the session did not drain in {} s and is ended without",
                DRAIN.as_secs()
            );
            self.session.abort();
            let _ = tokio::time::timeout(DRAIN, ended).await;
        }
        self.peer.close().await;
        info!(session = self.id, why, "ended");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.session.stop();
        // After `close` this finds nothing to do.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let peer = self.peer.clone();
            runtime.spawn(async move { peer.close().await });
        }
    }
}

/// Ready when `signal` becomes true, or nobody can make it so any more.
pub(crate) async fn told(signal: &mut watch::Receiver<bool>) {
    let _ = signal.wait_for(|told| *told).await;
}
