//! [`PeerHost`]: gives every peer that comes to the embedded server a session of its own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use levada_engine::{Engine, Report, graph::Plan};
use levada_signaling::{Answer, Description, Host, Link, Refusal};
use levada_webrtc::PeerConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tracing::warn;

use crate::{
    call::{Call, Calls, Happening, told},
    handshake,
};

/// Peers that came by `POST /offer` and are served at the same time.
const MAX_OFFERS: usize = 128;
/// How long candidates are gathered for an answer; a STUN server that does not answer costs this.
const GATHERING: Duration = Duration::from_secs(5);

/// Serves peers with sessions of one graph.
pub struct PeerHost {
    calls: Calls,
    offers: Arc<Semaphore>,
    shutdown: watch::Sender<bool>,
    /// Each task holds a clone of the sender, so the receiver ends with the last of them.
    tasks: (mpsc::Sender<()>, tokio::sync::Mutex<mpsc::Receiver<()>>),
}

impl PeerHost {
    /// Serves sessions of `plan`.
    #[must_use]
    pub fn new(engine: Engine, plan: Arc<Plan>, config: PeerConfig) -> Arc<PeerHost> {
        let (sender, receiver) = mpsc::channel(1);
        Arc::new(PeerHost {
            calls: Calls::new(engine, plan, config),
            offers: Arc::new(Semaphore::new(MAX_OFFERS)),
            shutdown: watch::Sender::new(false),
            tasks: (sender, tokio::sync::Mutex::new(receiver)),
        })
    }

    /// Ends all sessions, and returns when they have drained.
    pub async fn end(self: Arc<Self>) -> Report {
        self.shutdown.send_replace(true);
        let calls = self.calls.clone();
        // A guard of the server's, should one still be about, holds the host and not a task.
        if let Some(host) = Arc::into_inner(self) {
            drop(host.tasks.0);
            let _ = host.tasks.1.into_inner().recv().await;
        }
        calls.report()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.tasks.0.clone();
        tokio::spawn(async move {
            task.await;
            drop(running);
        });
    }
}

#[async_trait]
impl Host for PeerHost {
    fn peer(&self, link: Link) {
        let (calls, mut shutdown) = (self.calls.clone(), self.shutdown.subscribe());
        self.spawn(async move { handshake::serve(&calls, link, &mut shutdown).await });
    }

    async fn offer(&self, offer: Description) -> Result<Answer, Refusal> {
        let permit = self
            .offers
            .clone()
            .try_acquire_owned()
            .map_err(|_| Refusal {
                status: 503,
                error: format!("{MAX_OFFERS} peers that came by POST /offer are being served"),
                remedy: "try again when one of them has left".into(),
            })?;
        let refusal = |status: u16, error: &dyn std::error::Error, remedy: &str| Refusal {
            status,
            error: error.to_string(),
            remedy: remedy.into(),
        };
        let call = self.calls.open().await.map_err(|error| {
            warn!(%error, "no session for the peer");
            refusal(500, &error, "see the host's log")
        })?;
        let bad = |error| {
            refusal(
                422,
                &error,
                "send the offer of an RTCPeerConnection with audio, video or data",
            )
        };
        call.peer
            .handle_offer_and_create_answer(&offer.sdp)
            .await
            .map_err(bad)?;
        let sdp = match tokio::time::timeout(GATHERING, call.peer.wait_for_ice_gathering()).await {
            Ok(sdp) => sdp.map_err(|error| refusal(500, &error, "offer again"))?,
            Err(_) => {
                return Err(Refusal {
                    status: 504,
                    error: "no complete set of candidates came together in time".into(),
                    remedy: "check the STUN and TURN servers of the host, or use /ws, where candidates travel one by one".into(),
                });
            }
        };
        let answer = Answer::new(sdp, call.id.to_string());
        let shutdown = self.shutdown.subscribe();
        self.spawn(attend(call, shutdown, permit));
        Ok(answer)
    }
}

/// Stays with a call that has no signaling link, until it is over.
async fn attend(
    mut call: Call,
    mut shutdown: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let why = loop {
        tokio::select! {
            happening = call.next() => {
                if let Happening::Over(why) = happening {
                    break why;
                }
            }
            () = told(&mut shutdown) => break "the host is ending".to_owned(),
        }
    };
    call.close(&why).await;
}
