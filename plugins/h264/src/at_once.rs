//! Makes the library give each picture at once, in the order of decoding.
//!
//! OpenH264 brings pictures of all but the baseline profiles into the order of showing by itself: it holds one
//! back even where nothing is out of order, which a conversation would feel, and what its `FlushFrame` lets
//! go of stays pinned for ever, so that its memory runs out after a dozen pictures. It leaves pictures of the profile *scalable baseline* (83) alone,
//! and uses the profile for nothing else that matters here; the syntax of such a parameter set is that of
//! high (7.3.2.1.1). So it is told this profile, and `reorder` does the rest, which has the time of each frame.
//! The pictures are the same, byte by byte, as without.

use crate::{
    bits::{Bits, Writer},
    nal, sps,
};

const BASELINE: u8 = 66;
const SCALABLE_BASELINE: u8 = 83;

/// Returns what stands before the slices of a unit with another profile in its sequence parameter sets; `None`
/// when it may stay as it is.
pub fn rewrite(head: &[u8]) -> Option<Vec<u8>> {
    let is_to_change = |nal: &[u8]| {
        nal::is_sps(nal) && !matches!(nal.get(1), Some(&(BASELINE | SCALABLE_BASELINE)))
    };
    if !nal::nal_units(head).any(|(_, nal)| is_to_change(nal)) {
        return None;
    }
    let mut out = Vec::with_capacity(head.len() + 16);
    for (_, nal) in nal::nal_units(head) {
        out.extend([0, 0, 0, 1]);
        match is_to_change(nal).then(|| as_scalable(nal)).flatten() {
            Some(changed) => out.extend(changed),
            None => out.extend(nal),
        }
    }
    Some(out)
}

/// A sequence parameter set that says the same with profile 83.
fn as_scalable(sps: &[u8]) -> Option<Vec<u8>> {
    let [head, profile, constraints, level, body @ ..] = sps else {
        return None;
    };
    let start = [*head, SCALABLE_BASELINE, *constraints, *level];
    if sps::has_chroma(*profile) {
        return Some(start.into_iter().chain(body.iter().copied()).collect());
    }
    let mut bits = Bits::new(body);
    let mut out = Writer::default();
    out.ue(bits.ue()?);
    // What high profiles say of samples: 4:2:0, 8 bits of brightness and of colour, nothing special.
    out.ue(1);
    out.ue(0);
    out.ue(0);
    out.bits(0, 2);
    while let Some(bit) = bits.bit() {
        out.bit(bit);
    }
    Some(start.into_iter().chain(out.into_bytes()).collect())
}
