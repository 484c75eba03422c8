//! What holds of any graph.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::super::chain::fits;
use super::*;

/// Outputs, filters and inputs for sound, for pictures and for anything.
const KINDS: [(&[&str], &[&str], &[&str]); 3] = [
    (
        &["camera.audio", "tone.out", "mic.out"],
        &["gain", "probe", "sound"],
        &[
            "screen.audio",
            "level.in",
            "speaker.in",
            "null.in",
            "cheap.in",
        ],
    ),
    (
        &["camera.video", "pattern.out", "tape.out"],
        &["flip", "probe", "narrow"],
        &["screen.video", "small.in", "null.in", "cheap.in"],
    ),
    (
        &["camera.out", "any.out"],
        &["probe", "gain", "flip"],
        &["screen.in", "null.in", "level.in"],
    ),
];
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

impl Made {
    /// Adds a node for `type.port`, and answers its port.
    fn add(&mut self, port: &str) -> String {
        let (name, port) = port.split_once('.').unwrap_or((port, ""));
        let node = format!("{name}{}", self.nodes.len());
        self.nodes.push(node.clone());
        format!("{node}.{port}")
    }
}

/// Lines from a source over some filters to sinks.
fn made() -> impl Strategy<Value = Made> {
    // Mostly sound and pictures: much of the rest is refused.
    let line = (
        prop::sample::select(vec![0_usize, 0, 0, 1, 1, 1, 2]),
        0..3_usize,
        prop::collection::vec(0..3_usize, 0..4),
        prop::collection::vec((0..5_usize, 0..5_usize), 1..4),
    );
    prop::collection::vec(line, 1..4).prop_map(|lines| {
        let mut made = Made {
            nodes: Vec::new(),
            links: Vec::new(),
        };
        for (kind, source, filters, sinks) in lines {
            let (sources, between, inputs) = KINDS[kind];
            let mut ends = vec![made.add(sources[source % sources.len()])];
            for filter in filters {
                let node = made.add(between[filter % between.len()]);
                made.links
                    .push(format!("{} -> {node}in", ends[ends.len() - 1]));
                ends.push(format!("{node}out"));
            }
            for (sink, end) in sinks {
                let input = made.add(inputs[sink % inputs.len()]);
                made.links
                    .push(format!("{} -> {input}", ends[end % ends.len()]));
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
            if ["camera", "tone", "mic", "pattern", "tape"].contains(&from) {
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

/// The claims above are about graphs that are negotiated, so most of those that are made have to be.
#[test]
fn most_of_the_graphs_that_are_made_need_converters_and_get_them() {
    let types = catalog(&format!("{TYPES}{MORE}"));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut good, mut inserted) = (0, 0);
    for _ in 0..200 {
        let made = made().new_tree(&mut runner).expect("a graph").current();
        if let Ok(built) = build(&made, &types) {
            good += 1;
            inserted += built.nodes.len() - made.nodes.len();
        }
    }
    assert!(
        good > 100 && inserted > 200,
        "{good} graphs, {inserted} converters"
    );
}
