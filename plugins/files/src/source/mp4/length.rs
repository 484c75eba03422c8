//! How long a file of fragments is, by the tables of its last ones; nothing else of it says so.
//!
//! Boxes are skipped by their headers, so a recording of an hour costs some thousand reads of a few bytes. A file that
//! is damaged has no length here: whoever plays it is told where.

use shiguredo_mp4::boxes::MoofBox;

use super::{
    super::bytes::Source,
    Place,
    tables::{Known, MAX_TABLE, list},
};

/// Boxes that are passed, at most: a day of fragments of a second.
const MAX_BOXES: usize = 200_000;
/// Fragments whose tables are read: some writers give each track its own.
const LAST: usize = 4;

/// Leaves in `tracks` where the samples of the last fragments behind a place end.
pub(super) fn ends(source: &mut Source, from: u64, tracks: &mut [Known]) {
    for (at, content, len) in last_fragments(source, from) {
        let mut bytes = vec![0; len];
        if source.read(content, &mut bytes).is_ok() {
            // What is damaged is told when it is played.
            let _ = list(&bytes, at, tracks);
        }
    }
}

/// Where the last fragments lie, and where and how long their tables are.
fn last_fragments(source: &mut Source, mut at: u64) -> Vec<(u64, u64, usize)> {
    let mut found = vec![];
    for _ in 0..MAX_BOXES {
        let Ok(Some(place)) = Place::read(source, at) else {
            break;
        };
        let len = place.end.saturating_sub(place.content);
        if place.kind == MoofBox::TYPE
            && let Ok(len) = source.check(place.content, len, MAX_TABLE, "a fragment's table")
        {
            if found.len() == LAST {
                found.remove(0);
            }
            found.push((at, place.content, len));
        }
        at = place.end;
    }
    found
}
