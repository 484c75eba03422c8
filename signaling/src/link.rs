//! A link: what an application sees of "the other side".
//!
//! A [`Link`] is a pair of bounded queues of [`Message`]s. Its far end is held by whoever carries the messages: the
//! server in this process ([`Mode::Host`](crate::Mode::Host)) or the WebSocket client ([`connect`](crate::connect)).
//! The application runs one handshake for both.
//!
//! What must hold:
//! * Both queues hold [`LINK_CAPACITY`] messages; a full one makes the sender wait.
//! * The link lives as long as `rx`. When the application drops it, what it has sent before still goes out (a `bye`,
//!   above all), and then the far end closes, even if clones of `tx` are still about.
//! * When the far end goes, `rx` yields what was on its way, then `None`; `tx` fails.

use tokio::sync::mpsc;

use crate::protocol::Message;

/// Messages that wait in each direction of a link. A browser's burst of candidates is 10 to 40.
pub const LINK_CAPACITY: usize = 64;

/// What the server said when the peer joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Id of this peer on the server, unique in the server's life.
    pub id: String,
    /// Name of the room.
    pub room: String,
    /// How many were in the room already. With 1 this side offers; with 0 it waits for an offer.
    pub peers: usize,
}

/// The application's end.
#[derive(Debug)]
pub struct Link {
    /// How this side joined. In a server of [`Mode::Host`](crate::Mode::Host) `peers` is 0: the browser offers.
    pub joined: Joined,
    /// Messages to the other side. May be cloned, for candidates that are found elsewhere.
    pub tx: mpsc::Sender<Message>,
    /// Messages from the other side. Dropping it ends the link.
    pub rx: mpsc::Receiver<Message>,
}

/// The carrier's end.
#[derive(Debug)]
pub struct FarEnd {
    /// Messages to the application.
    pub tx: mpsc::Sender<Message>,
    /// Messages from the application.
    pub rx: mpsc::Receiver<Message>,
}

impl Link {
    /// Makes both ends of a link. With it a test is a peer without a network.
    pub fn pair(joined: Joined) -> (Link, FarEnd) {
        let (tx, far_rx) = mpsc::channel(LINK_CAPACITY);
        let (far_tx, rx) = mpsc::channel(LINK_CAPACITY);
        (
            Link { joined, tx, rx },
            FarEnd {
                tx: far_tx,
                rx: far_rx,
            },
        )
    }
}

impl FarEnd {
    /// Waits for the application's next message; `None` once the application has dropped its `rx` or every `tx`, and
    /// all that it sent before was taken.
    pub async fn recv(&mut self) -> Option<Message> {
        recv(&mut self.rx, &self.tx).await
    }
}

/// [`FarEnd::recv`] for a carrier that holds the two queues apart.
pub(crate) async fn recv(
    rx: &mut mpsc::Receiver<Message>,
    tx: &mpsc::Sender<Message>,
) -> Option<Message> {
    tokio::select! {
        biased;
        message = rx.recv() => message,
        () = tx.closed() => rx.try_recv().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined() -> Joined {
        Joined {
            id: "peer-1".into(),
            room: "main".into(),
            peers: 0,
        }
    }

    #[tokio::test]
    async fn a_bye_before_the_drop_still_arrives_although_a_clone_of_tx_lives_on() {
        let (link, mut far) = Link::pair(joined());
        let straggler = link.tx.clone();
        link.tx.send(Message::bye("done")).await.unwrap();
        drop(link);
        assert_eq!(far.recv().await, Some(Message::bye("done")));
        assert_eq!(far.recv().await, None);
        drop(straggler);
    }

    #[tokio::test]
    async fn a_full_link_makes_the_sender_wait() {
        let (link, mut far) = Link::pair(joined());
        for _ in 0..LINK_CAPACITY {
            link.tx.try_send(Message::bye("x")).unwrap();
        }
        assert!(link.tx.try_send(Message::bye("x")).is_err());
        far.recv().await.unwrap();
        assert!(link.tx.try_send(Message::bye("x")).is_ok());
    }

    #[tokio::test]
    async fn the_application_sees_the_far_end_go() {
        let (mut link, far) = Link::pair(joined());
        far.tx.send(Message::bye("gone")).await.unwrap();
        drop(far);
        assert_eq!(link.rx.recv().await, Some(Message::bye("gone")));
        assert_eq!(link.rx.recv().await, None);
        assert!(link.tx.send(Message::bye("late")).await.is_err());
    }
}
