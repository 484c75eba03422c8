//! The tables `plugins` and `nodes`.

use toml::de::{DeTable, DeValue};

use super::limits::KEYS as LIMIT_KEYS;
use super::{KEYS, Key, Value, Walk, describe, in_file_order};
use crate::graph::document::{
    At, NodeEntry, ParamEntry, PluginEntry, PluginSource, RawValue, name_problem,
    tolerance_in_range,
};
use crate::graph::model::{ParamValue, PtsSync};
use crate::graph::quote::{list, nearest, quote};
use crate::graph::{DEFAULT_TOLERANCE_NS, units};

const PLUGIN_KEYS: [&str; 2] = ["path", "lib"];
const PLUGIN_FORM: &str =
    "write { path = \"a folder with a crate\" } or { lib = \"a library file\" }";
const NODE_KEYS: [&str; 5] = ["type", "params", "scope", "sync", "tolerance"];

impl Walk {
    pub(super) fn plugins(&mut self, value: Value<'_>) {
        let form = "write [plugins], and under it my-plugin = { path = \"...\" }";
        let Some(table) = self.table(value, "\"plugins\"", form) else {
            self.document.plugins_missing = true;
            return;
        };
        for (key, value) in in_file_order(table) {
            if self.is_stray(key, value, "plugins") {
                continue;
            }
            let name = key.get_ref().as_ref();
            let place = self.place(key.span());
            if let Some(problem) = name_problem("plugin", name, &place) {
                self.document.report(problem);
            }
            let Some(table) = self.table(value, &format!("plugin {}", quote(name)), PLUGIN_FORM)
            else {
                self.document.plugins_missing = true;
                continue;
            };
            match self.plugin_source(key, table) {
                Some(source) => {
                    let (source, source_place) = (source.value, source.place);
                    self.document.plugins.push(PluginEntry {
                        name: name.to_owned(),
                        source,
                        place,
                        source_place,
                    });
                }
                None => self.document.plugins_missing = true,
            }
        }
    }

    fn plugin_source(&mut self, key: Key<'_>, table: &DeTable<'_>) -> Option<At<PluginSource>> {
        let name = quote(key.get_ref());
        let mut sources = Vec::new();
        for (key, value) in in_file_order(table) {
            let kind = key.get_ref().as_ref();
            if !PLUGIN_KEYS.contains(&kind) {
                self.unknown_key(key, "a plugin", &PLUGIN_KEYS, None);
                continue;
            }
            let path = self.text(value, &format!("\"{kind}\""), PLUGIN_FORM);
            let path = path.filter(|path| {
                let empty = path.value.trim().is_empty();
                if empty {
                    let cause = format!("plugin {name} has an empty \"{kind}\"");
                    self.problem(value.span(), cause, PLUGIN_FORM);
                }
                !empty
            });
            sources.push(path.map(|path| {
                let source = match kind {
                    "path" => PluginSource::Crate { path: path.value },
                    _ => PluginSource::Library { path: path.value },
                };
                At::new(source, path.place)
            }));
        }
        match sources.len() {
            0 => {
                let cause = format!("plugin {name} has neither \"path\" nor \"lib\"");
                self.problem(key.span(), cause, PLUGIN_FORM);
                None
            }
            1 => sources.pop().flatten(),
            _ => {
                self.problem(
                    key.span(),
                    format!("plugin {name} has both \"path\" and \"lib\""),
                    "keep \"path\" to build the crate, or \"lib\" to load the library as it is",
                );
                None
            }
        }
    }

    pub(super) fn nodes(&mut self, value: Value<'_>) {
        let form = "write [nodes], and under it my-node = { type = \"...\" }";
        let Some(table) = self.table(value, "\"nodes\"", form) else {
            self.document.nodes_missing = true;
            return;
        };
        for (key, value) in in_file_order(table) {
            if self.is_stray(key, value, "nodes") {
                continue;
            }
            let name = At::new(key.get_ref().to_string(), self.place(key.span()));
            if let Some(problem) = name_problem("node", &name.value, &name.place) {
                self.document.report(problem);
            }
            let node = self.node(name, value);
            self.document.nodes.push(node);
        }
    }

    fn node(&mut self, name: At<String>, value: Value<'_>) -> NodeEntry {
        let mut node = NodeEntry {
            name,
            type_name: None,
            params: Vec::new(),
            sync: None,
        };
        let what = format!("node {}", quote(&node.name.value));
        let form = match value.get_ref() {
            DeValue::String(text) => format!("write {{ type = {} }}", quote(text)),
            _ => "write { type = \"...\" }".to_owned(),
        };
        let Some(table) = self.table(value, &what, &form) else {
            return node;
        };
        let mut has_type = false;
        let (mut sync, mut tolerance) = (None, None);
        for (key, value) in in_file_order(table) {
            match key.get_ref().as_ref() {
                "type" => {
                    has_type = true;
                    node.type_name = self.text(value, "\"type\"", "write type = \"...\"");
                }
                "params" => node.params = self.params(value),
                "scope" => self.scope(value),
                "sync" => sync = Some((value, self.sync(value))),
                "tolerance" => tolerance = Some((key, self.tolerance(value))),
                other => {
                    // A misspelt type is not missing as well.
                    has_type |= nearest(other, NODE_KEYS) == Some("type");
                    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    let param = match other.len() <= 64 && other.chars().all(plain) {
                        true => other,
                        false => "name",
                    };
                    let hint = format!(
                        "if it is a param, write params = {{ {param} = ... }}; \
                         the keys of a node are {}",
                        list(&NODE_KEYS, "and")
                    );
                    self.unknown_key(key, "a node", &NODE_KEYS, Some(&hint));
                }
            }
        }
        node.sync = self.alignment(sync, tolerance);
        if !has_type {
            let place = node.name.place.clone();
            self.document.report(crate::graph::Problem::new(
                place,
                format!("{what} has no type"),
                "add type = \"...\"; \"levada inspect\" lists the node types",
            ));
        }
        node
    }

    fn params(&mut self, value: Value<'_>) -> Vec<ParamEntry> {
        let form = "write params = { name = value }";
        let Some(table) = self.table(value, "\"params\"", form) else {
            return Vec::new();
        };
        in_file_order(table)
            .into_iter()
            .map(|(key, value)| ParamEntry {
                name: At::new(key.get_ref().to_string(), self.place(key.span())),
                value: At::new(raw(value.get_ref()), self.place(value.span())),
            })
            .collect()
    }

    fn scope(&mut self, value: Value<'_>) {
        let remedy = "write scope = \"session\", or leave it out";
        let Some(scope) = self.text(value, "\"scope\"", remedy) else {
            return;
        };
        match scope.value.as_str() {
            "session" => {}
            "graph" => self.problem(
                value.span(),
                "nodes that all sessions share (scope = \"graph\") are not offered yet",
                remedy,
            ),
            other => {
                let cause = format!("there is no scope {}", quote(other));
                self.problem(value.span(), cause, remedy);
            }
        }
    }

    /// Whether inputs are aligned; `None` where that cannot be read.
    fn sync(&mut self, value: Value<'_>) -> Option<bool> {
        let remedy = "write sync = \"pts\" to align the inputs, or leave it out";
        let sync = self.text(value, "\"sync\"", remedy)?;
        match sync.value.as_str() {
            "pts" => Some(true),
            "none" => Some(false),
            other => {
                let cause = format!("there is no sync {}", quote(other));
                self.problem(value.span(), cause, remedy);
                None
            }
        }
    }

    fn tolerance(&mut self, value: Value<'_>) -> Option<PtsSync> {
        let text = self.quantity(value, "\"tolerance\"", "write tolerance = \"20 ms\"")?;
        let ns = self.read_unit(&text, units::parse_duration)?;
        tolerance_in_range(ns, &text.place)
            .map_err(|problem| self.document.report(problem))
            .ok()
    }

    /// What a node's `sync` and `tolerance`, where they are there, come to.
    fn alignment(
        &mut self,
        sync: Option<(Value<'_>, Option<bool>)>,
        tolerance: Option<(Key<'_>, Option<PtsSync>)>,
    ) -> Option<At<PtsSync>> {
        match (sync, tolerance) {
            (Some((value, Some(true))), tolerance) => {
                let stated = tolerance.and_then(|(_, stated)| stated);
                let sync = stated.unwrap_or(PtsSync {
                    tolerance_ns: DEFAULT_TOLERANCE_NS,
                });
                Some(At::new(sync, self.inside(value).0))
            }
            (None | Some((_, Some(false))), Some((key, _))) => {
                let remedy = "add sync = \"pts\", or remove it";
                let cause = "\"tolerance\" counts only where inputs are aligned";
                self.problem(key.span(), cause, remedy);
                None
            }
            _ => None,
        }
    }

    /// Whether a key of the file's top has slipped under a heading, where TOML takes every key
    /// that follows for a part of that table.
    fn is_stray(&mut self, key: Key<'_>, value: Value<'_>, heading: &str) -> bool {
        let name = key.get_ref().as_ref();
        let stray = match value.get_ref() {
            // A node or a plugin may be called so, but has other keys.
            DeValue::Table(table) => {
                let mut keys = table.keys().map(|key| key.get_ref().as_ref());
                name == "limits" && !table.is_empty() && keys.all(|key| LIMIT_KEYS.contains(&key))
            }
            _ => KEYS.contains(&name),
        };
        if stray {
            self.problem(
                key.span(),
                format!("\"{name}\" stands under [{heading}], and so belongs to it"),
                format!("move \"{name}\" above the first heading"),
            );
            self.document.links_missing |= name == "links";
            self.document.nodes_missing |= name == "nodes";
            self.document.plugins_missing |= name == "plugins";
        }
        stray
    }
}

/// The value of a param, whatever kind it should be of.
fn raw(value: &DeValue<'_>) -> RawValue {
    RawValue::Value(match value {
        DeValue::String(text) => ParamValue::Text(text.clone().into_owned()),
        DeValue::Boolean(value) => ParamValue::Bool(*value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => ParamValue::Integer(number),
            Err(_) => return RawValue::Other("a number beyond 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => ParamValue::Float(number),
            Err(_) => return RawValue::Other("a number that cannot be read"),
        },
        other => return RawValue::Other(describe(other)),
    })
}
