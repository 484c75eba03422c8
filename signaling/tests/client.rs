//! The client against the server.

mod support;

use std::time::Duration;

use levada_signaling::{
    ClientError, ConnectOptions, Limits, Link, Message, Mode, Reconnect, connect,
};
use support::{Peer, Running, SDP, soon};
use tokio::net::TcpListener;

fn offer() -> Message {
    Message::Offer { sdp: SDP.into() }
}

fn options() -> ConnectOptions {
    ConnectOptions {
        first_retry: Duration::from_millis(10),
        last_retry: Duration::from_millis(40),
        ..Default::default()
    }
}

async fn join(server: &Running, room: &str) -> Link {
    soon(connect(&server.url(), Some(room), options()))
        .await
        .unwrap()
}

#[tokio::test]
async fn two_clients_exchange_descriptions() {
    let server = Running::relay().await;
    let mut a = join(&server, "r").await;
    let mut b = join(&server, "r").await;
    assert_eq!((a.joined.peers, b.joined.peers), (0, 1));
    b.tx.send(offer()).await.unwrap();
    assert_eq!(soon(a.rx.recv()).await, Some(offer()));
    a.tx.send(Message::Answer { sdp: SDP.into() })
        .await
        .unwrap();
    assert_eq!(
        soon(b.rx.recv()).await,
        Some(Message::Answer { sdp: SDP.into() })
    );
}

#[tokio::test]
async fn a_full_room_is_an_error_of_its_own() {
    let server = Running::relay().await;
    let (_a, _b) = (join(&server, "r").await, join(&server, "r").await);
    let error = connect(&server.url(), Some("r"), options())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::RoomFull { room } if room == "r"),
        "{error}"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn dropping_the_link_sends_what_was_said_and_leaves_the_room() {
    let server = Running::relay().await;
    let mut a = join(&server, "r").await;
    let b = join(&server, "r").await;
    b.tx.send(offer()).await.unwrap();
    b.tx.send(Message::bye("done")).await.unwrap();
    drop(b);
    assert_eq!(soon(a.rx.recv()).await, Some(offer()));
    assert_eq!(soon(a.rx.recv()).await, Some(Message::bye("done")));
    // The place is free: the next one finds one peer, and not two.
    let next = async {
        loop {
            match connect(&server.url(), Some("r"), options()).await {
                Ok(link) => break link,
                Err(ClientError::RoomFull { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    assert_eq!(soon(next).await.joined.peers, 1);
}

#[tokio::test]
async fn one_who_stays_in_the_room_serves_one_after_another() {
    let server = Running::relay().await;
    let mut manager = join(&server, "r").await;
    for _ in 0..3 {
        let (mut browser, peers) = Peer::join(&server, "r").await;
        assert_eq!(peers, 1);
        browser.send(offer()).await;
        assert_eq!(soon(manager.rx.recv()).await, Some(offer()));
        manager
            .tx
            .send(Message::Answer { sdp: SDP.into() })
            .await
            .unwrap();
        assert_eq!(browser.next().await, Message::Answer { sdp: SDP.into() });
        drop(browser);
        assert!(matches!(
            soon(manager.rx.recv()).await,
            Some(Message::Bye { .. })
        ));
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_with_cause_and_remedy() {
    let server = Running::relay().await;
    let elsewhere = format!("ws://{}/nothing", server.addr);
    let error = connect(&elsewhere, None, options()).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Http { status: 404, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("there is nothing at /nothing"),
        "{error}"
    );

    let url = server.url();
    server.stop().await;
    let error = connect(&url, None, options()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().contains("start the signaling server"),
        "{error}"
    );

    for url in [
        "http://127.0.0.1:1/ws",
        "wss://127.0.0.1:1/ws",
        "ws://",
        "ws://a b/",
        "127.0.0.1",
    ] {
        let error = connect(url, None, options()).await.unwrap_err();
        assert!(
            matches!(error, ClientError::BadUrl { .. }),
            "{url}: {error:?}"
        );
        assert!(!error.is_transient());
    }
    assert!(matches!(
        connect(&url, Some("a b"), options()).await,
        Err(ClientError::BadRoom(_))
    ));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", silent.local_addr().unwrap());
    let options = ConnectOptions {
        timeout: Duration::from_millis(50),
        ..options()
    };
    let error = soon(connect(&url, None, options)).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_broken_server_ends_the_link_and_reconnect_finds_it_again() {
    let server = Running::relay().await;
    let addr = server.addr;
    let mut room = Reconnect::new(server.url(), Some("r".into()), options());
    let mut link = soon(room.link()).await.unwrap();
    server.stop().await;
    let last = async {
        let mut last = None;
        while let Some(message) = link.rx.recv().await {
            last = Some(message);
        }
        last
    };
    assert!(matches!(soon(last).await, Some(Message::Bye { .. })));

    let again = tokio::spawn(async move { room.link().await });
    let server = Running::start_at(addr, Mode::Relay, Limits::default()).await;
    let mut link = soon(again).await.unwrap().unwrap();
    let (mut browser, peers) = Peer::join(&server, "r").await;
    assert_eq!(peers, 1);
    browser.send(offer()).await;
    assert_eq!(soon(link.rx.recv()).await, Some(offer()));
}

#[tokio::test]
async fn the_first_failure_is_told_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", taken.local_addr().unwrap());
    drop(taken);
    let error = soon(Reconnect::new(url, None, options()).link())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn dropping_the_link_closes_the_websocket_in_due_form() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message as Frame;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Frame::Text(_)))));
        let joined = Message::Joined {
            id: "x".into(),
            room: "main".into(),
            peers: 0,
        };
        socket.send(Frame::text(joined.to_json())).await.unwrap();
        socket.next().await
    };
    let client = async { drop(connect(&url, None, options()).await.unwrap()) };
    let (last, ()) = soon(async { tokio::join!(server, client) }).await;
    assert!(matches!(last, Some(Ok(Frame::Close(_)))), "{last:?}");
}
