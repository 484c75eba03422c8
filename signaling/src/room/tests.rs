//! What two peers, a third one and a clumsy one see.

use super::*;

const SDP: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";

fn join(room: &str) -> Message {
    Message::Join {
        room: Some(room.into()),
    }
}

fn offer() -> Message {
    Message::Offer { sdp: SDP.into() }
}

fn send(to: PeerId, message: Message) -> Vec<Output> {
    vec![Output::Send { to, message }]
}

fn rooms() -> Rooms {
    Rooms::new(RoomLimits {
        peers: 5,
        rooms: 2,
        candidates: 3,
        mistakes: 4,
    })
}

fn pair(rooms: &mut Rooms) -> (PeerId, PeerId) {
    let (a, b) = (rooms.connected().unwrap(), rooms.connected().unwrap());
    rooms.message(a, join("r"));
    rooms.message(b, join("r"));
    (a, b)
}

fn code(outputs: &[Output]) -> Option<ErrorCode> {
    match outputs.first() {
        Some(Output::Send {
            message: Message::Error { code, .. },
            ..
        }) => Some(*code),
        _ => None,
    }
}

#[test]
fn the_newcomer_is_told_that_somebody_waits() {
    let mut rooms = rooms();
    let (a, b) = (rooms.connected().unwrap(), rooms.connected().unwrap());
    let joined = |id: PeerId, peers| Message::Joined {
        id: id.to_string(),
        room: "r".into(),
        peers,
    };
    assert_eq!(rooms.message(a, join("r")), send(a, joined(a, 0)));
    assert_eq!(rooms.message(b, join("r")), send(b, joined(b, 1)));
}

#[test]
fn a_join_without_a_room_joins_the_default_room() {
    let mut rooms = rooms();
    let a = rooms.connected().unwrap();
    let outputs = rooms.message(a, Message::Join { room: None });
    let room = DEFAULT_ROOM.to_string();
    assert_eq!(
        outputs,
        send(
            a,
            Message::Joined {
                id: a.to_string(),
                room,
                peers: 0
            }
        )
    );
}

#[test]
fn what_belongs_to_the_call_goes_to_the_mate_unchanged() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    let messages = [
        offer(),
        Message::Answer { sdp: SDP.into() },
        Message::IceCandidate { candidate: None },
        Message::error(ErrorCode::Refused, "no common codec"),
        Message::bye("done"),
    ];
    for message in messages {
        assert_eq!(rooms.message(a, message.clone()), send(b, message.clone()));
        assert_eq!(rooms.message(b, message.clone()), send(a, message));
    }
}

#[test]
fn a_third_peer_is_told_that_the_room_is_full_and_may_choose_another() {
    let mut rooms = rooms();
    pair(&mut rooms);
    let c = rooms.connected().unwrap();
    assert_eq!(
        code(&rooms.message(c, join("r"))),
        Some(ErrorCode::RoomFull)
    );
    assert!(!rooms.is_joined(c));
    rooms.message(c, join("other"));
    assert!(rooms.is_joined(c));
}

#[test]
fn an_offer_to_an_empty_room_says_that_nobody_is_there() {
    let mut rooms = rooms();
    let a = rooms.connected().unwrap();
    rooms.message(a, join("r"));
    assert_eq!(
        code(&rooms.message(a, offer())),
        Some(ErrorCode::NobodyThere)
    );
    assert_eq!(
        rooms.message(a, Message::IceCandidate { candidate: None }),
        []
    );
    assert_eq!(rooms.message(a, Message::bye("alone")), []);
}

#[test]
fn nothing_but_join_is_taken_before_join() {
    let mut rooms = rooms();
    let a = rooms.connected().unwrap();
    assert_eq!(code(&rooms.message(a, offer())), Some(ErrorCode::NotJoined));
    assert_eq!(
        code(&rooms.message(a, Message::bye("x"))),
        Some(ErrorCode::NotJoined)
    );
}

#[test]
fn a_peer_joins_once_and_cannot_speak_for_the_server() {
    let mut rooms = rooms();
    let (a, _) = pair(&mut rooms);
    assert_eq!(
        code(&rooms.message(a, join("other"))),
        Some(ErrorCode::AlreadyJoined)
    );
    let forged = Message::Joined {
        id: "x".into(),
        room: "r".into(),
        peers: 0,
    };
    assert_eq!(code(&rooms.message(a, forged)), Some(ErrorCode::BadMessage));
    assert_eq!(rooms.rooms(), 1);
}

#[test]
fn a_peer_that_disconnects_is_told_to_its_mate_once() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    assert_eq!(
        rooms.disconnected(a),
        send(b, Message::bye("the other side disconnected"))
    );
    assert_eq!(rooms.disconnected(a), []);
    assert_eq!(rooms.disconnected(b), []);
    assert_eq!((rooms.peers(), rooms.rooms()), (0, 0));
}

#[test]
fn a_bye_before_the_disconnect_is_not_said_twice_unless_a_new_call_began() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    rooms.message(a, Message::bye("stop"));
    assert_eq!(rooms.disconnected(a), []);

    let c = rooms.connected().unwrap();
    rooms.message(c, join("r"));
    rooms.message(c, Message::bye("stop"));
    rooms.message(c, offer());
    assert_eq!(
        rooms.disconnected(c),
        send(b, Message::bye("the other side disconnected"))
    );
}

#[test]
fn a_bye_to_the_last_mate_does_not_count_for_the_next_one() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    rooms.message(a, Message::bye("stop"));
    rooms.disconnected(b);
    let c = rooms.connected().unwrap();
    rooms.message(c, join("r"));
    assert_eq!(
        rooms.disconnected(a),
        send(c, Message::bye("the other side disconnected"))
    );
}

#[test]
fn the_one_who_stays_meets_the_next_one() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    rooms.disconnected(b);
    let c = rooms.connected().unwrap();
    let joined = Message::Joined {
        id: c.to_string(),
        room: "r".into(),
        peers: 1,
    };
    assert_eq!(rooms.message(c, join("r")), send(c, joined));
    assert_eq!(rooms.message(c, offer()), send(a, offer()));
}

#[test]
fn candidates_are_counted_anew_with_each_description() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    let candidate = || Message::IceCandidate { candidate: None };
    for _ in 0..2 {
        rooms.message(a, offer());
        for _ in 0..3 {
            assert_eq!(rooms.message(a, candidate()), send(b, candidate()));
        }
    }
    assert_eq!(
        code(&rooms.message(a, candidate())),
        Some(ErrorCode::TooManyCandidates)
    );
}

#[test]
fn peers_and_rooms_are_bounded() {
    let mut rooms = rooms();
    let peers: Vec<_> = (0..5).map(|_| rooms.connected().unwrap()).collect();
    assert_eq!(rooms.connected(), Err(Full));
    rooms.message(peers[0], join("a"));
    rooms.message(peers[1], join("b"));
    assert_eq!(
        code(&rooms.message(peers[2], join("c"))),
        Some(ErrorCode::ServerFull)
    );
    rooms.disconnected(peers[0]);
    rooms.message(peers[2], join("c"));
    assert!(rooms.is_joined(peers[2]));
    assert!(rooms.connected().is_ok());
}

#[test]
fn a_peer_that_makes_one_mistake_too_many_is_closed_and_its_mate_told() {
    let mut rooms = rooms();
    let (a, b) = pair(&mut rooms);
    for _ in 0..3 {
        assert_eq!(rooms.bad_message(a, "not JSON").len(), 1);
    }
    let outputs = rooms.bad_message(a, "not JSON");
    assert_eq!(code(&outputs), Some(ErrorCode::BadMessage));
    assert_eq!(
        outputs[1..],
        [
            Output::Send {
                to: b,
                message: Message::bye("the other side disconnected")
            },
            Output::Close { peer: a }
        ]
    );
    assert_eq!(rooms.message(a, offer()), []);
    assert_eq!(rooms.bad_message(a, "still here"), []);
}
