//! The messages of the WebSocket, and the check of hostile text.
//!
//! One message is one JSON object in one text frame, told apart by its `type`:
//!
//! | type | from | fields |
//! |---|---|---|
//! | `join` | peer | `room` (optional, [`DEFAULT_ROOM`]) |
//! | `joined` | server | `id` of this peer, `room`, `peers` that were already there |
//! | `offer`, `answer` | peer | `sdp` |
//! | `ice-candidate` | peer | `candidate`: what `RTCIceCandidate.toJSON()` gives; `null` or an empty string ends them |
//! | `bye` | peer, server | `reason` (optional) |
//! | `error` | server, peer | `code`, `message` |
//!
//! Who offers: **the newcomer.** A peer that is told `peers: 1` offers, one that is told `peers: 0` waits for an offer.
//! `bye` ends the call and not the membership: whoever stays in the room sees `bye` and later a new `offer`.
//!
//! Unknown fields are passed over, so that a newer peer can say more. What must hold: [`Message::parse`] takes any
//! text without panicking, and what it returns is within every limit of this module.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::description::{SdpError, check_sdp};

#[cfg(test)]
mod tests;

/// Largest message, in bytes of its JSON text; also the largest body of `POST /offer`.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Longest room name, in characters of `a-z A-Z 0-9 - _ .`
pub const MAX_ROOM_CHARS: usize = 64;
/// Longest candidate line, in bytes. Real ones stay under 300.
pub const MAX_CANDIDATE_BYTES: usize = 2048;
/// Longest `reason` of a `bye` and `message` of an `error`, in bytes.
pub const MAX_REASON_BYTES: usize = 1024;
/// The room of a `join` that names none.
pub const DEFAULT_ROOM: &str = "main";

/// One message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message {
    /// Asks for a place in a room.
    Join {
        /// Name of the room, [`DEFAULT_ROOM`] if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
    },
    /// Grants a place in a room. Only the server says this.
    Joined {
        /// Id of the peer that joined, unique in this server's life.
        id: String,
        /// Name of the room.
        room: String,
        /// How many were in the room already: 0 waits for an offer, 1 offers.
        peers: usize,
    },
    /// Proposes a session.
    Offer {
        /// The description (RFC 8866).
        sdp: String,
    },
    /// Accepts a proposed session.
    Answer {
        /// The description (RFC 8866).
        sdp: String,
    },
    /// Names one more address to try (RFC 8838).
    IceCandidate {
        /// The candidate; `None` says that no more follow.
        #[serde(default)]
        candidate: Option<Candidate>,
    },
    /// Ends the call.
    Bye {
        /// Why, for a person to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Says what went wrong.
    Error {
        /// For a program.
        code: ErrorCode,
        /// For a person: cause and remedy.
        message: String,
    },
}

/// A candidate in the shape of the browser's `RTCIceCandidateInit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The candidate attribute (RFC 8839); empty means that no more follow.
    #[serde(default)]
    pub candidate: String,
    /// The `a=mid` of the media section it belongs to.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The index of the media section it belongs to, from 0.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_mline_index: Option<u16>,
    /// The ICE user fragment it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// What went wrong, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Two peers are in the room already.
    RoomFull,
    /// The server holds as many peers or rooms as it may.
    ServerFull,
    /// There is nobody in the room to take an offer or an answer.
    NobodyThere,
    /// Something else came before `join`.
    NotJoined,
    /// A second `join`.
    AlreadyJoined,
    /// No `join` came in time.
    JoinTimeout,
    /// The text is no message.
    BadMessage,
    /// More candidates than one description may have.
    TooManyCandidates,
    /// Nothing was heard for too long, or what was sent was not read.
    TooSlow,
    /// The application serves the peer, but without its sound or without its pictures: they have no codec in common
    /// that would do.
    NoMedia,
    /// The application refuses or has failed.
    Refused,
    /// A code this version does not know.
    #[serde(other)]
    Other,
}

/// Why a text is no message: what is wrong with it, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Too many bytes.
    #[error(
        "the message has {len} bytes, at most {MAX_MESSAGE_BYTES} are allowed; send candidates one by one"
    )]
    TooLong {
        /// Length in bytes.
        len: usize,
    },
    /// The text is not JSON.
    #[error(
        "the message is not JSON (line {line}, column {column}); send one object such as {{\"type\":\"join\"}}"
    )]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON, but without a `type`.
    #[error("the message has no string `type`; send one object such as {{\"type\":\"join\"}}")]
    NoType,
    /// A `type` that does not exist.
    #[error("unknown type \"{found}\"; use join, offer, answer, ice-candidate, bye or error")]
    UnknownType {
        /// What it says, shortened.
        found: String,
    },
    /// The fields do not fit the `type`.
    #[error("`{kind}` does not fit: {reason}; see the table of messages for its fields")]
    BadFields {
        /// The `type`.
        kind: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A room with a name that is not allowed.
    #[error(
        "the room name must have 1 to {MAX_ROOM_CHARS} characters of a-z A-Z 0-9 - _ .; choose another"
    )]
    BadRoom,
    /// A field that is too long.
    #[error("`{field}` has {len} bytes, at most {max} are allowed; shorten it")]
    FieldTooLong {
        /// Which field.
        field: &'static str,
        /// Length in bytes.
        len: usize,
        /// Longest allowed.
        max: usize,
    },
    /// `sdp` is no session description.
    #[error(transparent)]
    Sdp(#[from] SdpError),
}

const TYPES: [&str; 7] = [
    "join",
    "joined",
    "offer",
    "answer",
    "ice-candidate",
    "bye",
    "error",
];

impl Message {
    /// Reads one message and checks every limit.
    pub fn parse(text: &str) -> Result<Message, ParseError> {
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(ParseError::TooLong { len: text.len() });
        }
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| ParseError::NotJson {
                line: error.line(),
                column: error.column(),
            })?;
        let Some(kind) = value.get("type").and_then(|kind| kind.as_str()) else {
            return Err(ParseError::NoType);
        };
        let Some(kind) = TYPES.into_iter().find(|known| *known == kind) else {
            return Err(ParseError::UnknownType {
                found: kind.chars().take(40).collect(),
            });
        };
        let message: Message =
            serde_json::from_value(value).map_err(|error| ParseError::BadFields {
                kind,
                // The reason may quote the value, which a stranger chose: a bounded part of it is enough.
                reason: error.to_string().chars().take(120).collect(),
            })?;
        message.check()?;
        Ok(message)
    }

    /// Checks the limits of each field.
    pub fn check(&self) -> Result<(), ParseError> {
        match self {
            Message::Join { room: Some(room) } | Message::Joined { room, .. } => check_room(room),
            Message::Offer { sdp } | Message::Answer { sdp } => Ok(check_sdp(sdp)?),
            Message::IceCandidate {
                candidate: Some(candidate),
            } => {
                let mid = candidate.sdp_mid.as_deref().unwrap_or_default();
                let fragment = candidate.username_fragment.as_deref().unwrap_or_default();
                check_len("candidate", &candidate.candidate, MAX_CANDIDATE_BYTES)?;
                check_len("sdpMid", mid, MAX_REASON_BYTES)?;
                check_len("usernameFragment", fragment, MAX_REASON_BYTES)
            }
            Message::Bye {
                reason: Some(reason),
            } => check_len("reason", reason, MAX_REASON_BYTES),
            Message::Error { message, .. } => check_len("message", message, MAX_REASON_BYTES),
            Message::Join { room: None }
            | Message::IceCandidate { candidate: None }
            | Message::Bye { reason: None } => Ok(()),
        }
    }

    /// Writes the message as JSON text.
    pub fn to_json(&self) -> String {
        // Strings, numbers and unit variants only: there is no map with odd keys and no writer that can fail.
        serde_json::to_string(self).expect("a message always has a JSON form")
    }

    /// Makes an `error`.
    pub fn error(code: ErrorCode, message: impl Into<String>) -> Message {
        Message::Error {
            code,
            message: message.into(),
        }
    }

    /// Makes a `bye` with a reason.
    pub fn bye(reason: impl Into<String>) -> Message {
        Message::Bye {
            reason: Some(reason.into()),
        }
    }

    /// Gives the candidate of an `ice-candidate`; `None` when this says that no more follow, or is another message.
    pub fn candidate(&self) -> Option<&Candidate> {
        match self {
            Message::IceCandidate {
                candidate: Some(candidate),
            } if !candidate.candidate.is_empty() => Some(candidate),
            _ => None,
        }
    }
}

impl From<&ParseError> for Message {
    fn from(error: &ParseError) -> Message {
        Message::error(ErrorCode::BadMessage, error.to_string())
    }
}

/// Checks the name of a room: 1 to [`MAX_ROOM_CHARS`] characters of `a-z A-Z 0-9 - _ .`
pub fn check_room(room: &str) -> Result<(), ParseError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_ROOM_CHARS).contains(&room.len()) && room.bytes().all(allowed) {
        Ok(())
    } else {
        Err(ParseError::BadRoom)
    }
}

fn check_len(field: &'static str, text: &str, max: usize) -> Result<(), ParseError> {
    if text.len() > max {
        Err(ParseError::FieldTooLong {
            field,
            len: text.len(),
            max,
        })
    } else {
        Ok(())
    }
}
