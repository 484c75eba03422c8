//! A drawing in the DOT language of Graphviz (<https://graphviz.org/doc/info/lang.html>).
//!
//! A node is a record from left to right: its inputs, its name and type, its outputs. Names of the file stand in labels only, where
//! everything with a meaning is escaped; identifiers are made of numbers.

use std::fmt::Write;

use super::drawing::{Drawing, Link, Node};

pub fn write(drawing: &Drawing) -> String {
    let mut text = String::from("digraph levada {\n");
    let title = format!("{}: {}", drawing.name, drawing.summary);
    let _ = writeln!(text, "  label=\"{}\";", quoted(&title));
    text.push_str(
        "  labelloc=t;\n  rankdir=LR;\n  fontname=\"Courier\";\n  \
         node [shape=Mrecord, fontname=\"Courier\", fontsize=11, style=filled, fillcolor=\"#ffffff\"];\n  \
         edge [fontname=\"Courier\", fontsize=9];\n",
    );
    for (index, segment) in drawing.segments.iter().enumerate() {
        let caption = quoted(&format!("segment {}", segment.caption));
        let _ = writeln!(text, "  subgraph cluster_{index} {{");
        let _ = writeln!(
            text,
            "    label=\"{caption}\"; tooltip=\"{}\"; fontsize=9; style=\"rounded,filled\"; color=\"#c9d1d9\"; \
             fillcolor=\"#f6f8fa\";",
            quoted(segment.runs_on)
        );
        for node in &segment.nodes {
            text.push_str(&of_node(*node, &drawing.nodes[*node]));
        }
        text.push_str("  }\n");
    }
    for link in &drawing.links {
        text.push_str(&of_link(link));
    }
    text.push_str("}\n");
    text
}

fn of_node(index: usize, node: &Node) -> String {
    let ports = |names: &[String], letter: char| {
        let fields = names.iter().enumerate();
        let fields: Vec<String> = fields
            .map(|(port, name)| format!("<{letter}{port}> {}", field(name)))
            .collect();
        match fields.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", fields.join("|")),
        }
    };
    let middle = format!("{}\\n{}", field(&node.name), field(&node.type_name));
    let parts = [ports(&node.inputs, 'i'), middle, ports(&node.outputs, 'o')];
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|p| !p.is_empty())
        .collect();
    let inserted = node.why.as_ref().map_or(String::new(), |why| {
        let why = quoted(&format!("inserted: {why}"));
        format!(", style=\"filled,dashed\", fillcolor=\"#fff8e1\", tooltip=\"{why}\"")
    });
    format!(
        "    n{index} [label=\"{{{}}}\"{inserted}];\n",
        parts.join("|")
    )
}

fn of_link(link: &Link) -> String {
    let mut label = quoted(&link.formats);
    let mut style = String::new();
    if let Some(channel) = &link.channel {
        let _ = write!(label, "\\n{}", quoted(channel));
        style.push_str(", penwidth=2");
    }
    if link.feedback {
        style.push_str(", style=dashed, constraint=false");
    }
    format!(
        "  n{}:o{}:e -> n{}:i{}:w [label=\"{label}\"{style}];\n",
        link.from.node, link.from.port, link.to.node, link.to.port
    )
}

/// Text inside of quotation marks: an `escString`, in which a backslash begins an escape.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            // What begins like an entity is one.
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Text in a field of a record, where more has a meaning.
fn field(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in quoted(text).chars() {
        if matches!(c, '{' | '}' | '|' | '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_its_label_or_its_field() {
        assert_eq!(quoted("a\"];b"), "a\\\"];b");
        assert_eq!(
            quoted("\\N\n\u{1b}[31m&lt;"),
            "\\\\N\\n\u{fffd}[31m&amp;lt;"
        );
        assert_eq!(field("{<o1> a|b}"), "\\{\\<o1\\> a\\|b\\}");
    }
}
