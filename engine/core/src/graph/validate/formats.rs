//! What is to be said where the ends of a link do not agree and nothing can be inserted.
//!
//! Links whose ports share nothing by what they state, and that no converter joins, are told at once, with
//! the other mistakes of a graph. What shows only when the whole graph is negotiated is told then.

use super::Check;
use crate::graph::catalog::Direction::{Input, Output};
use crate::graph::catalog::{PortInfo, formats_meet};
use crate::graph::document::LinkEntry;
use crate::graph::format::{Media, Pattern, parse_patterns};
use crate::graph::model::{Graph, PortRef};
use crate::graph::negotiate::{Fault, mode, words};
use crate::graph::problem::Place;
use crate::graph::quote::{list, quote};

impl Check<'_> {
    pub(super) fn formats(&mut self, link: &LinkEntry, from: PortRef, to: PortRef) {
        let (Some(gives), Some(takes)) = (self.port(from), self.port(to)) else {
            return;
        };
        if formats_meet(&gives.formats, &takes.formats) {
            return;
        }
        let never = self.is_never_converted(link);
        if !never && self.converters.join(&gives.formats, &takes.formats) {
            return;
        }
        let (from_name, to_name) = (self.port_name(from, gives), self.port_name(to, takes));
        let (offered, accepted) = (gives.formats.clone(), takes.formats.clone());
        if !never && self.is_excused(&offered, &accepted) {
            return;
        }
        let others = self.other_ports(from, to, &offered, false);
        let remedy = self.ways(others, &offered, &accepted, never, &link.place);
        self.problem_at(
            &link.place,
            format!(
                "link {}: {to_name} accepts {}, {from_name} offers {}",
                quote(&format!("{from_name} -> {to_name}")),
                list(&accepted, "or"),
                list(&offered, "or")
            ),
            remedy,
        );
    }

    /// Reports what negotiation found.
    pub(super) fn fault(&mut self, graph: &Graph, fault: &Fault) {
        match fault {
            Fault::Node(node, why) => {
                let place = &graph.nodes[*node].place;
                self.problem_at(place, why.cause.clone(), why.remedy.clone());
            }
            Fault::Link {
                link,
                offered,
                accepted,
                several,
            } => {
                let entry = self.document.links.get(*link);
                let never = entry.is_some_and(|entry| self.is_never_converted(entry));
                let link = &graph.links[*link];
                let (Some(gives), Some(takes)) = (self.port(link.from), self.port(link.to)) else {
                    return;
                };
                let from_name = self.port_name(link.from, gives);
                let to_name = self.port_name(link.to, takes);
                let (offered, accepted) = (words(offered), words(accepted));
                if !never && several.is_none() && self.is_excused(&offered, &accepted) {
                    return;
                }
                let mut others =
                    self.other_ports(link.from, link.to, &offered, several.is_some() && !never);
                if several.is_none() {
                    others.extend(self.other_modes(
                        graph,
                        link.from.node,
                        &offered,
                        &accepted,
                        never,
                    ));
                }
                let (about, remedy) = match several {
                    None => (
                        "",
                        self.ways(others, &offered, &accepted, never, &link.place),
                    ),
                    Some("encodings") => (
                        ", and streams of several encodings cannot be converted on one link",
                        format!(
                            "convert them before they come to {}",
                            quote(&graph.nodes[link.from.node].name)
                        ),
                    ),
                    Some(_) => (
                        ", and what carries several kinds of media cannot be converted",
                        match others.as_slice() {
                            [] => "use a link for each kind of media".to_owned(),
                            others => format!(
                                "use a link for each kind of media: {}",
                                list(others, "and")
                            ),
                        },
                    ),
                };
                self.problem_at(
                    &link.place,
                    format!(
                        "link {}: {to_name} accepts {}, {from_name} brings {}{about}",
                        quote(&format!("{from_name} -> {to_name}")),
                        list(&accepted, "or"),
                        list(&offered, "and"),
                    ),
                    remedy,
                );
            }
        }
    }

    /// Whether a plugin that could not be loaded may have brought the converter that is missing: it has
    /// been told why.
    fn is_excused(&self, offered: &[String], accepted: &[String]) -> bool {
        let read = |formats: &[String]| parse_patterns(&formats.join(" ")).unwrap_or_default();
        let (from, to) = (read(offered), read(accepted));
        let mut pairs = from.iter().flat_map(|a| to.iter().map(move |b| (a, b)));
        self.document.plugins_missing && pairs.any(|(a, b)| a.media() == b.media())
    }

    /// What can be done about a link that nothing fits.
    fn ways(
        &self,
        mut ways: Vec<String>,
        offered: &[String],
        accepted: &[String],
        never: bool,
        place: &Place,
    ) -> String {
        let read = |formats: &[String]| parse_patterns(&formats.join(" ")).unwrap_or_default();
        let (from, to) = (read(offered), read(accepted));
        let chain = self.converters.way(&from, &to);
        let converters = match chain.len() {
            0 | 1 => self.single_converters(offered, accepted),
            _ => Vec::new(),
        };
        if !converters.is_empty() {
            let converters: Vec<String> = converters.iter().map(|name| quote(name)).collect();
            ways.push(format!(
                "put a {} node between them",
                list(&converters, "or")
            ));
        } else if never && !chain.is_empty() {
            let chain: Vec<String> = chain.iter().map(|name| quote(name)).collect();
            ways.push(format!("put nodes between them: {}", list(&chain, "and")));
        }
        if never && !chain.is_empty() {
            ways.push(match place {
                Place::Pipeline => "leave out Convert::Never".to_owned(),
                _ => "remove convert = \"never\"".to_owned(),
            });
        }
        // No node makes sound of pictures; of messages one might.
        let is_other = |comes: &Pattern, takes: &Pattern| {
            let kinds = [comes.media(), takes.media()];
            kinds == [Some(Media::Audio), Some(Media::Video)]
                || kinds == [Some(Media::Video), Some(Media::Audio)]
        };
        let mut pairs = from
            .iter()
            .flat_map(|comes| to.iter().map(move |takes| (comes, takes)));
        let is_of_a_kind = pairs.any(|(comes, takes)| !is_other(comes, takes));
        let missing = match chain.is_empty() && is_of_a_kind {
            true => self.missing(&from, &to, ways.is_empty()),
            false => Vec::new(),
        };
        match (&missing[..], &ways[..]) {
            ([], []) if !is_of_a_kind => {
                format!("link an output here that brings {}", list(accepted, "or"))
            }
            ([], []) => format!(
                "put a node between them that turns {} into {}",
                list(offered, "or"),
                list(accepted, "or")
            ),
            ([], ways) => list(ways, "or"),
            (missing, []) => list(missing, "and"),
            (missing, ways) => format!("{}, or {}", list(missing, "and"), list(ways, "or")),
        }
    }

    /// What converters are missing, and how to get them, for decoding and for encoding: those that somebody
    /// knows of, or with `all` any. Of several encodings that would each do, one is enough.
    fn missing(&self, offered: &[Pattern], accepted: &[Pattern], all: bool) -> Vec<String> {
        let (decode, encode) = self.converters.missing(offered, accepted);
        let way = |(patterns, verb): (Vec<&Pattern>, &str)| {
            let names: Vec<String> = patterns.iter().map(|p| p.bare().to_string()).collect();
            let known = names.iter().filter_map(|name| {
                let hint = self.catalog.hint(name)?;
                Some(format!("{verb} {name}: {hint}"))
            });
            let known: Vec<String> = known.collect();
            if !known.is_empty() {
                return Some(format!("no node type here {}", known.join("; or ")));
            }
            let unknown = || format!("add a plugin whose node type {verb} {}", list(&names, "or"));
            (all && !names.is_empty()).then(unknown)
        };
        let ways = [(decode, "decodes"), (encode, "encodes")];
        ways.into_iter().filter_map(way).collect()
    }

    /// Links between other ports of the same two nodes that would do, at most two; with
    /// `convert`, also those that converters join. `offered` is what the output at hand offers.
    fn other_ports(
        &self,
        from: PortRef,
        to: PortRef,
        offered: &[String],
        convert: bool,
    ) -> Vec<String> {
        let (Some(source), Some(sink)) = (self.types[from.node], self.types[to.node]) else {
            return Vec::new();
        };
        let same_source = sink.side(Input).map(|(port, _)| (from.port, port));
        let same_sink = source.side(Output).map(|(port, _)| (port, to.port));
        let mut pairs: Vec<(usize, usize)> = same_source
            .chain(same_sink)
            .filter(|pair| *pair != (from.port, to.port))
            .filter(|(output, input)| {
                let gives = match *output == from.port {
                    true => offered,
                    false => &source.ports[*output].formats,
                };
                let takes = &sink.ports[*input].formats;
                let mut each = gives.iter();
                each.all(|format| formats_meet(std::slice::from_ref(format), takes))
                    || convert && self.converters.join(gives, takes)
            })
            .collect();
        // A port for this kind of format alone was more likely meant than one for all kinds.
        pairs.sort_by_key(|(output, input)| {
            source.ports[*output].formats.len() + sink.ports[*input].formats.len()
        });
        pairs
            .into_iter()
            .take(2)
            .map(|(output, input)| {
                let from = self.port_name(from, &source.ports[output]);
                let to = self.port_name(to, &sink.ports[input]);
                format!("link {}", quote(&format!("{from} -> {to}")))
            })
            .collect()
    }

    /// What to write where packets come only because of the mode of a node that they come from, and what is in
    /// them would do. The engine knows encodings of packets by their name alone, as negotiation does.
    fn other_modes(
        &self,
        graph: &Graph,
        node: usize,
        offered: &[String],
        accepted: &[String],
        never: bool,
    ) -> Vec<String> {
        let inside: Vec<String> = offered
            .iter()
            .map(|p| p.replacen("/rtp-", "/", 1))
            .collect();
        let does =
            formats_meet(&inside, accepted) || !never && self.converters.join(&inside, accepted);
        if !does || inside == offered {
            return Vec::new();
        }
        let mut before = vec![node];
        let mut at = 0;
        while let Some(&node) = before.get(at) {
            let into = graph.links.iter().filter(|link| link.to.node == node);
            for from in into.map(|link| link.from.node) {
                if !before.contains(&from) {
                    before.push(from);
                }
            }
            at += 1;
        }
        let sends = before.into_iter().map(|node| &graph.nodes[node]);
        let sends = sends.filter(|node| {
            let info = self.catalog.get(&node.type_name);
            info.is_some_and(|info| mode(node, info) == Some("packets"))
        });
        sends
            .map(|node| {
                format!(
                    "write mode = \"encoded\" in the params of {}",
                    quote(&node.name)
                )
            })
            .collect()
    }

    /// Node types that turn what one port gives into what another takes. One whose output could
    /// be what goes in (a probe that passes everything on) does not convert.
    fn single_converters(&self, offered: &[String], accepted: &[String]) -> Vec<String> {
        let names = self.catalog.names();
        names
            .into_iter()
            .filter(|name| {
                let Some(info) = self.catalog.get(name) else {
                    return false;
                };
                let inputs: Vec<_> = info.side(Input).collect();
                let [(_, input)] = inputs.as_slice() else {
                    return false;
                };
                formats_meet(offered, &input.formats)
                    && info.side(Output).any(|(_, output)| {
                        formats_meet(&output.formats, accepted)
                            && !formats_meet(&output.formats, offered)
                    })
            })
            .map(str::to_owned)
            .collect()
    }

    fn port(&self, port: PortRef) -> Option<&'_ PortInfo> {
        self.types[port.node]?.ports.get(port.port)
    }

    /// `node.port`.
    pub(super) fn port_name(&self, port: PortRef, info: &PortInfo) -> String {
        let node = &self.document.nodes[port.node].name.value;
        format!("{node}.{}", info.name)
    }
}
