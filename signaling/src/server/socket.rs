//! One WebSocket, from its first message to its close.
//!
//! Two halves run side by side in one task: one reads, checks and hands on; the other writes and pings. Whichever ends
//! first ends the session, and says in an [`End`] what the client is to be told. The rules are those of
//! [`Rooms`](crate::room::Rooms) in both modes: a relay has one for all peers; a host has one for each browser, with
//! itself as the peer that waits in the room.
//!
//! What must hold: every wait has a limit. Not joined: [`Limits::join`]. Joined and silent: three pings. Not reading:
//! [`Limits::write`] for each message. A host that does not take a message: [`Limits::write`].

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite;
use tracing::debug;

use super::Shared;
use super::accept::{Connection, Stage};
use super::side::{End, Outgoing, Side, Source, code};
use crate::protocol::{ErrorCode, Message};

#[cfg(doc)]
use super::Limits;

/// Answers that wait to be written to the peer that caused them. When they are not read, its next message is not.
const REPLIES: usize = 8;
/// How long the goodbye may take: the last message, the close frame, and the client's own close.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves one WebSocket to its end.
pub(super) async fn serve(socket: WebSocket, shared: Arc<Shared>, connection: Connection) {
    tokio::select! {
        () = session(socket, &shared, &connection) => {}
        () = connection.reached(Stage::Cut) => {}
    }
}

async fn session(socket: WebSocket, shared: &Shared, connection: &Connection) {
    let (mut sink, mut stream) = socket.split();
    let end = match Side::open(shared) {
        None => End::error(
            code::TRY_LATER,
            ErrorCode::ServerFull,
            "the server holds no more peers; try again later",
        ),
        Some((mut side, mut source)) => {
            let (replies, mut to_write) = mpsc::channel(REPLIES);
            tokio::select! {
                end = read(&mut stream, &mut side, replies, shared, connection) => end,
                end = write(&mut sink, &mut to_write, &mut source, shared) => end,
                () = connection.reached(Stage::Closing) => {
                    End { last: Some(Message::bye("the server stops")), close: Some(code::GOING_AWAY) }
                }
                () = connection.ticket.evicted() => {
                    let text = "the place is needed for somebody else; join at once after connecting";
                    End::error(code::TRY_LATER, ErrorCode::ServerFull, text)
                }
            }
            // Dropping `side` here lets the mate or the host know before the goodbye, which may take its time.
        }
    };
    debug!(?end, "a WebSocket ends");
    goodbye(sink, stream, end).await;
}

async fn read(
    stream: &mut SplitStream<WebSocket>,
    side: &mut Side,
    replies: mpsc::Sender<Message>,
    shared: &Shared,
    connection: &Connection,
) -> End {
    let limits = &shared.limits;
    let deadline = Instant::now() + limits.join;
    let mut joined = false;
    loop {
        let until = if joined {
            Instant::now() + limits.ping * 3
        } else {
            deadline
        };
        let frame = match timeout_at(until, stream.next()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return broken(error),
            Ok(None) => return End::GONE,
            Err(_) if joined => {
                return End::error(
                    code::POLICY,
                    ErrorCode::TooSlow,
                    "no sign of life; connect again",
                );
            }
            Err(_) => {
                let text = "no join came in time; send {\"type\":\"join\"} right after connecting";
                return End::error(code::POLICY, ErrorCode::JoinTimeout, text);
            }
        };
        let flow = match frame {
            Frame::Text(text) => match Message::parse(&text) {
                Ok(message) => side.take(message, &replies, shared).await,
                Err(error) => side.bad_message(&error.to_string(), &replies).await,
            },
            Frame::Binary(_) => {
                side.bad_message("the message is binary; send JSON in a text frame", &replies)
                    .await
            }
            Frame::Ping(_) | Frame::Pong(_) => ControlFlow::Continue(()),
            Frame::Close(_) => return End::GONE,
        };
        if let ControlFlow::Break(end) = flow {
            // What was answered before, the reason among it, goes first.
            let _ = timeout(GOODBYE, replies.reserve_many(REPLIES)).await;
            return end;
        }
        if !joined && side.is_joined() {
            joined = true;
            connection.ticket.busy();
        }
    }
}

fn broken(error: axum::Error) -> End {
    use tungstenite::Error::{Capacity, Utf8};
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(Capacity(error)) => End::error(
            code::TOO_LARGE,
            ErrorCode::BadMessage,
            format!("{error}; send candidates one by one"),
        ),
        Some(Utf8(_)) => End::error(
            code::POLICY,
            ErrorCode::BadMessage,
            "the text is not UTF-8; send JSON",
        ),
        _ => End::GONE,
    }
}

async fn write(
    sink: &mut SplitSink<WebSocket, Frame>,
    replies: &mut mpsc::Receiver<Message>,
    source: &mut Source,
    shared: &Shared,
) -> End {
    let limits = &shared.limits;
    let mut pings = interval_at(Instant::now() + limits.ping, limits.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said_bye = false;
    loop {
        // Pings first: were they crowded out by traffic, a client that only listens would seem dead.
        let (frame, held) = tokio::select! {
            biased;
            _ = pings.tick() => (Frame::Ping(Default::default()), None),
            Some(reply) = replies.recv() => (Frame::Text(reply.to_json().into()), None),
            next = source.next() => match next {
                Some((Outgoing::Text(text), is_bye)) => {
                    said_bye = is_bye;
                    (Frame::Text(text.into()), None)
                }
                Some((Outgoing::Queued(mut queued), _)) => {
                    let text = std::mem::take(&mut queued.text);
                    (Frame::Text(text.into()), Some(queued))
                }
                None => return end_of(source, said_bye),
            },
        };
        match timeout(limits.write, sink.send(frame)).await {
            Ok(Ok(())) => drop(held),
            Ok(Err(_)) => return End::GONE,
            // It does not read, so it would not read the reason either.
            Err(_) => return End::GONE,
        }
    }
}

fn end_of(source: &Source, said_bye: bool) -> End {
    match source {
        // Too many mistakes, which were answered one by one, or too slow a reader.
        Source::Relay(_) => End {
            last: None,
            close: Some(code::POLICY),
        },
        Source::Host { .. } => {
            let last = (!said_bye).then(|| Message::bye("the session has ended"));
            End {
                last,
                close: Some(code::DONE),
            }
        }
    }
}

async fn goodbye(
    mut sink: SplitSink<WebSocket, Frame>,
    mut stream: SplitStream<WebSocket>,
    end: End,
) {
    let Some(close) = end.close else { return };
    let said = async {
        if let Some(message) = end.last {
            sink.send(Frame::Text(message.to_json().into())).await?;
        }
        sink.send(Frame::Close(Some(CloseFrame {
            code: close,
            reason: Default::default(),
        })))
        .await
    };
    if !matches!(timeout(GOODBYE, said).await, Ok(Ok(()))) {
        return;
    }
    if close == code::TOO_LARGE {
        // The rest of a message that is too large lies unread, and closing now would reset the connection before the
        // client has read why. There is no event to wait for: what it does next cannot be read past that message.
        sleep(GOODBYE).await;
        return;
    }
    let _ = timeout(GOODBYE, async {
        while let Some(Ok(_)) = stream.next().await {}
    })
    .await;
}
