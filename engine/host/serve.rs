//! [`PeerHost`]: gives every peer that comes to the embedded server a session of its own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use levada_engine::{Engine, Report};
use levada_signaling::{Answer, Description, Host, Link, Refusal};
use levada_webrtc::PeerConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    call::{Call, Calls, Happening, told},
    handshake,
    template::Template,
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
    /// How many tasks stay with peers. Not the number of this host's owners: the server may hold on to
    /// it for a moment longer than its run lasts.
    tasks: watch::Sender<usize>,
}

impl PeerHost {
    /// Serves sessions of `template`.
    #[must_use]
    pub fn new(engine: Engine, template: Template, config: PeerConfig) -> Arc<PeerHost> {
        Arc::new(PeerHost {
            calls: Calls::new(engine, template, config),
            offers: Arc::new(Semaphore::new(MAX_OFFERS)),
            shutdown: watch::Sender::new(false),
            tasks: watch::Sender::new(0),
        })
    }

    /// Ends all sessions, and returns when they have drained.
    pub async fn end(&self) -> Report {
        self.shutdown.send_replace(true);
        // An error would mean that no sender is left, and this host has one.
        let _ = self.tasks.subscribe().wait_for(|tasks| *tasks == 0).await;
        self.calls.report()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(&self.tasks);
        tokio::spawn(async move {
            task.await;
            drop(counted);
        });
    }
}

/// A task that counts until it is dropped, by its end or by a panic.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(tasks: &watch::Sender<usize>) -> Counted {
        tasks.send_modify(|tasks| *tasks += 1);
        Counted(tasks.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|tasks| *tasks -= 1);
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
        let mut call = self.calls.open(&offer.sdp).await.map_err(|error| {
            error.log();
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
        let answer = Answer::new(sdp, call.id.to_string()).lacking(call.take_lacks());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pipeline, PipelineNode};
    use levada_engine::EngineConfig;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_peer_is_not_told_what_files_the_host_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().join("precious.wav");
        std::fs::write(&there, "precious").expect("the folder is writable");
        let tape = PipelineNode::new("file-sink").param("path", there.display().to_string());
        let template = Pipeline::new([
            PipelineNode::new("webrtc-source").ports("in", "audio"),
            tape.ports("audio", "out"),
        ]);
        let template = template.template().expect("a plan");
        let engine = Engine::start(&EngineConfig::default()).expect("an engine");
        let host = PeerHost::new(engine, template, PeerConfig::default());
        let sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n";
        let offer = Description {
            sdp: sdp.to_owned(),
            kind: levada_signaling::SdpType::Offer,
        };
        let refused = host.offer(offer).await.expect_err("the file is there");
        assert!(
            refused.error.contains("node \"file-sink-1\" failed"),
            "{}",
            refused.error
        );
        assert!(!refused.error.contains("precious"), "{}", refused.error);
        assert_eq!(host.end().await.failed, 1);
    }

    #[tokio::test]
    async fn the_end_waits_for_every_task_whoever_else_holds_the_host() {
        let nodes = ["test-audio", "null"].map(PipelineNode::new);
        let template = Pipeline::new(nodes).template().expect("a plan");
        let engine = Engine::start(&EngineConfig::default()).expect("an engine");
        let host = PeerHost::new(engine, template, PeerConfig::default());
        let _server_s = host.clone();
        let (finish, finished) = oneshot::channel::<()>();
        host.spawn(async move {
            // Dropped or told: either ends it.
            let _ = finished.await;
        });
        let mut end = std::pin::pin!(host.end());
        assert!(
            futures_util::FutureExt::now_or_never(end.as_mut()).is_none(),
            "a task still runs"
        );
        drop(finish);
        assert_eq!(end.await.sessions, 0);
    }
}
