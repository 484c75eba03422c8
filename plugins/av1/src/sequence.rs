//! [`Sequence`]: what a sequence header says that matters before its pictures are decoded (AV1 specification, 5.5).

use std::fmt;

use levada_plugin::colour::Colour;

use crate::bits::{Bits, Ended};

/// Pixels of a picture at most: those of 4096x2304, as `h264-decoder` takes.
pub const MAX_PIXELS: u32 = 4096 * 2304;

/// What pictures have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub colour: Colour,
}

/// Why pictures cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The header is cut off.
    Damaged,
    /// Width and height.
    TooLarge(u32, u32),
    /// Bits of a sample.
    Depth(u32),
    /// Colours that are not halved in both directions, by `seq_profile`.
    Profile(u32),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Damaged => f.write_str("its sequence header is damaged"),
            Unfit::TooLarge(width, height) => write!(
                f,
                "its pictures of up to {width}x{height} have more than the {MAX_PIXELS} pixels that are decoded at most"
            ),
            Unfit::Depth(bits) => write!(
                f,
                "its samples have {bits} bits, and those of 8 are decoded"
            ),
            Unfit::Profile(profile) => write!(
                f,
                "it is of profile {profile}, and the main profile (0), of 4:2:0, is decoded"
            ),
        }
    }
}

impl From<Ended> for Unfit {
    fn from(_: Ended) -> Unfit {
        Unfit::Damaged
    }
}

/// Reads the payload of a sequence header: `sequence_header_obu()`.
pub fn read(payload: &[u8]) -> Result<Sequence, Unfit> {
    let mut bits = Bits::new(payload);
    let profile = bits.take(3)?;
    let _still_picture = bits.flag()?;
    let is_reduced = bits.flag()?;
    if is_reduced {
        let _level = bits.take(5)?;
    } else {
        operating_points(&mut bits)?;
    }
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let (width, height) = (bits.take(width_bits)? + 1, bits.take(height_bits)? + 1);
    tools(&mut bits, is_reduced)?;
    // Sides have 16 bits, so this fits.
    if width
        .checked_mul(height)
        .is_none_or(|pixels| pixels > MAX_PIXELS)
    {
        return Err(Unfit::TooLarge(width, height));
    }
    if profile != 0 {
        return Err(Unfit::Profile(profile));
    }
    // color_config(), of profile 0.
    if bits.flag()? {
        return Err(Unfit::Depth(10));
    }
    let is_mono = bits.flag()?;
    let [primaries, transfer, matrix] = if bits.flag()? {
        [bits.take(8)?, bits.take(8)?, bits.take(8)?].map(|code| Colour::stated(code as u8))
    } else {
        [None; 3]
    };
    const SRGB: (Option<u8>, Option<u8>, Option<u8>) = (Some(1), Some(13), Some(0));
    if !is_mono && (primaries, transfer, matrix) == SRGB {
        // Red, green and blue as they are, which is 4:4:4 and not of this profile.
        return Err(Unfit::Damaged);
    }
    let is_full = bits.flag()?;
    let is_stated = primaries.or(transfer).or(matrix).is_some() || is_full;
    Ok(Sequence {
        colour: Colour {
            full_range: is_stated.then_some(is_full),
            primaries,
            transfer,
            matrix,
        },
    })
}

/// Timing and operating points, up to the size.
fn operating_points(bits: &mut Bits<'_>) -> Result<(), Ended> {
    let mut delay_bits = None;
    // timing_info()
    if bits.flag()? {
        bits.take(32)?;
        bits.take(32)?;
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        // decoder_model_info()
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? + 1);
            bits.take(32)?;
            bits.take(10)?;
        }
    }
    let has_display_delay = bits.flag()?;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        // A tier follows the higher levels.
        if bits.take(5)? > 7 {
            bits.take(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            // operating_parameters_info()
            bits.take(delay_bits)?;
            bits.take(delay_bits)?;
            bits.take(1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.take(4)?;
        }
    }
    Ok(())
}

/// Tools of the codec, between the size and the colours.
fn tools(bits: &mut Bits<'_>, is_reduced: bool) -> Result<(), Ended> {
    if !is_reduced && bits.flag()? {
        // Numbers of frames.
        bits.take(7)?;
    }
    bits.take(3)?;
    if !is_reduced {
        bits.take(4)?;
        let has_order_hint = bits.flag()?;
        if has_order_hint {
            bits.take(2)?;
        }
        // 2 stands for a choice that each frame makes.
        let screen_content = if bits.flag()? { 2 } else { bits.take(1)? };
        if screen_content > 0 && !bits.flag()? {
            bits.take(1)?;
        }
        if has_order_hint {
            bits.take(3)?;
        }
    }
    bits.take(3)?;
    Ok(())
}
