//! Requests as a stranger sends them: byte by byte over a plain socket, well formed or not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Checks that this refuses a request: the `status`, and JSON that says what is wrong and what to do.
    pub fn refuses_with(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let problem = self.json();
        for key in ["error", "remedy"] {
            let text = problem[key].as_str().unwrap_or_default();
            assert!(
                text.len() > 5 && text.len() < 2000,
                "no proper \"{key}\": {self:?}"
            );
        }
    }
}

/// Connects to the port of this machine.
pub fn connect(port: u16) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let socket = TcpStream::connect_timeout(&address, LIMIT)
        .unwrap_or_else(|error| panic!("{address}: {error}"));
    socket
        .set_read_timeout(Some(LIMIT))
        .expect("a time limit above zero");
    socket
        .set_write_timeout(Some(LIMIT))
        .expect("a time limit above zero");
    socket
}

/// Sends `request` as it stands and reads the answer until the server closes.
///
/// # Panics
/// When no answer comes in time.
pub fn exchange(port: u16, request: &[u8]) -> Answer {
    let mut socket = connect(port);
    // A server may answer and close before it has read everything; the answer counts.
    let _ = socket.write_all(request);
    let mut bytes = Vec::new();
    if let Err(error) = socket.take(MAX_ANSWER).read_to_end(&mut bytes) {
        assert!(
            !bytes.is_empty(),
            "no answer to {:?}: {error}",
            shown(request)
        );
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP: {text:?}"));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {head:?}"));
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Sends a request with a body, the headers that every client sends, and `headers` (each line ended by `\r\n`).
pub fn request(port: u16, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    exchange(port, &[head.as_bytes(), body].concat())
}

/// Posts `body` to `/offer`.
pub fn post_offer(port: u16, body: &[u8]) -> Answer {
    request(
        port,
        "POST",
        "/offer",
        "Content-Type: application/json\r\n",
        body,
    )
}

fn shown(request: &[u8]) -> String {
    String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned()
}
