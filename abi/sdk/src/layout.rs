//! [`Layout`]: how the samples of a raw picture lie in memory.

use crate::{
    error::{Error, Result},
    format::{Format, Media},
    picture::MAX_SIDE,
};

/// How the samples of a raw picture lie in memory. All have 8 bits, rows and planes lie without gaps, and colours that
/// are halved round up.
///
/// ```
/// use levada_plugin::{Format, picture::Layout};
///
/// let format = Format::video("rgba", 3, 2);
/// let layout = Layout::of(&format).ok_or_else(|| levada_plugin::Error::new("no layout of pixels"))?;
/// let bytes = vec![0; layout.bytes(3, 2)?];
/// let [pixels, ..] = layout.planes(&bytes, 3, 2)?;
/// assert_eq!(pixels.chunks_exact(3 * 4).count(), 2);
/// # Ok::<(), levada_plugin::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `i420`: planes Y, U and V, colours halved in both directions; see [`I420`](crate::picture::I420).
    I420,
    /// `nv12`: plane Y, then U and V by turns, halved in both directions.
    Nv12,
    /// `i422`: planes Y, U and V, colours halved in width.
    I422,
    /// `i444`: planes Y, U and V of one size.
    I444,
    /// `rgba`: red, green, blue and opacity of each pixel, 0 to 255.
    Rgba,
    /// `rgb24`: red, green and blue of each pixel, 0 to 255.
    Rgb24,
}

impl Layout {
    /// Every one.
    pub const ALL: [Layout; 6] = [
        Layout::I420,
        Layout::Nv12,
        Layout::I422,
        Layout::I444,
        Layout::Rgba,
        Layout::Rgb24,
    ];

    /// Returns the layout of a format's pictures; `None` where it is another, or no picture.
    #[must_use]
    pub fn of(format: &Format) -> Option<Layout> {
        let is_it = |layout: &Layout| layout.encoding() == format.encoding;
        matches!(format.media, Media::Video { .. })
            .then(|| Layout::ALL.into_iter().find(is_it))
            .flatten()
    }

    /// Returns its name, as formats have it: `i420`.
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Layout::I420 => "i420",
            Layout::Nv12 => "nv12",
            Layout::I422 => "i422",
            Layout::I444 => "i444",
            Layout::Rgba => "rgba",
            Layout::Rgb24 => "rgb24",
        }
    }

    /// Returns the bytes in a row, and the rows, of each plane of a picture of this size; 0 of planes that there are not.
    ///
    /// # Errors
    /// When a side is 0 or more than [`MAX_SIDE`].
    pub fn shape(self, width: u32, height: u32) -> Result<[(usize, usize); 3]> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(Error::new(format_args!(
                "there are no pictures of {width}x{height}: each side has 1 to {MAX_SIDE} pixels"
            )));
        }
        let (w, h) = (width as usize, height as usize);
        let (half, rows) = (w.div_ceil(2), h.div_ceil(2));
        Ok(match self {
            Layout::I420 => [(w, h), (half, rows), (half, rows)],
            Layout::Nv12 => [(w, h), (2 * half, rows), (0, 0)],
            Layout::I422 => [(w, h), (half, h), (half, h)],
            Layout::I444 => [(w, h); 3],
            Layout::Rgba => [(4 * w, h), (0, 0), (0, 0)],
            Layout::Rgb24 => [(3 * w, h), (0, 0), (0, 0)],
        })
    }

    /// Returns how many bytes a picture of this size has.
    ///
    /// # Errors
    /// As [`Layout::shape`].
    pub fn bytes(self, width: u32, height: u32) -> Result<usize> {
        let shape = self.shape(width, height)?;
        Ok(shape.iter().map(|(row, rows)| row * rows).sum())
    }

    /// Views the first bytes of `bytes` as the planes of a picture of this size; planes that there are not are empty.
    ///
    /// # Errors
    /// When there are fewer bytes than such a picture has, or as [`Layout::shape`].
    pub fn planes(self, bytes: &[u8], width: u32, height: u32) -> Result<[&[u8]; 3]> {
        self.enough(bytes.len(), width, height)?;
        let mut rest = bytes;
        Ok(self.shape(width, height)?.map(|(row, rows)| {
            let (plane, behind) = rest.split_at(row * rows);
            rest = behind;
            plane
        }))
    }

    /// As [`Layout::planes`], to write.
    ///
    /// # Errors
    /// As there.
    pub fn planes_mut(self, bytes: &mut [u8], width: u32, height: u32) -> Result<[&mut [u8]; 3]> {
        self.enough(bytes.len(), width, height)?;
        let mut rest = bytes;
        Ok(self.shape(width, height)?.map(|(row, rows)| {
            let (plane, behind) = std::mem::take(&mut rest).split_at_mut(row * rows);
            rest = behind;
            plane
        }))
    }

    fn enough(self, bytes: usize, width: u32, height: u32) -> Result {
        let needed = self.bytes(width, height)?;
        if bytes >= needed {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "a frame of {bytes} bytes is no picture of {width}x{height} in {}, which has {needed}; the node before it \
             gave the frame the wrong format or cut it",
            self.encoding()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_of_every_layout_share_all_bytes_among_them() -> Result {
        for (layout, at_5x3) in [
            (Layout::I420, 15 + 2 * 6),
            (Layout::Nv12, 15 + 12),
            (Layout::I422, 15 + 2 * 9),
            (Layout::I444, 45),
            (Layout::Rgba, 60),
            (Layout::Rgb24, 45),
        ] {
            assert_eq!(layout.bytes(5, 3)?, at_5x3, "{layout:?}");
            let mut bytes = vec![0; at_5x3 + 2];
            for plane in layout.planes_mut(&mut bytes, 5, 3)? {
                plane.iter_mut().for_each(|byte| *byte += 1);
            }
            assert!(bytes[..at_5x3].iter().all(|byte| *byte == 1));
            assert_eq!(bytes[at_5x3..], [0, 0], "what is behind is let be");
            let planes = layout.planes(&bytes, 5, 3)?;
            let shape = layout.shape(5, 3)?;
            assert_eq!(planes.map(<[u8]>::len), shape.map(|(row, rows)| row * rows));
            let format = Format::video(layout.encoding(), 5, 3);
            assert_eq!(Layout::of(&format), Some(layout));
            let refused = layout.planes(&bytes[..at_5x3 - 1], 5, 3);
            let refused = refused.err().map(|e| e.to_string()).unwrap_or_default();
            assert!(
                refused.contains("5x3") && refused.contains(&at_5x3.to_string()),
                "{refused}"
            );
            for (width, height) in [(0, 4), (4, 0), (u32::MAX, 1), (1, MAX_SIDE + 1)] {
                assert!(layout.bytes(width, height).is_err());
            }
        }
        assert_eq!(Layout::of(&Format::video("h264", 5, 3)), None);
        assert_eq!(Layout::of(&Format::audio("i420", 5, 3)), None);
        Ok(())
    }
}
