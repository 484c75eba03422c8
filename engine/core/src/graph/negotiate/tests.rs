//! The rules of negotiation, on graphs with node types made for each.

use std::collections::BTreeMap;

use super::super::{
    Convert, Cost, Direction, GraphBuilder, ParamInfo, ParamKind, PortInfo, Problems,
};
use super::*;
use crate::graph::ParamValue;

mod conversions;
mod random;
mod refusals;
mod travels;

/// Node types for tests, by a line of text each: the name, `[flags]`, ports `<name: formats` and
/// `>name: formats` (`<name+2:` forwards to port 2), params `?name=default` (`?name=default:min..max`).
/// Flags are `converter`, `live` and `heavy`.
pub(super) fn catalog(lines: &str) -> BTreeMap<String, TypeInfo> {
    let types = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    types
        .map(node_type)
        .map(|info| (info.name.clone(), info))
        .collect()
}

fn node_type(line: &str) -> TypeInfo {
    let (name, rest) = line.split_once(' ').expect("a name and ports");
    let mut info = TypeInfo {
        name: name.to_owned(),
        summary: String::new(),
        plugin: "test".to_owned(),
        plugin_version: "1".to_owned(),
        ports: Vec::new(),
        params: Vec::new(),
        cost: Cost::Light,
        converter: false,
        live: false,
        latency_ns: 0,
    };
    let mut formats: Option<usize> = None;
    for word in rest.split_whitespace() {
        match word.as_bytes()[0] {
            b'[' => match word {
                "[converter]" => info.converter = true,
                "[live]" => info.live = true,
                "[heavy]" => info.cost = Cost::Heavy,
                other => panic!("{other}"),
            },
            side @ (b'<' | b'>') => {
                let port = word[1..].trim_end_matches(':');
                let (port, forwards_to) = match port.split_once('+') {
                    Some((port, to)) => (port, Some(to.parse().expect("a port's number"))),
                    None => (port, None),
                };
                formats = Some(info.ports.len());
                info.ports.push(PortInfo {
                    name: port.to_owned(),
                    direction: if side == b'<' {
                        Direction::Input
                    } else {
                        Direction::Output
                    },
                    formats: Vec::new(),
                    forwards_to,
                    required: false,
                    read_only: false,
                });
            }
            b'?' => info.params.push(param(&word[1..])),
            _ => info.ports[formats.expect("a port")]
                .formats
                .push(word.to_owned()),
        }
    }
    info
}

fn param(text: &str) -> ParamInfo {
    let (name, value) = text.split_once('=').expect("a default");
    let (value, range) = match value.split_once(':') {
        Some((value, range)) => (value, range.split_once("..")),
        None => (value, None),
    };
    let number: Option<i64> = value.parse().ok();
    let bound = |text: &str| text.parse().expect("a number");
    ParamInfo {
        name: name.to_owned(),
        kind: match number {
            Some(_) => ParamKind::Integer,
            None => ParamKind::Text,
        },
        default: match (value, number) {
            ("", _) => None,
            (_, Some(number)) => Some(ParamValue::Integer(number)),
            (text, None) => Some(text.into()),
        },
        min: range.map(|(min, _)| bound(min)),
        max: range.map(|(_, max)| bound(max)),
        unit: String::new(),
        help: String::new(),
    }
}

/// The node types that most tests use.
pub(super) const TYPES: &str = "
    camera [live] >audio: audio/opus audio/rtp-opus >video: video/vp8 video/h264 video/rtp-vp8 >data: data/* >out: audio/opus audio/rtp-opus video/vp8 video/h264 video/rtp-vp8 data/* ?mode=encoded
    screen <audio: audio/opus audio/rtp-opus <video: video/vp8 video/h264 video/rtp-vp8 <data: data/* <in: audio/opus audio/rtp-opus video/vp8 video/h264 video/rtp-vp8 data/*
    tone >out: audio/f32;rate=8000..192000;channels=1..8 ?rate=48000 ?channels=1
    pattern >out: video/i420 ?width=640 ?height=360
    any >out:
    flip <in+1: video/i420 >out: video/i420
    gain <in+1: audio/f32 audio/s16 >out: audio/f32 audio/s16
    probe <in+2: * <back: * >out: *
    select <a+2: * <b+2: * >out: *
    null <in: *
    level <in: audio/f32
    speaker <in: audio/f32;rate=48000;channels=2
    small <in: video/i420;width=320;height=180
    opus-encoder [converter] [heavy] <in: audio/f32;rate=48000;channels=1..2 >out: audio/opus
    opus-decoder [converter] [heavy] <in: audio/opus >out: audio/f32;rate=48000;channels=1..2
    h264-encoder [converter] [heavy] <in: video/i420;width=2..4096;height=2..4096 >out: video/h264
    h264-decoder [converter] [heavy] <in: video/h264 >out: video/i420
    vp8-decoder [converter] [heavy] <in: video/vp8 >out: video/i420
    resample [converter] <in+1: audio/f32 >out: audio/f32;rate=8000..192000;channels=1..8 ?rate=0:0..192000 ?channels=0:0..8
    resize [converter] <in+1: video/i420 >out: video/i420;width=2..4096;height=2..4096 ?width=0:0..4096 ?height=0:0..4096
    convert [converter] <in+1: video/i420 video/nv12 video/rgba >out: video/i420 video/nv12 video/rgba ?encoding=auto
";

/// A graph of nodes that are named after their types, with a number.
pub(super) fn graph(nodes: &[&str], links: &[&str]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("test");
    for node in nodes {
        let (name, params) = node.split_once(' ').unwrap_or((node, ""));
        let mut added = graph.node(name, name.trim_end_matches(char::is_numeric));
        for param in params.split_whitespace() {
            let (param, value) = param.split_once('=').expect("a value");
            added = match value.parse::<i64>() {
                Ok(number) => added.param(param, number),
                Err(_) => added.param(param, value),
            };
        }
    }
    for link in links {
        match link.strip_prefix("back: ") {
            Some(link) => graph.feedback(link, None, None),
            None => graph.link(link),
        };
    }
    graph
}

/// A graph's links with what they carry, by the order of the graph.
pub(super) fn told(graph: &Graph, catalog: &BTreeMap<String, TypeInfo>) -> Vec<String> {
    let name = |at: PortRef| {
        let node = &graph.nodes[at.node];
        format!(
            "{}.{}",
            node.name, catalog[&node.type_name].ports[at.port].name
        )
    };
    let told = |link: &Link| {
        let formats = format::text(&link.formats);
        format!("{} -> {}: {formats}", name(link.from), name(link.to))
    };
    graph.links.iter().map(told).collect()
}

/// What becomes of a graph with these types besides.
fn with(types: &str, nodes: &[&str], links: &[&str]) -> Result<Vec<String>, Problems> {
    let catalog = catalog(&format!("{TYPES}\n{types}"));
    let graph = graph(nodes, links).build(&catalog)?;
    Ok(told(&graph, &catalog))
}

fn carried(nodes: &[&str], links: &[&str]) -> Vec<String> {
    with("", nodes, links).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(nodes: &[&str], links: &[&str]) -> String {
    with("", nodes, links)
        .expect_err("it is refused")
        .to_string()
}

/// The node of this name, and what its params are set to.
fn set(graph: &Graph, catalog: &BTreeMap<String, TypeInfo>, node: &str) -> Vec<String> {
    let node = graph
        .nodes
        .iter()
        .find(|n| n.name == node)
        .expect("the node is there");
    let info = &catalog[&node.type_name];
    let text = |(at, value): &(usize, ParamValue)| format!("{}={value}", info.params[*at].name);
    node.params.iter().map(text).collect()
}
