//! What the first byte of an Opus packet says (RFC 6716, 3.1).

/// How much sound a packet holds, in us; 0 when it is malformed.
pub fn duration_us(packet: &[u8]) -> u32 {
    let Some(toc) = packet.first() else {
        return 0;
    };
    let config = toc >> 3;
    let frame = match config {
        // SILK: 10, 20, 40 and 60 ms.
        0..12 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        // Hybrid: 10 and 20 ms.
        12..16 => [10_000, 20_000][usize::from(config % 2)],
        // CELT: 2.5, 5, 10 and 20 ms.
        _ => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    let total = frame * frames;
    // No packet may hold more than 120 ms.
    if total <= 120_000 { total } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_first_byte() {
        for (packet, us) in [
            (&[0x78][..], 20_000),
            (&[0xfc, 0], 20_000),
            (&[0x01], 20_000),
            (&[0x1b, 2], 120_000),
            (&[0x1b, 3], 0),
            (&[0x80], 2_500),
            (&[0x03], 0),
            (&[], 0),
        ] {
            assert_eq!(duration_us(packet), us, "{packet:?}");
        }
    }
}
