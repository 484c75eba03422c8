//! What holds of any graph.

use proptest::prelude::*;

use super::super::chain::fits;
use super::*;

/// Types of nodes that random graphs are made of: sources first, then filters, then sinks.
const SOURCES: [&str; 6] = ["camera", "tone", "pattern", "any", "mic", "tape"];
const FILTERS: [&str; 5] = ["flip", "gain", "probe", "narrow", "sound"];
const SINKS: [&str; 6] = ["screen", "level", "speaker", "small", "null", "cheap"];
const MORE: &str = "
    mic >out: audio/f32 audio/s16
    tape >out: video/av1 video/h264 video/i420
    narrow <in+1: video/i420;width=2..640;height=2..480 >out: video/i420
    sound <in+1: audio/* >out: audio/*
    cheap <in: audio/f32;rate=8000|16000;channels=1 video/rgba
";

/// Names of nodes, and links between them.
#[derive(Clone, Debug)]
struct Made {
    nodes: Vec<String>,
    links: Vec<String>,
}

/// Lines from a source over some filters to sinks.
fn made() -> impl Strategy<Value = Made> {
    let line = (
        0..SOURCES.len(),
        0..4_usize,
        prop::collection::vec(0..FILTERS.len(), 0..4),
        prop::collection::vec((0..SINKS.len(), 0..4_usize, 0..5_usize), 1..4),
    );
    prop::collection::vec(line, 1..4).prop_map(|lines| {
        let mut made = Made {
            nodes: Vec::new(),
            links: Vec::new(),
        };
        let types = catalog(&format!("{TYPES}{MORE}"));
        let mut number = 0;
        let mut add = |name: &str, made: &mut Made| {
            number += 1;
            let node = format!("{name}{number}");
            made.nodes.push(node.clone());
            node
        };
        for (source, port, filters, sinks) in lines {
            let from = add(SOURCES[source], &mut made);
            let outputs: Vec<_> = types[SOURCES[source]].side(Direction::Output).collect();
            let mut ends = vec![format!("{from}.{}", outputs[port % outputs.len()].1.name)];
            for filter in filters {
                let node = add(FILTERS[filter], &mut made);
                made.links
                    .push(format!("{} -> {node}.in", ends[ends.len() - 1]));
                ends.push(format!("{node}.out"));
            }
            for (sink, port, end) in sinks {
                let node = add(SINKS[sink], &mut made);
                let inputs: Vec<_> = types[SINKS[sink]].side(Direction::Input).collect();
                let input = &inputs[port % inputs.len()].1.name;
                made.links
                    .push(format!("{} -> {node}.{input}", ends[end % ends.len()]));
            }
        }
        made
    })
}

/// The same types, told in another order.
struct Backwards(BTreeMap<String, TypeInfo>);

impl Catalog for Backwards {
    fn get(&self, name: &str) -> Option<&TypeInfo> {
        self.0.get(name)
    }
    fn names(&self) -> Vec<&str> {
        self.0.keys().rev().map(String::as_str).collect()
    }
}

fn build(made: &Made, catalog: &dyn Catalog) -> Result<Graph, Problems> {
    let nodes: Vec<&str> = made.nodes.iter().map(String::as_str).collect();
    let links: Vec<&str> = made.links.iter().map(String::as_str).collect();
    graph(&nodes, &links).build(catalog)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn links_carry_what_both_their_ends_state_and_converters_stand_where_they_are_needed(made in made()) {
        let types = catalog(&format!("{TYPES}{MORE}"));
        let built = build(&made, &types);
        // The same again, whatever the order of the catalog.
        match (&built, build(&made, &Backwards(types.clone()))) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one, &other),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "one of two equal graphs was refused"),
        }
        let Ok(built) = built else { return Ok(()) };
        prop_assert_eq!(built.topological_order().len(), built.nodes.len());

        let stated = |at: PortRef| {
            let port = &types[&built.nodes[at.node].type_name].ports[at.port];
            converter::stated(&port.formats).expect("patterns")
        };
        for link in &built.links {
            prop_assert!(!link.formats.is_empty());
            for pattern in &link.formats {
                let is_of = |at: PortRef| stated(at).iter().any(|of| pattern.meet(of).is_some());
                prop_assert!(is_of(link.from) && is_of(link.to), "{} on {:?}", pattern, told(&built, &types));
                // All of it is accepted.
                let accepted = stated(link.to);
                prop_assert!(accepted.iter().any(|of| pattern.is_within(of)), "{}", pattern);
            }
            // One encoding for each kind that is known, of a source that chooses.
            let from = built.nodes[link.from.node].type_name.as_str();
            if SOURCES.contains(&from) && from != "any" {
                for media in format::Media::ALL {
                    let known = link.formats.iter().filter(|p| p.media() == Some(media) && p.encoding().is_some());
                    prop_assert!(known.count() <= 1, "{:?}", link.formats);
                }
            }
        }
        // No converter where what comes to its chain fits what the link accepts.
        for node in built.nodes.iter().filter_map(|n| n.inserted.as_ref()) {
            for name in &node.links {
                let (_, to) = name.split_once(" -> ").expect("two ends");
                let (to_node, to_port) = to.split_once('.').expect("a port");
                let to_node = built.nodes.iter().find(|n| n.name == to_node).expect("a node");
                let ports = &types[&to_node.type_name].ports;
                let port = ports.iter().find(|p| p.name == to_port).expect("a port");
                let accepted = converter::stated(&port.formats).expect("patterns");
                let first = built.links.iter().find(|link| {
                    let to = &built.nodes[link.to.node];
                    to.inserted.as_ref().is_some_and(|i| i.links.contains(name))
                        && built.nodes[link.from.node].inserted.is_none()
                });
                let comes = &first.expect("a chain begins").formats[0];
                prop_assert!(!accepted.iter().any(|a| fits(comes, a)), "{} to {}", comes, to);
            }
        }
    }
}
