//! [`Format`]: what the frames of a stream hold; [`StreamInfo`]: what belongs to a stream itself.

use abi_stable::StableAbi;

use crate::text::Text;

/// What kind of media a format describes.
pub mod media {
    /// Sound.
    pub const AUDIO: u32 = 1;
    /// Pictures.
    pub const VIDEO: u32 = 2;
    /// Messages.
    pub const DATA: u32 = 3;
}

/// One fixed description of what a stream's frames hold.
///
/// Within a session, formats are interned: equal formats have equal ids, a frame carries the id
/// ([`Frame::format`](crate::Frame::format)), and an entry lives as long as the session.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Format {
    /// Size of this struct in bytes as its maker knew it; later versions append fields.
    pub size: usize,
    /// One of [`media`].
    pub media: u32,
    /// Audio: samples a second and channel; else 0. For encoded audio the clock rate.
    pub rate: u32,
    /// Audio: channels, interleaved when raw; else 0.
    pub channels: u32,
    /// Video: width in pixels, 0 when not known yet; else 0.
    pub width: u32,
    /// Video: height in pixels, 0 when not known yet; else 0.
    pub height: u32,
    /// How many frames a second at most, in 1/1000; 0 when not known.
    pub frame_rate_milli: u32,
    /// Lower-case name of the codec or the raw layout: `opus`, `f32` (interleaved native-endian
    /// samples in -1..=1), `s16`, `vp8`, `h264` (Annex B), `i420`; for data the MIME type. In
    /// packet mode `rtp-` stands before the codec's name.
    pub encoding: Text,
    /// Codec configuration: SDP's `fmtp` parameters as text, or the codec's own bytes; often empty. For `i420` what
    /// is known of its colours, as text: `range=full;primaries=bt709;transfer=bt709;matrix=bt709`; for `vp8` that
    /// behind the parameters.
    pub config: Text,
}

/// What belongs to a stream and not to its frames.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct StreamInfo {
    /// Size of this struct in bytes as its maker knew it.
    pub size: usize,
    /// One of [`media`].
    pub media: u32,
    /// Its name: a track's id, a data channel's label.
    pub label: Text,
}
