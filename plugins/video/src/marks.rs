//! A number in a picture that programs can read: a row of black and white cells.
//!
//! The row spans the whole width, along the top or the bottom edge, and is as high as [`height`] says. It has 32
//! cells of equal width; cell *i* begins at column *i* * width / 32, rounded down. From the left:
//!
//! | cells | what they say |
//! |---|---|
//! | 0, 1 | white, black: here it begins |
//! | 2 to 25 | the number, modulo 2^24, the highest bit first; white is 1 |
//! | 26 to 29 | the exclusive or of the number's six groups of four bits |
//! | 30, 31 | white, black |
//!
//! So a row that is read from the wrong side (in a mirrored picture) begins with black, white. White is Y 235 and
//! black Y 16, both without colour; a reader looks at the middle of each cell and takes more than half of the
//! range for white. That survives a codec where cells are eight pixels wide or more, so in pictures from 256
//! pixels on. In a web page, with the picture drawn on a canvas of its own size:
//!
//! ```js
//! function readMarks({ data, width, height }, edge = "top") {
//!   const rows = Math.max(2, Math.floor(height / 24) * 2);
//!   const y = edge === "top" ? Math.floor(rows / 2) : height - 1 - Math.floor(rows / 2);
//!   const cell = (i) => data[4 * (y * width + Math.floor((2 * i + 1) * width / 64)) + 1] > 127 ? 1 : 0;
//!   const bits = Array.from({ length: 32 }, (_, i) => cell(i));
//!   const ends = bits[0] === 1 && bits[1] === 0 && bits[30] === 1 && bits[31] === 0;
//!   const number = bits.slice(2, 26).reduce((sum, bit) => sum * 2 + bit, 0);
//!   let check = 0;
//!   for (let rest = number; rest > 0; rest = Math.floor(rest / 16)) check ^= rest % 16;
//!   return ends && check === bits.slice(26, 30).reduce((sum, bit) => sum * 2 + bit, 0) ? number : null;
//! }
//! ```

use levada_plugin::picture::{I420, I420Mut};

const CELLS: usize = 32;
/// Numbers are modulo this.
pub const NUMBERS: u32 = 1 << 24;

/// Where the row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The first rows of pixels.
    Top,
    /// The last ones.
    Bottom,
}

/// Returns how many rows of pixels the marks take in a picture of this height: a twelfth, even, 2 at least.
#[must_use]
pub fn height(picture: usize) -> usize {
    (picture / 24 * 2).max(2).min(picture)
}

fn cells(number: u32) -> u32 {
    let number = number % NUMBERS;
    let check = (0..6).fold(0, |sum, at| sum ^ (number >> (4 * at)) & 0xf);
    0b10 << 30 | number << 6 | check << 2 | 0b10
}

/// Draws the row that says `number`.
pub fn draw(picture: &mut I420Mut<'_>, number: u32, edge: Edge) {
    let (width, all) = (picture.width(), picture.height());
    let rows = height(all);
    let cells = cells(number);
    let begin = |cell: usize| cell * width / CELLS;
    let first = match edge {
        Edge::Top => 0,
        Edge::Bottom => all - rows,
    };
    let y = &mut picture.y()[first * width..(first + rows) * width];
    let (line, others) = y.split_at_mut(width);
    for cell in 0..CELLS {
        let is_white = cells >> (CELLS - 1 - cell) & 1 == 1;
        line[begin(cell)..begin(cell + 1)].fill(if is_white { 235 } else { 16 });
    }
    others
        .chunks_exact_mut(width)
        .for_each(|row| row.copy_from_slice(line));
    let width = picture.chroma_width();
    let chroma = first / 2 * width..(first + rows).div_ceil(2) * width;
    picture.u()[chroma.clone()].fill(128);
    picture.v()[chroma].fill(128);
}

/// Reads the number of a row; `None` when there is none to read, or it is damaged, or mirrored.
#[must_use]
pub fn read(picture: &I420<'_>, edge: Edge) -> Option<u32> {
    let (width, all) = (picture.width(), picture.height());
    let row = match edge {
        Edge::Top => height(all) / 2,
        Edge::Bottom => all - 1 - height(all) / 2,
    };
    let line = &picture.y()[row * width..][..width];
    let found = (0..CELLS).fold(0u32, |cells, cell| {
        let middle = (2 * cell + 1) * width / (2 * CELLS);
        cells << 1 | u32::from(line[middle] > 126)
    });
    let number = found >> 6 & (NUMBERS - 1);
    (found == cells(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::{Result, picture::i420_bytes};

    #[test]
    fn what_is_drawn_is_read_and_mirrored_it_is_not() -> Result {
        for (width, height) in [(640, 360), (64, 33), (255, 101), (32, 3)] {
            for edge in [Edge::Top, Edge::Bottom] {
                for number in [0, 1, 0x00ab_cdef, NUMBERS - 1, NUMBERS + 5] {
                    let mut bytes = vec![90; i420_bytes(width, height)?];
                    let mut picture = I420Mut::new(&mut bytes, width, height)?;
                    draw(&mut picture, number, edge);
                    let found = read(&I420::new(&bytes, width, height)?, edge);
                    assert_eq!(found, Some(number % NUMBERS), "{width}x{height} {edge:?}");
                    let mut picture = I420Mut::new(&mut bytes, width, height)?;
                    let rows = picture.y().chunks_exact_mut(width as usize);
                    rows.for_each(<[u8]>::reverse);
                    assert_eq!(read(&I420::new(&bytes, width, height)?, edge), None);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_wrong_bit_is_noticed_and_an_empty_picture_says_nothing() -> Result {
        let mut bytes = vec![16; i420_bytes(320, 180)?];
        assert_eq!(read(&I420::new(&bytes, 320, 180)?, Edge::Top), None);
        draw(&mut I420Mut::new(&mut bytes, 320, 180)?, 77, Edge::Top);
        for cell in 0..CELLS {
            let mut wrong = bytes.clone();
            for row in wrong.chunks_exact_mut(320).take(height(180)) {
                for pixel in &mut row[cell * 10..cell * 10 + 10] {
                    *pixel = 251 - *pixel;
                }
            }
            assert_eq!(
                read(&I420::new(&wrong, 320, 180)?, Edge::Top),
                None,
                "{cell}"
            );
        }
        Ok(())
    }
}
