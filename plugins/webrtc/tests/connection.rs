//! Two peers find each other, whichever way they are introduced, and part again.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use levada_webrtc::{
    Codec, ConnectionState, MediaKind, Message, Peer, PeerConfig, PeerError, PeerEvent, Refused,
    RtpOut,
};

const SOUND: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_connect_with_candidates_in_the_descriptions() {
    let (a, b) = pair().await;
    assert_eq!(a.peer.negotiated(MediaKind::Audio), SOUND);
    assert_eq!(
        b.peer.negotiated(MediaKind::Video),
        [Codec::Vp8, Codec::H264]
    );
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_connect_with_trickled_candidates() {
    let (a, b) = (side(loopback()).await, side(loopback()).await);
    let offer = a.peer.create_offer().await.unwrap();
    assert!(!offer.contains("a=candidate"), "{offer}");
    let answer = b.peer.handle_offer_and_create_answer(&offer).await.unwrap();
    a.peer.handle_answer(&answer).await.unwrap();
    for (from, to) in [(&a, &b), (&b, &a)] {
        let candidates = candidates(from).await;
        assert!(!candidates.is_empty());
        for candidate in candidates {
            assert!(candidate.candidate.starts_with("candidate:"));
            to.peer.add_ice_candidate(candidate).await.unwrap();
        }
        to.peer.add_ice_candidate(Default::default()).await.unwrap();
    }
    wait_connected(&a, &b).await;
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_addresses_of_the_machine_work_by_default() {
    let (a, b) = (
        side(PeerConfig::default()).await,
        side(PeerConfig::default()).await,
    );
    a.peer.create_offer().await.unwrap();
    let offer = a.peer.wait_for_ice_gathering().await.unwrap();
    assert!(offer.contains(" 127.0.0.1 "), "{offer}");
    assert!(!offer.contains(" 0.0.0.0 "), "{offer}");
    b.peer.handle_offer_and_create_answer(&offer).await.unwrap();
    let answer = b.peer.wait_for_ice_gathering().await.unwrap();
    a.peer.handle_answer(&answer).await.unwrap();
    wait_connected(&a, &b).await;
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptions_are_clean() {
    let (a, b) = pair().await;
    let sdp = a.peer.wait_for_ice_gathering().await.unwrap();
    assert!(sdp.contains("a=max-message-size:262144"), "{sdp}");
    assert!(!sdp.to_lowercase().contains("rtx/"), "{sdp}");
    for line in [
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 ccm fir",
    ] {
        assert_eq!(
            sdp.lines().filter(|other| *other == line).count(),
            1,
            "{line} in {sdp}"
        );
    }
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_codecs_that_a_side_can_use_are_offered_and_answered() {
    for offering in [true, false] {
        let picky = PeerConfig {
            codecs: vec![Codec::Opus, Codec::H264],
            ..loopback()
        };
        let (a, b) = (side(picky).await, side(loopback()).await);
        match offering {
            true => connect(&a, &b).await,
            false => connect(&b, &a).await,
        }
        for side in [&a, &b] {
            assert_eq!(side.peer.negotiated(MediaKind::Audio), [Codec::Opus]);
            assert_eq!(side.peer.negotiated(MediaKind::Video), [Codec::H264]);
        }
        close(a, b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_side_does_not_want_is_not_agreed() {
    for offering in [true, false] {
        let shy = PeerConfig {
            send_audio: false,
            receive_video: false,
            ..loopback()
        };
        let (a, b) = (side(shy).await, side(loopback()).await);
        match offering {
            true => connect(&a, &b).await,
            false => connect(&b, &a).await,
        }
        assert_eq!(a.peer.negotiated(MediaKind::Audio), []);
        assert_eq!(
            a.peer.negotiated(MediaKind::Video),
            [Codec::Vp8, Codec::H264],
            "{offering}"
        );
        assert_eq!(b.peer.negotiated(MediaKind::Audio), SOUND, "{offering}");
        assert_eq!(b.peer.negotiated(MediaKind::Video), [], "{offering}");
        close(a, b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_peer_refuses_everything_and_says_so() {
    let (a, b) = pair().await;
    a.peer.close().await;
    a.peer.close().await;
    assert_eq!(a.peer.state(), ConnectionState::Closed);
    assert_eq!(a.peer.create_offer().await, Err(PeerError::Closed));
    assert_eq!(a.peer.add_data_channel("x").await, Err(PeerError::Closed));
    assert!(matches!(
        a.peer.wait_for_connection().await,
        Err(PeerError::NotConnected { .. })
    ));
    let sent = a.peer.send_data("chat", Message::text("x"));
    assert_eq!(sent, Err(Refused::Closed));
    let last = a.sink.heard.lock().unwrap().events.last().cloned();
    assert_eq!(last, Some(PeerEvent::State(ConnectionState::Closed)));
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_that_vanishes_is_missed() {
    let impatient = PeerConfig {
        disconnected_after: Duration::from_millis(500),
        failed_after: Duration::from_secs(1),
        ..loopback()
    };
    let (a, b) = (side(impatient).await, side(loopback()).await);
    connect(&a, &b).await;
    b.peer.close().await;
    a.sink
        .wait_event("the failure", |event| {
            matches!(event, PeerEvent::State(ConnectionState::Failed { .. }))
        })
        .await;
    let error = a.peer.wait_for_connection().await.unwrap_err();
    assert!(matches!(error, PeerError::NotConnected { .. }), "{error}");
    a.peer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptions_that_are_none_are_refused() {
    let a = side(loopback()).await;
    for text in [
        "",
        "hello",
        "v=0\r\n",
        "{}",
        "v=0\r\no=- 0 0 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=audio",
    ] {
        let offered = a.peer.handle_offer_and_create_answer(text).await;
        assert!(
            matches!(offered, Err(PeerError::Description { .. })),
            "{text:?}: {offered:?}"
        );
        let answered = a.peer.handle_answer(text).await;
        assert!(
            matches!(answered, Err(PeerError::Description { .. })),
            "{text:?}: {answered:?}"
        );
    }
    a.peer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_and_closing_leaves_nothing_behind() {
    let mut sinks = Vec::new();
    for round in 0..50 {
        let (a, b) = pair().await;
        sinks.extend([Arc::downgrade(&a.sink), Arc::downgrade(&b.sink)]);
        if round % 2 == 0 {
            close(a, b).await;
        } else {
            // Dropped without a word: closed in the background.
            a.peer.close().await;
            drop((a, b));
        }
    }
    let gone = async {
        while sinks.iter().any(|sink| sink.upgrade().is_some()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, gone)
        .await
        .expect("peers remain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_exchange_of_descriptions_leaves_media_and_messages_running() {
    let (a, b) = pair().await;
    for (offerer, answerer) in [(&a, &b), (&b, &a)] {
        let offer = offerer.peer.create_offer().await.unwrap();
        let answer = answerer
            .peer
            .handle_offer_and_create_answer(&offer)
            .await
            .unwrap();
        offerer.peer.handle_answer(&answer).await.unwrap();
    }
    for (from, to) in [(&a, &b), (&b, &a)] {
        assert_eq!(from.peer.state(), ConnectionState::Connected);
        let packet = RtpOut {
            codec: Codec::Vp8,
            payload: vec![1, 2, 3].into(),
            marker: true,
            timestamp: 0,
            sequence: None,
            colour: None,
        };
        from.peer.send_rtp(packet).unwrap();
        from.peer.send_data("chat", Message::text("hi")).unwrap();
        to.sink
            .wait("a packet and a message", |heard| {
                (heard.rtp.len() == 1 && heard.messages.len() == 1).then_some(())
            })
            .await;
    }
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_that_only_wants_messages_gets_them() {
    let quiet = PeerConfig {
        send_audio: false,
        send_video: false,
        receive_audio: false,
        receive_video: false,
        ..loopback()
    };
    let (a, b) = (side(quiet).await, side(loopback()).await);
    a.peer.add_data_channel("chat").await.unwrap();
    connect(&a, &b).await;
    b.sink.wait_channel("chat").await;
    b.peer.send_data("chat", Message::text("hi")).unwrap();
    a.sink
        .wait("a message", |heard| {
            (heard.messages.len() == 1).then_some(())
        })
        .await;
    let packet = RtpOut {
        codec: Codec::Opus,
        payload: vec![1].into(),
        marker: false,
        timestamp: 0,
        sequence: None,
        colour: None,
    };
    assert_eq!(b.peer.send_rtp(packet), Err(Refused::NotNegotiated));
    close(a, b).await;
}
