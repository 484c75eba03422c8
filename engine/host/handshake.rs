//! The handshake over a [`Link`]: whichever side offers, one call after another.
//!
//! The one that came second into a room offers; the other waits for the offer. An offer during a call
//! renegotiates it; when that is impossible (the page was reloaded, it is another browser) it begins a
//! new call. A `bye` ends the call and not the link: the next peer that comes into the room is served.

use levada_signaling::{Candidate, ErrorCode, Link, Message};
use levada_webrtc::IceCandidate;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::call::{Call, CallError, Calls, Happening, told};

/// Label of the data channel that this side opens when it offers.
const CHANNEL: &str = "data";

/// Serves the peers that come by this link, until the link ends or `shutdown` becomes true.
pub(crate) async fn serve(calls: &Calls, mut link: Link, shutdown: &mut watch::Receiver<bool>) {
    let mut call: Option<Call> = None;
    if link.joined.peers > 0 {
        call = offer(calls, &link).await;
    }
    loop {
        let happening = async {
            match &mut call {
                Some(call) => call.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = link.rx.recv() => match message {
                Some(message) => call = take(calls, &link, call, message).await,
                None => break,
            },
            happening = happening => match happening {
                Happening::Candidate(candidate) => {
                    send(&link, Message::IceCandidate { candidate: candidate.map(to_signaling) }).await;
                }
                Happening::Over(why) => {
                    send(&link, Message::bye(why.clone())).await;
                    if let Some(call) = call.take() {
                        call.close(&why).await;
                    }
                }
            },
            () = told(shutdown) => {
                send(&link, Message::bye("the host is ending")).await;
                break;
            }
        }
    }
    if let Some(call) = call {
        call.close("the peer left").await;
    }
}

/// Takes a message of the other side, and returns the call as it is then.
async fn take(calls: &Calls, link: &Link, call: Option<Call>, message: Message) -> Option<Call> {
    match message {
        Message::Offer { sdp } => return answer(calls, link, call, &sdp).await,
        Message::Answer { sdp } => match call {
            Some(call) => return answered(calls, link, call, &sdp).await,
            None => {
                let text = "this side has made no offer that could be answered; send an offer";
                send(link, Message::error(ErrorCode::Refused, text)).await;
            }
        },
        Message::IceCandidate {
            candidate: Some(candidate),
        } => {
            if let Some(call) = &call
                && let Err(error) = call.peer.add_ice_candidate(from_signaling(candidate)).await
            {
                // One bad candidate does not spoil the others.
                debug!(session = call.id, %error, "candidate");
            }
        }
        Message::IceCandidate { candidate: None } => {}
        Message::Bye { reason } => {
            if let Some(call) = call {
                call.close(reason.as_deref().unwrap_or("the peer said bye"))
                    .await;
            }
            return None;
        }
        Message::Error { code, message } => warn!(?code, message, "signaling"),
        // Only the server says the one, and only a client the other.
        Message::Join { .. } | Message::Joined { .. } => {}
    }
    call
}

async fn answer(calls: &Calls, link: &Link, call: Option<Call>, sdp: &str) -> Option<Call> {
    if let Some(call) = call {
        match call.peer.handle_offer_and_create_answer(sdp).await {
            Ok(answer) => {
                send(link, Message::Answer { sdp: answer }).await;
                return Some(call);
            }
            Err(error) => {
                info!(session = call.id, %error, "the offer does not fit the call, so it begins a new one");
                call.close("another peer offered").await;
            }
        }
    }
    let mut call = open(link, calls.open(sdp).await).await?;
    match call.peer.handle_offer_and_create_answer(sdp).await {
        Ok(answer) => {
            tell_lacks(link, &mut call).await;
            send(link, Message::Answer { sdp: answer }).await;
            Some(call)
        }
        Err(error) => {
            refuse(link, &error).await;
            call.close("its offer could not be answered").await;
            None
        }
    }
}

/// Takes the answer to an offer of this side, with which the call's session begins.
async fn answered(calls: &Calls, link: &Link, mut call: Call, sdp: &str) -> Option<Call> {
    if let Err(error) = call.peer.handle_answer(sdp).await {
        refuse(link, &error).await;
        return Some(call);
    }
    match calls.answered(&mut call, sdp).await {
        Ok(()) => {
            tell_lacks(link, &mut call).await;
            Some(call)
        }
        Err(error) => {
            refuse(link, &error).await;
            call.close("its session could not be started").await;
            None
        }
    }
}

/// Says of which media the peer gets none, and why.
async fn tell_lacks(link: &Link, call: &mut Call) {
    for lack in call.take_lacks() {
        send(link, Message::error(ErrorCode::NoMedia, lack)).await;
    }
}

async fn offer(calls: &Calls, link: &Link) -> Option<Call> {
    let call = open(link, calls.open_to_offer().await).await?;
    let offer = async {
        call.peer.add_data_channel(CHANNEL).await?;
        call.peer.create_offer().await
    };
    match offer.await {
        Ok(sdp) => {
            send(link, Message::Offer { sdp }).await;
            Some(call)
        }
        Err(error) => {
            refuse(link, &error).await;
            call.close("no offer could be made").await;
            None
        }
    }
}

async fn open(link: &Link, opened: Result<Call, CallError>) -> Option<Call> {
    match opened {
        Ok(call) => Some(call),
        Err(error) => {
            error.log();
            refuse(link, &error).await;
            None
        }
    }
}

async fn refuse(link: &Link, error: &(dyn std::error::Error + Sync)) {
    send(link, Message::error(ErrorCode::Refused, error.to_string())).await;
}

async fn send(link: &Link, message: Message) {
    // A link whose far end is gone yields `None` to the next `recv`, which ends the loop.
    let _ = link.tx.send(message).await;
}

fn to_signaling(candidate: IceCandidate) -> Candidate {
    Candidate {
        candidate: candidate.candidate,
        sdp_mid: candidate.sdp_mid,
        sdp_mline_index: candidate.sdp_m_line_index,
        username_fragment: candidate.username_fragment,
    }
}

fn from_signaling(candidate: Candidate) -> IceCandidate {
    IceCandidate {
        candidate: candidate.candidate,
        sdp_mid: candidate.sdp_mid,
        sdp_m_line_index: candidate.sdp_mline_index,
        username_fragment: candidate.username_fragment,
    }
}
