//! The codecs that a peer may negotiate, and what RTP needs to know about each.
//!
//! The list is closed on purpose: an offer or answer names exactly what the media code of this crate can take apart
//! and put together again ([`crate::media`]), so a codec can never be negotiated that nothing here understands.

use std::fmt;

/// Whether a stream is heard or seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

impl MediaKind {
    /// Both kinds, in the order in which they appear in descriptions.
    pub const ALL: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

    /// The word used in descriptions and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        }
    }

    /// Its place in [`MediaKind::ALL`].
    pub const fn index(self) -> usize {
        match self {
            MediaKind::Audio => 0,
            MediaKind::Video => 1,
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A codec that this crate negotiates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, RFC 6716, in RTP by RFC 7587.
    Opus,
    /// G.711 with the mu law, 8000 Hz, one channel, in RTP by RFC 3551, 4.5.14.
    Pcmu,
    /// G.711 with the A law, likewise.
    Pcma,
    /// VP8, RFC 6386, in RTP by RFC 7741.
    Vp8,
    /// H.264, constrained baseline, packetization mode 1, in RTP by RFC 6184; access units are Annex B.
    H264,
}

impl Codec {
    /// Every codec, the preferred one of a kind first.
    pub const ALL: [Codec; 5] = [
        Codec::Opus,
        Codec::Pcmu,
        Codec::Pcma,
        Codec::Vp8,
        Codec::H264,
    ];

    /// Whether it is heard or seen.
    pub const fn kind(self) -> MediaKind {
        match self {
            Codec::Opus | Codec::Pcmu | Codec::Pcma => MediaKind::Audio,
            Codec::Vp8 | Codec::H264 => MediaKind::Video,
        }
    }

    /// Ticks of the RTP clock in a second.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::Vp8 | Codec::H264 => 90_000,
        }
    }

    /// The MIME type, as descriptions spell it.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Codec::Opus => "audio/opus",
            Codec::Pcmu => "audio/PCMU",
            Codec::Pcma => "audio/PCMA",
            Codec::Vp8 => "video/VP8",
            Codec::H264 => "video/H264",
        }
    }

    /// Its name in descriptions, without the kind.
    pub fn name(self) -> &'static str {
        let mime_type = self.mime_type();
        mime_type
            .split_once('/')
            .map_or(mime_type, |(_, name)| name)
    }

    /// The codec with this MIME type, in any case.
    pub fn from_mime_type(mime_type: &str) -> Option<Self> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.mime_type().eq_ignore_ascii_case(mime_type))
    }

    /// Whether later units depend on earlier ones, so that a loss spoils everything up to the next keyframe.
    pub const fn is_inter_coded(self) -> bool {
        matches!(self, Codec::Vp8 | Codec::H264)
    }

    /// Whether the packets around a stream say what its colours are, because the stream itself does not.
    pub(crate) const fn is_coloured_by_packets(self) -> bool {
        matches!(self, Codec::Vp8)
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Codec::Opus => 0,
            Codec::Pcmu => 1,
            Codec::Pcma => 2,
            Codec::Vp8 => 3,
            Codec::H264 => 4,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mime_type())
    }
}
