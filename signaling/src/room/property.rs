//! Random histories, repeatable by seed, against the invariants of the module.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// What an observer who sees inputs and outputs only can know.
#[derive(Default)]
struct Observer {
    connected: BTreeSet<PeerId>,
    joined: BTreeMap<PeerId, String>,
    /// Peers whose mate was told `bye` since they met or last exchanged a description.
    ended: BTreeSet<PeerId>,
}

impl Observer {
    fn mate(&self, peer: PeerId) -> Option<PeerId> {
        let room = self.joined.get(&peer)?;
        self.joined
            .iter()
            .find(|(other, name)| **other != peer && *name == room)
            .map(|(other, _)| *other)
    }

    fn members(&self, room: &str) -> usize {
        self.joined.values().filter(|name| *name == room).count()
    }

    /// Lets `peer` go, and gives whom the rest of the outputs must tell `bye`.
    fn gone(&mut self, peer: PeerId) -> Option<PeerId> {
        let mate = self.mate(peer).filter(|_| !self.ended.contains(&peer));
        self.connected.remove(&peer);
        self.joined.remove(&peer);
        self.ended.remove(&peer);
        mate
    }
}

fn random_message(random: &mut Random) -> Message {
    let sdp = || "v=0\r\nm=audio 9 X 0\r\n".to_string();
    match random.below(10) {
        0..=2 => Message::Join {
            room: Some(["a", "b", "c", "d"][random.below(4)].into()),
        },
        3 => Message::Offer { sdp: sdp() },
        4 => Message::Answer { sdp: sdp() },
        5..=6 => Message::IceCandidate { candidate: None },
        7 => Message::bye("x"),
        8 => Message::error(ErrorCode::Refused, "x"),
        _ => Message::Joined {
            id: "x".into(),
            room: "a".into(),
            peers: 0,
        },
    }
}

fn check_message(
    observer: &mut Observer,
    from: PeerId,
    message: &Message,
    outputs: &[Output],
    limits: RoomLimits,
) {
    let mut rest = outputs;
    match rest.first() {
        Some(Output::Send {
            to,
            message: Message::Joined { room, peers, .. },
        }) => {
            assert_eq!(*to, from);
            assert!(matches!(message, Message::Join { .. }));
            assert!(!observer.joined.contains_key(&from), "joined twice");
            assert_eq!(
                *peers,
                observer.members(room),
                "told the wrong number of peers"
            );
            assert!(*peers <= 1, "a third peer was let in");
            observer.joined.insert(from, room.clone());
            if let Some(mate) = observer.mate(from) {
                observer.ended.remove(&mate);
            }
            rest = &rest[1..];
        }
        Some(Output::Send { to, message: sent }) if *to != from => {
            assert_eq!(Some(*to), observer.mate(from), "a message left its room");
            assert_eq!(sent, message, "a message was changed on its way");
            match message {
                Message::Bye { .. } => {
                    observer.ended.insert(from);
                }
                Message::Offer { .. } | Message::Answer { .. } => {
                    observer.ended.remove(&from);
                    observer.ended.remove(to);
                }
                _ => {}
            }
            rest = &rest[1..];
        }
        Some(Output::Send {
            message: Message::Error { code, .. },
            ..
        }) => {
            match code {
                ErrorCode::RoomFull => {
                    assert!(matches!(message, Message::Join { room: Some(room) }
                    if observer.members(room) == 2))
                }
                ErrorCode::ServerFull => {
                    let rooms: BTreeSet<_> = observer.joined.values().collect();
                    assert_eq!(rooms.len(), limits.rooms);
                }
                ErrorCode::NobodyThere => assert_eq!(observer.mate(from), None),
                ErrorCode::NotJoined => assert!(!observer.joined.contains_key(&from)),
                _ => assert!(observer.joined.contains_key(&from)),
            }
            rest = &rest[1..];
            if rest.last() == Some(&Output::Close { peer: from }) {
                let told = observer.gone(from);
                check_byes(told, &rest[..rest.len() - 1]);
                rest = &[];
            }
        }
        None => {
            assert!(
                observer.mate(from).is_none(),
                "a message to a mate was lost"
            );
            if matches!(message, Message::Bye { .. }) {
                observer.ended.insert(from);
            }
        }
        other => panic!("unexpected {other:?}"),
    }
    assert_eq!(rest, [], "more came out than the input explains");
}

fn check_byes(told: Option<PeerId>, outputs: &[Output]) {
    let byes: Vec<_> = outputs
        .iter()
        .map(|output| match output {
            Output::Send {
                to,
                message: Message::Bye { .. },
            } => *to,
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(
        byes,
        Vec::from_iter(told),
        "each mate is told bye exactly once"
    );
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let limits = RoomLimits {
        peers: 7,
        rooms: 3,
        candidates: 4,
        mistakes: 5,
    };
    let mut rooms = Rooms::new(limits);
    let mut observer = Observer::default();
    let mut ever = Vec::new();
    for _ in 0..2_000 {
        match random.below(10) {
            0 => match rooms.connected() {
                Ok(id) => {
                    assert!(!ever.contains(&id), "an id was used twice");
                    ever.push(id);
                    observer.connected.insert(id);
                }
                Err(Full) => assert_eq!(observer.connected.len(), limits.peers),
            },
            // Peers that went long ago are among those drawn: a late message must do nothing.
            1 if !ever.is_empty() => {
                let peer = ever[random.below(ever.len().min(12)) + ever.len().saturating_sub(12)];
                let told = observer.gone(peer);
                check_byes(told, &rooms.disconnected(peer));
            }
            _ if !ever.is_empty() => {
                let from = ever[random.below(ever.len().min(12)) + ever.len().saturating_sub(12)];
                let message = random_message(&mut random);
                let outputs = rooms.message(from, message.clone());
                if observer.connected.contains(&from) {
                    check_message(&mut observer, from, &message, &outputs, limits);
                } else {
                    assert_eq!(outputs, [], "a peer that is gone was heard");
                }
            }
            _ => {}
        }
        let names: BTreeSet<_> = observer.joined.values().collect();
        assert_eq!(rooms.peers(), observer.connected.len());
        assert_eq!(rooms.rooms(), names.len(), "a room without peers was kept");
        assert!(names.iter().all(|name| observer.members(name) <= 2));
        for peer in ever.iter().rev().take(12) {
            assert_eq!(rooms.is_joined(*peer), observer.joined.contains_key(peer));
        }
    }
}

#[test]
fn random_histories_keep_every_invariant() {
    for seed in 0..50 {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(
            result.is_ok(),
            "seed {seed} breaks an invariant; the panic above says which"
        );
    }
}
