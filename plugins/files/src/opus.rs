//! What a packet of Opus says of itself (RFC 6716, 3).

/// Opus counts at this rate, whatever it was made of.
pub(crate) const RATE: u32 = 48_000;

/// How many samples of 48 kHz each frame of a packet lasts that begins with this byte.
pub(crate) fn frame_samples(toc: u8) -> u32 {
    let config = usize::from(toc >> 3);
    match config {
        0..12 => [480, 960, 1920, 2880][config % 4],
        12..16 => [480, 960][config % 2],
        _ => [120, 240, 480, 960][config % 4],
    }
}

/// How many samples of 48 kHz a packet lasts; `None` when no packet begins like this.
pub(crate) fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame_samples(toc) * frames).filter(|total| (1..=5760).contains(total))
}

/// How many samples of 48 kHz at a packet's end are not to be heard, where its frame says that it lasts less than it decodes to.
pub(crate) fn beyond(packet: &[u8], lasts_us: u32) -> u32 {
    let heard = (u64::from(lasts_us) * u64::from(RATE) + 500_000) / 1_000_000;
    match (samples(packet), u32::try_from(heard)) {
        (Some(all), Ok(heard @ 1..)) => all.saturating_sub(heard),
        // Nothing is said of how long it lasts.
        _ => 0,
    }
}

/// A packet of so many lost frames like those of one that begins with `toc`, one to as many as last 120 ms: each is
/// empty, and concealed by a decoder.
pub(crate) fn lost(toc: u8, frames: u8) -> [u8; 2] {
    [toc & !3 | 3, frames]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_how_long_it_is() {
        // One frame of 20 ms, two of 10, three of 2.5; 121 ms, and no frame at all, are nothing.
        for (packet, samples_) in [
            (&[0xfc][..], Some(960)),
            (&[0xf1], Some(960)),
            (&[0xe3, 3], Some(360)),
            (&[0xff, 7], None),
            (&[0xff, 0], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(samples(packet), samples_, "{packet:?}");
        }
        assert_eq!(samples(&lost(0xfc, 6)), Some(5760));
        for (lasts_us, beyond_) in [(20_000, 0), (6_500, 648), (0, 0), (30_000, 0)] {
            assert_eq!(beyond(&[0xfc], lasts_us), beyond_, "{lasts_us}");
        }
    }
}
