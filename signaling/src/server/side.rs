//! What stands behind one WebSocket: a member of the relay, or a room that the client shares with the host alone.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::relay::{Member, Queued};
use super::{Host, Mode, Shared};
use crate::link::{self, FarEnd, Joined, Link};
use crate::protocol::{ErrorCode, Message};
use crate::room::{Output, PeerId, RoomLimits, Rooms};

/// Close codes (RFC 6455 section 7.4.1; 1013 is in its registry).
pub(super) mod code {
    /// The call is over.
    pub const DONE: u16 = 1000;
    /// The server stops.
    pub const GOING_AWAY: u16 = 1001;
    /// The client breaks the rules.
    pub const POLICY: u16 = 1008;
    /// A message is too large.
    pub const TOO_LARGE: u16 = 1009;
    /// No place; it may try again.
    pub const TRY_LATER: u16 = 1013;
}

/// How a session ended: what to tell the client, if it is still there to be told.
#[derive(Debug)]
pub(super) struct End {
    pub last: Option<Message>,
    /// `None`: the client is gone.
    pub close: Option<u16>,
}

impl End {
    pub(super) const GONE: End = End {
        last: None,
        close: None,
    };

    pub(super) fn error(close: u16, code: ErrorCode, text: impl Into<String>) -> End {
        End {
            last: Some(Message::error(code, text)),
            close: Some(close),
        }
    }
}

/// The side that messages of this client go to.
pub(super) enum Side {
    Relay(Member),
    Host(Box<HostSide>),
}

/// Where messages for this client come from.
pub(super) enum Source {
    Relay(mpsc::Receiver<Queued>),
    Host {
        rx: mpsc::Receiver<Message>,
        tx: mpsc::Sender<Message>,
    },
}

/// A room for the client and the host alone.
pub(super) struct HostSide {
    host: Arc<dyn Host>,
    rooms: Rooms,
    host_peer: PeerId,
    client: PeerId,
    /// To the host.
    far_tx: mpsc::Sender<Message>,
    /// The host's ends, until the client joins.
    near: Option<Link>,
    place: Option<OwnedSemaphorePermit>,
    patience: Duration,
}

impl Side {
    /// `None` if there is no place.
    pub(super) fn open(shared: &Shared) -> Option<(Side, Source)> {
        match &shared.mode {
            Mode::Relay => {
                let (member, queue) = shared.relay.connect().ok()?;
                Some((Side::Relay(member), Source::Relay(queue)))
            }
            Mode::Host(host) => {
                let limits = RoomLimits {
                    peers: 2,
                    rooms: 1,
                    candidates: shared.limits.candidates,
                    mistakes: shared.limits.mistakes,
                };
                let first = shared.next_id.fetch_add(2, Ordering::Relaxed);
                let mut rooms = Rooms::with_ids_from(limits, first);
                let (client, host_peer) = (rooms.connected().ok()?, rooms.connected().ok()?);
                let joined = Joined {
                    id: client.to_string(),
                    room: String::new(),
                    peers: 0,
                };
                let (link, FarEnd { tx, rx }) = Link::pair(joined);
                let side = HostSide {
                    host: host.clone(),
                    rooms,
                    host_peer,
                    client,
                    far_tx: tx.clone(),
                    near: Some(link),
                    place: None,
                    patience: shared.limits.write,
                };
                Some((Side::Host(Box::new(side)), Source::Host { rx, tx }))
            }
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        match self {
            Side::Relay(member) => member.is_joined(),
            Side::Host(side) => side.near.is_none(),
        }
    }

    pub(super) async fn take(
        &mut self,
        message: Message,
        replies: &mpsc::Sender<Message>,
        shared: &Shared,
    ) -> ControlFlow<End> {
        match self {
            Side::Relay(member) => {
                member.message(message);
                ControlFlow::Continue(())
            }
            Side::Host(side) => side.take(message, replies, shared).await,
        }
    }

    pub(super) async fn bad_message(
        &mut self,
        text: &str,
        replies: &mpsc::Sender<Message>,
    ) -> ControlFlow<End> {
        match self {
            Side::Relay(member) => {
                member.bad_message(text);
                ControlFlow::Continue(())
            }
            Side::Host(side) => {
                let outputs = side.rooms.bad_message(side.client, text);
                side.deliver(outputs, replies).await
            }
        }
    }
}

impl HostSide {
    async fn take(
        &mut self,
        message: Message,
        replies: &mpsc::Sender<Message>,
        shared: &Shared,
    ) -> ControlFlow<End> {
        if let (Message::Join { .. }, Some(_)) = (&message, &self.near) {
            match shared.host_peers.clone().try_acquire_owned() {
                Ok(place) => self.place = Some(place),
                Err(_) => {
                    let text = "the server holds no more peers; try again later";
                    return ControlFlow::Break(End::error(
                        code::TRY_LATER,
                        ErrorCode::ServerFull,
                        text,
                    ));
                }
            }
            // The host waits in whichever room the client asks for.
            self.rooms.message(self.host_peer, message.clone());
        }
        let outputs = self.rooms.message(self.client, message);
        self.deliver(outputs, replies).await
    }

    async fn deliver(
        &mut self,
        outputs: Vec<Output>,
        replies: &mpsc::Sender<Message>,
    ) -> ControlFlow<End> {
        for output in outputs {
            match output {
                Output::Close { .. } => {
                    return ControlFlow::Break(End {
                        last: None,
                        close: Some(code::POLICY),
                    });
                }
                Output::Send { to, message } if to == self.client => {
                    let room = match &message {
                        Message::Joined { room, .. } => Some(room.clone()),
                        _ => None,
                    };
                    // The writer lives as long as this half does.
                    let _ = replies.send(message).await;
                    // `joined` is in the queue before the host can say anything.
                    if let Some(room) = room
                        && let Some(mut link) = self.near.take()
                    {
                        link.joined.room = room;
                        self.host.peer(link);
                    }
                }
                Output::Send { message, .. } => {
                    match timeout(self.patience, self.far_tx.send(message)).await {
                        Ok(Ok(())) => {}
                        // The host has dropped the link: the writer, who still has its last words, ends the session.
                        Ok(Err(_)) => {}
                        Err(_) => {
                            let text = "the application does not take messages; connect again";
                            return ControlFlow::Break(End::error(
                                code::TRY_LATER,
                                ErrorCode::TooSlow,
                                text,
                            ));
                        }
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Drop for HostSide {
    fn drop(&mut self) {
        for output in self.rooms.disconnected(self.client) {
            if let Output::Send { message, .. } = output {
                // If the link is full, the host learns of the end when the link closes behind what is in it.
                let _ = self.far_tx.try_send(message);
            }
        }
    }
}

impl Source {
    /// Waits for the next text to write; `None` when the other side is done with this client.
    pub(super) async fn next(&mut self) -> Option<(Outgoing, bool)> {
        match self {
            Source::Relay(queue) => queue
                .recv()
                .await
                .map(|queued| (Outgoing::Queued(queued), false)),
            Source::Host { rx, tx } => {
                let message = link::recv(rx, tx).await?;
                let is_bye = matches!(message, Message::Bye { .. });
                Some((Outgoing::Text(message.to_json()), is_bye))
            }
        }
    }
}

pub(super) enum Outgoing {
    /// Holds its bytes in the outbox until it is written.
    Queued(Queued),
    Text(String),
}
