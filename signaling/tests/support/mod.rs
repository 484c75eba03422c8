//! A server on a free port, a host that can be watched, and clients that do no more than they are told.

#![allow(dead_code)] // Each test file uses its own part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use levada_signaling::{
    Answer, Description, Host, Limits, Link, Message, Mode, Refusal, Server, ServerConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub const SDP: &str =
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";

/// Long enough for any machine: a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("what the test waits for must happen")
}

pub struct Running {
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(mode: Mode, limits: Limits) -> Running {
        Running::start_at("127.0.0.1:0".parse().unwrap(), mode, limits).await
    }

    pub async fn start_at(listen: SocketAddr, mode: Mode, limits: Limits) -> Running {
        let config = ServerConfig {
            limits,
            ..ServerConfig::new(listen, mode)
        };
        let server = Server::bind(config).await.unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));
        Running {
            addr,
            stop: Some(stop),
            task,
        }
    }

    pub async fn relay() -> Running {
        Running::start(Mode::Relay, Limits::default()).await
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.addr)
    }

    /// Asks the server to stop and waits until it has.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        soon(self.task).await.unwrap();
    }

    /// Sends one request on a connection of its own, and gives the status and the body.
    pub async fn request(&self, head: &str, body: &[u8]) -> (u16, String) {
        let (status, _, body) = self.request_with_head(head, body).await;
        (status, body)
    }

    pub async fn request_with_head(&self, head: &str, body: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let host = if head.to_lowercase().contains("\r\nhost:") {
            String::new()
        } else {
            format!("host: {}\r\n", self.addr)
        };
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let request = format!("{head}\r\n{host}{length}connection: close\r\n\r\n");
        soon(async {
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
            read_response(&mut stream).await
        })
        .await
    }

    /// Posts an offer.
    pub async fn offer(&self, body: &[u8]) -> (u16, serde_json::Value) {
        let (status, body) = self.request("POST /offer HTTP/1.1", body).await;
        (
            status,
            serde_json::from_str(&body).expect("an answer in JSON"),
        )
    }

    pub async fn health(&self) -> serde_json::Value {
        let (status, body) = self.request("GET /health HTTP/1.1", b"").await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }
}

/// Reads until the server closes, and splits what came.
pub async fn read_response(stream: &mut TcpStream) -> (u16, String, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// A WebSocket that says what it is told to say.
pub struct Peer(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Peer {
    pub async fn connect(server: &Running) -> Peer {
        Peer(soon(connect_async(server.url())).await.unwrap().0)
    }

    /// Connects and joins, and gives how many were there.
    pub async fn join(server: &Running, room: &str) -> (Peer, usize) {
        let mut peer = Peer::connect(server).await;
        peer.send(Message::Join {
            room: Some(room.into()),
        })
        .await;
        match peer.next().await {
            Message::Joined {
                peers,
                room: joined,
                ..
            } => {
                assert_eq!(joined, room);
                (peer, peers)
            }
            other => panic!("{other:?} instead of joined"),
        }
    }

    pub async fn send(&mut self, message: Message) {
        self.send_text(message.to_json()).await;
    }

    pub async fn send_text(&mut self, text: impl Into<String>) {
        soon(self.0.send(Frame::text(text.into()))).await.unwrap();
    }

    /// Waits for the next message.
    pub async fn next(&mut self) -> Message {
        self.next_or_close().await.expect("a message")
    }

    /// Waits for the next message, or for the code of the close.
    pub async fn next_or_close(&mut self) -> Result<Message, Option<u16>> {
        loop {
            match soon(self.0.next()).await {
                Some(Ok(Frame::Text(text))) => return Ok(Message::parse(&text).unwrap()),
                Some(Ok(Frame::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }
}

/// A host that hands every peer to the test, and answers offers as it is told to.
pub struct TestHost {
    links: mpsc::Sender<Link>,
    pub answers: fn(Description) -> Result<Answer, Refusal>,
    pub never: bool,
}

impl TestHost {
    pub fn new() -> (TestHost, mpsc::Receiver<Link>) {
        let (links, received) = mpsc::channel(16);
        let answers = |offer: Description| Ok(Answer::new(offer.sdp, "session-1".into()));
        (
            TestHost {
                links,
                answers,
                never: false,
            },
            received,
        )
    }

    pub fn mode(self) -> Mode {
        Mode::Host(Arc::new(self))
    }
}

#[async_trait]
impl Host for TestHost {
    fn peer(&self, link: Link) {
        self.links.try_send(link).expect("the test takes its links");
    }

    async fn offer(&self, offer: Description) -> Result<Answer, Refusal> {
        if self.never {
            std::future::pending::<()>().await;
        }
        (self.answers)(offer)
    }
}
