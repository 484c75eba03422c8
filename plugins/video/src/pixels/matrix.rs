//! [`ToRgb`] and [`ToYuv`]: the formulae between Y, U, V and red, green, blue, in whole numbers.
//!
//! ITU-T H.273, 8.3: with the weights `kr` and `kb` of red and blue, Y = kr R + (1 - kr - kb) G + kb B,
//! U = (B - Y) / (2 - 2 kb), V = (R - Y) / (2 - 2 kr). In limited range Y takes 219 steps from 16 on, U and V take 224 around
//! 128; in full range all take 255.
//!
//! A product is the upper half of one of 16 by 16 bits, of which processors make eight or more at a time. What is lost by
//! that, at most 1/32 of a step for each product, leaves a result within one step of the exact one.
//!
//! How the loops are written decides whether compilers find those products, which is a matter of four times the speed;
//! `benches/pictures.rs` shows it.
#![allow(
    clippy::needless_range_loop,
    reason = "several blocks are walked through side by side"
)]

/// Red's and blue's weights of a code point of H.273 (table 4); `None` for what is no such formula.
pub fn weights(matrix: u8) -> Option<(f64, f64)> {
    match matrix {
        1 => Some((0.2126, 0.0722)),
        4 => Some((0.30, 0.11)),
        5 | 6 => Some((0.299, 0.114)),
        7 => Some((0.212, 0.087)),
        9 | 10 => Some((0.2627, 0.0593)),
        _ => None,
    }
}

/// Steps of Y and of U and V.
pub fn steps(full_range: bool) -> (f64, f64) {
    if full_range {
        (255.0, 255.0)
    } else {
        (219.0, 224.0)
    }
}

/// What Y of black is.
pub fn black(full_range: bool) -> f64 {
    if full_range { 0.0 } else { 16.0 }
}

/// What is added for each of Y, U and V, and the factors of red, green and blue, each of them 0 to 1.
pub fn exact((kr, kb): (f64, f64), full_range: bool) -> [(f64, [f64; 3]); 3] {
    let kg = 1.0 - kr - kb;
    let (y, c) = steps(full_range);
    let (to_u, to_v) = (c / (2.0 * (1.0 - kb)), c / (2.0 * (1.0 - kr)));
    [
        (black(full_range), [kr, kg, kb].map(|w| w * y)),
        (128.0, [-kr, -kg, 1.0 - kb].map(|w| w * to_u)),
        (128.0, [1.0 - kr, -kg, -kb].map(|w| w * to_v)),
    ]
}

/// The upper half of a product.
#[inline(always)]
fn high(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// The same without signs, which is below `i16::MAX` for every factor here.
#[inline(always)]
fn high_unsigned(a: u16, b: u16) -> i16 {
    ((u32::from(a) * u32::from(b)) >> 16) as i16
}

/// A scale of samples that the compiler does not know.
///
/// It would take a known one for a shift, combine that with the one behind the product, and be left with products of 32
/// bits, which take several times as long.
fn scale<T>(by: T) -> T {
    std::hint::black_box(by)
}

/// A factor of which `unit` is 1; every one here is within 16 bits.
fn factor(value: f64, unit: f64) -> i16 {
    (value * unit).round() as i16
}

/// Upper bytes of words, as factors of samples.
const WHOLE: u16 = 1 << 8;

/// Parts of a step that sums have.
pub const RGB_BITS: u32 = 5;
pub const YUV_BITS: u32 = 6;
/// What U and V of gray are.
const MIDDLE: i16 = 128;

/// Y, U and V to red, green and blue.
#[derive(Clone, Copy, Debug)]
pub struct ToRgb {
    /// What is added to all: half a step, less what Y of black is.
    pub offset: i16,
    /// Scales of Y, and of U and V.
    scales: (u16, i16),
    pub y: u16,
    pub red_v: i16,
    pub green_u: i16,
    pub green_v: i16,
    pub blue_u: i16,
}

impl ToRgb {
    pub fn new((kr, kb): (f64, f64), full_range: bool) -> ToRgb {
        let kg = 1.0 - kr - kb;
        let (y, c) = steps(full_range);
        let (y, c) = (255.0 / y, 255.0 / c);
        let unit = f64::from(1 << RGB_BITS);
        ToRgb {
            offset: factor(0.5 - black(full_range) * y, unit),
            scales: (scale(WHOLE), scale(WHOLE as i16)),
            y: factor(y, 256.0 * unit) as u16,
            red_v: factor(2.0 * (1.0 - kr) * c, 8_192.0),
            green_u: factor(2.0 * (1.0 - kb) * kb / kg * c, 8_192.0),
            green_v: factor(2.0 * (1.0 - kr) * kr / kg * c, 8_192.0),
            blue_u: factor(2.0 * (1.0 - kb) * c, 8_192.0),
        }
    }

    #[inline(always)]
    fn colour(&self, sample: u8) -> i16 {
        (i16::from(sample) - MIDDLE).wrapping_mul(self.scales.1)
    }

    /// What V adds to red.
    #[inline(always)]
    pub fn red(&self, v: u8) -> i16 {
        high(self.colour(v), self.red_v)
    }

    /// What U and V add to green.
    #[inline(always)]
    pub fn green(&self, u: u8, v: u8) -> i16 {
        -high(self.colour(u), self.green_u) - high(self.colour(v), self.green_v)
    }

    /// What U adds to blue.
    #[inline(always)]
    pub fn blue(&self, u: u8) -> i16 {
        high(self.colour(u), self.blue_u)
    }

    /// What Y is of each of them, ready to be rounded.
    #[inline(always)]
    pub fn light(&self, y: u8) -> i16 {
        high_unsigned(u16::from(y).wrapping_mul(self.scales.0), self.y) + self.offset
    }
}

/// A sum of [`ToRgb::light`] and of what a colour adds, as a sample.
#[inline(always)]
pub fn sample(sum: i16) -> u8 {
    (sum >> RGB_BITS).clamp(0, 255) as u8
}

/// Red, green and blue to Y, U and V.
#[derive(Clone, Copy, Debug)]
pub struct ToYuv {
    /// Y of black, with [`HALF`].
    pub black: i16,
    /// Scales of samples, and of sums of four.
    scales: (u16, i16),
    pub y: [u16; 3],
    pub u: [i16; 3],
    pub v: [i16; 3],
}

/// What is added to a sum before its parts of a step are cut off: half a step, and the middle of what three products lose.
const HALF: i16 = (1 << (YUV_BITS - 1)) + 1;

/// U and V of gray, with [`HALF`].
pub const NEUTRAL: i16 = (MIDDLE << YUV_BITS) + HALF;

/// Bits by which sums of four are moved up: as far as they may go.
pub const SUM_BITS: u32 = 5;

/// Adds products to `sums`: one a loop, because of two in one expression compilers make products of 32 bits.
#[inline(always)]
fn add<const N: usize>(sums: &mut [i16; N], product: impl Fn(usize) -> i16) {
    for at in 0..N {
        sums[at] += product(at);
    }
}

/// What is left of sums without their parts of a step.
#[inline(always)]
fn rounded<const N: usize>(sums: &[i16; N]) -> [u8; N] {
    let mut out = [0; N];
    for at in 0..N {
        out[at] = (sums[at] >> YUV_BITS).clamp(0, 255) as u8;
    }
    out
}

impl ToYuv {
    pub fn new((kr, kb): (f64, f64), full_range: bool) -> ToYuv {
        let kg = 1.0 - kr - kb;
        let (y, c) = steps(full_range);
        let (y, c) = (y / 255.0, c / 255.0);
        let unit = f64::from(1 << YUV_BITS);
        let of = |weights: [f64; 3], by: f64| weights.map(|w| factor(w * by, 512.0 * unit));
        let (to_u, to_v) = (c / (2.0 * (1.0 - kb)), c / (2.0 * (1.0 - kr)));
        ToYuv {
            black: factor(black(full_range), unit) + HALF,
            scales: (scale(WHOLE), scale(1 << SUM_BITS)),
            y: [kr, kg, kb].map(|w| factor(w * y, 256.0 * unit) as u16),
            u: of([-kr, -kg, 1.0 - kb], to_u),
            v: of([1.0 - kr, -kg, -kb], to_v),
        }
    }

    /// Y of pixels.
    // Inlined, these would be unrolled with what is around them, and be no loops any more when vectors are looked for.
    #[inline(never)]
    pub fn lights<const N: usize>(&self, rgb: &[[u8; N]; 3]) -> [u8; N] {
        let mut sums = [self.black; N];
        for (plane, factor) in rgb.iter().zip(self.y) {
            let scaled = |at: usize| u16::from(plane[at]).wrapping_mul(self.scales.0);
            add(&mut sums, |at| high_unsigned(scaled(at), factor));
        }
        rounded(&sums)
    }

    /// U and V of four pixels each, from the sums of their red, green and blue.
    #[inline(never)]
    pub fn colours<const N: usize>(&self, of_four: &[[i16; N]; 3]) -> [[u8; N]; 2] {
        [&self.u, &self.v].map(|factors| {
            let mut sums = [NEUTRAL; N];
            for (plane, factor) in of_four.iter().zip(factors) {
                let scaled = |at: usize| plane[at].wrapping_mul(self.scales.1);
                add(&mut sums, |at| high(scaled(at), *factor));
            }
            rounded(&sums)
        })
    }
}
