//! What the TOML parser complains of, in our words where we have better ones.

use toml::de::{DeTable, DeValue, Error};

use super::Walk;
use crate::graph::quote::quote;

const DUPLICATE: &str = "duplicate key";

impl Walk {
    /// Reports syntax errors, up to the first that leaves open where the next value starts: what
    /// the parser makes of the text behind it is a guess.
    pub(super) fn syntax_errors(&mut self, table: &DeTable<'_>, errors: &[Error]) {
        let span = |error: &Error| error.span().unwrap_or(0..0);
        let mut errors: Vec<&Error> = errors.iter().collect();
        errors.sort_by_key(|error| span(error).start);
        let mut last_line = None;
        for error in errors {
            let (span, message) = (span(error), error.message());
            if message == DUPLICATE {
                self.duplicate(table, span);
                continue;
            }
            self.document.broken = true;
            // Of those on one line only the first is reported: the others follow from it.
            let (line, _) = self.source.position(span.start);
            if last_line.replace(line) != Some(line) {
                let (cause, remedy) = self.explain(message, span.start);
                self.problem(span, format!("not TOML: {cause}"), remedy);
            }
            if !is_bad_value(message) {
                return;
            }
        }
    }

    /// The cause and the remedy of a syntax error.
    fn explain<'m>(&self, message: &'m str, at: usize) -> (&'m str, &'static str) {
        let (line, start) = self.source.line_at(at);
        let indent = line.len() - line.trim_start().len();
        let starts_line = at <= start + indent;
        let Some(remedy) = remedy(message, starts_line) else {
            return (message, "correct the syntax here");
        };
        let cause = message.split(", expected").next().unwrap_or(message);
        match cause {
            "invalid basic string" | "invalid literal string" => ("the text has no end", remedy),
            cause => (cause, remedy),
        }
    }

    fn duplicate(&mut self, table: &DeTable<'_>, span: std::ops::Range<usize>) {
        let key = self.source.text().get(span.clone()).unwrap_or("");
        let key = key.trim_matches(['"', '\'']).to_owned();
        let of = |owner: &str| {
            let DeValue::Table(table) = table.get(owner)?.get_ref() else {
                return None;
            };
            let (first, _) = table.get_key_value(key.as_str())?;
            let line = self.source.position(first.span().start).0;
            (first.span().start < span.start).then_some(line)
        };
        // The second table is gone, and with it what it would have been called.
        self.document.nodes_missing |= of("nodes").is_some();
        let (cause, remedy) = match (of("nodes"), of("plugins")) {
            (Some(line), _) => (
                format!(
                    "there are two nodes named {}; the first is on line {line}",
                    quote(&key)
                ),
                "rename one of them",
            ),
            (None, Some(line)) => (
                format!(
                    "there are two plugins named {}; the first is on line {line}",
                    quote(&key)
                ),
                "rename one of them",
            ),
            (None, None) => (
                format!("{} is there twice", quote(&key)),
                "keep one of the two, or put both under one heading",
            ),
        };
        self.problem(span, cause, remedy);
    }
}

/// Whether an error concerns one value, and leaves no doubt where the next one starts.
fn is_bad_value(message: &str) -> bool {
    let ends = [
        "string values must be quoted",
        "invalid float",
        "invalid integer",
    ];
    ends.iter().any(|start| message.starts_with(start))
}

/// What to do about an error of the parser, if we know. An error at the start of a line is often
/// about the line before it.
fn remedy(message: &str, starts_line: bool) -> Option<&'static str> {
    let starts = |start: &str| message.starts_with(start);
    Some(if starts("string values must be quoted") {
        "put the text in double quotes"
    } else if starts("missing comma between array elements") && starts_line {
        "add the comma, or close the list above with \"]\""
    } else if starts("missing comma between key-value pairs") && starts_line {
        "add the comma, or close the table above with \"}\""
    } else if starts("missing comma") {
        "add the comma"
    } else if starts("extra comma") {
        "remove the comma"
    } else if starts("unclosed array") {
        "close the list with \"]\""
    } else if starts("unclosed inline table") {
        "close the table with \"}\""
    } else if starts("unclosed table") {
        "close the heading with \"]\""
    } else if starts("invalid basic string") {
        "end it with a double quote on the same line"
    } else if starts("invalid literal string") {
        "end it with a single quote on the same line"
    } else if starts("cannot extend") {
        "write the key inside that table, or give the table a heading of its own"
    } else if starts("key with no value") {
        "write key = value"
    } else {
        return None;
    })
}
