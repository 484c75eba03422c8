//! Bits of a NAL unit, in and out (ITU-T H.264, 7.3.1 and 9.1).

/// Reads bits of a NAL unit, passing over the bytes that keep start codes out of it (7.3.1).
pub struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    zeroes: u8,
    current: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits {
            bytes,
            at: 0,
            zeroes: 0,
            current: 0,
            left: 0,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub fn bit(&mut self) -> Option<bool> {
        if self.left == 0 {
            let mut byte = self.byte()?;
            if self.zeroes >= 2 && byte == 3 {
                self.zeroes = 0;
                byte = self.byte()?;
            }
            self.zeroes = match byte {
                0 => self.zeroes.saturating_add(1),
                _ => 0,
            };
            (self.current, self.left) = (byte, 8);
        }
        self.left -= 1;
        Some(self.current >> self.left & 1 == 1)
    }

    pub fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    pub fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.bit().map(drop))
    }

    /// An Exp-Golomb code (9.1); `None` for those beyond 32 bits.
    pub fn ue(&mut self) -> Option<u64> {
        let mut zeroes = 0;
        while !self.bit()? {
            zeroes += 1;
            if zeroes > 31 {
                return None;
            }
        }
        Some((1 << zeroes) - 1 + u64::from(self.bits(zeroes)?))
    }

    pub fn skip_ue(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.ue().map(drop))
    }
}

/// Writes bits into bytes, with the bytes that keep start codes out of a NAL unit.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    current: u8,
    filled: u32,
    zeroes: u32,
}

impl Writer {
    pub fn bit(&mut self, bit: bool) {
        self.current = self.current << 1 | u8::from(bit);
        self.filled += 1;
        if self.filled == 8 {
            if self.zeroes >= 2 && self.current <= 3 {
                self.bytes.push(3);
                self.zeroes = 0;
            }
            self.zeroes = match self.current {
                0 => self.zeroes + 1,
                _ => 0,
            };
            self.bytes.push(self.current);
            (self.current, self.filled) = (0, 0);
        }
    }

    pub fn bits(&mut self, value: u64, count: u32) {
        (0..count)
            .rev()
            .for_each(|at| self.bit(value >> at & 1 == 1));
    }

    /// An Exp-Golomb code.
    pub fn ue(&mut self, value: u64) {
        let length = u64::BITS - (value + 1).leading_zeros();
        self.bits(0, length - 1);
        self.bits(value + 1, length);
    }

    /// Fills the last byte with zeroes.
    pub fn into_bytes(mut self) -> Vec<u8> {
        while self.filled > 0 {
            self.bit(false);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_no_start_code_among_it() {
        let mut writer = Writer::default();
        let codes = [0, 1, 2, 30, 255, 65_535, (1 << 31) - 1, 0];
        codes.iter().for_each(|code| writer.ue(*code));
        writer.bits(0, 40);
        writer.bits(0x0000_0103, 32);
        let bytes = writer.into_bytes();
        assert!(
            bytes.windows(3).all(|w| w[..2] != [0, 0] || w[2] > 2),
            "{bytes:?}"
        );
        let mut bits = Bits::new(&bytes);
        for code in codes {
            assert_eq!(bits.ue(), Some(code));
        }
        assert_eq!(bits.skip(40), Some(()));
        assert_eq!(bits.bits(32), Some(0x103));
        let mut endless = Bits::new(&[0; 9]);
        assert_eq!(endless.ue(), None, "beyond 32 bits");
    }
}
