//! [`Decoder`]: the library's decoder, a unit in and its picture out.

use std::fmt;

use bytes::Bytes;
use re_rav1d::dav1d::{self, Picture};

use crate::sequence::MAX_PIXELS;

/// Pictures that a unit may show: by the specification it is one, and one for each layer otherwise (7.5).
const MAX_SHOWN: usize = 4;

/// Why a unit was not decoded. The decoder is of no use afterwards.
#[derive(Debug)]
pub enum Broken {
    /// The library's own reason.
    Refused(dav1d::Error),
    /// More pictures than a unit may show.
    TooMany,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Refused(cause) => {
                write!(f, "it is damaged, or refers to what is missing ({cause})")
            }
            Broken::TooMany => write!(
                f,
                "it shows more than {MAX_SHOWN} pictures, and is to show one"
            ),
        }
    }
}

/// A decoder for one stream, which works on the thread that calls it.
pub struct Decoder(dav1d::Decoder);

impl Decoder {
    pub fn new() -> Result<Decoder, dav1d::Error> {
        let mut settings = dav1d::Settings::new();
        // The engine's workers are the threads, and no picture waits for another.
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_all_layers(false);
        settings.set_frame_size_limit(MAX_PIXELS);
        dav1d::Decoder::with_settings(&settings).map(Decoder)
    }

    /// Decodes a unit of needed OBUs, which is not empty. The last picture that it shows comes out, and how many it
    /// shows.
    ///
    /// # Errors
    /// When it is damaged. The next keyframe needs a new decoder.
    pub fn decode(&mut self, unit: Bytes) -> Result<(Option<Picture>, usize), Broken> {
        let mut sent = self.0.send_data(unit, None, None, None);
        let (mut last, mut shown) = (None, 0);
        loop {
            let all_sent = match sent {
                Ok(()) => true,
                Err(dav1d::Error::Again) => false,
                Err(cause) => return Err(Broken::Refused(cause)),
            };
            match self.0.get_picture() {
                Ok(picture) => {
                    (last, shown) = (Some(picture), shown + 1);
                    if shown > MAX_SHOWN {
                        return Err(Broken::TooMany);
                    }
                }
                Err(dav1d::Error::Again) if all_sent => return Ok((last, shown)),
                Err(dav1d::Error::Again) => {}
                Err(cause) => return Err(Broken::Refused(cause)),
            }
            if !all_sent {
                sent = self.0.send_pending_data();
            }
        }
    }
}
