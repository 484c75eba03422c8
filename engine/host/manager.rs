//! [`WebRtcManager`]: a peer connection and the pipeline behind it, for applications.

use std::sync::Arc;

use levada_engine::{Engine, EngineConfig, Report, graph::Problems};
use levada_signaling::{ClientError, ConnectOptions, Reconnect};
use levada_webrtc::{Peer, PeerConfig, PeerError, SessionError};
use tokio::sync::{Mutex, watch};
use tracing::info;

use crate::{
    call::{Call, CallError, Calls, Happening, told},
    handshake,
    pipeline::{Pipeline, PipelineNode},
};

/// Why a manager could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The engine's threads cannot be started.
    #[error("the engine cannot start: {0}; end other programs, or raise the limit on threads")]
    Engine(#[from] std::io::Error),
    /// The pipeline is no valid graph.
    #[error("{0}")]
    Pipeline(#[from] Problems),
    /// The connection refused.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The connection could not be made.
    #[error(transparent)]
    Connection(#[from] SessionError),
    /// A node could not be started.
    #[error(transparent)]
    Node(#[from] Box<levada_engine::NodeError>),
    /// The signaling server cannot be reached, or does not let us in.
    #[error(transparent)]
    Signaling(#[from] ClientError),
    /// The connection was made before it was known what for.
    #[error(
        "this connection is made already; call prepare() before the other calls, or close() first"
    )]
    Made,
    /// The program's runtime is shutting down.
    #[error("the program is ending, and takes no more peers")]
    Ending,
    /// A pipeline runs on this manager's connection already.
    #[error("a pipeline runs on this connection already; close() it first")]
    Running,
}

impl From<CallError> for ManagerError {
    fn from(error: CallError) -> ManagerError {
        match error {
            CallError::Peer(error) => error.into(),
            CallError::Node(error) => error.into(),
            CallError::Ending => ManagerError::Ending,
        }
    }
}

/// Connects to peers and runs pipelines on their media.
///
/// [`run_with_signaling`](WebRtcManager::run_with_signaling) does everything. By hand: make a
/// connection's descriptions with [`create_offer`](WebRtcManager::create_offer) on one side and
/// [`handle_offer_and_create_answer`](WebRtcManager::handle_offer_and_create_answer) on the other,
/// carry them over, and [`start`](WebRtcManager::start) a pipeline on each side. What it takes and gives is made known
/// before, by [`prepare`](WebRtcManager::prepare) or by starting it; without that everything is offered and agreed to.
///
/// All calls need a tokio runtime with I/O and time enabled.
pub struct WebRtcManager {
    engine: Engine,
    config: PeerConfig,
    by_hand: Mutex<ByHand>,
}

/// The connection that the by-hand calls make and use.
#[derive(Default)]
struct ByHand {
    /// Of the pipeline that was prepared or started.
    calls: Option<Calls>,
    /// That pipeline is to run as soon as an answer says with what.
    is_wanted: bool,
    peer: Option<Arc<dyn Peer>>,
    /// The peer's call, until the pipeline runs: then its task has it.
    call: Option<Call>,
    /// The answer of either side.
    answer: Option<String>,
    running: Option<(watch::Sender<bool>, tokio::task::JoinHandle<Report>)>,
}

impl WebRtcManager {
    /// Starts an engine for this manager's pipelines.
    ///
    /// # Errors
    /// When the configuration contradicts itself or the system has no threads left.
    pub fn new(config: PeerConfig) -> Result<WebRtcManager, ManagerError> {
        config.validate()?;
        let engine = Engine::start(&EngineConfig::default())?;
        Ok(WebRtcManager {
            engine,
            config,
            by_hand: Mutex::default(),
        })
    }

    /// Makes the node that brings in what the peer sends: sound, pictures and messages.
    #[must_use]
    pub fn create_source_node(&self) -> PipelineNode {
        PipelineNode::new("webrtc-source")
    }

    /// Makes the node that sends to the peer.
    #[must_use]
    pub fn create_sink_node(&self) -> PipelineNode {
        PipelineNode::new("webrtc-sink")
    }

    /// Joins the default room of the signaling server at `url` (such as `ws://127.0.0.1:8765/ws`) and
    /// serves one peer after another, each with a fresh session of the pipeline, whichever side
    /// offers. Reconnects when the server goes away. Ends only with an error; drop the future to end
    /// it.
    ///
    /// # Errors
    /// When the pipeline is invalid, or the server cannot be reached or refuses at the first attempt.
    pub async fn run_with_signaling(
        &self,
        pipeline: Pipeline,
        url: &str,
    ) -> Result<(), ManagerError> {
        let calls = self.calls(&pipeline)?;
        let mut reconnect = Reconnect::new(url, None, ConnectOptions::default());
        let (_keep, mut shutdown) = watch::channel(false);
        loop {
            let link = reconnect.link().await?;
            info!(url, room = link.joined.room, "waiting for a peer");
            handshake::serve(&calls, link, &mut shutdown).await;
        }
    }

    /// The connection of the by-hand calls, made at the first of them.
    async fn peer(&self) -> Result<Arc<dyn Peer>, ManagerError> {
        self.peer_of(&mut *self.by_hand.lock().await).await
    }

    async fn peer_of(&self, by_hand: &mut ByHand) -> Result<Arc<dyn Peer>, ManagerError> {
        if let Some(peer) = &by_hand.peer {
            return Ok(peer.clone());
        }
        let call = match &by_hand.calls {
            Some(calls) => calls.open_to_offer().await?,
            None => Call::open(&self.engine, self.config.clone()).await?,
        };
        Ok(by_hand.made(call))
    }

    fn calls(&self, pipeline: &Pipeline) -> Result<Calls, ManagerError> {
        let (template, config) = (pipeline.template()?, self.config.clone());
        Ok(Calls::new(self.engine.clone(), template, config))
    }

    /// By hand, before all other calls: says for which pipeline the connection will be, without starting it. Then the
    /// codecs that are offered or agreed to are those that the pipeline takes and gives, as the other side has them, and
    /// only the directions that it links are. What [`start`](WebRtcManager::start) does as well, if it is called first.
    ///
    /// # Errors
    /// When the pipeline is invalid, or the connection has been made.
    pub async fn prepare(&self, pipeline: &Pipeline) -> Result<(), ManagerError> {
        let calls = self.calls(pipeline)?;
        let mut by_hand = self.by_hand.lock().await;
        if by_hand.peer.is_some() {
            return Err(ManagerError::Made);
        }
        by_hand.calls = Some(calls);
        Ok(())
    }

    /// By hand: makes an offer, without candidates; they are being gathered from then on.
    ///
    /// # Errors
    /// As [`Peer::create_offer`].
    pub async fn create_offer(&self) -> Result<String, ManagerError> {
        Ok(self.peer().await?.create_offer().await?)
    }

    /// By hand: takes the other side's offer and makes an answer, without candidates. A pipeline that waits for it starts.
    ///
    /// # Errors
    /// As [`Peer::handle_offer_and_create_answer`]; what [`start`](WebRtcManager::start) says of nodes.
    pub async fn handle_offer_and_create_answer(&self, sdp: &str) -> Result<String, ManagerError> {
        let mut by_hand = self.by_hand.lock().await;
        let peer = match &by_hand.calls {
            Some(calls) if by_hand.peer.is_none() => {
                let (call, _) = calls.make_for(sdp).await?;
                by_hand.made(call)
            }
            _ => self.peer_of(&mut by_hand).await?,
        };
        let answer = peer.handle_offer_and_create_answer(sdp).await?;
        by_hand.answered(&answer).await?;
        Ok(answer)
    }

    /// By hand: takes the other side's answer to our offer. A pipeline that waits for it starts.
    ///
    /// # Errors
    /// As [`Peer::handle_answer`]; what [`start`](WebRtcManager::start) says of nodes.
    pub async fn handle_answer(&self, sdp: &str) -> Result<(), ManagerError> {
        let mut by_hand = self.by_hand.lock().await;
        self.peer_of(&mut by_hand).await?.handle_answer(sdp).await?;
        by_hand.answered(sdp).await
    }

    /// By hand: waits until all candidates are known, and returns the description with them in it.
    ///
    /// # Errors
    /// As [`Peer::wait_for_ice_gathering`].
    pub async fn wait_for_ice_gathering(&self) -> Result<String, ManagerError> {
        Ok(self.peer().await?.wait_for_ice_gathering().await?)
    }

    /// By hand: the description with the candidates that are known by now; `None` before there is one. For
    /// those who do not wait for all: a STUN server that does not answer holds them up for some ten
    /// seconds.
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub async fn local_description(&self) -> Result<Option<String>, ManagerError> {
        Ok(self.peer().await?.local_description().await)
    }

    /// By hand: waits until media can flow.
    ///
    /// # Errors
    /// When the connection fails or is closed, with the reason.
    pub async fn wait_for_connection(&self) -> Result<(), ManagerError> {
        Ok(self.peer().await?.wait_for_connection().await?)
    }

    /// By hand: adds a data channel. An offer without one has no section for data, so the offering
    /// side adds it before.
    ///
    /// # Errors
    /// When there is one of this label already; as [`Peer::add_data_channel`].
    pub async fn add_data_channel(&self, label: &str) -> Result<(), ManagerError> {
        Ok(self.peer().await?.add_data_channel(label).await?)
    }

    /// By hand: starts a pipeline on this connection, before or after it is up: at once where descriptions have been
    /// exchanged, otherwise with the answer, by which it is planned for the codecs that the other side has. Its files and
    /// generators begin when the connection is up. It ends with the connection.
    ///
    /// # Errors
    /// When the pipeline is invalid, a node cannot be started, or one runs already.
    pub async fn start(&self, pipeline: &Pipeline) -> Result<(), ManagerError> {
        let calls = self.calls(pipeline)?;
        let mut by_hand = self.by_hand.lock().await;
        if by_hand.is_wanted || by_hand.running.is_some() {
            return Err(ManagerError::Running);
        }
        (by_hand.calls, by_hand.is_wanted) = (Some(calls), true);
        by_hand.begin().await
    }

    /// By hand: drains the pipeline, closes the connection, and returns what the pipeline did, if one
    /// ran. The next by-hand call makes a new connection.
    pub async fn close(&self) -> Option<Report> {
        let ByHand { peer, running, .. } = std::mem::take(&mut *self.by_hand.lock().await);
        let mut report = None;
        if let Some((stop, task)) = running {
            stop.send_replace(true);
            report = task.await.ok();
        }
        if let Some(peer) = peer {
            peer.close().await;
        }
        report
    }
}

impl ByHand {
    fn made(&mut self, call: Call) -> Arc<dyn Peer> {
        let peer = call.peer.clone();
        (self.peer, self.call) = (Some(peer.clone()), Some(call));
        peer
    }

    async fn answered(&mut self, answer: &str) -> Result<(), ManagerError> {
        self.answer = Some(answer.to_owned());
        self.begin().await
    }

    /// Starts the pipeline that is wanted, if there is an answer.
    async fn begin(&mut self) -> Result<(), ManagerError> {
        let (true, Some(calls), Some(answer)) = (self.is_wanted, &self.calls, &self.answer) else {
            return Ok(());
        };
        let (calls, Some(mut call)) = (calls.clone(), self.call.take()) else {
            return Ok(());
        };
        if let Err(error) = calls.answered(&mut call, answer).await {
            // The call closes its peer.
            *self = ByHand::default();
            return Err(error.into());
        }
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let why = loop {
                tokio::select! {
                    happening = call.next() => {
                        if let Happening::Over(why) = happening {
                            break why;
                        }
                    }
                    () = told(&mut stopped) => break "it was closed".to_owned(),
                }
            };
            call.close(&why).await;
            calls.report()
        });
        (self.is_wanted, self.running) = (false, Some((stop, task)));
        Ok(())
    }
}
