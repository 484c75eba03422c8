//! The policies and capacities of links that state none.
//!
//! Behind a live source nobody can be held back: a link drops what is oldest, and counts it.
//! Behind sources that can pause (files, generators) it blocks, and nothing is lost. A feedback link
//! drops what is oldest behind any source: one that blocks holds back the node that is to empty it.

use super::Check;
use crate::graph::model::{Graph, Policy};
use crate::graph::negotiate::mode;
use crate::graph::{DEFAULT_CAPACITY, DEFAULT_PACKET_CAPACITY};

impl Check<'_> {
    /// Answers by node whether it is a live source or behind one.
    pub(super) fn settle(&self, graph: &mut Graph) -> Vec<bool> {
        let mut live: Vec<bool> = self
            .types
            .iter()
            .map(|info| info.is_some_and(|info| info.live))
            .collect();
        let mut packets: Vec<bool> = (0..live.len())
            .map(|node| live[node] && self.sends_packets(graph, node))
            .collect();

        let mut by_source = vec![Vec::new(); live.len()];
        for link in graph.links.iter().filter(|link| !link.feedback) {
            by_source[link.from.node].push(link.to.node);
        }
        for node in graph.topological_order() {
            for to in &by_source[node] {
                live[*to] |= live[node];
                packets[*to] |= packets[node];
            }
        }

        for (link, entry) in graph.links.iter_mut().zip(&self.document.links) {
            let source = link.from.node;
            link.policy = entry.policy.unwrap_or(match live[source] || link.feedback {
                true => Policy::DropOldest,
                false => Policy::Block,
            });
            link.capacity = entry.capacity.unwrap_or(match packets[source] {
                true => DEFAULT_PACKET_CAPACITY,
                false => DEFAULT_CAPACITY,
            });
        }
        live
    }

    fn sends_packets(&self, graph: &Graph, node: usize) -> bool {
        let info = self.types[node];
        info.is_some_and(|info| mode(&graph.nodes[node], info) == Some("packets"))
    }
}
