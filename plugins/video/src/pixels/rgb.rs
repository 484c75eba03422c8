//! Rows of pixels between Y, U, V and red, green, blue, in blocks that stay in registers and the nearest cache.
//!
//! The last block of a row is filled up with its last pixel, so that there is one kind of block, which compiles to
//! instructions that work on many samples at a time.
#![allow(
    clippy::needless_range_loop,
    reason = "several blocks are walked through side by side"
)]

use super::matrix::{ToRgb, ToYuv, sample};

/// Pixels of a block.
const BLOCK: usize = 64;
const HALF: usize = BLOCK / 2;

/// A block of samples of one colour.
type Samples = [u8; BLOCK];

/// A block's worth of a row, filled up with its last sample. Rows are not empty.
fn filled<const N: usize>(from: &[u8]) -> [u8; N] {
    let mut to = [from[from.len() - 1]; N];
    to[..from.len()].copy_from_slice(from);
    to
}

fn block_to_rgb<const N: usize>(
    matrix: &ToRgb,
    y: &Samples,
    u: &[u8; HALF],
    v: &[u8; HALF],
    out: &mut [[u8; N]; BLOCK],
) {
    let mut colours = [[0_i16; BLOCK]; 3];
    for at in 0..HALF {
        let [r, g, b] = matrix.colour(u[at], v[at]);
        for (plane, value) in colours.iter_mut().zip([r, g, b]) {
            plane[2 * at] = value;
            plane[2 * at + 1] = value;
        }
    }
    let mut samples = [[0_u8; BLOCK]; 3];
    for at in 0..BLOCK {
        let light = matrix.light(y[at]);
        for (plane, colours) in samples.iter_mut().zip(&colours) {
            plane[at] = sample(light + colours[at]);
        }
    }
    let [r, g, b] = &samples;
    for (at, pixel) in out.iter_mut().enumerate() {
        *pixel = std::array::from_fn(|part| match part {
            0 => r[at],
            1 => g[at],
            2 => b[at],
            _ => u8::MAX,
        });
    }
}

/// Writes a row of pixels of `N` bytes: red, green, blue, and full opacity where there are four. A sample of `u` and `v` is
/// for two pixels.
pub fn row_to_rgb<const N: usize>(matrix: &ToRgb, y: &[u8], u: &[u8], v: &[u8], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<N>();
    let blocks = y.chunks(BLOCK).zip(u.chunks(HALF)).zip(v.chunks(HALF));
    for (((y, u), v), out) in blocks.zip(out.chunks_mut(BLOCK)) {
        if let (Ok(y), Ok(u), Ok(v), Ok(out)) = (
            y.try_into(),
            u.try_into(),
            v.try_into(),
            <&mut [[u8; N]; BLOCK]>::try_from(&mut *out),
        ) {
            block_to_rgb(matrix, y, u, v, out);
            continue;
        }
        let mut whole = [[0; N]; BLOCK];
        block_to_rgb(matrix, &filled(y), &filled(u), &filled(v), &mut whole);
        let len = out.len();
        out.copy_from_slice(&whole[..len]);
    }
}

/// Pixels of `N` bytes, each colour apart; what is missing is the last pixel again.
fn apart<const N: usize>(pixels: &[[u8; N]]) -> [Samples; 3] {
    let mut colours = [[0_u8; BLOCK]; 3];
    let [r, g, b] = &mut colours;
    for (at, pixel) in pixels.iter().enumerate().take(BLOCK) {
        r[at] = pixel[0];
        g[at] = pixel[1];
        b[at] = pixel[2];
    }
    if pixels.len() < BLOCK {
        for plane in &mut colours {
            let last = plane[pixels.len() - 1];
            plane[pixels.len()..].fill(last);
        }
    }
    colours
}

fn write_light(matrix: &ToYuv, [r, g, b]: &[Samples; 3], y: &mut [u8]) {
    let mut whole = [0_u8; BLOCK];
    for at in 0..BLOCK {
        whole[at] = matrix.light([r[at], g[at], b[at]]);
    }
    let len = y.len();
    y.copy_from_slice(&whole[..len]);
}

/// Writes two rows of Y and a row of U and V, of which each sample is for two by two pixels of `N` bytes. Where there is one
/// row of pixels alone, it is given twice, and `y[1]` is empty.
pub fn rows_to_yuv<const N: usize>(
    matrix: &ToYuv,
    rows: [&[u8]; 2],
    y: [&mut [u8]; 2],
    u: &mut [u8],
    v: &mut [u8],
) {
    let [top, bottom] = rows.map(|row| row.as_chunks::<N>().0.chunks(BLOCK));
    let [y_top, y_bottom] = y;
    let mut y_bottom = y_bottom.chunks_mut(BLOCK);
    let colours = u.chunks_mut(HALF).zip(v.chunks_mut(HALF));
    for (((top, bottom), y_top), (u, v)) in
        top.zip(bottom).zip(y_top.chunks_mut(BLOCK)).zip(colours)
    {
        let (top, bottom) = (apart(top), apart(bottom));
        write_light(matrix, &top, y_top);
        if let Some(y_bottom) = y_bottom.next() {
            write_light(matrix, &bottom, y_bottom);
        }
        let mut sums = [[0_u16; HALF]; 3];
        for (sums, (top, bottom)) in sums.iter_mut().zip(top.iter().zip(&bottom)) {
            for at in 0..HALF {
                let of = |row: &Samples| u16::from(row[2 * at]) + u16::from(row[2 * at + 1]);
                sums[at] = of(top) + of(bottom);
            }
        }
        let (mut whole_u, mut whole_v) = ([0_u8; HALF], [0_u8; HALF]);
        for at in 0..HALF {
            let of_four = [sums[0][at], sums[1][at], sums[2][at]];
            [whole_u[at], whole_v[at]] = matrix.colour(of_four);
        }
        let len = u.len();
        u.copy_from_slice(&whole_u[..len]);
        v.copy_from_slice(&whole_v[..len]);
    }
}
