//! The rows of `rgb.rs`, 32 pixels at a time, on processors with AVX2: sample for sample what the plain loops make, three to
//! five times as fast.
//!
//! Vectors here are two lanes of 16 bytes, and most instructions stay within each. Samples of 8 bits are unpacked to 16
//! within their lanes and packed the same way afterwards, so that they end where they began.
//!
//! The crate `yuv` has such loops for many more formats, and would be the slowest to compile of all that the host is linked
//! with. Unsafe code is in [`load`] and [`store`], in the products, and in the doors, where the processor is asked.
#![allow(unsafe_code, reason = "vector instructions of one kind of processor")]

use std::arch::{asm, x86_64::*};

use super::matrix::{NEUTRAL, RGB_BITS, SUM_BITS, ToRgb, ToYuv, YUV_BITS};

/// Pixels of a step.
const STEP: usize = 32;

/// Writes pixels of a row as `rgb::row_to_rgb` does, and returns how many: all whole steps, or none without AVX2.
pub fn row_to_rgb<const N: usize>(
    matrix: &ToRgb,
    y: &[u8],
    u: &[u8],
    v: &[u8],
    out: &mut [u8],
) -> usize {
    if !is_x86_feature_detected!("avx2") {
        return 0;
    }
    // SAFETY: the processor has AVX2.
    unsafe { to_rgb::<N>(matrix, y, u, v, out) }
}

/// Writes samples of two rows as `rgb::rows_to_yuv` does, and returns of how many pixels a row: all whole steps, or none
/// without AVX2.
pub fn rows_to_yuv<const N: usize>(
    matrix: &ToYuv,
    rows: [&[u8]; 2],
    y: [&mut [u8]; 2],
    u: &mut [u8],
    v: &mut [u8],
) -> usize {
    if !is_x86_feature_detected!("avx2") {
        return 0;
    }
    // SAFETY: the processor has AVX2.
    unsafe { to_yuv::<N>(matrix, rows, y, u, v) }
}

/// Writes pixels of `M` bytes for those of `N` as `rgb::other_pixels` does, and returns how many: all whole steps, or none
/// without AVX2.
pub fn other_pixels<const N: usize, const M: usize>(from: &[[u8; N]], to: &mut [[u8; M]]) -> usize {
    if !is_x86_feature_detected!("avx2") {
        return 0;
    }
    // SAFETY: the processor has AVX2.
    unsafe { again::<N, M>(from, to) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[u8; 32]) -> __m256i {
    // SAFETY: there are 32 bytes to read, of any alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(from: &[u8; 16]) -> __m128i {
    // SAFETY: there are 16 bytes to read, of any alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(to: &mut [u8; 32], vector: __m256i) {
    // SAFETY: there are 32 bytes to write, of any alignment, that are borrowed for it.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_half(to: &mut [u8; 16], vector: __m128i) {
    // SAFETY: there are 16 bytes to write, of any alignment, that are borrowed for it.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), vector) }
}

/// The upper halves of products with a factor.
///
/// As instructions by their names: compilers take `_mm256_mulhi_epi16` apart, and where a factor stays the same in a loop
/// they do not find it again, but make products of 32 bits, in twice the time for all.
#[inline]
#[target_feature(enable = "avx2")]
fn high(samples: __m256i, factor: i16) -> __m256i {
    let factors = _mm256_set1_epi16(factor);
    let products;
    // SAFETY: AVX2 has it, and it does nothing but write the register.
    unsafe {
        asm!(
            "vpmulhw {}, {}, {}",
            lateout(ymm_reg) products,
            in(ymm_reg) samples,
            in(ymm_reg) factors,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    products
}

/// The same without signs.
#[inline]
#[target_feature(enable = "avx2")]
fn high_unsigned(samples: __m256i, factor: u16) -> __m256i {
    let factors = _mm256_set1_epi16(factor.cast_signed());
    let products;
    // SAFETY: as in `high`.
    unsafe {
        asm!(
            "vpmulhuw {}, {}, {}",
            lateout(ymm_reg) products,
            in(ymm_reg) samples,
            in(ymm_reg) factors,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    products
}

#[target_feature(enable = "avx2")]
fn to_rgb<const N: usize>(matrix: &ToRgb, y: &[u8], u: &[u8], v: &[u8], out: &mut [u8]) -> usize {
    let halves = u.as_chunks::<16>().0.iter().zip(v.as_chunks::<16>().0);
    let out = out.as_chunks_mut::<N>().0.as_chunks_mut::<STEP>().0;
    let steps = y.as_chunks::<STEP>().0.iter().zip(halves).zip(out);
    let zero = _mm256_setzero_si256();
    let mut done = 0;
    for ((y, (u, v)), out) in steps {
        let [u, v] = [u, v].map(|half| {
            let signed = _mm_xor_si128(load_half(half), _mm_set1_epi8(i8::MIN));
            // Eight into each lane.
            let both = _mm256_castsi128_si256(signed);
            _mm256_unpacklo_epi8(zero, _mm256_permute4x64_epi64::<0b00_01_00_00>(both))
        });
        let green = _mm256_add_epi16(high(u, matrix.green_u), high(v, matrix.green_v));
        let colours = [
            high(v, matrix.red_v),
            _mm256_sub_epi16(zero, green),
            high(u, matrix.blue_u),
        ];
        let y = load(y);
        // As upper bytes.
        let lights = [_mm256_unpacklo_epi8(zero, y), _mm256_unpackhi_epi8(zero, y)];
        let lights = lights.map(|y| {
            let light = high_unsigned(y, matrix.y);
            _mm256_add_epi16(light, _mm256_set1_epi16(matrix.offset))
        });
        let rgb = colours.map(|colour| {
            // Each is for two pixels, in the order of the lights.
            let both = [
                _mm256_unpacklo_epi16(colour, colour),
                _mm256_unpackhi_epi16(colour, colour),
            ];
            let sum = |at: usize| {
                let sum = _mm256_add_epi16(lights[at], both[at]);
                _mm256_srai_epi16::<{ RGB_BITS as i32 }>(sum)
            };
            _mm256_packus_epi16(sum(0), sum(1))
        });
        by_turns(rgb, out);
        done += STEP;
    }
    done
}

#[target_feature(enable = "avx2")]
fn to_yuv<const N: usize>(
    matrix: &ToYuv,
    rows: [&[u8]; 2],
    y: [&mut [u8]; 2],
    u: &mut [u8],
    v: &mut [u8],
) -> usize {
    let [top, bottom] = rows.map(|row| row.as_chunks::<N>().0.as_chunks::<STEP>().0);
    let [y_top, y_bottom] = y.map(|row| row.as_chunks_mut::<STEP>().0);
    let mut y_bottom = y_bottom.iter_mut();
    let (u, v) = (u.as_chunks_mut::<16>().0, v.as_chunks_mut::<16>().0);
    let steps = top.iter().zip(bottom).zip(y_top).zip(u.iter_mut().zip(v));
    let mut done = 0;
    for (((top, bottom), y_top), (u, v)) in steps {
        let (top, bottom) = (apart(top), apart(bottom));
        store(y_top, lights(matrix, &top));
        if let Some(y_bottom) = y_bottom.next() {
            store(y_bottom, lights(matrix, &bottom));
        }
        let one = _mm256_set1_epi8(1);
        let of_four: [__m256i; 3] = std::array::from_fn(|at| {
            let [top, bottom] = [top, bottom].map(|rgb| _mm256_maddubs_epi16(rgb[at], one));
            _mm256_slli_epi16::<{ SUM_BITS as i32 }>(_mm256_add_epi16(top, bottom))
        });
        let colour = |factors: [i16; 3]| {
            let products = [0, 1, 2].map(|at| high(of_four[at], factors[at]));
            sum(NEUTRAL, products)
        };
        let both = _mm256_packus_epi16(colour(matrix.u), colour(matrix.v));
        // Lanes of eight of each.
        let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(both);
        store_half(u, _mm256_castsi256_si128(both));
        store_half(v, _mm256_extracti128_si256::<1>(both));
        done += STEP;
    }
    done
}

#[target_feature(enable = "avx2")]
fn again<const N: usize, const M: usize>(from: &[[u8; N]], to: &mut [[u8; M]]) -> usize {
    let (from, to) = (from.as_chunks::<STEP>().0, to.as_chunks_mut::<STEP>().0);
    for (from, to) in from.iter().zip(&mut *to) {
        by_turns(apart(from), to);
    }
    STEP * from.len().min(to.len())
}

/// A sum without its parts of a step.
#[inline]
#[target_feature(enable = "avx2")]
fn sum(from: i16, products: [__m256i; 3]) -> __m256i {
    let sum = _mm256_add_epi16(_mm256_set1_epi16(from), products[0]);
    let sum = _mm256_add_epi16(sum, _mm256_add_epi16(products[1], products[2]));
    _mm256_srai_epi16::<{ YUV_BITS as i32 }>(sum)
}

/// Y of pixels.
#[inline]
#[target_feature(enable = "avx2")]
fn lights(matrix: &ToYuv, rgb: &[__m256i; 3]) -> __m256i {
    let zero = _mm256_setzero_si256();
    // As upper bytes.
    let low = rgb.map(|plane| _mm256_unpacklo_epi8(zero, plane));
    let high = rgb.map(|plane| _mm256_unpackhi_epi8(zero, plane));
    let [low, high] = [low, high].map(|planes| {
        let products = [0, 1, 2].map(|at| high_unsigned(planes[at], matrix.y[at]));
        sum(matrix.black, products)
    });
    _mm256_packus_epi16(low, high)
}

/// In three bytes by turns, byte `k` of the vector `j` of a lane's three is of colour `(j + k) % 3`, because 16 is 1 more than
/// a multiple of 3. So at each `k` the three vectors hold one byte of each colour, and to bring a colour there takes one
/// shuffle for all three: this is where it takes each byte from.
const fn spread(colour: usize) -> [u8; 32] {
    let (mut from, mut pixel) = ([0; 32], 0);
    while pixel < 16 {
        let at = (3 * pixel + colour) % 16;
        (from[at], from[at + 16]) = (pixel as u8, pixel as u8);
        pixel += 1;
    }
    from
}

/// The way back.
const fn gathered(colour: usize) -> [u8; 32] {
    let (mut from, mut pixel) = ([0; 32], 0);
    while pixel < 16 {
        let at = ((3 * pixel + colour) % 16) as u8;
        (from[pixel], from[pixel + 16]) = (at, at);
        pixel += 1;
    }
    from
}

/// All bits of each third byte of a lane, from `first` on.
const fn thirds(first: usize) -> [u8; 32] {
    let (mut mask, mut at) = ([0; 32], first);
    while at < 16 {
        (mask[at], mask[at + 16]) = (u8::MAX, u8::MAX);
        at += 3;
    }
    mask
}

const SPREAD: [[u8; 32]; 3] = [spread(0), spread(1), spread(2)];
const GATHERED: [[u8; 32]; 3] = [gathered(0), gathered(1), gathered(2)];
const THIRDS: [[u8; 32]; 2] = [thirds(0), thirds(1)];

/// Each third byte of each, beginning with the first one of `first`.
#[inline]
#[target_feature(enable = "avx2")]
fn woven(first: __m256i, second: __m256i, third: __m256i) -> __m256i {
    let both = _mm256_blendv_epi8(third, first, load(&THIRDS[0]));
    _mm256_blendv_epi8(both, second, load(&THIRDS[1]))
}

/// Writes red, green and blue by turns, with full opacity where pixels have four bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn by_turns<const N: usize>(rgb: [__m256i; 3], out: &mut [[u8; N]; STEP]) {
    let out = out.as_flattened_mut().as_chunks_mut::<32>().0;
    if N == 3 {
        let [r, g, b] = [0, 1, 2].map(|at| _mm256_shuffle_epi8(rgb[at], load(&SPREAD[at])));
        // Sixteen pixels in each lane of the three.
        let (first, second, third) = (woven(r, g, b), woven(g, b, r), woven(b, r, g));
        store(
            &mut out[0],
            _mm256_permute2x128_si256::<0x20>(first, second),
        );
        store(&mut out[1], _mm256_permute2x128_si256::<0x30>(third, first));
        store(
            &mut out[2],
            _mm256_permute2x128_si256::<0x31>(second, third),
        );
    } else {
        let [r, g, b] = rgb;
        let full = _mm256_set1_epi8(-1);
        let (rg_low, rg_high) = (_mm256_unpacklo_epi8(r, g), _mm256_unpackhi_epi8(r, g));
        let (b_low, b_high) = (_mm256_unpacklo_epi8(b, full), _mm256_unpackhi_epi8(b, full));
        // Pixels 0, 4, 8 and 12, and 16 more.
        let four = [
            _mm256_unpacklo_epi16(rg_low, b_low),
            _mm256_unpackhi_epi16(rg_low, b_low),
            _mm256_unpacklo_epi16(rg_high, b_high),
            _mm256_unpackhi_epi16(rg_high, b_high),
        ];
        store(
            &mut out[0],
            _mm256_permute2x128_si256::<0x20>(four[0], four[1]),
        );
        store(
            &mut out[1],
            _mm256_permute2x128_si256::<0x20>(four[2], four[3]),
        );
        store(
            &mut out[2],
            _mm256_permute2x128_si256::<0x31>(four[0], four[1]),
        );
        store(
            &mut out[3],
            _mm256_permute2x128_si256::<0x31>(four[2], four[3]),
        );
    }
}

/// Red, green and blue of pixels.
#[inline]
#[target_feature(enable = "avx2")]
fn apart<const N: usize>(pixels: &[[u8; N]; STEP]) -> [__m256i; 3] {
    let parts = pixels.as_flattened().as_chunks::<32>().0;
    if N == 3 {
        let [a, b, c] = [0, 1, 2].map(|at| load(&parts[at]));
        // Sixteen pixels in each lane of the three.
        let first = _mm256_permute2x128_si256::<0x30>(a, b);
        let second = _mm256_permute2x128_si256::<0x21>(a, c);
        let third = _mm256_permute2x128_si256::<0x30>(b, c);
        let rgb = [
            woven(first, third, second),
            woven(second, first, third),
            woven(third, second, first),
        ];
        [0, 1, 2].map(|at| _mm256_shuffle_epi8(rgb[at], load(&GATHERED[at])))
    } else {
        // In each lane four reds, four greens, four blues.
        let sorted = _mm256_setr_epi8(
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, //
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
        );
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| _mm256_shuffle_epi8(load(&parts[at]), sorted));
        let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let blue = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        let rgb = [
            _mm256_unpacklo_epi64(low, high),
            _mm256_unpackhi_epi64(low, high),
            _mm256_unpacklo_epi64(blue.0, blue.1),
        ];
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        rgb.map(|plane| _mm256_permutevar8x32_epi32(plane, order))
    }
}
