//! [`Format`]: what the frames of a stream hold, as an owned value.

use std::fmt;

use levada_abi::{self as abi, Text, media};

use crate::frame::Kind;

/// What the frames of a stream hold.
///
/// It prints as `audio/opus 48000 Hz, 2 channels`, with its configuration behind it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Format {
    /// Audio, video or data.
    pub media: Media,
    /// Lower-case name of the codec or raw layout (`opus`, `f32`, `vp8`, `i420`, ...); for data the
    /// MIME type.
    pub encoding: String,
    /// Codec configuration, often empty: SDP's `fmtp` text or the codec's own bytes; of raw pictures their
    /// [colours](crate::colour), and of VP8 those behind the text.
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

    /// The pattern of this format, as ports state them, with what is known of it:
    /// `audio/aac;rate=48000;channels=2`.
    #[must_use]
    pub fn pattern(&self) -> String {
        let (media, keys) = match self.media {
            Media::Audio { rate, channels } => ("audio", [("rate", rate), ("channels", channels)]),
            Media::Video { width, height } => ("video", [("width", width), ("height", height)]),
            Media::Data => ("data", [("", 0), ("", 0)]),
        };
        let known = keys.iter().filter(|(_, value)| *value > 0);
        known.fold(
            format!("{media}/{}", self.encoding),
            |text, (key, value)| format!("{text};{key}={value}"),
        )
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

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = if self.encoding.is_empty() {
            "unknown"
        } else {
            &self.encoding
        };
        match self.media {
            Media::Audio { rate, channels: 1 } => {
                write!(f, "audio/{encoding} {rate} Hz, 1 channel")?
            }
            Media::Audio { rate, channels } => {
                write!(f, "audio/{encoding} {rate} Hz, {channels} channels")?
            }
            Media::Video {
                width: 0,
                height: 0,
            } => write!(f, "video/{encoding}")?,
            Media::Video { width, height } => write!(f, "video/{encoding} {width}x{height}")?,
            Media::Data => write!(f, "data/{encoding}")?,
        }
        match std::str::from_utf8(&self.config) {
            Ok("") => Ok(()),
            Ok(text) => write!(f, " ({text})"),
            Err(_) => write!(f, " ({} bytes of configuration)", self.config.len()),
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_print_for_people() {
        let opus = Format::audio("opus", 48_000, 2).with_config("useinbandfec=1");
        assert_eq!(
            opus.to_string(),
            "audio/opus 48000 Hz, 2 channels (useinbandfec=1)"
        );
        assert_eq!(
            Format::video("vp8", 640, 360).to_string(),
            "video/vp8 640x360"
        );
        assert_eq!(Format::data("text/plain").to_string(), "data/text/plain");
    }
}
