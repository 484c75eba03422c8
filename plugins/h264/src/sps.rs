//! What a sequence parameter set says of the pictures to come (ITU-T H.264, 7.3.2.1.1, 9.1 and annex E):
//! whether the library can decode them, how much memory they take, and how far they are out of order.

use std::fmt;

use crate::bits::Bits;

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
    fn skip_ue(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.ue().map(drop))
    }

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

    /// E.1.2
    fn skip_hrd(&mut self) -> Option<()> {
        let count = self.ue()?;
        self.skip(8)?;
        for _ in 0..=count.min(31) {
            self.skip_ue(2)?;
            self.skip(1)?;
        }
        self.skip(20)
    }

    /// `max_num_reorder_frames` of the VUI (E.1.1); `None` inside where it is not given.
    fn reordering(&mut self) -> Option<Option<u64>> {
        if self.bit()? && self.bits(8)? == 255 {
            self.skip(32)?; // sample aspect ratio
        }
        if self.bit()? {
            self.skip(1)?; // overscan
        }
        if self.bit()? {
            self.skip(4)?; // kind of signal
            if self.bit()? {
                self.skip(24)?; // colours
            }
        }
        if self.bit()? {
            self.skip_ue(2)?; // place of colour samples
        }
        if self.bit()? {
            self.skip(65)?; // timing
        }
        let nal = self.bit()?;
        if nal {
            self.skip_hrd()?;
        }
        let vcl = self.bit()?;
        if vcl {
            self.skip_hrd()?;
        }
        if nal || vcl {
            self.skip(1)?;
        }
        self.skip(1)?; // structure of pictures
        if !self.bit()? {
            return Some(None);
        }
        self.skip(1)?;
        self.skip_ue(4)?;
        Some(Some(self.ue()?))
    }
}

/// Whether profiles of this number say more of their samples.
pub fn has_chroma(profile: u8) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// Reads a sequence parameter set, its NAL unit's head included: how far pictures are out of order.
///
/// # Errors
/// Why the pictures cannot be decoded.
pub fn read(sps: &[u8]) -> Result<Reordering, Unfit> {
    if sps.len() > MAX_SPS_BYTES {
        return Err(Unfit::Malformed);
    }
    parse(sps).ok_or(Unfit::Malformed)?
}

fn parse(sps: &[u8]) -> Option<Result<Reordering, Unfit>> {
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
    // Baseline has no B slices, nor have others that say so (constraint_set5, A.2.4), and the third way of
    // numbering pictures keeps them in order (8.2.1.3).
    let says_no_b = matches!(profile, 77 | 88 | 100) && constraints & 0b100 != 0;
    if profile == 66 || says_no_b || order == 2 {
        return Some(Ok(Reordering::Known(0)));
    }
    bits.skip(1)?;
    if bits.bit()? {
        bits.skip_ue(4)?; // cropping
    }
    // What is wrong in the part that follows keeps nobody from decoding.
    let told = if bits.bit()? { bits.reordering() } else { None };
    Some(Ok(match told.flatten() {
        Some(frames) => Reordering::Known(frames.min(16) as u32),
        None => Reordering::Unknown,
    }))
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
            match self.reorder {
                None => w.bits(0, 1),
                Some(frames) => {
                    w.bits(0b100_0000_0011, 11);
                    ue(&mut w, &[0, 0, 16, 16, frames, 4]);
                }
            };
            whole(w, [0x67, self.profile, self.constraints, 40])
        }
    }

    #[test]
    fn streams_say_how_far_their_pictures_are_out_of_order() {
        let known = |sps: Sps| read(&sps.bytes());
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
            ..HD
        }
        .bytes();
        let without = Sps {
            reorder: None,
            ..HD
        }
        .bytes()
        .len();
        for cut in 0..whole.len() - 2 {
            let told = read(&whole[..cut]);
            assert!(!matches!(told, Ok(Reordering::Known(_))), "{cut}: {told:?}");
            assert!(told.is_err() || cut >= without - 2, "{cut}: {told:?}");
        }
    }
}
