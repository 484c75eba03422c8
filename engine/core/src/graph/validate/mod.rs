//! From a [`Document`] to a [`Graph`], or to every [`Problems`] at once.
//!
//! The order of work: types, params (with the overrides of the command line), the ends of links,
//! the shape of the whole. Each step leaves out what an earlier one has already reported, so that
//! one mistake makes one problem: a link that misses its port does not leave an input "unlinked",
//! and a plugin that did not load does not leave its node types "unknown".

mod alignment;
mod cycles;
mod ends;
mod formats;
mod params;
mod set;
mod settle;
mod shape;

use std::collections::BTreeMap;

use super::catalog::{Catalog, TypeInfo};
use super::document::{Document, NodeEntry};
use super::model::{Convert, Graph, Link, Node};
use super::negotiate::{About, Converters, negotiate};
use super::problem::{Problem, Problems};
use super::quote::{list, nearest, quote};
use super::{MAX_LINKS, MAX_NODES};

pub use set::SetParam;

/// Judges a document and completes it: params have all their values, links their policies and
/// capacities. `overrides` replace params of the document; of two for the same param the last
/// counts.
///
/// # Errors
/// Every problem of the document: those that [`Document::problems`] knew, and those found here.
pub fn validate(
    document: &Document,
    catalog: &dyn Catalog,
    overrides: &[SetParam],
) -> Result<Graph, Problems> {
    let mut check = Check {
        document,
        catalog,
        converters: Converters::of(catalog),
        types: Vec::new(),
        index: BTreeMap::new(),
        guesses: BTreeMap::new(),
        problems: document.problems.clone(),
    };
    let graph = check.run(overrides);
    let mut problems = check.problems;
    match graph {
        Some(graph) if problems.is_empty() => Ok(graph),
        _ => {
            problems.sort();
            Err(problems)
        }
    }
}

/// The work of one validation.
struct Check<'a> {
    document: &'a Document,
    catalog: &'a dyn Catalog,
    /// What may be inserted.
    converters: Converters<'a>,
    /// The type of each node, where it is known.
    types: Vec<Option<&'a TypeInfo>>,
    /// The nodes by name; of two with one name, the first.
    index: BTreeMap<&'a str, usize>,
    /// The nodes that names in links which are none were probably meant for.
    guesses: BTreeMap<&'a str, Option<usize>>,
    problems: Problems,
}

impl<'a> Check<'a> {
    fn run(&mut self, overrides: &[SetParam]) -> Option<Graph> {
        let document = self.document;
        if document.broken || self.is_too_large() || self.is_empty() {
            return None;
        }
        for (at, node) in document.nodes.iter().enumerate() {
            self.index.entry(node.name.value.as_str()).or_insert(at);
        }
        self.types = document
            .nodes
            .iter()
            .map(|node| self.find_type(node))
            .collect();

        let params = self.params(overrides);
        let ends = self.ends();
        self.shape(&ends);
        self.cycles(&ends);
        self.alignment(&ends);
        if !self.problems.is_empty() {
            return None;
        }

        // Every part was found, or there would be a problem; `?` covers what has none.
        let nodes = document
            .nodes
            .iter()
            .zip(params)
            .map(|(entry, params)| {
                Some(Node {
                    name: entry.name.value.clone(),
                    type_name: entry.type_name.as_ref()?.value.clone(),
                    params: params?,
                    sync: entry.sync.as_ref().map(|sync| sync.value),
                    place: entry.name.place.clone(),
                    inserted: None,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let links = document
            .links
            .iter()
            .zip(&ends)
            .map(|(entry, ends)| {
                Some(Link {
                    from: ends.from?,
                    to: ends.to?,
                    policy: super::Policy::Block,
                    capacity: super::DEFAULT_CAPACITY,
                    feedback: entry.feedback,
                    formats: Vec::new(),
                    place: entry.place.clone(),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let mut graph = Graph {
            name: document.name.clone(),
            nodes,
            links,
            limits: document.limits.clone(),
            choices: Vec::new(),
        };
        let live = self.settle(&mut graph);
        self.negotiated(&graph, &live)
    }

    /// The graph with what its links carry and with converters; `None` after problems.
    fn negotiated(&mut self, graph: &Graph, live: &[bool]) -> Option<Graph> {
        let types: Vec<&TypeInfo> = self.types.iter().copied().collect::<Option<_>>()?;
        let links = self.document.links.iter();
        let never: Vec<bool> = links.map(|link| self.is_never_converted(link)).collect();
        let about = About {
            types: &types,
            never: &never,
            live,
        };
        match negotiate(graph, self.catalog, &self.converters, &about) {
            Ok(negotiated) => (!self.has_too_many(&negotiated)).then_some(negotiated),
            Err(faults) => {
                for fault in &faults {
                    self.fault(graph, fault);
                }
                None
            }
        }
    }

    fn is_never_converted(&self, link: &super::LinkEntry) -> bool {
        link.convert.unwrap_or(self.document.convert) == Convert::Never
    }

    /// Whether converters make a graph larger than one may be.
    fn has_too_many(&mut self, graph: &Graph) -> bool {
        if graph.nodes.len() <= MAX_NODES && graph.links.len() <= MAX_LINKS {
            return false;
        }
        let inserted = graph.nodes.len() - self.document.nodes.len();
        self.problem_at(
            &self.document.start(),
            format!(
                "with the {inserted} converters that it needs, the graph has {} nodes and {} links",
                graph.nodes.len(),
                graph.links.len()
            ),
            format!("keep to {MAX_NODES} nodes and {MAX_LINKS} links a graph, or split it"),
        );
        true
    }

    fn is_too_large(&mut self) -> bool {
        let document = self.document;
        if let Some(node) = document.nodes.get(MAX_NODES) {
            self.problem_at(
                &node.name.place,
                format!("the graph has {} nodes", document.nodes.len()),
                format!("keep to {MAX_NODES} nodes a graph, or split it"),
            );
        }
        if let Some(link) = document.links.get(MAX_LINKS) {
            self.problem_at(
                &link.place,
                format!("the graph has {} links", document.links.len()),
                format!("keep to {MAX_LINKS} links a graph, or split it"),
            );
        }
        document.nodes.len() > MAX_NODES || document.links.len() > MAX_LINKS
    }

    fn is_empty(&mut self) -> bool {
        let document = self.document;
        if document.nodes.is_empty() && !document.nodes_missing {
            self.problem_at(
                &document.start(),
                "the graph has no nodes".to_owned(),
                "add [nodes], and under it my-node = { type = \"...\" }; \
                 \"levada inspect\" lists the node types",
            );
        }
        document.nodes.is_empty()
    }

    fn find_type(&mut self, node: &NodeEntry) -> Option<&'a TypeInfo> {
        let name = node.type_name.as_ref()?;
        let found = self.catalog.get(&name.value);
        if found.is_none() && !self.document.plugins_missing {
            let names = self.catalog.names();
            let remedy = match nearest(&name.value, names.iter().copied()) {
                Some(near) => format!("write {}", quote(near)),
                None if names.is_empty() => {
                    "name a plugin that offers it under [plugins]".to_owned()
                }
                None => format!(
                    "name the plugin that offers it under [plugins], or choose {}",
                    list(&names, "or")
                ),
            };
            self.problem_at(
                &name.place,
                format!("there is no node type {}", quote(&name.value)),
                remedy,
            );
        }
        found
    }

    /// `"louder" (gain)`: a node in messages.
    fn describe(&self, node: usize) -> String {
        let entry = &self.document.nodes[node];
        match &entry.type_name {
            Some(name) => format!("{} ({})", quote(&entry.name.value), plain(&name.value)),
            None => quote(&entry.name.value),
        }
    }

    fn problem_at(
        &mut self,
        place: &super::Place,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems
            .push(Problem::new(place.clone(), cause, remedy));
    }
}

/// A name without quotes, cut and escaped like one with.
fn plain(name: &str) -> String {
    let quoted = quote(name);
    quoted[1..quoted.len() - 1].to_owned()
}
