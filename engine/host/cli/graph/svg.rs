//! A drawing as an SVG 1.1 picture that needs nothing but itself.

use std::fmt::Write;

use super::drawing::{Drawing, Link, Node, Segment};
use super::layers::{Point, Route, Step};
use super::picture::{LARGE, Line, PAD, Picture, Rect, SMALL, port_y, text_width};
use levada::engine::graph::Media;

/// Around everything.
const MARGIN: f64 = 24.0;
/// The height of the title.
const TITLE: f64 = 52.0;
/// The height of a line of the notes below.
const NOTE: f64 = 17.0;
/// The least width of a picture, so that its notes have lines to speak of.
const MIN_WIDTH: f64 = 560.0;
/// How round the corners of a link are.
const ROUND: f64 = 8.0;

const STYLE: &str = "\
text{font:11px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#57606a}\
.name{font-size:13px;font-weight:bold;fill:#1f2328}\
.end{text-anchor:end}\
.segment rect{fill:#f6f8fa;stroke:#d8dee4}\
.node rect{fill:#fff;stroke:#57606a;stroke-width:1.2}\
.inserted rect{fill:#fff8e1;stroke:#9a6700;stroke-dasharray:5 4}\
.link path{fill:none;stroke:#57606a;stroke-width:1.2}\
.link.channel path{stroke-width:2.2}\
.link.feedback path{stroke-dasharray:6 4}\
.link .tip{stroke:none;fill:#57606a}\
.audio path{stroke:#1a7f37}.audio .tip{fill:#1a7f37}\
.video path{stroke:#0969da}.video .tip{fill:#0969da}\
.data path{stroke:#8250df}.data .tip{fill:#8250df}";

pub fn write(drawing: &Drawing) -> String {
    let picture = Picture::new(drawing);
    let width = picture.width.max(MIN_WIDTH);
    let notes = notes(drawing, width);
    let below = if notes.is_empty() {
        0.0
    } else {
        14.0 + NOTE * notes.len() as f64
    };
    let (wide, high) = (
        (width + 2.0 * MARGIN).ceil(),
        (MARGIN + TITLE + picture.height + below + MARGIN).ceil(),
    );
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\" \
         role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escaped(&drawing.name)
    );
    let at = |y: f64| (MARGIN, y);
    words(&mut text, at(MARGIN + 13.0), "name", &drawing.name);
    words(&mut text, at(MARGIN + 31.0), "", &drawing.summary);
    let _ = writeln!(
        text,
        "<g transform=\"translate({MARGIN} {})\">",
        MARGIN + TITLE
    );
    for (segment, rect) in drawing.segments.iter().zip(&picture.segments) {
        draw_segment(&mut text, segment, rect);
    }
    // The nodes over the lines, whose ends they cover.
    for (link, line) in drawing.links.iter().zip(&picture.links) {
        draw_link(&mut text, link, line);
    }
    for (node, rect) in drawing.nodes.iter().zip(&picture.nodes) {
        draw_node(&mut text, node, rect);
    }
    text.push_str("</g>\n");
    let first = MARGIN + TITLE + picture.height + 14.0 + SMALL;
    for (index, note) in notes.iter().enumerate() {
        words(&mut text, at(first + NOTE * index as f64), "", note);
    }
    text.push_str("</svg>\n");
    text
}

fn draw_segment(text: &mut String, segment: &Segment, rect: &Rect) {
    let hint = format!("segment {}: runs on {}", segment.caption, segment.runs_on);
    let _ = write!(
        text,
        "<g class=\"segment\"><title>{}</title>",
        escaped(&hint)
    );
    draw_box(text, rect, 8.0);
    words(text, (rect.x + PAD, rect.y + 15.0), "", &segment.caption);
    text.push_str("</g>\n");
}

fn draw_node(text: &mut String, node: &Node, rect: &Rect) {
    let (class, hint) = match &node.why {
        None => ("node", format!("{}, of type {}", node.name, node.type_name)),
        Some(why) => ("node inserted", format!("inserted: {why}")),
    };
    let _ = write!(
        text,
        "<g class=\"{class}\"><title>{}</title>",
        escaped(&hint)
    );
    draw_box(text, rect, 5.0);
    let middle =
        |text: &str, size: f64| rect.x + ((rect.width - text_width(text, size)) / 2.0).round();
    words(
        text,
        (middle(&node.name, LARGE), rect.y + 19.0),
        "name",
        &node.name,
    );
    words(
        text,
        (middle(&node.type_name, SMALL), rect.y + 35.0),
        "",
        &node.type_name,
    );
    for (port, name) in node.inputs.iter().enumerate() {
        words(text, (rect.x + 8.0, rect.y + port_y(port) + 4.0), "", name);
    }
    for (port, name) in node.outputs.iter().enumerate() {
        let at = (rect.x + rect.width - 8.0, rect.y + port_y(port) + 4.0);
        words(text, at, "end", name);
    }
    text.push_str("</g>\n");
}

fn draw_link(text: &mut String, link: &Link, line: &Line) {
    let mut class = String::from("link");
    for (is_so, word) in [
        (link.channel.is_some(), " channel"),
        (link.feedback, " feedback"),
        (link.media == Some(Media::Audio), " audio"),
        (link.media == Some(Media::Video), " video"),
        (link.media == Some(Media::Data), " data"),
    ] {
        if is_so {
            class.push_str(word);
        }
    }
    let carried = link.channel.as_ref().map_or_else(
        || "by a call".to_owned(),
        |channel| format!("by a channel, {channel}"),
    );
    let _ = write!(
        text,
        "<g class=\"{class}\"><title>{} {}</title><path d=\"{}\"/>",
        escaped(&link.formats),
        escaped(&carried),
        path(&line.route)
    );
    if let Some(Step::Line((x, y)) | Step::Curve((x, y))) = line.route.steps.last() {
        let back = x - 9.0;
        let _ = write!(
            text,
            "<path class=\"tip\" d=\"M{x} {y}L{back} {}L{back} {}Z\"/>",
            y - 4.5,
            y + 4.5
        );
    }
    let (x, y) = line.label_end;
    words(text, (x, y - 5.0), "end", &line.label);
    if let Some(channel) = &link.channel {
        words(text, (x, y + 14.0), "end", channel);
    }
    text.push_str("</g>\n");
}

/// A route as path data: corners between lines are rounded.
fn path(route: &Route) -> String {
    let mut text = format!("M{} {}", route.start.0, route.start.1);
    let mut from = route.start;
    for (index, step) in route.steps.iter().enumerate() {
        match *step {
            Step::Line(to) => {
                let corner = match route.steps.get(index + 1) {
                    Some(Step::Line(next)) => turn(from, to, *next),
                    _ => None,
                };
                let _ = match corner {
                    Some((a, b)) => {
                        write!(text, "L{} {}Q{} {} {} {}", a.0, a.1, to.0, to.1, b.0, b.1)
                    }
                    None if to == from => Ok(()),
                    None => write!(text, "L{} {}", to.0, to.1),
                };
                from = to;
            }
            Step::Curve(to) if to.1 == from.1 => {
                let _ = write!(text, "L{} {}", to.0, to.1);
                from = to;
            }
            Step::Curve(to) => {
                let middle = (from.0 + to.0) / 2.0;
                let _ = write!(
                    text,
                    "C{middle} {} {middle} {} {} {}",
                    from.1, to.1, to.0, to.1
                );
                from = to;
            }
        }
    }
    text
}

/// Where the curve of a corner begins and ends; `None` where there is no corner.
fn turn(from: Point, corner: Point, to: Point) -> Option<(Point, Point)> {
    if (from.0 == corner.0 && corner.0 == to.0) || (from.1 == corner.1 && corner.1 == to.1) {
        return None;
    }
    let towards = |end: Point| {
        let (dx, dy) = (end.0 - corner.0, end.1 - corner.1);
        let length = dx.hypot(dy);
        let by = ROUND.min(length / 2.0) / length;
        (corner.0 + dx * by, corner.1 + dy * by)
    };
    (from != corner && to != corner).then(|| (towards(from), towards(to)))
}

fn draw_box(text: &mut String, rect: &Rect, round: f64) {
    let _ = write!(
        text,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{round}\"/>",
        rect.x, rect.y, rect.width, rect.height
    );
}

fn words(out: &mut String, at: Point, class: &str, text: &str) {
    let class = match class {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    let _ = writeln!(
        out,
        "<text{class} x=\"{}\" y=\"{}\">{}</text>",
        at.0,
        at.1,
        escaped(text)
    );
}

/// What is written below the picture: why nodes were inserted, where paper shows no hints.
fn notes(drawing: &Drawing, width: f64) -> Vec<String> {
    let columns = (width / text_width("x", SMALL)) as usize;
    let mut lines = vec![];
    for (node, why) in drawing.inserted() {
        let mut line = format!("{} was inserted:", node.name);
        for word in why.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > columns {
                lines.push(std::mem::replace(&mut line, "   ".to_owned()));
            }
            line.push(' ');
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Text between tags. What XML 1.0 has no character for becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(
            escaped("<script>\"&\u{1b}\u{ffff}"),
            "&lt;script&gt;&quot;&amp;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn corners_are_round_and_level_pieces_straight() {
        let route = Route {
            start: (0.0, 0.0),
            steps: vec![
                Step::Line((50.0, 0.0)),
                Step::Line((50.0, 40.0)),
                Step::Line((50.0, 90.0)),
                Step::Curve((80.0, 90.0)),
                Step::Curve((100.0, 70.0)),
            ],
        };
        assert_eq!(
            path(&route),
            "M0 0L42 0Q50 0 50 8L50 40L50 90L80 90C90 90 90 70 100 70"
        );
    }
}
