//! [`ToRgb`] and [`ToYuv`]: the formulae between Y, U, V and red, green, blue, in whole numbers.
//!
//! ITU-T H.273, 8.3: with the weights `kr` and `kb` of red and blue, Y = kr R + (1 - kr - kb) G + kb B,
//! U = (B - Y) / (2 - 2 kb), V = (R - Y) / (2 - 2 kr). In limited range Y takes 219 steps from 16 on, U and V take 224 around
//! 128; in full range all take 255.
//!
//! A product is the upper half of one of 16 by 16 bits, of which processors make eight or more at a time. What is lost by
//! that, at most 1/32 of a step for each product, leaves a result within one step of the exact one.

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

/// A factor of which `unit` is 1; every one here is within 16 bits.
fn factor(value: f64, unit: f64) -> i16 {
    (value * unit).round() as i16
}

/// Y, U and V to red, green and blue.
#[derive(Clone, Copy, Debug)]
pub struct ToRgb {
    black: i16,
    y: i16,
    red_v: i16,
    green_u: i16,
    green_v: i16,
    blue_u: i16,
}

/// Parts of a step that sums have.
const RGB_BITS: i16 = 5;
const YUV_BITS: i16 = 6;

impl ToRgb {
    pub fn new((kr, kb): (f64, f64), full_range: bool) -> ToRgb {
        let kg = 1.0 - kr - kb;
        let (y, c) = steps(full_range);
        let (y, c) = (255.0 / y, 255.0 / c);
        ToRgb {
            black: black(full_range),
            // Y is shifted by 7 bits, U and V by 8.
            y: factor(y, 16_384.0),
            red_v: factor(2.0 * (1.0 - kr) * c, 8_192.0),
            green_u: factor(2.0 * (1.0 - kb) * kb / kg * c, 8_192.0),
            green_v: factor(2.0 * (1.0 - kr) * kr / kg * c, 8_192.0),
            blue_u: factor(2.0 * (1.0 - kb) * c, 8_192.0),
        }
    }

    /// What U and V add to red, green and blue.
    #[inline(always)]
    pub fn colour(&self, u: u8, v: u8) -> [i16; 3] {
        let (u, v) = ((i16::from(u) - 128) << 8, (i16::from(v) - 128) << 8);
        [
            high(v, self.red_v),
            -high(u, self.green_u) - high(v, self.green_v),
            high(u, self.blue_u),
        ]
    }

    /// What Y is of each of them, ready to be rounded.
    #[inline(always)]
    pub fn light(&self, y: u8) -> i16 {
        high((i16::from(y) - self.black) << 7, self.y) + (1 << (RGB_BITS - 1))
    }
}

/// A sum of [`ToRgb::light`] and a part of [`ToRgb::colour`] as a sample.
#[inline(always)]
pub fn sample(sum: i16) -> u8 {
    (sum >> RGB_BITS).clamp(0, 255) as u8
}

/// Red, green and blue to Y, U and V.
#[derive(Clone, Copy, Debug)]
pub struct ToYuv {
    black: i16,
    y: [i16; 3],
    u: [i16; 3],
    v: [i16; 3],
}

impl ToYuv {
    pub fn new((kr, kb): (f64, f64), full_range: bool) -> ToYuv {
        let kg = 1.0 - kr - kb;
        let (y, c) = steps(full_range);
        let (y, c) = (y / 255.0, c / 255.0);
        let of = |weights: [f64; 3], scale: f64| weights.map(|w| factor(w * scale, 32_768.0));
        let (to_u, to_v) = (c / (2.0 * (1.0 - kb)), c / (2.0 * (1.0 - kr)));
        ToYuv {
            black: black(full_range),
            y: of([kr, kg, kb], y),
            u: of([-kr, -kg, 1.0 - kb], to_u),
            v: of([1.0 - kr, -kg, -kb], to_v),
        }
    }

    #[inline(always)]
    fn sum(factors: &[i16; 3], rgb: [i16; 3]) -> i16 {
        // The middle of what three products lose is a step and a half.
        let lost = 1;
        let half = 1 << (YUV_BITS - 1);
        high(rgb[0], factors[0]) + high(rgb[1], factors[1]) + high(rgb[2], factors[2]) + half + lost
    }

    /// Y of a pixel.
    #[inline(always)]
    pub fn light(&self, rgb: [u8; 3]) -> u8 {
        let sum = ToYuv::sum(&self.y, rgb.map(|s| i16::from(s) << 7));
        ((sum >> YUV_BITS) + self.black).clamp(0, 255) as u8
    }

    /// U and V of four pixels, from the sums of their red, green and blue.
    #[inline(always)]
    pub fn colour(&self, of_four: [u16; 3]) -> [u8; 2] {
        let rgb = of_four.map(|sum| (sum << 5) as i16);
        [&self.u, &self.v].map(|factors| {
            let sum = ToYuv::sum(factors, rgb);
            ((sum >> YUV_BITS) + 128).clamp(0, 255) as u8
        })
    }
}
