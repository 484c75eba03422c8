//! [`NodeTypeDesc`] and [`NodeVTable`]: what a plugin offers.
//!
//! Life cycle of an instance: `create_at` -> `start` -> `process` | `observe` | `tick` | `event`, in
//! any order and number -> `drain` -> `stop` -> `destroy`. The host calls one function of an
//! instance at a time, from any of its threads; state moves between threads. After a function
//! failed, only `stop` (if `start` succeeded) and `destroy` follow.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{Event, Frame, HostVTable, List, NodeHandle, Status, Text};

/// Direction of a port.
pub mod direction {
    /// Frames come in.
    pub const INPUT: u32 = 0;
    /// Frames go out.
    pub const OUTPUT: u32 = 1;
}

/// How much a node type costs to run; decides which threads run it.
pub mod cost {
    /// Up to some tens of microseconds a frame: runs inline with its neighbours, on any thread.
    pub const LIGHT: u32 = 0;
    /// More than that: runs on the workers, never on a foreign thread.
    pub const HEAVY: u32 = 1;
    /// May wait (files, devices): runs on threads set aside for that.
    pub const BLOCKING: u32 = 2;
}

/// The bits of [`NodeTypeDesc::flags`].
pub mod type_flags {
    /// A source that cannot be paused: what its links cannot take is lost.
    pub const LIVE: u32 = 1;
    /// The node belongs to one peer: a graph that contains it is a template for sessions.
    pub const PEER: u32 = 1 << 1;
    /// The host may insert such a node by itself where the ends of a link do not agree: it has one input
    /// and one output, and makes of what comes in what its output states. Params named `rate`, `channels`,
    /// `width`, `height` and `encoding` then say what is wanted; 0 keeps what comes in, where the param
    /// takes it. A frame that is as wanted already is passed on untouched.
    pub const CONVERTER: u32 = 1 << 2;
}

/// The bits of [`PortDesc::flags`].
pub mod port_flags {
    /// A graph that leaves the port unlinked is refused.
    pub const REQUIRED: u32 = 1;
    /// The node only looks: frames arrive by `observe` and stay the host's.
    pub const READ_ONLY: u32 = 1 << 1;
}

/// The value of [`PortDesc::forwards_to`] that means "nowhere: what is left is released".
pub const NOWHERE: u32 = u32::MAX;

/// A port of a node type. Ports are numbered from 0 in the order of the list, inputs and outputs
/// together.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct PortDesc {
    /// Name, `[a-z0-9_-]+`.
    pub name: Text,
    /// One of [`direction`].
    pub direction: u32,
    /// Any of [`port_flags`].
    pub flags: u32,
    /// Patterns of the formats that an input accepts or an output offers, separated by spaces, the
    /// preferred ones first: `*`, `audio/*`, `audio/f32 audio/s16`, `audio/f32;rate=48000;channels=1..2`.
    /// Sound has the keys `rate` and `channels`, pictures `width`, `height` and `reordering`; a value is a number, a range
    /// `a..b` or alternatives `a|b|c`. A key that is not stated: an input takes any, an output of a filter
    /// leaves it as it came in, one of a source may give anything.
    pub formats: Text,
    /// Input: number of the output port to which frames that are left in the slots go; [`NOWHERE`]
    /// for a sink.
    pub forwards_to: u32,
    /// Output: how many frames at most one call emits here for each input frame (for each call of
    /// `tick`, `event` or `drain`), forwarded ones included.
    pub max_out: u32,
}

/// Kinds of param values.
pub mod param_kind {
    /// 64-bit float.
    pub const FLOAT: u32 = 0;
    /// 64-bit integer.
    pub const INTEGER: u32 = 1;
    /// True or false.
    pub const BOOL: u32 = 2;
    /// Text.
    pub const TEXT: u32 = 3;
    /// One of a list of words.
    pub const CHOICE: u32 = 4;
    /// The path of a file or a folder, as text. The host takes one that a graph file gives, and that is
    /// relative, as relative to that file's folder.
    pub const PATH: u32 = 5;
}

/// A param of a node type.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct ParamDesc {
    /// Name, `[a-z0-9_-]+`.
    pub name: Text,
    /// One of [`param_kind`].
    pub kind: u32,
    /// 1 when the graph must give a value.
    pub required: u32,
    /// Value when none is given.
    pub default: ParamValue,
    /// Smallest number allowed; -infinity when there is no limit.
    pub min: f64,
    /// Largest number allowed; +infinity when there is no limit.
    pub max: f64,
    /// The words of a [`param_kind::CHOICE`], separated by spaces.
    pub choices: Text,
    /// Unit, such as `dB`; empty when there is none.
    pub unit: Text,
    /// One sentence.
    pub help: Text,
}

/// A param's value; `kind` of its [`ParamDesc`] says which field counts.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct ParamValue {
    /// [`param_kind::FLOAT`].
    pub float: f64,
    /// [`param_kind::INTEGER`], and [`param_kind::BOOL`] as 0 or 1.
    pub integer: i64,
    /// [`param_kind::TEXT`], [`param_kind::CHOICE`] and [`param_kind::PATH`].
    pub text: Text,
}

/// What a new instance is told. Valid during `create_at`; the host vtable lives for ever.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct NodeConfig {
    /// Size of this struct in bytes as the host knows it.
    pub size: usize,
    /// The instance's handle.
    pub node: NodeHandle,
    /// The session that the instance belongs to; one number for each session of a process.
    pub session: u64,
    /// The node's name in the graph.
    pub name: Text,
    /// Values in the order of the type's params.
    pub params: *const ParamValue,
    /// Number of values.
    pub params_len: usize,
    /// Bit `n` is set when port `n` is linked (the first 64 ports).
    pub linked_ports: u64,
    /// Services.
    pub host: *const HostVTable,
    /// [`NodeTypeDesc::data`].
    pub data: *const c_void,
    /// For each port, in the order of the type's ports: the patterns of what it will carry, as in
    /// [`PortDesc::formats`] and within them; empty for a port that is not linked. Null when the host
    /// negotiates nothing.
    pub formats: *const Text,
    /// Number of those texts.
    pub formats_len: usize,
}

/// How a node hands frames on during a call. Valid during that call, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Context {
    /// Passed back as the first argument of `emit`.
    pub call: *mut c_void,
    /// Takes a frame for an output port, emptying the slot. `FULL`, and the frame stays, beyond the
    /// port's `max_out`; `INVALID` for a port that is no output. Frames for an unlinked port are
    /// released and counted.
    pub emit: unsafe extern "C" fn(call: *mut c_void, port: u32, frame: *mut Frame) -> Status,
    /// Sends a downstream event ([`FLUSH`](crate::event::kind::FLUSH) or
    /// [`GAP`](crate::event::kind::GAP)) at an output port, behind what was emitted there so far.
    /// `INVALID` for another kind, a stream from 256 on, or a port that is no output; `FULL` beyond 256 in one call.
    pub signal: unsafe extern "C" fn(call: *mut c_void, port: u32, event: *const Event) -> Status,
}

/// The functions of a node type. None may unwind.
#[repr(C)]
#[derive(StableAbi)]
pub struct NodeVTable {
    /// Size of this struct in bytes as its maker knew it; later versions append fields.
    pub size: usize,
    /// Makes an instance in `memory` (`state_size` bytes, aligned to `state_align`, its address
    /// fixed for life). On failure the memory counts as unused.
    pub create_at: unsafe extern "C" fn(memory: *mut c_void, config: *const NodeConfig) -> Status,
    /// Begins work: from here on the node may ingest and set timers. It cannot emit
    /// yet; events that it sends come before its first frame.
    pub start: unsafe extern "C" fn(node: *mut c_void, ctx: *const Context) -> Status,
    /// Takes a batch at an input port. A frame is the node's once it has emptied the slot; what
    /// lies in the slots on return is the host's: forwarded to `forwards_to` on success (behind
    /// what was emitted), released and counted on failure.
    pub process: unsafe extern "C" fn(
        node: *mut c_void,
        port: u32,
        frames: *mut Frame,
        count: u32,
        ctx: *const Context,
    ) -> Status,
    /// Looks at a batch at a read-only input port.
    pub observe: unsafe extern "C" fn(
        node: *mut c_void,
        port: u32,
        frames: *const Frame,
        count: u32,
        ctx: *const Context,
    ) -> Status,
    /// Called after `wake`, or when a timer is due.
    pub tick: unsafe extern "C" fn(node: *mut c_void, ctx: *const Context) -> Status,
    /// Takes an event at a port; `UNSUPPORTED` when the node does not handle it.
    pub event: unsafe extern "C" fn(
        node: *mut c_void,
        port: u32,
        event: *const Event,
        ctx: *const Context,
    ) -> Status,
    /// Emits what is still held: every input has ended, or the source is asked to end.
    pub drain: unsafe extern "C" fn(node: *mut c_void, ctx: *const Context) -> Status,
    /// Ends the node's own threads and late calls; returns when there are none left.
    pub stop: unsafe extern "C" fn(node: *mut c_void) -> Status,
    /// Destroys the instance; the memory is the host's again.
    pub destroy: unsafe extern "C" fn(node: *mut c_void),
    /// Answers an extension by name, such as [`OFFERS`](crate::OFFERS), or null; static, and the same at
    /// every call.
    pub get_ext: unsafe extern "C" fn(name: Text) -> *const c_void,
}

/// A node type.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct NodeTypeDesc {
    /// Size of this struct in bytes as its maker knew it.
    pub size: usize,
    /// Name, `[a-z0-9_-]+`.
    pub name: Text,
    /// One sentence: a verb and the result.
    pub summary: Text,
    /// Ports.
    pub ports: List<PortDesc>,
    /// Params.
    pub params: List<ParamDesc>,
    /// One of [`cost`].
    pub cost: u32,
    /// Any of [`type_flags`].
    pub flags: u32,
    /// Time from a frame's coming in to its going out, ns, beyond the time of the call.
    pub latency_ns: u64,
    /// Size of an instance in bytes.
    pub state_size: usize,
    /// Alignment of an instance in bytes, a power of two of at most 4096.
    pub state_align: usize,
    /// The functions.
    pub vtable: *const NodeVTable,
    /// Passed to every instance in [`NodeConfig::data`]; null unless the type wants it.
    pub data: *const c_void,
}

// SAFETY: descriptors are immutable, their pointers name static memory, and `data` is only handed
// back to the type's own functions, which may run on any thread.
unsafe impl Send for NodeTypeDesc {}
// SAFETY: as above.
unsafe impl Sync for NodeTypeDesc {}
