//! How long a file of fragments is, by the tables of its last ones; nothing else of it says so.
//!
//! Boxes are skipped by their headers, so a recording of an hour costs some thousand reads of a few bytes. A file that
//! is damaged has no length here: whoever plays it is told where.

use shiguredo_mp4::{
    BoxHeader, Decode,
    boxes::{MoofBox, TrafBox},
};

use super::super::bytes::Source;

/// Boxes that are passed, at most: a day of fragments of a second.
const MAX_BOXES: usize = 200_000;
/// The largest table of a fragment that is read, in bytes.
const MAX_TABLE: u64 = 1 << 20;
/// Fragments whose tables are read: some writers give each track its own.
const LAST: usize = 4;

/// When each stretch of samples in the last fragments ends: the track's id, and units of its time. `lasts` is how long
/// a sample of a track is unless its fragment says.
pub(super) fn ends(source: &mut Source, lasts: impl Fn(u32) -> u32) -> Vec<(u32, u64)> {
    let mut ends = vec![];
    for (at, len) in last_fragments(source) {
        let mut bytes = vec![0; len];
        let read = source.read(at, &mut bytes).is_ok();
        if read && let Ok((moof, _)) = MoofBox::decode(&bytes) {
            let of_tracks = moof.traf_boxes.iter();
            ends.extend(of_tracks.filter_map(|track| end(track, &lasts)));
        }
    }
    ends
}

fn end(track: &TrafBox, lasts: impl Fn(u32) -> u32) -> Option<(u32, u64)> {
    let id = track.tfhd_box.track_id;
    let usual = track.tfhd_box.default_sample_duration;
    let usual = usual.unwrap_or_else(|| lasts(id));
    let samples = track.trun_boxes.iter().flat_map(|run| &run.samples);
    let begin = track.tfdt_box.as_ref()?.base_media_decode_time;
    let end = samples.fold(begin, |end, sample| {
        end.saturating_add(sample.duration.unwrap_or(usual).into())
    });
    Some((id, end))
}

/// Where the tables of the last fragments lie, and how long they are.
fn last_fragments(source: &mut Source) -> Vec<(u64, usize)> {
    let (mut found, mut at) = (vec![], 0);
    for _ in 0..MAX_BOXES {
        let left = source.len().saturating_sub(at);
        let mut header = [0; BoxHeader::MAX_SIZE];
        let header = &mut header[..left.min(BoxHeader::MAX_SIZE as u64) as usize];
        if left < BoxHeader::MIN_SIZE as u64 || source.read(at, header).is_err() {
            break;
        }
        let Ok((header, _)) = BoxHeader::decode(header) else {
            break;
        };
        let len = header.box_size.get();
        if len < BoxHeader::MIN_SIZE as u64 {
            // Up to the end of the file, or damaged.
            break;
        }
        if header.box_type == MoofBox::TYPE
            && let Ok(len) = source.check(at, len, MAX_TABLE, "a fragment's table")
        {
            if found.len() == LAST {
                found.remove(0);
            }
            found.push((at, len));
        }
        at = at.saturating_add(len);
    }
    found
}
