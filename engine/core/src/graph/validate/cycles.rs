//! Cycles: every one has a link that is marked as feedback, and every mark is on a cycle.
//!
//! Without the marked links the graph must be free of cycles: that is the order in which segments
//! are made, formats and ends travel, and latency adds up. A mark on a link that closes no cycle is
//! a mistake as well: it would cost a queue and its frames would count as going back.

use std::collections::VecDeque;

use super::Check;
use super::ends::Ends;
use crate::graph::document::Endpoint;
use crate::graph::model::PortRef;
use crate::graph::problem::Place;
use crate::graph::quote::{path, quote};

/// The links by the node they start at: where to, and which.
type Next = Vec<Vec<(usize, usize)>>;

impl Check<'_> {
    pub(super) fn cycles(&mut self, ends: &[Ends]) {
        let mut next: Next = vec![Vec::new(); self.document.nodes.len()];
        let mut feedback = Vec::new();
        for (at, (link, ends)) in self.document.links.iter().zip(ends).enumerate() {
            let (true, [Some(from), Some(to)]) = (ends.joins, ends.about) else {
                continue;
            };
            if link.feedback {
                feedback.push((from, to, at));
            } else {
                next[from].push((to, at));
            }
        }
        self.unmarked_cycles(&next, ends);
        // Where a link is missing or refused, it may be the one that makes a cycle of a mark.
        let whole = ends.iter().all(|ends| ends.joins);
        if whole && !self.document.links_missing && !self.document.nodes_missing {
            self.needless_marks(next, &feedback, ends);
        }
    }

    /// Reports cycles, each once. Of cycles that share nodes one is reported; the others show
    /// when it is gone.
    fn unmarked_cycles(&mut self, next: &Next, ends: &[Ends]) {
        let document = self.document;
        let count = document.nodes.len();
        let mut alive = vec![true; count];
        loop {
            trim(&mut alive, next);
            let Some(start) = alive.iter().position(|alive| *alive) else {
                return;
            };
            // Every node that is left has a successor that is left, so that walking on comes
            // back to where it has been.
            let mut step_of: Vec<Option<usize>> = vec![None; count];
            let mut path: Vec<(usize, usize)> = Vec::new();
            let mut node = start;
            while step_of[node].is_none() {
                step_of[node] = Some(path.len());
                let Some(&(to, link)) = next[node].iter().find(|(to, _)| alive[*to]) else {
                    break;
                };
                path.push((node, link));
                node = to;
            }
            let mut cycle = path.split_off(step_of[node].unwrap_or(0).min(path.len()));
            if cycle.is_empty() {
                return;
            }
            for (node, _) in &cycle {
                alive[*node] = false;
            }
            let first = (0..cycle.len()).min_by_key(|at| cycle[*at].0).unwrap_or(0);
            cycle.rotate_left(first);
            self.unmarked_cycle(&cycle, next, ends);
        }
    }

    /// Reports one cycle: its nodes, each with the link that leaves it.
    fn unmarked_cycle(&mut self, cycle: &[(usize, usize)], next: &Next, ends: &[Ends]) {
        let document = self.document;
        let name = |node: usize| document.nodes[node].name.value.as_str();
        let mut names: Vec<&str> = cycle.iter().map(|(node, _)| name(*node)).collect();
        names.push(names[0]);

        // The link that leads back is most likely the one to a node that frames also reach from
        // outside the cycle; otherwise the one that was written last.
        let mut is_inside = vec![false; next.len()];
        cycle.iter().for_each(|(node, _)| is_inside[*node] = true);
        let mut is_fed_from_outside = vec![false; next.len()];
        let outside = next.iter().zip(&is_inside).filter(|(_, inside)| !**inside);
        for (to, _) in outside.flat_map(|(links, _)| links) {
            is_fed_from_outside[*to] = true;
        }
        let back = cycle.iter().enumerate().max_by_key(|(at, (_, link))| {
            let (to, _) = cycle[(at + 1) % cycle.len()];
            (is_fed_from_outside[to], *link)
        });
        let Some((_, &(_, back))) = back else { return };
        let link = &document.links[back];
        let from = self.end_name(ends[back].from, &link.from);
        let to = self.end_name(ends[back].to, &link.to);
        let mark = match &link.place {
            Place::Pipeline => {
                let text = quote(&format!("{from} -> {to}"));
                format!("add the link that leads back, {text}, by GraphBuilder::feedback")
            }
            _ => format!(
                "mark the link that leads back: {{ from = {}, to = {}, feedback = true }}",
                quote(&from),
                quote(&to)
            ),
        };
        self.problem_at(
            &link.place,
            format!("the links form a cycle: {}", path(&names)),
            format!("remove one of them, or, if frames are to come round again, {mark}"),
        );
    }

    /// Reports marked links that close no cycle. Each counts as unmarked from there on, so that of
    /// two marks on one cycle the second is not reported for want of the first.
    fn needless_marks(
        &mut self,
        mut next: Next,
        feedback: &[(usize, usize, usize)],
        ends: &[Ends],
    ) {
        let document = self.document;
        for &(from, to, at) in feedback {
            if leads(&next, to, from) {
                continue;
            }
            next[from].push((to, at));
            let link = &document.links[at];
            let name = format!(
                "{} -> {}",
                self.end_name(ends[at].from, &link.from),
                self.end_name(ends[at].to, &link.to)
            );
            let (from, to) = (&document.nodes[from].name, &document.nodes[to].name);
            self.problem_at(
                &link.place,
                format!(
                    "link {} is marked as feedback, and nothing leads from {} to {}",
                    quote(&name),
                    quote(&to.value),
                    quote(&from.value)
                ),
                match link.place {
                    Place::Pipeline => "add it by GraphBuilder::link_with",
                    _ => "remove feedback = true",
                },
            );
        }
    }

    /// `node.port`, or the end as it was written where its port is not known.
    fn end_name(&self, port: Option<PortRef>, end: &Endpoint) -> String {
        let known = port.and_then(|at| Some((at, self.types[at.node]?.ports.get(at.port)?)));
        known.map_or_else(|| end.text(), |(at, info)| self.port_name(at, info))
    }
}

/// Whether links lead from one node to another; a node leads to itself.
fn leads(next: &Next, from: usize, to: usize) -> bool {
    let mut seen = vec![false; next.len()];
    let mut waiting = VecDeque::from([from]);
    seen[from] = true;
    while let Some(node) = waiting.pop_front() {
        if node == to {
            return true;
        }
        for (consumer, _) in &next[node] {
            if !std::mem::replace(&mut seen[*consumer], true) {
                waiting.push_back(*consumer);
            }
        }
    }
    false
}

/// Takes away, again and again, the nodes that nothing leads to or that lead nowhere.
fn trim(alive: &mut [bool], next: &Next) {
    loop {
        let mut entered = vec![false; alive.len()];
        let mut left = vec![false; alive.len()];
        for (from, links) in next.iter().enumerate() {
            for (to, _) in links {
                if alive[from] && alive[*to] {
                    left[from] = true;
                    entered[*to] = true;
                }
            }
        }
        let mut changed = false;
        for (node, alive) in alive.iter_mut().enumerate() {
            if *alive && !(entered[node] && left[node]) {
                *alive = false;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
