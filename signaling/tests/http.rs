//! What plain HTTP gets: the page, answers to offers, and a 4xx in JSON for everything that is wrong.

mod support;

use std::time::Duration;

use levada_signaling::{BindError, Limits, Mode, Refusal, Server, ServerConfig};
use support::{Running, SDP, TestHost, read_response, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn host() -> Running {
    Running::start(TestHost::new().0.mode(), Limits::default()).await
}

fn offer(sdp: &str) -> Vec<u8> {
    serde_json::json!({ "type": "offer", "sdp": sdp })
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn the_page_is_served_whole_and_loads_nothing_from_elsewhere() {
    let server = Running::relay().await;
    let (status, head, page) = server.request_with_head("GET / HTTP/1.1", b"").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(
        head.contains("content-security-policy: default-src 'self'"),
        "{head}"
    );
    for id in [
        "start", "stop", "status", "local", "remote", "log", "message", "send",
    ] {
        assert!(
            page.contains(&format!("id=\"{id}\"")),
            "the page has no element {id}"
        );
    }
    for (path, mime) in [
        ("/client.js", "text/javascript"),
        ("/client.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        assert!(
            page.contains(&format!("\"{path}\"")),
            "the page does not use {path}"
        );
        let (status, head, text) = server
            .request_with_head(&format!("GET {path} HTTP/1.1"), b"")
            .await;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains(&format!("content-type: {mime}")), "{head}");
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !elsewhere.contains("http://") && !elsewhere.contains("https://"),
            "{path} names another server"
        );
    }
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[tokio::test]
async fn health_says_what_the_server_is() {
    let server = Running::relay().await;
    let health = server.health().await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["mode"], "relay");
    assert_eq!(health["connections"], 1);
}

#[tokio::test]
async fn an_offer_is_answered_by_the_host() {
    let server = host().await;
    let (status, answer) = server.offer(&offer(SDP)).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        serde_json::json!({ "type": "answer", "sdp": SDP, "id": "session-1" })
    );
}

#[tokio::test]
async fn a_relay_names_the_way_for_an_offer() {
    let server = Running::relay().await;
    let (status, answer) = server.offer(&offer(SDP)).await;
    assert_eq!(status, 404);
    assert!(
        answer["error"].as_str().unwrap().contains("only relays"),
        "{answer}"
    );
    assert!(
        answer["remedy"].as_str().unwrap().contains("/ws"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_no_offer_is_refused_with_cause_and_remedy() {
    let server = host().await;
    let answer_instead = serde_json::json!({ "type": "answer", "sdp": SDP }).to_string();
    let cases: [(&[u8], u16, &str); 10] = [
        (b"", 400, "not JSON"),
        (b"hello", 400, "not JSON"),
        (b"{\"type\":\"offer\",", 400, "not JSON"),
        (b"\xff\xfe\x00", 400, "not JSON"),
        (b"[1,2]", 422, "not a description"),
        (b"{\"type\":\"offer\"}", 422, "missing field `sdp`"),
        (
            b"{\"type\":\"shout\",\"sdp\":\"v=0\"}",
            422,
            "unknown variant",
        ),
        (&offer("hello"), 422, "does not begin with the line `v=0`"),
        (&offer("v=0\r\ns=-\r\n"), 422, "no `m=` line"),
        (
            answer_instead.as_bytes(),
            422,
            "\"answer\" where \"offer\" belongs",
        ),
    ];
    for (body, status, cause) in cases {
        let (got, answer) = server.offer(body).await;
        assert_eq!(got, status, "{answer}");
        assert!(
            answer["error"].as_str().unwrap().contains(cause),
            "{answer}"
        );
        assert!(!answer["remedy"].as_str().unwrap().is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn a_body_of_one_megabyte_is_refused_and_its_sender_gets_to_know() {
    let server = host().await;
    for size in [256 * 1024 + 1, 1_000_000, 3_000_000] {
        let (status, answer) = server.offer(&vec![b'x'; size]).await;
        assert_eq!(status, 413, "{answer}");
    }
    let (status, _) = server
        .offer(&offer(&format!("{SDP}a={}\r\n", "x".repeat(200_000))))
        .await;
    assert_eq!(status, 200, "the limit is no lower than it says");
}

#[tokio::test]
async fn a_body_without_an_announced_length_is_bounded_too() {
    let server = host().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /offer HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        server.addr
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..16 {
        stream.write_all(b"10000\r\n").await.unwrap();
        stream.write_all(&[b'x'; 0x10000]).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(soon(read_response(&mut stream)).await.0, 413);
}

#[tokio::test]
async fn an_announced_length_beyond_measure_is_refused_unread() {
    let server = host().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /offer HTTP/1.1\r\nhost: {}\r\ncontent-length: 99999999999\r\n\r\n",
        server.addr
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(soon(read_response(&mut stream)).await.0, 413);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let limits = Limits {
        body: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(TestHost::new().0.mode(), limits).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /offer HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\r\n{{",
        server.addr
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(soon(read_response(&mut stream)).await.0, 408);
}

#[tokio::test]
async fn a_host_that_refuses_is_quoted_and_one_that_never_answers_is_given_up() {
    let (mut refusing, _links) = TestHost::new();
    refusing.answers = |_| {
        Err(Refusal {
            status: 503,
            error: "no place for another session".into(),
            remedy: "try again later".into(),
        })
    };
    let server = Running::start(refusing.mode(), Limits::default()).await;
    let (status, answer) = server.offer(&offer(SDP)).await;
    assert_eq!(status, 503);
    assert_eq!(
        answer,
        serde_json::json!({"error": "no place for another session", "remedy": "try again later"})
    );

    let (mut silent, _links) = TestHost::new();
    silent.never = true;
    let limits = Limits {
        offer: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(silent.mode(), limits).await;
    assert_eq!(server.offer(&offer(SDP)).await.0, 504);
}

#[tokio::test]
async fn other_web_sites_are_kept_away_from_offer_and_ws() {
    let server = host().await;
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let own = format!("http://{}", server.addr);
    for (origin, expected) in [
        ("https://evil.example", 403),
        ("null", 403),
        (own.as_str(), 200),
    ] {
        let head = format!("POST /offer HTTP/1.1\r\norigin: {origin}");
        let (status, body) = server.request(&head, &offer(SDP)).await;
        assert_eq!(status, expected, "{origin}: {body}");
    }
    // The page's own address is let through to the WebSocket, and then lacks only the upgrade.
    for (headers, expected) in [
        ("origin: https://evil.example", 403),
        ("host: evil.example:80", 403),
    ] {
        let (status, body) = server
            .request(&format!("GET /ws HTTP/1.1\r\n{headers}\r\n{upgrade}"), b"")
            .await;
        assert_eq!(status, expected, "{headers}: {body}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(problem["remedy"].is_string(), "{body}");
    }
    let rebound = "POST /offer HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example";
    assert_eq!(server.request(rebound, &offer(SDP)).await.0, 403);
    let (status, _) = server
        .request(&format!("GET /ws HTTP/1.1\r\norigin: {own}"), b"")
        .await;
    assert_eq!(status, 426);
}

#[tokio::test]
async fn everything_else_is_a_4xx_in_json() {
    let server = Running::relay().await;
    for (request, expected) in [
        ("GET /nothing HTTP/1.1", 404),
        ("GET /../etc/passwd HTTP/1.1", 404),
        ("GET /client.js/ HTTP/1.1", 404),
        ("DELETE / HTTP/1.1", 405),
        ("GET /offer HTTP/1.1", 405),
        ("POST /ws HTTP/1.1", 405),
    ] {
        let (status, body) = server.request(request, b"").await;
        assert_eq!(status, expected, "{request}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(
            problem["error"].is_string() && problem["remedy"].is_string(),
            "{request}: {body}"
        );
    }
}

#[tokio::test]
async fn noise_instead_of_http_ends_its_own_connection_only() {
    let server = Running::relay().await;
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        &[b'A'; 100_000],
        b"GET / HTTP/9.9\r\n\r\n",
        &[0; 4096],
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        // It may hang up before all of it is written.
        let _ = stream.write_all(noise).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(server.health().await["status"], "ok");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_way_out() {
    let server = Running::relay().await;
    let error = Server::bind(ServerConfig::new(server.addr, Mode::Relay))
        .await
        .unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&server.addr.to_string()) && text.contains("--listen 127.0.0.1:0"),
        "{text}"
    );

    let elsewhere = "203.0.113.1:8080".parse().unwrap();
    let error = Server::bind(ServerConfig::new(elsewhere, Mode::Relay))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("not an address of this machine"),
        "{error}"
    );
}
