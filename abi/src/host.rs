//! [`HostVTable`]: what the host does for a node.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{Buffer, Event, Format, Frame, Status, StreamInfo, Text};

/// Names a node instance to the host. Slot and generation: a stale handle is answered
/// [`Status::GONE`], so a late call is harmless.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, StableAbi)]
pub struct NodeHandle {
    /// Index of the node's entry in the host's table.
    pub slot: u32,
    /// Which of the entry's users is meant.
    pub generation: u32,
}

/// Levels of log records, as `tracing` orders them.
pub mod level {
    /// Something is broken.
    pub const ERROR: u32 = 1;
    /// Something is odd.
    pub const WARN: u32 = 2;
    /// What a user wants to know.
    pub const INFO: u32 = 3;
    /// What a developer wants to know.
    pub const DEBUG: u32 = 4;
    /// Everything.
    pub const TRACE: u32 = 5;
}

/// Where in a plugin's source a log record comes from. The texts live as long as the library.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct LogSite {
    /// One of [`level`].
    pub level: u32,
    /// Line in `file`, 0 when unknown.
    pub line: u32,
    /// Module path, such as `levada_gain`.
    pub target: Text,
    /// Source file, empty when unknown.
    pub file: Text,
}

/// Services of the host. Any thread may call any of them unless a field says otherwise; none
/// unwinds, none blocks longer than a short critical section. `host` is the field of that name.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostVTable {
    /// Size of this struct in bytes as the host knows it; later versions append fields.
    pub size: usize,
    /// The host's ABI version: `major << 16 | minor`.
    pub abi_version: u32,
    /// Passed back as the first argument of every function.
    pub host: *mut c_void,
    /// Answers 1 when the host wants records of this site.
    pub log_enabled: unsafe extern "C" fn(host: *mut c_void, site: *const LogSite) -> u8,
    /// Hands a record to the host's log; text beyond 8 KiB is cut.
    pub log: unsafe extern "C" fn(host: *mut c_void, site: *const LogSite, message: Text),
    /// Sets the text of the failure that the node's function is about to answer.
    pub error: unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, message: Text),
    /// Loans a unique, writable buffer of `len` bytes, content undefined. `FULL` at the memory
    /// limit.
    pub loan: unsafe extern "C" fn(
        host: *mut c_void,
        node: NodeHandle,
        len: usize,
        out: *mut Buffer,
    ) -> Status,
    /// Interns a format in the node's session and answers its id, or 0 when the table (64 a
    /// session) is full or the format is malformed.
    pub format_intern:
        unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, format: *const Format) -> u32,
    /// Answers the format with this id, or null. Only during a call of the node; the entry lives as long
    /// as the node.
    pub format_get:
        unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, id: u32) -> *const Format,
    /// Declares a stream of the node's session and answers its id (0..=65534), or -1 when the table
    /// (256 a session) is full. The same media and label get the same id.
    pub stream_declare:
        unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, info: *const StreamInfo) -> i32,
    /// Answers the stream with this id, or null. Only during a call of the node; the entry lives as long
    /// as the node.
    pub stream_get:
        unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, id: u32) -> *const StreamInfo,
    /// Hands frames in at an output port of a source, from a thread of the source's own: one call
    /// at a time a node. Answers how many were taken, from the front (their slots are emptied);
    /// the others stay with the caller. Negative is a [`Status`]: `GONE` once the node stops.
    pub ingest: unsafe extern "C" fn(
        host: *mut c_void,
        node: NodeHandle,
        port: u32,
        frames: *mut Frame,
        count: u32,
    ) -> i32,
    /// Says that a source will hand in no more frames: its session may end when it has drained.
    pub finish: unsafe extern "C" fn(host: *mut c_void, node: NodeHandle) -> Status,
    /// Asks for one call of `tick` soon.
    pub wake: unsafe extern "C" fn(host: *mut c_void, node: NodeHandle) -> Status,
    /// Asks for one call of `tick` at `deadline_ns` of the host's clock; replaces an earlier
    /// deadline of the same node.
    pub timer:
        unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, deadline_ns: i64) -> Status,
    /// The host's clock: ns since the engine started, monotonic.
    pub now: unsafe extern "C" fn(host: *mut c_void) -> i64,
    /// Raises an upstream event at an input port of the node.
    pub raise: unsafe extern "C" fn(
        host: *mut c_void,
        node: NodeHandle,
        port: u32,
        event: *const Event,
    ) -> Status,
    /// Declares that the node copied `bytes` of payload; they show in the report.
    pub copied: unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, bytes: u64),
    /// Declares that the node itself dropped `count` units before they became frames, or after
    /// they left the graph; they show in the report.
    pub dropped: unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, count: u64),
    /// Sends a downstream event (`FLUSH` or `GAP`) at an output port of a source, from a thread of the
    /// source's own and in order with what it ingests. `FULL` when the links have no room now, `INVALID`
    /// for another kind or a stream from 256 on, `GONE` once the node stops.
    pub signal: unsafe extern "C" fn(
        host: *mut c_void,
        node: NodeHandle,
        port: u32,
        event: *const Event,
    ) -> Status,
    /// Says how much media the node has played, recorded or worked through, in ns of the media's time, and of
    /// how much; `total_ns` is 0 or less where that is not known or has no end. The last call stands; it shows to
    /// the user, and in the report. Cheap enough for each frame.
    pub progress:
        unsafe extern "C" fn(host: *mut c_void, node: NodeHandle, done_ns: i64, total_ns: i64),
}

// SAFETY: the struct is immutable and its functions may be called from any thread (contract).
unsafe impl Send for HostVTable {}
// SAFETY: as above.
unsafe impl Sync for HostVTable {}
