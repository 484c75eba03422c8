//! What strangers send to a running `levada run`: each is answered by a refusal, and nobody else notices.

mod support;

use std::io::Write;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::browser::Browser;
use support::http::{connect, exchange, post_offer, request};
use support::levada::Levada;
use support::visitor::Visitor;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

const LIMIT: Duration = Duration::from_secs(30);
const MEGABYTE: usize = 1024 * 1024;

fn serve() -> Levada {
    Levada::serve(&[
        "run",
        "examples/echo.toml",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ])
}

fn answers(levada: &Levada) {
    let health = request(levada.port(), "GET", "/health", "", b"");
    assert_eq!(health.status, 200, "{health:?}");
}

#[test]
fn an_offer_that_is_none_is_refused() {
    let levada = serve();
    let port = levada.port();
    for body in ["", "hello", "{", "\u{0}\u{1}", "{\"sdp\":\"v=0"] {
        post_offer(port, body.as_bytes()).refuses_with(400);
    }
    post_offer(port, &[0xff, 0xfe, 0x00]).refuses_with(400);
    for body in [
        json!(null),
        json!(7),
        json!([[[[[[]]]]]]),
        json!({}),
        json!({ "type": "offer" }),
        json!({ "type": "offer", "sdp": 7 }),
        json!({ "type": "offer", "sdp": "" }),
        json!({ "type": "offer", "sdp": "hello" }),
        json!({ "type": "offer", "sdp": "v=0\r\n" }),
        json!({ "type": "nonsense", "sdp": sdp() }),
        json!({ "type": "rollback", "sdp": sdp() }),
        json!({ "type": "answer", "sdp": sdp() }),
        json!({ "type": "pranswer", "sdp": sdp() }),
    ] {
        let answer = post_offer(port, body.to_string().as_bytes());
        assert!((400..500).contains(&answer.status), "{body}: {answer:?}");
        answer.refuses_with(answer.status);
    }
    answers(&levada);
    levada.stop_with_report();
}

/// The line structure of an SDP, without the fingerprint and the ICE credentials that make it useful.
fn sdp() -> String {
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
     c=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n"
        .to_owned()
}

#[test]
fn an_offer_that_looks_right_and_cannot_work_is_refused() {
    let levada = serve();
    for sdp in [
        sdp(),
        sdp().replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        sdp()
            + "a=fingerprint:sha-256 00:11\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=setup:actpass\r\n",
        sdp().replace("111", "99999999999999999999"),
        sdp() + &"a=candidate:1 1 udp 1 127.0.0.1 1 typ host\r\n".repeat(2_000),
    ] {
        let answer = post_offer(
            levada.port(),
            json!({ "type": "offer", "sdp": sdp })
                .to_string()
                .as_bytes(),
        );
        assert!(
            (400..500).contains(&answer.status),
            "{sdp:.300}: {answer:?}"
        );
        answer.refuses_with(answer.status);
    }
    answers(&levada);
    levada.stop_with_report();
}

#[test]
fn a_body_of_a_megabyte_is_refused_and_not_kept() {
    let levada = serve();
    let port = levada.port();
    let before = resident_kilobytes(&levada);
    let long =
        json!({ "type": "offer", "sdp": "v=0\r\n".to_owned() + &"a".repeat(MEGABYTE) }).to_string();
    for _ in 0..50 {
        post_offer(port, long.as_bytes()).refuses_with(413);
    }
    // A length that is promised and never comes: the connection may stay, memory may not.
    let promises: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = connect(port);
            let head = format!(
                "POST /offer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 200000\r\n\r\n"
            );
            socket
                .write_all(head.as_bytes())
                .expect("a server that reads a header");
            socket
        })
        .collect();
    answers(&levada);
    let grown = resident_kilobytes(&levada).saturating_sub(before);
    assert!(
        grown < 64 * 1024,
        "50 refused bodies and 100 promised ones left {grown} KB behind"
    );
    drop(promises);
    levada.stop_with_report();
}

#[test]
fn requests_that_are_no_http_or_go_elsewhere_are_refused() {
    let levada = serve();
    let port = levada.port();
    request(port, "GET", "/nothing", "", b"").refuses_with(404);
    request(port, "GET", "/../../etc/passwd", "", b"").refuses_with(404);
    request(port, "GET", "/offer", "", b"").refuses_with(405);
    request(port, "DELETE", "/", "", b"").refuses_with(405);
    request(port, "GET", "/ws", "", b"").refuses_with(426);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let answer = exchange(port, bytes);
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let endless = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n",
        "x".repeat(MEGABYTE)
    );
    assert_eq!(exchange(port, endless.as_bytes()).status, 431);
    answers(&levada);
    levada.stop_with_report();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_web_site_may_neither_offer_nor_connect() {
    let levada = serve();
    let port = levada.port();
    let body = json!({ "type": "offer", "sdp": sdp() }).to_string();
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost.evil.example",
    ] {
        let headers = format!("Content-Type: application/json\r\nOrigin: {origin}\r\n");
        request(port, "POST", "/offer", &headers, body.as_bytes()).refuses_with(403);
        let mut upgrade = levada
            .socket_url()
            .into_client_request()
            .expect("a well-formed address");
        upgrade
            .headers_mut()
            .insert("Origin", origin.parse().expect("a header value"));
        match tokio_tungstenite::connect_async(upgrade).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 403, "{origin}"),
            other => panic!("{origin} was not refused: {other:?}"),
        }
    }
    // A name that some DNS made point at this machine.
    let rebound = exchange(port, b"POST /offer HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    rebound.refuses_with(403);
    answers(&levada);
    levada.stop_with_report();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_that_talks_nonsense_gets_an_error_message() {
    let levada = serve();
    let nonsense = [
        Message::text("hello"),
        Message::text("{}"),
        Message::text(r#"{"type":"dance"}"#),
        Message::text(r#"{"type":"offer","sdp":"hello"}"#),
        Message::text(json!({ "type": "answer", "sdp": sdp() }).to_string()),
        Message::text("[".repeat(10_000)),
        Message::binary(vec![0; 1_000]),
    ];
    for joined in [false, true] {
        for message in &nonsense {
            let heard = hear(&levada, joined, message.clone()).await;
            let error = heard.iter().find(|heard| heard["type"] == "error");
            let error = error.unwrap_or_else(|| {
                panic!("joined: {joined}, {message:.100}: no error in {heard:?}")
            });
            assert!(
                error["code"].is_string() && error["message"].is_string(),
                "{error}"
            );
        }
    }
    // A megabyte ends the connection, by an error or by a close, and nothing else.
    hear(&levada, true, Message::text("x".repeat(MEGABYTE))).await;
    answers(&levada);
    levada.stop_with_report();
}

/// Connects, joins if asked to, sends `message`, and gives what comes until an `error` or the end.
async fn hear(levada: &Levada, join: bool, message: Message) -> Vec<Value> {
    let (mut socket, _) = tokio_tungstenite::connect_async(levada.socket_url())
        .await
        .expect("a WebSocket");
    let mut heard = Vec::new();
    let talk = async {
        if join {
            socket
                .send(Message::text(r#"{"type":"join"}"#))
                .await
                .expect("an open WebSocket");
        }
        // The server may close in the middle of a message that is too long.
        let _ = socket.send(message).await;
        while let Some(Ok(answer)) = socket.next().await {
            if let Message::Text(text) = answer {
                let answer: Value = serde_json::from_str(&text).expect("the server speaks JSON");
                heard.push(answer);
                if heard.last().is_some_and(|last| last["type"] == "error") {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, talk)
        .await
        .expect("an answer or the end within 30 s");
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_while_strangers_misbehave() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let levada = serve();
    let port = levada.port();
    let visitor = Visitor::arrive(
        &browser,
        "honest",
        &format!("{}/?source=pattern&autostart=1", levada.url),
    )
    .await;
    visitor.is_connected().await;
    visitor.sees_video_for(1).await;
    let before = resident_kilobytes(&levada);

    // More than the server may hold, so that the last ones push the first ones out.
    let mut silent: Vec<_> = (0..600).map(|_| connect(port)).collect();
    for socket in silent.iter_mut().step_by(2) {
        // Half a request; one that was pushed out meanwhile takes none.
        let _ = socket.write_all(b"POST /offer HTTP/1.1\r\nHost: 127");
    }
    let mut talkers = Vec::new();
    for _ in 0..20 {
        if let Ok((socket, _)) = tokio_tungstenite::connect_async(levada.socket_url()).await {
            talkers.push(socket);
        }
    }
    for _ in 0..20 {
        post_offer(port, &vec![b'x'; MEGABYTE]).refuses_with(413);
        post_offer(port, b"no offer").refuses_with(400);
    }
    visitor.sees_video().await;
    visitor.gets_bytes_back("meanwhile", 50_000).await;
    answers(&levada);
    let grown = resident_kilobytes(&levada).saturating_sub(before);
    assert!(
        grown < 128 * 1024,
        "strangers made the program grow by {grown} KB"
    );
    drop((silent, talkers));

    // Room for the next honest one.
    let next = Visitor::arrive(
        &browser,
        "next",
        &format!("{}/?source=pattern&autostart=1", levada.url),
    )
    .await;
    next.is_connected().await;
    next.sees_video_for(2).await;
    levada.stop_with_report();
}

/// The memory that the program occupies. Linux only; elsewhere 0, which passes every bound.
fn resident_kilobytes(levada: &Levada) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", levada.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
