//! Sums that were done by hand, and what must hold of any graph.

use std::time::Duration;

use levada_plugin::{Builtin, Cost as NodeCost, prelude::*};

use super::memory::{LINK, NODE, SESSION, TABLES};
use super::*;
use crate::graph::{GraphBuilder, Policy, Problems};
use crate::plugin::Registry;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// A queue's place and a block's header.
const EACH: u64 = PLACE + 64;

/// A node type that does nothing.
macro_rules! node_type {
    ($name:ident, $text:literal, $ports:expr $(, $const:ident: $type:ty = $value:expr)*) => {
        struct $name;
        impl Node for $name {
            const NAME: &'static str = $text;
            const SUMMARY: &'static str = "Does nothing";
            const PORTS: &'static [Port] = $ports;
            $(const $const: $type = $value;)*
            fn create(_config: &Config) -> Result<Self> {
                Ok($name)
            }
        }
    };
}

node_type!(Tone, "tone", &[Port::output("out").formats("audio/f32")]);
node_type!(
    Camera,
    "camera",
    &[Port::output("out").formats("video/i420")],
    LIVE: bool = true,
    LATENCY_NS: u64 = 33_000_000
);
node_type!(
    Probe,
    "probe",
    &[Port::optional_input("in").forwards_to(2), Port::optional_input("back"), Port::output("out")],
    LATENCY_NS: u64 = 0
);
node_type!(
    Encode,
    "encode",
    &[Port::input("in").formats("video/i420"), Port::output("out").formats("video/h264")],
    COST: NodeCost = NodeCost::Heavy,
    LATENCY_NS: u64 = 20_000_000
);
node_type!(
    Cut,
    "cut",
    &[
        Port::input("in").formats("video/h264"),
        Port::output("out").formats("video/rtp-h264").max_out(300)
    ]
);
node_type!(
    Sink,
    "sink",
    &[
        Port::optional_input("in").read_only(),
        Port::optional_input("also")
    ]
);

fn registry() -> Registry {
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Tone>()
        .with::<Camera>()
        .with::<Probe>()
        .with::<Encode>()
        .with::<Cut>()
        .with::<Sink>();
    let mut registry = Registry::default();
    registry.add(&plugin.into_plugin());
    registry
}

/// A graph of nodes that are named after their types, with a number.
fn graph(nodes: &[&str]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("test");
    for node in nodes {
        graph.node(node, node.trim_end_matches(char::is_numeric));
    }
    graph
}

fn plan(graph: &GraphBuilder) -> Result<Plan, Problems> {
    let registry = registry();
    Plan::new(graph.build(&registry)?, &registry)
}

fn worst(graph: &GraphBuilder) -> WorstCase {
    let plan = plan(graph).unwrap_or_else(|problems| panic!("{problems}"));
    plan.worst_case()
}

/// The bytes of a part, by its kind and the start of its name.
fn part(worst: &WorstCase, kind: MemoryKind, name: &str) -> u64 {
    let mut parts = worst
        .parts
        .iter()
        .filter(|p| p.kind == kind && p.name.starts_with(name));
    let part = parts.next().map_or(0, |part| part.bytes);
    assert_eq!(parts.next(), None, "{name} is several");
    part
}

#[test]
fn a_line_of_light_nodes_holds_frames_in_its_ring_and_in_hand() {
    let mut line = graph(&["tone", "probe", "sink"]);
    line.link("tone -> probe.in").link("probe -> sink.in");
    let worst = worst(&line);
    // A block of sound of 122,880 bytes takes a block of 128 KiB.
    let frame = EACH + 128 * KIB;
    assert_eq!(part(&worst, MemoryKind::Ring, "tone.out"), 16 * frame);
    assert_eq!(part(&worst, MemoryKind::Batch, "tone"), 16 * frame);
    assert_eq!(part(&worst, MemoryKind::Link, ""), 0, "calls hold nothing");
    assert!(part(&worst, MemoryKind::States, "") >= 3 * 8);
    assert_eq!(
        part(&worst, MemoryKind::Session, ""),
        SESSION + TABLES + 3 * NODE + 2 * LINK
    );
    assert_eq!(
        worst.memory,
        worst.parts.iter().map(|part| part.bytes).sum()
    );
    assert!(
        worst
            .parts
            .is_sorted_by_key(|part| std::cmp::Reverse(part.bytes))
    );
}

#[test]
fn a_link_behind_a_probe_is_charged_with_what_comes_in() {
    let frames = |source: &str| {
        let mut graph = graph(&[source, "probe1", "probe2", "sink"]);
        // Alignment puts the sink behind channels.
        graph.link("probe1 -> probe2.in");
        graph.link(&format!("{source} -> probe1.in"));
        graph.node("late", "sink").sync_by_pts(Duration::ZERO);
        graph
            .link("probe2 -> late.in")
            .link("probe1 -> late.also")
            .link("probe2 -> sink.in");
        let worst = worst(&graph);
        part(&worst, MemoryKind::Link, "probe2.out")
    };
    // Eight frames that wait for others, and two that the probe's end may bring.
    assert_eq!(frames("tone"), 10 * (EACH + 128 * KIB));
    // 1920 x 1080 at 12 bits are 3,110,400 bytes, in a block of 4 MiB; nothing waits behind a live
    // source.
    assert_eq!(frames("camera"), 9 * (EACH + 4 * MIB));
    // Nothing is known of what a probe without input sends.
    assert_eq!(frames("probe"), 10 * (EACH + 8 * MIB));
}

#[test]
fn a_batch_counts_what_its_nodes_make_of_it() {
    let mut graph = graph(&["camera", "encode", "cut", "sink"]);
    graph
        .link_with("camera -> encode", None, Some(2))
        .link_with("encode -> cut", None, Some(4))
        .link_with("cut -> sink.in", None, Some(8));
    let worst = worst(&graph);
    let (raw, unit, packet) = (EACH + 4 * MIB, EACH + 2 * MIB, EACH + 2 * KIB);
    assert_eq!(part(&worst, MemoryKind::Ring, "camera.out"), 2 * raw);
    assert_eq!(part(&worst, MemoryKind::Link, "camera.out"), 2 * raw);
    assert_eq!(part(&worst, MemoryKind::Link, "encode.out"), 4 * unit);
    // Behind a live source the links drop, so nothing is reserved for what a call makes.
    assert_eq!(
        part(&worst, MemoryKind::Batch, "encode"),
        2 * (raw + unit) + raw
    );
    assert_eq!(
        part(&worst, MemoryKind::Batch, "cut"),
        4 * (unit + 300 * packet) + unit
    );
}

#[test]
fn what_has_its_place_in_a_channel_is_not_counted_twice() {
    let mut graph = graph(&["camera", "encode", "cut", "sink"]);
    graph
        .link_with("camera -> encode", None, Some(2))
        .link_with("encode -> cut", Some(Policy::Block), Some(4))
        .link("cut -> sink.in");
    let batch = part(&worst(&graph), MemoryKind::Batch, "encode");
    assert_eq!(
        batch,
        3 * (EACH + 4 * MIB),
        "two, and the one that comes next"
    );
}

#[test]
fn a_smaller_picture_and_smaller_queues_take_less() {
    let memory = |capacity: usize, picture: (u32, u32)| {
        let mut graph = graph(&["camera", "encode", "sink"]);
        graph
            .link_with("camera -> encode", None, Some(capacity))
            .link_with("encode -> sink.in", None, Some(capacity))
            .picture(picture.0, picture.1);
        worst(&graph).memory
    };
    assert!(memory(1, (1920, 1080)) < memory(4, (1920, 1080)));
    assert!(memory(4, (640, 360)) < memory(4, (1920, 1080)));
    assert!(memory(4, (16_384, 16_384)) > 4 * 512 * MIB);
}

#[test]
fn latency_is_that_of_the_slowest_way_and_feedback_adds_nothing() {
    let mut graph = graph(&["camera", "probe1", "probe2", "encode1", "sink"]);
    graph
        .link("camera -> probe1.in")
        .link("probe1 -> probe2.in")
        .link("probe1 -> encode1")
        .link("encode1 -> sink.in")
        .feedback("probe2 -> probe1.back", None, None);
    let worst = worst(&graph);
    assert_eq!(worst.latency_ns, 53_000_000);
    let way: Vec<String> = worst.slowest.iter().map(ToString::to_string).collect();
    assert_eq!(way, ["camera (33 ms)", "probe1", "encode1 (20 ms)", "sink"]);
}

#[test]
fn where_no_node_declares_latency_there_is_no_slowest_way() {
    let mut line = graph(&["tone", "sink"]);
    line.link("tone -> sink.in");
    assert_eq!(worst(&line).slowest, []);
}

#[test]
fn a_graph_that_cannot_keep_its_limits_is_refused() {
    let mut graph = graph(&["camera", "encode", "sink"]);
    graph
        .link_with("camera -> encode", None, Some(8))
        .link_with("encode -> sink.in", None, Some(2))
        .limit_memory(64 * MIB)
        .limit_latency(Duration::from_millis(40));
    let told = plan(&graph).err().expect("it is refused").to_string();
    assert_eq!(
        told,
        "pipeline: a session may take 222.6 MiB at worst, and the limit is 64 MiB; the most of it: \
         64 MiB for the ring of \"camera.out\" (16 frames of video/i420), 64 MiB for a batch in \
         the segment of \"camera\" (16 frames of video/i420) and 52 MiB for a batch in the segment of \"encode\" (9 frames of \
         video/i420); give the links behind \"camera.out\" a smaller capacity, declare smaller \
         pictures by GraphBuilder::picture or raise the limit to 222.6 MiB\n\n\
         pipeline: frames are held for up to 53 ms, and the limit is 40 ms: camera (33 ms) -> encode \
         (20 ms) -> sink; put another node type in the place of \"camera\", or raise the limit to \
         53 ms\n\n2 problems"
    );
    let worst = {
        graph
            .limit_memory(u64::MAX)
            .limit_latency(Duration::from_millis(53));
        worst(&graph)
    };
    graph.limit_memory(worst.memory);
    assert!(plan(&graph).is_ok(), "a limit may be reached");
    graph.limit_memory(worst.memory - 1);
    assert!(plan(&graph).is_err());
}

#[test]
fn a_limit_in_a_file_is_told_where_it_stands() {
    let text = r#"
limits = { memory = "5 MiB", picture = "320x180", latency = "1 s" }
links = ["camera -> sink.in"]
[nodes]
camera.type = "camera"
sink.type = "sink"
"#;
    let registry = registry();
    let judge = |text: &str| {
        let document = crate::graph::parse("g.toml", text);
        Plan::new(
            crate::graph::validate(&document, &registry, &[])?,
            &registry,
        )
    };
    assert!(judge(text).is_ok());
    let told = judge(&text.replace("5 MiB", "512 KiB"))
        .err()
        .expect("it is refused")
        .to_string();
    assert_eq!(
        told,
        "g.toml:2:22: a session may take 4.6 MiB at worst, and the limit is 512 KiB; the most of it: \
         2 MiB for the ring of \"camera.out\" (16 frames of video/i420), 2 MiB for a batch in the \
         segment of \"camera\" (16 frames of video/i420) and 578.5 KiB for the session itself; give the \
         links behind \"camera.out\" a smaller capacity, declare smaller pictures (picture = \
         \"160x90\") or raise the limit to \"4.6 MiB\"\n \
         2 | limits = { memory = \"512 KiB\", picture = \"320x180\", latency = \"1 s\" }\n   \
         |                      ^^^^^^^\n\n1 problem"
    );
    let again = judge(&text.replace("5 MiB", "4.6 MiB"));
    assert!(again.is_ok(), "the limit that is proposed does");
}

/// The page has the table, row by row.
#[test]
fn the_figures_are_those_of_the_reference() {
    let page = include_str!("../../../../../docs/graph-file.md");
    for (formats, largest, why) in PAYLOADS {
        let formats: Vec<String> = formats.split(' ').map(|f| format!("`{f}`")).collect();
        let largest = match largest {
            Bytes(bytes) => bytes.to_string(),
            FourPixels(bytes) => payload_of_a_full_picture(bytes).to_string(),
        };
        let row = format!("| {} | {largest} | {why} |", formats.join(", "));
        assert!(page.contains(&row), "docs/graph-file.md lacks {row}");
    }
}

fn payload_of_a_full_picture(four_pixels: u64) -> u64 {
    let (width, height) = crate::graph::DEFAULT_PICTURE;
    u64::from(width) * u64::from(height) * four_pixels / 4
}

#[test]
fn the_worst_of_a_family_counts_where_the_format_is_open() {
    let of = |pattern: &str| payload(pattern, (1920, 1080));
    for (pattern, bytes) in [
        ("audio/opus", 7_680),
        ("audio/rtp-opus", 1_500),
        ("video/rtp-h264", 1_500),
        ("audio/f32", 122_880),
        ("audio/*", 122_880),
        ("audio/unheard-of", 122_880),
        ("video/h264", 1_555_200),
        ("video/i420", 3_110_400),
        ("video/*", 8_294_400),
        ("video/rgba", 8_294_400),
        ("data/*", 262_144),
        ("text/plain", 8_294_400),
        ("*", 8_294_400),
    ] {
        assert_eq!(of(pattern), bytes, "{pattern}");
    }
    assert_eq!(payload("video/h264", (16, 16)), 1_024);
    assert_eq!(payload("*", (16, 16)), 262_144);
}

#[test]
fn a_link_that_states_the_size_of_its_pictures_counts_for_that() {
    let bytes = |text: &str| {
        let pattern: Pattern = text
            .parse()
            .unwrap_or_else(|cause| panic!("{text} {cause}"));
        largest(&[pattern], (1920, 1080)).bytes
    };
    // 64 by 64 pixels of 12 bits are 6144 bytes, in a block of 8 KiB.
    assert_eq!(bytes("video/i420;width=64;height=64"), EACH + 8 * KIB);
    // A limit says nothing of what comes.
    assert_eq!(
        bytes("video/i420;width=2..64;height=2..64"),
        bytes("video/i420")
    );
    assert!(bytes("video/i420;width=3840;height=2160") > bytes("video/i420"));
}
