//! A peer, at the level of media and messages: the one face behind which a WebRTC connection lives.
//!
//! Descriptions and candidates go in and out, RTP packets and data messages go in and out, and events come out. The
//! face names no socket, no task and no clock, so that more than one driver can stand behind it; the one there is
//! drives the crate `webrtc` on tokio ([`crate::TokioPeer`]).
//!
//! What must hold for every driver:
//! * The sending calls ([`Peer::send_rtp`], [`Peer::send_data`], [`Peer::request_keyframe`], [`Peer::limit_bitrate`]) may come from any
//!   thread, inside or outside an async runtime. They never block and never wait. What they do not take is refused
//!   to the caller and counted.
//! * The [`PeerSink`] is called from the driver's threads, for one track in order, for different tracks possibly at
//!   the same time. It must return at once.
//! * After [`Peer::close`] has returned the sink is not called again, and nothing of the connection is left running.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use levada_plugin::colour::Colour;

use crate::codec::{Codec, MediaKind};
use crate::error::{PeerError, Refused};

/// A remote track of one peer, numbered in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u16);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "track {}", self.0)
    }
}

/// What is known of a remote track when its first packet arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackInfo {
    /// Its number.
    pub id: TrackId,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// The codec of its first packet. Packets name theirs again, for the other side may change codec.
    pub codec: Codec,
    /// Ticks of the RTP clock in a second.
    pub clock_rate: u32,
    /// Channels of sound as negotiated (2 for Opus, whatever it carries); 0 for pictures.
    pub channels: u16,
    /// The negotiated format parameters, such as `minptime=10;useinbandfec=1`.
    pub fmtp: String,
    /// The track's name in the other side's description.
    pub label: String,
}

/// One RTP packet as received, in order of arrival: neither sorted nor cleaned of duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpIn {
    /// Which track it belongs to.
    pub track: TrackId,
    /// How the payload is coded.
    pub codec: Codec,
    /// The payload without header and padding; empty for a packet that only pads.
    pub payload: Bytes,
    /// The marker bit: last packet of a picture, first packet of a talk spurt.
    pub marker: bool,
    /// Sampling time in ticks of the codec's clock, from a random start, wrapping.
    pub timestamp: u32,
    /// Number of the packet in its stream, from a random start, wrapping.
    pub sequence: u16,
    /// The sender's stream number. When it changes, timestamps and sequence start anew.
    pub ssrc: u32,
    /// What its header states of the colours of pictures.
    pub colour: Option<Colour>,
}

/// One RTP packet to send. Stream number and payload type are the driver's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpOut {
    /// How the payload is coded.
    pub codec: Codec,
    /// The payload; at most about 1200 bytes, so that the datagram passes every network.
    pub payload: Bytes,
    /// The marker bit.
    pub marker: bool,
    /// Sampling time in ticks of the codec's clock.
    pub timestamp: u32,
    /// Number of the packet in its stream, or `None` for one more than the last. A number of one's own preserves gaps;
    /// it must not jump by 2^15 or more, for the encryption counts the wraps.
    pub sequence: Option<u16>,
    /// What its header is to state of the colours of pictures. It goes with the last packet of a keyframe, and is left
    /// away where the other side did not agree to hear it.
    pub colour: Option<Colour>,
}

/// A data-channel message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whether it is text (UTF-8) or bytes.
    pub text: bool,
    /// The content; at most [`crate::MAX_MESSAGE_BYTES`].
    pub payload: Bytes,
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: true,
            payload: Bytes::from(text.into()),
        }
    }

    /// A message of bytes.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self {
            text: false,
            payload: payload.into(),
        }
    }
}

/// An ICE candidate, with the fields of the browser's `RTCIceCandidateInit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IceCandidate {
    /// The candidate line, beginning with `candidate:`; empty for the end of candidates.
    pub candidate: String,
    /// The media section it belongs to, by its `mid`.
    pub sdp_mid: Option<String>,
    /// The media section it belongs to, by its place.
    pub sdp_m_line_index: Option<u16>,
    /// The ICE user fragment it belongs to.
    pub username_fragment: Option<String>,
}

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nothing has been agreed yet.
    New,
    /// Candidates are being tried.
    Connecting,
    /// Media and messages flow.
    Connected,
    /// Nothing has been heard for a while. It may come back.
    Disconnected,
    /// It will not come back.
    Failed {
        /// Why, as far as it is known.
        reason: String,
    },
    /// This side has closed it.
    Closed,
}

impl ConnectionState {
    /// Whether the connection can never work again.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Closed)
    }
}

/// Something that happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// The first packet of a remote track arrived.
    TrackAdded(TrackInfo),
    /// A remote track will bring no more packets.
    TrackEnded(TrackId),
    /// The connection's state changed.
    State(ConnectionState),
    /// The other side wants a keyframe of the pictures that we send (PLI or FIR).
    KeyframeWanted,
    /// The network takes another bitrate than before, as far as the other side's reports show: of all that is sent
    /// together. Told at most five times a second, and only when it changed by more than a twentieth.
    Bitrate {
        /// Bits a second.
        bits_per_second: u64,
    },
    /// A data channel, ours or theirs, is open.
    ChannelOpen {
        /// Its label.
        label: String,
    },
    /// A data channel is closed.
    ChannelClosed {
        /// Its label.
        label: String,
    },
    /// A local candidate to send to the other side (trickle ICE).
    LocalCandidate(IceCandidate),
    /// There are no more local candidates.
    GatheringComplete,
}

/// Receives what comes from a peer. Called from the driver's threads; see the module's rules.
pub trait PeerSink: Send + Sync + 'static {
    /// A packet of media.
    fn rtp(&self, packet: RtpIn);
    /// A message of the data channel with this label.
    fn message(&self, label: &str, message: Message);
    /// An event. Events of one track or channel are in order with its packets or messages.
    fn event(&self, event: PeerEvent);
}

/// What a peer has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// RTP packets handed to the sink.
    pub rtp_received: u64,
    /// RTP packets received whose payload type was never agreed.
    pub rtp_unknown: u64,
    /// RTP packets taken for sending.
    pub rtp_sent: u64,
    /// RTP packets refused, for whatever reason.
    pub rtp_refused: u64,
    /// Data messages handed to the sink.
    pub messages_received: u64,
    /// Data messages taken for sending.
    pub messages_sent: u64,
    /// Data messages refused, or taken and then lost because their channel closed.
    pub messages_refused: u64,
    /// Keyframe requests that came from the other side.
    pub keyframes_wanted: u64,
    /// Keyframe requests sent to the other side.
    pub keyframes_requested: u64,
    /// Bytes of data messages that had to be copied for sending, because their memory was shared.
    pub bytes_copied: u64,
}

/// One WebRTC connection. See the module's rules for threads.
///
/// One side calls [`create_offer`](Peer::create_offer) and [`handle_answer`](Peer::handle_answer), the other
/// [`handle_offer_and_create_answer`](Peer::handle_offer_and_create_answer). Candidates travel either one by one as
/// they are found ([`PeerEvent::LocalCandidate`], [`Peer::add_ice_candidate`]) or all at once inside the description
/// that [`Peer::wait_for_ice_gathering`] returns.
#[async_trait]
pub trait Peer: Send + Sync + 'static {
    /// Makes and applies an offer, and returns it without candidates; gathering starts.
    ///
    /// An offer without a data channel has no section for data: call [`add_data_channel`](Peer::add_data_channel)
    /// before.
    ///
    /// # Errors
    ///
    /// [`PeerError::Description`] when an offer is already under way, [`PeerError::Closed`].
    async fn create_offer(&self) -> Result<String, PeerError>;

    /// Applies the other side's offer, and returns the applied answer without candidates; gathering starts.
    /// A later offer (renegotiation) is handled the same way.
    ///
    /// # Errors
    ///
    /// [`PeerError::Description`] when `sdp` is not an offer that can be answered; [`PeerError::Closed`].
    async fn handle_offer_and_create_answer(&self, sdp: &str) -> Result<String, PeerError>;

    /// Applies the other side's answer to our offer.
    ///
    /// # Errors
    ///
    /// [`PeerError::Description`] when `sdp` is not an answer to an offer that is under way; [`PeerError::Closed`].
    async fn handle_answer(&self, sdp: &str) -> Result<(), PeerError>;

    /// Adds a candidate of the other side. An empty candidate means that there are no more, and is fine.
    ///
    /// # Errors
    ///
    /// [`PeerError::Candidate`] when it cannot be parsed or comes before the description.
    async fn add_ice_candidate(&self, candidate: IceCandidate) -> Result<(), PeerError>;

    /// Waits until all local candidates are known, and returns the local description with all of them in it.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotConnected`] when the connection ends before, [`PeerError::Description`] when there is no local
    /// description yet.
    async fn wait_for_ice_gathering(&self) -> Result<String, PeerError>;

    /// The local description with the candidates that are known so far; `None` before there is one. For those who do
    /// not want to wait for all: a STUN server that does not answer holds gathering up for some ten seconds.
    async fn local_description(&self) -> Option<String>;

    /// Waits until the connection is up. It sets no limit of its own beyond the configured ICE times.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotConnected`] with the reason when it failed or was closed.
    async fn wait_for_connection(&self) -> Result<(), PeerError>;

    /// Adds a reliable, ordered data channel. It is usable from [`PeerEvent::ChannelOpen`] on.
    ///
    /// # Errors
    ///
    /// [`PeerError::DuplicateLabel`], [`PeerError::TooManyChannels`], [`PeerError::LabelTooLong`],
    /// [`PeerError::Closed`].
    async fn add_data_channel(&self, label: &str) -> Result<(), PeerError>;

    /// Takes an RTP packet for sending.
    ///
    /// # Errors
    ///
    /// The reason for refusing it; the packet is counted in [`PeerStats::rtp_refused`].
    fn send_rtp(&self, packet: RtpOut) -> Result<(), Refused>;

    /// Takes a message for sending on the data channel with this label, in order.
    ///
    /// # Errors
    ///
    /// The reason for refusing it; the message is counted in [`PeerStats::messages_refused`].
    fn send_data(&self, label: &str, message: Message) -> Result<(), Refused>;

    /// Asks the other side for a keyframe of a remote video track (PLI). The caller limits the rate.
    ///
    /// # Errors
    ///
    /// [`Refused::NoSuchTrack`], [`Refused::QueueFull`] or [`Refused::Closed`]: ask again later.
    fn request_keyframe(&self, track: TrackId) -> Result<(), Refused>;

    /// Asks the other side to send at most so many bits a second while it sends this track (REMB). The caller limits
    /// the rate.
    ///
    /// # Errors
    ///
    /// [`Refused::NoSuchTrack`], [`Refused::QueueFull`] or [`Refused::Closed`].
    fn limit_bitrate(&self, track: TrackId, bits_per_second: u64) -> Result<(), Refused>;

    /// The codecs that the other side agreed to receive, of this kind, preferred first; empty before the answer.
    fn negotiated(&self, kind: MediaKind) -> Vec<Codec>;

    /// Where the connection stands.
    fn state(&self) -> ConnectionState;

    /// The counters.
    fn stats(&self) -> PeerStats;

    /// Closes the connection and ends everything that belongs to it. Closing again does nothing.
    async fn close(&self);
}
