//! [`WorstCase`]: what a session of a graph may take at most, by what is declared.
//!
//! *Memory.* Everything that can hold frames is bounded, so the sum is: each queue, each source's
//! ring, and the batches that are being worked on, all full of the largest frames that can be there;
//! the states of the nodes; and what the engine keeps for itself. What a link can carry says which
//! frames those are (`negotiate`), and [`PAYLOADS`] how large one is.
//!
//! The figures in [`PAYLOADS`] are declarations. Nothing stops a node from making a larger frame, or
//! from keeping frames and memory of its own beyond a call; what holds in any case is the limit of
//! the engine's payload memory, for all sessions together.
//!
//! *Latency.* Each node type declares how long it holds a frame beyond the time of its call; the
//! slowest way from a source to a sink is the sum. Waiting in full queues comes on top.

use std::fmt;

use serde::Serialize;

use super::plan::Plan;
use super::quote::quote;
use super::units::show_duration;
use super::{Key, Pattern, TypeInfo, Values};

mod memory;

use memory::Sizes;

/// How large the payload of one frame may be.
#[derive(Clone, Copy)]
enum Largest {
    /// So many bytes.
    Bytes(u64),
    /// So many bytes for four pixels of a picture of the declared size.
    FourPixels(u64),
}
use Largest::{Bytes, FourPixels};

/// The largest payload of a frame, by its format: the first row counts whose pattern fits. The last
/// column says where the figure comes from.
const PAYLOADS: [(&str, Largest, &str); 12] = [
    (
        "audio/rtp-* video/rtp-*",
        Bytes(1_500),
        "a packet of an Ethernet",
    ),
    (
        "audio/opus",
        Bytes(7_680),
        "120 ms in frames of 20 ms of 1275 bytes each, the most of RFC 6716",
    ),
    (
        "audio/aac",
        Bytes(6_144),
        "6144 bits for each of 8 channels, the most of ISO/IEC 14496-3",
    ),
    (
        "audio/pcmu audio/pcma audio/g722",
        Bytes(960),
        "120 ms at 64 kbit/s",
    ),
    (
        "audio/s16",
        Bytes(61_440),
        "a block of 20 ms, 8 channels at 192 kHz, 2 bytes a sample",
    ),
    (
        "audio/*",
        Bytes(122_880),
        "the same with 4 bytes a sample, as in audio/f32",
    ),
    (
        "video/vp8 video/vp9 video/av1 video/h264 video/h265",
        FourPixels(3),
        "half of the picture as video/i420, the most of H.264, annex A, at common levels",
    ),
    (
        "video/i420 video/yv12 video/nv12 video/nv21 video/jpeg",
        FourPixels(6),
        "12 bits a pixel",
    ),
    (
        "video/i422 video/nv16 video/yuy2 video/uyvy",
        FourPixels(8),
        "16 bits a pixel",
    ),
    (
        "video/i444 video/rgb24 video/bgr24",
        FourPixels(12),
        "24 bits a pixel",
    ),
    (
        "video/*",
        FourPixels(16),
        "32 bits a pixel, as in video/rgba",
    ),
    (
        "data/*",
        Bytes(262_144),
        "the largest message that a data channel carries",
    ),
];

/// A frame's place in a queue: the frame, its number and state there, an event that precedes it.
const PLACE: u64 = 64 + 64;

/// What a session of a graph may take at most, by what is declared. Made by [`Plan::worst_case`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorstCase {
    /// Bytes of memory: the sum of `parts`.
    pub memory: u64,
    /// What it consists of, the largest part first.
    pub parts: Vec<MemoryPart>,
    /// The longest time from a source to a sink, in ns: the sum of `slowest`.
    pub latency_ns: u64,
    /// The nodes on that way, from source to sink; none where no node declares a latency.
    pub slowest: Vec<NodeLatency>,
}

/// A part of a session's memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryPart {
    /// What it is.
    pub kind: MemoryKind,
    /// Which one: a link as `node.port -> node.port`, a source's output as `node.port`, a segment by
    /// its first node; empty for states and the session itself.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Frames that it holds, where it holds some.
    pub frames: u64,
    /// The format of the largest of them, as a pattern; empty without frames.
    pub format: String,
}

/// What holds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryKind {
    /// The queue of a link.
    Link,
    /// The ring in which frames wait that a source hands in.
    Ring,
    /// The batch that a segment is working on, and what its nodes make of it.
    Batch,
    /// The states of the nodes.
    States,
    /// What the engine keeps for a session.
    Session,
}

/// What a node adds to the latency.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeLatency {
    /// Its name.
    pub node: String,
    /// What its type declares, in ns.
    pub latency_ns: u64,
}

impl fmt::Display for MemoryPart {
    /// Prints what it is, which one, and what it holds: `link "a.out -> b.in" (8 frames of audio/f32)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            MemoryKind::Link => write!(f, "link {}", quote(&self.name))?,
            MemoryKind::Ring => write!(f, "the ring of {}", quote(&self.name))?,
            MemoryKind::Batch => write!(f, "a batch in the segment of {}", quote(&self.name))?,
            MemoryKind::States => f.write_str("the states of the nodes")?,
            MemoryKind::Session => f.write_str("the session itself")?,
        }
        match self.frames {
            0 => Ok(()),
            1 => write!(f, " (1 frame of {})", self.format),
            frames => write!(f, " ({frames} frames of {})", self.format),
        }
    }
}

impl fmt::Display for NodeLatency {
    /// Prints `node (20 ms)`, or the node alone where it declares none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.latency_ns {
            0 => f.write_str(&self.node),
            ns => write!(f, "{} ({})", self.node, show_duration(ns)),
        }
    }
}

/// The largest frame of some place.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    /// With its place in a queue, and the block of memory that its payload takes.
    bytes: u64,
    format: String,
}

impl Plan {
    /// What a session may take at most, by what its graph and its node types declare.
    #[must_use]
    pub fn worst_case(&self) -> WorstCase {
        let types: Vec<&TypeInfo> = self.types.iter().map(|t| t.info()).collect();
        let sizes = Sizes {
            plan: self,
            links: self
                .graph
                .links
                .iter()
                .map(|link| largest(&link.formats, self.graph.limits.picture))
                .collect(),
        };
        let mut parts = sizes.parts();
        parts.retain(|part| part.bytes > 0);
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        let slowest = self.slowest(&types);
        WorstCase {
            memory: sum(parts.iter().map(|part| part.bytes)),
            parts,
            latency_ns: sum(slowest.iter().map(|node| node.latency_ns)),
            slowest,
        }
    }

    /// The way on which the declared latencies add up to most.
    fn slowest(&self, types: &[&TypeInfo]) -> Vec<NodeLatency> {
        let graph = &self.graph;
        let mut until: Vec<u64> = types.iter().map(|info| info.latency_ns).collect();
        let mut before: Vec<Option<usize>> = vec![None; types.len()];
        let mut out_of = vec![Vec::new(); types.len()];
        for link in graph.links.iter().filter(|link| !link.feedback) {
            out_of[link.from.node].push(link.to.node);
        }
        for from in graph.topological_order() {
            for &to in &out_of[from] {
                let sum = until[from].saturating_add(types[to].latency_ns);
                if before[to].is_none() || sum > until[to] {
                    (until[to], before[to]) = (sum, Some(from));
                }
            }
        }
        let sinks = (0..types.len()).filter(|node| out_of[*node].is_empty());
        // Of equals the first counts.
        let last = sinks.rev().max_by_key(|node| until[*node]);
        let mut way: Vec<NodeLatency> = std::iter::successors(last, |node| before[*node])
            .map(|node| NodeLatency {
                node: graph.nodes[node].name.clone(),
                latency_ns: types[node].latency_ns,
            })
            .collect();
        way.reverse();
        if way.iter().all(|node| node.latency_ns == 0) {
            way.clear();
        }
        way
    }
}

fn sum(parts: impl Iterator<Item = u64>) -> u64 {
    parts.fold(0, u64::saturating_add)
}

/// The largest frame of any of these formats.
fn largest(formats: &[Pattern], picture: (u32, u32)) -> Frame {
    let frames = formats.iter().map(|pattern| {
        let format = pattern.bare().to_string();
        // A link that says how large its pictures are knows better than the graph.
        let side =
            |key: Key, side: u32| pattern.values(key).and_then(Values::single).unwrap_or(side);
        let picture = (side(Key::Width, picture.0), side(Key::Height, picture.1));
        Frame {
            bytes: PLACE + block(payload(&format, picture)),
            format,
        }
    });
    frames.max().unwrap_or_default()
}

/// The largest payload of a frame whose format fits a pattern, in bytes.
fn payload(pattern: &str, picture: (u32, u32)) -> u64 {
    let bytes = |largest: Largest| match largest {
        Bytes(bytes) => bytes,
        // A small picture has headers as well.
        FourPixels(bytes) => {
            let pixels = u64::from(picture.0) * u64::from(picture.1);
            (pixels * bytes).div_ceil(4).max(1_024)
        }
    };
    let of_row = |row: &str| {
        row.split(' ').any(|known| match known.strip_suffix('*') {
            Some(start) => pattern.starts_with(start),
            None => pattern == known,
        })
    };
    // `audio/*` is any sound, not the row of that name alone; `*` is anything.
    let within = pattern.strip_suffix('*');
    let rows = PAYLOADS.iter();
    let fits = rows.filter(|(row, ..)| match within {
        Some(start) => of_row(row) || row.split(' ').any(|known| known.starts_with(start)),
        None => of_row(row),
    });
    let mut sizes = fits.map(|(_, largest, _)| bytes(*largest));
    let size = match within {
        Some(_) => sizes.max(),
        None => sizes.next(),
    };
    // Of a kind that nobody has heard of, the worst is to be expected.
    size.unwrap_or_else(|| payload("*", picture))
}

/// The memory that the pool takes for a payload: a header and a power of two.
fn block(payload: u64) -> u64 {
    64 + payload.max(256).next_power_of_two()
}

#[cfg(test)]
mod tests;
