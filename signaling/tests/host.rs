//! A server that is the counterpart of every browser.

mod support;

use std::time::Duration;

use levada_signaling::{ErrorCode, Limits, Link, Message};
use support::{Peer, Running, SDP, TestHost, soon};
use tokio::sync::mpsc;

fn offer() -> Message {
    Message::Offer { sdp: SDP.into() }
}

fn answer() -> Message {
    Message::Answer { sdp: SDP.into() }
}

async fn start(limits: Limits) -> (Running, mpsc::Receiver<Link>) {
    let (host, links) = TestHost::new();
    (Running::start(host.mode(), limits).await, links)
}

#[tokio::test]
async fn a_browser_is_told_to_offer_and_meets_the_host() {
    let (server, mut links) = start(Limits::default()).await;
    let (mut browser, peers) = Peer::join(&server, "r").await;
    assert_eq!(peers, 1);
    let mut link = soon(links.recv()).await.unwrap();
    assert_eq!((link.joined.room.as_str(), link.joined.peers), ("r", 0));

    browser.send(offer()).await;
    assert_eq!(soon(link.rx.recv()).await, Some(offer()));
    link.tx.send(answer()).await.unwrap();
    link.tx
        .send(Message::IceCandidate { candidate: None })
        .await
        .unwrap();
    assert_eq!(browser.next().await, answer());
    assert_eq!(
        browser.next().await,
        Message::IceCandidate { candidate: None }
    );
}

#[tokio::test]
async fn every_browser_has_a_link_of_its_own_also_in_the_same_room() {
    let (server, mut links) = start(Limits::default()).await;
    let (mut first, _) = Peer::join(&server, "r").await;
    let one = soon(links.recv()).await.unwrap();
    let (mut second, peers) = Peer::join(&server, "r").await;
    assert_eq!(peers, 1);
    let two = soon(links.recv()).await.unwrap();
    assert_ne!(one.joined.id, two.joined.id);
    two.tx.send(Message::bye("second")).await.unwrap();
    one.tx.send(Message::bye("first")).await.unwrap();
    assert_eq!(first.next().await, Message::bye("first"));
    assert_eq!(second.next().await, Message::bye("second"));
}

#[tokio::test]
async fn the_host_hears_bye_once_and_then_the_end_when_the_browser_goes() {
    let (server, mut links) = start(Limits::default()).await;
    for polite in [false, true] {
        let (mut browser, _) = Peer::join(&server, "r").await;
        let mut link = soon(links.recv()).await.unwrap();
        browser.send(offer()).await;
        assert_eq!(soon(link.rx.recv()).await, Some(offer()));
        if polite {
            browser.send(Message::bye("stopped")).await;
        }
        drop(browser);
        assert!(
            matches!(soon(link.rx.recv()).await, Some(Message::Bye { .. })),
            "polite: {polite}"
        );
        assert_eq!(soon(link.rx.recv()).await, None, "polite: {polite}");
    }
}

#[tokio::test]
async fn a_host_that_drops_the_link_ends_the_socket_after_its_last_words() {
    let (server, mut links) = start(Limits::default()).await;
    let (mut browser, _) = Peer::join(&server, "r").await;
    drop(soon(links.recv()).await.unwrap());
    assert_eq!(browser.next().await, Message::bye("the session has ended"));
    assert_eq!(browser.next_or_close().await, Err(Some(1000)));

    let (mut browser, _) = Peer::join(&server, "r").await;
    let link = soon(links.recv()).await.unwrap();
    let straggler = link.tx.clone();
    link.tx
        .send(Message::bye("the graph has ended"))
        .await
        .unwrap();
    drop(link);
    assert_eq!(browser.next().await, Message::bye("the graph has ended"));
    assert_eq!(
        browser.next_or_close().await,
        Err(Some(1000)),
        "one bye is enough"
    );
    drop(straggler);
}

#[tokio::test]
async fn the_rules_of_rooms_hold_with_a_host_too() {
    let (server, mut links) = start(Limits {
        mistakes: 3,
        ..Limits::default()
    })
    .await;
    let mut browser = Peer::connect(&server).await;
    browser.send(offer()).await;
    assert!(matches!(
        browser.next().await,
        Message::Error {
            code: ErrorCode::NotJoined,
            ..
        }
    ));
    browser.send(Message::Join { room: None }).await;
    assert!(matches!(browser.next().await, Message::Joined { .. }));
    let mut link = soon(links.recv()).await.unwrap();
    browser.send(Message::Join { room: None }).await;
    assert!(matches!(
        browser.next().await,
        Message::Error {
            code: ErrorCode::AlreadyJoined,
            ..
        }
    ));
    browser.send_text("?").await;
    assert!(matches!(
        browser.next().await,
        Message::Error {
            code: ErrorCode::BadMessage,
            ..
        }
    ));
    assert_eq!(browser.next_or_close().await, Err(Some(1008)));
    assert!(matches!(
        soon(link.rx.recv()).await,
        Some(Message::Bye { .. })
    ));
    assert_eq!(soon(link.rx.recv()).await, None);
}

#[tokio::test]
async fn one_peer_too_many_is_told_so_and_a_place_that_is_left_is_free_again() {
    let (server, mut links) = start(Limits {
        peers: 1,
        ..Limits::default()
    })
    .await;
    let (first, _) = Peer::join(&server, "r").await;
    let mut link = soon(links.recv()).await.unwrap();
    let mut second = Peer::connect(&server).await;
    second.send(Message::Join { room: None }).await;
    assert!(matches!(
        second.next().await,
        Message::Error {
            code: ErrorCode::ServerFull,
            ..
        }
    ));
    assert_eq!(second.next_or_close().await, Err(Some(1013)));

    drop(first);
    while soon(link.rx.recv()).await.is_some() {}
    // The link ends a moment before the place is free.
    let third = async {
        loop {
            let mut third = Peer::connect(&server).await;
            third.send(Message::Join { room: None }).await;
            if matches!(third.next().await, Message::Joined { .. }) {
                break;
            }
        }
    };
    soon(third).await;
}

#[tokio::test]
async fn a_host_that_takes_no_messages_loses_the_peer_and_not_the_server() {
    let (server, mut links) = start(Limits {
        write: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let (mut browser, _) = Peer::join(&server, "r").await;
    let _untouched = soon(links.recv()).await.unwrap();
    for _ in 0..levada_signaling::LINK_CAPACITY + 1 {
        browser
            .send(Message::IceCandidate { candidate: None })
            .await;
    }
    assert!(matches!(
        browser.next().await,
        Message::Error {
            code: ErrorCode::TooSlow,
            ..
        }
    ));
    assert_eq!(server.health().await["status"], "ok");
}
