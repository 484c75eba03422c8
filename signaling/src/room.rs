//! Rooms of two peers, as a state machine: no I/O, no clock, no lock.
//!
//! Whoever carries the messages says what happened ([`connected`](Rooms::connected), [`message`](Rooms::message),
//! [`disconnected`](Rooms::disconnected)) and does what comes back: [`Output::Send`] and [`Output::Close`], in order.
//!
//! A peer is *connected*, then *joined* to one room, then gone; it joins once. The two peers of a room are each
//! other's *mate*. Offers, answers, candidates, byes and errors go to the mate, unchanged. A room exists as long as
//! somebody is in it.
//!
//! What must hold (and the property test at the end keeps):
//! 1. A room has one or two peers; nobody is in two rooms.
//! 2. A message goes to a connected peer: to the mate of its sender, or back to the sender as an `error` or `joined`.
//! 3. When a peer goes, its mate has been told `bye`, exactly once since they met or last exchanged a description.
//! 4. Peers, rooms, candidates for one description and mistakes of one peer are bounded.

use std::collections::HashMap;

use crate::protocol::{DEFAULT_ROOM, ErrorCode, Message, check_room};

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

/// Names one connected peer; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(u64);

impl std::fmt::Display for PeerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "peer-{}", self.0)
    }
}

/// What the carrier has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send `message` to peer `to`.
    Send {
        /// The receiver.
        to: PeerId,
        /// What to send.
        message: Message,
    },
    /// Close the connection of `peer`, after what was sent to it before. The peer is gone already: there is no need to
    /// call [`Rooms::disconnected`], and no harm in it.
    Close {
        /// Whom to close.
        peer: PeerId,
    },
}

/// How much the rooms may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Connected peers, in a room or not yet.
    pub peers: usize,
    /// Rooms that exist at once.
    pub rooms: usize,
    /// Candidates that a peer may send for one description.
    pub candidates: usize,
    /// Mistakes after which a peer is closed.
    pub mistakes: usize,
}

impl Default for RoomLimits {
    fn default() -> Self {
        RoomLimits {
            peers: 128,
            rooms: 64,
            candidates: 256,
            mistakes: 16,
        }
    }
}

/// The server holds as many peers as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// All peers and rooms of one server.
#[derive(Debug)]
pub struct Rooms {
    limits: RoomLimits,
    next: u64,
    peers: HashMap<PeerId, Peer>,
    /// One or two peers each, in the order in which they joined.
    rooms: HashMap<String, Vec<PeerId>>,
}

#[derive(Debug, Default)]
struct Peer {
    room: Option<String>,
    /// Sent since its last description.
    candidates: usize,
    mistakes: usize,
    /// Whether the mate knows already that this call is over.
    said_bye: bool,
}

impl Rooms {
    /// Makes a server without peers.
    pub fn new(limits: RoomLimits) -> Rooms {
        Rooms::with_ids_from(limits, 1)
    }

    /// Makes a server without peers that names them from `first` on, so that several can share one sequence.
    pub fn with_ids_from(limits: RoomLimits, first: u64) -> Rooms {
        Rooms {
            limits,
            next: first,
            peers: HashMap::new(),
            rooms: HashMap::new(),
        }
    }

    /// Takes in a peer that has connected, and names it.
    pub fn connected(&mut self) -> Result<PeerId, Full> {
        if self.peers.len() >= self.limits.peers {
            return Err(Full);
        }
        let id = PeerId(self.next);
        self.next += 1;
        self.peers.insert(id, Peer::default());
        Ok(id)
    }

    /// Takes one message of `from`. A peer that is not connected (any more) causes nothing.
    pub fn message(&mut self, from: PeerId, message: Message) -> Vec<Output> {
        let Some(peer) = self.peers.get_mut(&from) else {
            return Vec::new();
        };
        if let Message::Join { room } = message {
            return self.join(from, room);
        }
        if peer.room.is_none() {
            return self.mistake(from, ErrorCode::NotJoined, "send {\"type\":\"join\"} first");
        }
        match message {
            Message::Join { .. } => Vec::new(),
            Message::Joined { .. } => self.mistake(
                from,
                ErrorCode::BadMessage,
                "`joined` is the server's to say; send an offer",
            ),
            Message::Offer { .. } | Message::Answer { .. } => {
                peer.candidates = 0;
                match self.mate(from) {
                    Some(to) => {
                        self.call_is_on([from, to]);
                        vec![Output::Send { to, message }]
                    }
                    None => {
                        let text = "nobody else is in the room; wait for the offer of the one who joins next";
                        self.mistake(from, ErrorCode::NobodyThere, text)
                    }
                }
            }
            Message::IceCandidate { .. } => {
                peer.candidates += 1;
                if peer.candidates > self.limits.candidates {
                    let text = "too many candidates for one description; this one was dropped";
                    return self.mistake(from, ErrorCode::TooManyCandidates, text);
                }
                // Candidates go on being found after the mate has left: no mistake, and nobody to tell.
                self.to_mate(from, message)
            }
            Message::Bye { .. } => {
                peer.said_bye = true;
                self.to_mate(from, message)
            }
            Message::Error { .. } => self.to_mate(from, message),
        }
    }

    /// Counts a mistake that the carrier found itself (a text that is no message) and answers it with `error`.
    pub fn bad_message(&mut self, from: PeerId, text: &str) -> Vec<Output> {
        if self.peers.contains_key(&from) {
            self.mistake(from, ErrorCode::BadMessage, text)
        } else {
            Vec::new()
        }
    }

    /// Lets `peer` go. One that is gone already causes nothing.
    pub fn disconnected(&mut self, peer: PeerId) -> Vec<Output> {
        let mate = self.mate(peer);
        let Some(state) = self.peers.remove(&peer) else {
            return Vec::new();
        };
        let Some(name) = state.room else {
            return Vec::new();
        };
        if let Some(room) = self.rooms.get_mut(&name) {
            room.retain(|member| *member != peer);
            if room.is_empty() {
                self.rooms.remove(&name);
            }
        }
        match mate {
            Some(to) if !state.said_bye => {
                vec![Output::Send {
                    to,
                    message: Message::bye("the other side disconnected"),
                }]
            }
            _ => Vec::new(),
        }
    }

    /// Says whether `peer` is in a room.
    pub fn is_joined(&self, peer: PeerId) -> bool {
        self.peers
            .get(&peer)
            .is_some_and(|peer| peer.room.is_some())
    }

    /// Counts the connected peers.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Counts the rooms.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    fn join(&mut self, from: PeerId, room: Option<String>) -> Vec<Output> {
        let room = room.unwrap_or_else(|| DEFAULT_ROOM.to_owned());
        if let Err(error) = check_room(&room) {
            return self.mistake(from, ErrorCode::BadMessage, &error.to_string());
        }
        if self.is_joined(from) {
            return self.mistake(
                from,
                ErrorCode::AlreadyJoined,
                "a peer joins once; connect again for another room",
            );
        }
        let there = self.rooms.get(&room).map_or(0, Vec::len);
        if there >= 2 {
            let text = format!(
                "room \"{room}\" is full, two peers are in it already; try again later or choose another room"
            );
            return self.mistake(from, ErrorCode::RoomFull, &text);
        }
        if there == 0 && self.rooms.len() >= self.limits.rooms {
            return self.mistake(
                from,
                ErrorCode::ServerFull,
                "the server holds no more rooms; try again later",
            );
        }
        self.rooms.entry(room.clone()).or_default().push(from);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.room = Some(room.clone());
        }
        // Whoever waits here said bye, if at all, to somebody else.
        self.call_is_on(self.mate(from));
        vec![Output::Send {
            to: from,
            message: Message::Joined {
                id: from.to_string(),
                room,
                peers: there,
            },
        }]
    }

    /// Forgets the byes of a call that is over.
    fn call_is_on(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        for id in peers {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.said_bye = false;
            }
        }
    }

    fn mate(&self, peer: PeerId) -> Option<PeerId> {
        let room = self.rooms.get(self.peers.get(&peer)?.room.as_ref()?)?;
        room.iter().copied().find(|member| *member != peer)
    }

    fn to_mate(&self, from: PeerId, message: Message) -> Vec<Output> {
        self.mate(from)
            .map(|to| Output::Send { to, message })
            .into_iter()
            .collect()
    }

    fn mistake(&mut self, from: PeerId, code: ErrorCode, text: &str) -> Vec<Output> {
        let mut outputs = vec![Output::Send {
            to: from,
            message: Message::error(code, text),
        }];
        let Some(peer) = self.peers.get_mut(&from) else {
            return Vec::new();
        };
        peer.mistakes += 1;
        if peer.mistakes >= self.limits.mistakes {
            outputs.extend(self.disconnected(from));
            outputs.push(Output::Close { peer: from });
        }
        outputs
    }
}
