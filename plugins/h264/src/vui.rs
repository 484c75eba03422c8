//! What a sequence parameter set says of how its pictures are to be shown (ITU-T H.264, annex E): their colours,
//! and how far they are out of order. It comes last in the set and is no use for decoding, so as much of it holds
//! as can be read.

use levada_plugin::colour::Colour;

use crate::bits::Bits;

/// What matters here of the video usability information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vui {
    pub colour: Colour,
    /// `max_num_reorder_frames`, where it is given.
    pub reordering: Option<u64>,
}

/// Reads as far as the bits make sense (E.1.1).
pub fn read(bits: &mut Bits<'_>) -> Vui {
    let Some(colour) = colour(bits) else {
        return Vui::default();
    };
    Vui {
        colour,
        reordering: reordering(bits),
    }
}

fn colour(bits: &mut Bits<'_>) -> Option<Colour> {
    if bits.bit()? && bits.bits(8)? == 255 {
        bits.skip(32)?; // sample aspect ratio
    }
    if bits.bit()? {
        bits.skip(1)?; // overscan
    }
    let mut colour = Colour::default();
    if bits.bit()? {
        bits.skip(3)?; // the system that it was recorded in
        colour.full_range = Some(bits.bit()?);
        if bits.bit()? {
            // Eight bits fit a byte.
            let mut code_point = || bits.bits(8).map(|code| Colour::stated(code as u8));
            colour.primaries = code_point()?;
            colour.transfer = code_point()?;
            colour.matrix = code_point()?;
        }
    }
    Some(colour)
}

/// `max_num_reorder_frames`, behind the colours.
fn reordering(bits: &mut Bits<'_>) -> Option<u64> {
    if bits.bit()? {
        bits.skip_ue(2)?; // place of colour samples
    }
    if bits.bit()? {
        bits.skip(65)?; // timing
    }
    let nal = bits.bit()?;
    if nal {
        skip_hrd(bits)?;
    }
    let vcl = bits.bit()?;
    if vcl {
        skip_hrd(bits)?;
    }
    if nal || vcl {
        bits.skip(1)?;
    }
    bits.skip(1)?; // structure of pictures
    if !bits.bit()? {
        return None;
    }
    bits.skip(1)?;
    bits.skip_ue(4)?;
    bits.ue()
}

/// E.1.2
fn skip_hrd(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.ue()?;
    bits.skip(8)?;
    for _ in 0..=count.min(31) {
        bits.skip_ue(2)?;
        bits.skip(1)?;
    }
    bits.skip(20)
}
