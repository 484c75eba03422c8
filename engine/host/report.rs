//! Reports and descriptions as text for people. Programs get the same as JSON.

use std::fmt::Write;

use levada_engine::{
    Progress, Report,
    graph::{
        Alternative, Class, Cost, Direction, Inserted, MemoryKind, MemoryPart, ParamKind,
        ParamValue, Plan, PortInfo, TypeInfo,
        units::{show_duration, show_size, show_size_up},
    },
};

use crate::codecs;

/// Lines up columns: the first `left` of them to the left, the others to the right.
fn table(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|t| t.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "  " } else { "   " };
            // Writing to a String does not fail, here and below.
            let _ = if column < left {
                write!(line, "{gap}{cell:<width$}")
            } else {
                write!(line, "{gap}{cell:>width$}")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1 link`, `2 links`.
#[must_use]
pub fn count(of: usize, what: &str) -> String {
    let s = if of == 1 { "" } else { "s" };
    format!("{of} {what}{s}")
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

/// How much media a node has gone through, and of how much, where it is not all.
fn length(progress: &Progress) -> String {
    let done = format!("{:.2} s", progress.done_seconds);
    match progress.total_seconds.map(|total| format!("{total:.2} s")) {
        Some(total) if total != done => format!("{done} of {total}"),
        _ => done,
    }
}

/// What a run did.
#[must_use]
pub fn run(report: &Report) -> String {
    let mut text = format!("{}: ", report.graph);
    let _ = match report.sessions {
        0 => write!(text, "no session"),
        1 => write!(text, "1 session of {:.1} s", report.seconds),
        many => write!(
            text,
            "{many} sessions, the longest of {:.1} s",
            report.seconds
        ),
    };
    let failed = if report.failed > 0 {
        format!(", {} failed", report.failed)
    } else {
        String::new()
    };
    let _ = writeln!(text, "{failed}, {} bytes copied", report.bytes_copied);
    let mut rows = vec![row(["node", "type", "in", "out", "dropped", "copied"])];
    let has_progress = report.nodes.iter().any(|node| node.progress.is_some());
    if has_progress {
        rows[0].push("media".into());
    }
    for node in &report.nodes {
        let counts = [
            node.frames_in,
            node.frames_out,
            node.dropped,
            node.bytes_copied,
        ];
        let mut cells = row([&node.name, &node.type_name]);
        cells.extend(counts.map(|count| count.to_string()));
        if let Some(progress) = node.progress {
            cells.push(length(&progress));
        }
        rows.push(cells);
    }
    text.push_str(&table(&rows, 2));
    let mut rows = vec![row(["link", "frames", "dropped"])];
    for link in &report.links {
        let name = format!("{} -> {}", link.from, link.to);
        rows.push(vec![
            name,
            link.frames.to_string(),
            link.dropped.to_string(),
        ]);
    }
    text.push_str(&table(&rows, 1));
    for leak in &report.leaks {
        let buffers = if leak.buffers == 1 {
            "buffer"
        } else {
            "buffers"
        };
        let _ = writeln!(
            text,
            "still held after the end: {} {buffers}, {} bytes, by node \"{}\" (type {}, plugin {}); the node leaks \
             them, unless the application keeps its frames",
            leak.buffers, leak.bytes, leak.node, leak.type_name, leak.plugin
        );
    }
    text
}

/// How a graph will run.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let graph = plan.graph();
    let mut text = format!(
        "{}: {}, {}",
        graph.name,
        count(graph.nodes.len(), "node"),
        count(graph.links.len(), "link")
    );
    text.push_str(if plan.is_template() {
        "; a session for each peer\n"
    } else {
        "; one session\n"
    });
    let mut rows = vec![row(["segment", "runs on", "nodes"])];
    for (index, segment) in plan.segments().enumerate() {
        rows.push(vec![
            (index + 1).to_string(),
            runs_on(segment.class).into(),
            segment.nodes.join(" -> "),
        ]);
    }
    text.push_str(&table(&rows, 3));
    let mut rows = vec![row(["link", "carried by", "carries"])];
    for (at, (link, capacity)) in graph
        .links
        .iter()
        .zip(plan.channel_capacities())
        .enumerate()
    {
        let carried = match capacity {
            None => "a call".to_owned(),
            Some(capacity) => {
                let note = match graph.nodes[link.to.node].sync {
                    _ if link.feedback => ", feedback".to_owned(),
                    Some(sync) => {
                        let ns = sync.tolerance_ns.unsigned_abs();
                        format!(", aligned by pts within {}", show_duration(ns))
                    }
                    None => String::new(),
                };
                let frames = count(capacity, "frame");
                format!("a channel of {frames}, {}{note}", link.policy)
            }
        };
        rows.push(vec![
            format!(
                "{} -> {}",
                plan.port_name(link.from),
                plan.port_name(link.to)
            ),
            carried,
            carries(plan, at),
        ]);
    }
    text.push_str(&table(&rows, 3));
    text.push_str(&converters(plan));
    text.push_str(&choices(plan));
    text
}

/// Which threads run a segment.
#[must_use]
pub fn runs_on(class: Class) -> &'static str {
    match class {
        Class::Light => "a worker or its source's thread",
        Class::Audio => "the audio lane or its source's thread",
        Class::Heavy => "a worker",
        Class::Blocking => "a thread that may wait",
    }
}

/// What a link carries, as it was settled, and what else it may be where a peer has a say.
fn carries(plan: &Plan, link: usize) -> String {
    let mut formats: Vec<String> = plan.graph().links[link]
        .formats
        .iter()
        .map(ToString::to_string)
        .collect();
    let others = codecs::instead(plan, link);
    for format in &mut formats {
        let kind = format.split('/').next().unwrap_or_default().to_owned();
        let of_kind = others
            .iter()
            .filter(|other| other.split('/').next() == Some(&kind));
        let of_kind: Vec<&String> = of_kind.collect();
        if !of_kind.is_empty() {
            *format += &format!(" or {} as the peer agrees", words(&of_kind, " or "));
        }
    }
    formats.join(", ")
}

fn words<T: ToString>(items: &[T], between: &str) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(between)
}

/// Why a node was inserted: what its links accept and bring, and what they could have been instead.
#[must_use]
pub fn why(inserted: &Inserted) -> String {
    let mut why = inserted.why.clone();
    if let [_, others @ ..] = &inserted.links[..]
        && !others.is_empty()
    {
        let _ = write!(why, "; also for {}", others.join(" and "));
    }
    if !inserted.instead.is_empty() {
        let _ = write!(why, "; could have been {}", alternatives(&inserted.instead));
    }
    why
}

/// The nodes that the engine inserted, and why; nothing without one.
fn converters(plan: &Plan) -> String {
    let mut rows = vec![row(["inserted", "turns", "into", "cost", "because"])];
    for node in &plan.graph().nodes {
        let Some(inserted) = &node.inserted else {
            continue;
        };
        rows.push(vec![
            node.name.clone(),
            inserted.takes.to_string(),
            inserted.gives.to_string(),
            inserted.cost.to_string(),
            why(inserted),
        ]);
    }
    if rows.len() == 1 {
        return String::new();
    }
    table(&rows, 5)
}

/// The encodings that were chosen among several, and what the conversions of the whole graph cost with each and would
/// have cost with the others; nothing without one.
fn choices(plan: &Plan) -> String {
    let mut rows = vec![row([
        "output",
        "sends",
        "cost of all conversions",
        "could have sent",
    ])];
    for choice in &plan.graph().choices {
        rows.push(vec![
            choice.port.clone(),
            choice.format.clone(),
            choice.cost.to_string(),
            alternatives(&choice.others),
        ]);
    }
    if rows.len() == 1 {
        return String::new();
    }
    table(&rows, 4)
}

fn alternatives(others: &[Alternative]) -> String {
    let told = |other: &Alternative| match other.cost {
        Some(cost) => format!("{} (cost {cost})", other.format),
        None => format!("{} (no converter)", other.format),
    };
    words(&others.iter().map(told).collect::<Vec<_>>(), ", ")
}

/// How many parts of a session's memory are listed.
const PARTS: usize = 6;

/// What a session of the graph may take at most, by what is declared.
#[must_use]
pub fn worst_case(plan: &Plan) -> String {
    let (worst, limits) = (plan.worst_case(), &plan.graph().limits);
    let mut rows = vec![row(["a session at worst", "full of", "memory"])];
    let listed = match worst.parts.len() {
        all if all <= PARTS + 1 => all,
        _ => PARTS,
    };
    for part in &worst.parts[..listed] {
        let frames = match part.frames {
            0 => String::new(),
            1 => format!("1 frame of {}", part.format),
            frames => format!("{frames} frames of {}", part.format),
        };
        rows.push(vec![part_name(part), frames, show_size(part.bytes)]);
    }
    let others = &worst.parts[listed..];
    if !others.is_empty() {
        let bytes = others.iter().map(|part| part.bytes).sum();
        let name = format!("{} smaller parts", others.len());
        rows.push(vec![name, String::new(), show_size(bytes)]);
    }
    let limit = match &limits.memory {
        Some(limit) => format!("all, within the limit of {}", show_size(limit.value)),
        None => "all".to_owned(),
    };
    rows.push(vec![limit, String::new(), show_size_up(worst.memory)]);
    let mut text = table(&rows, 2);

    let way: Vec<String> = worst.slowest.iter().map(ToString::to_string).collect();
    let limit = match &limits.latency_ns {
        Some(limit) => format!(", within the limit of {}", show_duration(limit.value)),
        None => String::new(),
    };
    let _ = match way.is_empty() {
        true => writeln!(text, "  no node declares latency{limit}"),
        false => writeln!(
            text,
            "  declared latency {}{limit}: {}",
            show_duration(worst.latency_ns),
            way.join(" -> ")
        ),
    };
    text
}

fn part_name(part: &MemoryPart) -> String {
    match part.kind {
        MemoryKind::Link => part.name.clone(),
        MemoryKind::Ring => format!("ring of {}", part.name),
        MemoryKind::Batch => format!("batch in the segment of {}", part.name),
        MemoryKind::States => "states of the nodes".to_owned(),
        MemoryKind::Session => "the session itself".to_owned(),
    }
}

/// A list of node types.
#[must_use]
pub fn types<'a>(types: impl Iterator<Item = &'a TypeInfo>) -> String {
    let mut rows = vec![row(["type", "plugin", "what it does"])];
    rows.extend(types.map(|t| {
        row([
            &t.name,
            &format!("{} {}", t.plugin, t.plugin_version),
            &t.summary,
        ])
    }));
    table(&rows, 3)
}

/// A node type in full.
#[must_use]
pub fn node_type(info: &TypeInfo) -> String {
    let mut text = format!("{}: {}\n", info.name, info.summary);
    let cost = match info.cost {
        Cost::Light => "light, runs inline with its neighbours",
        Cost::Heavy => "heavy, runs on a worker",
        Cost::Blocking => "may wait, runs on a thread of its own",
    };
    let live = if info.live {
        "; a live source: what its links cannot take is dropped and counted"
    } else {
        ""
    };
    let converter = if info.converter {
        "; a converter: inserted where the ends of a link do not agree"
    } else {
        ""
    };
    let held = match info.latency_ns {
        0 => String::new(),
        ns => format!("; holds a frame for {}", show_duration(ns)),
    };
    let _ = writeln!(
        text,
        "  plugin {} {}; {cost}{live}{converter}{held}",
        info.plugin, info.plugin_version
    );
    let mut rows = vec![row(["port", "", "formats"])];
    rows.extend(
        info.ports
            .iter()
            .map(|port| row([&port.name, &direction(port), &port.formats.join(", ")])),
    );
    text.push_str(&table(&rows, 3));
    if !info.params.is_empty() {
        let mut rows = vec![row(["param", "value", "default", "what it sets"])];
        for param in &info.params {
            let range = match (&param.kind, param.min, param.max) {
                (ParamKind::Choice(words), ..) => format!("{} {}", words.join(" | "), param.unit),
                (ParamKind::Bool, ..) => "true | false".into(),
                (ParamKind::Text, ..) => "text".into(),
                (ParamKind::Path, ..) => "path".into(),
                (_, Some(min), Some(max)) => format!("{min} to {max} {}", param.unit),
                (_, Some(min), None) => format!("at least {min} {}", param.unit),
                (_, None, Some(max)) => format!("at most {max} {}", param.unit),
                (ParamKind::Integer, None, None) => format!("a whole number {}", param.unit),
                (ParamKind::Float, None, None) => format!("a number {}", param.unit),
            };
            let default = match &param.default {
                None => "must be given".into(),
                Some(ParamValue::Float(v)) => v.to_string(),
                Some(ParamValue::Integer(v)) => v.to_string(),
                Some(ParamValue::Bool(v)) => v.to_string(),
                Some(ParamValue::Text(v)) => format!("{v:?}"),
            };
            rows.push(vec![
                param.name.clone(),
                range.trim_end().to_owned(),
                default,
                param.help.clone(),
            ]);
        }
        text.push_str(&table(&rows, 4));
    }
    text
}

fn direction(port: &PortInfo) -> String {
    let mut text = match port.direction {
        Direction::Input if port.required => "input, required".to_owned(),
        Direction::Input => "input".to_owned(),
        Direction::Output => "output".to_owned(),
    };
    if port.read_only {
        text.push_str(", only looks");
    }
    text
}

#[cfg(test)]
mod tests {
    use levada_engine::{Leak, graph::GraphBuilder, plugin::Registry};
    use levada_plugin::{Builtin, prelude::*};

    use super::*;

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

    node_type!(
        Camera,
        "camera",
        &[Port::output("video").formats("video/vp8 video/h264")]
    );
    node_type!(
        Flip,
        "flip",
        &[
            Port::input("in").formats("video/i420"),
            Port::output("out").formats("video/i420")
        ]
    );
    node_type!(
        Screen,
        "screen",
        &[Port::input("in").formats("video/h264 video/nv12")]
    );
    node_type!(
        Decoder,
        "decoder",
        &[
            Port::input("in").formats("video/h264"),
            Port::output("out").formats("video/i420")
        ],
        CONVERTER: bool = true,
        COST: levada_plugin::Cost = levada_plugin::Cost::Heavy
    );
    node_type!(
        Encoder,
        "encoder",
        &[
            Port::input("in").formats("video/i420"),
            Port::output("out").formats("video/h264")
        ],
        CONVERTER: bool = true,
        COST: levada_plugin::Cost = levada_plugin::Cost::Heavy
    );
    node_type!(
        Pixels,
        "pixels",
        &[
            Port::input("in").formats("video/i420"),
            Port::output("out").formats("video/nv12")
        ],
        CONVERTER: bool = true
    );

    #[test]
    fn a_plan_tells_what_links_carry_and_what_was_inserted_and_why() {
        let plugin = Builtin::new("test", "1.0.0")
            .with::<Camera>()
            .with::<Flip>()
            .with::<Screen>()
            .with::<Decoder>()
            .with::<Encoder>()
            .with::<Pixels>();
        let mut registry = Registry::default();
        registry.add(&plugin.into_plugin());
        let mut graph = GraphBuilder::new("mirror");
        for (name, of) in [
            ("camera", "camera"),
            ("left", "flip"),
            ("right", "flip"),
            ("one", "screen"),
            ("two", "screen"),
        ] {
            graph.node(name, of);
        }
        graph
            .link("camera -> left -> one")
            .link("camera -> right -> two");
        let graph = graph.build(&registry).expect("a valid graph");
        let made = Plan::new(graph, &registry).expect("a plan");
        let text = plan(&made);
        assert!(
            text.contains(
                "left~decoder.out -> right.in      a channel of 8 frames, block   video/i420\n"
            ),
            "{text}"
        );
        let at = text.find("  inserted").expect("nodes were inserted");
        let told = "  \
  inserted       turns        into         cost   because
  left~decoder   video/h264   video/i420   10     left.in accepts video/i420, camera.video brings video/h264; \
                    also for camera.video -> right.in
  one~pixels     video/i420   video/nv12   1      one.in accepts video/h264 or video/nv12, left.out brings \
                    video/i420; could have been video/h264 (cost 30)
  two~pixels     video/i420   video/nv12   1      two.in accepts video/h264 or video/nv12, right.out brings \
                    video/i420; could have been video/h264 (cost 30)
  output         sends        cost of all conversions   could have sent
  camera.video   video/h264   12                        video/vp8 (no converter)
";
        assert_eq!(&text[at..], told);
    }

    #[test]
    fn a_leak_is_one_line_that_names_node_type_plugin_buffers_and_bytes() {
        let report = Report {
            leaks: vec![Leak {
                node: "thief".into(),
                type_name: "keep".into(),
                plugin: "kept".into(),
                buffers: 3,
                bytes: 12288,
            }],
            ..Report::default()
        };
        let line = "still held after the end: 3 buffers, 12288 bytes, by node \"thief\" (type keep, plugin kept); \
                    the node leaks them, unless the application keeps its frames";
        assert_eq!(run(&report).lines().last(), Some(line));
        assert!(!run(&Report::default()).contains("still held"));
    }

    #[test]
    fn media_is_a_column_where_a_node_says_how_much_it_went_through() {
        let node = |name: &str, progress| levada_engine::NodeReport {
            name: name.into(),
            type_name: "file".into(),
            progress,
            ..levada_engine::NodeReport::default()
        };
        let progress = |done_seconds, total_seconds| {
            Some(Progress {
                done_seconds,
                total_seconds,
            })
        };
        let report = Report {
            nodes: vec![
                node("film", progress(4.0, Some(4.0))),
                node("cut", progress(1.5, Some(4.0))),
                node("tape", progress(3.999, None)),
                node("flip", None),
            ],
            ..Report::default()
        };
        let text = run(&report);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines[..5],
            [
                "  node   type   in   out   dropped   copied              media",
                "  film   file    0     0         0        0             4.00 s",
                "  cut    file    0     0         0        0   1.50 s of 4.00 s",
                "  tape   file    0     0         0        0             4.00 s",
                "  flip   file    0     0         0        0",
            ]
        );
    }

    #[test]
    fn columns_line_up() {
        let rows = [
            row(["node", "in"]),
            row(["a-long-name", "7"]),
            row(["b", "1000"]),
        ];
        assert_eq!(
            table(&rows, 1),
            "  node            in\n  a-long-name      7\n  b             1000\n"
        );
    }
}
