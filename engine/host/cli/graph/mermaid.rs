//! A drawing as a Mermaid flowchart (<https://mermaid.js.org/syntax/flowchart.html>).
//!
//! Identifiers are made of numbers. Names stand between quotation marks, and every character of them that could
//! mean something to Mermaid, Markdown or HTML is written as its number.

use std::fmt::Write;

use super::drawing::{Drawing, Link, Node};

pub fn write(drawing: &Drawing) -> String {
    let mut text = format!("---\ntitle: \"{}\"\n---\n", title(drawing));
    text.push_str("flowchart LR\n");
    for (index, segment) in drawing.segments.iter().enumerate() {
        let caption = escaped(&segment.caption);
        let _ = writeln!(text, "  subgraph s{index}[\"segment {caption}\"]");
        for node in &segment.nodes {
            let _ = writeln!(text, "    n{node}[\"{}\"]", label(&drawing.nodes[*node]));
        }
        text.push_str("  end\n");
    }
    for link in &drawing.links {
        text.push_str(&of_link(drawing, link));
    }
    text.push_str("  classDef inserted stroke-dasharray:5 5\n");
    let nodes = drawing.nodes.iter().enumerate();
    let inserted: Vec<String> = nodes
        .filter(|(_, node)| node.why.is_some())
        .map(|(index, _)| format!("n{index}"))
        .collect();
    if !inserted.is_empty() {
        let _ = writeln!(text, "  class {} inserted", inserted.join(","));
    }
    text
}

fn label(node: &Node) -> String {
    let mut label = format!(
        "<b>{}</b><br/>{}",
        escaped(&node.name),
        escaped(&node.type_name)
    );
    if let Some(why) = &node.why {
        let _ = write!(label, "<br/>inserted#58; {}", escaped(why));
    }
    label
}

fn of_link(drawing: &Drawing, link: &Link) -> String {
    let (from, to) = (&link.from, &link.to);
    let mut label = format!(
        "{} to {}<br/>{}",
        escaped(&drawing.nodes[from.node].outputs[from.port]),
        escaped(&drawing.nodes[to.node].inputs[to.port]),
        escaped(&link.formats)
    );
    if let Some(channel) = &link.channel {
        let _ = write!(label, "<br/>{}", escaped(channel));
    }
    let arrow = match (link.feedback, &link.channel) {
        (true, _) => "-.->",
        (false, Some(_)) => "==>",
        (false, None) => "-->",
    };
    format!("  n{} {arrow}|\"{label}\"| n{}\n", from.node, to.node)
}

/// A title is a string of YAML, in quotation marks; nothing of Mermaid's applies in it.
fn title(drawing: &Drawing) -> String {
    let text = format!("{}: {}", drawing.name, drawing.summary);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' | '/' | '-' | '.' | ',' | ';' | '=' | '~' | '(' | ')' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_its_label_or_marks_it_up() {
        assert_eq!(
            escaped("a\"]<b>*_`#x"),
            "a#34;#93;#60;b#62;#42;#95;#96;#35;x"
        );
        assert_eq!(escaped("mirror~h264-decoder"), "mirror~h264-decoder");
        assert_eq!(escaped("a\nb"), "a\u{fffd}b");
    }
}
