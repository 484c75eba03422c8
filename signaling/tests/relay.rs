//! Two peers, and those who disturb them, over real sockets.

mod support;

use std::time::Duration;

use futures_util::SinkExt;
use levada_signaling::{ErrorCode, Limits, Message, Mode};
use support::{Peer, Running, SDP};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;

fn code(message: Message) -> ErrorCode {
    match message {
        Message::Error { code, .. } => code,
        other => panic!("{other:?} instead of an error"),
    }
}

fn offer() -> Message {
    Message::Offer { sdp: SDP.into() }
}

#[tokio::test]
async fn two_peers_exchange_descriptions_and_a_third_is_told_that_the_room_is_full() {
    let server = Running::relay().await;
    let (mut a, peers) = Peer::join(&server, "r").await;
    assert_eq!(peers, 0);
    let (mut b, peers) = Peer::join(&server, "r").await;
    assert_eq!(peers, 1);

    b.send(offer()).await;
    assert_eq!(a.next().await, offer());
    a.send(Message::Answer { sdp: SDP.into() }).await;
    assert_eq!(b.next().await, Message::Answer { sdp: SDP.into() });
    a.send(Message::IceCandidate { candidate: None }).await;
    assert_eq!(b.next().await, Message::IceCandidate { candidate: None });

    let mut c = Peer::connect(&server).await;
    c.send(Message::Join {
        room: Some("r".into()),
    })
    .await;
    assert_eq!(code(c.next().await), ErrorCode::RoomFull);

    b.0.close(None).await.unwrap();
    assert!(matches!(a.next().await, Message::Bye { .. }));
    c.send(Message::Join {
        room: Some("r".into()),
    })
    .await;
    assert!(matches!(c.next().await, Message::Joined { peers: 1, .. }));
}

#[tokio::test]
async fn hostile_messages_are_answered_and_the_other_room_goes_on() {
    let server = Running::relay().await;
    let (mut a, _) = Peer::join(&server, "good").await;
    let (mut b, _) = Peer::join(&server, "good").await;
    let mut hostile = Peer::connect(&server).await;
    for text in [
        "",
        "hello",
        "{}",
        "{\"type\":\"offer\",\"sdp\":\"x\"}",
        "{\"type\":\"bye\"}",
    ] {
        hostile.send_text(text).await;
        code(hostile.next().await);
    }
    hostile.0.send(Frame::binary(vec![0; 100])).await.unwrap();
    assert_eq!(code(hostile.next().await), ErrorCode::BadMessage);

    b.send(offer()).await;
    assert_eq!(a.next().await, offer());
}

#[tokio::test]
async fn a_peer_that_goes_on_making_mistakes_is_closed() {
    let limits = Limits {
        mistakes: 3,
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let mut peer = Peer::connect(&server).await;
    for _ in 0..3 {
        peer.send_text("?").await;
        assert_eq!(code(peer.next().await), ErrorCode::BadMessage);
    }
    assert_eq!(peer.next_or_close().await, Err(Some(1008)));
}

#[tokio::test]
async fn a_message_of_one_megabyte_is_refused_with_the_reason() {
    let server = Running::relay().await;
    let (mut a, _) = Peer::join(&server, "r").await;
    let (mut b, _) = Peer::join(&server, "r").await;
    b.send_text("x".repeat(1_000_000)).await;
    assert_eq!(code(b.next().await), ErrorCode::BadMessage);
    assert_eq!(b.next_or_close().await, Err(Some(1009)));
    assert!(
        matches!(a.next().await, Message::Bye { .. }),
        "its mate hears of it"
    );
}

#[tokio::test]
async fn one_who_does_not_join_is_told_so_and_closed() {
    let limits = Limits {
        join: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let mut peer = Peer::connect(&server).await;
    assert_eq!(code(peer.next().await), ErrorCode::JoinTimeout);
    assert_eq!(peer.next_or_close().await, Err(Some(1008)));
}

#[tokio::test]
async fn one_who_does_not_read_is_disconnected_and_delays_nobody() {
    let server = Running::relay().await;
    let (a, _) = Peer::join(&server, "r").await;
    let (b, _) = Peer::join(&server, "r").await;
    let large = Message::Offer {
        sdp: format!("{SDP}a={}\r\n", "x".repeat(200_000)),
    };
    // Far more than the buffers of any system hold: were there no bound, this would not end.
    let (mut sink, mut stream) = futures_util::StreamExt::split(a.0);
    let sending = async {
        loop {
            if sink.send(Frame::text(large.to_json())).await.is_err() {
                break std::future::pending().await;
            }
        }
    };
    let bye = async {
        while let Some(Ok(frame)) = futures_util::StreamExt::next(&mut stream).await {
            if let Frame::Text(text) = frame {
                return Message::parse(&text).unwrap();
            }
        }
        panic!("the sender was closed");
    };
    let first = support::soon(async {
        tokio::select! { () = sending => unreachable!(), first = bye => first }
    })
    .await;
    assert!(matches!(first, Message::Bye { .. }), "{first:?}");
    drop(b);
}

#[tokio::test]
async fn one_who_gives_no_sign_of_life_is_taken_for_gone() {
    let limits = Limits {
        ping: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let (mut a, _) = Peer::join(&server, "r").await;
    // A client that neither reads nor answers pings; the frame is masked with zeros.
    let mut dead = TcpStream::connect(server.addr).await.unwrap();
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.addr
    );
    dead.write_all(upgrade.as_bytes()).await.unwrap();
    let join = br#"{"type":"join","room":"r"}"#;
    let mut frame = vec![0x81, 0x80 | join.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(join);
    dead.write_all(&frame).await.unwrap();
    // `a` is polled all the while, so it answers its pings and stays.
    assert!(matches!(a.next().await, Message::Bye { .. }));
    assert_eq!(server.health().await["peers"], 1);
}

#[tokio::test]
async fn a_server_that_stops_says_bye_and_ends_whatever_is_open() {
    let limits = Limits {
        grace: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let (mut a, _) = Peer::join(&server, "r").await;
    let (_reads_nothing, _) = Peer::join(&server, "r").await;
    let _not_joined = Peer::connect(&server).await;
    let _silent = TcpStream::connect(server.addr).await.unwrap();
    let mut half = TcpStream::connect(server.addr).await.unwrap();
    half.write_all(b"POST /offer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n")
        .await
        .unwrap();
    let ((), bye) = tokio::join!(server.stop(), a.next());
    assert!(matches!(bye, Message::Bye { .. }), "{bye:?}");
    // Its mate's bye may come as well, as both go at once.
    loop {
        match a.next_or_close().await {
            Ok(Message::Bye { .. }) => {}
            end => break assert_eq!(end, Err(Some(1001))),
        }
    }
}
