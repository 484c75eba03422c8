//! The ends of links: from names to nodes and ports.

use super::{Check, plain};
use crate::graph::MAX_PROBLEMS;
use crate::graph::catalog::Direction::{self, Input, Output};
use crate::graph::document::{Endpoint, LinkEntry};
use crate::graph::model::PortRef;
use crate::graph::quote::{list, nearest, nearest_first, quote};

/// What is known of the ends of one link.
pub(super) struct Ends {
    /// The output, where it was found.
    pub from: Option<PortRef>,
    /// The input, where it was found.
    pub to: Option<PortRef>,
    /// The nodes that the link is about, whether or not their ports were found; where a name is
    /// misspelt, the node that was probably meant.
    pub about: [Option<usize>; 2],
    /// Whether the link counts for the shape of the graph: both nodes are there, and it does not
    /// run backwards.
    pub joins: bool,
}

/// Why an end of a link was not found.
#[derive(Clone, Copy, PartialEq)]
enum Miss {
    /// The node is not there.
    Node,
    /// The node's type is not known, which is reported elsewhere.
    Type,
    /// The port of this name is on the other side.
    Side,
    /// There is no port of this name.
    Port,
    /// No port is named, and the node has none on this side.
    Nothing,
    /// No port is named, and the node has several on this side.
    Several,
}

impl Check<'_> {
    /// Finds the ends of all links.
    pub(super) fn ends(&mut self) -> Vec<Ends> {
        let document = self.document;
        self.guess();
        document.links.iter().map(|link| self.link(link)).collect()
    }

    /// Guesses what the names that are no nodes were meant for; not for more of them than can be
    /// reported, because each is held against every node.
    fn guess(&mut self) {
        let names = self.document.links.iter();
        let names = names.flat_map(|link| [&link.from, &link.to]);
        for end in names {
            let name = end.node.value.as_str();
            let known = self.index.contains_key(name) || self.guesses.contains_key(name);
            if !known && self.guesses.len() < MAX_PROBLEMS {
                self.guesses.insert(name, self.meant(name));
            }
        }
    }

    fn link(&mut self, link: &LinkEntry) -> Ends {
        let from = self.find(&link.from, Output);
        let to = self.find(&link.to, Input);
        let about = [self.about(&link.from), self.about(&link.to)];

        let backwards = from.is_err()
            && to.is_err()
            && self.find(&link.from, Input).is_ok()
            && self.find(&link.to, Output).is_ok();
        if backwards {
            let (from, to) = (link.from.text(), link.to.text());
            self.problem_at(
                &link.place,
                format!("link {} runs backwards", quote(&format!("{from} -> {to}"))),
                format!("write {}", quote(&format!("{to} -> {from}"))),
            );
        } else {
            for (miss, end, side) in [(from, &link.from, Output), (to, &link.to, Input)] {
                if let Err(miss) = miss {
                    self.missed(miss, end, side);
                }
            }
            if let (Ok(from), Ok(to)) = (from, to) {
                self.formats(link, from, to);
            }
        }
        let known = |miss: Result<PortRef, Miss>| {
            !matches!(miss, Err(Miss::Node | Miss::Side | Miss::Nothing))
        };
        Ends {
            from: from.ok(),
            to: to.ok(),
            about,
            joins: !backwards && known(from) && known(to),
        }
    }

    fn find(&self, end: &Endpoint, side: Direction) -> Result<PortRef, Miss> {
        let node = *self.index.get(end.node.value.as_str()).ok_or(Miss::Node)?;
        let info = self.types[node].ok_or(Miss::Type)?;
        if let Some(name) = &end.port {
            let here = info.side(side).find(|(_, port)| port.name == name.value);
            if let Some((port, _)) = here {
                return Ok(PortRef { node, port });
            }
            let elsewhere = info.ports.iter().any(|port| port.name == name.value);
            if !elsewhere {
                return Err(Miss::Port);
            }
            // Inside a chain the port is meant for its own side, and the other is left out.
            if !end.inner {
                return Err(Miss::Side);
            }
        }
        let mut ports = info.side(side);
        match (ports.next(), ports.next()) {
            (None, _) => Err(Miss::Nothing),
            (Some((port, _)), None) => Ok(PortRef { node, port }),
            (Some(_), Some(_)) => Err(Miss::Several),
        }
    }

    /// The node that an end names, or probably means.
    fn about(&self, end: &Endpoint) -> Option<usize> {
        let name = end.node.value.as_str();
        let guess = || self.guesses.get(name).copied().flatten();
        self.index.get(name).copied().or_else(guess)
    }

    /// The node that a name which is none may have been meant for: one that is spelt alike, or
    /// the only one whose type is called so.
    fn meant(&self, name: &str) -> Option<usize> {
        if let Some(near) = nearest(name, self.index.keys().copied()) {
            return self.index.get(near).copied();
        }
        let nodes = self.document.nodes.iter().enumerate();
        let mut of_type = nodes.filter(|(_, node)| {
            let type_name = node.type_name.as_ref();
            type_name.is_some_and(|type_name| type_name.value == name)
        });
        match (of_type.next(), of_type.next()) {
            (Some((node, _)), None) => Some(node),
            _ => None,
        }
    }

    fn missed(&mut self, miss: Miss, end: &Endpoint, side: Direction) {
        let (cause, remedy) = match miss {
            Miss::Type => return,
            // Inside a chain the same port is missed on both sides, and reported for the first.
            Miss::Port if end.inner && side == Output => return,
            Miss::Node if self.document.nodes_missing => return,
            Miss::Node => {
                let name = &end.node.value;
                let remedy = match self.about(end) {
                    Some(meant) => {
                        format!("write {}", quote(&self.document.nodes[meant].name.value))
                    }
                    None if self.catalog.get(name).is_some() => format!(
                        "that is a node type: add my-node = {{ type = {} }} under [nodes], \
                         and link \"my-node\"",
                        quote(name)
                    ),
                    None => {
                        let names: Vec<&str> = self.index.keys().copied().collect();
                        format!("add it under [nodes], or choose {}", list(&names, "or"))
                    }
                };
                let cause = format!("there is no node {}", quote(name));
                return self.problem_at(&end.node.place, cause, remedy);
            }
            Miss::Side => (
                format!(
                    "{} is an {}, and a link {}",
                    quote(&end.text()),
                    other(side).as_str(),
                    match side {
                        Output => "starts at an output",
                        Input => "ends at an input",
                    }
                ),
                self.ports_of(end, side),
            ),
            Miss::Port if end.inner => {
                let port = end.port.as_ref().map_or("", |port| port.value.as_str());
                (
                    format!("{} has no port {}", self.node_of(end), quote(port)),
                    format!(
                        "write {} alone, or one of its ports",
                        quote(&end.node.value)
                    ),
                )
            }
            Miss::Port => {
                let port = end.port.as_ref().map_or("", |port| port.value.as_str());
                (
                    format!(
                        "{} has no {} {}",
                        self.node_of(end),
                        side.as_str(),
                        quote(port)
                    ),
                    self.ports_of(end, side),
                )
            }
            Miss::Nothing => (
                format!("{} has no {}s", self.node_of(end), side.as_str()),
                match side {
                    Output => "let the link start at another node; this one only takes frames",
                    Input => "let the link end at another node; this one only gives frames",
                }
                .to_owned(),
            ),
            Miss::Several => {
                let names = self.port_names(end, side);
                let full: Vec<String> = names
                    .iter()
                    .map(|port| quote(&format!("{}.{port}", end.node.value)))
                    .collect();
                (
                    format!(
                        "{} has {} {}s",
                        self.node_of(end),
                        names.len(),
                        side.as_str()
                    ),
                    format!("say which: {}", list(&full, "or")),
                )
            }
        };
        self.problem_at(&end.place, cause, remedy);
    }

    /// A remedy that names the ports of a side, the one most like what was written first.
    fn ports_of(&self, end: &Endpoint, side: Direction) -> String {
        let written = end.port.as_ref().map_or("", |port| port.value.as_str());
        let names = self.port_names(end, side);
        let node = plain(&end.node.value);
        let near = nearest(written, names.iter().map(String::as_str)).map(str::to_owned);
        let names = nearest_first(written, names);
        match (near, names.as_slice()) {
            (_, []) => format!("use another node; this one has no {}s", side.as_str()),
            (_, [only]) => format!("write \"{node}.{only}\""),
            (Some(near), names) => format!(
                "write \"{node}.{near}\"; its {}s are {}",
                side.as_str(),
                list(names, "and")
            ),
            (None, names) => format!("its {}s are {}", side.as_str(), list(names, "and")),
        }
    }

    fn port_names(&self, end: &Endpoint, side: Direction) -> Vec<String> {
        let node = self.index.get(end.node.value.as_str());
        let info = node.and_then(|node| self.types[*node]);
        info.into_iter()
            .flat_map(|info| info.side(side))
            .map(|(_, port)| port.name.clone())
            .collect()
    }

    fn node_of(&self, end: &Endpoint) -> String {
        match self.index.get(end.node.value.as_str()) {
            Some(node) => self.describe(*node),
            None => quote(&end.node.value),
        }
    }
}

fn other(side: Direction) -> Direction {
    match side {
        Input => Output,
        Output => Input,
    }
}
