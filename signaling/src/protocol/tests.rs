//! Every message both ways, every limit, and what strangers send.

use super::*;
use serde_json::json;

const SDP: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";

fn candidate() -> Candidate {
    Candidate {
        candidate: "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host".into(),
        sdp_mid: Some("0".into()),
        sdp_mline_index: Some(0),
        username_fragment: None,
    }
}

#[test]
fn every_message_has_its_json_and_comes_back() {
    let cases = [
        (Message::Join { room: None }, json!({"type": "join"})),
        (
            Message::Join {
                room: Some("a.b-c_D9".into()),
            },
            json!({"type": "join", "room": "a.b-c_D9"}),
        ),
        (
            Message::Joined {
                id: "peer-1".into(),
                room: "main".into(),
                peers: 1,
            },
            json!({"type": "joined", "id": "peer-1", "room": "main", "peers": 1}),
        ),
        (
            Message::Offer { sdp: SDP.into() },
            json!({"type": "offer", "sdp": SDP}),
        ),
        (
            Message::Answer { sdp: SDP.into() },
            json!({"type": "answer", "sdp": SDP}),
        ),
        (
            Message::IceCandidate {
                candidate: Some(candidate()),
            },
            json!({"type": "ice-candidate", "candidate": {
                "candidate": candidate().candidate, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": null}}),
        ),
        (
            Message::IceCandidate { candidate: None },
            json!({"type": "ice-candidate", "candidate": null}),
        ),
        (Message::Bye { reason: None }, json!({"type": "bye"})),
        (
            Message::error(ErrorCode::RoomFull, "full"),
            json!({"type": "error", "code": "room-full", "message": "full"}),
        ),
    ];
    for (message, json) in cases {
        assert_eq!(serde_json::to_value(&message).unwrap(), json);
        assert_eq!(Message::parse(&json.to_string()), Ok(message));
    }
}

#[test]
fn null_absent_and_empty_candidates_all_mean_the_end() {
    for text in [
        r#"{"type":"ice-candidate"}"#,
        r#"{"type":"ice-candidate","candidate":null}"#,
        r#"{"type":"ice-candidate","candidate":{"candidate":""}}"#,
        r#"{"type":"ice-candidate","candidate":{"candidate":"","sdpMid":"0","sdpMLineIndex":0}}"#,
    ] {
        assert_eq!(Message::parse(text).unwrap().candidate(), None, "{text}");
    }
    assert!(
        Message::IceCandidate {
            candidate: Some(candidate())
        }
        .candidate()
        .is_some()
    );
}

#[test]
fn unknown_fields_and_codes_are_passed_over() {
    let text = r#"{"type":"join","room":"a","colour":"blue"}"#;
    assert_eq!(
        Message::parse(text),
        Ok(Message::Join {
            room: Some("a".into())
        })
    );
    let text = r#"{"type":"error","code":"from-the-future","message":"m"}"#;
    assert_eq!(
        Message::parse(text),
        Ok(Message::error(ErrorCode::Other, "m"))
    );
}

#[test]
fn hostile_text_is_refused_with_cause_and_remedy() {
    let deep = "[".repeat(100_000);
    let wide_type = format!(r#"{{"type":"{}"}}"#, "x".repeat(10_000));
    let cases = [
        ("", "not JSON"),
        ("hello", "not JSON"),
        (deep.as_str(), "not JSON"),
        ("42", "no string `type`"),
        (r#"{"type":7}"#, "no string `type`"),
        (r#"{"type":"shout"}"#, "unknown type \"shout\"; use join"),
        (wide_type.as_str(), "unknown type"),
        (
            r#"{"type":"offer"}"#,
            "`offer` does not fit: missing field `sdp`",
        ),
        (
            r#"{"type":"offer","sdp":5}"#,
            "`offer` does not fit: invalid type",
        ),
        (
            r#"{"type":"offer","sdp":"hello"}"#,
            "does not begin with the line `v=0`",
        ),
        (r#"{"type":"answer","sdp":"v=0\r\n"}"#, "no `m=` line"),
        (r#"{"type":"join","room":""}"#, "room name"),
        (r#"{"type":"join","room":"a b"}"#, "room name"),
        (r#"{"type":"join","room":"été"}"#, "room name"),
        (
            r#"{"type":"ice-candidate","candidate":{"candidate":"","sdpMLineIndex":-1}}"#,
            "does not fit",
        ),
    ];
    for (text, expected) in cases {
        let error = Message::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:.60}: {error}");
        assert!(error.len() < 300, "{text:.60}: the error is long: {error}");
    }
}

#[test]
fn every_limit_is_kept_to_the_byte() {
    let join =
        |n: usize| Message::parse(&json!({"type": "join", "room": "r".repeat(n)}).to_string());
    assert!(join(MAX_ROOM_CHARS).is_ok());
    assert_eq!(join(MAX_ROOM_CHARS + 1), Err(ParseError::BadRoom));

    let bye =
        |n: usize| Message::parse(&json!({"type": "bye", "reason": "r".repeat(n)}).to_string());
    assert!(bye(MAX_REASON_BYTES).is_ok());
    assert!(matches!(
        bye(MAX_REASON_BYTES + 1),
        Err(ParseError::FieldTooLong {
            field: "reason",
            ..
        })
    ));

    let line = |n: usize| {
        json!({"type": "ice-candidate", "candidate": {"candidate": "c".repeat(n)}}).to_string()
    };
    assert!(Message::parse(&line(MAX_CANDIDATE_BYTES)).is_ok());
    assert!(Message::parse(&line(MAX_CANDIDATE_BYTES + 1)).is_err());

    let padded = |n: usize| {
        format!(
            "{}{}",
            r#"{"type":"join"}"#,
            " ".repeat(n - r#"{"type":"join"}"#.len())
        )
    };
    assert!(Message::parse(&padded(MAX_MESSAGE_BYTES)).is_ok());
    assert_eq!(
        Message::parse(&padded(MAX_MESSAGE_BYTES + 1)),
        Err(ParseError::TooLong {
            len: MAX_MESSAGE_BYTES + 1
        })
    );
}

#[test]
fn what_the_server_says_of_a_bad_message_is_itself_a_message() {
    let error = Message::parse(&format!(r#"{{"type":"{}"}}"#, "\u{1F600}".repeat(60))).unwrap_err();
    let text = Message::from(&error).to_json();
    assert_eq!(Message::parse(&text).unwrap().to_json(), text);
}
