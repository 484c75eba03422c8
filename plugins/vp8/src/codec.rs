//! [`Decoder`]: the library's decoder, from which no panic comes and no picture beyond a size.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use oxideav_vp8::{DecodeError, Vp8DecodedFrame, Vp8DecoderState};

/// Pixels of a picture at most: those of 4096x2304, as `h264-decoder` takes.
pub const MAX_PIXELS: u64 = 4096 * 2304;

/// Why a frame was not decoded. The decoder is of no use afterwards.
#[derive(Debug)]
pub enum Broken {
    /// The library's own reason.
    Refused(DecodeError),
    /// The library panicked.
    Panicked,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Refused(DecodeError::FrameTooLarge { pixels, cap }) => {
                write!(
                    f,
                    "its picture has {pixels} pixels, and {cap} are decoded at most"
                )
            }
            Broken::Refused(cause) => write!(f, "it is damaged ({cause})"),
            Broken::Panicked => {
                f.write_str("it is damaged in a way that the codec's library does not expect")
            }
        }
    }
}

/// Whether decoding can begin at a frame, by its first bit (RFC 6386, 9.1).
pub fn is_keyframe(unit: &[u8]) -> bool {
    unit.first().is_some_and(|byte| byte & 1 == 0)
}

/// A decoder for one stream. Its memory grows with the pictures' size, which [`MAX_PIXELS`] bounds.
pub struct Decoder(Vp8DecoderState);

impl Decoder {
    pub fn new() -> Decoder {
        Decoder(Vp8DecoderState::new().with_max_pixels_per_frame(MAX_PIXELS))
    }

    /// Decodes a frame; `None` when it is one that is not to be shown. Any bytes will do.
    ///
    /// # Errors
    /// When they are no frame, or one that is too large. The next keyframe needs a new decoder.
    pub fn decode(&mut self, unit: &[u8]) -> Result<Option<Vp8DecodedFrame>, Broken> {
        let decoder = &mut self.0;
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let picture = decoder.decode_frame(unit)?;
            Ok(Some(picture).filter(|_| decoder.last_frame_shown() != Some(false)))
        }));
        decoded
            .map_err(|_| Broken::Panicked)?
            .map_err(Broken::Refused)
    }
}
