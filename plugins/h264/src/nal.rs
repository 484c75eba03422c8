//! What an access unit holds, read from the heads of its NAL units (ITU-T H.264, 7.3.1 and annex B).

/// What matters of an access unit before it is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Its last sequence parameter set before the first slice, head included.
    pub sps: Option<&'a [u8]>,
    /// What stands before its first slice: parameter sets and what else describes pictures.
    pub head: &'a [u8],
    /// Whether it holds a slice of a picture.
    pub has_slice: bool,
    /// Whether that picture is an IDR picture, at which decoding can begin.
    pub is_idr: bool,
}

const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;

/// Looks at an access unit as far as its first slice. Any bytes will do.
pub fn look(bytes: &[u8]) -> Unit<'_> {
    let mut unit = Unit {
        head: bytes,
        ..Unit::default()
    };
    for (begin, nal) in nal_units(bytes) {
        match nal.first().map_or(0, |head| head & 0x1f) {
            kind @ SLICE..=IDR_SLICE => {
                unit.head = &bytes[..begin - 3];
                unit.has_slice = true;
                unit.is_idr = kind == IDR_SLICE;
                break;
            }
            SPS => unit.sps = Some(nal),
            _ => {}
        }
    }
    unit
}

/// Whether a NAL unit is a sequence parameter set.
pub fn is_sps(nal: &[u8]) -> bool {
    nal.first().is_some_and(|head| head & 0x1f == SPS)
}

/// The NAL units of a byte stream with the place where each begins, behind its start code `00 00 01`. A slice
/// is not searched for its end: it reaches as far as the bytes do, and is the last.
pub fn nal_units(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = after_start_code(bytes, 0);
    std::iter::from_fn(move || {
        let begin = at?;
        let is_slice = bytes
            .get(begin)
            .is_some_and(|head| (SLICE..=IDR_SLICE).contains(&(head & 0x1f)));
        at = match is_slice {
            true => None,
            false => after_start_code(bytes, begin),
        };
        let nal = &bytes[begin..at.map_or(bytes.len(), |next| next - 3)];
        // Zeroes behind it belong to the next start code.
        let len = nal.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        Some((begin, &nal[..len]))
    })
}

/// Where the next NAL unit begins, behind `00 00 01`.
fn after_start_code(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(3).position(|three| three == [0, 0, 1])?;
    Some(from + at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_and_keyframes_are_found() {
        let bytes = [
            0, 0, 0, 1, 0x67, 66, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 9, 0, 0, 1, 0x67, 7,
        ];
        let unit = look(&bytes);
        assert_eq!(unit.sps, Some(&[0x67, 66, 1, 2][..]));
        assert!(unit.has_slice && unit.is_idr);
        assert_eq!(unit.head, &bytes[..14]);
    }

    #[test]
    fn other_units_and_rubbish_are_no_keyframes() {
        let inter = look(&[0, 0, 1, 0x41, 0x65]);
        assert!(inter.has_slice && !inter.is_idr && inter.sps.is_none());
        for bytes in [
            &[][..],
            &[0, 0, 1],
            &[0, 0],
            &[1, 2, 3, 0x65],
            &[0, 0, 1, 0x09, 0x65],
        ] {
            let nothing = Unit {
                head: bytes,
                ..Unit::default()
            };
            assert_eq!(look(bytes), nothing, "{bytes:?}");
        }
        let only = look(&[0, 0, 1, 0x67, 66, 0, 0]);
        assert_eq!((only.sps, only.has_slice), (Some(&[0x67, 66][..]), false));
    }
}
