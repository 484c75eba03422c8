//! What readers and writers of Ogg share (RFC 3533).

/// Bytes of a page's header in front of its table of segments.
pub(crate) const PAGE_HEADER: usize = 27;

/// CRC-32 with polynomial 0x04c11db7, from 0, unreflected (RFC 3533, 6).
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum: u32, byte| {
        sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};
