//! The signaling server, as a process of its own, and the two ways to it.
//!
//! The answering side joins by WebSocket and waits; the offering side posts its offer to `/offer`, and the server
//! hands it on and returns the answer. So one description travels each way, with all candidates in it.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use levada::signaling::{
    Answer, Description, Host, Link, Message, Mode, Refusal, Server, ServerConfig,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

use crate::Failure;

/// The argument that makes this program the server.
pub const ROLE: &str = "--signaling";
/// For the server to say where it listens.
const START: Duration = Duration::from_secs(20);
/// For the server to end by itself.
const END: Duration = Duration::from_secs(5);
/// For a request and its answer, the other side's gathering included.
const REQUEST: Duration = Duration::from_secs(30);
/// The longest line of the server that is read, in bytes.
const MAX_LINE: u64 = 256;
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Serves until stdin ends: that is when the program that started this one has ended, however it did.
pub async fn serve() -> Result<(), Failure> {
    let (came, waiting) = mpsc::channel(1);
    let mailbox = Arc::new(Mailbox {
        came,
        waiting: Mutex::new(waiting),
    });
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(ServerConfig::new(listen, Mode::Host(mailbox))).await?;
    println!("{}", server.local_addr());
    let (end, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        // An error is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(end);
    });
    server
        .run(async {
            let _ = ended.await;
        })
        .await;
    Ok(())
}

/// Hands an offer to the peer that has joined, and its answer back.
struct Mailbox {
    came: mpsc::Sender<Link>,
    waiting: Mutex<mpsc::Receiver<Link>>,
}

#[async_trait]
impl Host for Mailbox {
    fn peer(&self, link: Link) {
        // One that finds no room is dropped, and told so by the end of its link.
        let _ = self.came.try_send(link);
    }

    async fn offer(&self, offer: Description) -> Result<Answer, Refusal> {
        let gone = || Refusal {
            status: 502,
            error: "the peer that joined has left without an answer".into(),
            remedy: "look at what it says, and join again".into(),
        };
        // The server waits for this no longer than its limit for an offer.
        let mut link = self.waiting.lock().await.recv().await.ok_or_else(gone)?;
        let offer = Message::Offer { sdp: offer.sdp };
        link.tx.send(offer).await.map_err(|_| gone())?;
        loop {
            match link.rx.recv().await {
                Some(Message::Answer { sdp }) => return Ok(Answer::new(sdp, "1".into())),
                // Nothing else belongs here, and it changes nothing.
                Some(_) => {}
                None => return Err(gone()),
            }
        }
    }
}

/// The server's process. Dropped, it is ended.
pub struct Process {
    child: Child,
    address: SocketAddr,
    /// Closed when its stdout is, which is when it has ended.
    said: mpsc::Receiver<String>,
}

impl Process {
    /// Starts this program again, as the server, and waits until it listens.
    pub async fn start() -> Result<Process, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let (tell, said) = mpsc::channel(1);
        // Should what follows fail, this ends the server.
        let mut process = Process {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            said,
        };
        let mut stdout = BufReader::new(stdout.ok_or("the signaling server has no stdout")?);
        std::thread::spawn(move || {
            let mut line = String::new();
            // An error shows as a line that is no address, or as the end.
            let _ = stdout.by_ref().take(MAX_LINE).read_line(&mut line);
            let _ = tell.blocking_send(line);
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let line = timeout(START, process.said.recv()).await;
        let line = line.ok().flatten().unwrap_or_default();
        process.address = line.trim().parse().map_err(|_| {
            format!("the signaling server said {line:?} where its address belongs; see its own words above")
        })?;
        Ok(process)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its WebSocket.
    pub fn socket_url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Asks it to end, and waits until it has.
    pub async fn end(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        if timeout(END, self.said.recv()).await.is_err() {
            return Err("the signaling server does not end when it is asked to".into());
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the signaling server ended with {status}").into());
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either failing means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Posts an offer, and returns the answer's SDP.
pub async fn post_offer(server: SocketAddr, sdp: String) -> Result<String, Failure> {
    let body = serde_json::to_string(&Description::offer(sdp))?;
    let request = format!(
        "POST /offer HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut socket = TcpStream::connect(server).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.take(MAX_ANSWER).read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(REQUEST, exchange).await.map_err(|_| {
        format!(
            "{server} did not answer the offer in {} s",
            REQUEST.as_secs()
        )
    })??;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("{server} answered the offer with no HTTP: {answer:?}"))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("{server} refused the offer: {body}").into());
    }
    let answer: Answer = serde_json::from_str(body)?;
    Ok(answer.sdp)
}
