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

use std::io;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tracing::{debug, info};

use crate::link::{self, FarEnd, Joined, Link};
use crate::protocol::{
    DEFAULT_ROOM, ErrorCode, MAX_MESSAGE_BYTES, Message, ParseError, check_room,
};

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

/// Why there is no link.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error(
        "\"{url}\" is no URL of a signaling server: {reason}; use one such as ws://127.0.0.1:8765/ws"
    )]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The room's name cannot be used.
    #[error(transparent)]
    BadRoom(ParseError),
    /// Nothing answers.
    #[error(
        "cannot reach {url}: {source}; start the signaling server (levada signal), or correct the address"
    )]
    Unreachable {
        /// The URL.
        url: String,
        /// What the system says.
        source: io::Error,
    },
    /// Something listens, and does not answer in time.
    #[error("{url} gave no answer within {} s; is it a signaling server, and is it overloaded?", .after.as_secs_f32())]
    Timeout {
        /// The URL.
        url: String,
        /// How long it was given.
        after: Duration,
    },
    /// The server answers, but opens no WebSocket.
    #[error(
        "{url} refuses with HTTP status {status}{detail}; correct the address, its path is usually /ws"
    )]
    Http {
        /// The URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What the server says about it, in brackets, or nothing.
        detail: String,
    },
    /// What answers does not speak the protocol.
    #[error("{url} does not speak the signaling protocol: {reason}; correct the address")]
    Protocol {
        /// The URL.
        url: String,
        /// What it said or did.
        reason: String,
    },
    /// Two peers are in the room already.
    #[error(
        "room \"{room}\" is full: two peers are in it; wait until one leaves, or choose another room"
    )]
    RoomFull {
        /// The room.
        room: String,
    },
    /// The server refuses for another reason.
    #[error("the signaling server refuses: {message}")]
    Refused {
        /// For a program.
        code: ErrorCode,
        /// For a person.
        message: String,
    },
    /// The connection ended before the room was joined.
    #[error(
        "{url} closed the connection before the room was joined; try again, or look at the server's log"
    )]
    Closed {
        /// The URL.
        url: String,
    },
}

impl ClientError {
    /// Says whether the same call may succeed later without anybody changing its arguments.
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::Unreachable { .. }
            | ClientError::Timeout { .. }
            | ClientError::Closed { .. }
            | ClientError::RoomFull { .. } => true,
            ClientError::Http { status, .. } => *status >= 500,
            ClientError::Refused { code, .. } => {
                matches!(
                    code,
                    ErrorCode::ServerFull | ErrorCode::TooSlow | ErrorCode::JoinTimeout
                )
            }
            ClientError::BadUrl { .. } | ClientError::BadRoom(_) | ClientError::Protocol { .. } => {
                false
            }
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

/// Joins the same room again and again, for a peer that serves one other after another.
///
/// ```no_run
/// # async fn serve(link: &mut levada_signaling::Link) {}
/// # async fn example() -> Result<(), levada_signaling::ClientError> {
/// use levada_signaling::{ConnectOptions, Reconnect};
/// let mut room = Reconnect::new("ws://127.0.0.1:8765/ws", None, ConnectOptions::default());
/// loop {
///     let mut link = room.link().await?; // the first failure is an error; later ones are waited out
///     serve(&mut link).await; // until link.rx ends: through many a bye and offer
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Reconnect {
    url: String,
    room: Option<String>,
    options: ConnectOptions,
    /// When the last link was given out, and the wait before the attempt that follows it.
    last: Option<Instant>,
    wait: Duration,
}

impl Reconnect {
    /// Prepares to join `room` of the server at `url`.
    pub fn new(url: impl Into<String>, room: Option<String>, options: ConnectOptions) -> Reconnect {
        Reconnect {
            url: url.into(),
            room,
            options,
            last: None,
            wait: options.first_retry,
        }
    }

    /// Joins the room, and gives the link.
    ///
    /// The first call makes one attempt: whoever starts a program wants to hear that the address is wrong. Later calls
    /// go on trying, ever more slowly, as long as the reason may pass ([`ClientError::is_transient`]; a full room may
    /// hold our own broken connection, which the server has not noticed yet). Cancel by dropping the future.
    pub async fn link(&mut self) -> Result<Link, ClientError> {
        if let Some(last) = self.last {
            // A link that lived shows that all is well; one that ended at once must not make us knock without pause.
            if last.elapsed() >= self.options.last_retry {
                self.wait = self.options.first_retry;
            }
            self.pause().await;
        }
        loop {
            match connect(&self.url, self.room.as_deref(), self.options).await {
                Ok(link) => {
                    self.last = Some(Instant::now());
                    return Ok(link);
                }
                Err(error) if self.last.is_some() && error.is_transient() => {
                    info!(%error, "signaling is away; trying again in {} ms", self.wait.as_millis());
                    self.pause().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn pause(&mut self) {
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(self.options.last_retry);
    }
}
