//! Reports and descriptions as text for people. Programs get the same as JSON.

use std::fmt::Write;

use levada_engine::{
    Report,
    graph::{
        Cost, Direction, MemoryKind, MemoryPart, ParamKind, ParamValue, Plan, PortInfo, TypeInfo,
        units::{show_duration, show_size, show_size_up},
    },
};

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

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
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
    for node in &report.nodes {
        let counts = [
            node.frames_in,
            node.frames_out,
            node.dropped,
            node.bytes_copied,
        ];
        let mut cells = row([&node.name, &node.type_name]);
        cells.extend(counts.map(|count| count.to_string()));
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
        "{}: {} nodes, {} links",
        graph.name,
        graph.nodes.len(),
        graph.links.len()
    );
    text.push_str(if plan.is_template() {
        "; a session for each peer\n"
    } else {
        "; one session\n"
    });
    let mut rows = vec![row(["segment", "runs on", "nodes"])];
    for (index, segment) in plan.segments().enumerate() {
        let class = match segment.class {
            levada_engine::graph::Class::Light => "a worker or its source's thread",
            levada_engine::graph::Class::Audio => "the audio lane or its source's thread",
            levada_engine::graph::Class::Heavy => "a worker",
            levada_engine::graph::Class::Blocking => "a thread that may wait",
        };
        rows.push(vec![
            (index + 1).to_string(),
            class.into(),
            segment.nodes.join(" -> "),
        ]);
    }
    text.push_str(&table(&rows, 3));
    let mut rows = vec![row(["link", "carried by"])];
    for (link, capacity) in graph.links.iter().zip(plan.channel_capacities()) {
        let carried = match capacity {
            None => "a call".to_owned(),
            Some(capacity) => {
                let s = if capacity == 1 { "" } else { "s" };
                let note = match graph.nodes[link.to.node].sync {
                    _ if link.feedback => ", feedback".to_owned(),
                    Some(sync) => {
                        let ns = sync.tolerance_ns.unsigned_abs();
                        format!(", aligned by pts within {}", show_duration(ns))
                    }
                    None => String::new(),
                };
                format!("a channel of {capacity} frame{s}, {}{note}", link.policy)
            }
        };
        rows.push(vec![
            format!(
                "{} -> {}",
                plan.port_name(link.from),
                plan.port_name(link.to)
            ),
            carried,
        ]);
    }
    text.push_str(&table(&rows, 2));
    text
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
    let held = match info.latency_ns {
        0 => String::new(),
        ns => format!("; holds a frame for {}", show_duration(ns)),
    };
    let _ = writeln!(
        text,
        "  plugin {} {}; {cost}{live}{held}",
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
                (ParamKind::Choice(words), ..) => words.join(" | "),
                (ParamKind::Bool, ..) => "true | false".into(),
                (ParamKind::Text, ..) => "text".into(),
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
    use levada_engine::Leak;

    use super::*;

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
