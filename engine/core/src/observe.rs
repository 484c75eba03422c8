//! Counters of nodes and links, and the report made of them.
//!
//! What passes is counted once, on its link, by the thread that runs the segment behind the link's
//! output: a plain load and store. A node's counts follow from those of its links. Readers may see a
//! count that is a moment old.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde::Serialize;

use crate::{frame::pool::Held, graph::Plan};

/// A count with one writer at a time.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count; by its one writer.
    pub fn add(&self, count: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// Adds to the count; by anybody. Nothing to add, which is what a batch mostly has, costs nothing.
    pub fn add_shared(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far a node says it is. A reader may see the one number a moment before the other; the second hardly ever
/// changes.
pub(crate) struct Far {
    /// In ns; [`UNSAID`](Far::UNSAID) until the node has said it.
    done: AtomicI64,
    total: AtomicI64,
}

impl Default for Far {
    fn default() -> Far {
        Far {
            done: AtomicI64::new(Far::UNSAID),
            total: AtomicI64::new(0),
        }
    }
}

impl Far {
    const UNSAID: i64 = i64::MIN;

    pub fn set(&self, done_ns: i64, total_ns: i64) {
        self.total.store(total_ns, Ordering::Relaxed);
        self.done.store(done_ns.max(0), Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Progress> {
        let (done, total) = (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        );
        (done != Far::UNSAID).then(|| Progress {
            done_seconds: done as f64 / 1e9,
            total_seconds: (total > 0).then(|| total as f64 / 1e9),
        })
    }
}

/// How much media a node has played, recorded or worked through, in seconds of the media's time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// So much.
    pub done_seconds: f64,
    /// Of so much, if that is known and has an end.
    pub total_seconds: Option<f64>,
}

/// What a session, or all sessions of a graph together, did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The graph's name.
    pub graph: String,
    /// Sessions that are counted here.
    pub sessions: u64,
    /// Of those, sessions that a node's failure ended.
    pub failed: u64,
    /// Longest time from a session's start to its end, in seconds.
    pub seconds: f64,
    /// Nodes in the graph's order.
    pub nodes: Vec<NodeReport>,
    /// Links in the graph's order.
    pub links: Vec<LinkReport>,
    /// Payload bytes that the nodes declared to have copied.
    pub bytes_copied: u64,
    /// After the end: nodes whose buffers are still held, in the graph's order. A node that ended has
    /// leaked them, unless the application keeps frames of its own accord.
    pub leaks: Vec<Leak>,
}

/// Buffers of the engine's pool that were not released when their session had ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Leak {
    /// The node that had them last.
    pub node: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The plugin that offers the type.
    pub plugin: String,
    /// How many buffers.
    pub buffers: u64,
    /// Bytes that they take from the pool.
    pub bytes: u64,
}

/// What a node did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The plugin that offers the type.
    pub plugin: String,
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that went out, counted once for each output port.
    pub frames_out: u64,
    /// Of those, frames for output ports that no link takes from.
    pub unlinked: u64,
    /// Units that the node itself dropped (what a live source could not hand in, what a receiver
    /// could not put together).
    pub dropped: u64,
    /// Payload bytes that it declared to have copied.
    pub bytes_copied: u64,
    /// Buffers of the engine's pool that it holds: those that it was loaned, or given last.
    pub held_buffers: u64,
    /// Bytes that these take from the pool.
    pub held_bytes: u64,
    /// How far it has come with its media, where the node says so; of several sessions, the one that came furthest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// What a link did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LinkReport {
    /// Output port, as `node.port`.
    pub from: String,
    /// Input port, as `node.port`.
    pub to: String,
    /// Frames that were put in.
    pub frames: u64,
    /// Of those, frames that never arrived, because the link's policy dropped them or the session
    /// was ended by a failure.
    pub dropped: u64,
}

impl Plan {
    /// The report of no session: every node and link, all counts zero.
    #[must_use]
    pub fn report(&self) -> Report {
        let nodes = self
            .graph
            .nodes
            .iter()
            .zip(&self.types)
            .map(|(node, node_type)| NodeReport {
                name: node.name.clone(),
                type_name: node_type.info().name.clone(),
                plugin: node_type.info().plugin.clone(),
                ..NodeReport::default()
            });
        let links = self.graph.links.iter().map(|link| LinkReport {
            from: self.port_name(link.from),
            to: self.port_name(link.to),
            ..LinkReport::default()
        });
        Report {
            graph: self.graph.name.clone(),
            nodes: nodes.collect(),
            links: links.collect(),
            ..Report::default()
        }
    }
}

impl Report {
    /// Says what each node holds now.
    pub(crate) fn set_held(&mut self, held: &[Held]) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let held = held.iter().find(|held| held.node == index);
            node.held_buffers = held.map_or(0, |held| held.buffers);
            node.held_bytes = held.map_or(0, |held| held.bytes);
        }
    }

    /// Says that all nodes are gone, so that what they hold is a leak.
    pub(crate) fn set_ended(&mut self) {
        let holding = self.nodes.iter().filter(|node| node.held_buffers > 0);
        self.leaks = holding
            .map(|node| Leak {
                node: node.name.clone(),
                type_name: node.type_name.clone(),
                plugin: node.plugin.clone(),
                buffers: node.held_buffers,
                bytes: node.held_bytes,
            })
            .collect();
    }

    /// Adds another session's figures of the same graph. Where it was planned otherwise, for a peer with other
    /// codecs, nodes and links that this report has not come behind the others.
    pub fn add(&mut self, other: &Report) {
        self.sessions += other.sessions;
        self.failed += other.failed;
        self.seconds = self.seconds.max(other.seconds);
        self.bytes_copied += other.bytes_copied;
        for theirs in &other.nodes {
            let is_it =
                |mine: &NodeReport| mine.name == theirs.name && mine.type_name == theirs.type_name;
            let at = match self.nodes.iter().position(is_it) {
                Some(at) => at,
                None => {
                    self.nodes.push(theirs.clone());
                    continue;
                }
            };
            let mine = &mut self.nodes[at];
            mine.frames_in += theirs.frames_in;
            mine.frames_out += theirs.frames_out;
            mine.unlinked += theirs.unlinked;
            mine.dropped += theirs.dropped;
            mine.bytes_copied += theirs.bytes_copied;
            mine.held_buffers += theirs.held_buffers;
            mine.held_bytes += theirs.held_bytes;
            let done = |of: &NodeReport| of.progress.map_or(-1.0, |progress| progress.done_seconds);
            if done(theirs) > done(mine) {
                mine.progress = theirs.progress;
            }
        }
        for theirs in &other.links {
            let is_it = |mine: &&mut LinkReport| mine.from == theirs.from && mine.to == theirs.to;
            let Some(mine) = self.links.iter_mut().find(is_it) else {
                self.links.push(theirs.clone());
                continue;
            };
            mine.frames += theirs.frames;
            mine.dropped += theirs.dropped;
        }
        for theirs in &other.leaks {
            match self.leaks.iter_mut().find(|leak| leak.node == theirs.node) {
                Some(mine) => {
                    mine.buffers += theirs.buffers;
                    mine.bytes += theirs.bytes;
                }
                None => self.leaks.push(theirs.clone()),
            }
        }
        let place = |leak: &Leak| self.nodes.iter().position(|node| node.name == leak.node);
        self.leaks.sort_by_key(place);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn ended(held: &[(usize, u64)]) -> Report {
        let nodes = ["camera", "thief"].map(|name| NodeReport {
            name: name.into(),
            ..NodeReport::default()
        });
        let mut report = Report {
            nodes: nodes.into(),
            ..Report::default()
        };
        let held = held.iter().map(|&(node, buffers)| Held {
            node,
            buffers,
            bytes: buffers * 256,
        });
        report.set_held(&held.collect::<Vec<_>>());
        report.set_ended();
        report
    }

    #[test]
    fn leaks_of_several_sessions_add_up_by_node() {
        let mut total = ended(&[]);
        assert_eq!(total.leaks, []);
        for session in [ended(&[(1, 2)]), ended(&[]), ended(&[(0, 1), (1, 3)])] {
            total.add(&session);
        }
        let leaks: Vec<_> = total
            .leaks
            .iter()
            .map(|l| (&*l.node, l.buffers, l.bytes))
            .collect();
        assert_eq!(leaks, [("camera", 1, 256), ("thief", 5, 5 * 256)]);
        assert_eq!(total.nodes[1].held_buffers, 5);
    }
}
