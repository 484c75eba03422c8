//! Colour samples from one layout to another, row by row.

/// Takes U and V that lie by turns apart.
pub fn apart(uv: &[u8], u: &mut [u8], v: &mut [u8]) {
    let (pairs, _) = uv.as_chunks::<2>();
    for ((pair, u), v) in pairs.iter().zip(u).zip(v) {
        [*u, *v] = *pair;
    }
}

/// Puts U and V by turns.
pub fn by_turns(u: &[u8], v: &[u8], uv: &mut [u8]) {
    let (pairs, _) = uv.as_chunks_mut::<2>();
    for ((pair, u), v) in pairs.iter_mut().zip(u).zip(v) {
        *pair = [*u, *v];
    }
}

/// Halves two rows in height: their mean, rounded up.
pub fn halve_rows(top: &[u8], bottom: &[u8], out: &mut [u8]) {
    for ((a, b), out) in top.iter().zip(bottom).zip(out) {
        *out = (u16::from(*a) + u16::from(*b)).div_ceil(2) as u8;
    }
}

/// Samples of a block.
const BLOCK: usize = 64;

/// Halves two rows in height and width: the mean of four, rounded; the last column of an odd number counts twice.
pub fn halve_both(top: &[u8], bottom: &[u8], out: &mut [u8]) {
    let ((tops, top), (bottoms, bottom)) = (top.as_chunks(), bottom.as_chunks());
    let (outs, out) = out.split_at_mut(BLOCK / 2 * tops.len());
    let outs = outs.as_chunks_mut().0;
    for ((top, bottom), out) in tops.iter().zip(bottoms).zip(outs) {
        halve_block(top, bottom, out);
    }
    let of = |row: &[u8]| u16::from(row[0]) + u16::from(row[row.len() - 1]);
    for ((a, b), out) in top.chunks(2).zip(bottom.chunks(2)).zip(out) {
        *out = ((of(a) + of(b) + 2) / 4) as u8;
    }
}

/// In loops that do one thing each, which compilers make vector instructions of.
fn halve_block(top: &[u8; BLOCK], bottom: &[u8; BLOCK], out: &mut [u8; BLOCK / 2]) {
    let mut sums = [0_u16; BLOCK];
    for ((sum, top), bottom) in sums.iter_mut().zip(top).zip(bottom) {
        *sum = u16::from(*top) + u16::from(*bottom);
    }
    for (out, pair) in out.iter_mut().zip(sums.as_chunks::<2>().0) {
        *out = ((pair[0] + pair[1] + 2) / 4) as u8;
    }
}
