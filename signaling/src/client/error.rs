//! Why a room could not be joined, and whether trying again can help.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::protocol::{ErrorCode, ParseError};

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
