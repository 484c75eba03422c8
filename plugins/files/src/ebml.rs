//! EBML (RFC 8794), and the names of Matroska's elements (RFC 9559) that are written or read.

/// Identifiers of elements, with their marker bits.
pub(crate) mod id {
    pub const EBML: u32 = 0x1a45_dfa3;
    pub const DOC_TYPE: u32 = 0x4282;
    pub const VOID: u32 = 0xec;
    pub const SEGMENT: u32 = 0x1853_8067;
    pub const SEEK_HEAD: u32 = 0x114d_9b74;
    pub const SEEK: u32 = 0x4dbb;
    pub const SEEK_ID: u32 = 0x53ab;
    pub const SEEK_POSITION: u32 = 0x53ac;
    pub const INFO: u32 = 0x1549_a966;
    pub const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub const DURATION: u32 = 0x4489;
    pub const MUXING_APP: u32 = 0x4d80;
    pub const WRITING_APP: u32 = 0x5741;
    pub const TRACKS: u32 = 0x1654_ae6b;
    pub const TRACK_ENTRY: u32 = 0xae;
    pub const TRACK_NUMBER: u32 = 0xd7;
    pub const TRACK_UID: u32 = 0x73c5;
    pub const TRACK_TYPE: u32 = 0x83;
    pub const FLAG_LACING: u32 = 0x9c;
    pub const DEFAULT_DURATION: u32 = 0x23_e383;
    pub const CODEC_ID: u32 = 0x86;
    pub const CODEC_PRIVATE: u32 = 0x63a2;
    pub const CODEC_DELAY: u32 = 0x56aa;
    pub const SEEK_PRE_ROLL: u32 = 0x56bb;
    pub const VIDEO: u32 = 0xe0;
    pub const PIXEL_WIDTH: u32 = 0xb0;
    pub const PIXEL_HEIGHT: u32 = 0xba;
    pub const COLOUR: u32 = 0x55b0;
    pub const MATRIX_COEFFICIENTS: u32 = 0x55b1;
    pub const RANGE: u32 = 0x55b9;
    pub const TRANSFER_CHARACTERISTICS: u32 = 0x55ba;
    pub const PRIMARIES: u32 = 0x55bb;
    pub const AUDIO: u32 = 0xe1;
    pub const SAMPLING_FREQUENCY: u32 = 0xb5;
    pub const CHANNELS: u32 = 0x9f;
    pub const BIT_DEPTH: u32 = 0x6264;
    pub const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub const CONTENT_ENCODING: u32 = 0x6240;
    pub const CONTENT_ENCODING_SCOPE: u32 = 0x5032;
    pub const CONTENT_COMPRESSION: u32 = 0x5034;
    pub const CONTENT_COMP_ALGO: u32 = 0x4254;
    pub const CONTENT_COMP_SETTINGS: u32 = 0x4255;
    pub const CONTENT_ENCRYPTION: u32 = 0x5035;
    pub const CLUSTER: u32 = 0x1f43_b675;
    pub const TIMESTAMP: u32 = 0xe7;
    pub const SIMPLE_BLOCK: u32 = 0xa3;
    pub const BLOCK_GROUP: u32 = 0xa0;
    pub const BLOCK: u32 = 0xa1;
    pub const BLOCK_DURATION: u32 = 0x9b;
    pub const DISCARD_PADDING: u32 = 0x75a2;
    pub const REFERENCE_BLOCK: u32 = 0xfb;
    pub const CUES: u32 = 0x1c53_bb6b;
    pub const CUE_POINT: u32 = 0xbb;
    pub const CUE_TIME: u32 = 0xb3;
    pub const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub const CUE_TRACK: u32 = 0xf7;
    pub const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub const CHAPTERS: u32 = 0x1043_a770;
    pub const ATTACHMENTS: u32 = 0x1941_a469;
    pub const TAGS: u32 = 0x1254_c367;
}

/// A size of 8 bytes that says: up to where the parent ends.
pub(crate) const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Appends an identifier.
pub(crate) fn put_id(to: &mut Vec<u8>, id: u32) {
    let skip = id.leading_zeros() as usize / 8;
    to.extend(&id.to_be_bytes()[skip..]);
}

/// Appends a size in as few bytes as it takes.
pub(crate) fn put_size(to: &mut Vec<u8>, size: u64) {
    let len = (1..8_u32)
        .find(|len| size < (1 << (7 * len)) - 1)
        .unwrap_or(8);
    let marked = size | 1 << (7 * len);
    to.extend(&marked.to_be_bytes()[8 - len as usize..]);
}

/// Appends an element.
pub(crate) fn put(to: &mut Vec<u8>, id: u32, content: &[u8]) {
    put_id(to, id);
    put_size(to, content.len() as u64);
    to.extend_from_slice(content);
}

/// Appends an element that is a whole number.
pub(crate) fn put_uint(to: &mut Vec<u8>, id: u32, value: u64) {
    let skip = (value.leading_zeros() as usize / 8).min(7);
    put(to, id, &value.to_be_bytes()[skip..]);
}

/// Appends an element that is a float.
pub(crate) fn put_float(to: &mut Vec<u8>, id: u32, value: f64) {
    put(to, id, &value.to_be_bytes());
}

/// Appends an element of others.
pub(crate) fn put_all(to: &mut Vec<u8>, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut content = vec![];
    write(&mut content);
    put(to, id, &content);
}

/// The length of the number that begins with a byte, 1 to 8; `None` for longer ones.
pub(crate) fn length(first: u8) -> Option<usize> {
    let len = first.leading_zeros() as usize + 1;
    (len <= 8).then_some(len)
}

/// A number behind its length marker, from bytes that [`length`] was asked about; `None` when all its bits are set, which
/// says that it is not known.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    let len = length(*first)?;
    let most = (1_u64 << (7 * len)) - 1;
    let value = rest
        .iter()
        .fold(u64::from(*first), |sum, b| sum << 8 | u64::from(*b))
        & most;
    (value != most).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for size in [
            0,
            1,
            126,
            127,
            128,
            16_382,
            16_383,
            1 << 20,
            (1 << 49) - 1,
            1 << 55,
        ] {
            let mut bytes = vec![];
            put_size(&mut bytes, size);
            assert_eq!(length(bytes[0]), Some(bytes.len()), "{size}");
            assert_eq!(number(&bytes), Some(size));
        }
        assert_eq!(number(&UNKNOWN_SIZE), None);
        assert_eq!(number(&[0xff]), None);
        let mut bytes = vec![];
        put_uint(&mut bytes, id::TRACK_NUMBER, 0);
        put_uint(&mut bytes, id::CHAPTERS, 300);
        assert_eq!(bytes, [0xd7, 0x81, 0, 0x10, 0x43, 0xa7, 0x70, 0x82, 1, 44]);
    }
}
