//! Joins again when the connection has broken.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::info;

use super::{ClientError, ConnectOptions, connect};
use crate::link::Link;

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
