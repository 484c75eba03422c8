//! What the first bytes of an Opus packet say (RFC 6716, 3).

/// The longest packet, in us (RFC 6716, 3.2.5).
const MAX_US: u32 = 120_000;

/// How much sound a packet holds, in us; `None` when no packet begins like this.
pub(crate) fn duration_us(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame_us = match config {
        // SILK: 10, 20, 40 and 60 ms.
        0..12 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        // SILK and CELT together: 10 and 20 ms.
        12..16 => [10_000, 20_000][usize::from(config % 2)],
        // CELT: 2.5, 5, 10 and 20 ms.
        _ => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let total = frame_us * frames;
    (1..=MAX_US).contains(&total).then_some(total)
}

/// How many samples last `us`, at a rate that Opus knows.
pub(crate) fn samples(us: u32, rate: u32) -> usize {
    (u64::from(us) * u64::from(rate) / 1_000_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_first_bytes() {
        for (packet, us) in [
            (&[0x78][..], Some(20_000)),
            (&[0xfc, 0], Some(20_000)),
            (&[0x01], Some(20_000)),
            (&[0x1b, 2], Some(120_000)),
            (&[0x1b, 3], None),
            (&[0x80], Some(2_500)),
            (&[0x83, 0], None),
            (&[0x83], None),
            (&[], None),
        ] {
            assert_eq!(duration_us(packet), us, "{packet:?}");
        }
    }
}
