//! [`Bits`]: reads numbers of any number of bits, and stops at the end (AV1 specification, 4.10).

/// What is left of a header.
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit, from the highest of the first byte on.
    at: usize,
}

/// The header ends before its last field.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended;

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    /// A number of `count` bits, at most 32: `f(n)`.
    pub fn take(&mut self, count: u32) -> Result<u32, Ended> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(Ended)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    /// A flag: `f(1)`.
    pub fn flag(&mut self) -> Result<bool, Ended> {
        Ok(self.take(1)? == 1)
    }

    /// Passes over a number as `uvlc()`.
    pub fn skip_uvlc(&mut self) -> Result<(), Ended> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        // From 32 zeros on there is no number behind them.
        if zeros < 32 {
            self.take(zeros)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_cross_bytes_and_end_where_the_bytes_do() {
        let mut bits = Bits::new(&[0b1010_0101, 0b1100_0000]);
        assert_eq!(bits.take(3), Ok(0b101));
        assert_eq!(bits.take(7), Ok(0b0010111));
        assert_eq!(bits.flag(), Ok(false));
        assert_eq!(bits.take(5), Ok(0));
        assert_eq!(bits.flag(), Err(Ended));
        let mut bits = Bits::new(&[0b0010_1100]);
        assert_eq!(bits.skip_uvlc(), Ok(()));
        assert_eq!(bits.take(3), Ok(0b100));
        assert_eq!(Bits::new(&[0; 3]).skip_uvlc(), Err(Ended));
    }
}
