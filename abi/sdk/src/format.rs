//! [`Format`]: what the frames of a stream hold, as an owned value.

use levada_abi::{self as abi, Text, media};

use crate::frame::Kind;

/// What the frames of a stream hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Format {
    /// Audio, video or data.
    pub media: Media,
    /// Lower-case name of the codec or raw layout (`opus`, `f32`, `vp8`, `i420`, ...); for data the
    /// MIME type.
    pub encoding: String,
    /// Codec configuration, often empty: SDP's `fmtp` text or the codec's own bytes.
    pub config: Vec<u8>,
}

/// The part of a format that depends on the kind of media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Media {
    /// Sound.
    Audio {
        /// Samples a second and channel; for encoded audio the clock rate.
        rate: u32,
        /// Channels, interleaved when raw.
        channels: u32,
    },
    /// Pictures.
    Video {
        /// Width in pixels, 0 when not known yet.
        width: u32,
        /// Height in pixels, 0 when not known yet.
        height: u32,
    },
    /// Messages.
    #[default]
    Data,
}

impl Format {
    /// Sound.
    #[must_use]
    pub fn audio(encoding: &str, rate: u32, channels: u32) -> Format {
        Format {
            media: Media::Audio { rate, channels },
            encoding: encoding.into(),
            config: vec![],
        }
    }

    /// Pictures; sizes in pixels, 0 when not known yet.
    #[must_use]
    pub fn video(encoding: &str, width: u32, height: u32) -> Format {
        Format {
            media: Media::Video { width, height },
            encoding: encoding.into(),
            config: vec![],
        }
    }

    /// Messages of a MIME type.
    #[must_use]
    pub fn data(mime: &str) -> Format {
        Format {
            media: Media::Data,
            encoding: mime.into(),
            config: vec![],
        }
    }

    /// Sets the codec configuration.
    #[must_use]
    pub fn with_config(mut self, config: impl Into<Vec<u8>>) -> Format {
        self.config = config.into();
        self
    }

    /// What kind of media it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.media {
            Media::Audio { .. } => Kind::Audio,
            Media::Video { .. } => Kind::Video,
            Media::Data => Kind::Data,
        }
    }

    /// Borrows the format as the contract's own type, for the length of `use_it`.
    pub fn with_abi<R>(&self, use_it: impl FnOnce(&abi::Format) -> R) -> R {
        let (mut rate, mut channels, mut width, mut height) = (0, 0, 0, 0);
        match self.media {
            Media::Audio {
                rate: r,
                channels: c,
            } => (rate, channels) = (r, c),
            Media::Video {
                width: w,
                height: h,
            } => (width, height) = (w, h),
            Media::Data => {}
        }
        use_it(&abi::Format {
            size: size_of::<abi::Format>(),
            media: self.kind().to_abi(),
            rate,
            channels,
            width,
            height,
            frame_rate_milli: 0,
            encoding: Text::new(&self.encoding),
            config: Text::from_bytes(&self.config),
        })
    }

    /// Copies the contract's own type.
    ///
    /// # Safety
    /// The texts in `format` must be valid.
    #[must_use]
    pub unsafe fn from_abi(format: &abi::Format) -> Format {
        let media = match format.media {
            media::AUDIO => Media::Audio {
                rate: format.rate,
                channels: format.channels,
            },
            media::VIDEO => Media::Video {
                width: format.width,
                height: format.height,
            },
            _ => Media::Data,
        };
        // SAFETY: the caller vouches for both texts.
        let (encoding, config) = unsafe { (format.encoding.as_str(), format.config.as_bytes()) };
        Format {
            media,
            encoding: encoding.into(),
            config: config.into(),
        }
    }
}
