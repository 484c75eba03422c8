//! VP8 in RTP (RFC 7741): the payload descriptor, and what the first bytes of a frame say (RFC 6386, 9.1).

/// The descriptor in front of each packet's part of a frame (RFC 7741, 4.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Its length in bytes; at least one byte of the frame follows it.
    pub(super) len: usize,
    /// The packet begins a frame: start of partition 0.
    pub(super) starts_frame: bool,
}

impl Descriptor {
    /// Parses the descriptor of a payload, or `None` when it is cut off.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        const EXTENDED: u8 = 0x80;
        const START: u8 = 0x10;
        const PARTITION: u8 = 0x07;
        let first = *payload.first()?;
        let mut len = 1;
        if first & EXTENDED != 0 {
            let extensions = *payload.get(len)?;
            len += 1;
            if extensions & 0x80 != 0 {
                // Picture id of 7 or 15 bits.
                len += if payload.get(len)? & 0x80 != 0 { 2 } else { 1 };
            }
            // Index of the base layer.
            len += usize::from(extensions & 0x40 != 0);
            // Layer and key index share a byte.
            len += usize::from(extensions & 0x30 != 0);
        }
        (payload.len() > len).then_some(Descriptor {
            len,
            starts_frame: first & START != 0 && first & PARTITION == 0,
        })
    }
}

/// Bytes of the descriptor that [`descriptor`] makes.
pub(super) const DESCRIPTOR_BYTES: usize = 4;

/// A descriptor with a picture id of 15 bits, which receivers use to see lost frames.
pub(super) fn descriptor(first: bool, picture_id: u16) -> [u8; DESCRIPTOR_BYTES] {
    let id = picture_id & 0x7fff;
    [
        if first { 0x90 } else { 0x80 },
        0x80,
        0x80 | (id >> 8) as u8,
        id as u8,
    ]
}

/// Whether a frame is a keyframe, by its first byte.
pub(super) fn is_keyframe(frame: &[u8]) -> bool {
    frame.first().is_some_and(|byte| byte & 1 == 0)
}

/// Width and height of a keyframe, in pixels.
pub(super) fn size(frame: &[u8]) -> Option<(u32, u32)> {
    let header = frame.get(..10)?;
    if !is_keyframe(header) || header[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    // The two bits above are a hint for scaling.
    let number = |at: usize| u32::from(u16::from_le_bytes([header[at], header[at + 1]]) & 0x3fff);
    Some((number(6), number(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_form_are_measured() {
        for (payload, len, starts_frame) in [
            (&[0x10, 0][..], 1, true),
            (&[0x11, 0], 1, false),
            (&[0x00, 0], 1, false),
            (&[0x90, 0x80, 0x01, 0], 3, true),
            (&[0x90, 0x80, 0x81, 0x02, 0], 4, true),
            (&[0x90, 0xf0, 0x81, 0x02, 3, 4, 0], 6, true),
            (&[0x80, 0x20, 4, 0], 3, false),
        ] {
            let expected = Descriptor { len, starts_frame };
            assert_eq!(Descriptor::parse(payload), Some(expected), "{payload:?}");
            for cut in 0..=len {
                assert_eq!(Descriptor::parse(&payload[..cut]), None);
            }
        }
    }

    #[test]
    fn own_descriptors_are_understood() {
        let mut payload = descriptor(true, 0x7fff).to_vec();
        payload.push(0);
        let expected = Descriptor {
            len: DESCRIPTOR_BYTES,
            starts_frame: true,
        };
        assert_eq!(Descriptor::parse(&payload), Some(expected));
    }

    #[test]
    fn a_keyframe_says_its_size() {
        let frame = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x01];
        assert_eq!(size(&frame), Some((640, 360)));
        assert_eq!(size(&frame[..9]), None);
        assert_eq!(size(&[1; 10]), None);
    }
}
