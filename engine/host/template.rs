//! [`Template`]: a graph that can be planned for certain codecs.
//!
//! A plan is made before any peer says what it can do, and settles one encoding for each stream. For a peer that
//! has not that one, the graph is validated again, with the ports of its WebRTC nodes narrowed to what the peer has
//! ([`Narrowed`]), so that negotiation chooses other encodings and inserts other converters.

use std::sync::Arc;

use levada_engine::{
    graph::{Catalog, Graph, Node, Plan, Problem, Problems, Refusal, TypeInfo},
    plugin::Registry,
};
use levada_webrtc::{Codec, MediaKind};

use crate::codecs;

/// Validates the graph with the node types of a catalog.
type Validate = dyn Fn(&dyn Catalog) -> Result<Graph, Problems> + Send + Sync;

/// A graph, its plan, and how to plan it for peers that cannot do what that settles.
#[derive(Clone)]
pub struct Template {
    plan: Arc<Plan>,
    registry: Arc<Registry>,
    validate: Arc<Validate>,
}

impl Template {
    /// Plans a graph with the node types of `registry`.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn new(
        registry: Registry,
        validate: impl Fn(&dyn Catalog) -> Result<Graph, Problems> + Send + Sync + 'static,
    ) -> Result<Template, Problems> {
        let graph = validate(&registry)?;
        one_of_each(&graph)?;
        let plan = Arc::new(Plan::new(graph, &registry)?);
        Ok(Template {
            plan,
            registry: Arc::new(registry),
            validate: Arc::new(validate),
        })
    }

    /// The plan for peers that can do whatever it settles.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Plans the graph for a peer that can do only these codecs. A kind without any is not narrowed.
    ///
    /// # Errors
    /// When no converters make it possible: every problem.
    pub fn plan_for(&self, codecs: &[Codec]) -> Result<Arc<Plan>, Problems> {
        let narrowed = Narrowed {
            registry: &self.registry,
            codecs,
        };
        let graph = (self.validate)(&narrowed)?;
        Ok(Arc::new(Plan::new(graph, &self.registry)?))
    }
}

/// Refuses what a session would find out: that a peer belongs to one node of each of its types.
fn one_of_each(graph: &Graph) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut before = graph.nodes[..at].iter();
        let first = before.find(|other| other.type_name == node.type_name);
        if let Some(first) = first.filter(|_| codecs::is_peer_node(&node.type_name)) {
            problems.push(Problem::new(
                node.place.clone(),
                format!(
                    "\"{}\" is a second {}, and a peer has one",
                    node.name, node.type_name
                ),
                format!("use \"{}\" in its place", first.name),
            ));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

/// The node types of a registry, whose WebRTC nodes do certain codecs only.
struct Narrowed<'a> {
    registry: &'a Registry,
    codecs: &'a [Codec],
}

impl Narrowed<'_> {
    fn is_left(&self, format: &str) -> bool {
        let Some(codec) = codecs::codec(format) else {
            // Messages.
            return true;
        };
        let is_narrowed = |kind: MediaKind| self.codecs.iter().any(|codec| codec.kind() == kind);
        !is_narrowed(codec.kind()) || self.codecs.contains(&codec)
    }
}

impl Catalog for Narrowed<'_> {
    fn get(&self, type_name: &str) -> Option<&TypeInfo> {
        Catalog::get(self.registry, type_name)
    }

    fn names(&self) -> Vec<&str> {
        Catalog::names(self.registry)
    }

    fn port_formats(&self, node: &Node, port: usize) -> Result<Option<Vec<String>>, Refusal> {
        let known = self.registry.port_formats(node, port)?;
        if !codecs::is_peer_node(&node.type_name) {
            return Ok(known);
        }
        let stated = known.or_else(|| {
            let info = Catalog::get(self.registry, &node.type_name)?;
            Some(info.ports.get(port)?.formats.clone())
        });
        Ok(stated.map(|mut formats| {
            formats.retain(|format| self.is_left(format));
            formats
        }))
    }

    fn hint(&self, encoding: &str) -> Option<&str> {
        self.registry.hint(encoding)
    }
}
