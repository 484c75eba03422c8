//! The table `limits`.

use super::{Value, Walk, in_file_order};
use crate::graph::document::{At, picture_in_range};
use crate::graph::quote::quote;
use crate::graph::units::{parse_duration, parse_size};

pub(super) const KEYS: [&str; 3] = ["memory", "latency", "picture"];

impl Walk {
    pub(super) fn limits(&mut self, value: Value<'_>) {
        let form = "write limits = { memory = \"64 MiB\", latency = \"40 ms\" }";
        let Some(table) = self.table(value, "\"limits\"", form) else {
            return;
        };
        for (key, value) in in_file_order(table) {
            match key.get_ref().as_ref() {
                "memory" => {
                    let text = self.quantity(value, "\"memory\"", "write memory = \"64 MiB\"");
                    let bytes = text.and_then(|text| {
                        let bytes = self.read_unit(&text, parse_size)?;
                        Some(At::new(bytes, text.place))
                    });
                    self.document.limits.memory = bytes;
                }
                "latency" => {
                    let text = self.quantity(value, "\"latency\"", "write latency = \"40 ms\"");
                    let ns = text.and_then(|text| {
                        let ns = self.read_unit(&text, parse_duration)?;
                        Some(At::new(ns, text.place))
                    });
                    self.document.limits.latency_ns = ns;
                }
                "picture" => self.picture(value),
                _ => self.unknown_key(key, "\"limits\"", &KEYS, None),
            }
        }
    }

    fn picture(&mut self, value: Value<'_>) {
        let remedy = "write width and height in pixels, as in picture = \"1920x1080\"";
        let Some(text) = self.text(value, "\"picture\"", remedy) else {
            return;
        };
        let read = |part: &str| match part.bytes().all(|digit| digit.is_ascii_digit()) {
            true => part.parse::<u32>().ok(),
            false => None,
        };
        let sides = text.value.split_once('x');
        let sides = sides.and_then(|(width, height)| Some((read(width)?, read(height)?)));
        let Some(sides) = sides else {
            let cause = format!("{} is not the size of a picture", quote(&text.value));
            return self.problem(value.span(), cause, remedy);
        };
        match picture_in_range(sides, &text.place) {
            Ok(picture) => self.document.limits.picture = picture,
            Err(problem) => self.document.report(problem),
        }
    }
}
