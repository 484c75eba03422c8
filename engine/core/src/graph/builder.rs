//! Graphs made by code.

use std::time::Duration;

use super::catalog::Catalog;
use super::document::{
    At, Document, NodeEntry, ParamEntry, RawValue, capacity_in_range, name_problem,
    picture_in_range, tolerance_in_range,
};
use super::link_text::{self, Text};
use super::model::{Convert, Graph, ParamValue, Policy};
use super::problem::{Place, Problem, Problems};
use super::quote::quote;
use super::validate::validate;

/// Makes a graph step by step; [`GraphBuilder::build`] judges it as if it came from a file.
///
/// No step fails: what is wrong comes out of `build`, all at once. Its problems are placed at
/// `pipeline`, and name nodes and links in their text.
///
/// ```
/// use levada_engine::graph::GraphBuilder;
///
/// let mut graph = GraphBuilder::new("voice");
/// graph.node("mic", "test-audio");
/// graph.node("louder", "gain").param("db", 6.0);
/// graph.link("mic -> louder");
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    document: Document,
}

impl GraphBuilder {
    /// Starts a graph without nodes.
    pub fn new(name: &str) -> Self {
        let mut document = Document::new(name.to_owned(), None);
        if let Some(problem) = name_problem("graph", name, &Place::Pipeline) {
            document.report(problem);
        }
        Self { document }
    }

    /// Adds a node of a node type.
    pub fn node(&mut self, name: &str, type_name: &str) -> NodeBuilder<'_> {
        let taken = self
            .document
            .nodes
            .iter()
            .any(|node| node.name.value == name);
        if taken {
            self.document.report(Problem::new(
                Place::Pipeline,
                format!("there are two nodes named {}", quote(name)),
                "rename one of them",
            ));
        } else if let Some(problem) = name_problem("node", name, &Place::Pipeline) {
            self.document.report(problem);
        }
        self.document.nodes.push(NodeEntry {
            name: here(name),
            type_name: Some(here(type_name)),
            params: Vec::new(),
            sync: None,
        });
        NodeBuilder {
            document: &mut self.document,
        }
    }

    /// Adds a link, or a chain of links, in the notation of the graph file.
    pub fn link(&mut self, link: &str) -> &mut Self {
        self.link_with(link, None, None)
    }

    /// Adds a link that leads back to a node that its frames come from; `None` leaves the choice to
    /// the engine, which drops the oldest frame of a full one.
    pub fn feedback(
        &mut self,
        link: &str,
        policy: Option<Policy>,
        capacity: Option<usize>,
    ) -> &mut Self {
        self.add(link, policy, capacity, true)
    }

    /// Adds a link, or a chain of links, with a policy and a capacity in frames; `None` leaves
    /// the choice to the engine.
    pub fn link_with(
        &mut self,
        link: &str,
        policy: Option<Policy>,
        capacity: Option<usize>,
    ) -> &mut Self {
        self.add(link, policy, capacity, false)
    }

    fn add(
        &mut self,
        link: &str,
        policy: Option<Policy>,
        capacity: Option<usize>,
        feedback: bool,
    ) -> &mut Self {
        let text = Text {
            text: link,
            place: Place::Pipeline,
            exact: false,
        };
        let capacity = capacity.and_then(|capacity| {
            let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
            capacity_in_range(capacity, &Place::Pipeline)
                .map_err(|problem| self.document.report(problem))
                .ok()
        });
        match link_text::chain(&text) {
            Ok(links) => {
                let links = links.into_iter().map(|mut link| {
                    link.policy = policy;
                    link.capacity = capacity;
                    link.feedback = feedback;
                    link
                });
                self.document.links.extend(links);
            }
            Err(problem) => {
                self.document.links_missing = true;
                self.document.report(problem);
            }
        }
        self
    }

    /// Says whether converters are inserted where the ends of a link do not agree; they are if nothing
    /// is said.
    pub fn convert(&mut self, convert: Convert) -> &mut Self {
        self.document.convert = convert;
        self
    }

    /// Refuses the graph when a session may take more memory at worst, in bytes.
    pub fn limit_memory(&mut self, bytes: u64) -> &mut Self {
        self.document.limits.memory = Some(At::new(bytes, Place::Pipeline));
        self
    }

    /// Refuses the graph when its nodes declare more latency on any way from a source to a sink.
    pub fn limit_latency(&mut self, latency: Duration) -> &mut Self {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.document.limits.latency_ns = Some(At::new(ns, Place::Pipeline));
        self
    }

    /// Declares the largest picture that counts for the worst case, in pixels; 1920 by 1080 if not
    /// stated.
    pub fn picture(&mut self, width: u32, height: u32) -> &mut Self {
        match picture_in_range((width, height), &Place::Pipeline) {
            Ok(picture) => self.document.limits.picture = picture,
            Err(problem) => self.document.report(problem),
        }
        self
    }

    /// Validates the graph.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn build(&self, catalog: &dyn Catalog) -> Result<Graph, Problems> {
        validate(&self.document, catalog, &[])
    }
}

/// The node that was added last, to set its params.
#[derive(Debug)]
pub struct NodeBuilder<'a> {
    document: &'a mut Document,
}

impl NodeBuilder<'_> {
    /// Sets a param; a second value replaces the first.
    pub fn param(self, name: &str, value: impl Into<ParamValue>) -> Self {
        if let Some(node) = self.document.nodes.last_mut() {
            node.params.retain(|param| param.name.value != name);
            node.params.push(ParamEntry {
                name: here(name),
                value: At::new(RawValue::Value(value.into()), Place::Pipeline),
            });
        }
        self
    }

    /// Merges its inputs in the order of their frames' `pts`; frames that are at most `tolerance`
    /// apart count as simultaneous.
    pub fn sync_by_pts(self, tolerance: Duration) -> Self {
        let ns = u64::try_from(tolerance.as_nanos()).unwrap_or(u64::MAX);
        match tolerance_in_range(ns, &Place::Pipeline) {
            Err(problem) => self.document.report(problem),
            Ok(sync) => {
                if let Some(node) = self.document.nodes.last_mut() {
                    node.sync = Some(At::new(sync, Place::Pipeline));
                }
            }
        }
        self
    }
}

fn here(text: &str) -> At<String> {
    At::new(text.to_owned(), Place::Pipeline)
}
