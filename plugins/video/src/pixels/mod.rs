//! [`Converter`]: pictures from one layout of pixels to another.
//!
//! Between Y, U, V and red, green, blue it calculates as `matrix.rs` says, with each colour sample for all the pixels that it
//! stands for, and back by the mean of those pixels. Among layouts of one kind samples only move, and colours of `i422` and
//! `i444` are halved by their mean. Every result is within one step of the exact one, which a test says.
//!
//! Plain loops over blocks of 64 pixels: compilers turn them into vector instructions, and no library is needed. What the
//! processors that most have can do better is in `avx2.rs`, with the same results.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod chroma;
mod matrix;
mod rgb;
#[cfg(test)]
mod tests;

use levada_plugin::{Result, colour::Colour, picture::Layout};

use matrix::{ToRgb, ToYuv, weights};

/// BT.601, which counts where nothing is stated (H.273, table 4).
const BT601: u8 = 6;

/// Whether this crate knows how a picture with these colours is calculated.
#[must_use]
pub fn is_known(colour: Colour) -> bool {
    colour.matrix.is_none_or(|matrix| weights(matrix).is_some())
}

/// How Y, U and V are calculated of red, green and blue, each 0 to 1: what is added, and the factor of each.
pub(crate) type Formula = [(f64, [f64; 3]); 3];

/// The exact formula of a picture with these colours, by the rule of [`Converter::new`].
pub(crate) fn formula(colour: Colour) -> Formula {
    matrix::exact(known_weights(colour), colour.full_range.unwrap_or(false))
}

fn known_weights(colour: Colour) -> (f64, f64) {
    let of_matrix = colour.matrix.and_then(weights).or_else(|| weights(BT601));
    // The last one is known.
    of_matrix.unwrap_or((0.299, 0.114))
}

/// Converts pictures of one layout, size and colours to another layout.
#[derive(Debug)]
pub struct Converter {
    from: Layout,
    to: Layout,
    size: (u32, u32),
    to_rgb: ToRgb,
    to_yuv: ToYuv,
    /// A row of U and of V, where they have to be taken apart or put together.
    rows: [Vec<u8>; 2],
    /// A picture in I420 that lies between.
    between: Vec<u8>,
}

fn is_rgb(layout: Layout) -> bool {
    matches!(layout, Layout::Rgba | Layout::Rgb24)
}

/// The row `at`, or the last one.
fn row(plane: &[u8], len: usize, at: usize) -> &[u8] {
    let last = plane.len() / len - 1;
    let at = at.min(last) * len;
    &plane[at..at + len]
}

impl Converter {
    /// A converter to `i420`, `nv12`, `rgba` or `rgb24`. `colour` is that of the picture in Y, U and V, on whichever side that
    /// is: what is not stated, and a matrix that is not known, is BT.601 in limited range.
    ///
    /// # Errors
    /// When a side is 0 or too large.
    pub fn new(from: Layout, to: Layout, size: (u32, u32), colour: Colour) -> Result<Converter> {
        from.bytes(size.0, size.1)?;
        let weights = known_weights(colour);
        let full_range = colour.full_range.unwrap_or(false);
        Ok(Converter {
            from,
            to,
            size,
            to_rgb: ToRgb::new(weights, full_range),
            to_yuv: ToYuv::new(weights, full_range),
            rows: [vec![], vec![]],
            between: vec![],
        })
    }

    /// Converts a picture. Each has the bytes of its layout and the size; more are let be.
    ///
    /// # Errors
    /// When there are too few bytes, or `to` was another layout than [`Converter::new`] says.
    pub fn convert(&mut self, from: &[u8], to: &mut [u8]) -> Result {
        let (w, h) = self.size;
        match (self.from, self.to) {
            (a, b) if a == b => {
                let bytes = a.bytes(w, h)?;
                let (source, target) = (a.planes(from, w, h)?, b.planes_mut(to, w, h)?);
                debug_assert_eq!(source.iter().map(|plane| plane.len()).sum::<usize>(), bytes);
                for (to, from) in target.into_iter().zip(source) {
                    to.copy_from_slice(from);
                }
                Ok(())
            }
            (Layout::Rgba, Layout::Rgb24) => self.other_pixels::<4, 3>(from, to),
            (Layout::Rgb24, Layout::Rgba) => self.other_pixels::<3, 4>(from, to),
            (Layout::Rgba, _) => self.make_yuv::<4>(from, to),
            (Layout::Rgb24, _) => self.make_yuv::<3>(from, to),
            (Layout::I422 | Layout::I444, Layout::Rgba | Layout::Rgb24) => {
                let mut between = std::mem::take(&mut self.between);
                between.resize(Layout::I420.bytes(w, h)?, 0);
                let done = self.other_colours(from, &mut between, Layout::I420);
                let done = done.and_then(|()| self.make_rgb(Layout::I420, &between, to));
                self.between = between;
                done
            }
            (from_layout, to_layout) if is_rgb(to_layout) => self.make_rgb(from_layout, from, to),
            (_, to_layout) => self.other_colours(from, to, to_layout),
        }
    }

    fn other_pixels<const N: usize, const M: usize>(&self, from: &[u8], to: &mut [u8]) -> Result {
        let (w, h) = self.size;
        let [from, ..] = self.from.planes(from, w, h)?;
        let [to, ..] = self.to.planes_mut(to, w, h)?;
        rgb::other_pixels::<N, M>(from, to);
        Ok(())
    }

    fn make_rgb(&mut self, from_layout: Layout, from: &[u8], to: &mut [u8]) -> Result {
        let (w, h) = self.size;
        let [y, u, v] = from_layout.planes(from, w, h)?;
        let [out, ..] = self.to.planes_mut(to, w, h)?;
        let width = w as usize;
        let half = width.div_ceil(2);
        let per_pixel = if self.to == Layout::Rgba { 4 } else { 3 };
        let [u_row, v_row] = &mut self.rows;
        u_row.resize(half, 0);
        v_row.resize(half, 0);
        let rows = y
            .chunks_exact(width)
            .zip(out.chunks_exact_mut(width * per_pixel));
        for (at, (y, out)) in rows.enumerate() {
            let (u, v) = if from_layout == Layout::Nv12 {
                if at % 2 == 0 {
                    chroma::apart(row(u, 2 * half, at / 2), u_row, v_row);
                }
                (&u_row[..], &v_row[..])
            } else {
                (row(u, half, at / 2), row(v, half, at / 2))
            };
            if per_pixel == 4 {
                rgb::row_to_rgb::<4>(&self.to_rgb, y, u, v, out);
            } else {
                rgb::row_to_rgb::<3>(&self.to_rgb, y, u, v, out);
            }
        }
        Ok(())
    }

    fn make_yuv<const N: usize>(&mut self, from: &[u8], to: &mut [u8]) -> Result {
        let (w, h) = self.size;
        let [from, ..] = self.from.planes(from, w, h)?;
        let [y, u, v] = self.to.planes_mut(to, w, h)?;
        let width = w as usize;
        let half = width.div_ceil(2);
        let is_nv12 = self.to == Layout::Nv12;
        let [u_row, v_row] = &mut self.rows;
        u_row.resize(half, 0);
        v_row.resize(half, 0);
        for (at, y) in y.chunks_mut(2 * width).enumerate() {
            let (top, bottom) = y.split_at_mut(width);
            let rows = [
                row(from, N * width, 2 * at),
                row(from, N * width, 2 * at + 1),
            ];
            let (u_out, v_out) = if is_nv12 {
                (&mut u_row[..], &mut v_row[..])
            } else {
                let part = at * half..(at + 1) * half;
                (&mut u[part.clone()], &mut v[part])
            };
            rgb::rows_to_yuv::<N>(&self.to_yuv, rows, [top, bottom], u_out, v_out);
            if is_nv12 {
                let part = 2 * at * half..2 * (at + 1) * half;
                chroma::by_turns(u_row, v_row, &mut u[part]);
            }
        }
        Ok(())
    }

    /// From Y, U and V to another layout of them.
    fn other_colours(&mut self, from: &[u8], to: &mut [u8], to_layout: Layout) -> Result {
        let (w, h) = self.size;
        let [y, u, v] = self.from.planes(from, w, h)?;
        let [y_out, u_out, v_out] = to_layout.planes_mut(to, w, h)?;
        y_out.copy_from_slice(y);
        let width = w as usize;
        let half = width.div_ceil(2);
        let [u_row, v_row] = &mut self.rows;
        u_row.resize(half, 0);
        v_row.resize(half, 0);
        for at in 0..(h as usize).div_ceil(2) {
            match self.from {
                Layout::Nv12 => chroma::apart(row(u, 2 * half, at), u_row, v_row),
                Layout::I422 => {
                    let halve = |plane, out: &mut [u8]| {
                        chroma::halve_rows(
                            row(plane, half, 2 * at),
                            row(plane, half, 2 * at + 1),
                            out,
                        );
                    };
                    halve(u, u_row);
                    halve(v, v_row);
                }
                Layout::I444 => {
                    let halve = |plane, out: &mut [u8]| {
                        chroma::halve_both(
                            row(plane, width, 2 * at),
                            row(plane, width, 2 * at + 1),
                            out,
                        );
                    };
                    halve(u, u_row);
                    halve(v, v_row);
                }
                _ => {
                    u_row.copy_from_slice(row(u, half, at));
                    v_row.copy_from_slice(row(v, half, at));
                }
            }
            if to_layout == Layout::Nv12 {
                let part = 2 * at * half..2 * (at + 1) * half;
                chroma::by_turns(u_row, v_row, &mut u_out[part]);
            } else {
                let part = at * half..(at + 1) * half;
                u_out[part.clone()].copy_from_slice(u_row);
                v_out[part].copy_from_slice(v_row);
            }
        }
        Ok(())
    }
}
