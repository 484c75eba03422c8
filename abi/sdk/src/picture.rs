//! Raw pictures, seen plane by plane: what the bytes of a `video/i420` frame are.
//!
//! I420 is three planes one behind the other without a gap: brightness (Y), one byte a pixel, then the
//! two of colour (U and V, also called Cb and Cr), one byte for each square of two by two pixels. Rows are
//! tightly packed, so a plane's stride is its width. Colour planes of an odd size round up. 8 bits, limited
//! range (Y 16 to 235, U and V 16 to 240 around 128) and BT.601 unless the format states otherwise
//! ([`colour`](crate::colour)).
//!
//! A view borrows the bytes of a frame: [`I420`] to read, [`I420Mut`] to write in place. It is made for a
//! width and a height, which are those of the frame's format ([`Sizes`] finds them and notices changes),
//! and refuses bytes that are too few for them. No size overflows anything: a side has at most
//! [`MAX_SIDE`] pixels.
//!
//! [`Layout`] is for pictures in other layouts, such as `video/rgba`, which the engine converts to where a node takes
//! that.
//!
//! ```
//! use levada_plugin::picture::{I420Mut, i420_bytes};
//!
//! let mut bytes = vec![0; i420_bytes(3, 3)?];
//! assert_eq!(bytes.len(), 9 + 4 + 4);
//! let mut picture = I420Mut::new(&mut bytes, 3, 3)?;
//! picture.u().fill(128);
//! picture.v().fill(128);
//! # Ok::<(), levada_plugin::Error>(())
//! ```

use crate::{
    error::{Error, Result},
    format::Media,
    frame::Frame,
    host::Context,
};

pub use crate::layout::Layout;

/// Most pixels in a row and in a column of a picture.
pub const MAX_SIDE: u32 = 16_384;

/// Returns how many bytes a picture of this size has in I420.
///
/// # Errors
/// When a side is 0 or more than [`MAX_SIDE`].
pub fn i420_bytes(width: u32, height: u32) -> Result<usize> {
    let [y, c, _] = sizes(width, height)?;
    Ok(y.0 * y.1 + 2 * c.0 * c.1)
}

/// Width and height of the three planes.
fn sizes(width: u32, height: u32) -> Result<[(usize, usize); 3]> {
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(Error::new(format_args!(
            "there are no pictures of {width}x{height}: each side has 1 to {MAX_SIDE} pixels"
        )));
    }
    let y = (width as usize, height as usize);
    let c = (y.0.div_ceil(2), y.1.div_ceil(2));
    Ok([y, c, c])
}

fn too_few(bytes: usize, width: u32, height: u32, needed: usize) -> Error {
    Error::new(format_args!(
        "a frame of {bytes} bytes is no picture of {width}x{height} in I420, which has {needed}; the node \
         before it gave the frame the wrong format or cut it"
    ))
}

/// One plane of a picture, to read: rows without a gap between them.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    /// The bytes, `width * height` of them.
    pub data: &'a [u8],
    /// Bytes in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl<'a> Plane<'a> {
    /// Visits the rows from the top.
    pub fn rows(&self) -> std::slice::ChunksExact<'a, u8> {
        self.data.chunks_exact(self.width)
    }
}

/// One plane of a picture, to write: as [`Plane`].
pub struct PlaneMut<'a> {
    /// The bytes, `width * height` of them.
    pub data: &'a mut [u8],
    /// Bytes in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl PlaneMut<'_> {
    /// Visits the rows from the top.
    pub fn rows(&mut self) -> std::slice::ChunksExactMut<'_, u8> {
        self.data.chunks_exact_mut(self.width)
    }

    /// Copies rows that lie `stride` bytes apart in `source` into the plane. The bytes are the caller's to
    /// declare ([`Host::copied`](crate::Host::copied)).
    ///
    /// # Errors
    /// When `source` is too short for the plane's rows, or a row longer than `stride`.
    pub fn copy_from(&mut self, source: &[u8], stride: usize) -> Result {
        let (width, height) = (self.width, self.height);
        let needed = stride
            .checked_mul(height - 1)
            .and_then(|n| n.checked_add(width));
        if stride < width || needed.is_none_or(|needed| source.len() < needed) {
            return Err(Error::new(format_args!(
                "{} bytes in rows of {stride} hold no plane of {width}x{height}",
                source.len()
            )));
        }
        if stride == width {
            self.data.copy_from_slice(&source[..width * height]);
        } else {
            for (to, from) in self.rows().zip(source.chunks(stride)) {
                to.copy_from_slice(&from[..width]);
            }
        }
        Ok(())
    }
}

macro_rules! sized {
    () => {
        /// Pixels in a row.
        #[must_use]
        pub fn width(&self) -> usize {
            self.planes[0].width
        }

        /// Rows of pixels.
        #[must_use]
        pub fn height(&self) -> usize {
            self.planes[0].height
        }

        /// Bytes in a row of a colour plane: half the width, rounded up.
        #[must_use]
        pub fn chroma_width(&self) -> usize {
            self.planes[1].width
        }

        /// Rows of a colour plane: half the height, rounded up.
        #[must_use]
        pub fn chroma_height(&self) -> usize {
            self.planes[1].height
        }
    };
}

/// A picture to read.
#[derive(Clone, Copy)]
pub struct I420<'a> {
    planes: [Plane<'a>; 3],
}

impl<'a> I420<'a> {
    /// Views the first bytes of `bytes` as a picture of this size.
    ///
    /// # Errors
    /// When there are fewer bytes than such a picture has, or a side is 0 or more than [`MAX_SIDE`].
    pub fn new(bytes: &'a [u8], width: u32, height: u32) -> Result<I420<'a>> {
        let sizes = sizes(width, height)?;
        let needed = i420_bytes(width, height)?;
        let mut rest = bytes
            .get(..needed)
            .ok_or_else(|| too_few(bytes.len(), width, height, needed))?;
        let planes = sizes.map(|(width, height)| {
            let (data, behind) = rest.split_at(width * height);
            rest = behind;
            Plane {
                data,
                width,
                height,
            }
        });
        Ok(I420 { planes })
    }

    sized!();

    /// The planes Y, U and V.
    #[must_use]
    pub fn planes(&self) -> [Plane<'a>; 3] {
        self.planes
    }

    /// Brightness: `width * height` bytes.
    #[must_use]
    pub fn y(&self) -> &'a [u8] {
        self.planes[0].data
    }

    /// Blue against yellow: `chroma_width * chroma_height` bytes.
    #[must_use]
    pub fn u(&self) -> &'a [u8] {
        self.planes[1].data
    }

    /// Red against green: `chroma_width * chroma_height` bytes.
    #[must_use]
    pub fn v(&self) -> &'a [u8] {
        self.planes[2].data
    }
}

/// A picture to write in place.
pub struct I420Mut<'a> {
    planes: [PlaneMut<'a>; 3],
}

impl<'a> I420Mut<'a> {
    /// Views the first bytes of `bytes` as a picture of this size.
    ///
    /// # Errors
    /// As [`I420::new`].
    pub fn new(bytes: &'a mut [u8], width: u32, height: u32) -> Result<I420Mut<'a>> {
        let sizes = sizes(width, height)?;
        let (needed, len) = (i420_bytes(width, height)?, bytes.len());
        let mut rest = bytes
            .get_mut(..needed)
            .ok_or_else(|| too_few(len, width, height, needed))?;
        let planes = sizes.map(|(width, height)| {
            let (data, behind) = std::mem::take(&mut rest).split_at_mut(width * height);
            rest = behind;
            PlaneMut {
                data,
                width,
                height,
            }
        });
        Ok(I420Mut { planes })
    }

    sized!();

    /// The planes Y, U and V, all at once.
    pub fn planes(&mut self) -> &mut [PlaneMut<'a>; 3] {
        &mut self.planes
    }

    /// Brightness: `width * height` bytes.
    pub fn y(&mut self) -> &mut [u8] {
        self.planes[0].data
    }

    /// Blue against yellow: `chroma_width * chroma_height` bytes.
    pub fn u(&mut self) -> &mut [u8] {
        self.planes[1].data
    }

    /// Red against green: `chroma_width * chroma_height` bytes.
    pub fn v(&mut self) -> &mut [u8] {
        self.planes[2].data
    }
}

/// Finds the size of each picture by its format, which may change at any frame: a comparison of two
/// numbers as long as it stays, one look-up when it changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    format: u32,
    size: (u32, u32),
}

impl Sizes {
    /// Returns width and height of the picture in `frame`.
    ///
    /// # Errors
    /// When the frame is no `video/i420` of known size, in words that name its format.
    #[inline]
    pub fn of(&mut self, frame: &Frame, ctx: &Context) -> Result<(u32, u32)> {
        // 0 is "no format" and remembered by none.
        if frame.format_id() != self.format || self.format == 0 {
            self.size = look_up(frame.format_id(), ctx)?;
            self.format = frame.format_id();
        }
        Ok(self.size)
    }
}

#[cold]
fn look_up(id: u32, ctx: &Context) -> Result<(u32, u32)> {
    let format = ctx.format(id).unwrap_or_default();
    match format.media {
        Media::Video { width, height } if format.encoding == "i420" => {
            i420_bytes(width, height)?;
            Ok((width, height))
        }
        _ => Err(Error::new(format_args!(
            "pictures are to be video/i420 of known size, and this one is {format}; put a decoder or a \
             converter before this node"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_lie_one_behind_the_other_and_odd_sizes_round_up() -> Result {
        for (width, height) in [(4, 2), (5, 3), (1, 1), (2, 7), (640, 360)] {
            let (w, h) = (width as usize, height as usize);
            let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
            let mut bytes = vec![0; i420_bytes(width, height)?];
            assert_eq!(bytes.len(), w * h + 2 * cw * ch);
            let mut picture = I420Mut::new(&mut bytes, width, height)?;
            assert_eq!((picture.width(), picture.height()), (w, h));
            assert_eq!((picture.chroma_width(), picture.chroma_height()), (cw, ch));
            for (plane, value) in picture.planes().iter_mut().zip(1..) {
                assert_eq!(plane.data.len(), plane.width * plane.height);
                plane.data.fill(value);
            }
            let read = I420::new(&bytes, width, height)?;
            assert_eq!((read.width(), read.height()), (w, h));
            assert!(read.y().iter().all(|b| *b == 1) && read.y().len() == w * h);
            assert!(read.u().iter().all(|b| *b == 2) && read.u().len() == cw * ch);
            assert!(read.v().iter().all(|b| *b == 3) && read.v().len() == cw * ch);
            assert_eq!(read.planes()[2].rows().count(), ch);
            assert!(bytes.iter().all(|b| *b != 0), "no byte is outside");
        }
        Ok(())
    }

    #[test]
    fn too_few_bytes_are_refused_with_both_sizes_and_more_are_let_be() -> Result {
        let mut bytes = vec![7; 25];
        let error = I420::new(&bytes[..23], 4, 4).err().map(|e| e.to_string());
        let text = error.unwrap_or_default();
        assert!(
            text.contains("23 bytes") && text.contains("4x4") && text.contains("24"),
            "{text}"
        );
        assert!(I420Mut::new(&mut bytes[..23], 4, 4).is_err());
        I420Mut::new(&mut bytes, 4, 4)?.planes()[2].data.fill(0);
        assert_eq!(bytes[19..], [7, 0, 0, 0, 0, 7]);
        Ok(())
    }

    #[test]
    fn absurd_sizes_are_refused_without_overflow() {
        for (width, height) in [
            (0, 4),
            (4, 0),
            (u32::MAX, u32::MAX),
            (16_385, 1),
            (1, 1 << 31),
        ] {
            assert!(i420_bytes(width, height).is_err(), "{width}x{height}");
            assert!(I420::new(&[0; 64], width, height).is_err());
            assert!(I420Mut::new(&mut [0; 64], width, height).is_err());
        }
        assert_eq!(i420_bytes(MAX_SIDE, MAX_SIDE).ok(), Some(402_653_184));
    }

    #[test]
    fn rows_that_lie_apart_are_packed_and_short_sources_refused() -> Result {
        let mut bytes = [0; 10];
        let mut picture = I420Mut::new(&mut bytes, 2, 3)?;
        let plane = &mut picture.planes()[0];
        plane.copy_from(&[1, 2, 9, 9, 3, 4, 9, 9, 5, 6], 4)?;
        assert_eq!(plane.data, [1, 2, 3, 4, 5, 6]);
        plane.copy_from(&[6, 5, 4, 3, 2, 1], 2)?;
        assert_eq!(plane.data, [6, 5, 4, 3, 2, 1]);
        assert!(plane.copy_from(&[1, 2, 9, 9, 3, 4, 9, 9, 5], 4).is_err());
        assert!(plane.copy_from(&[0; 64], 1).is_err());
        assert!(plane.copy_from(&[0; 64], usize::MAX).is_err());
        Ok(())
    }
}
