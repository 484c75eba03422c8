//! Takes connections, serves each in a task of its own, and ends them all.
//!
//! hyper is driven directly, as `axum::serve` has no time limit for a request's header. A connection goes through at
//! most: header (timed by hyper), body and answer (timed by `http`), again and again for [`LIFE`]; or it becomes a
//! WebSocket, which `socket` times.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::Shared;
use super::gate::Ticket;
use super::http;

/// How long one HTTP connection may go on; browsers then open another.
const LIFE: Duration = Duration::from_secs(60);
/// Connections that are being told that the server is full. Further ones are just closed.
const TURNED_AWAY: usize = 32;
/// Most bytes of a request's header.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Running,
    /// Finish, and say goodbye.
    Closing,
    /// Stop where you are.
    Cut,
}

/// What a connection carries to wherever it is handled: its ticket, the stage, and proof that it is still there.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub ticket: Arc<Ticket>,
    stage: watch::Receiver<Stage>,
    _alive: mpsc::Sender<()>,
}

impl Connection {
    /// Waits for `stage` or a later one.
    pub(super) async fn reached(&self, stage: Stage) {
        // An error means that the server itself is gone, which is later than everything.
        let _ = self.stage.clone().wait_for(|now| *now >= stage).await;
    }
}

pub(super) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) {
    let router = http::router(shared.clone());
    let (stage, watch) = watch::channel(Stage::Running);
    let (alive, mut all_gone) = mpsc::channel(1);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The client gave up while it waited: its trouble only. Anything else (no descriptors left) goes on
                // until some connection ends, here or elsewhere in the process, and there is no event for that.
                if !is_clients_trouble(&error) {
                    warn!(%error, "cannot take a connection; trying again in 100 ms");
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(Duration::from_millis(100)) => {}
                    }
                }
                continue;
            }
        };
        // Small messages should not wait for one another; a socket that cannot be set up is about to fail anyway.
        let _ = stream.set_nodelay(true);
        match shared.gate.admit() {
            Some(ticket) => {
                let connection = Connection {
                    ticket: Arc::new(ticket),
                    stage: watch.clone(),
                    _alive: alive.clone(),
                };
                tokio::spawn(serve(stream, connection, router.clone(), shared.clone()));
            }
            None => {
                debug!("turned a connection away: the server is full");
                if let Ok(place) = turned_away.clone().try_acquire_owned() {
                    tokio::spawn(async move {
                        let _ = timeout(Duration::from_secs(1), turn_away(stream)).await;
                        drop(place);
                    });
                }
            }
        }
    }
    drop(listener);
    drop(alive);
    let _ = stage.send(Stage::Closing);
    if timeout(shared.limits.grace, all_gone.recv()).await.is_err() {
        debug!("cutting off connections that did not end in time");
        let _ = stage.send(Stage::Cut);
        all_gone.recv().await;
    }
}

fn is_clients_trouble(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn serve(stream: TcpStream, connection: Connection, router: Router, shared: Arc<Shared>) {
    let router = TowerToHyperService::new(router);
    let for_requests = connection.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let connection = for_requests.clone();
        connection.ticket.busy();
        request.extensions_mut().insert(connection.clone());
        let answer = router.call(request.map(Body::new));
        async move {
            let answer = answer.await;
            connection.ticket.idle();
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header)
        .max_buf_size(MAX_HEADER_BYTES);
    let mut http = pin!(
        http.serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let mut deadline = Instant::now() + LIFE;
    let mut closing = false;
    loop {
        tokio::select! {
            ended = &mut http => {
                if let Err(error) = ended {
                    debug!(%error, "a connection failed");
                }
                return;
            }
            () = connection.ticket.evicted() => return,
            () = connection.reached(Stage::Cut) => return,
            () = connection.reached(Stage::Closing), if !closing => {
                closing = true;
                http.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline) => {
                if closing {
                    return;
                }
                closing = true;
                http.as_mut().graceful_shutdown();
                // Long enough for a request that has just begun.
                deadline += shared.limits.body + shared.limits.offer + shared.limits.header;
            }
        }
    }
}

/// Answers 503 to whatever is asked, without reading it as HTTP.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    let body =
        r#"{"error":"the server has as many connections as it may","remedy":"try again later"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection and may destroy the answer: read until the client is done.
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}
