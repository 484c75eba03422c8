//! Connections that say nothing cost nobody anything.

mod support;

use std::time::Duration;

use levada_signaling::{Limits, Message, Mode};
use support::{Peer, Running, SDP, read_response, soon};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

fn offer() -> Message {
    Message::Offer { sdp: SDP.into() }
}

#[tokio::test]
async fn hundreds_of_silent_connections_shut_nobody_out_and_touch_no_session() {
    let limits = Limits {
        connections: 50,
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let (mut a, _) = Peer::join(&server, "r").await;
    let (mut b, _) = Peer::join(&server, "r").await;
    let mut silent = Vec::new();
    for round in 0..8 {
        for _ in 0..100 {
            silent.push(TcpStream::connect(server.addr).await.unwrap());
        }
        b.send(offer()).await;
        assert_eq!(a.next().await, offer(), "round {round}");
        let open = server.health().await["connections"].as_u64().unwrap();
        assert!(open <= 50, "{open} connections are open");
        let (mut newcomer, _) = Peer::join(&server, "other").await;
        newcomer.0.close(None).await.unwrap();
    }
    // The first of them gave way long ago.
    assert_eq!(soon(silent[0].read(&mut [0; 8])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_websocket_that_has_not_joined_gives_way_and_one_that_has_does_not() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let (mut joined, _) = Peer::join(&server, "r").await;
    let mut idle = Peer::connect(&server).await;
    let (_second, _) = Peer::join(&server, "other").await;
    let (mut mate, _) = Peer::join(&server, "r").await;
    assert!(matches!(
        idle.next_or_close().await,
        Ok(Message::Error { .. })
    ));
    mate.send(offer()).await;
    assert_eq!(joined.next().await, offer());
}

#[tokio::test]
async fn when_every_place_is_at_work_the_newcomer_gets_503_at_once() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let (_a, _) = Peer::join(&server, "r").await;
    let (b, _) = Peer::join(&server, "r").await;
    let (status, body) = server.request("GET / HTTP/1.1", b"").await;
    assert_eq!(status, 503);
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["remedy"], "try again later");

    drop(b);
    // The place is free as soon as the server has seen the socket close.
    let page = async {
        loop {
            if server.request("GET / HTTP/1.1", b"").await.0 == 200 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(page).await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_its_time() {
    let limits = Limits {
        header: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut rest = Vec::new();
    soon(silent.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(server.health().await["connections"], 1);
}

#[tokio::test]
async fn a_connection_that_falls_silent_after_a_request_is_closed_too() {
    use tokio::io::AsyncWriteExt;
    let limits = Limits {
        header: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(Mode::Relay, limits).await;
    let mut kept = TcpStream::connect(server.addr).await.unwrap();
    kept.write_all(format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", server.addr).as_bytes())
        .await
        .unwrap();
    let (status, ..) = soon(read_response(&mut kept)).await;
    assert_eq!(status, 200);
}
