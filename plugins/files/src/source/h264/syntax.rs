//! What parameter sets and slices of H.264 say of a picture's rate and order (ITU-T H.264, 7.3.2.1, 7.3.3, 8.2.1, E.1).

use shiguredo_mp4::bitstream::h264::parse_sps;

/// A reader of bits, behind the bytes that keep start codes out.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    /// From a NAL unit's bytes behind its first.
    fn new(nal: &[u8]) -> Bits {
        let mut bytes: Vec<u8> = Vec::with_capacity(nal.len());
        let mut zeros = 0;
        for byte in nal {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Bits { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    /// So many bits, up to 32.
    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |sum: u32, _| Some(sum << 1 | u32::from(self.bit()?)))
    }

    /// `ue(v)`, 9.1.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `se(v)`.
    fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -(code / 2)
        })
    }
}

/// What slices are read by.
#[derive(Clone, Copy)]
pub struct Parameters {
    frame_number_bits: u32,
    /// 0 where counts are in the slices; otherwise pictures are taken to be in order.
    count_kind: u32,
    count_bits: u32,
    frames_only: bool,
    separate_planes: bool,
}

/// What a parameter set says of pictures.
pub struct Stated {
    pub width: u32,
    pub height: u32,
    /// Pictures a second, as a fraction, between one in 1000 s and 1000 a second.
    pub rate: Option<(u64, u64)>,
    /// By how many pictures they are out of the order in which they are shown, at most, where that is said.
    pub reordering: Option<u32>,
}

/// What a slice says of its picture.
pub struct Slice {
    /// It is a picture's first.
    pub is_first: bool,
    count: u32,
}

impl Parameters {
    /// Reads a sequence parameter set, its first byte included; `None` when it is malformed.
    pub fn read(nal: &[u8]) -> Option<(Parameters, Stated)> {
        let size = parse_sps(nal).ok()?;
        let (profile, constraints) = (*nal.get(1)?, *nal.get(2)?);
        let mut bits = Bits::new(nal.get(4..)?);
        bits.ue()?;
        let mut separate_planes = false;
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            let chroma = bits.ue()?;
            if chroma == 3 {
                separate_planes = bits.bit()?;
            }
            // Bits of brightness and colour, and whether it is without loss.
            bits.ue()?;
            bits.ue()?;
            bits.bit()?;
            if bits.bit()? {
                for list in 0..if chroma == 3 { 12 } else { 8 } {
                    if bits.bit()? {
                        scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let frame_number_bits = bits.ue()?.checked_add(4).filter(|n| *n <= 16)?;
        let count_kind = bits.ue()?;
        let mut count_bits = 0;
        match count_kind {
            0 => count_bits = bits.ue()?.checked_add(4).filter(|n| *n <= 16)?,
            1 => {
                bits.bit()?;
                bits.se()?;
                bits.se()?;
                for _ in 0..bits.ue()?.min(256) {
                    bits.se()?;
                }
            }
            _ => {}
        }
        // Reference pictures, whether some may be missing, and the size.
        bits.ue()?;
        bits.bit()?;
        bits.ue()?;
        bits.ue()?;
        let frames_only = bits.bit()?;
        if !frames_only {
            bits.bit()?;
        }
        bits.bit()?;
        if bits.bit()? {
            for _ in 0..4 {
                bits.ue()?;
            }
        }
        let parameters = Parameters {
            frame_number_bits,
            count_kind,
            count_bits,
            frames_only,
            separate_planes,
        };
        let (rate, said) = usability(&mut bits);
        // Baseline has no B slices, nor have others that say so (7.4.2.1.1, constraint_set5_flag), and the third way to
        // number pictures keeps them in order (8.2.1.3).
        let says_none = matches!(profile, 77 | 88 | 100) && constraints & 0b100 != 0;
        let reordering = match profile == 66 || says_none || count_kind == 2 {
            true => Some(0),
            false => said.map(|pictures| pictures.min(16)),
        };
        let stated = Stated {
            width: size.width.into(),
            height: size.height.into(),
            rate,
            reordering,
        };
        Some((parameters, stated))
    }

    /// Reads a slice's header, its NAL unit's first byte included; `None` when it is malformed, or of one field of
    /// a frame.
    pub fn slice(&self, nal: &[u8]) -> Option<Slice> {
        let is_idr = nal.first()? & 0x1f == 5;
        let mut bits = Bits::new(&nal[1..]);
        let is_first = bits.ue()? == 0;
        bits.ue()?;
        bits.ue()?;
        if self.separate_planes {
            bits.bits(2)?;
        }
        bits.bits(self.frame_number_bits)?;
        if !self.frames_only && bits.bit()? {
            return None;
        }
        if is_idr {
            bits.ue()?;
        }
        let count = if self.count_kind == 0 {
            bits.bits(self.count_bits)?
        } else {
            0
        };
        Some(Slice { is_first, count })
    }
}

fn scaling_list(bits: &mut Bits, entries: u32) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..entries {
        if next != 0 {
            next = (last + bits.se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// Pictures a second and by how many of them they are out of order, where what follows on the size says it.
fn usability(bits: &mut Bits) -> (Option<(u64, u64)>, Option<u32>) {
    let Some(rate) = rate(bits) else {
        return (None, None);
    };
    (rate, reordering(bits))
}

/// Pictures a second, and what comes before; `None` where nothing comes behind.
fn rate(bits: &mut Bits) -> Option<Option<(u64, u64)>> {
    if !bits.bit()? {
        return None;
    }
    // The pixels' shape.
    if bits.bit()? && bits.bits(8)? == 255 {
        bits.bits(32)?;
    }
    // What may lie beyond the screen's edge.
    if bits.bit()? {
        bits.bit()?;
    }
    // The signal and its colours.
    if bits.bit()? {
        bits.bits(4)?;
        if bits.bit()? {
            bits.bits(24)?;
        }
    }
    // Where colour samples lie.
    if bits.bit()? {
        bits.ue()?;
        bits.ue()?;
    }
    if !bits.bit()? {
        return Some(None);
    }
    // Units of the clock in a field, and in a second.
    let (under, over) = (u64::from(bits.bits(32)?) * 2, u64::from(bits.bits(32)?));
    let is_rate = under > 0 && over > 0 && over <= under * 1000 && under <= over * 1000;
    // Whether each picture lasts as long; a set that is cut off here has said what matters.
    let _ = bits.bit();
    Some(is_rate.then_some((over, under)))
}

/// `max_num_reorder_frames`, behind the rate.
fn reordering(bits: &mut Bits) -> Option<u32> {
    // How data arrive at a decoder, for NAL units of two kinds (E.1.2).
    let mut is_timed = false;
    for _ in 0..2 {
        if bits.bit()? {
            is_timed = true;
            let places = bits.ue()?;
            bits.bits(8)?;
            for _ in 0..=places.min(31) {
                bits.ue()?;
                bits.ue()?;
                bits.bit()?;
            }
            bits.bits(20)?;
        }
    }
    if is_timed {
        bits.bit()?;
    }
    bits.bit()?;
    if !bits.bit()? {
        return None;
    }
    bits.bit()?;
    for _ in 0..4 {
        bits.ue()?;
    }
    bits.ue()
}

/// The order counts of pictures (8.2.1.1).
#[derive(Default)]
pub struct PictureOrder {
    groups: u64,
    /// Those of the last picture that others refer to.
    high: i64,
    low: i64,
    /// Pictures since the last IDR.
    pictures: i64,
}

impl PictureOrder {
    /// How many groups have begun.
    pub fn groups(&self) -> u64 {
        self.groups
    }

    /// The order count of a picture that begins with a slice.
    pub fn count(
        &mut self,
        is_idr: bool,
        is_reference: bool,
        slice: &Slice,
        by: &Parameters,
    ) -> i64 {
        if is_idr {
            self.groups += 1;
            (self.high, self.low, self.pictures) = (0, 0, 0);
        }
        self.pictures += 1;
        if by.count_kind != 0 {
            return self.pictures;
        }
        let (low, most) = (i64::from(slice.count), 1_i64 << by.count_bits);
        let high = if low < self.low && self.low - low >= most / 2 {
            self.high + most
        } else if low > self.low && low - self.low > most / 2 {
            self.high - most
        } else {
            self.high
        };
        if is_reference {
            (self.high, self.low) = (high, low);
        }
        high + low
    }
}
