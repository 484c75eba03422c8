//! Negotiation: fixes what each link carries, and inserts converters where its two ends do not agree.
//!
//! Ports state what they accept and offer ([`super::format`]). [`negotiate`] goes from a valid graph to one
//! in which each link says what it carries, within what both its ends state, with one encoding for each
//! stream of sound or pictures that is known before it runs. Where what comes does not fit what is
//! accepted, it puts the cheapest [chain](chain) of the catalog's converters between them ([`cost`]).
//! Where a source offers several encodings, it takes the one with which the whole graph costs least
//! ([`solve`]). [`offers`] says what an output offers, [`insert`] how the graph then looks.
//!
//! What fits is left alone. What may fit and may not (a rate that is not known, where 48000 is accepted)
//! passes a converter that leaves untouched what does, if there is one; if not, the link is accepted, and a
//! frame that does not fit is for the node to refuse. So a graph that was valid without converters is
//! valid with them.
//!
//! What must hold, and is tested on random graphs:
//! * what a link carries is within what both its ends state, as far as the ends know;
//! * no converter stands where what is offered fits;
//! * the same graph and catalog give the same result, whatever the order of the catalog;
//! * the work is bounded: [`solve::MAX_WALKS`] walks, [`chain::MAX_CHAIN`] converters a chain.

mod chain;
mod converter;
mod cost;
mod insert;
mod offers;
mod outcome;
mod solve;

pub(in crate::graph) use offers::mode;

use super::catalog::{Catalog, Refusal, TypeInfo};
use super::format::{self, Pattern};
use super::model::{Graph, Link, PortRef};
use chain::Allowed;
use converter::Converter;
use outcome::{Outcome, Why};
use solve::Solver;

/// The converters of a catalog.
pub(super) struct Converters<'a>(Vec<Converter<'a>>);

impl<'a> Converters<'a> {
    pub fn of(catalog: &'a dyn Catalog) -> Converters<'a> {
        Converters(Converter::all(catalog))
    }

    /// Whether something that one port offers could be converted to something that another accepts.
    pub fn join(&self, offered: &[String], accepted: &[String]) -> bool {
        let (offered, accepted) = (converter::stated(offered), converter::stated(accepted));
        let both = offered.zip(accepted);
        both.is_some_and(|(offered, accepted)| chain::is_reachable(&self.0, &offered, &accepted))
    }

    /// The names of the types between two ports, where there is a way.
    pub fn way(&self, offered: &[Pattern], accepted: &[Pattern]) -> Vec<String> {
        let mut ways = offered.iter().flat_map(|pattern| {
            let named = pattern.encoding().is_some();
            let chains = named.then(|| chain::chains(&self.0, pattern, accepted, Allowed::All));
            chains.into_iter().flatten()
        });
        let steps = ways.next().map(|chain| chain.steps).unwrap_or_default();
        steps.into_iter().map(|step| step.type_name).collect()
    }

    /// Of what is offered, what no converter takes; and of what is accepted, what none makes. Of what
    /// is coded only: for the rest there is mostly another way.
    pub fn missing<'p>(
        &self,
        offered: &'p [Pattern],
        accepted: &'p [Pattern],
    ) -> (Vec<&'p Pattern>, Vec<&'p Pattern>) {
        let any = |patterns: &[Pattern], pattern: &Pattern| {
            patterns
                .iter()
                .any(|other| other.bare().meet(&pattern.bare()).is_some())
        };
        let coded = |pattern: &&Pattern| cost::is_coded(pattern);
        let takes = offered.iter().filter(coded);
        let makes = accepted.iter().filter(coded);
        // Where raw frames are accepted too, nobody has to encode.
        let needs_coded = accepted.iter().all(cost::is_coded);
        (
            takes
                .filter(|p| !self.0.iter().any(|c| any(&c.takes, p)))
                .collect(),
            makes
                .filter(|p| needs_coded && !self.0.iter().any(|c| any(&c.gives, p)))
                .collect(),
        )
    }
}

/// Why a graph cannot be negotiated.
pub(super) enum Fault {
    /// A node cannot be used as it is.
    Node(usize, Refusal),
    /// Nothing that is offered on a link fits, by its place in the graph.
    Link {
        link: usize,
        offered: Vec<Pattern>,
        accepted: Vec<Pattern>,
        /// Streams of several kinds or encodings come, each of which would fit by itself or be converted.
        several: Option<&'static str>,
    },
}

/// What is known of a graph beside itself. All by its nodes and links.
pub(super) struct About<'a> {
    pub types: &'a [&'a TypeInfo],
    /// By link: nothing may be converted on it.
    pub never: &'a [bool],
    /// By node: it is behind a live source, or is one.
    pub live: &'a [bool],
}

/// Fixes what the links of a valid graph carry, and inserts converters.
pub(super) fn negotiate(
    graph: &Graph,
    catalog: &dyn Catalog,
    converters: &Converters<'_>,
    about: &About<'_>,
) -> Result<Graph, Vec<Fault>> {
    let mut into = vec![Vec::new(); graph.nodes.len()];
    let mut out_of = vec![Vec::new(); graph.nodes.len()];
    for (at, link) in graph.links.iter().enumerate() {
        into[link.to.node].push(at);
        out_of[link.from.node].push(at);
    }
    let mut stated = Vec::with_capacity(graph.nodes.len());
    let mut faults = Vec::new();
    for (at, (node, info)) in graph.nodes.iter().zip(about.types).enumerate() {
        let is_linked = |port| {
            let comes = into[at]
                .iter()
                .any(|link| graph.links[*link].to.port == port);
            comes
                || out_of[at]
                    .iter()
                    .any(|link| graph.links[*link].from.port == port)
        };
        match offers::stated(catalog, node, info, is_linked) {
            Ok(ports) => stated.push(ports),
            Err(why) => faults.push(Fault::Node(at, why)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let solver = Solver {
        graph,
        types: about.types,
        stated,
        converters: &converters.0,
        never: about.never,
        into,
        out_of,
        order: graph.topological_order(),
        known: solve::Known::default(),
    };
    let found = solver.search();
    if found.best.is_sound() {
        return Ok(insert::insert(&solver, &found, about.live));
    }
    for (at, carried) in found.best.links.iter().enumerate() {
        if let Outcome::Fault(why) = &*carried.outcome {
            let to = graph.links[at].to;
            faults.push(Fault::Link {
                link: at,
                offered: carried.offered.clone(),
                accepted: solver.stated[to.node][to.port].patterns.clone(),
                several: match why {
                    Why::NoConverter => None,
                    Why::SeveralKinds => Some("kinds of media"),
                    Why::SeveralEncodings => Some("encodings"),
                },
            });
        }
    }
    Err(faults)
}

impl Solver<'_> {
    /// `node.port`.
    fn port_name(&self, at: PortRef) -> String {
        let port = &self.types[at.node].ports[at.port];
        format!("{}.{}", self.graph.nodes[at.node].name, port.name)
    }

    /// `node.port -> node.port`.
    fn link_name(&self, link: &Link) -> String {
        format!(
            "{} -> {}",
            self.port_name(link.from),
            self.port_name(link.to)
        )
    }
}

/// The patterns of ports as a list of texts, for messages.
pub(super) fn words(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

/// Whether two ports have a format in common, by what they state; where that cannot be read, they have.
pub(super) fn meet(offered: &[String], accepted: &[String]) -> bool {
    let (Some(offered), Some(accepted)) = (converter::stated(offered), converter::stated(accepted))
    else {
        return true;
    };
    let mut pairs = offered
        .iter()
        .flat_map(|a| accepted.iter().map(move |b| (a, b)));
    pairs.any(|(a, b)| a.meet(b).is_some())
}

/// The formats of several links, those encoded alike as one.
pub(super) fn join<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Vec<Pattern> {
    let mut all = Vec::new();
    for pattern in patterns {
        format::add(&mut all, pattern);
    }
    all
}

#[cfg(test)]
mod tests;
