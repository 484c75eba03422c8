//! What an AudioSpecificConfig says of the sound (ISO/IEC 14496-3, 1.6.2.1).

const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Object types whose configuration says a second rate: that of what is decoded by spectral band replication, alone and with
/// parametric stereo.
const SBR: u32 = 5;
const PS: u32 = 29;

/// Samples a second and channels of what is decoded; `None` for what it does not say, and where it is of no kind that is known.
pub(super) fn rate_and_channels(config: &[u8]) -> (Option<u32>, Option<u32>) {
    let mut bits = Bits::new(config);
    let kind = match bits.take(5) {
        Some(31) => bits.take(6).map(|kind| 32 + kind),
        kind => kind,
    };
    let rate = bits.rate();
    let layout = bits.take(4);
    let rate = match kind {
        Some(SBR | PS) => bits.rate().or(rate),
        _ => rate,
    };
    let channels = match layout {
        // What is one channel in the file becomes two.
        _ if kind == Some(PS) => None,
        Some(count @ 1..=6) => Some(count),
        Some(7 | 12 | 14) => Some(8),
        Some(11) => Some(7),
        Some(13) => Some(24),
        _ => None,
    };
    (rate.filter(|rate| *rate > 0), channels)
}

/// The first bits of some bytes.
struct Bits {
    bits: u128,
    left: u32,
}

impl Bits {
    fn new(bytes: &[u8]) -> Bits {
        let mut first = [0; 16];
        let len = bytes.len().min(first.len());
        first[..len].copy_from_slice(&bytes[..len]);
        Bits {
            bits: u128::from_be_bytes(first),
            left: len as u32 * 8,
        }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        self.left = self.left.checked_sub(count)?;
        let taken = (self.bits >> (128 - count)) as u32;
        self.bits <<= count;
        Some(taken)
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_channels_stand_in_the_configuration() {
        for (config, rate, channels) in [
            (&[0x11, 0x88][..], Some(48_000), Some(1)),
            (&[0x10, 0x10], Some(96_000), Some(2)),
            (&[0x12, 0x38], Some(44_100), Some(8)),
            // 50 kHz, which is in no table.
            (&[0x17, 0x80, 0x61, 0xa8, 0x10], Some(50_000), Some(2)),
            // 24 kHz that become 48; the same and a channel that becomes two.
            (&[0x2b, 0x11, 0x88, 0x00], Some(48_000), Some(2)),
            (&[0xeb, 0x09, 0x88, 0x00], Some(48_000), None),
            // The channels stand elsewhere.
            (&[0x11, 0x80], Some(48_000), None),
            (&[0x11], None, None),
            (&[], None, None),
        ] {
            let said = rate_and_channels(config);
            assert_eq!(said, (rate, channels), "{config:x?}");
        }
    }
}
