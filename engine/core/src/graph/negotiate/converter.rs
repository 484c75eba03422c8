//! [`Converter`]: what the engine may insert, as negotiation sees it.

use crate::graph::catalog::{Catalog, Direction, ParamInfo, ParamKind, TypeInfo};
use crate::graph::format::{Key, Pattern, Values, parse_patterns};
use crate::graph::model::ParamValue;

/// A node type that the engine may insert.
pub(super) struct Converter<'a> {
    pub info: &'a TypeInfo,
    pub input: usize,
    pub output: usize,
    pub takes: Vec<Pattern>,
    pub gives: Vec<Pattern>,
    /// By key: the param of that name.
    keys: [Option<usize>; Key::ALL.len()],
    encoding: Option<usize>,
}

impl<'a> Converter<'a> {
    /// All of a catalog, in the order of their names.
    pub fn all(catalog: &'a dyn Catalog) -> Vec<Converter<'a>> {
        let mut names = catalog.names();
        names.sort_unstable();
        let types = names.into_iter().filter_map(|name| catalog.get(name));
        types.filter_map(Converter::new).collect()
    }

    /// `None` for a type that is no converter, or that a graph has to tell something first.
    fn new(info: &'a TypeInfo) -> Option<Converter<'a>> {
        if !info.converter {
            return None;
        }
        let only = |side: Direction| {
            let mut ports = info.side(side);
            ports.next().filter(|_| ports.next().is_none())
        };
        let ((input, takes), (output, gives)) = (only(Direction::Input)?, only(Direction::Output)?);
        let param = |name: &str| info.params.iter().position(|param| param.name == name);
        let number = |at: &usize| {
            let kind = &info.params[*at].kind;
            matches!(kind, ParamKind::Integer | ParamKind::Float)
        };
        let text = |at: &usize| {
            let kind = &info.params[*at].kind;
            matches!(kind, ParamKind::Text | ParamKind::Choice(_))
        };
        let converter = Converter {
            info,
            input,
            output,
            takes: stated(&takes.formats)?,
            gives: stated(&gives.formats)?,
            keys: Key::ALL.map(|key| param(key.as_str()).filter(number)),
            encoding: param("encoding").filter(text),
        };
        let is_known =
            |at: usize| converter.keys.contains(&Some(at)) || converter.encoding == Some(at);
        let mut needed = info.params.iter().enumerate();
        let knows_all = needed.all(|(at, param)| param.default.is_some() || is_known(at));
        knows_all.then_some(converter)
    }

    /// The values of a key that it can be told to make, where its output states `stated`.
    pub fn settable(&self, key: Key, stated: &Values) -> Option<Values> {
        let param = &self.info.params[self.keys[key as usize]?];
        let bound = |bound: Option<f64>, otherwise: u32| match bound {
            // A cast to an integer saturates.
            Some(bound) => bound as u32,
            None => otherwise,
        };
        let least = bound(param.min, key.least()).max(key.least());
        let range = Values::between(least, bound(param.max, u32::MAX))?;
        stated.meet(&range)
    }

    /// Whether it can be told to keep the values of a key that come in: 0 is within the range of the
    /// param.
    pub fn can_keep(&self, key: Key) -> bool {
        // Of how something is coded, 0 is a value.
        let of_key = self.keys[key as usize].filter(|_| !key.is_of_coding());
        of_key.is_some_and(|at| {
            let param = &self.info.params[at];
            param.min.is_none_or(|min| min <= 0.0) && param.max.is_none_or(|max| max >= 0.0)
        })
    }

    /// Whether it has to be told a value of a key.
    pub fn must_be_told(&self, key: Key) -> bool {
        self.keys[key as usize].is_some_and(|at| self.info.params[at].default.is_none())
    }

    /// What it makes of a key when it is told nothing.
    pub fn default_of(&self, key: Key) -> Option<u32> {
        let param = &self.info.params[self.keys[key as usize]?];
        number(param.default.as_ref()?, key)
    }

    /// Whether it can be told to make this encoding, or has no choice.
    pub fn makes_encoding(&self, gives: &Pattern) -> bool {
        match (self.encoding, gives.encoding()) {
            (Some(at), Some(name)) => match &self.info.params[at].kind {
                ParamKind::Choice(choices) => choices.iter().any(|choice| choice == name),
                _ => true,
            },
            // What it would make of several cannot be known.
            (None, Some(_)) => self.gives.iter().all(|other| other.is_encoded_as(gives)),
            (_, None) => true,
        }
    }

    /// All params, the ones that were chosen among them; 0 keeps what comes in.
    pub fn params(
        &self,
        chosen: &[Option<u32>; Key::ALL.len()],
        encoding: Option<&str>,
    ) -> Vec<(usize, ParamValue)> {
        let params = self.info.params.iter().enumerate();
        params
            .filter_map(|(at, param)| {
                let key = Key::ALL
                    .into_iter()
                    .find(|key| self.keys[*key as usize] == Some(at));
                let number = key.and_then(|key| chosen[key as usize]);
                let value = match (number, encoding) {
                    (Some(number), _) => Some(number_of(param, number)),
                    (None, Some(name)) if self.encoding == Some(at) => Some(name.into()),
                    _ => param.default.clone(),
                };
                Some((at, value?))
            })
            .collect()
    }
}

/// A value of a key that a param's value is.
pub(super) fn number(value: &ParamValue, key: Key) -> Option<u32> {
    let number = match value {
        ParamValue::Integer(value) => u32::try_from(*value).ok(),
        // A cast to an integer saturates.
        ParamValue::Float(value) if value.fract() == 0.0 => Some(*value as u32),
        _ => None,
    };
    number.filter(|number| *number >= key.least())
}

fn number_of(param: &ParamInfo, number: u32) -> ParamValue {
    match param.kind {
        ParamKind::Float => ParamValue::Float(number.into()),
        _ => ParamValue::Integer(number.into()),
    }
}

/// The patterns of a port; one that states none takes and gives anything. `None` where they cannot be
/// read.
pub(super) fn stated(formats: &[String]) -> Option<Vec<Pattern>> {
    read(formats).ok()
}

/// The same, or what is wrong with them.
pub(super) fn read(formats: &[String]) -> Result<Vec<Pattern>, String> {
    let mut patterns = parse_patterns(&formats.join(" "))?;
    if patterns.is_empty() {
        patterns.push(Pattern::ANY);
    }
    Ok(patterns)
}
