//! What can go wrong with a peer, one type for the calls that set it up and one for each refused send.

use thiserror::Error;

/// A call on a peer that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The configuration names something impossible; every problem is listed.
    #[error("peer configuration: {}", .problems.join("; "))]
    Config {
        /// Each problem with its remedy.
        problems: Vec<String>,
    },
    /// The connection could not be set up.
    #[error("cannot set up the peer connection ({step}): {cause}")]
    Setup {
        /// What was being done.
        step: &'static str,
        /// What the layer below said.
        cause: String,
    },
    /// An offer or answer was not usable.
    #[error(
        "{what} refused: {cause}; send a complete session description of the right type for the state of the negotiation"
    )]
    Description {
        /// Which description: `offer` or `answer`, and whose.
        what: &'static str,
        /// What the layer below said.
        cause: String,
    },
    /// A remote candidate was not usable.
    #[error("ICE candidate refused: {cause}; send it after the description it belongs to")]
    Candidate {
        /// What the layer below said.
        cause: String,
    },
    /// The connection failed, or was closed before it was up.
    #[error("the peer did not connect: {reason}")]
    NotConnected {
        /// Why, as far as it is known.
        reason: String,
    },
    /// A second data channel with a label that is in use.
    #[error("data channel \"{label}\" exists already; use it, or choose another label")]
    DuplicateLabel {
        /// The label asked for.
        label: String,
    },
    /// A label longer than a data channel can carry.
    #[error("data channel label of {bytes} bytes: at most {limit} are allowed")]
    LabelTooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The peer has as many data channels as it may have.
    #[error("the peer has {limit} data channels already; close one first")]
    TooManyChannels {
        /// The most a peer may have.
        limit: usize,
    },
    /// The peer has been closed.
    #[error("the peer is closed")]
    Closed,
}

/// Why a packet or message was not taken for sending. Each refusal is also counted in [`crate::PeerStats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The connection is closed or has failed.
    #[error("the peer is closed")]
    Closed,
    /// The other side has not agreed to receive this codec, or not yet.
    #[error("the codec is not negotiated for sending")]
    NotNegotiated,
    /// The connection is not up yet.
    #[error("the peer is not connected yet")]
    NotConnected,
    /// The bounded queue of the connection is full: it sends more slowly than it is given packets.
    #[error("the send queue is full")]
    QueueFull,
    /// No data channel with this label is open.
    #[error("no open data channel has this label")]
    NoSuchChannel,
    /// The message is larger than the far side accepts.
    #[error("the message is too large")]
    TooLarge,
    /// A text message is not UTF-8.
    #[error("the text message is not UTF-8")]
    NotText,
    /// There is no such remote track, or it has ended.
    #[error("no such remote track")]
    NoSuchTrack,
}
