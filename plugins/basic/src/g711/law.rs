//! The two laws of G.711: a sample to its code and back (ITU-T G.711, tables 1a to 2b).
//!
//! Both cut the magnitude into segments, of which each has twice the step of the one before, so that a code keeps about
//! as many significant bits of a faint sample as of a loud one. The tables count in steps of the smallest interval:
//! mu-law in 1/8192 of the range of 16 bits, A-law in 1/4096.

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// North America and Japan: `audio/pcmu`.
    Mu,
    /// Everywhere else: `audio/pcma`.
    A,
}

/// What mu-law adds to a magnitude, so that every segment begins at a power of two.
const BIAS: i32 = 33;
/// The last decision values before the end of the range.
const MU_MAX: i32 = 8158;
const A_MAX: i32 = 4095;
/// The bits that A-law inverts on the line; mu-law inverts all.
const A_MASK: u8 = 0x55;

const MU: [f32; 256] = table(Law::Mu);
const A: [f32; 256] = table(Law::A);

const fn table(law: Law) -> [f32; 256] {
    let mut table = [0.0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => mu_value(code as u8),
            Law::A => a_value(code as u8),
        };
        code += 1;
    }
    table
}

const fn mu_value(code: u8) -> f32 {
    let code = !code;
    let (segment, step) = ((code >> 4 & 7) as i32, (code & 15) as i32);
    let magnitude = ((2 * step + BIAS) << segment) - BIAS;
    let value = magnitude as f32 / 8192.0;
    if code & 0x80 == 0 { value } else { -value }
}

const fn a_value(code: u8) -> f32 {
    let code = code ^ A_MASK;
    let (segment, step) = ((code >> 4 & 7) as i32, (code & 15) as i32);
    let magnitude = match segment {
        0 => 2 * step + 1,
        _ => (2 * step + BIAS) << (segment - 1),
    };
    let value = magnitude as f32 / 4096.0;
    if code & 0x80 == 0 { -value } else { value }
}

/// Segment and step of a magnitude that begins at 32: the place of its highest bit, and the four bits behind it.
fn place(magnitude: i32) -> u8 {
    let segment = magnitude.ilog2() - 5;
    let step = magnitude >> (segment + 1) & 15;
    (segment as u8) << 4 | step as u8
}

impl Law {
    /// What each code stands for, in -1..=1 of the range of 16 bits.
    pub fn values(self) -> &'static [f32; 256] {
        match self {
            Law::Mu => &MU,
            Law::A => &A,
        }
    }

    /// The code that is nearest to a sample, by the tables' decision values. What is beyond the range is as near to it
    /// as can be; what is no number is silence.
    pub fn code(self, sample: f32) -> u8 {
        // Casts from float to integer saturate, and make 0 of what is no number.
        match self {
            Law::Mu => {
                let magnitude = ((sample.abs() * 8192.0) as i32).min(MU_MAX) + BIAS;
                let sign = if sample.is_sign_negative() { 0x80 } else { 0 };
                !(sign | place(magnitude))
            }
            Law::A => {
                let magnitude = ((sample.abs() * 4096.0) as i32).min(A_MAX);
                let sign = if sample.is_sign_negative() { 0 } else { 0x80 };
                // The first segment has the step of the second.
                let place = match magnitude {
                    0..32 => (magnitude / 2) as u8,
                    _ => place(magnitude) + 0x10,
                };
                (sign | place) ^ A_MASK
            }
        }
    }
}
