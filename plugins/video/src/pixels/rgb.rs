//! Rows of pixels between Y, U, V and red, green, blue, in blocks that stay in registers and the nearest cache.
//!
//! Each loop walks over one block and does one thing, which is what compilers make instructions of that work on many
//! samples at a time. The last block of a row is filled up with its last pixel, so that there is one kind of block.
#![allow(
    clippy::needless_range_loop,
    reason = "several blocks are walked through side by side"
)]

#[cfg(target_arch = "x86_64")]
use super::avx2;
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

/// Light and colour, of which each is for two pixels, as samples.
#[inline(always)]
fn add(lights: &[i16; BLOCK], colours: &[i16; HALF]) -> Samples {
    let mut doubled = [0_i16; BLOCK];
    for at in 0..HALF {
        doubled[2 * at] = colours[at];
        doubled[2 * at + 1] = colours[at];
    }
    let mut samples = [0_u8; BLOCK];
    for at in 0..BLOCK {
        samples[at] = sample(lights[at] + doubled[at]);
    }
    samples
}

/// Writes the three colours by turns, with full opacity where pixels have four bytes.
#[inline(always)]
fn by_turns<const N: usize>([r, g, b]: &[Samples; 3], out: &mut [[u8; N]; BLOCK]) {
    let mut words = [0_u32; BLOCK];
    for at in 0..BLOCK {
        words[at] = u32::from_le_bytes([r[at], g[at], b[at], u8::MAX]);
    }
    for at in 0..BLOCK {
        out[at].copy_from_slice(&words[at].to_le_bytes()[..N]);
    }
}

fn block_to_rgb<const N: usize>(
    matrix: &ToRgb,
    y: &Samples,
    u: &[u8; HALF],
    v: &[u8; HALF],
    out: &mut [[u8; N]; BLOCK],
) {
    let (mut reds, mut greens, mut blues) = ([0_i16; HALF], [0_i16; HALF], [0_i16; HALF]);
    for at in 0..HALF {
        reds[at] = matrix.red(v[at]);
    }
    for at in 0..HALF {
        greens[at] = matrix.green(u[at], v[at]);
    }
    for at in 0..HALF {
        blues[at] = matrix.blue(u[at]);
    }
    let mut lights = [0_i16; BLOCK];
    for at in 0..BLOCK {
        lights[at] = matrix.light(y[at]);
    }
    let samples = [
        add(&lights, &reds),
        add(&lights, &greens),
        add(&lights, &blues),
    ];
    by_turns(&samples, out);
}

/// Writes a row of pixels of `N` bytes: red, green, blue, and full opacity where there are four. A sample of `u` and `v` is
/// for two pixels.
pub fn row_to_rgb<const N: usize>(matrix: &ToRgb, y: &[u8], u: &[u8], v: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    let done = avx2::row_to_rgb::<N>(matrix, y, u, v, out);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    let (u, v) = (&u[done / 2..], &v[done / 2..]);
    plain_row_to_rgb::<N>(matrix, &y[done..], u, v, &mut out[N * done..]);
}

/// The same on any processor.
pub fn plain_row_to_rgb<const N: usize>(
    matrix: &ToRgb,
    y: &[u8],
    u: &[u8],
    v: &[u8],
    out: &mut [u8],
) {
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
#[inline(always)]
fn apart<const N: usize>(pixels: &[[u8; N]]) -> [Samples; 3] {
    let mut words = [0_u32; BLOCK];
    match <&[[u8; N]; BLOCK]>::try_from(pixels) {
        Ok(pixels) => {
            for at in 0..BLOCK {
                words[at] = word(&pixels[at]);
            }
        }
        // There is one at least.
        Err(_) => {
            for at in 0..BLOCK {
                words[at] = word(&pixels[at.min(pixels.len() - 1)]);
            }
        }
    }
    let (mut r, mut g, mut b) = ([0_u8; BLOCK], [0_u8; BLOCK], [0_u8; BLOCK]);
    for at in 0..BLOCK {
        r[at] = words[at] as u8;
        g[at] = (words[at] >> 8) as u8;
        b[at] = (words[at] >> 16) as u8;
    }
    [r, g, b]
}

/// A pixel's first three bytes, and whatever is the fourth.
#[inline(always)]
fn word<const N: usize>(pixel: &[u8; N]) -> u32 {
    let mut bytes = [0; 4];
    bytes[..N].copy_from_slice(pixel);
    u32::from_le_bytes(bytes)
}

/// The sums of two by two samples.
#[inline(always)]
fn sums(top: &Samples, bottom: &Samples) -> [i16; HALF] {
    let mut both = [0_i16; BLOCK];
    for at in 0..BLOCK {
        both[at] = i16::from(top[at]) + i16::from(bottom[at]);
    }
    let mut sums = [0_i16; HALF];
    for at in 0..HALF {
        sums[at] = both[2 * at] + both[2 * at + 1];
    }
    sums
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
    let [y_top, y_bottom] = y;
    #[cfg(target_arch = "x86_64")]
    let done = avx2::rows_to_yuv::<N>(matrix, rows, [&mut *y_top, &mut *y_bottom], u, v);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    let rows = rows.map(|row| &row[N * done..]);
    let y_bottom = y_bottom.get_mut(done..).unwrap_or_default();
    let y = [&mut y_top[done..], y_bottom];
    plain_rows_to_yuv::<N>(matrix, rows, y, &mut u[done / 2..], &mut v[done / 2..]);
}

/// The same on any processor.
pub fn plain_rows_to_yuv<const N: usize>(
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
        y_top.copy_from_slice(&matrix.lights(&top)[..y_top.len()]);
        if let Some(y_bottom) = y_bottom.next() {
            y_bottom.copy_from_slice(&matrix.lights(&bottom)[..y_bottom.len()]);
        }
        let colours = matrix.colours(&[
            sums(&top[0], &bottom[0]),
            sums(&top[1], &bottom[1]),
            sums(&top[2], &bottom[2]),
        ]);
        u.copy_from_slice(&colours[0][..u.len()]);
        v.copy_from_slice(&colours[1][..v.len()]);
    }
}

/// Writes pixels with or without opacity for others; where it is missing, it is full.
pub fn other_pixels<const N: usize, const M: usize>(from: &[u8], to: &mut [u8]) {
    let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<M>().0);
    #[cfg(target_arch = "x86_64")]
    let done = avx2::other_pixels(from, to);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (to, from) in to[done..].iter_mut().zip(&from[done..]) {
        *to = std::array::from_fn(|part| from.get(part).copied().unwrap_or(u8::MAX));
    }
}
