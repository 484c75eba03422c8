//! The params of nodes: names, kinds, ranges, defaults.

use super::Check;
use super::set::{SetParam, from_text};
use crate::graph::document::RawValue;
use crate::graph::model::ParamValue;
use crate::graph::problem::Place;
use crate::graph::quote::{list, nearest, quote};
use crate::graph::{ParamInfo, ParamKind, TypeInfo};

/// What is known of the params of one node, by index into its type's params.
pub(super) struct Values {
    /// The values that are given and good.
    pub given: Vec<Option<ParamValue>>,
    /// Whether one was given, good or not.
    pub seen: Vec<bool>,
}

impl<'a> Check<'a> {
    /// The values of all params of each node; `None` for a node of unknown type.
    pub(super) fn params(
        &mut self,
        overrides: &[SetParam],
    ) -> Vec<Option<Vec<(usize, ParamValue)>>> {
        let mut values: Vec<Values> = (0..self.types.len()).map(|at| self.given(at)).collect();
        for set in overrides {
            self.set(set, &mut values);
        }
        values
            .into_iter()
            .enumerate()
            .map(|(at, values)| self.complete(at, values))
            .collect()
    }

    /// The values that the document gives for a node.
    fn given(&mut self, at: usize) -> Values {
        let count = self.types[at].map_or(0, |info| info.params.len());
        let mut values = Values {
            given: vec![None; count],
            seen: vec![false; count],
        };
        let document = self.document;
        let Some(info) = self.types[at] else {
            return values;
        };
        for entry in &document.nodes[at].params {
            let place = &entry.name.place;
            let Some(index) = self.find_param(at, info, &entry.name.value, place) else {
                // A misspelt param is not missing as well.
                if let Some(near) = near_param(info, &entry.name.value) {
                    values.seen[near] = true;
                }
                continue;
            };
            values.seen[index] = true;
            let param = &info.params[index];
            values.given[index] = self.checked(at, param, &entry.value.value, &entry.value.place);
        }
        values
    }

    /// Fills in defaults, and reports what has none and is not given.
    fn complete(&mut self, at: usize, values: Values) -> Option<Vec<(usize, ParamValue)>> {
        let info = self.types[at]?;
        let place = &self.document.nodes[at].name.place;
        let mut all = Vec::with_capacity(info.params.len());
        for (index, given) in values.given.into_iter().enumerate() {
            let param = &info.params[index];
            match given.or_else(|| param.default.clone()) {
                Some(value) => all.push((index, value)),
                None if values.seen[index] => {}
                None => {
                    let what = match param.help.as_str() {
                        "" => String::new(),
                        help => format!(": {help}"),
                    };
                    self.problem_at(
                        place,
                        format!(
                            "{} needs its param \"{}\"{what}",
                            self.describe(at),
                            param.name
                        ),
                        format!("add params = {{ {} = {} }}", param.name, example(param)),
                    );
                }
            }
        }
        Some(all)
    }

    /// The index of a param, or a problem.
    pub(super) fn find_param(
        &mut self,
        at: usize,
        info: &TypeInfo,
        name: &str,
        place: &Place,
    ) -> Option<usize> {
        let index = info.params.iter().position(|param| param.name == name);
        if index.is_none() {
            let names: Vec<&str> = info
                .params
                .iter()
                .map(|param| param.name.as_str())
                .collect();
            let remedy = match nearest(name, names.iter().copied()) {
                Some(near) => format!("write {}", quote(near)),
                None if names.is_empty() => "remove it; this node type has no params".to_owned(),
                None if names.len() == 1 => format!("its only param is {}", names[0]),
                None => format!("its params are {}", list(&names, "and")),
            };
            self.problem_at(
                place,
                format!("{} has no param {}", self.describe(at), quote(name)),
                remedy,
            );
        }
        index
    }

    /// The value, in the kind of the param, or a problem.
    pub(super) fn checked(
        &mut self,
        at: usize,
        param: &ParamInfo,
        raw: &RawValue,
        place: &Place,
    ) -> Option<ParamValue> {
        let refusal = match raw {
            RawValue::Other(what) => Refusal::Kind((*what).to_owned()),
            RawValue::Value(value) => match accept(param, value) {
                Ok(value) => return Some(value),
                Err(refusal) => refusal,
            },
        };
        let name = format!("param \"{}\" of {}", param.name, self.describe(at));
        let is_set = matches!(place, Place::Argument(_));
        let (cause, remedy) = match refusal {
            Refusal::Kind(found) => {
                let quoted = match raw {
                    RawValue::Value(ParamValue::Text(text)) if !is_set => Some(text),
                    _ => None,
                };
                let unquoted = quoted
                    .map(|text| from_text(param, text))
                    .and_then(|value| accept(param, &value).ok());
                let remedy = match unquoted {
                    Some(value) => format!("write {} = {value}, without quotes", param.name),
                    None if is_set => {
                        let node = super::plain(&self.document.nodes[at].name.value);
                        format!("write --set {node}.{}={}", param.name, example(param))
                    }
                    None => format!("write {} = {}", param.name, example(param)),
                };
                (
                    format!("{name} takes {}, not {found}", takes(param)),
                    remedy,
                )
            }
            Refusal::Range(side, number) => (
                format!("{name} is {number}{}, which is too {side}", unit(param)),
                format!("choose {}", takes(param)),
            ),
            Refusal::Choice(value, near) => (
                format!("{name} cannot be {}", quote(&value)),
                match near {
                    Some(near) => format!("write {}; it takes {}", quote(&near), takes(param)),
                    None => format!("choose {}", takes(param)),
                },
            ),
        };
        self.problem_at(place, cause, remedy);
        None
    }
}

/// The index of the param that a name which is none may have been meant for.
fn near_param(info: &TypeInfo, name: &str) -> Option<usize> {
    let near = nearest(name, info.params.iter().map(|param| param.name.as_str()))?;
    info.params.iter().position(|param| param.name == near)
}

/// Why a param does not take a value.
enum Refusal {
    /// It is of another kind; what it is instead, in words.
    Kind(String),
    /// It is beyond the range: on which side, and the number.
    Range(&'static str, f64),
    /// It is none of the choices; the choice that may have been meant.
    Choice(String, Option<String>),
}

fn accept(param: &ParamInfo, value: &ParamValue) -> Result<ParamValue, Refusal> {
    let number = match (&param.kind, value) {
        (ParamKind::Float, ParamValue::Float(number)) if number.is_finite() => *number,
        // Whole numbers beyond 2^53 lose their last digits here, as they would in any f64.
        (ParamKind::Float, ParamValue::Integer(number)) => *number as f64,
        (ParamKind::Integer, ParamValue::Integer(number)) => *number as f64,
        (ParamKind::Bool, ParamValue::Bool(_))
        | (ParamKind::Text | ParamKind::Path, ParamValue::Text(_)) => {
            return Ok(value.clone());
        }
        (ParamKind::Choice(choices), ParamValue::Text(text)) => {
            if choices.contains(text) {
                return Ok(value.clone());
            }
            let near = nearest(text, choices.iter().map(String::as_str)).map(str::to_owned);
            return Err(Refusal::Choice(text.clone(), near));
        }
        _ => return Err(Refusal::Kind(value.to_string())),
    };
    if param.min.is_some_and(|min| number < min) {
        return Err(Refusal::Range("low", number));
    }
    if param.max.is_some_and(|max| number > max) {
        return Err(Refusal::Range("high", number));
    }
    Ok(match param.kind {
        ParamKind::Float => ParamValue::Float(number),
        _ => value.clone(),
    })
}

/// What a param takes, in words: `a number from -60 to 24 dB`.
fn takes(param: &ParamInfo) -> String {
    let what = match &param.kind {
        ParamKind::Float => "a number",
        ParamKind::Integer => "a whole number",
        ParamKind::Bool => return "true or false".to_owned(),
        ParamKind::Text => return "text".to_owned(),
        ParamKind::Path => return "a path, as text".to_owned(),
        ParamKind::Choice(choices) => {
            let choices: Vec<String> = choices.iter().map(|choice| quote(choice)).collect();
            return list(&choices, "or");
        }
    };
    let unit = unit(param);
    match (param.min, param.max) {
        (Some(min), Some(max)) => format!("{what} from {min} to {max}{unit}"),
        (Some(min), None) => format!("{what} of at least {min}{unit}"),
        (None, Some(max)) => format!("{what} of at most {max}{unit}"),
        (None, None) if param.unit.is_empty() => what.to_owned(),
        (None, None) => format!("{what} in {}", param.unit),
    }
}

fn unit(param: &ParamInfo) -> String {
    match param.unit.as_str() {
        "" => String::new(),
        unit => format!(" {unit}"),
    }
}

/// A value that the param takes, as a graph file writes it: its default, or one within range.
fn example(param: &ParamInfo) -> String {
    if let Some(default) = &param.default {
        return default.to_string();
    }
    let number = 0_f64
        .max(param.min.unwrap_or(f64::MIN))
        .min(param.max.unwrap_or(f64::MAX));
    match &param.kind {
        ParamKind::Float => format!("{number:?}"),
        ParamKind::Integer => format!("{number:.0}"),
        ParamKind::Bool => "true".to_owned(),
        ParamKind::Text | ParamKind::Path => "\"...\"".to_owned(),
        ParamKind::Choice(choices) => quote(choices.first().map_or("...", String::as_str)),
    }
}
