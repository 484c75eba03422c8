//! [`Sizes`]: the sum of a session's memory, place by place.
//!
//! Frames are in queues, in sources' rings, and in the batches that segments are working on. A
//! batch goes through its segment depth first, so beside the frames that came in there are those
//! that the nodes on one way have made of them. What an output puts into `block` channels had its
//! place there before the call and is counted with the channel. A frame that is in several places at
//! once, after an output that feeds several links, is counted in each: an upper bound.

use super::{Frame, MemoryKind, MemoryPart};
use crate::frame::tables::{MAX_FORMATS, MAX_STREAMS};
use crate::graph::plan::{Entry, Plan, Route};
use crate::graph::{Policy, PortRef};
use crate::scheduler::segment::MAX_BATCH;

/// Texts and numbers of a session's formats and streams, as many and as long as they may be: 4096
/// bytes of configuration and a name for each format, 1024 bytes of label for each stream.
pub(super) const TABLES: u64 = MAX_FORMATS as u64 * (4096 + 256) + MAX_STREAMS as u64 * (1024 + 64);
/// A session's own fields, and the events that wait in it.
pub(super) const SESSION: u64 = 16 << 10;
/// A node's counters, handle and ports, and the text of its failure, 8192 bytes at most.
pub(super) const NODE: u64 = (1 << 10) + (8 << 10);
/// A link's counters, and its two ends in their segments.
pub(super) const LINK: u64 = 512;

/// Adds up what each place may hold.
pub(super) struct Sizes<'p> {
    pub plan: &'p Plan,
    /// By link: the largest frame that it can carry.
    pub links: Vec<Frame>,
}

impl Sizes<'_> {
    pub fn parts(&self) -> Vec<MemoryPart> {
        let plan = self.plan;
        let (nodes, links) = (plan.nodes.len() as u64, plan.routes.len() as u64);
        let mut parts = vec![
            bare(MemoryKind::States, plan.block.state_bytes() as u64),
            bare(
                MemoryKind::Session,
                SESSION + TABLES + nodes * NODE + links * LINK,
            ),
        ];
        for channel in &plan.channels {
            let link = &plan.graph.links[channel.link];
            let name = format!(
                "{} -> {}",
                plan.port_name(link.from),
                plan.port_name(link.to)
            );
            let frame = &self.links[channel.link];
            parts.push(held(MemoryKind::Link, name, channel.capacity, frame));
        }
        for ring in &plan.ingress {
            let name = plan.port_name(ring.from);
            let frame = self.at_output(ring.from);
            parts.push(held(MemoryKind::Ring, name, ring.capacity, &frame));
        }
        let made = self.made();
        parts.extend((0..plan.segments.len()).map(|segment| self.batch(segment, &made)));
        parts
    }

    /// The largest frame that leaves an output over any of its links.
    fn at_output(&self, at: PortRef) -> Frame {
        let links = &self.plan.nodes[at.node].ports[at.port].links;
        let frames = links.iter().map(|link| &self.links[*link]);
        frames.max().cloned().unwrap_or_default()
    }

    /// By node: the bytes that come into being within its segment, at once and beside the frame
    /// itself, for each frame that comes to it.
    fn made(&self) -> Vec<u64> {
        let plan = self.plan;
        let mut made = vec![0_u64; plan.nodes.len()];
        for node in plan.segments.iter().flat_map(|s| s.nodes.iter().rev()) {
            let ports = &plan.nodes[*node].ports;
            let (mut new, mut further) = (0_u64, 0_u64);
            for (port, out) in ports.iter().enumerate().filter(|(_, p)| p.is_output) {
                let at = PortRef { node: *node, port };
                // One of them is the frame that came in, where the output lets that through.
                let forwards = ports.iter().any(|input| input.forwards_to == Some(port));
                let count = out.max_out.saturating_sub(usize::from(forwards)) as u64;
                if !self.has_reserved(at) {
                    let bytes = count.saturating_mul(self.at_output(at).bytes);
                    new = new.saturating_add(bytes);
                }
                // The links of an output are served one after the other.
                let next = out
                    .links
                    .iter()
                    .filter(|link| plan.routes[**link] == Route::Inline);
                let most = next.map(|link| made[plan.graph.links[*link].to.node]).max();
                let most = most.unwrap_or(0).saturating_mul(out.max_out as u64);
                further = further.max(most);
            }
            made[*node] = new.saturating_add(further);
        }
        made
    }

    /// Whether all that an output gives has its place in channels before the call, and is counted
    /// there.
    fn has_reserved(&self, at: PortRef) -> bool {
        let links = &self.plan.nodes[at.node].ports[at.port].links;
        links.iter().all(|link| match self.plan.routes[*link] {
            Route::Inline => false,
            Route::Channel(channel) => self.plan.channels[channel].policy == Policy::Block,
        })
    }

    /// What a segment has in hand at most: the largest batch from one of its entries, what its nodes
    /// make of it, and of each channel the frame that comes next, at which it has looked.
    fn batch(&self, segment: usize, made: &[u64]) -> MemoryPart {
        let plan = self.plan;
        let segment = &plan.segments[segment];
        let root = segment.nodes[0];
        let entries = segment.entries.iter().map(|entry| match *entry {
            Entry::Channel { channel, to } => {
                let channel = &plan.channels[channel];
                (
                    channel.capacity,
                    self.links[channel.link].clone(),
                    made[to.node],
                )
            }
            Entry::Ingress { ingress } => {
                let ring = &plan.ingress[ingress];
                let links = &plan.nodes[root].ports[ring.from.port].links;
                let inline = links
                    .iter()
                    .filter(|link| plan.routes[**link] == Route::Inline);
                let most = inline
                    .map(|link| made[plan.graph.links[*link].to.node])
                    .max();
                (ring.capacity, self.at_output(ring.from), most.unwrap_or(0))
            }
        });
        // A tick, too, makes what a frame would.
        let tick = (1, Frame::default(), made[root]);
        let batches = entries.chain([tick]).map(|(capacity, frame, made)| {
            let frames = capacity.min(MAX_BATCH) as u64;
            let bytes = frames.saturating_mul(frame.bytes.saturating_add(made));
            let frames = if frame.bytes > 0 { frames } else { 0 };
            (bytes, frames, frame.format)
        });
        let (mut bytes, mut frames, format) = batches.max().unwrap_or_default();
        for entry in &segment.entries {
            if let Entry::Channel { channel, .. } = *entry {
                let next = &self.links[plan.channels[channel].link];
                bytes = bytes.saturating_add(next.bytes);
                frames += 1;
            }
        }
        MemoryPart {
            kind: MemoryKind::Batch,
            name: plan.graph.nodes[root].name.clone(),
            bytes,
            frames,
            format,
        }
    }
}

fn bare(kind: MemoryKind, bytes: u64) -> MemoryPart {
    MemoryPart {
        kind,
        name: String::new(),
        bytes,
        frames: 0,
        format: String::new(),
    }
}

fn held(kind: MemoryKind, name: String, frames: usize, frame: &Frame) -> MemoryPart {
    MemoryPart {
        kind,
        name,
        bytes: (frames as u64).saturating_mul(frame.bytes),
        frames: frames as u64,
        format: frame.format.clone(),
    }
}
