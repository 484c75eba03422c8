//! What validation knows of node types, whatever they come from.
//!
//! The engine fills these plain structs from the descriptors of its plugins; tests fill them by
//! hand. Nothing here names the plugin ABI.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{Node, ParamValue};
use super::negotiate;

/// The node types that a graph may use.
pub trait Catalog {
    /// The node type of this name.
    fn get(&self, type_name: &str) -> Option<&TypeInfo>;
    /// The names of all node types, in the order in which messages list them.
    fn names(&self) -> Vec<&str>;

    /// What a linked port of a node accepts or offers, where more is known of it than its type states: the
    /// tracks of a file that one of its params names. Patterns, as in [`PortInfo::formats`] and within them.
    ///
    /// # Errors
    /// When the node cannot be used as it is: that file is not there.
    fn port_formats(&self, node: &Node, port: usize) -> Result<Option<Vec<String>>, Refusal> {
        let _ = (node, port);
        Ok(None)
    }

    /// How to get a converter for an encoding (`video/h264`) that the catalog has none for, as an
    /// imperative clause. The engine knows no plugin by name; its host may.
    fn hint(&self, encoding: &str) -> Option<&str> {
        let _ = encoding;
        None
    }
}

/// Why a node cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, as a clause without a full stop.
    pub cause: String,
    /// What to do, as an imperative clause without a full stop.
    pub remedy: String,
}

impl Catalog for BTreeMap<String, TypeInfo> {
    fn get(&self, type_name: &str) -> Option<&TypeInfo> {
        BTreeMap::get(self, type_name)
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

/// A node type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TypeInfo {
    /// Its name, as a graph file writes it.
    pub name: String,
    /// What it does, in one line.
    pub summary: String,
    /// The plugin that offers it.
    pub plugin: String,
    /// That plugin's version.
    pub plugin_version: String,
    /// Its ports. A [`super::PortRef`] counts in this list.
    pub ports: Vec<PortInfo>,
    /// Its params. A [`super::Node`]'s params count in this list.
    pub params: Vec<ParamInfo>,
    /// What a call of it costs.
    pub cost: Cost,
    /// Whether the engine may insert it by itself where the ends of a link do not agree: it then has one
    /// input and one output.
    pub converter: bool,
    /// Whether it produces frames at a pace that nobody can hold back: a peer, a device.
    pub live: bool,
    /// Time from a frame's coming in to its going out, beyond the time of the call, in ns.
    pub latency_ns: u64,
}

impl TypeInfo {
    /// The ports of one side, with their indices.
    pub(super) fn side(&self, side: Direction) -> impl Iterator<Item = (usize, &PortInfo)> {
        self.ports
            .iter()
            .enumerate()
            .filter(move |(_, port)| port.direction == side)
    }
}

/// What a call of a node costs, which decides where the scheduler runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// A few microseconds: runs inline.
    Light,
    /// A codec, a scaler: runs on the workers.
    Heavy,
    /// Waits for something outside: runs on a bounded pool of its own.
    Blocking,
}

/// The side of a node on which a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Takes frames.
    Input,
    /// Gives frames.
    Output,
}

impl Direction {
    /// `input` or `output`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Input => "input",
            Direction::Output => "output",
        }
    }
}

/// A port of a node type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortInfo {
    /// Its name, unique in its node type.
    pub name: String,
    /// Its side.
    pub direction: Direction,
    /// The formats it accepts or offers, as patterns ([`super::Pattern`]), the preferred ones first: `*`,
    /// `audio/*`, `video/vp8`, `audio/f32;rate=48000`. None at all means any, like `*`.
    pub formats: Vec<String>,
    /// The output that frames go on to which the node leaves where they are; inputs only.
    pub forwards_to: Option<usize>,
    /// Whether a graph must link it. Counts for inputs only: an output may stay unlinked.
    pub required: bool,
    /// Whether the node only reads the frames of this port.
    pub read_only: bool,
}

/// A param of a node type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParamInfo {
    /// Its name, unique in its node type.
    pub name: String,
    /// What values it takes.
    pub kind: ParamKind,
    /// Its value where the graph gives none; `None` if the graph has to give one.
    pub default: Option<ParamValue>,
    /// The smallest value, of a number.
    pub min: Option<f64>,
    /// The largest value, of a number.
    pub max: Option<f64>,
    /// The unit of a number, as printed behind it; empty where it has none.
    pub unit: String,
    /// What it does, in one line.
    pub help: String,
}

/// What values a param takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamKind {
    /// A finite number; a whole one may be written without a point.
    Float,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// Any text.
    Text,
    /// The path of a file or a folder, as text.
    Path,
    /// One of these texts.
    Choice(Vec<String>),
}

/// Whether two sets of format patterns have a format in common.
pub(super) fn formats_meet(a: &[String], b: &[String]) -> bool {
    negotiate::meet(a, b)
}
