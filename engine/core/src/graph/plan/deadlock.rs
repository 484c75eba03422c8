//! Cycles whose queues all block.
//!
//! Each segment of such a cycle may wait for room that only the next one makes, all at once and for
//! ever. Where one queue of a cycle drops instead, its producer never waits, and the others empty
//! one after the other. Calls within a segment pass the waiting on, so what counts is a path over
//! calls and `block` channels that comes back to where it began. Every cycle has a feedback link,
//! so looking at those finds all; and because every node of a segment is reached from its root by
//! calls, and a channel leads to a root, a cycle of nodes is a cycle of segments and the other way
//! round.

use std::collections::VecDeque;

use super::{Plan, Policy, Route};
use crate::graph::{
    Place, Problem, Problems,
    quote::{path, quote},
};

/// Reports every such cycle; of those that share a feedback link, the shortest.
pub(super) fn find(plan: &Plan, problems: &mut Problems) {
    let graph = plan.graph();
    let mut waits: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (index, (link, route)) in graph.links.iter().zip(&plan.routes).enumerate() {
        let passes_on = match *route {
            Route::Inline => true,
            Route::Channel(channel) => plan.channels[channel].policy == Policy::Block,
        };
        if passes_on {
            waits[link.from.node].push(index);
        }
    }
    let channels = plan.channels.iter();
    for channel in channels.filter(|c| c.feedback && c.policy == Policy::Block) {
        let link = &graph.links[channel.link];
        let Some(nodes) = shortest(plan, &waits, link.to.node, link.from.node) else {
            continue;
        };
        // Once this link drops, other cycles are to be told by a link of their own.
        waits[link.from.node].retain(|index| *index != channel.link);
        let mut names: Vec<&str> = nodes
            .iter()
            .map(|node| graph.nodes[*node].name.as_str())
            .collect();
        names.push(names[0]);
        let name = format!(
            "{} -> {}",
            plan.port_name(link.from),
            plan.port_name(link.to)
        );
        let remedy = match link.place {
            Place::Pipeline => "give Policy::DropOldest or Policy::Latest to the feedback link",
            _ => "write policy = \"drop-oldest\" or \"latest\" for the feedback link",
        };
        problems.push(Problem::new(
            link.place.clone(),
            format!(
                "every queue of a cycle blocks, so all can be full and wait for each other: {}",
                path(&names)
            ),
            format!("{remedy} {}", quote(&name)),
        ));
    }
}

/// The nodes of a shortest path, both ends included.
fn shortest(plan: &Plan, waits: &[Vec<usize>], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut before: Vec<Option<usize>> = vec![None; waits.len()];
    before[from] = Some(from);
    let mut waiting = VecDeque::from([from]);
    while let Some(node) = waiting.pop_front() {
        if node == to {
            let mut nodes = vec![to];
            let mut at = to;
            while at != from {
                at = before[at]?;
                nodes.push(at);
            }
            nodes.reverse();
            return Some(nodes);
        }
        for link in &waits[node] {
            let next = plan.graph().links[*link].to.node;
            if before[next].is_none() {
                before[next] = Some(node);
                waiting.push_back(next);
            }
        }
    }
    None
}
