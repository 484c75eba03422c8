//! What the AV1 plugin reads of any temporal unit before its library sees it: OBUs within it, and sequence headers.

use crate::{obu, sequence};

/// Looks at the bytes: how many sequence headers could be read.
///
/// # Panics
/// When a promise is broken.
pub fn run(bytes: &[u8]) -> usize {
    let unit = obu::look(bytes).unwrap_or_default();
    if let Some(needed) = &unit.needed {
        assert!(needed.len() < bytes.len());
        let again = obu::look(needed);
        let same = obu::Unit {
            needed: None,
            ..obu::look(bytes).unwrap_or_default()
        };
        assert_eq!(again, Ok(same), "what is needed is whole by itself");
    }
    // Whatever begins a unit may claim to be a header.
    let headers = unit.sequence.into_iter().chain([bytes]);
    headers.filter(|set| sequence::read(set).is_ok()).count()
}
