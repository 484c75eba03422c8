//! Draws text into a picture: white on a black box, in a font of fixed width from embedded-graphics.

use std::sync::LazyLock;

use embedded_graphics::{
    geometry::{OriginDimensions, Point},
    image::GetPixel,
    mono_font::ascii::FONT_10X20,
    pixelcolor::BinaryColor,
};
use levada_plugin::picture::I420Mut;

/// A character's columns and rows before scaling.
const GLYPH: (usize, usize) = (10, 20);
/// Space between the text and the edge of its box, before scaling; even, as `GLYPH` is, because colour has a value
/// for two by two pixels.
const PADDING: usize = 4;
/// Characters drawn at most.
pub const MAX_CHARACTERS: usize = 256;

/// The characters of ASCII, each row with a bit for each column, the leftmost first.
static FONT: LazyLock<Vec<[u16; GLYPH.1]>> = LazyLock::new(|| {
    let font = &FONT_10X20;
    let in_a_row = font.image.size().width as usize / GLYPH.0;
    let glyph = |index: usize| {
        let (left, top) = (index % in_a_row * GLYPH.0, index / in_a_row * GLYPH.1);
        std::array::from_fn(|y| {
            (0..GLYPH.0).fold(0, |row, x| {
                let at = Point::new((left + x) as i32, (top + y) as i32);
                let is_on = font.image.pixel(at) == Some(BinaryColor::On);
                row << 1 | u16::from(is_on)
            })
        })
    };
    // The font has no others; what it does not know it shows as a question mark.
    (0..128u8)
        .map(|byte| glyph(font.glyph_mapping.index(char::from(byte))))
        .collect()
});

fn glyph(character: char) -> &'static [u16; GLYPH.1] {
    let known = if character.is_ascii() && !character.is_control() {
        character
    } else {
        '?'
    };
    &FONT[known as usize]
}

/// Width and height of the box around a text.
#[must_use]
pub fn size(text: &str, scale: usize) -> (usize, usize) {
    let characters = text.chars().take(MAX_CHARACTERS).count();
    (
        (characters * GLYPH.0 + 2 * PADDING) * scale,
        (GLYPH.1 + 2 * PADDING) * scale,
    )
}

/// The scale at which a line of text takes about a fifteenth of a picture's height.
#[must_use]
pub fn natural_scale(height: usize) -> usize {
    ((height + 150) / 300).max(1)
}

/// Draws a text with its box, the box's left upper corner at `left`, `top` (rounded down to even ones). What lies
/// outside the picture is left away.
pub fn draw(picture: &mut I420Mut<'_>, text: &str, left: usize, top: usize, scale: usize) {
    let (left, top) = (left & !1, top & !1);
    let (width, height) = size(text, scale);
    for (at, plane) in picture.planes().iter_mut().enumerate() {
        let (value, part) = if at == 0 { (16, 1) } else { (128, 2) };
        let right = (left + width).div_ceil(part).min(plane.width);
        let (left, rows) = (left / part, (top + height).div_ceil(part));
        if left < right {
            for row in plane.rows().take(rows).skip(top / part) {
                row[left..right].fill(value);
            }
        }
    }
    let padding = PADDING * scale;
    let columns = picture.width();
    let lines = picture.y().chunks_exact_mut(columns);
    let lines = lines.skip(top + padding).take(GLYPH.1 * scale);
    for (y, line) in lines.enumerate() {
        for (at, character) in text.chars().take(MAX_CHARACTERS).enumerate() {
            let row = glyph(character)[y / scale];
            let begin = left + padding + at * GLYPH.0 * scale;
            if row == 0 || begin >= columns {
                continue;
            }
            for x in (0..GLYPH.0).filter(|x| row >> (GLYPH.0 - 1 - x) & 1 == 1) {
                let (from, to) = (begin + x * scale, begin + (x + 1) * scale);
                line[from.min(columns)..to.min(columns)].fill(235);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::{Result, picture::i420_bytes};

    /// The brightness of a text's box in a picture of 90.
    fn drawn(text: &str, scale: usize) -> Result<(Vec<u8>, usize, usize)> {
        let (w, h) = size(text, scale);
        let mut bytes = vec![90; i420_bytes(w as u32, h as u32)?];
        draw(
            &mut I420Mut::new(&mut bytes, w as u32, h as u32)?,
            text,
            0,
            0,
            scale,
        );
        assert!(
            bytes[w * h..].iter().all(|c| *c == 128),
            "no colour is left"
        );
        bytes.truncate(w * h);
        Ok((bytes, w, h))
    }

    #[test]
    fn text_is_white_on_a_black_box_and_looks_like_its_characters() -> Result {
        let (one, w, h) = drawn("1", 1)?;
        assert_eq!((w, h), (18, 28));
        let art: Vec<String> = one
            .chunks_exact(w)
            .map(|row| {
                row.iter()
                    .map(|p| if *p == 235 { '#' } else { '.' })
                    .collect()
            })
            .collect();
        assert!(one.iter().all(|p| [16, 235].contains(p)));
        // A one: an upright stroke in the middle that stands on a foot.
        let lit = |row: &String| row.matches('#').count();
        let rows: Vec<usize> = art.iter().map(lit).filter(|n| *n > 0).collect();
        assert!(
            rows.len() >= 10 && rows[rows.len() / 2] <= 3,
            "{}",
            art.join("\n")
        );
        assert!(rows[rows.len() - 1] >= 5, "{}", art.join("\n"));
        assert_ne!(drawn("0", 1)?.0, drawn("8", 1)?.0);
        assert_eq!(drawn("\u{7}", 1)?.0, drawn("?", 1)?.0);
        assert_eq!(drawn("\u{fc}", 1)?.0, drawn("?", 1)?.0);
        Ok(())
    }

    #[test]
    fn a_scale_makes_each_pixel_a_square() -> Result {
        let ((small, w, h), (large, ..)) = (drawn("7a", 1)?, drawn("7a", 3)?);
        for y in 0..h * 3 {
            for x in 0..w * 3 {
                assert_eq!(large[y * w * 3 + x], small[y / 3 * w + x / 3]);
            }
        }
        Ok(())
    }

    #[test]
    fn what_lies_outside_the_picture_is_left_away() -> Result {
        let text = "W".repeat(1000);
        for (width, height) in [(1, 1), (3, 5), (33, 27), (64, 64)] {
            for (left, top) in [(0, 0), (31, 13), (1000, 1000)] {
                let mut bytes = vec![90; i420_bytes(width, height)?];
                let mut picture = I420Mut::new(&mut bytes, width, height)?;
                draw(&mut picture, &text, left, top, 2);
                assert_eq!(
                    left >= width as usize || top >= height as usize,
                    bytes.iter().all(|b| *b == 90)
                );
            }
        }
        Ok(())
    }
}
