//! The relay: [`Rooms`] behind one lock, and a bounded outbox for each peer.
//!
//! The lock is held for a few map operations and never across an await. A peer that does not read fills its outbox,
//! in messages or in bytes, and is disconnected; nobody waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::debug;

use crate::protocol::{MAX_MESSAGE_BYTES, Message};
use crate::room::{Full, Output, PeerId, RoomLimits, Rooms};

/// Messages that wait for one peer.
const OUTBOX_MESSAGES: usize = 128;
/// Bytes that wait for one peer: four of the largest messages.
const OUTBOX_BYTES: usize = 4 * MAX_MESSAGE_BYTES;

/// A message on its way out, as JSON text. It frees its bytes in the outbox when it is dropped.
#[derive(Debug)]
pub(super) struct Queued {
    pub text: String,
    _bytes: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) struct Relay {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rooms: Rooms,
    outboxes: HashMap<PeerId, Outbox>,
}

#[derive(Debug)]
struct Outbox {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

/// One connected peer. Dropping it disconnects the peer.
#[derive(Debug)]
pub(super) struct Member {
    relay: Arc<Relay>,
    peer: PeerId,
}

impl Relay {
    pub(super) fn new(limits: RoomLimits) -> Relay {
        Relay {
            state: Mutex::new(State {
                rooms: Rooms::new(limits),
                outboxes: HashMap::new(),
            }),
        }
    }

    /// Takes in a peer. Its messages come out of the queue, which ends when the peer is to be closed.
    pub(super) fn connect(self: &Arc<Relay>) -> Result<(Member, mpsc::Receiver<Queued>), Full> {
        let (queue, outgoing) = mpsc::channel(OUTBOX_MESSAGES);
        let mut state = self.lock();
        let peer = state.rooms.connected()?;
        state.outboxes.insert(
            peer,
            Outbox {
                queue,
                bytes: Arc::new(Semaphore::new(OUTBOX_BYTES)),
            },
        );
        Ok((
            Member {
                relay: self.clone(),
                peer,
            },
            outgoing,
        ))
    }

    /// Counts peers that are connected, and rooms.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.rooms.peers(), state.rooms.rooms())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be our bug; the other rooms go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deliver(&mut self, outputs: Vec<Output>) {
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Close { peer } => drop(self.outboxes.remove(&peer)),
                Output::Send { to, message } => {
                    let sent = self
                        .outboxes
                        .get(&to)
                        .is_some_and(|outbox| outbox.put(&message));
                    if !sent && self.outboxes.remove(&to).is_some() {
                        debug!(peer = %to, "disconnecting a peer that does not read");
                        outputs.extend(self.rooms.disconnected(to));
                    }
                }
            }
        }
    }
}

impl Outbox {
    fn put(&self, message: &Message) -> bool {
        let text = message.to_json();
        // A message may be a few bytes longer than it came in (`null` for an absent field), never than the whole outbox.
        let bytes = u32::try_from(text.len().min(OUTBOX_BYTES)).unwrap_or(u32::MAX);
        let Ok(permit) = self.bytes.clone().try_acquire_many_owned(bytes) else {
            return false;
        };
        self.queue
            .try_send(Queued {
                text,
                _bytes: permit,
            })
            .is_ok()
    }
}

impl Member {
    pub(super) fn message(&self, message: Message) {
        let mut state = self.relay.lock();
        let outputs = state.rooms.message(self.peer, message);
        state.deliver(outputs);
    }

    pub(super) fn bad_message(&self, text: &str) {
        let mut state = self.relay.lock();
        let outputs = state.rooms.bad_message(self.peer, text);
        state.deliver(outputs);
    }

    pub(super) fn is_joined(&self) -> bool {
        self.relay.lock().rooms.is_joined(self.peer)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.relay.lock();
        let outputs = state.rooms.disconnected(self.peer);
        state.outboxes.remove(&self.peer);
        state.deliver(outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (
        (Member, mpsc::Receiver<Queued>),
        (Member, mpsc::Receiver<Queued>),
    ) {
        let relay = Arc::new(Relay::new(RoomLimits::default()));
        let (mut a, mut b) = (relay.connect().unwrap(), relay.connect().unwrap());
        for side in [&mut a, &mut b] {
            side.0.message(Message::Join { room: None });
            assert!(side.1.try_recv().unwrap().text.contains("joined"));
        }
        (a, b)
    }

    fn offer(bytes: usize) -> Message {
        Message::Offer {
            sdp: format!("v=0\nm=audio\na={}", "x".repeat(bytes)),
        }
    }

    #[test]
    fn a_peer_that_does_not_read_is_disconnected_by_messages() {
        let (mut a, mut b) = pair();
        for _ in 0..OUTBOX_MESSAGES {
            a.0.message(Message::bye("x"));
        }
        assert!(b.0.is_joined());
        a.0.message(Message::bye("one too many"));
        assert!(!b.0.is_joined());
        assert!(a.1.try_recv().unwrap().text.contains("bye"));
        let mut left = 0;
        while b.1.try_recv().is_ok() {
            left += 1;
        }
        assert_eq!(
            left, OUTBOX_MESSAGES,
            "what was in the outbox still goes out"
        );
        assert!(b.1.is_closed());
    }

    #[test]
    fn a_peer_that_does_not_read_is_disconnected_by_bytes() {
        let (a, b) = pair();
        for _ in 0..4 {
            a.0.message(offer(200_000));
        }
        assert!(b.0.is_joined());
        a.0.message(offer(400_000));
        assert!(!b.0.is_joined());
    }

    #[test]
    fn one_who_reads_may_be_sent_any_amount() {
        let (a, mut b) = pair();
        for _ in 0..100 {
            a.0.message(offer(200_000));
            assert!(b.1.try_recv().unwrap().text.contains("offer"));
        }
        assert!(b.0.is_joined());
    }

    #[test]
    fn a_member_that_is_dropped_leaves_its_room() {
        let (a, mut b) = pair();
        drop(a);
        assert!(b.1.try_recv().unwrap().text.contains("bye"));
        drop(b.0);
        assert!(b.1.is_closed());
    }
}
