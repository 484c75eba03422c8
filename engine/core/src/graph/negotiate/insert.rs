//! Puts what a walk found into the graph: formats on links, converters as nodes.
//!
//! A converter is called `<node that it is for>~<its type>`, which no name of a file can be, with `~2`
//! and so on where there are several. Where an output feeds several links that need the same conversion,
//! one node does for all; it is called after the first.
//!
//! The policy and the capacity of a link are those of the first link of its chain, because that is where
//! frames wait that nobody has worked on yet. The others block, or drop what is oldest behind a live
//! source, and hold as many frames as any. A feedback link leads back at the end of its chain: a node that
//! feedback alone feeds would never end. In front of an aligned input the last link holds as many frames
//! as the chain's, because it is there that they wait for each other.

use std::collections::{BTreeSet, HashMap};

use super::chain::Chain;
use super::outcome::Outcome;
use super::solve::{Carried, Found, Solver};
use crate::graph::format::text;
use crate::graph::model::{FormatChoice, Graph, Inserted, Link, Node, Policy, PortRef};
use crate::graph::{Alternative, DEFAULT_CAPACITY};

/// Completes a graph. `live` says by node whether it is behind a live source.
pub(super) fn insert(solver: &Solver<'_>, found: &Found, live: &[bool]) -> Graph {
    let mut graph = solver.graph.clone();
    graph.choices = choices(solver, found);
    let mut work = Work {
        solver,
        live,
        names: graph.nodes.iter().map(|node| node.name.clone()).collect(),
        shared: HashMap::new(),
        nodes: std::mem::take(&mut graph.nodes),
        links: Vec::with_capacity(graph.links.len()),
    };
    for (at, (link, carried)) in graph.links.iter().zip(&found.best.links).enumerate() {
        match &*carried.outcome {
            Outcome::Fits(patterns) => work.links.push(Link {
                formats: patterns.clone(),
                ..link.clone()
            }),
            Outcome::Converts { chain, others } => work.chain(at, link, carried, chain, others),
            // The caller has refused the graph.
            Outcome::Fault(_) => {}
        }
    }
    Graph {
        nodes: work.nodes,
        links: work.links,
        ..graph
    }
}

struct Work<'w> {
    solver: &'w Solver<'w>,
    live: &'w [bool],
    names: BTreeSet<String>,
    /// The nodes that do for several links.
    shared: HashMap<super::solve::ShareKey, usize>,
    nodes: Vec<Node>,
    links: Vec<Link>,
}

impl Work<'_> {
    fn chain(
        &mut self,
        at: usize,
        link: &Link,
        carried: &Carried,
        chain: &Chain,
        others: &[Chain],
    ) {
        let live = self.live[link.from.node];
        let further = Link {
            policy: if live {
                Policy::DropOldest
            } else {
                Policy::Block
            },
            capacity: DEFAULT_CAPACITY,
            feedback: false,
            ..link.clone()
        };
        // The end that leads on so far, and what the next link is like.
        let mut from = link.from;
        let mut next = match link.feedback {
            true => further.clone(),
            false => link.clone(),
        };
        let keys = self.solver.share_keys(at, chain);
        for (step, key) in chain.steps.iter().zip(keys) {
            let node = match self.shared.get(&key) {
                Some(node) => *node,
                None => {
                    let node = self.add(link, carried, chain, others, step);
                    self.links.push(Link {
                        from,
                        to: PortRef {
                            node,
                            port: step.input,
                        },
                        formats: vec![step.takes.clone()],
                        ..next
                    });
                    self.shared.insert(key, node);
                    node
                }
            };
            if let Some(inserted) = &mut self.nodes[node].inserted {
                inserted.links.push(self.solver.link_name(link));
            }
            from = PortRef {
                node,
                port: step.output,
            };
            next = further.clone();
        }
        let is_aligned = self.solver.graph.nodes[link.to.node].sync.is_some();
        let last = match link.feedback {
            true => link.clone(),
            false if is_aligned => Link {
                capacity: link.capacity,
                ..further
            },
            false => further,
        };
        self.links.push(Link {
            from,
            formats: vec![chain.arrives.clone()],
            ..last
        });
    }

    /// Adds the node of a step.
    fn add(
        &mut self,
        link: &Link,
        carried: &Carried,
        chain: &Chain,
        others: &[Chain],
        step: &super::chain::Step,
    ) -> usize {
        let solver = self.solver;
        let accepted = &solver.stated[link.to.node][link.to.port].patterns;
        let why = format!(
            "{} accepts {}, {} brings {}",
            solver.port_name(link.to),
            text(accepted).replace(' ', " or "),
            solver.port_name(link.from),
            text(&carried.offered)
        );
        let alternative = |chain: &Chain| Alternative {
            format: chain.arrives.bare().to_string(),
            cost: Some(chain.cost),
        };
        let name = self.name(&solver.graph.nodes[link.to.node].name, &step.type_name);
        self.nodes.push(Node {
            name,
            type_name: step.type_name.clone(),
            params: step.params.clone(),
            sync: None,
            place: link.place.clone(),
            inserted: Some(Inserted {
                links: Vec::new(),
                takes: step.takes.clone(),
                gives: step.gives.clone(),
                why,
                cost: step.cost,
                instead: others
                    .iter()
                    .filter(|other| !other.arrives.is_encoded_as(&chain.arrives))
                    .map(alternative)
                    .collect(),
            }),
        });
        self.nodes.len() - 1
    }

    fn name(&mut self, of: &str, type_name: &str) -> String {
        let plain = format!("{of}~{type_name}");
        let more = (2..).map(|number| format!("{plain}~{number}"));
        let names = &self.names;
        let mut free = std::iter::once(plain.clone())
            .chain(more)
            .filter(|name| !names.contains(name));
        // There are more numbers than nodes.
        let name = free.next().unwrap_or_else(|| plain.clone());
        self.names.insert(name.clone());
        name
    }
}

/// The encodings that were chosen, and what the others would have cost.
fn choices(solver: &Solver<'_>, found: &Found) -> Vec<FormatChoice> {
    let choice = |choice: &super::solve::Choice| {
        let others = choice.options.iter().enumerate();
        let others = others.filter(|(at, _)| *at != choice.taken);
        FormatChoice {
            port: solver.port_name(choice.from),
            format: choice.options[choice.taken].clone(),
            cost: found.best.cost,
            others: others
                .map(|(_, name)| Alternative {
                    format: name.clone(),
                    cost: *found
                        .costs
                        .get(&(choice.from, choice.media, name.clone()))
                        .unwrap_or(&None),
                })
                .collect(),
        }
    };
    found.best.choices.iter().map(choice).collect()
}
