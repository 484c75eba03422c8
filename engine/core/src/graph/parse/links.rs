//! The list `links`: text and tables.

use toml::de::DeValue;

use super::{Value, Walk, describe, in_file_order};
use crate::graph::document::{LinkEntry, capacity_in_range};
use crate::graph::link_text::{self, Text, between};
use crate::graph::model::Policy;
use crate::graph::quote::{list, nearest, quote};

const KEYS: [&str; 6] = ["from", "to", "policy", "capacity", "feedback", "convert"];
const FORM: &str = "write \"a.out -> b.in\" or { from = \"a.out\", to = \"b.in\" }";

impl Walk {
    pub(super) fn links(&mut self, value: Value<'_>) {
        let DeValue::Array(links) = value.get_ref() else {
            let found = describe(value.get_ref());
            self.document.links_missing = true;
            let link = match value.get_ref() {
                DeValue::String(link) => quote(link),
                _ => "\"a.out -> b.in\"".to_owned(),
            };
            return self.problem(
                value.span(),
                format!("\"links\" must be a list, not {found}"),
                format!("write links = [{link}]"),
            );
        };
        for link in links.iter() {
            let read = match link.get_ref() {
                DeValue::String(_) => self.chain(link),
                DeValue::Table(_) => self.link_table(link),
                other => {
                    let found = describe(other);
                    self.problem(link.span(), format!("a link cannot be {found}"), FORM);
                    None
                }
            };
            match read {
                Some(links) => self.document.links.extend(links),
                None => self.document.links_missing = true,
            }
        }
    }

    fn chain(&mut self, value: Value<'_>) -> Option<Vec<LinkEntry>> {
        self.read(value, link_text::chain)
    }

    /// Reads the text of `value`, or reports why it cannot be read.
    fn read<T>(
        &mut self,
        value: Value<'_>,
        reader: impl Fn(&Text<'_>) -> Result<T, crate::graph::Problem>,
    ) -> Option<T> {
        let DeValue::String(text) = value.get_ref() else {
            let found = describe(value.get_ref());
            self.problem(
                value.span(),
                format!("an end of a link must be text, not {found}"),
                "write it as \"node.port\"",
            );
            return None;
        };
        let (place, exact) = self.inside(value);
        let text = Text {
            text: text.as_ref(),
            place,
            exact,
        };
        reader(&text)
            .map_err(|problem| self.document.report(problem))
            .ok()
    }

    fn link_table(&mut self, value: Value<'_>) -> Option<Vec<LinkEntry>> {
        let table = self.table(value, "a link", FORM)?;
        let (mut from, mut to, mut policy, mut capacity) = (None, None, None, None);
        let mut convert = None;
        let mut feedback = Some(false);
        for (key, value) in in_file_order(table) {
            match key.get_ref().as_ref() {
                "from" => from = Some(self.read(value, link_text::single)),
                "to" => to = Some(self.read(value, link_text::single)),
                "policy" => policy = self.policy(value),
                "capacity" => capacity = self.capacity(value),
                "feedback" => feedback = self.feedback(value),
                "convert" => convert = self.convert(value),
                _ => self.unknown_key(key, "a link", &KEYS, None),
            }
        }
        for (name, end) in [("from", from.is_none()), ("to", to.is_none())] {
            if end {
                self.problem(
                    value.span(),
                    format!("the link has no \"{name}\""),
                    format!("add {name} = \"node.port\""),
                );
            }
        }
        // Without knowing whether it is marked, nothing can be said of cycles.
        let (from, to, feedback) = (from??, to??, feedback?);
        Some(vec![LinkEntry {
            place: between(&from.place, &to.place),
            from,
            to,
            policy,
            capacity,
            feedback,
            convert,
        }])
    }

    /// Whether the link is marked; `None` where that cannot be read.
    fn feedback(&mut self, value: Value<'_>) -> Option<bool> {
        if let DeValue::Boolean(feedback) = value.get_ref() {
            return Some(*feedback);
        }
        let found = describe(value.get_ref());
        self.problem(
            value.span(),
            format!("\"feedback\" must be true or false, not {found}"),
            "write feedback = true, or leave it out",
        );
        None
    }

    fn policy(&mut self, value: Value<'_>) -> Option<Policy> {
        let names = Policy::ALL.map(Policy::as_str);
        let choose = format!("choose {}", list(&names, "or"));
        let name = self.text(value, "\"policy\"", &choose)?;
        match name.value.parse() {
            Ok(policy) => Some(policy),
            Err(()) => {
                let remedy = match nearest(&name.value, names) {
                    Some(near) => {
                        format!("write \"{near}\"; the policies are {}", list(&names, "and"))
                    }
                    None => choose,
                };
                self.problem(
                    value.span(),
                    format!("there is no policy {}", quote(&name.value)),
                    remedy,
                );
                None
            }
        }
    }

    fn capacity(&mut self, value: Value<'_>) -> Option<usize> {
        let DeValue::Integer(number) = value.get_ref() else {
            let found = describe(value.get_ref());
            self.problem(
                value.span(),
                format!("\"capacity\" must be a whole number of frames, not {found}"),
                "write capacity = 8",
            );
            return None;
        };
        // A number too long for 64 bits is out of range like any other; its sign stays.
        let number = i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(
            if number.as_str().starts_with('-') {
                i64::MIN
            } else {
                i64::MAX
            },
        );
        capacity_in_range(number, &self.place(value.span()))
            .map_err(|problem| self.document.report(problem))
            .ok()
    }
}
