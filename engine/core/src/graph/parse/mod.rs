//! From the text of a graph file to a [`Document`].
//!
//! The TOML parser makes a tree of values with their spans, which is walked by hand rather than by
//! a derived deserializer: that one stops at the first value of a wrong type, and a person who has
//! made five mistakes wants to hear of five. Text that is not TOML is not walked, because whatever
//! follows a syntax error is a guess; a key that is there twice is no such case.

mod entries;
mod limits;
mod links;
mod syntax;

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::MAX_FILE_BYTES;
use super::document::{At, Document, fitting_name, name_problem};
use super::model::Convert;
use super::problem::{Place, Problem, Source};
use super::quote::{list, nearest, quote};
use super::units::UnitError;

/// The keys of a graph file.
const KEYS: [&str; 6] = ["name", "links", "plugins", "nodes", "limits", "convert"];

/// Reads the text of a graph file; `file_name` is what messages call it.
///
/// What is wrong with it is in [`Document::problems`], and again in what [`super::validate`]
/// returns, so that a caller may go on to load the plugins that could be read.
pub fn parse(file_name: &str, text: &str) -> Document {
    let source = Source::new(file_name, text);
    let mut walk = Walk {
        document: Document::new(name_of_file(file_name), Some(Arc::clone(&source))),
        source: Arc::clone(&source),
    };
    if text.len() > MAX_FILE_BYTES {
        walk.document.broken = true;
        walk.problem(
            0..0,
            format!("the file has {} bytes", text.len()),
            format!("keep a graph file within {MAX_FILE_BYTES} bytes (1 MiB)"),
        );
        return walk.document;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let table = table.get_ref();
    walk.syntax_errors(table, &errors);
    if !walk.document.broken {
        walk.top(table);
    }
    walk.document.problems.sort();
    walk.document
}

/// Reads the bytes of a graph file: [`parse`], with a problem where they are not UTF-8 text.
pub fn parse_bytes(file_name: &str, bytes: &[u8]) -> Document {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return parse(file_name, text),
        Err(error) => error,
    };
    // What is shown of the file ends a little behind the byte that is wrong.
    let at = error.valid_up_to();
    let shown = &bytes[..bytes.len().min(at + 64)];
    let source = Source::new(file_name, String::from_utf8_lossy(shown));
    let mut document = Document::new(name_of_file(file_name), Some(Arc::clone(&source)));
    document.broken = true;
    document.report(Problem::new(
        Place::File {
            source,
            span: at..at + '\u{fffd}'.len_utf8(),
        },
        "the file is not UTF-8 text",
        "name a TOML file, or save it as UTF-8",
    ));
    document
}

/// What a graph that states no name is called.
fn name_of_file(file_name: &str) -> String {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    fitting_name(name.strip_suffix(".toml").unwrap_or(name))
}

/// The walk through the tree of values.
struct Walk {
    source: Arc<Source>,
    document: Document,
}

type Key<'t> = &'t Spanned<DeString<'t>>;
type Value<'t> = &'t Spanned<DeValue<'t>>;

impl Walk {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_file_order(table) {
            match key.get_ref().as_ref() {
                "name" => self.name(value),
                "links" => {
                    self.document.links_place = Some(self.place(key.span()));
                    self.links(value);
                }
                "limits" => self.limits(value),
                "convert" => self.document.convert = self.convert(value).unwrap_or_default(),
                "plugins" => self.plugins(value),
                "nodes" => self.nodes(value),
                other => {
                    // What a misspelt key holds is not missing as well.
                    match nearest(other, KEYS) {
                        Some("links") => self.document.links_missing = true,
                        Some("plugins") => self.document.plugins_missing = true,
                        Some("nodes") => self.document.nodes_missing = true,
                        _ => {}
                    }
                    self.unknown_key(key, "a graph file", &KEYS, None);
                }
            }
        }
    }

    fn name(&mut self, value: Value<'_>) {
        let Some(name) = self.text(value, "\"name\"", "write name = \"my-graph\"") else {
            return;
        };
        if let Some(problem) = name_problem("graph", &name.value, &name.place) {
            self.document.report(problem);
        } else {
            self.document.name = name.value;
        }
    }

    /// Whether converters are inserted; `None` where that cannot be read.
    fn convert(&mut self, value: Value<'_>) -> Option<Convert> {
        let remedy = "write convert = \"never\" to have none inserted, or leave it out";
        let convert = self.text(value, "\"convert\"", remedy)?;
        match convert.value.as_str() {
            "auto" => Some(Convert::Auto),
            "never" => Some(Convert::Never),
            other => {
                let cause = format!("\"convert\" cannot be {}", quote(other));
                self.problem(value.span(), cause, remedy);
                None
            }
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place::File {
            source: Arc::clone(&self.source),
            span,
        }
    }

    fn problem(&mut self, span: Range<usize>, cause: impl Into<String>, remedy: impl Into<String>) {
        let place = self.place(span);
        self.document.report(Problem::new(place, cause, remedy));
    }

    /// The text of a value, or a problem that says what it should have been.
    fn text(&mut self, value: Value<'_>, what: &str, remedy: &str) -> Option<At<String>> {
        match value.get_ref() {
            DeValue::String(text) => {
                let (place, _) = self.inside(value);
                Some(At::new(text.clone().into_owned(), place))
            }
            other => {
                let found = describe(other);
                self.problem(
                    value.span(),
                    format!("{what} must be text, not {found}"),
                    remedy,
                );
                None
            }
        }
    }

    /// The text of a number with a unit. A number without one is answered with the remedy.
    fn quantity(&mut self, value: Value<'_>, what: &str, remedy: &str) -> Option<At<String>> {
        if matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_)) {
            let cause = format!("{what} must be text, a number with its unit");
            self.problem(value.span(), cause, remedy);
            return None;
        }
        self.text(value, what, remedy)
    }

    /// Reads a number with a unit, or reports why it is none.
    fn read_unit(
        &mut self,
        text: &At<String>,
        read: impl Fn(&str) -> Result<u64, UnitError>,
    ) -> Option<u64> {
        read(&text.value)
            .map_err(|error| {
                let problem = Problem::new(text.place.clone(), error.cause, error.remedy);
                self.document.report(problem);
            })
            .ok()
    }

    /// The table of a value, or a problem that says what it should have been.
    fn table<'t>(&mut self, value: Value<'t>, what: &str, remedy: &str) -> Option<&'t DeTable<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                let found = describe(other);
                self.problem(
                    value.span(),
                    format!("{what} must be a table, not {found}"),
                    remedy,
                );
                None
            }
        }
    }

    /// The place between the quotes of a string, and whether every byte of the text stands there
    /// as it is. Where the file uses escapes it does not, and the place is all of the string.
    fn inside(&self, value: Value<'_>) -> (Place, bool) {
        let span = value.span();
        let written = self.source.text().get(span.clone()).unwrap_or("");
        if let DeValue::String(text) = value.get_ref() {
            let quotes = match written.as_bytes() {
                [b'"', b'"', b'"', ..] | [b'\'', b'\'', b'\'', ..] if written.len() >= 6 => 3,
                [b'"' | b'\'', ..] if written.len() >= 2 => 1,
                _ => 0,
            };
            let inner = span.start + quotes..span.end.saturating_sub(quotes);
            let same = self.source.text().get(inner.clone()) == Some(text.as_ref());
            if quotes > 0 && same {
                return (self.place(inner), true);
            }
        }
        (self.place(span), false)
    }

    fn unknown_key(&mut self, key: Key<'_>, owner: &str, known: &[&str], hint: Option<&str>) {
        let name = key.get_ref().as_ref();
        let remedy = match (nearest(name, known.iter().copied()), hint) {
            (Some(near), _) => format!("write {}", quote(near)),
            (None, Some(hint)) => hint.to_owned(),
            (None, None) => format!("remove it; the keys are {}", list(known, "and")),
        };
        self.problem(
            key.span(),
            format!("{} is not a key of {owner}", quote(name)),
            remedy,
        );
    }
}

/// The entries of a table in the order of the file; the table itself sorts them by key.
fn in_file_order<'t>(table: &'t DeTable<'t>) -> Vec<(Key<'t>, Value<'t>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What a value is, in words.
fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
