//! Links as text: `a.port -> b.port`, and chains of them.

use std::ops::Range;

use super::document::{At, Endpoint, LinkEntry};
use super::problem::{Place, Problem};
use super::quote::quote;

const SHAPE: &str = "write a link as \"node.port -> node.port\"";

/// A piece of text and where it is written.
pub(super) struct Text<'a> {
    pub text: &'a str,
    pub place: Place,
    /// Whether byte `n` of `text` is written at byte `n` of `place`. It is not where the file
    /// spells characters by escapes; then all of `text` is the place of each of its parts.
    pub exact: bool,
}

impl Text<'_> {
    fn part(&self, range: Range<usize>) -> Place {
        if self.exact {
            self.place.part(range)
        } else {
            self.place.clone()
        }
    }
}

/// Reads `a -> b -> c` as the links `a -> b` and `b -> c`.
pub(super) fn chain(text: &Text<'_>) -> Result<Vec<LinkEntry>, Problem> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for piece in text.text.split("->") {
        pieces.push(start..start + piece.len());
        start += piece.len() + "->".len();
    }
    if pieces.len() < 2 {
        let arrow = ["→", "=>", "-->", " ! ", ">", "-"]
            .into_iter()
            .find(|arrow| text.text.contains(arrow));
        let remedy = match arrow {
            Some(arrow) => format!("write \"->\" for {}", quote(arrow.trim())),
            None => SHAPE.to_owned(),
        };
        return Err(Problem::new(
            text.part(0..text.text.len()),
            format!("{} has no arrow, so it links nothing", quote(text.text)),
            remedy,
        ));
    }
    let last = pieces.len() - 1;
    let ends = pieces
        .into_iter()
        .enumerate()
        .map(|(at, piece)| endpoint(text, piece, at > 0 && at < last))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(ends
        .windows(2)
        .map(|pair| LinkEntry {
            place: between(&pair[0].place, &pair[1].place),
            from: pair[0].clone(),
            to: pair[1].clone(),
            policy: None,
            capacity: None,
            feedback: false,
            convert: None,
        })
        .collect())
}

/// Reads one end of a link, which fills all of `text`.
pub(super) fn single(text: &Text<'_>) -> Result<Endpoint, Problem> {
    endpoint(text, 0..text.text.len(), false)
}

/// The place from the start of `from` to the end of `to`, where they follow each other in one
/// file; otherwise that of `from`.
pub(super) fn between(from: &Place, to: &Place) -> Place {
    match (from, to) {
        (Place::File { source, span: a }, Place::File { span: b, .. }) if a.start < b.end => {
            Place::File {
                source: source.clone(),
                span: a.start..b.end,
            }
        }
        _ => from.clone(),
    }
}

fn endpoint(text: &Text<'_>, piece: Range<usize>, inner: bool) -> Result<Endpoint, Problem> {
    let whole = text.text.get(piece.clone()).unwrap_or("");
    let name = whole.trim();
    let start = piece.start + (whole.len() - whole.trim_start().len());
    let range = start..start + name.len();
    let refuse =
        |cause: String, remedy: &str| Problem::new(text.part(range.clone()), cause, remedy);

    if name.is_empty() {
        let arrows = text.text.contains("->");
        return Err(refuse(
            match (arrows, piece.start) {
                (false, _) => "this end of the link is empty".to_owned(),
                (true, 0) => format!("nothing stands before the arrow in {}", quote(text.text)),
                (true, _) => format!("nothing stands behind an arrow in {}", quote(text.text)),
            },
            SHAPE,
        ));
    }
    if name.contains("->") {
        return Err(refuse(
            format!(
                "{} is a whole link, where one end of it belongs",
                quote(name)
            ),
            "write \"node.port\" here, or the link as text without a table",
        ));
    }
    if name.contains(char::is_whitespace) {
        return Err(refuse(
            format!("{} is not \"node.port\": it has a space in it", quote(name)),
            SHAPE,
        ));
    }
    let (node, port) = match name.split_once('.') {
        Some((node, port)) => (node, Some(port)),
        None => (name, None),
    };
    if node.is_empty() || port.is_some_and(|port| port.is_empty() || port.contains('.')) {
        return Err(refuse(
            format!("{} is not \"node.port\"", quote(name)),
            "write one name, a dot and one name, or the node's name alone",
        ));
    }
    let node_end = start + node.len();
    Ok(Endpoint {
        node: At::new(node.to_owned(), text.part(start..node_end)),
        port: port.map(|port| {
            let place = text.part(node_end + 1..node_end + 1 + port.len());
            At::new(port.to_owned(), place)
        }),
        place: text.part(range),
        inner,
    })
}
