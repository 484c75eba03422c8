//! Peers that come and go leave nothing behind in a running program: no socket, no thread, no memory.

mod support;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use levada::{WebRtcConfig, WebRtcManager};
use serde_json::{Value, json};
use support::http::request;
use support::levada::Levada;
use tokio_tungstenite::tungstenite::Message;

const ECHO: &[&str] = &[
    "run",
    "examples/echo.toml",
    "--listen",
    "127.0.0.1:0",
    "--json",
];
/// Until the last peer's session is gone.
const LIMIT: Duration = Duration::from_secs(60);

/// Connects to `levada` by its WebSocket as the page does, and leaves with a `bye`.
async fn come_and_go(levada: &Levada) {
    let addresses = vec!["127.0.0.1:0".parse().expect("an address")];
    let config = WebRtcConfig {
        addresses,
        ..WebRtcConfig::default()
    };
    let manager = WebRtcManager::new(config).expect("a manager");
    manager
        .add_data_channel("chat")
        .await
        .expect("a data channel");
    manager.create_offer().await.expect("an offer");
    // With every candidate in it, so that none has to be sent along.
    let offer = manager
        .wait_for_ice_gathering()
        .await
        .expect("a whole offer");
    let (mut socket, _) = tokio_tungstenite::connect_async(levada.socket_url())
        .await
        .expect("a WebSocket");
    for message in [
        json!({ "type": "join" }),
        json!({ "type": "offer", "sdp": offer }),
    ] {
        socket
            .send(Message::text(message.to_string()))
            .await
            .expect("an open WebSocket");
    }
    loop {
        let message = socket
            .next()
            .await
            .expect("an answer")
            .expect("an open WebSocket");
        let Message::Text(text) = message else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).expect("the server speaks JSON");
        assert_ne!(message["type"], "error", "{message}");
        if message["type"] == "answer" {
            let sdp = message["sdp"].as_str().expect("an answer has an SDP");
            manager
                .handle_answer(sdp)
                .await
                .expect("an answer that fits");
            break;
        }
    }
    manager.wait_for_connection().await.expect("a connection");
    socket
        .send(Message::text(r#"{"type":"bye"}"#))
        .await
        .expect("an open WebSocket");
    socket.close(None).await.expect("an open WebSocket");
    manager.close().await;
}

/// What the system says that the program holds: descriptors, threads, resident kilobytes.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
    kilobytes: u64,
}

fn held(levada: &Levada) -> Held {
    let process = std::path::PathBuf::from(format!("/proc/{}", levada.id()));
    let count = |folder: &str| {
        std::fs::read_dir(process.join(folder))
            .expect("a running program")
            .count()
    };
    let status = std::fs::read_to_string(process.join("status")).expect("a running program");
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a resident size");
    let kilobytes = resident
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok());
    Held {
        descriptors: count("fd"),
        threads: count("task"),
        kilobytes: kilobytes.expect("a number"),
    }
}

/// What the program holds once its descriptors are no more than `at_most`, or when the time is over.
fn held_in_the_end(levada: &Levada, at_most: usize) -> Held {
    let began = Instant::now();
    loop {
        let now = held(levada);
        if now.descriptors <= at_most || began.elapsed() > LIMIT {
            return now;
        }
        // The program tells nobody when a session has gone; an answer of it is a pause that it makes itself.
        assert_eq!(
            request(levada.port(), "GET", "/health", "", b"").status,
            200
        );
    }
}

/// Lets `rounds` times six peers come and go at once.
async fn crowd(levada: &Levada, rounds: usize) {
    for _ in 0..rounds {
        futures_util::future::join_all((0..6).map(|_| come_and_go(levada))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn peers_that_come_and_go_leave_nothing_behind() {
    let levada = Levada::serve(ECHO);
    let at_first = held(&levada);
    crowd(&levada, 3).await;
    // What a first session makes once and for all stays: allow for it.
    let allowed = at_first.descriptors + 4;
    let warm = held_in_the_end(&levada, allowed);
    crowd(&levada, 10).await;
    let cold = held_in_the_end(&levada, allowed);
    let story = format!("at first {at_first:?}, after 18 peers {warm:?}, after 78 {cold:?}");
    assert!(
        cold.descriptors <= allowed,
        "descriptors stay open: {story}"
    );
    assert!(cold.threads <= warm.threads + 2, "threads stay: {story}");
    // A session takes about half a megabyte: were they kept, it would be 30 of them.
    assert!(
        cold.kilobytes <= warm.kilobytes + 10 * 1024,
        "memory stays: {story}"
    );
    let report = levada.stop_with_report();
    assert_eq!(report["sessions"], 78, "{report:#}");
}
