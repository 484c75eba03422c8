//! The graph that the engine plans from: valid, complete, and plain to walk.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::document::At;
use super::format::Pattern;
use super::problem::Place;

/// A valid graph. [`super::validate`] makes it and says what holds of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Its name; a graph that states none has that of its file.
    pub name: String,
    /// Its nodes, in the order in which they were written, and behind them those that the engine
    /// inserted.
    pub nodes: Vec<Node>,
    /// Its links, in the order in which they were written. One on which something is converted is
    /// several, one behind the other.
    pub links: Vec<Link>,
    /// What it must keep to.
    pub limits: Limits,
    /// The encodings that were chosen among several.
    pub choices: Vec<FormatChoice>,
}

impl Graph {
    /// The nodes, each behind all that feed it, feedback links left out; among equals, in the order
    /// in which they were written. It holds every node once, because every cycle of a graph has a
    /// feedback link.
    pub fn topological_order(&self) -> Vec<usize> {
        let mut waiting = vec![0_usize; self.nodes.len()];
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for link in self.links.iter().filter(|link| !link.feedback) {
            waiting[link.to.node] += 1;
            consumers[link.from.node].push(link.to.node);
        }
        let mut order: Vec<usize> = (0..self.nodes.len()).filter(|n| waiting[*n] == 0).collect();
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next += 1;
            for consumer in &consumers[node] {
                waiting[*consumer] -= 1;
                if waiting[*consumer] == 0 {
                    order.push(*consumer);
                }
            }
        }
        order
    }
}

/// What a graph must keep to at worst; [`super::Plan::new`] refuses one that cannot.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Memory of a session, in bytes.
    pub memory: Option<At<u64>>,
    /// The sum of what the nodes on any way from a source to a sink declare as their latency, in ns.
    pub latency_ns: Option<At<u64>>,
    /// Width and height of the largest picture that counts for the worst case, in pixels.
    pub picture: (u32, u32),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            latency_ns: None,
            picture: super::DEFAULT_PICTURE,
        }
    }
}

/// A node of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, unique in the graph.
    pub name: String,
    /// The name of its type.
    pub type_name: String,
    /// The value of every param of its type, by index into [`super::TypeInfo::params`], ascending
    /// and without gaps: what the graph leaves out has its default.
    pub params: Vec<(usize, ParamValue)>,
    /// How its inputs are aligned, where they are: with `sync = "pts"`.
    pub sync: Option<PtsSync>,
    /// Where its name is written; for one that the engine inserted, where the link is.
    pub place: Place,
    /// Why the engine inserted it; `None` for a node of the file.
    pub inserted: Option<Inserted>,
}

/// What the engine inserted a converter for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inserted {
    /// The links of the file that it is for, as `node.port -> node.port`.
    pub links: Vec<String>,
    /// What comes to it.
    pub takes: Pattern,
    /// What it makes.
    pub gives: Pattern,
    /// Why the first of the links needs it: what is accepted, and what comes.
    pub why: String,
    /// What it costs, in the unit of the engine's table.
    pub cost: u32,
    /// What else its link could have been converted to, and what the whole chain would have cost.
    pub instead: Vec<Alternative>,
}

/// A format that could have been taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// Its media and encoding.
    pub format: String,
    /// What the conversions would have cost; `None` where it would not have done.
    pub cost: Option<u32>,
}

/// An encoding that was chosen among those that an output offers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FormatChoice {
    /// The output, as `node.port`.
    pub port: String,
    /// What it will send: media and encoding.
    pub format: String,
    /// What all conversions of the graph cost.
    pub cost: u32,
    /// What else it offers, with what all conversions of the graph would have cost then.
    pub others: Vec<Alternative>,
}

/// The inputs of a node are merged in the order of their frames' `pts`, those of feedback links
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PtsSync {
    /// Frames whose `pts` are this near to each other count as simultaneous, in ns; 0 to
    /// [`super::MAX_TOLERANCE_NS`].
    pub tolerance_ns: i64,
}

/// A link from an output to an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The output that feeds it.
    pub from: PortRef,
    /// The input that it feeds; no other link does.
    pub to: PortRef,
    /// What happens when it is full.
    pub policy: Policy,
    /// How many frames it holds, 1 to [`super::MAX_CAPACITY`].
    pub capacity: usize,
    /// Whether it leads back to a node that its frames come from. It starts empty, is always a
    /// queue, and does not keep its consumer from ending.
    pub feedback: bool,
    /// What it carries: one pattern for each encoding, as a rule one for each kind of media. Never none.
    pub formats: Vec<Pattern>,
    /// Where it is written.
    pub place: Place,
}

/// A port of a node of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRef {
    /// Index into [`Graph::nodes`].
    pub node: usize,
    /// Index into [`super::TypeInfo::ports`] of the node's type.
    pub port: usize,
}

/// Whether the engine inserts converters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convert {
    /// Where the ends of a link do not agree.
    #[default]
    Auto,
    /// Never: then such a link is a problem.
    Never,
}

/// What a link does with a frame that finds it full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Holds the producer back until there is room; nothing is lost.
    Block,
    /// Drops the oldest frame that waits, and counts it.
    DropOldest,
    /// Drops the new frame, and counts it.
    DropNewest,
    /// Drops all that wait: a consumer sees the newest frame only.
    Latest,
}

impl Policy {
    /// All policies, in the order in which messages list them.
    pub const ALL: [Policy; 4] = [
        Policy::Block,
        Policy::DropOldest,
        Policy::DropNewest,
        Policy::Latest,
    ];

    /// The name, as a graph file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Block => "block",
            Policy::DropOldest => "drop-oldest",
            Policy::DropNewest => "drop-newest",
            Policy::Latest => "latest",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == name)
            .ok_or(())
    }
}

/// The value of a param.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A finite number.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// Text; also the value of a choice.
    Text(String),
}

impl fmt::Display for ParamValue {
    /// Prints the value as a graph file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamValue::Float(value) => write!(f, "{value:?}"),
            ParamValue::Integer(value) => write!(f, "{value}"),
            ParamValue::Bool(value) => write!(f, "{value}"),
            ParamValue::Text(value) => f.write_str(&super::quote::quote(value)),
        }
    }
}

impl From<f64> for ParamValue {
    fn from(value: f64) -> Self {
        ParamValue::Float(value)
    }
}

impl From<i64> for ParamValue {
    fn from(value: i64) -> Self {
        ParamValue::Integer(value)
    }
}

impl From<i32> for ParamValue {
    fn from(value: i32) -> Self {
        ParamValue::Integer(value.into())
    }
}

impl From<bool> for ParamValue {
    fn from(value: bool) -> Self {
        ParamValue::Bool(value)
    }
}

impl From<&str> for ParamValue {
    fn from(value: &str) -> Self {
        ParamValue::Text(value.to_owned())
    }
}

impl From<String> for ParamValue {
    fn from(value: String) -> Self {
        ParamValue::Text(value)
    }
}
