//! [`Alike`]: pictures in the colours that the canvas has.
//!
//! The canvas is one picture, so it has one matrix and one range of Y, U and V. Pictures of others go through red, green
//! and blue on their way to it, as two `convert` nodes would send them: by the one calculation that there is
//! ([`Converter`]).

use levada_plugin::{colour::Colour, picture::Layout, prelude::*};

use crate::pixels::{Converter, formula};

/// Gives the pictures of one input the colours of the canvas.
pub(super) struct Alike {
    from: Converter,
    to: Converter,
    rgb: Vec<u8>,
    made: Vec<u8>,
}

impl Alike {
    /// What makes pictures of this size and these colours like those of `canvas`; `None` where they are.
    ///
    /// # Errors
    /// When a side is 0 or too large.
    pub fn new(colour: Colour, canvas: Colour, size: (u32, u32)) -> Result<Option<Alike>> {
        if formula(colour) == formula(canvas) {
            return Ok(None);
        }
        let bytes = |layout: Layout| layout.bytes(size.0, size.1);
        Ok(Some(Alike {
            from: Converter::new(Layout::I420, Layout::Rgb24, size, colour)?,
            to: Converter::new(Layout::Rgb24, Layout::I420, size, canvas)?,
            rgb: vec![0; bytes(Layout::Rgb24)?],
            made: vec![0; bytes(Layout::I420)?],
        }))
    }

    /// The picture, and how many bytes were written for it.
    ///
    /// # Errors
    /// When there are too few bytes.
    pub fn make(&mut self, picture: &[u8]) -> Result<(&[u8], usize)> {
        self.from.convert(picture, &mut self.rgb)?;
        self.to.convert(&self.rgb, &mut self.made)?;
        Ok((&self.made, self.rgb.len() + self.made.len()))
    }
}
