//! A graph as it was written: every part with its place, nothing looked up yet.

use std::sync::Arc;

use super::model::{Convert, Limits, ParamValue, Policy, PtsSync};
use super::problem::{Place, Problem, Problems, Source};
use super::quote::quote;
use super::units::show_duration;
use super::{MAX_CAPACITY, MAX_NAME_CHARS, MAX_PICTURE_SIDE, MAX_TOLERANCE_NS};

/// A part of a graph and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The part.
    pub value: T,
    /// Where it is written.
    pub place: Place,
}

impl<T> At<T> {
    pub(super) fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

/// A graph as it was written, and what is known to be wrong with it so far.
#[derive(Clone, Debug)]
pub struct Document {
    /// The graph's name: what it states, or what its file is called.
    pub name: String,
    /// The plugins it names, in the order of the file.
    pub plugins: Vec<PluginEntry>,
    /// Its nodes, in the order of the file.
    pub nodes: Vec<NodeEntry>,
    /// Its links, in the order of the file; a chain is several.
    pub links: Vec<LinkEntry>,
    /// What it is to keep to.
    pub limits: Limits,
    /// Whether converters are inserted on links that state nothing else.
    pub convert: Convert,
    pub(super) problems: Problems,
    /// The file it was read from; `None` for a graph made by code.
    pub(super) source: Option<Arc<Source>>,
    /// Where `links` is written.
    pub(super) links_place: Option<Place>,
    /// The text could not be read as a table at all: nothing else is judged.
    pub(super) broken: bool,
    /// Some nodes could not be read: their absence is no second problem.
    pub(super) nodes_missing: bool,
    /// Some links could not be read: that nodes are unlinked is no second problem.
    pub(super) links_missing: bool,
    /// Some plugins are not there: that node types are unknown is no second problem.
    pub(super) plugins_missing: bool,
}

impl Document {
    pub(super) fn new(name: String, source: Option<Arc<Source>>) -> Self {
        Self {
            name,
            plugins: Vec::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            limits: Limits::default(),
            convert: Convert::default(),
            problems: Problems::default(),
            source,
            links_place: None,
            broken: false,
            nodes_missing: false,
            links_missing: false,
            plugins_missing: false,
        }
    }

    /// What is wrong so far. [`super::validate`] repeats it, with what it finds itself.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// Adds a problem that the caller found.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports that a plugin of [`Document::plugins`] could not be built or loaded. The problem
    /// is placed at its path, and node types that are then unknown are not reported on top.
    pub fn plugin_failed(
        &mut self,
        plugin: usize,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.plugins_missing = true;
        let place = match self.plugins.get(plugin) {
            Some(entry) => entry.source_place.clone(),
            None => self.start(),
        };
        self.report(Problem::new(place, cause, remedy));
    }

    /// The place of what concerns the graph as a whole.
    pub(super) fn start(&self) -> Place {
        match &self.source {
            Some(source) => Place::File {
                source: Arc::clone(source),
                span: 0..0,
            },
            None => Place::Pipeline,
        }
    }
}

/// A plugin that a graph names.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginEntry {
    /// Its local name, which only messages use.
    pub name: String,
    /// Where its code comes from.
    pub source: PluginSource,
    /// Where its name is written.
    pub place: Place,
    /// Where its path is written.
    pub source_place: Place,
}

/// Where the code of a plugin comes from. Paths are as written: relative to the graph file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A crate, which is built when its sources are newer than its library.
    Crate {
        /// The folder of the crate.
        path: String,
    },
    /// A library, which is loaded as it is.
    Library {
        /// The library file.
        path: String,
    },
}

/// A node as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeEntry {
    /// Its name.
    pub name: At<String>,
    /// The name of its type; `None` if that could not be read, which was reported.
    pub type_name: Option<At<String>>,
    /// The params it states.
    pub params: Vec<ParamEntry>,
    /// How its inputs are aligned, where they are.
    pub sync: Option<At<PtsSync>>,
}

/// A param as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamEntry {
    /// Its name.
    pub name: At<String>,
    /// Its value.
    pub value: At<RawValue>,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum RawValue {
    /// A value that a param may have.
    Value(ParamValue),
    /// A value of the file format that no param has, by description: `a list`.
    Other(&'static str),
}

/// A link as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkEntry {
    /// Where it starts.
    pub from: Endpoint,
    /// Where it ends.
    pub to: Endpoint,
    /// Its policy, where it states one.
    pub policy: Option<Policy>,
    /// Its capacity, where it states one.
    pub capacity: Option<usize>,
    /// Whether it is marked as leading back.
    pub feedback: bool,
    /// Whether converters are inserted on it, where it states that.
    pub convert: Option<Convert>,
    /// Where it is written, from the one endpoint to the other.
    pub place: Place,
}

/// An end of a link, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The name of the node.
    pub node: At<String>,
    /// The name of the port; without one, the node's only port on this side is meant.
    pub port: Option<At<String>>,
    /// Where both are written.
    pub place: Place,
    /// Whether it stands inside a chain, where its port may be meant for either side.
    pub(super) inner: bool,
}

impl Endpoint {
    /// `node.port`, or `node` alone, as written.
    pub(super) fn text(&self) -> String {
        match &self.port {
            Some(port) => format!("{}.{}", self.node.value, port.value),
            None => self.node.value.clone(),
        }
    }
}

/// What is wrong with a name, if anything. `what` is `node`, `plugin` or `graph`.
pub(super) fn name_problem(what: &str, name: &str, place: &Place) -> Option<Problem> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.chars().count() > MAX_NAME_CHARS {
        return Some(Problem::new(
            place.clone(),
            format!("the {what} name {} is too long", quote(name)),
            format!("use at most {MAX_NAME_CHARS} characters"),
        ));
    }
    if !name.is_empty() && name.chars().all(fits) {
        return None;
    }
    let fixed = fitting_name(name);
    Some(Problem::new(
        place.clone(),
        format!("{} is not a {what} name", quote(name)),
        format!(
            "use lower-case letters, digits, \"_\" and \"-\", as in {}",
            quote(&fixed)
        ),
    ))
}

/// The nearest name that fits the rules.
pub(super) fn fitting_name(name: &str) -> String {
    let mapped: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '_' => c,
            _ => '-',
        })
        .take(MAX_NAME_CHARS)
        .collect();
    match mapped.trim_matches('-') {
        "" => "graph".to_owned(),
        fitting => fitting.to_owned(),
    }
}

/// A tolerance within its range, or what is wrong with it.
pub(super) fn tolerance_in_range(ns: u64, place: &Place) -> Result<PtsSync, Problem> {
    i64::try_from(ns)
        .ok()
        .filter(|ns| *ns <= MAX_TOLERANCE_NS)
        .map(|tolerance_ns| PtsSync { tolerance_ns })
        .ok_or_else(|| {
            Problem::new(
                place.clone(),
                format!("a tolerance of {} is too large", show_duration(ns)),
                format!(
                    "choose one from 0 ms to {}",
                    show_duration(MAX_TOLERANCE_NS.unsigned_abs())
                ),
            )
        })
}

/// Width and height within their range, or what is wrong with them.
pub(super) fn picture_in_range(sides: (u32, u32), place: &Place) -> Result<(u32, u32), Problem> {
    let range = 1..=MAX_PICTURE_SIDE;
    if range.contains(&sides.0) && range.contains(&sides.1) {
        return Ok(sides);
    }
    Err(Problem::new(
        place.clone(),
        format!(
            "a picture of {} by {} pixels is out of range",
            sides.0, sides.1
        ),
        format!("choose sides from 1 to {MAX_PICTURE_SIDE}"),
    ))
}

/// A capacity within its range, or what is wrong with it.
pub(super) fn capacity_in_range(capacity: i64, place: &Place) -> Result<usize, Problem> {
    usize::try_from(capacity)
        .ok()
        .filter(|capacity| (1..=MAX_CAPACITY).contains(capacity))
        .ok_or_else(|| {
            Problem::new(
                place.clone(),
                format!("a link cannot hold {capacity} frames"),
                format!("choose a capacity from 1 to {MAX_CAPACITY}"),
            )
        })
}
