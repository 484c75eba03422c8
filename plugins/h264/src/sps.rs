//! What a sequence parameter set says of the pictures to come (ITU-T H.264, 7.3.2.1.1, 9.1 and annex E):
//! whether the library can decode them, how much memory they take, how far they are out of order, and what
//! their colours are.

use std::fmt;

use levada_plugin::colour::Colour;

use crate::{bits::Bits, vui};

/// Blocks of 16x16 in a picture at most (table A-1, level 5.2), which is what OpenH264 takes.
const MAX_BLOCKS: u64 = 36_864;
/// Blocks in all reference pictures together at most (`MaxDpbMbs` of level 5.2): 70 MB of pictures.
const MAX_REFERENCE_BLOCKS: u64 = 184_320;
/// Bytes of a parameter set at most; those of encoders have tens.
const MAX_SPS_BYTES: usize = 1024;

/// How many pictures may come before one that is shown earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reordering {
    /// As many as this; 0 means that pictures are shown as they come.
    Known(u32),
    /// The stream does not say.
    Unknown,
}

/// What is to be known of pictures that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated {
    pub reordering: Reordering,
    pub colour: Colour,
}

/// Why pictures of a stream cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    Malformed,
    Interlaced,
    Samples,
    TooLarge(u64, u64),
    TooManyReferences(u64, u64),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Malformed => f.write_str("its sequence parameter set is malformed"),
            Unfit::Interlaced => f.write_str("it is interlaced; send progressive pictures"),
            Unfit::Samples => f.write_str("its samples are not 8 bits in 4:2:0; send those"),
            Unfit::TooLarge(w, h) => write!(
                f,
                "its pictures have {w}x{h} blocks of 16x16 pixels, and at most {MAX_BLOCKS} can be decoded; \
                 send smaller ones"
            ),
            Unfit::TooManyReferences(frames, blocks) => write!(
                f,
                "it wants {frames} reference pictures of {blocks} blocks, and {MAX_REFERENCE_BLOCKS} blocks are \
                 the most of any level; send a stream that keeps to its level"
            ),
        }
    }
}

impl Bits<'_> {
    /// 7.3.2.1.1.1
    fn skip_scaling_list(&mut self, entries: u32) -> Option<()> {
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..entries {
            if next != 0 {
                let code = self.ue()? as i64;
                let delta = if code % 2 == 1 {
                    (code + 1) / 2
                } else {
                    -(code / 2)
                };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

/// Whether profiles of this number say more of their samples.
pub fn has_chroma(profile: u8) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// Reads a sequence parameter set, its NAL unit's head included.
///
/// # Errors
/// Why the pictures cannot be decoded.
pub fn read(sps: &[u8]) -> Result<Stated, Unfit> {
    if sps.len() > MAX_SPS_BYTES {
        return Err(Unfit::Malformed);
    }
    parse(sps).ok_or(Unfit::Malformed)?
}

fn parse(sps: &[u8]) -> Option<Result<Stated, Unfit>> {
    let (profile, constraints) = (*sps.get(1)?, *sps.get(2)?);
    let mut bits = Bits::new(sps.get(4..)?);
    bits.ue()?; // id
    if has_chroma(profile) {
        // 4:2:0, and 8 bits of brightness and colour.
        if bits.ue()? != 1 || bits.ue()? != 0 || bits.ue()? != 0 {
            return Some(Err(Unfit::Samples));
        }
        bits.skip(1)?;
        if bits.bit()? {
            for list in 0..8 {
                if bits.bit()? {
                    bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?; // bits of the frame's number
    let order = bits.ue()?;
    match order {
        0 => bits.skip_ue(1)?,
        1 => {
            bits.skip(1)?;
            bits.skip_ue(2)?;
            let cycle = bits.ue()?;
            bits.skip_ue(cycle.min(255) as u32)?;
        }
        _ => {}
    }
    let references = bits.ue()?;
    bits.skip(1)?;
    let (width, height) = (bits.ue()? + 1, bits.ue()? + 1);
    if !bits.bit()? {
        return Some(Err(Unfit::Interlaced));
    }
    // Neither factor has more than 33 bits; a product of two small ones cannot overflow.
    if width > MAX_BLOCKS || height > MAX_BLOCKS || width * height > MAX_BLOCKS {
        return Some(Err(Unfit::TooLarge(width, height)));
    }
    let blocks = width * height;
    if references > 16 || references * blocks > MAX_REFERENCE_BLOCKS {
        return Some(Err(Unfit::TooManyReferences(references, blocks)));
    }
    // What is wrong in the part that follows keeps nobody from decoding.
    let vui = behind_sizes(&mut bits).unwrap_or_default();
    // Baseline has no B slices, nor have others that say so (constraint_set5, A.2.4), and the third way of
    // numbering pictures keeps them in order (8.2.1.3).
    let says_no_b = matches!(profile, 77 | 88 | 100) && constraints & 0b100 != 0;
    let reordering = match vui.reordering {
        _ if profile == 66 || says_no_b || order == 2 => Reordering::Known(0),
        Some(frames) => Reordering::Known(frames.min(16) as u32),
        None => Reordering::Unknown,
    };
    Some(Ok(Stated {
        reordering,
        colour: vui.colour,
    }))
}

/// The part of a parameter set behind the sizes of its pictures.
fn behind_sizes(bits: &mut Bits<'_>) -> Option<vui::Vui> {
    bits.skip(1)?;
    if bits.bit()? {
        bits.skip_ue(4)?; // cropping
    }
    bits.bit()?.then(|| vui::read(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Writer;

    struct Sps {
        profile: u8,
        constraints: u8,
        order: u64,
        references: u64,
        blocks: (u64, u64),
        progressive: u64,
        reorder: Option<u64>,
        colour: Option<Colour>,
    }

    fn whole(mut body: Writer, head: [u8; 4]) -> Vec<u8> {
        body.bit(true);
        head.into_iter().chain(body.into_bytes()).collect()
    }

    const HD: Sps = Sps {
        profile: 100,
        constraints: 0,
        order: 0,
        references: 4,
        blocks: (80, 45),
        progressive: 1,
        reorder: None,
        colour: None,
    };

    const WIDE: Colour = Colour {
        full_range: Some(true),
        primaries: Some(1),
        transfer: Some(13),
        matrix: Some(6),
    };

    impl Sps {
        fn bytes(&self) -> Vec<u8> {
            let mut w = Writer::default();
            let ue = |w: &mut Writer, codes: &[u64]| codes.iter().for_each(|code| w.ue(*code));
            w.ue(0);
            if has_chroma(self.profile) {
                ue(&mut w, &[1, 0, 0]);
                w.bits(0, 2);
            }
            ue(&mut w, &[0, self.order]);
            if self.order == 0 {
                w.ue(0);
            }
            w.ue(self.references);
            w.bits(0, 1);
            ue(&mut w, &[self.blocks.0 - 1, self.blocks.1 - 1]);
            w.bits(self.progressive << 2 | 0b10, 3);
            let has_vui = self.reorder.is_some() || self.colour.is_some();
            w.bit(has_vui);
            if has_vui {
                self.put_vui(&mut w);
            }
            whole(w, [0x67, self.profile, self.constraints, 40])
        }

        fn put_vui(&self, w: &mut Writer) {
            w.bits(0, 2);
            w.bit(self.colour.is_some());
            if let Some(colour) = self.colour {
                w.bits(5, 3);
                w.bit(colour.full_range == Some(true));
                let codes = [colour.primaries, colour.transfer, colour.matrix];
                let has_codes = codes != [None; 3];
                w.bit(has_codes);
                for code in codes.iter().filter(|_| has_codes) {
                    w.bits(code.unwrap_or(2).into(), 8);
                }
            }
            w.bits(0, 5);
            w.bit(self.reorder.is_some());
            if let Some(frames) = self.reorder {
                w.bit(true);
                [0, 0, 16, 16, frames, 4]
                    .iter()
                    .for_each(|code| w.ue(*code));
            }
        }
    }

    #[test]
    fn streams_say_how_far_their_pictures_are_out_of_order() {
        let known = |sps: Sps| read(&sps.bytes()).map(|stated| stated.reordering);
        assert_eq!(known(HD), Ok(Reordering::Unknown));
        let said = Sps {
            reorder: Some(2),
            ..HD
        };
        assert_eq!(known(said), Ok(Reordering::Known(2)));
        let none = Sps {
            reorder: Some(0),
            ..HD
        };
        assert_eq!(known(none), Ok(Reordering::Known(0)));
        // What browsers send: constrained baseline, constrained high, or pictures numbered in order.
        let baseline = Sps {
            profile: 66,
            constraints: 0xc0,
            ..HD
        };
        assert_eq!(known(baseline), Ok(Reordering::Known(0)));
        let high = Sps {
            constraints: 0x0c,
            ..HD
        };
        assert_eq!(known(high), Ok(Reordering::Known(0)));
        let in_order = Sps { order: 2, ..HD };
        assert_eq!(known(in_order), Ok(Reordering::Known(0)));
    }

    #[test]
    fn streams_say_their_colours_whatever_their_profile() {
        let colour = |sps: Sps| read(&sps.bytes()).map(|stated| stated.colour);
        let none = Colour::default();
        let range_alone = Colour {
            full_range: Some(false),
            ..none
        };
        let no_transfer = Colour {
            transfer: None,
            ..WIDE
        };
        // Constrained baseline, constrained high, main, and pictures numbered in order.
        for (profile, constraints, order) in
            [(66, 0xc0, 0), (100, 0x0c, 0), (77, 0, 0), (100, 0, 2)]
        {
            for reorder in [None, Some(2)] {
                let of = |stated| Sps {
                    profile,
                    constraints,
                    order,
                    reorder,
                    colour: stated,
                    ..HD
                };
                for stated in [WIDE, range_alone, no_transfer] {
                    assert_eq!(colour(of(Some(stated))), Ok(stated), "{profile}");
                }
                assert_eq!(colour(of(None)), Ok(none), "{profile}");
            }
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let why = |sps: Sps| read(&sps.bytes()).err();
        assert_eq!(
            why(Sps {
                progressive: 0,
                ..HD
            }),
            Some(Unfit::Interlaced)
        );
        let large = Sps {
            blocks: (1024, 1024),
            ..HD
        };
        assert_eq!(why(large), Some(Unfit::TooLarge(1024, 1024)));
        let absurd = Sps {
            blocks: (1 << 31, 1 << 31),
            ..HD
        };
        assert_eq!(why(absurd), Some(Unfit::TooLarge(1 << 31, 1 << 31)));
        let hungry = Sps {
            blocks: (256, 144),
            references: 16,
            ..HD
        };
        assert_eq!(why(hungry), Some(Unfit::TooManyReferences(16, 36_864)));
        let mut deep = Writer::default();
        [0, 1, 2, 2].into_iter().for_each(|code| deep.ue(code));
        assert_eq!(read(&whole(deep, [0x67, 110, 0, 40])), Err(Unfit::Samples));
        assert_eq!(read(&[0x67; 4096]), Err(Unfit::Malformed));
    }

    #[test]
    fn a_parameter_set_cut_anywhere_tells_nothing_that_it_does_not_say() {
        let whole = Sps {
            reorder: Some(2),
            colour: Some(WIDE),
            ..HD
        }
        .bytes();
        let without = HD.bytes().len();
        for cut in 0..whole.len() - 2 {
            let told = read(&whole[..cut]);
            if let Ok(stated) = told {
                assert_eq!(stated.reordering, Reordering::Unknown, "{cut}");
                let colours = [Colour::default(), WIDE];
                assert!(colours.contains(&stated.colour), "{cut}: all or nothing");
            }
            assert!(told.is_err() || cut >= without - 2, "{cut}: {told:?}");
        }
    }
}
