//! Graphs: which nodes there are, what they are set to and how they are linked.
//!
//! A graph comes from a TOML file ([`parse`]) or from code ([`GraphBuilder`]). Both make a
//! [`Document`], the graph as it was written, with the place of every part. [`validate`] holds it
//! against a [`Catalog`] of node types and returns either a [`Graph`], complete and sound, or
//! [`Problems`]: every mistake at once, each with its place, its cause and its remedy.
//!
//! Parsing and validation are two steps because the plugins that a file names have to be built and
//! loaded in between, by the caller. What goes wrong there is handed to
//! [`Document::plugin_failed`], so that it comes out together with the rest, in the order of the
//! file, and so that node types which are missing *because of it* are not reported on top.
//!
//! What must hold:
//! * This module does no I/O and reads no clock: text in, graph or problems out.
//! * No text makes it panic, and its memory is bounded by the limits below.
//! * A [`Graph`] says of each link what it carries, within what its two ends state.
//! * A [`Graph`] has no cycle without a feedback link, no feedback link without a cycle, no dangling
//!   link, no input with two links, no unlinked required input, and a value within its range for
//!   every param of every node.
#![forbid(unsafe_code)]

mod builder;
mod catalog;
mod document;
mod format;
mod limits;
mod link_text;
mod model;
mod negotiate;
mod parse;
mod plan;
mod problem;
mod quote;
mod render;
mod steps;
pub mod units;
mod validate;
mod worst_case;

pub use builder::{GraphBuilder, NodeBuilder};
pub use catalog::{Catalog, Cost, Direction, ParamInfo, ParamKind, PortInfo, Refusal, TypeInfo};
pub use document::{
    At, Document, Endpoint, LinkEntry, NodeEntry, ParamEntry, PluginEntry, PluginSource, RawValue,
};
pub(crate) use format::text as format_text;
pub use format::{Key, MAX_ALTERNATIVES, MAX_PATTERNS, Media, Pattern, Values, parse_patterns};
pub use model::{
    Alternative, Convert, FormatChoice, Graph, Inserted, Limits, Link, Node, ParamValue, Policy,
    PortRef, PtsSync,
};
pub use parse::{parse, parse_bytes};
pub use plan::{Class, Plan, SegmentSummary};
pub(crate) use plan::{Entry, Need, PlanPort, PlanSegment, Route};
pub use problem::{Place, Problem, Problems, Source};
pub use quote::nearest;
pub(crate) use steps::{NONE, Step, Target, To};
pub use validate::{SetParam, validate};
pub use worst_case::{MemoryKind, MemoryPart, NodeLatency, WorstCase};

/// The longest graph file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// The most nodes a graph may have.
pub const MAX_NODES: usize = 1024;
/// The most links a graph may have.
pub const MAX_LINKS: usize = 4096;
/// The largest capacity of a link, in frames; the smallest is 1.
pub const MAX_CAPACITY: usize = 4096;
/// The longest side of a picture that a graph may declare, in pixels.
pub const MAX_PICTURE_SIDE: u32 = 16_384;
/// The largest picture of a graph that declares none, in pixels.
pub const DEFAULT_PICTURE: (u32, u32) = (1920, 1080);
/// The largest tolerance of a node with `sync = "pts"`, in ns.
pub const MAX_TOLERANCE_NS: i64 = 10_000_000_000;
/// The tolerance of one that states none, in ns.
pub const DEFAULT_TOLERANCE_NS: i64 = 10_000_000;
/// The most problems that are kept and printed; those beyond it are counted.
pub const MAX_PROBLEMS: usize = 256;
/// The longest name of a node, a plugin or a graph, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// The capacity of a link that states none, in frames.
pub const DEFAULT_CAPACITY: usize = 8;
/// The capacity of a link that states none, behind a live source whose param `mode` is `packets`:
/// one keyframe is hundreds of packets.
pub const DEFAULT_PACKET_CAPACITY: usize = 256;
