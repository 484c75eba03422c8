//! The OBUs of a temporal unit: which of them decoding needs, and where the sequence header is (AV1 specification,
//! 5.3 and 6.2).

/// Types of OBUs, `obu_type` (6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const FRAME: u8 = 6;
const REDUNDANT_FRAME_HEADER: u8 = 7;

/// What a temporal unit holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The payload of its last sequence header.
    pub sequence: Option<&'a [u8]>,
    /// Whether it has a frame, or the header of one.
    pub has_frame: bool,
    /// The OBUs that decoding needs, where there are others among them: the unit without those.
    pub needed: Option<Vec<u8>>,
}

/// The bytes are no OBUs.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

struct Obu<'a> {
    kind: u8,
    payload: &'a [u8],
    /// With its header.
    len: usize,
}

/// A number as `leb128()` (4.10.5), with its length.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, at + 1));
        }
    }
    None
}

/// The first OBU of bytes.
fn first(bytes: &[u8]) -> Option<Obu<'_>> {
    const FORBIDDEN: u8 = 0x80;
    const HAS_EXTENSION: u8 = 0x04;
    const HAS_SIZE: u8 = 0x02;
    let header = *bytes.first()?;
    if header & FORBIDDEN != 0 {
        return None;
    }
    let begin = 1 + usize::from(header & HAS_EXTENSION != 0);
    let rest = bytes.get(begin..)?;
    let (size, begin) = if header & HAS_SIZE != 0 {
        let (size, length) = leb128(rest)?;
        (size, begin + length)
    } else {
        // The last one may go without.
        (rest.len(), begin)
    };
    let len = begin.checked_add(size)?;
    Some(Obu {
        kind: header >> 3 & 0x0f,
        payload: bytes.get(begin..len)?,
        len,
    })
}

/// Looks through a unit.
pub fn look(bytes: &[u8]) -> Result<Unit<'_>, Malformed> {
    let mut unit = Unit::default();
    let mut at = 0;
    while at < bytes.len() {
        let obu = first(&bytes[at..]).ok_or(Malformed)?;
        let is_needed = matches!(
            obu.kind,
            SEQUENCE_HEADER
                | TEMPORAL_DELIMITER
                | FRAME_HEADER
                | TILE_GROUP
                | FRAME
                | REDUNDANT_FRAME_HEADER
        );
        if obu.kind == SEQUENCE_HEADER {
            unit.sequence = Some(obu.payload);
        }
        unit.has_frame |= matches!(obu.kind, FRAME_HEADER | FRAME);
        let end = at + obu.len;
        match (&mut unit.needed, is_needed) {
            (Some(needed), true) => needed.extend_from_slice(&bytes[at..end]),
            (none @ None, false) => *none = Some(bytes[..at].to_vec()),
            _ => {}
        }
        at = end;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIMITER: [u8; 2] = [0x12, 0];
    const SEQUENCE: [u8; 4] = [0x0a, 2, 7, 8];
    /// With an extension.
    const PICTURE: [u8; 6] = [0x36, 0x08, 3, 1, 2, 3];
    /// Of a type that the library reads with a panic where it is empty.
    const METADATA: [u8; 3] = [0x2a, 1, 4];

    #[test]
    fn what_decoding_needs_is_told_from_what_it_does_not() {
        let plain = [&DELIMITER[..], &SEQUENCE, &PICTURE].concat();
        let expected = Unit {
            sequence: Some(&[7, 8]),
            has_frame: true,
            needed: None,
        };
        assert_eq!(look(&plain), Ok(expected), "and nothing is copied");
        let mixed = [&DELIMITER[..], &METADATA, &SEQUENCE, &METADATA, &PICTURE].concat();
        assert_eq!(look(&mixed).map(|unit| unit.needed), Ok(Some(plain)));
        assert_eq!(look(&METADATA).map(|unit| unit.needed), Ok(Some(vec![])));
        assert_eq!(look(&[]), Ok(Unit::default()));
    }

    #[test]
    fn the_last_one_may_have_no_size() {
        let unit = [0x30, 9, 9];
        assert_eq!(look(&unit).map(|unit| unit.has_frame), Ok(true));
    }

    #[test]
    fn sizes_beyond_the_end_and_forbidden_bits_are_malformed() {
        for bytes in [
            &[0x80_u8, 0][..],
            &[0x12],
            &[0x12, 1],
            &[0x36, 0x08, 3, 1, 2],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(look(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
