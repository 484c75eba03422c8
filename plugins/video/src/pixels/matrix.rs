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
pub fn black(full_range: bool) -> i16 {
    if full_range { 0 } else { 16 }
}

/// The upper half of a product.
#[inline(always)]
fn high(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// A scale of samples that the compiler does not know.
///
/// It would take a known one for a shift, combine that with the one behind the product, and be left with products of 32
/// bits, which take several times as long.
fn scale(by: i16) -> i16 {
    std::hint::black_box(by)
}

/// A factor of which `unit` is 1; every one here is within 16 bits.
fn factor(value: f64, unit: f64) -> i16 {
    (value * unit).round() as i16
}

/// Parts of a step that sums have.
const RGB_BITS: u32 = 5;
const YUV_BITS: u32 = 6;
/// The middle of a sample, and of the sum of four.
const MIDDLE: i16 = 128;
const MIDDLE_OF_FOUR: i16 = 510;

/// Y, U and V to red, green and blue.
#[derive(Clone, Copy, Debug)]
pub struct ToRgb {
    black: i16,
    /// Scales of Y, and of U and V.
    scales: (i16, i16),
    y: i16,
    red_v: i16,
    green_u: i16,
    green_v: i16,
    blue_u: i16,
}

impl ToRgb {
    pub fn new((kr, kb): (f64, f64), full_range: bool) -> ToRgb {
        let kg = 1.0 - kr - kb;
        let (y, c) = steps(full_range);
        let (y, c) = (255.0 / y, 255.0 / c);
        ToRgb {
            black: black(full_range),
            scales: (scale(128), scale(256)),
            y: factor(y, 16_384.0),
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
        high(
            (i16::from(y) - self.black).wrapping_mul(self.scales.0),
            self.y,
        ) + (1 << (RGB_BITS - 1))
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
    /// Y of the middle of the range, to which differences from it are added, with [`HALF`].
    middle: i16,
    /// Scales of samples, and of sums of four.
    scales: (i16, i16),
    y: [i16; 3],
    u: [i16; 3],
    v: [i16; 3],
}

/// What is added to a sum before its parts of a step are cut off: half a step, and the middle of what three products lose.
const HALF: i16 = (1 << (YUV_BITS - 1)) + 1;

/// Adds the upper halves of products to `sums`: one product a loop, because of two in one expression compilers make
/// products of 32 bits.
#[inline(always)]
fn add_products<const N: usize>(
    sums: &mut [i16; N],
    sample: impl Fn(usize) -> i16,
    scale: i16,
    factor: i16,
) {
    for at in 0..N {
        sums[at] += high(sample(at).wrapping_mul(scale), factor);
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
        let of = |weights: [f64; 3], scale: f64| weights.map(|w| factor(w * scale, 16_384.0));
        let (to_u, to_v) = (c / (2.0 * (1.0 - kb)), c / (2.0 * (1.0 - kr)));
        let middle = f64::from(black(full_range)) + f64::from(MIDDLE) * y;
        ToYuv {
            middle: factor(middle, f64::from(1 << YUV_BITS)) + HALF,
            scales: (scale(256), scale(64)),
            y: of([kr, kg, kb], y),
            u: of([-kr, -kg, 1.0 - kb], to_u),
            v: of([1.0 - kr, -kg, -kb], to_v),
        }
    }

    /// Y of pixels.
    // Inlined, these would be unrolled with what is around them, and be no loops any more when vectors are looked for.
    #[inline(never)]
    pub fn lights<const N: usize>(&self, rgb: &[[u8; N]; 3]) -> [u8; N] {
        let mut sums = [self.middle; N];
        for (plane, factor) in rgb.iter().zip(self.y) {
            let sample = |at: usize| i16::from(plane[at]) - MIDDLE;
            add_products(&mut sums, sample, self.scales.0, factor);
        }
        rounded(&sums)
    }

    /// U and V of four pixels each, from the sums of their red, green and blue.
    #[inline(never)]
    pub fn colours<const N: usize>(&self, of_four: &[[i16; N]; 3]) -> [[u8; N]; 2] {
        [&self.u, &self.v].map(|factors| {
            let mut sums = [(MIDDLE << YUV_BITS) + HALF; N];
            for (plane, factor) in of_four.iter().zip(factors) {
                let sample = |at: usize| plane[at] - MIDDLE_OF_FOUR;
                add_products(&mut sums, sample, self.scales.1, *factor);
            }
            rounded(&sums)
        })
    }
}
