//! [`Walk`]: from one block of a segment to the next.
//!
//! Clusters, groups and blocks are read by their headers; of what lies in blocks, only the lengths of laced frames (RFC 9559,
//! 10.3). Each step is forward, so a walk ends with the file.

use levada_plugin::Result;
use tracing::warn;

use super::{
    super::{MAX_UNIT, bytes::Source},
    element::{Element, uint},
};
use crate::ebml::{id, length, number};

/// The largest block: a unit, and its header.
const MAX_BLOCK: u64 = MAX_UNIT + 4096;

/// A block, and the frames in it.
pub(super) struct Block {
    /// Where its element begins, and that of its cluster.
    pub from: u64,
    pub cluster: u64,
    pub track: u64,
    /// In the segment's units.
    pub time: i64,
    pub key: bool,
    /// How long it lasts, in units, where it says so.
    pub lasts: Option<u64>,
    /// How much of its end is no sound, ns.
    pub discard: i64,
    /// Place and length of each frame.
    pub frames: Vec<(u64, usize)>,
}

#[derive(Clone, Copy)]
struct Cluster {
    from: u64,
    end: Option<u64>,
    time: u64,
}

/// Where a walk stands.
pub(super) struct Walk {
    at: u64,
    /// Where the segment ends, and whether it says so itself.
    end: u64,
    is_open: bool,
    cluster: Option<Cluster>,
}

/// Whether an element stands beside clusters, so that it ends one that does not say where it ends.
fn is_beside_clusters(id: u32) -> bool {
    [
        id::CLUSTER,
        id::CUES,
        id::TAGS,
        id::CHAPTERS,
        id::ATTACHMENTS,
        id::SEEK_HEAD,
        id::INFO,
        id::TRACKS,
        id::SEGMENT,
        id::EBML,
    ]
    .contains(&id)
}

impl Walk {
    /// Begins at an element beside clusters, in a segment up to `end`; one that is `is_open` ends with the file, wherever that is.
    pub fn new(at: u64, end: u64, is_open: bool) -> Walk {
        Walk {
            at,
            end,
            is_open,
            cluster: None,
        }
    }

    /// The next block of the segment; `None` at its end.
    ///
    /// # Errors
    /// When the file is damaged there.
    pub fn next(&mut self, source: &mut Source) -> Result<Option<Block>> {
        loop {
            if let Some(end) = self.cluster.and_then(|cluster| cluster.end)
                && self.at >= end
            {
                (self.at, self.cluster) = (end, None);
            }
            if self.at >= self.end {
                return Ok(None);
            }
            let element = match Element::read(source, self.at) {
                Ok(element) => element,
                Err(_) if self.is_open && source.len() - self.at < 12 => {
                    return Ok(self.breaks_off());
                }
                Err(cause) => return Err(cause),
            };
            let is_cut = element.end.is_some_and(|end| end > source.len());
            let Some(cluster) = &mut self.cluster else {
                self.enter(source, &element)?;
                continue;
            };
            if cluster.end.is_none() && is_beside_clusters(element.id) {
                self.cluster = None;
                continue;
            }
            if is_cut && self.is_open {
                return Ok(self.breaks_off());
            }
            element.check(source, u64::MAX, "an element")?;
            self.at = element.end.unwrap_or(self.end);
            match element.id {
                id::TIMESTAMP => {
                    let content = element.content(source, 8, "a cluster's time")?;
                    cluster.time = uint(&content).unwrap_or(0);
                }
                id::SIMPLE_BLOCK => {
                    let cluster = *cluster;
                    return block(source, &element, &cluster, None).map(Some);
                }
                id::BLOCK_GROUP => {
                    let cluster = *cluster;
                    if let Some(block) = group(source, &element, &cluster)? {
                        return Ok(Some(block));
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes into a cluster, or past another element.
    fn enter(&mut self, source: &Source, element: &Element) -> Result {
        if element.id == id::CLUSTER {
            self.at = element.at;
            self.cluster = Some(Cluster {
                from: element.from,
                end: element.end,
                time: 0,
            });
            return Ok(());
        }
        let Some(end) = element.end else {
            return Err(source.error(
                element.from,
                "an element that is no cluster does not say where it ends",
            ));
        };
        // One that was not written to its end is of no use any more, and nothing follows.
        self.at = end;
        Ok(())
    }

    fn breaks_off(&mut self) -> Option<Block> {
        warn!(
            at = self.at,
            "the file ends within an element; it was cut off, or is being written still"
        );
        self.at = self.end;
        None
    }
}

/// The block of a group.
fn group(source: &mut Source, group: &Element, cluster: &Cluster) -> Result<Option<Block>> {
    let end = group.end.unwrap_or(group.at);
    let (mut at, mut found, mut lasts, mut refers) = (group.at, None, None, false);
    let mut discard = 0;
    while at < end {
        let element = Element::read(source, at)?;
        element.check(source, end - element.at.min(end), "an element of a group")?;
        match element.id {
            id::BLOCK => found = Some(element),
            id::BLOCK_DURATION => {
                lasts = uint(&element.content(source, 8, "a block's duration")?);
            }
            id::REFERENCE_BLOCK => refers = true,
            id::DISCARD_PADDING => {
                let content = element.content(source, 8, "a block's padding")?;
                // One that is negative would lie at its beginning, where the codec's delay does.
                let is_negative = content.first().is_none_or(|byte| byte & 0x80 != 0);
                let ns = uint(&content).filter(|_| !is_negative).unwrap_or(0);
                discard = i64::try_from(ns).unwrap_or(0);
            }
            _ => {}
        }
        at = element.end.unwrap_or(end);
    }
    let Some(element) = found else {
        return Ok(None);
    };
    let mut block = block(source, &element, cluster, Some(!refers))?;
    (block.lasts, block.from, block.discard) = (lasts, group.from, discard);
    Ok(Some(block))
}

/// Reads a block's header. `key` says whether decoding can begin with it, where it does not itself.
fn block(
    source: &mut Source,
    element: &Element,
    cluster: &Cluster,
    key: Option<bool>,
) -> Result<Block> {
    let len = element.check(source, MAX_BLOCK, "a block")?;
    let mut head = [0; 12];
    let known = len.min(head.len());
    source.read(element.at, &mut head[..known])?;
    let track_len = length(head[0]).unwrap_or(9);
    if known < track_len + 3 {
        return Err(source.error(element.from, "a block has no room for its header"));
    }
    let track = number(&head[..track_len]).unwrap_or(0);
    let from = i16::from_be_bytes([head[track_len], head[track_len + 1]]);
    let marks = head[track_len + 2];
    let content = element.at + track_len as u64 + 3;
    let end = element.at + len as u64;
    let frames = match marks >> 1 & 3 {
        0 => vec![(content, (end - content) as usize)],
        lacing => {
            let mut bytes = vec![0; (end - content) as usize];
            source.read(content, &mut bytes)?;
            let frames = laced(&bytes, lacing).ok_or_else(|| {
                source.error(
                    element.from,
                    "the lengths of a block's frames do not add up to it",
                )
            })?;
            let places = frames.into_iter();
            places.map(|(at, len)| (content + at as u64, len)).collect()
        }
    };
    let time = i64::try_from(cluster.time).unwrap_or(i64::MAX);
    Ok(Block {
        from: element.from,
        cluster: cluster.from,
        track,
        time: time.saturating_add(from.into()),
        key: key.unwrap_or(marks & 0x80 != 0),
        lasts: None,
        discard: 0,
        frames,
    })
}

/// Place and length of each frame in the content of a block with lacing: 1 is Xiph's, 2 has equal lengths, 3 is EBML's.
fn laced(bytes: &[u8], lacing: u8) -> Option<Vec<(usize, usize)>> {
    let count = usize::from(*bytes.first()?) + 1;
    let mut at = 1;
    let mut lengths: Vec<usize> = vec![];
    match lacing {
        1 => {
            for _ in 1..count {
                let mut length = 0;
                loop {
                    let byte = *bytes.get(at)?;
                    at += 1;
                    length += usize::from(byte);
                    if byte < 255 {
                        break;
                    }
                }
                lengths.push(length);
            }
        }
        2 => {
            let each = (bytes.len() - at) / count;
            if each * count != bytes.len() - at {
                return None;
            }
            lengths = vec![each; count - 1];
        }
        _ => {
            let mut before = 0_i64;
            for index in 1..count {
                let len = length(*bytes.get(at)?)?;
                let value = i64::try_from(number(bytes.get(at..at + len)?)?).ok()?;
                at += len;
                // The first is a length, the others are differences around the middle of what they can say.
                let middle = (1_i64 << (7 * len - 1)) - 1;
                before = if index == 1 {
                    value
                } else {
                    before.checked_add(value - middle)?
                };
                lengths.push(usize::try_from(before).ok()?);
            }
        }
    }
    let mut frames = Vec::with_capacity(count);
    for length in lengths {
        let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
        frames.push((at, length));
        at = end;
    }
    frames.push((at, bytes.len() - at));
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laced_frames_are_taken_apart() {
        // Three frames of 2, 256 and 3 bytes.
        let body = [7; 261];
        let whole = |head: &[u8]| [head, &body].concat();
        let of = |at: usize| Some(vec![(at, 2), (at + 2, 256), (at + 258, 3)]);
        assert_eq!(laced(&whole(&[2, 2, 255, 1]), 1), of(4));
        // A difference of 254 in two bytes, from 8191 on.
        assert_eq!(laced(&whole(&[2, 0x82, 0x60, 0xfd]), 3), of(4));
        assert_eq!(laced(&[1, 5, 5, 6, 6], 2), Some(vec![(1, 2), (3, 2)]));
        for bad in [&[][..], &[2, 255], &[1, 9], &[3, 0, 0]] {
            assert!(
                (1..=3).all(|lacing| laced(bad, lacing).is_none()),
                "{bad:?}"
            );
        }
    }
}
