//! What the H.264 plugin reads of any access unit before its library sees it: NAL units within it, and parameter sets.

use crate::{nal, sps};

/// Looks at the bytes: how many parameter sets could be read.
///
/// # Panics
/// When a promise is broken.
pub fn run(bytes: &[u8]) -> usize {
    let unit = nal::look(bytes);
    assert!(unit.head.len() <= bytes.len());
    let mut last = 0;
    for (at, nal) in nal::nal_units(bytes) {
        assert!(
            at >= last && at + nal.len() <= bytes.len(),
            "units lie one behind the other"
        );
        last = at;
    }
    let sets = nal::nal_units(bytes)
        .map(|(_, nal)| nal)
        .filter(|nal| nal::is_sps(nal));
    // Whatever begins a unit may claim to be a set.
    let sets = sets.chain([bytes]);
    sets.filter(|set| sps::read(set).is_ok()).count()
}
