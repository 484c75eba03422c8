//! The formats in which WebRTC media travels through a graph.

use levada_plugin::{Format, colour::Colour};

use crate::codec::{Codec, MediaKind};

/// How the media of a link is coded: whole units, or RTP payloads as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// One access unit a frame.
    Unit(Codec),
    /// One RTP payload a frame.
    Packet(Codec),
}

impl Wire {
    const ALL: [Wire; 10] = [
        Wire::Unit(Codec::Opus),
        Wire::Unit(Codec::Pcmu),
        Wire::Unit(Codec::Pcma),
        Wire::Unit(Codec::Vp8),
        Wire::Unit(Codec::H264),
        Wire::Packet(Codec::Opus),
        Wire::Packet(Codec::Pcmu),
        Wire::Packet(Codec::Pcma),
        Wire::Packet(Codec::Vp8),
        Wire::Packet(Codec::H264),
    ];

    /// The name of the encoding in formats.
    pub(crate) const fn encoding(self) -> &'static str {
        match self {
            Wire::Unit(Codec::Opus) => "opus",
            Wire::Unit(Codec::Pcmu) => "pcmu",
            Wire::Unit(Codec::Pcma) => "pcma",
            Wire::Unit(Codec::Vp8) => "vp8",
            Wire::Unit(Codec::H264) => "h264",
            Wire::Packet(Codec::Opus) => "rtp-opus",
            Wire::Packet(Codec::Pcmu) => "rtp-pcmu",
            Wire::Packet(Codec::Pcma) => "rtp-pcma",
            Wire::Packet(Codec::Vp8) => "rtp-vp8",
            Wire::Packet(Codec::H264) => "rtp-h264",
        }
    }

    pub(crate) fn of(format: &Format) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|wire| wire.encoding() == format.encoding)
    }

    pub(crate) const fn codec(self) -> Codec {
        match self {
            Wire::Unit(codec) | Wire::Packet(codec) => codec,
        }
    }

    /// The format with what is known of it: for sound the channels, for pictures their size or 0 and their colours,
    /// which stand behind the parameters of the description.
    pub(crate) fn format(
        self,
        channels: u32,
        size: (u32, u32),
        fmtp: &str,
        colour: Colour,
    ) -> Format {
        let codec = self.codec();
        let mut config = fmtp.to_owned();
        if colour != Colour::default() {
            if !config.is_empty() {
                config.push(';');
            }
            config.push_str(&colour.to_string());
        }
        match codec.kind() {
            MediaKind::Audio => Format::audio(self.encoding(), codec.clock_rate(), channels),
            MediaKind::Video => Format::video(self.encoding(), size.0, size.1),
        }
        .with_config(config)
    }
}

/// The MIME types of data frames.
pub(crate) const TEXT: &str = "text/plain";
pub(crate) const BINARY: &str = "application/octet-stream";

macro_rules! audio {
    () => {
        "audio/opus audio/pcmu;rate=8000;channels=1 audio/pcma;rate=8000;channels=1 audio/rtp-opus audio/rtp-pcmu \
         audio/rtp-pcma"
    };
}
macro_rules! video {
    () => {
        "video/vp8 video/h264 video/rtp-vp8 video/rtp-h264"
    };
}
// Browsers show few of the pictures of H.264 that come out of order.
macro_rules! sent_video {
    () => {
        "video/vp8 video/h264;reordering=0 video/rtp-vp8 video/rtp-h264"
    };
}

/// Formats of the ports, and of the inputs where they differ.
pub(crate) const AUDIO_FORMATS: &str = audio!();
pub(crate) const VIDEO_FORMATS: &str = video!();
pub(crate) const SENT_VIDEO_FORMATS: &str = sent_video!();
pub(crate) const DATA_FORMATS: &str = "data/*";
pub(crate) const ALL_FORMATS: &str = concat!(audio!(), " ", video!(), " data/*");
pub(crate) const ALL_SENT_FORMATS: &str = concat!(audio!(), " ", sent_video!(), " data/*");
