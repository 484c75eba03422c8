//! [`Resized`]: the formats of pictures that a node makes of another size than they came in.

use levada_plugin::prelude::*;

/// Finds the format of a picture of another size: a comparison as long as what comes stays, two look-ups when it
/// changes. All that is stated of the picture besides its size stays, as its colours (`levada_plugin::colour`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Resized {
    /// Format of the last picture that came, and the size that was made of it.
    made: (u32, (u32, u32)),
    format: u32,
}

impl Resized {
    /// Returns the format of what is made of `frame`, a picture of known format, in this size.
    ///
    /// # Errors
    /// When the session's table of formats is full.
    pub fn of(&mut self, frame: &Frame, size: (u32, u32), ctx: &Context) -> Result<u32> {
        let made = (frame.format_id(), size);
        if self.made != made {
            let known = ctx.format(frame.format_id()).unwrap_or_default();
            let format = Format::video("i420", size.0, size.1).with_config(known.config);
            self.format = ctx.format_id(&format)?;
            self.made = made;
        }
        Ok(self.format)
    }
}
