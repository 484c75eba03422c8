//! Params from the command line: `--set browser.mode=packets`.

use std::fmt;

use super::Check;
use super::params::Values;
use crate::graph::document::RawValue;
use crate::graph::model::ParamValue;
use crate::graph::problem::Place;
use crate::graph::quote::{list, nearest, quote};
use crate::graph::{ParamInfo, ParamKind};

/// One `node.param=value` of the command line, judged by [`super::validate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetParam {
    text: String,
}

impl SetParam {
    /// Takes the argument as it was given, without `--set`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Node, param and value; `None` for a text that is not `node.param=value`.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str, &str)> {
        let (left, value) = self.text.split_once('=')?;
        let (node, param) = left.trim().split_once('.')?;
        (!node.is_empty() && !param.is_empty()).then_some((node, param, value))
    }
}

impl fmt::Display for SetParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Check<'_> {
    /// Applies one override to the values of the params of all nodes.
    pub(super) fn set(&mut self, set: &SetParam, values: &mut [Values]) {
        let place = Place::Argument(format!("--set {}", super::plain(&set.text)));
        let Some((node, param, value)) = set.parts() else {
            return self.problem_at(
                &place,
                "this is not node.param=value",
                "write it as --set louder.db=6",
            );
        };
        let Some(&at) = self.index.get(node) else {
            if self.document.nodes_missing {
                return;
            }
            let names: Vec<&str> = self.index.keys().copied().collect();
            let remedy = match nearest(node, names.iter().copied()) {
                Some(near) => format!("write --set {near}.{}=...", super::plain(param)),
                None => format!("the nodes are {}", list(&names, "and")),
            };
            return self.problem_at(
                &place,
                format!("the graph has no node {}", quote(node)),
                remedy,
            );
        };
        let Some(info) = self.types[at] else { return };
        let Some(index) = self.find_param(at, info, param, &place) else {
            return;
        };
        let param = &info.params[index];
        let raw = RawValue::Value(from_text(param, value));
        if let Some(value) = self.checked(at, param, &raw, &place) {
            values[at].given[index] = Some(value);
        }
        // A required param that is given badly here is not missing as well.
        values[at].seen[index] = true;
    }
}

/// The value that a text stands for, by the kind of the param; text that is no such value stays
/// text, which the check of the value then refuses.
pub(super) fn from_text(param: &ParamInfo, text: &str) -> ParamValue {
    let trimmed = text.trim();
    let value = match &param.kind {
        ParamKind::Float => trimmed.parse().ok().map(ParamValue::Float),
        ParamKind::Integer => trimmed.parse().ok().map(ParamValue::Integer),
        ParamKind::Bool => trimmed.parse().ok().map(ParamValue::Bool),
        ParamKind::Text | ParamKind::Path | ParamKind::Choice(_) => None,
    };
    value.unwrap_or_else(|| ParamValue::Text(text.to_owned()))
}
