//! The size of the picture in an H.264 sequence parameter set (ITU-T H.264, 7.3.2.1.1 and 9.1).

/// Reads bits of a NAL unit, passing over the bytes that keep start codes out of it.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    zeroes: u8,
    current: u8,
    left: u8,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let mut byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if self.zeroes >= 2 && byte == 3 {
                self.zeroes = 0;
                byte = *self.bytes.get(self.at)?;
                self.at += 1;
            }
            self.zeroes = if byte == 0 {
                self.zeroes.saturating_add(1)
            } else {
                0
            };
            self.current = byte;
            self.left = 8;
        }
        self.left -= 1;
        Some(u32::from(self.current >> self.left & 1))
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// An Exp-Golomb code (9.1); `None` for those that do not fit.
    fn ue(&mut self) -> Option<u32> {
        let mut zeroes = 0;
        while self.bit()? == 0 {
            zeroes += 1;
            if zeroes > 31 {
                return None;
            }
        }
        Some(((1_u64 << zeroes) - 1 + u64::from(self.bits(zeroes)?)) as u32)
    }

    fn skip_scaling_list(&mut self, entries: u32) -> Option<()> {
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..entries {
            if next != 0 {
                let code = i64::from(self.ue()?);
                let delta = if code % 2 == 1 {
                    (code + 1) / 2
                } else {
                    -code / 2
                };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

/// Width and height that a sequence parameter set gives (7.3.2.1.1).
pub(super) fn size(sps: &[u8]) -> Option<(u32, u32)> {
    let profile = *sps.get(1)?;
    let mut bits = Bits {
        bytes: sps.get(4..)?,
        at: 0,
        zeroes: 0,
        current: 0,
        left: 0,
    };
    bits.ue()?; // id
    let mut chroma = 1;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma = bits.ue()?;
        if chroma == 3 {
            bits.bit()?;
        }
        bits.ue()?; // depth of luma
        bits.ue()?; // depth of chroma
        bits.bit()?;
        if bits.bit()? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? == 1 {
                    bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?; // frame number
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.bit()?;
            bits.ue()?;
            bits.ue()?;
            let cycle = bits.ue()?;
            for _ in 0..cycle.min(255) {
                bits.ue()?;
            }
        }
        _ => {}
    }
    bits.ue()?; // reference frames
    bits.bit()?;
    let width = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let frames_only = bits.bit()?;
    let height = map_units.checked_mul(2 - frames_only)?;
    if frames_only == 0 {
        bits.bit()?;
    }
    bits.bit()?;
    if bits.bit()? == 0 {
        return Some((width, height));
    }
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let unit_y = unit_y * (2 - frames_only);
    let mut crop = |unit: u32| -> Option<u32> {
        let before = bits.ue()?;
        bits.ue()?.checked_add(before)?.checked_mul(unit)
    };
    let (crop_x, crop_y) = (crop(unit_x)?, crop(unit_y)?);
    Some((width.checked_sub(crop_x)?, height.checked_sub(crop_y)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes bits and Exp-Golomb codes, for parameter sets of known content.
    struct Writer(Vec<bool>);

    impl Writer {
        fn bits(&mut self, value: u32, count: u32) {
            self.0
                .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        }

        fn ue(&mut self, value: u32) {
            let length = 32 - (value + 1).leading_zeros();
            self.bits(0, length - 1);
            self.bits(value + 1, length);
        }

        fn bytes(&self, head: &[u8]) -> Vec<u8> {
            let body = self.0.chunks(8).map(|bits| {
                let byte = bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
                byte << (8 - bits.len())
            });
            head.iter().copied().chain(body).collect()
        }
    }

    #[test]
    fn a_sequence_parameter_set_gives_its_cropped_size() {
        // 1920x1080 as encoders write it: 120 by 68 blocks, 8 lines cropped at the bottom; baseline and high.
        for profile in [66, 100] {
            let mut writer = Writer(vec![]);
            writer.ue(0);
            if profile == 100 {
                writer.ue(1);
                writer.ue(0);
                writer.ue(0);
                writer.bits(0, 2);
            }
            writer.ue(0);
            writer.ue(2);
            writer.ue(1);
            writer.bits(0, 1);
            writer.ue(119);
            writer.ue(67);
            writer.bits(0b111, 3);
            for crop in [0, 0, 0, 4] {
                writer.ue(crop);
            }
            writer.bits(0b01, 2);
            let sps = writer.bytes(&[0x67, profile, 0, 31]);
            assert_eq!(size(&sps), Some((1920, 1080)), "{profile}");
            for cut in 0..sps.len() - 1 {
                let _ = size(&sps[..cut]);
            }
        }
    }
}
