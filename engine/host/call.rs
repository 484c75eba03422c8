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

use crate::{
    fits::{Fit, Fits},
    template::Template,
};

/// How long a session may drain before it is ended without.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a call did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection cannot be made.
    #[error(transparent)]
    Peer(#[from] SessionError),
    /// The graph's session cannot be started.
    #[error("{}", without_cause(.0))]
    Node(#[from] Box<NodeError>),
    /// No plan can be made any more.
    #[error("the program is ending, and takes no more peers")]
    Ending,
}

/// What a peer is told of a node's error, which may name files of the host. The log has all of it.
fn without_cause(error: &NodeError) -> String {
    format!("node \"{}\" failed; the host's log says why", error.node)
}

impl CallError {
    /// Logs why there is no connection for a peer. A node's error has been logged with its session.
    pub fn log(&self) {
        if !matches!(self, CallError::Node(_)) {
            warn!(error = %self, "no connection for the peer");
        }
    }
}

/// What all calls of a program share.
#[derive(Clone)]
pub(crate) struct Calls {
    pub engine: Engine,
    fits: Arc<Fits>,
    /// What the sessions that have ended did, together.
    pub total: Arc<Mutex<Report>>,
}

impl Calls {
    pub fn new(engine: Engine, template: Template, config: PeerConfig) -> Calls {
        let total = Arc::new(Mutex::new(template.plan().report()));
        Calls {
            engine,
            fits: Arc::new(Fits::new(template, config)),
            total,
        }
    }

    /// Makes a peer for this offer and starts the session that belongs to it: with what the offering side can do.
    pub async fn open(&self, offer: &str) -> Result<Call, CallError> {
        let (mut call, fit) = self.make_for(offer).await?;
        call.start(self, &fit.plan)?;
        Ok(call)
    }

    /// Makes a peer for this offer, without its session.
    pub async fn make_for(&self, offer: &str) -> Result<(Call, Arc<Fit>), CallError> {
        let (fits, offer) = (self.fits.clone(), offer.to_owned());
        let (fit, told) = planned(move || fits.for_offer(&offer)).await?;
        let mut call = self.make(&fit.config).await?;
        call.told(told);
        Ok((call, fit))
    }

    /// Makes a peer that is to offer. Its session starts when the answer says what the other side can do.
    pub async fn open_to_offer(&self) -> Result<Call, CallError> {
        let fits = self.fits.clone();
        let config = planned(move || fits.to_offer().clone()).await?;
        self.make(&config).await
    }

    /// Starts the session of a call for what an answer says of both sides.
    pub async fn answered(&self, call: &mut Call, answer: &str) -> Result<(), CallError> {
        if call.session.is_some() {
            return Ok(());
        }
        let (fits, answer) = (self.fits.clone(), answer.to_owned());
        let (fit, told) = planned(move || fits.for_answer(&answer)).await?;
        call.told(told);
        Ok(call.start(self, &fit.plan)?)
    }

    async fn make(&self, config: &PeerConfig) -> Result<Call, CallError> {
        Ok(Call::open(&self.engine, config.clone()).await?)
    }

    /// What the ended sessions did, together.
    pub fn report(&self) -> Report {
        self.total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Runs what may make a plan, which takes longer than a task of the runtime may.
async fn planned<T: Send + 'static>(
    plan: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CallError> {
    tokio::task::spawn_blocking(plan)
        .await
        .map_err(|_| CallError::Ending)
}

/// Candidates that wait to be sent to the other side; a connection has fewer.
const MAX_CANDIDATES: usize = 256;

/// What a peer says of itself, for whoever holds its call. A state replaces the one before; a
/// candidate that nobody takes beyond [`MAX_CANDIDATES`] is lost, as on a bad network.
struct PeerEvents {
    states: watch::Receiver<ConnectionState>,
    candidates: mpsc::Receiver<Option<IceCandidate>>,
}

/// Makes the peer of session `id`.
async fn open_peer(
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
    /// None while it offers, and nobody has answered.
    session: Option<Arc<Session>>,
    ended: Option<oneshot::Receiver<Ended>>,
    /// Why the peer gets no media of a kind.
    lacks: Vec<String>,
}

/// What happens to a call.
pub(crate) enum Happening {
    /// A candidate to send to the other side; `None` after the last.
    Candidate(Option<IceCandidate>),
    /// The call is over: close it.
    Over(String),
}

impl Call {
    /// Makes a peer, without a session yet.
    pub async fn open(engine: &Engine, config: PeerConfig) -> Result<Call, SessionError> {
        let id = engine.reserve_session();
        let (peer, events) = open_peer(id, config).await?;
        Ok(Call {
            id,
            peer,
            events,
            session: None,
            ended: None,
            lacks: vec![],
        })
    }

    /// Starts its session, whose files and generators begin when the peer is connected: nothing of them is lost before.
    /// Dropping the call closes the peer.
    pub fn start(&mut self, calls: &Calls, plan: &Arc<Plan>) -> Result<(), Box<NodeError>> {
        let (tell, ended) = oneshot::channel();
        let total = calls.total.clone();
        let session = calls.engine.start_held(self.id, plan, move |ended| {
            total
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&ended.report);
            // Nobody waits for the session of a call that was dropped.
            let _ = tell.send(ended);
        });
        let session = session.inspect_err(|error| {
            warn!(session = self.id, %error, "no session for the peer");
            let mut total = calls.total.lock().unwrap_or_else(PoisonError::into_inner);
            total.sessions += 1;
            total.failed += 1;
        })?;
        (self.session, self.ended) = (Some(session), Some(ended));
        Ok(())
    }

    fn told(&mut self, lacks: Vec<String>) {
        for lack in &lacks {
            warn!(session = self.id, "{lack}");
        }
        self.lacks = lacks;
    }

    /// Takes what the peer is to be told of the media that it does not get.
    pub fn take_lacks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lacks)
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
                        _ => continue,
                    }
                    // It has been connected, in any case.
                    if let Some(session) = &self.session {
                        session.release();
                    }
                }
                ended = ended => {
                    self.ended = None;
                    return Happening::Over(match ended.and_then(|ended| ended.error) {
                        Some(error) => {
                            warn!(session = self.id, %error, "the session ended by an error");
                            without_cause(&error)
                        }
                        None => "the graph came to its end".into(),
                    });
                }
            }
        }
    }

    /// Drains and ends the session, then closes the connection.
    pub async fn close(mut self, why: &str) {
        if let Some(session) = &self.session {
            session.stop();
        }
        if let Some(mut ended) = self.ended.take()
            && tokio::time::timeout(DRAIN, &mut ended).await.is_err()
        {
            warn!(
                session = self.id,
                "the session did not drain in {} s and is ended without",
                DRAIN.as_secs()
            );
            if let Some(session) = &self.session {
                session.abort();
            }
            let _ = tokio::time::timeout(DRAIN, ended).await;
        }
        self.peer.close().await;
        info!(session = self.id, why, "ended");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            session.stop();
        }
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
