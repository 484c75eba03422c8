//! The client: joins a room of a relay over WebSocket, and yields a [`Link`].
//!
//! A task of its own carries the messages until one side is done. When the application drops the link, what it has
//! sent before goes out, then the socket is closed. When the socket breaks, the link's `rx` ends.
//!
//! A joined peer stays in its room while others come and go: it sees `bye` when one leaves and an `offer` when the
//! next one has come. [`Reconnect`] makes up for a broken socket.
//!
//! What must hold: every wait has a limit ([`ConnectOptions`]), and so has every message that comes in
//! ([`MAX_MESSAGE_BYTES`]). A peer must be joined from within a tokio runtime.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tracing::debug;

use crate::link::{self, FarEnd, Joined, Link};
use crate::protocol::{DEFAULT_ROOM, ErrorCode, MAX_MESSAGE_BYTES, Message, check_room};

mod error;
mod reconnect;

pub use error::ClientError;
pub use reconnect::Reconnect;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long the goodbye may take: what is still to be sent, and the close.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// For the connection and the answer to `join`, together.
    pub timeout: Duration,
    /// How often to ping. A server that is silent for three of these is given up.
    pub ping: Duration,
    /// [`Reconnect`]: before the second attempt. Each further wait is twice as long.
    pub first_retry: Duration,
    /// [`Reconnect`]: longest wait between two attempts.
    pub last_retry: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            timeout: Duration::from_secs(10),
            ping: Duration::from_secs(15),
            first_retry: Duration::from_millis(250),
            last_retry: Duration::from_secs(10),
        }
    }
}

/// Connects to the server at `url` (`ws://host:port/ws`), joins `room` ([`DEFAULT_ROOM`] if `None`), and gives the link
/// to whoever else is or will be in it.
pub async fn connect(
    url: &str,
    room: Option<&str>,
    options: ConnectOptions,
) -> Result<Link, ClientError> {
    if let Some(room) = room {
        check_room(room).map_err(ClientError::BadRoom)?;
    }
    check_url(url)?;
    let joining = async {
        let config = WebSocketConfig::default()
            .max_message_size(Some(2 * MAX_MESSAGE_BYTES))
            .max_frame_size(Some(2 * MAX_MESSAGE_BYTES));
        let (socket, _) = connect_async_with_config(url, Some(config), true)
            .await
            .map_err(|error| failed(url, error))?;
        join(url, room, socket).await
    };
    let (joined, socket) =
        timeout(options.timeout, joining)
            .await
            .map_err(|_| ClientError::Timeout {
                url: url.to_owned(),
                after: options.timeout,
            })??;
    debug!(
        id = joined.id,
        room = joined.room,
        peers = joined.peers,
        "joined a room"
    );
    let (link, far) = Link::pair(joined);
    tokio::spawn(carry(socket, far, options));
    Ok(link)
}

fn check_url(url: &str) -> Result<(), ClientError> {
    let reason = if url.starts_with("ws://") {
        return Ok(());
    } else if url.starts_with("wss://") {
        "this client has no TLS; put a proxy on this machine in front"
    } else if url.starts_with("http://") {
        "a WebSocket begins with ws://"
    } else {
        "it does not begin with ws://"
    };
    Err(ClientError::BadUrl {
        url: url.to_owned(),
        reason: reason.to_owned(),
    })
}

fn failed(url: &str, error: tungstenite::Error) -> ClientError {
    let url = url.to_owned();
    match error {
        tungstenite::Error::Io(source) => ClientError::Unreachable { url, source },
        tungstenite::Error::Url(reason) => ClientError::BadUrl {
            url,
            reason: reason.to_string(),
        },
        tungstenite::Error::HttpFormat(reason) => ClientError::BadUrl {
            url,
            reason: reason.to_string(),
        },
        tungstenite::Error::Http(response) => {
            let says = response
                .body()
                .as_deref()
                .and_then(error_of)
                .map(|error| format!(" ({error})"));
            ClientError::Http {
                url,
                status: response.status().as_u16(),
                detail: says.unwrap_or_default(),
            }
        }
        other => ClientError::Protocol {
            url,
            reason: other.to_string(),
        },
    }
}

/// Reads the `error` of a JSON answer, shortened.
fn error_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("error")?.as_str()?.chars().take(200).collect())
}

async fn join(
    url: &str,
    room: Option<&str>,
    mut socket: Socket,
) -> Result<(Joined, Socket), ClientError> {
    let closed = || ClientError::Closed {
        url: url.to_owned(),
    };
    let join = Message::Join {
        room: room.map(str::to_owned),
    };
    socket
        .send(Frame::text(join.to_json()))
        .await
        .map_err(|_| closed())?;
    loop {
        let text = match socket.next().await {
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
            Some(Ok(Frame::Close(_)) | Err(_)) | None => return Err(closed()),
            Some(Ok(_)) => {
                return Err(ClientError::Protocol {
                    url: url.to_owned(),
                    reason: "a binary message".to_owned(),
                });
            }
        };
        return match Message::parse(&text) {
            Ok(Message::Joined { id, room, peers }) => Ok((Joined { id, room, peers }, socket)),
            Ok(Message::Error {
                code: ErrorCode::RoomFull,
                ..
            }) => {
                let _ = timeout(GOODBYE, socket.close(None)).await;
                Err(ClientError::RoomFull {
                    room: room.unwrap_or(DEFAULT_ROOM).to_owned(),
                })
            }
            Ok(Message::Error { code, message }) => Err(ClientError::Refused { code, message }),
            Ok(other) => {
                let reason = format!("{:.60} where `joined` belongs", other.to_json());
                Err(ClientError::Protocol {
                    url: url.to_owned(),
                    reason,
                })
            }
            Err(error) => Err(ClientError::Protocol {
                url: url.to_owned(),
                reason: error.to_string(),
            }),
        };
    }
}

/// Carries messages both ways until the application or the server is done.
async fn carry(socket: Socket, far: FarEnd, options: ConnectOptions) {
    let FarEnd { tx, mut rx } = far;
    let (mut sink, mut stream) = socket.split();
    let by_application = tokio::select! {
        () = read(&mut stream, &tx, options) => false,
        by_application = write(&mut sink, &mut rx, &tx, options) => by_application,
    };
    // The application sees the end at once, not after the goodbye.
    drop((tx, rx));
    if by_application {
        let goodbye = async {
            sink.close().await?;
            while stream.next().await.transpose()?.is_some() {}
            Ok::<_, tungstenite::Error>(())
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

async fn read(
    stream: &mut SplitStream<Socket>,
    tx: &tokio::sync::mpsc::Sender<Message>,
    options: ConnectOptions,
) {
    loop {
        let frame = match timeout(options.ping * 3, stream.next()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return debug!(%error, "the signaling connection broke"),
            Ok(None) => return debug!("the signaling server closed the connection"),
            Err(_) => return debug!("the signaling server gives no sign of life"),
        };
        match frame {
            Frame::Text(text) => match Message::parse(&text) {
                // An application that does not take its messages holds up its own socket and nothing else. That it has
                // dropped the link, the writer sees.
                Ok(message) => drop(tx.send(message).await),
                Err(error) => debug!(%error, "passing over a message that is none"),
            },
            Frame::Close(_) => return debug!("the signaling server closed the connection"),
            _ => {}
        }
    }
}

/// Gives whether the application ended it.
async fn write(
    sink: &mut SplitSink<Socket, Frame>,
    rx: &mut tokio::sync::mpsc::Receiver<Message>,
    tx: &tokio::sync::mpsc::Sender<Message>,
    options: ConnectOptions,
) -> bool {
    let mut pings = interval_at(Instant::now() + options.ping, options.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            biased;
            _ = pings.tick() => Frame::Ping(Default::default()),
            message = link::recv(rx, tx) => match message {
                Some(message) => Frame::text(message.to_json()),
                None => return true,
            },
        };
        match timeout(options.timeout, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(%error, "the signaling connection broke");
                return false;
            }
            Err(_) => {
                debug!("the signaling server does not read");
                return false;
            }
        }
    }
}
