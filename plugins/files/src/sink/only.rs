//! [`Only`]: the one stream of a file that holds one, and its format.

use levada_plugin::prelude::*;

/// The stream that a file records.
pub(super) struct Only {
    stream: u16,
    id: u32,
    format: Format,
}

impl Only {
    /// A stream, by a frame of it.
    pub fn new(frame: &Frame, format: Format) -> Only {
        Only {
            stream: frame.stream(),
            id: frame.format_id(),
            format,
        }
    }

    /// Whether a frame belongs to the stream.
    ///
    /// # Errors
    /// When it is of a format that does not go on in the file, which is for `fits` to say.
    pub fn takes(
        &mut self,
        frame: &Frame,
        ctx: &Context,
        fits: impl FnOnce(&Format, &Format) -> bool,
    ) -> Result<bool> {
        if frame.stream() != self.stream {
            return Ok(false);
        }
        if frame.format_id() != self.id {
            let format = ctx.format(frame.format_id()).unwrap_or_default();
            if !fits(&self.format, &format) {
                return Err(Error::new(format_args!(
                    "{:?} became {format:?}, and such a file holds one format; convert it in front of the file, or record into an .mp4 or .mkv",
                    self.format
                )));
            }
            self.id = frame.format_id();
        }
        Ok(true)
    }
}

/// Whether nothing of what a raw file states has changed.
pub(super) fn same(was: &Format, is: &Format) -> bool {
    (was.media, &was.encoding) == (is.media, &is.encoding)
}

/// Whether it is coded as before; a stream's own headers say the rest.
pub(super) fn same_encoding(was: &Format, is: &Format) -> bool {
    (was.kind(), &was.encoding) == (is.kind(), &is.encoding)
}
