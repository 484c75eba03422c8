//! Which formats each link can carry.
//!
//! A source carries what its outputs offer. A pattern such as `*` or `audio/*` at the output of any
//! other node means "what comes in", so it is narrowed to what the node's inputs carry, as far as
//! that fits the pattern; where nothing fits, the node makes something of its own, and the pattern
//! stays. At the input of a link, what does not fit the patterns there does not travel. So a probe
//! behind a source of sound carries sound, and nobody has to think of pictures.
//!
//! A node with a param `mode` that is `packets` or `encoded` offers, of the encodings with `rtp-`
//! and those without, only the ones of that mode.
//!
//! Sets only grow, in the order of the nodes and again as long as a feedback link brings something
//! new, so this ends.

use std::collections::BTreeSet;

use super::catalog::TypeInfo;
use super::model::{Graph, Node, ParamValue, PortRef};

type Formats = BTreeSet<String>;

/// For each link in the graph's order: the patterns of the formats that it can carry; never none.
/// `types` are those of the nodes.
pub(super) fn formats(graph: &Graph, types: &[&TypeInfo]) -> Vec<Formats> {
    let mut carried = vec![Formats::new(); graph.links.len()];
    let mut into = vec![Vec::new(); graph.nodes.len()];
    let mut out_of = vec![Vec::new(); graph.nodes.len()];
    for (at, link) in graph.links.iter().enumerate() {
        into[link.to.node].push(at);
        out_of[link.from.node].push(at);
    }
    let order = graph.topological_order();
    loop {
        let mut grew = false;
        for &node in &order {
            for &at in &out_of[node] {
                let link = &graph.links[at];
                let offered = offered(graph, types, link.from, &into[node], &carried);
                let accepted = patterns(types[link.to.node], link.to.port);
                let travels: Formats = offered
                    .iter()
                    .flat_map(|a| accepted.iter().filter_map(|b| meet(a, b)))
                    .collect();
                // What the output declares meets the input, or the graph were not valid.
                let travels = if travels.is_empty() { offered } else { travels };
                for format in travels {
                    grew |= carried[at].insert(format);
                }
            }
        }
        if !grew {
            return carried;
        }
    }
}

/// What an output offers, narrowed to what can come to it.
fn offered(
    graph: &Graph,
    types: &[&TypeInfo],
    from: PortRef,
    into: &[usize],
    carried: &[Formats],
) -> Formats {
    let (node, info) = (&graph.nodes[from.node], types[from.node]);
    let mut offered = Formats::new();
    for pattern in of_mode(node, info, patterns(info, from.port)) {
        let mut narrowed: Formats = into
            .iter()
            .flat_map(|link| &carried[*link])
            .filter(|_| pattern.ends_with('*'))
            .filter_map(|format| meet(&pattern, format))
            .collect();
        if narrowed.is_empty() {
            offered.insert(pattern);
        } else {
            offered.append(&mut narrowed);
        }
    }
    offered
}

/// The patterns of a port; one that states none takes and gives anything.
fn patterns(info: &TypeInfo, port: usize) -> Vec<String> {
    let stated = &info.ports[port].formats;
    if stated.is_empty() {
        return vec!["*".to_owned()];
    }
    stated.iter().map(|f| f.to_ascii_lowercase()).collect()
}

/// Leaves out what a node with a mode does not offer in it, unless that is all.
fn of_mode(node: &Node, info: &TypeInfo, patterns: Vec<String>) -> Vec<String> {
    let packets = match mode(node, info) {
        Some("packets") => true,
        Some("encoded") => false,
        _ => return patterns,
    };
    let is_packets = |format: &str| format.contains("/rtp-");
    let media = |format: &str| format.starts_with("audio/") || format.starts_with("video/");
    let (of_mode, other): (Vec<_>, Vec<_>) = patterns
        .into_iter()
        .partition(|format| !media(format) || is_packets(format) == packets);
    if of_mode.is_empty() { other } else { of_mode }
}

/// The value of a node's param `mode`, where its type has one that is text.
pub(super) fn mode<'g>(node: &'g Node, info: &TypeInfo) -> Option<&'g str> {
    node.params.iter().find_map(|(param, value)| match value {
        ParamValue::Text(text) if info.params[*param].name == "mode" => Some(text.as_str()),
        _ => None,
    })
}

/// The formats that fit both patterns, as a pattern; `None` when there are none.
fn meet(a: &str, b: &str) -> Option<String> {
    if a == "*" || a == b {
        return Some(b.to_owned());
    }
    if b == "*" {
        return Some(a.to_owned());
    }
    let ((a_kind, a_name), (b_kind, b_name)) = (a.split_once('/')?, b.split_once('/')?);
    if a_kind != b_kind {
        return None;
    }
    match (a_name, b_name) {
        ("*", _) => Some(b.to_owned()),
        (_, "*") => Some(a.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cost, Direction, GraphBuilder, ParamInfo, ParamKind, PortInfo};
    use super::*;
    use std::collections::BTreeMap;

    /// A node type from `in: formats` and `out: formats`.
    fn node_type(name: &str, ports: &[(&str, Direction, &str)]) -> (String, TypeInfo) {
        let port = |(name, direction, formats): &(&str, Direction, &str)| PortInfo {
            name: (*name).to_owned(),
            direction: *direction,
            formats: formats.split_whitespace().map(str::to_owned).collect(),
            required: false,
            read_only: false,
        };
        let info = TypeInfo {
            name: name.to_owned(),
            summary: String::new(),
            plugin: String::new(),
            plugin_version: String::new(),
            ports: ports.iter().map(port).collect(),
            params: Vec::new(),
            cost: Cost::Light,
            live: false,
            latency_ns: 0,
        };
        (info.name.clone(), info)
    }

    fn catalog() -> BTreeMap<String, TypeInfo> {
        use Direction::{Input, Output};
        let mut types: BTreeMap<String, TypeInfo> = [
            node_type("tone", &[("out", Output, "audio/F32")]),
            node_type(
                "peer",
                &[(
                    "out",
                    Output,
                    "audio/opus audio/rtp-opus video/vp8 video/rtp-vp8 data/*",
                )],
            ),
            node_type("any", &[("out", Output, "")]),
            node_type(
                "probe",
                &[
                    ("in", Input, "*"),
                    ("back", Input, "*"),
                    ("out", Output, "*"),
                ],
            ),
            node_type(
                "audio",
                &[("in", Input, "audio/*"), ("out", Output, "audio/*")],
            ),
            node_type(
                "caption",
                &[("in", Input, "audio/*"), ("out", Output, "data/* video/*")],
            ),
            node_type(
                "decode",
                &[("in", Input, "video/vp8"), ("out", Output, "video/i420")],
            ),
            node_type("sink", &[("in", Input, "*")]),
        ]
        .into();
        if let Some(peer) = types.get_mut("peer") {
            peer.params.push(ParamInfo {
                name: "mode".to_owned(),
                kind: ParamKind::Choice(vec!["encoded".into(), "packets".into(), "both".into()]),
                default: Some("both".into()),
                min: None,
                max: None,
                unit: String::new(),
                help: String::new(),
            });
        }
        types
    }

    /// What each link of a graph carries; nodes are named after their types, with a number.
    fn carried(nodes: &[&str], links: &[&str], mode: &str) -> Vec<String> {
        let catalog = catalog();
        let mut graph = GraphBuilder::new("test");
        for node in nodes {
            let type_name = node.trim_end_matches(char::is_numeric);
            let added = graph.node(node, type_name);
            if type_name == "peer" {
                added.param("mode", mode);
            }
        }
        for link in links {
            match link.strip_prefix("back: ") {
                Some(link) => graph.feedback(link, None, None),
                None => graph.link(link),
            };
        }
        let graph = graph
            .build(&catalog)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let types: Vec<&TypeInfo> = graph.nodes.iter().map(|n| &catalog[&n.type_name]).collect();
        let words = |formats: Formats| formats.into_iter().collect::<Vec<_>>().join(" ");
        formats(&graph, &types).into_iter().map(words).collect()
    }

    #[test]
    fn what_lets_everything_through_carries_what_comes_in() {
        let links = ["tone -> probe1.in", "probe1 -> probe2.in", "probe2 -> sink"];
        assert_eq!(
            carried(&["tone", "probe1", "probe2", "sink"], &links, ""),
            ["audio/f32"; 3]
        );
    }

    #[test]
    fn an_input_keeps_out_what_it_does_not_accept() {
        let nodes = ["peer", "probe1", "audio1", "decode", "sink"];
        let links = [
            "peer -> probe1.in",
            "probe1 -> audio1",
            "probe1 -> decode",
            "audio1 -> sink",
        ];
        let all = "audio/opus audio/rtp-opus data/* video/rtp-vp8 video/vp8";
        let sound = "audio/opus audio/rtp-opus";
        assert_eq!(
            carried(&nodes, &links, "both"),
            [all, sound, "video/vp8", sound]
        );
    }

    #[test]
    fn a_mode_leaves_out_the_encodings_of_the_other() {
        let links = ["peer -> sink"];
        let of = |mode| carried(&["peer", "sink"], &links, mode);
        assert_eq!(of("packets"), ["audio/rtp-opus data/* video/rtp-vp8"]);
        assert_eq!(of("encoded"), ["audio/opus data/* video/vp8"]);
    }

    #[test]
    fn a_pattern_that_nothing_which_comes_in_fits_stays() {
        let links = ["tone -> caption", "caption -> sink"];
        let carried = carried(&["tone", "caption", "sink"], &links, "");
        assert_eq!(carried, ["audio/f32", "data/* video/*"]);
    }

    #[test]
    fn feedback_brings_its_formats_too() {
        let nodes = ["tone", "probe1", "probe2", "any", "sink"];
        let links = [
            "tone -> probe1.in",
            "probe1 -> probe2.in",
            "back: probe2 -> probe1.back",
            "probe2 -> sink",
            "any -> probe2.back",
        ];
        assert_eq!(
            carried(&nodes, &links, ""),
            [
                "audio/f32",
                "* audio/f32",
                "* audio/f32",
                "* audio/f32",
                "*"
            ]
        );
        let links = ["back: probe1 -> probe1.in", "probe1 -> sink"];
        assert_eq!(carried(&["probe1", "sink"], &links, ""), ["*"; 2]);
    }
}
