//! The shape of the graph: one link an input, nothing that hangs loose.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use super::ends::Ends;
use crate::graph::catalog::Direction::{Input, Output};
use crate::graph::catalog::{PortInfo, formats_meet};
use crate::graph::model::PortRef;
use crate::graph::problem::Place;
use crate::graph::quote::quote;

impl Check<'_> {
    pub(super) fn shape(&mut self, ends: &[Ends]) {
        self.inputs_with_two_links(ends);
        self.loose_ends(ends);
    }

    fn inputs_with_two_links(&mut self, ends: &[Ends]) {
        let document = self.document;
        let mut taken: BTreeMap<PortRef, usize> = BTreeMap::new();
        for (at, ends_here) in ends.iter().enumerate() {
            // A link that misses its output is no link yet.
            let (Some(_), Some(to)) = (ends_here.from, ends_here.to) else {
                continue;
            };
            let Some(first) = taken.get(&to).copied() else {
                taken.insert(to, at);
                continue;
            };
            let (link, first_link) = (&document.links[at], &document.links[first]);
            let line = match first_link.place.line() {
                Some(line) => format!(" (line {line})"),
                None => String::new(),
            };
            let Some(info) = self.types[to.node] else {
                continue;
            };
            let name = self.port_name(to, &info.ports[to.port]);
            if ends_here.from == ends[first].from {
                self.problem_at(
                    &link.place,
                    format!("the same link to {} is there already{line}", quote(&name)),
                    "remove one of the two",
                );
            } else {
                self.problem_at(
                    &link.to.place,
                    format!(
                        "input {} already has a link from {}{line}",
                        quote(&name),
                        quote(&first_link.from.text())
                    ),
                    "remove one of the two, or join both in a node with an input for each",
                );
            }
        }
    }

    /// Reports nodes without links and required inputs without one, except where that follows
    /// from a link that was refused.
    fn loose_ends(&mut self, ends: &[Ends]) {
        let document = self.document;
        if document.links_missing {
            return;
        }
        if document.links.is_empty() {
            return self.no_links();
        }
        let mut linked = vec![false; document.nodes.len()];
        let mut excused = vec![false; document.nodes.len()];
        let mut fed = BTreeSet::new();
        for ends in ends {
            for node in ends.about.into_iter().flatten() {
                linked[node] = true;
                excused[node] |= ends.from.is_none() || ends.to.is_none();
            }
            fed.extend(ends.to);
        }
        // Where a link names a node that is not there, and nobody can guess which is meant, it may
        // be one that has no links for just that reason.
        let strangers: BTreeSet<&str> = document
            .links
            .iter()
            .zip(ends)
            .flat_map(|(link, ends)| [(&link.from, ends.about[0]), (&link.to, ends.about[1])])
            .filter(|(_, about)| about.is_none())
            .map(|(end, _)| end.node.value.as_str())
            .collect();
        if linked.iter().filter(|linked| !**linked).count() <= strangers.len() {
            for node in 0..linked.len() {
                excused[node] |= !linked[node];
                linked[node] = true;
            }
        }
        for (node, entry) in document.nodes.iter().enumerate() {
            let ports = self.types[node].map_or(&[][..], |info| info.ports.as_slice());
            if !linked[node] {
                let remedy = match self.example_link(node) {
                    Some(link) => format!("link it, as in {}, or remove it", quote(&link)),
                    None => "link it, or remove it".to_owned(),
                };
                // A type that is not known is reported; whether it has ports is not known either.
                if !ports.is_empty() {
                    let cause = format!("node {} has no links", self.describe(node));
                    self.problem_at(&entry.name.place, cause, remedy);
                }
                continue;
            }
            for (port, info) in ports.iter().enumerate() {
                let here = PortRef { node, port };
                let required = info.direction == Input && info.required;
                if !required || excused[node] || fed.contains(&here) {
                    continue;
                }
                let name = self.port_name(here, info);
                let remedy = match self.source_for(node, info) {
                    Some(from) => {
                        format!("add a link, as in {}", quote(&format!("{from} -> {name}")))
                    }
                    None => format!("add a link that ends in {}", quote(&name)),
                };
                let cause = format!(
                    "input \"{}\" of {} must be linked, and is not",
                    info.name,
                    self.describe(node)
                );
                self.problem_at(&entry.name.place, cause, remedy);
            }
        }
    }

    /// One problem for all nodes of a graph that links none.
    fn no_links(&mut self) {
        let document = self.document;
        let has_ports = |at: usize| self.types[at].is_none_or(|info| !info.ports.is_empty());
        if !(0..document.nodes.len()).any(has_ports) {
            return;
        }
        let place: &Place = match (&document.links_place, document.nodes.first()) {
            (Some(place), _) => place,
            (None, Some(node)) => &node.name.place,
            (None, None) => return,
        };
        let example = (0..document.nodes.len()).find_map(|node| self.example_link(node));
        let example = example.unwrap_or_else(|| "a.out -> b.in".to_owned());
        self.problem_at(
            place,
            "the graph has no links",
            format!("add links = [{}] at the top of the file", quote(&example)),
        );
    }

    /// A link from or to a node that would be valid by its formats.
    fn example_link(&self, node: usize) -> Option<String> {
        let ports = &self.types[node]?.ports;
        ports.iter().enumerate().find_map(|(port, info)| {
            let name = self.port_name(PortRef { node, port }, info);
            match info.direction {
                Input => Some(format!("{} -> {name}", self.source_for(node, info)?)),
                Output => Some(format!("{name} -> {}", self.sink_for(node, info)?)),
            }
        })
    }

    /// An output of another node that offers what an input accepts.
    fn source_for(&self, node: usize, input: &PortInfo) -> Option<String> {
        self.partner(node, |port| {
            port.direction == Output && formats_meet(&port.formats, &input.formats)
        })
    }

    /// An input of another node that accepts what an output offers.
    fn sink_for(&self, node: usize, output: &PortInfo) -> Option<String> {
        self.partner(node, |port| {
            port.direction == Input && formats_meet(&port.formats, &output.formats)
        })
    }

    fn partner(&self, not: usize, fits: impl Fn(&PortInfo) -> bool) -> Option<String> {
        self.types
            .iter()
            .enumerate()
            .filter(|(node, _)| *node != not)
            .find_map(|(node, info)| {
                let ports = info.as_ref()?.ports.iter().enumerate();
                let (port, info) = ports.into_iter().find(|(_, port)| fits(port))?;
                Some(self.port_name(PortRef { node, port }, info))
            })
    }
}
