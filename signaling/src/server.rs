//! The signaling server: HTTP and WebSocket on one port.
//!
//! | route | does |
//! |---|---|
//! | `GET /` and its files | the web page |
//! | `GET /ws` | the WebSocket of [`protocol`](crate::protocol) |
//! | `POST /offer` | takes a [`Description`], answers an [`Answer`] with every candidate in it; [`Mode::Host`] only |
//! | `GET /health` | says that the server lives, and how many it serves |
//!
//! Everything else, and everything that fails, is a JSON object `{"error", "remedy"}` with a status of 4xx or 5xx.
//!
//! How it works: `accept` takes connections and gives each a ticket of `gate`; `http` has the routes, `origin` keeps
//! other web sites away, `socket` runs one WebSocket, `side` is what stands
//! behind it, `relay` joins two of them by [`room`](crate::room).
//!
//! What must hold: connections, peers, bodies, messages and waits are bounded by [`Limits`]; a connection that says
//! nothing, or reads nothing, costs one ticket for a bounded time and delays nobody; [`Server::run`] ends within
//! [`Limits::grace`] of the shutdown, whatever is open.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::description::{Answer, Description};
use crate::link::Link;
use crate::room::RoomLimits;

mod accept;
mod gate;
mod http;
mod origin;
mod problem;
mod relay;
mod side;
mod socket;

/// Serves as the counterpart of every browser: what stands behind a server of [`Mode::Host`].
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Takes over a peer that has joined. The browser offers; the link carries the rest of the handshake.
    ///
    /// Called on a tokio worker: returns at once, and spawns what takes time. To refuse, send an `error` and drop the
    /// link. When the link is dropped, the browser is told `bye` (unless that was sent) and its socket is closed.
    fn peer(&self, link: Link);

    /// Answers an offer that came by `POST /offer`, with every candidate in the answer.
    ///
    /// The offer has the shape of SDP; whether it can be used is for the host to say. The future is dropped when the
    /// client goes away or [`Limits::offer`] has passed: what it has begun must then undo itself.
    async fn offer(&self, offer: Description) -> Result<Answer, Refusal>;
}

/// Why a [`Host`] does not take an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status, 400 to 599; anything else is sent as 500.
    pub status: u16,
    /// The cause, for a person.
    pub error: String,
    /// What to do about it, for a person.
    pub remedy: String,
}

/// What the server does with peers.
#[derive(Clone)]
pub enum Mode {
    /// Joins two peers of a room, and takes no part itself (`levada signal`).
    Relay,
    /// Is the counterpart of every peer (`levada run`).
    Host(Arc<dyn Host>),
}

impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Mode {
    fn name(&self) -> &'static str {
        match self {
            Mode::Relay => "relay",
            Mode::Host(_) => "host",
        }
    }
}

/// What the server may hold, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open TCP connections. The default of 512 leaves half of the usual 1024 descriptors to media sockets.
    pub connections: usize,
    /// Peers that have joined (of a relay: two for each room).
    pub peers: usize,
    /// Candidates of a peer for one description.
    pub candidates: usize,
    /// Mistakes after which a peer is closed.
    pub mistakes: usize,
    /// How long a client may take over the header of a request, and stay connected between requests.
    pub header: Duration,
    /// How long a client may take over a body.
    pub body: Duration,
    /// How long a host may take over an offer.
    pub offer: Duration,
    /// How long a WebSocket may take to join.
    pub join: Duration,
    /// How often a WebSocket is pinged. One that is silent for three of these is closed.
    pub ping: Duration,
    /// How long one WebSocket message may take to be written, and a host to take one.
    pub write: Duration,
    /// How long [`Server::run`] waits for open connections after the shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 512,
            peers: 128,
            candidates: 256,
            mistakes: 16,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            offer: Duration::from_secs(20),
            join: Duration::from_secs(10),
            ping: Duration::from_secs(15),
            write: Duration::from_secs(10),
            grace: Duration::from_secs(2),
        }
    }
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What to do with peers.
    pub mode: Mode,
    /// What to hold and how long to wait.
    pub limits: Limits,
    /// Origins (such as `https://media.example.com`) whose pages may use this server, besides its own page at an IP
    /// address or at localhost. Name here the public name of a server behind a proxy.
    pub allowed_origins: Vec<String>,
}

impl ServerConfig {
    /// Sets up a server at `listen` with the default limits and no further origins.
    pub fn new(listen: SocketAddr, mode: Mode) -> ServerConfig {
        ServerConfig {
            listen,
            mode,
            limits: Limits::default(),
            allowed_origins: Vec::new(),
        }
    }
}

/// Why a server cannot listen.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another program listens there.
    #[error("{listen} is in use by another program; stop it, or choose another address, such as --listen {} for any free port", any_port(.listen))]
    InUse {
        /// The address.
        listen: SocketAddr,
    },
    /// The system forbids it.
    #[error("no permission to listen on {listen}; ports under 1024 are reserved, choose another, such as --listen {}", any_port(.listen))]
    Forbidden {
        /// The address.
        listen: SocketAddr,
    },
    /// The address is not one of this machine.
    #[error("{listen} is not an address of this machine; choose one that is, such as --listen 127.0.0.1:{}", .listen.port())]
    NotHere {
        /// The address.
        listen: SocketAddr,
    },
    /// Something else.
    #[error(
        "cannot listen on {listen}: {source}; choose another address, such as --listen 127.0.0.1:0"
    )]
    Other {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

fn any_port(listen: &SocketAddr) -> SocketAddr {
    SocketAddr::new(listen.ip(), 0)
}

/// A server that listens, and serves once [`run`](Server::run) is awaited.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What every connection needs to know.
#[derive(Debug)]
struct Shared {
    mode: Mode,
    limits: Limits,
    origins: origin::Origins,
    gate: Arc<gate::Gate>,
    relay: Arc<relay::Relay>,
    /// Places for peers that join a host.
    host_peers: Arc<Semaphore>,
    next_id: AtomicU64,
}

impl Server {
    /// Listens. Connections wait in the system's queue until [`run`](Server::run).
    pub async fn bind(config: ServerConfig) -> Result<Server, BindError> {
        let listen = config.listen;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { listen },
            io::ErrorKind::PermissionDenied => BindError::Forbidden { listen },
            io::ErrorKind::AddrNotAvailable => BindError::NotHere { listen },
            _ => BindError::Other { listen, source },
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let limits = config.limits;
        let rooms = RoomLimits {
            // A socket that has not joined is a connection and bounded as one.
            peers: limits.connections,
            rooms: (limits.peers / 2).max(1),
            candidates: limits.candidates,
            mistakes: limits.mistakes,
        };
        let shared = Arc::new(Shared {
            origins: origin::Origins::new(&config.allowed_origins),
            gate: Arc::new(gate::Gate::new(limits.connections)),
            relay: Arc::new(relay::Relay::new(rooms)),
            host_peers: Arc::new(Semaphore::new(limits.peers)),
            next_id: AtomicU64::new(1),
            mode: config.mode,
            limits,
        });
        Ok(Server {
            listener,
            local_addr,
            shared,
        })
    }

    /// Gives the address it listens on, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is ready. Then no connection is taken any more, peers are told `bye`, and what is still
    /// open after [`Limits::grace`] is cut off.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        accept::run(self.listener, self.shared, shutdown).await;
    }
}
