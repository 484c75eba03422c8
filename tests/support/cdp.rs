//! A client of the Chrome DevTools Protocol: calls and their answers, events by target, over one WebSocket.
//!
//! A task reads the socket. An answer goes to the call that carries its id; an event goes to the [`Inbox`] that was
//! registered for its session. When the socket ends, every call that still waits gets an error.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Answer = Result<Value, String>;

/// Takes the events of one session. Called on the task that reads the socket, so it must not wait.
pub trait Inbox: Send + Sync {
    fn event(&self, method: &str, params: &Value);
}

/// A connection to a browser.
pub struct Connection {
    sink: tokio::sync::Mutex<SplitSink<Socket, Message>>,
    next_id: AtomicU64,
    shared: Arc<Shared>,
    reader: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The calls without an answer; each call removes its own entry when its time runs out.
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    inboxes: HashMap<String, Arc<dyn Inbox>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Connects to the browser's endpoint (`ws://127.0.0.1:PORT/devtools/browser/ID`).
    pub async fn open(url: &str) -> Result<Self, String> {
        let (socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .map_err(|error| format!("{url}: {error}"))?;
        let (sink, stream) = socket.split();
        let shared = Arc::new(Shared::default());
        let reader = tokio::spawn(read(stream, shared.clone()));
        Ok(Self {
            sink: tokio::sync::Mutex::new(sink),
            next_id: AtomicU64::new(1),
            shared,
            reader,
        })
    }

    /// Calls `method`, of the target behind `session` or, without one, of the browser.
    pub async fn call(
        &self,
        method: &str,
        params: Value,
        session: Option<&str>,
        limit: Duration,
    ) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.closed {
                return Err(format!("{method}: the browser has closed the connection"));
            }
            state.calls.insert(id, answer);
        }
        let exchange = async {
            let sent = self
                .sink
                .lock()
                .await
                .send(Message::text(request.to_string()))
                .await;
            sent.map_err(|error| error.to_string())?;
            answered
                .await
                .unwrap_or_else(|_| Err("the browser has closed the connection".to_owned()))
        };
        let result = tokio::time::timeout(limit, exchange).await;
        self.shared.lock().calls.remove(&id);
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(why)) => Err(format!("{method}: {why}")),
            Err(_) => Err(format!("{method}: no answer within {limit:?}")),
        }
    }

    /// Sends the events of `session` to `inbox` from now on.
    pub fn register(&self, session: &str, inbox: Arc<dyn Inbox>) {
        self.shared.lock().inboxes.insert(session.to_owned(), inbox);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(mut stream: SplitStream<Socket>, shared: Arc<Shared>) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if let Ok(message) = serde_json::from_str(&text) {
            deliver(&shared, message);
        }
    }
    let mut state = shared.lock();
    state.closed = true;
    state.calls.clear();
}

fn deliver(shared: &Shared, mut message: Value) {
    if let Some(id) = message["id"].as_u64() {
        let call = shared.lock().calls.remove(&id);
        let answer = match message.get("error") {
            Some(error) => Err(error["message"]
                .as_str()
                .unwrap_or("an error without a message")
                .to_owned()),
            None => Ok(message["result"].take()),
        };
        if let Some(call) = call {
            // The caller may have given up in this moment.
            let _ = call.send(answer);
        }
    } else if let (Some(session), Some(method)) =
        (message["sessionId"].as_str(), message["method"].as_str())
    {
        let inbox = shared.lock().inboxes.get(session).cloned();
        if let Some(inbox) = inbox {
            inbox.event(method, &message["params"]);
        }
    }
}
