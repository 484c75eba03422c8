//! Runs one node without an engine, for a plugin's own tests.
//!
//! The harness is a small host: it drives the same function table as an engine does, on the calling
//! thread, so a test sees what the engine would see. Timers do not fire by themselves:
//! [`Harness::tick`] is the clock.
//!
//! ```
//! use levada_plugin::{harness::Harness, prelude::*};
//! # struct Pass;
//! # impl Node for Pass {
//! #     const NAME: &'static str = "pass";
//! #     const SUMMARY: &'static str = "Passes frames on";
//! #     const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];
//! #     fn create(_: &Config) -> Result<Self> { Ok(Pass) }
//! # }
//! let mut harness = Harness::<Pass>::new(&[])?;
//! let frame = Frame::from_bytes(Kind::Data, "hello".into());
//! let out = harness.push(0, vec![frame])?;
//! assert_eq!(out[0].1.payload(), b"hello");
//! # Ok::<(), Error>(())
//! ```

mod told;

use std::{
    alloc::Layout,
    cell::Cell,
    ffi::c_void,
    marker::PhantomData,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::BytesMut;
use levada_abi::{
    self as abi, Buffer, BufferVTable, Event, HostVTable, LogSite, NOWHERE, NodeConfig, NodeHandle,
    NodeTypeDesc, ParamValue, PortDesc, RawBuffer, Status, StreamInfo, Text, direction, param_kind,
    port_flags,
};

use crate::{
    buffer::Loan,
    error::{Error, Result},
    format::Format,
    frame::{Frame, Kind},
    glue::Glue,
    host::Host,
    node::Node,
};

/// A param's value for a node under test.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// Text, or a choice.
    Text(&'static str),
}

/// What the node under test told its host.
#[derive(Default)]
struct Told {
    error: String,
    /// The texts of the second point into the first's heap memory, which does not move; so do those of streams.
    formats: Vec<(Format, Box<abi::Format>)>,
    streams: Vec<(u32, String, Box<StreamInfo>)>,
    copied: u64,
    dropped: u64,
    progress: Option<(i64, Option<i64>)>,
    raised: Vec<(u32, Event)>,
    signalled: Vec<(usize, Event)>,
    ingested: Vec<(usize, Frame)>,
    deadline: Option<i64>,
}

/// Harnesses of this process by the slot of their node's handle.
static TOLD: Mutex<Vec<(u32, Told)>> = Mutex::new(Vec::new());
static NEXT: AtomicU32 = AtomicU32::new(1);
/// The most formats that a node may have, as in an engine's session. A test's own come on top.
const MAX_FORMATS: usize = 64;

thread_local! {
    /// The clock that nodes under test see on this thread.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn told() -> MutexGuard<'static, Vec<(u32, Told)>> {
    // A test that panicked while holding the lock leaves data that is still whole.
    TOLD.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn with_told<R>(node: NodeHandle, gone: R, f: impl FnOnce(&mut Told) -> R) -> R {
    match told().iter_mut().find(|(slot, _)| *slot == node.slot) {
        Some((_, told)) => f(told),
        None => gone,
    }
}

/// One node under test. It has been started; dropping it drains nothing, stops and destroys it.
pub struct Harness<N: Node> {
    memory: *mut c_void,
    handle: NodeHandle,
    desc: NodeTypeDesc,
    started: bool,
    node: PhantomData<N>,
}

/// Frames that a call emitted or forwarded, with their output port.
pub type Output = Vec<(usize, Frame)>;

impl<N: Node> Harness<N> {
    const LAYOUT: Layout = {
        let desc = Glue::<N>::DESC;
        match Layout::from_size_align(desc.state_size, desc.state_align) {
            Ok(layout) => layout,
            Err(_) => panic!("a type's size and alignment make a layout"),
        }
    };

    /// Creates and starts an instance; params that are not given have their defaults.
    ///
    /// # Errors
    /// What `create` or `start` answered, or a param that the type does not declare.
    pub fn new(params: &[(&str, Value)]) -> Result<Self> {
        Self::make(params, &[], u64::MAX)
    }

    /// The same, in a graph whose links carry `formats`: patterns for each port, by its name, as
    /// [`Config::formats`](crate::Config::formats) answers them; `""` for those that are not named.
    ///
    /// # Errors
    /// As [`Harness::new`], or a port that the type does not have.
    pub fn with_formats(params: &[(&str, Value)], formats: &[(&str, &str)]) -> Result<Self> {
        Self::make(params, formats, u64::MAX)
    }

    /// As [`new`](Harness::new), with only those ports linked whose bit is set, port 0's the lowest.
    ///
    /// # Errors
    /// As there.
    pub fn with_linked_ports(params: &[(&str, Value)], linked_ports: u64) -> Result<Self> {
        Self::make(params, &[], linked_ports)
    }

    /// What [`Node::OFFERS`] says of a port; `None` where it cannot say, or the type has none.
    ///
    /// # Errors
    /// What it answered, also when it panicked, or a param that the type does not declare.
    pub fn offers(params: &[(&str, Value)], port: usize) -> Result<Option<String>> {
        let desc = Glue::<N>::DESC;
        let values = values::<N>(params)?;
        // SAFETY: the type's own function, and a name that is valid.
        let table = unsafe { ((*desc.vtable).get_ext)(Text::new(abi::OFFERS)) };
        if table.is_null() {
            return Ok(None);
        }
        let config = NodeConfig {
            size: size_of::<NodeConfig>(),
            node: NodeHandle {
                slot: NEXT.fetch_add(1, Ordering::Relaxed),
                generation: 0,
            },
            session: 0,
            name: Text::new(N::NAME),
            params: values.as_ptr(),
            params_len: values.len(),
            linked_ports: 1 << port,
            host: &raw const HOST,
            data: std::ptr::null(),
            formats: std::ptr::null(),
            formats_len: 0,
        };
        unsafe extern "C" fn keep(call: *mut c_void, text: Text) {
            // SAFETY: `call` is the text below, and `text` is valid during the call.
            unsafe { *call.cast::<String>() = text.as_str().to_owned() };
        }
        let mut said = String::new();
        // SAFETY: under this name lies a table of this type, config and text are valid for the call.
        let status = unsafe {
            let table = &*table.cast::<abi::OffersVTable>();
            (table.formats)(&raw const config, port as u32, (&raw mut said).cast(), keep)
        };
        match status {
            Status::UNSUPPORTED => Ok(None),
            status if status.is_ok() => Ok(Some(said)),
            _ => Err(Error::new(said)),
        }
    }

    fn make(params: &[(&str, Value)], formats: &[(&str, &str)], linked_ports: u64) -> Result<Self> {
        let mut carried = vec![Text::EMPTY; N::PORTS.len()];
        for (name, patterns) in formats {
            // SAFETY: names of ports are static text.
            let is_it = |port: &crate::Port| unsafe { port.0.name.as_str() } == *name;
            let port = N::PORTS.iter().position(is_it);
            let port = port.ok_or_else(|| Error::new(format_args!("no port \"{name}\"")))?;
            carried[port] = Text::new(patterns);
        }
        let desc = Glue::<N>::DESC;
        let values = values::<N>(params)?;
        let handle = NodeHandle {
            slot: NEXT.fetch_add(1, Ordering::Relaxed),
            generation: 0,
        };
        told().push((handle.slot, Told::default()));
        // SAFETY: a node's state holds at least its `Host`, so the layout is not of size zero.
        let memory = unsafe { std::alloc::alloc(Self::LAYOUT) };
        if memory.is_null() {
            std::alloc::handle_alloc_error(Self::LAYOUT);
        }
        let config = NodeConfig {
            size: size_of::<NodeConfig>(),
            node: handle,
            session: u64::from(handle.slot),
            name: Text::new(N::NAME),
            params: values.as_ptr(),
            params_len: values.len(),
            linked_ports,
            host: &raw const HOST,
            data: std::ptr::null(),
            formats: carried.as_ptr(),
            formats_len: carried.len(),
        };
        // SAFETY: memory and config are as the contract asks.
        let status = unsafe { ((*desc.vtable).create_at)(memory.cast(), &raw const config) };
        if !status.is_ok() {
            // SAFETY: allocated above with the same layout; a failed create leaves nothing in it.
            unsafe { std::alloc::dealloc(memory, Self::LAYOUT) };
            return Err(take_error(handle, true));
        }
        let mut harness = Harness {
            memory: memory.cast(),
            handle,
            desc,
            started: false,
            node: PhantomData,
        };
        harness.call(0, |vtable, node, ctx| {
            // SAFETY: a live instance, and a context for the call.
            unsafe { (vtable.start)(node, ctx) }
        })?;
        harness.started = true;
        Ok(harness)
    }

    /// Makes one call with a context, and returns what was emitted.
    fn call(
        &mut self,
        batch: usize,
        f: impl FnOnce(&abi::NodeVTable, *mut c_void, *const abi::Context) -> Status,
    ) -> Result<Output> {
        let mut call = Call {
            emitted: vec![],
            signalled: vec![],
            ports: ports(&self.desc),
            batch: batch.max(1),
        };
        let context = abi::Context {
            call: (&raw mut call).cast(),
            emit,
            signal,
        };
        // SAFETY: the vtable of a node type is static.
        let status = f(
            unsafe { &*self.desc.vtable },
            self.memory,
            &raw const context,
        );
        with_told(self.handle, (), |told| {
            told.signalled.append(&mut call.signalled)
        });
        if status.is_ok() {
            Ok(call.emitted)
        } else {
            Err(take_error(self.handle, false))
        }
    }

    /// Hands a batch to an input port and returns what comes out: what was emitted, then what was
    /// forwarded in place.
    ///
    /// # Errors
    /// What the node answered.
    pub fn push(&mut self, port: usize, frames: Vec<Frame>) -> Result<Output> {
        let desc = ports(&self.desc)
            .get(port)
            .copied()
            .filter(|p| p.direction == direction::INPUT)
            .ok_or_else(|| Error::new(format_args!("port {port} is no input")))?;
        let mut slots: Vec<abi::Frame> = frames.into_iter().map(Frame::into_abi).collect();
        let count = slots.len() as u32;
        let mut kept = false;
        let mut out = self.call(slots.len(), |vtable, node, ctx| {
            // SAFETY: a live instance, `count` slots, and a context for the call.
            let status = unsafe {
                if desc.flags & port_flags::READ_ONLY == 0 {
                    (vtable.process)(node, port as u32, slots.as_mut_ptr(), count, ctx)
                } else {
                    (vtable.observe)(node, port as u32, slots.as_ptr(), count, ctx)
                }
            };
            kept = status == Status::KEPT;
            status
        })?;
        if kept && slots.iter().any(abi::Frame::is_empty_slot) {
            return Err(Error::new("it answered KEPT and left a slot empty"));
        }
        if desc.forwards_to != NOWHERE {
            let to = desc.forwards_to as usize;
            let forwarded = slots.into_iter().filter_map(Frame::from_abi);
            out.extend(forwarded.map(|frame| (to, frame)));
            // As an engine counts: what is forwarded is put out as well.
            let most = ports(&self.desc).get(to).map_or(0, |p| p.max_out) as usize * count as usize;
            if out.iter().filter(|(port, _)| *port == to).count() > most {
                return Err(Error::new(format_args!(
                    "it put out more frames at port {to} in one call than the port's max_out allows"
                )));
            }
        }
        Ok(out)
    }

    /// Sets the clock to `now_ns` and calls `tick`.
    ///
    /// # Errors
    /// What the node answered.
    pub fn tick(&mut self, now_ns: i64) -> Result<Output> {
        NOW.set(now_ns);
        self.call(0, |vtable, node, ctx| {
            // SAFETY: a live instance, and a context for the call.
            unsafe { (vtable.tick)(node, ctx) }
        })
    }

    /// Delivers an event at a port; `false` when the node does not handle it.
    ///
    /// # Errors
    /// What the node answered.
    pub fn event(&mut self, port: usize, event: Event) -> Result<bool> {
        let mut handled = true;
        self.call(0, |vtable, node, ctx| {
            // SAFETY: a live instance, a valid event, and a context for the call.
            let status = unsafe { (vtable.event)(node, port as u32, &raw const event, ctx) };
            handled = status != Status::UNSUPPORTED;
            if handled { status } else { Status::OK }
        })?;
        Ok(handled)
    }

    /// Asks for what the node still holds.
    ///
    /// # Errors
    /// What the node answered.
    pub fn drain(&mut self) -> Result<Output> {
        self.call(0, |vtable, node, ctx| {
            // SAFETY: a live instance, and a context for the call.
            unsafe { (vtable.drain)(node, ctx) }
        })
    }

    /// A writable buffer, as a source would get it on loan.
    ///
    /// # Errors
    /// Never for a live harness.
    pub fn loan(&self, len: usize) -> Result<Loan> {
        self.host().loan(len)
    }

    /// The id of a format, as frames carry it.
    pub fn format_id(&self, format: &Format) -> u32 {
        with_told(self.handle, 0, |told| intern(told, format.clone()))
    }

    /// The format with an id that a frame of the node carries, if there is one.
    #[must_use]
    pub fn format(&self, id: u32) -> Option<Format> {
        with_told(self.handle, None, |told| {
            let at = (id as usize).checked_sub(1)?;
            told.formats.get(at).map(|entry| entry.0.clone())
        })
    }

    /// The id of a stream with this label, as frames carry it.
    ///
    /// # Errors
    /// Never for a live harness.
    pub fn stream_id(&self, kind: Kind, label: &str) -> Result<u16> {
        self.host().stream_id(kind, label)
    }

    fn host(&self) -> Host {
        // SAFETY: the harness's vtable is static.
        unsafe { Host::new(&raw const HOST, self.handle) }
    }
}

impl<N: Node> Drop for Harness<N> {
    fn drop(&mut self) {
        // SAFETY: a live instance, stopped and destroyed once; its memory was allocated with this
        // layout.
        unsafe {
            let vtable = &*self.desc.vtable;
            if self.started {
                let _ = (vtable.stop)(self.memory);
            }
            (vtable.destroy)(self.memory);
            std::alloc::dealloc(self.memory.cast(), Self::LAYOUT);
        }
        told().retain(|(slot, _)| *slot != self.handle.slot);
    }
}

/// The values of a type's params; those that are not given have their defaults.
fn values<N: Node>(params: &[(&str, Value)]) -> Result<Vec<ParamValue>> {
    let mut values: Vec<ParamValue> = N::PARAMS.iter().map(|p| p.0.default).collect();
    for (name, value) in params {
        let (index, param) = N::PARAMS
            .iter()
            .enumerate()
            // SAFETY: names of params are static text.
            .find(|(_, p)| unsafe { p.0.name.as_str() } == *name)
            .ok_or_else(|| Error::new(format_args!("no param \"{name}\"")))?;
        match (param.0.kind, value) {
            (param_kind::FLOAT, Value::Float(v)) => values[index].float = *v,
            (param_kind::INTEGER, Value::Integer(v)) => values[index].integer = *v,
            (param_kind::BOOL, Value::Bool(v)) => values[index].integer = i64::from(*v),
            (param_kind::TEXT | param_kind::CHOICE | param_kind::PATH, Value::Text(v)) => {
                values[index].text = Text::new(v);
            }
            _ => {
                return Err(Error::new(format_args!(
                    "param \"{name}\" is of another kind"
                )));
            }
        }
    }
    Ok(values)
}

fn ports(desc: &NodeTypeDesc) -> &'static [PortDesc] {
    // SAFETY: the lists of a node type's descriptor are static.
    unsafe { desc.ports.as_slice() }
}

fn take_error(node: NodeHandle, remove: bool) -> Error {
    let text = with_told(node, String::new(), |told| std::mem::take(&mut told.error));
    if remove {
        told().retain(|(slot, _)| *slot != node.slot);
    }
    Error::new(text)
}

fn intern(told: &mut Told, format: Format) -> u32 {
    let at = told
        .formats
        .iter()
        .position(|f| f.0 == format)
        .unwrap_or_else(|| {
            let abi = Box::new(format.with_abi(|f| *f));
            told.formats.push((format, abi));
            told.formats.len() - 1
        });
    at as u32 + 1
}

/// What a context's `emit` writes to.
struct Call {
    emitted: Output,
    signalled: Vec<(usize, Event)>,
    ports: &'static [PortDesc],
    batch: usize,
}

unsafe extern "C" fn emit(call: *mut c_void, port: u32, frame: *mut abi::Frame) -> Status {
    // SAFETY: `call` is the `Call` of the running `Harness::call`, and `frame` a slot (contract).
    let (call, slot) = unsafe { (&mut *call.cast::<Call>(), &mut *frame) };
    let Some(desc) = call
        .ports
        .get(port as usize)
        .filter(|p| p.direction == direction::OUTPUT)
    else {
        return Status::INVALID;
    };
    let so_far = call
        .emitted
        .iter()
        .filter(|(p, _)| *p == port as usize)
        .count();
    if so_far >= desc.max_out as usize * call.batch {
        return Status::FULL;
    }
    if let Some(frame) = Frame::from_abi(std::mem::take(slot)) {
        call.emitted.push((port as usize, frame));
    }
    Status::OK
}

unsafe extern "C" fn signal(call: *mut c_void, port: u32, event: *const Event) -> Status {
    // SAFETY: as in `emit`; the event is valid for the call.
    let (call, event) = unsafe { (&mut *call.cast::<Call>(), *event) };
    let is_output = |p: &&PortDesc| p.direction == direction::OUTPUT;
    if !event.is_in_band() || call.ports.get(port as usize).filter(is_output).is_none() {
        return Status::INVALID;
    }
    call.signalled.push((port as usize, event));
    Status::OK
}

static HOST: HostVTable = HostVTable {
    size: size_of::<HostVTable>(),
    abi_version: abi::ABI_VERSION,
    host: std::ptr::null_mut(),
    log_enabled: host_log_enabled,
    log: host_log,
    error: host_error,
    loan: host_loan,
    format_intern: host_format_intern,
    format_get: host_format_get,
    stream_declare: host_stream_declare,
    stream_get: host_stream_get,
    ingest: host_ingest,
    finish: host_handle_only,
    wake: host_handle_only,
    timer: host_timer,
    now: host_now,
    raise: host_raise,
    copied: host_copied,
    dropped: host_dropped,
    signal: host_signal,
    progress: told::progress,
};

unsafe extern "C" fn host_log_enabled(_: *mut c_void, _: *const LogSite) -> u8 {
    1
}

unsafe extern "C" fn host_log(_: *mut c_void, _: *const LogSite, message: Text) {
    // SAFETY: the text is valid for the call.
    println!("{}", unsafe { message.as_str() });
}

unsafe extern "C" fn host_error(_: *mut c_void, node: NodeHandle, message: Text) {
    // SAFETY: the text is valid for the call.
    let text = unsafe { message.as_str() }.to_owned();
    with_told(node, (), |told| told.error = text);
}

/// Memory of a harness loan: writable while it has one reference.
struct Memory(BytesMut, AtomicU32);

static MEMORY: BufferVTable = BufferVTable {
    size: size_of::<BufferVTable>(),
    retain: memory_retain,
    release: memory_release,
    is_unique_and_writable: memory_is_unique,
    query: memory_query,
};

unsafe extern "C" fn memory_retain(owner: *mut c_void) {
    // SAFETY: `owner` is a `Memory` to which the caller holds a reference.
    unsafe { &*owner.cast::<Memory>() }
        .1
        .fetch_add(1, Ordering::AcqRel);
}

unsafe extern "C" fn memory_release(owner: *mut c_void) {
    // SAFETY: as above; the last reference frees it.
    unsafe {
        if (*owner.cast::<Memory>()).1.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(Box::from_raw(owner.cast::<Memory>()));
        }
    }
}

unsafe extern "C" fn memory_is_unique(owner: *mut c_void) -> u8 {
    // SAFETY: as above.
    u8::from(
        unsafe { &*owner.cast::<Memory>() }
            .1
            .load(Ordering::Acquire)
            == 1,
    )
}

unsafe extern "C" fn memory_query(_: *mut c_void, _: Text) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn host_loan(
    _: *mut c_void,
    _: NodeHandle,
    len: usize,
    out: *mut Buffer,
) -> Status {
    let mut memory = Box::new(Memory(BytesMut::zeroed(len), AtomicU32::new(1)));
    let ptr = memory.0.as_mut_ptr();
    let owner = Box::into_raw(memory).cast();
    let vtable = &raw const MEMORY;
    // SAFETY: `out` is writable (contract), and the new buffer has the one reference to the memory.
    unsafe {
        *out = Buffer::from_raw(RawBuffer {
            ptr,
            len,
            owner,
            vtable,
        })
    };
    Status::OK
}

unsafe extern "C" fn host_format_intern(
    _: *mut c_void,
    node: NodeHandle,
    format: *const abi::Format,
) -> u32 {
    // SAFETY: valid for the call (contract).
    let format = unsafe { Format::from_abi(&*format) };
    with_told(node, 0, |told| {
        let is_known = told.formats.iter().any(|f| f.0 == format);
        if !is_known && told.formats.len() >= MAX_FORMATS {
            return 0;
        }
        intern(told, format)
    })
}

unsafe extern "C" fn host_format_get(
    _: *mut c_void,
    node: NodeHandle,
    id: u32,
) -> *const abi::Format {
    with_told(node, std::ptr::null(), |told| {
        let entry = (id as usize)
            .checked_sub(1)
            .and_then(|at| told.formats.get(at));
        entry.map_or(std::ptr::null(), |e| std::ptr::from_ref(&*e.1))
    })
}

unsafe extern "C" fn host_stream_declare(
    _: *mut c_void,
    node: NodeHandle,
    info: *const StreamInfo,
) -> i32 {
    // SAFETY: valid for the call (contract).
    let (media, label) = unsafe { ((*info).media, (*info).label.as_str()) };
    with_told(node, -1, |told| {
        let at = told
            .streams
            .iter()
            .position(|s| s.0 == media && s.1 == label)
            .unwrap_or_else(|| {
                let label = label.to_owned();
                let info = StreamInfo {
                    size: size_of::<StreamInfo>(),
                    media,
                    label: Text::new(&label),
                };
                told.streams.push((media, label, Box::new(info)));
                told.streams.len() - 1
            });
        at as i32
    })
}

unsafe extern "C" fn host_stream_get(
    _: *mut c_void,
    node: NodeHandle,
    id: u32,
) -> *const StreamInfo {
    with_told(node, std::ptr::null(), |told| {
        told.streams
            .get(id as usize)
            .map_or(std::ptr::null(), |s| std::ptr::from_ref(&*s.2))
    })
}

unsafe extern "C" fn host_ingest(
    _: *mut c_void,
    node: NodeHandle,
    port: u32,
    frames: *mut abi::Frame,
    count: u32,
) -> i32 {
    // SAFETY: `count` writable slots (contract).
    let slots = unsafe { std::slice::from_raw_parts_mut(frames, count as usize) };
    with_told(node, Status::GONE.0, |told| {
        let frames = slots
            .iter_mut()
            .filter_map(|slot| Frame::from_abi(std::mem::take(slot)));
        told.ingested
            .extend(frames.map(|frame| (port as usize, frame)));
        count as i32
    })
}

unsafe extern "C" fn host_handle_only(_: *mut c_void, node: NodeHandle) -> Status {
    with_told(node, Status::GONE, |_| Status::OK)
}

unsafe extern "C" fn host_timer(_: *mut c_void, node: NodeHandle, deadline_ns: i64) -> Status {
    with_told(node, Status::GONE, |told| {
        told.deadline = Some(deadline_ns);
        Status::OK
    })
}

unsafe extern "C" fn host_now(_: *mut c_void) -> i64 {
    NOW.get()
}

unsafe extern "C" fn host_raise(
    _: *mut c_void,
    node: NodeHandle,
    port: u32,
    event: *const Event,
) -> Status {
    // SAFETY: valid for the call (contract).
    let event = unsafe { *event };
    with_told(node, Status::GONE, |told| {
        told.raised.push((port, event));
        Status::OK
    })
}

unsafe extern "C" fn host_signal(
    _: *mut c_void,
    node: NodeHandle,
    port: u32,
    event: *const Event,
) -> Status {
    // SAFETY: valid for the call (contract).
    let event = unsafe { *event };
    with_told(node, Status::GONE, |told| {
        told.signalled.push((port as usize, event));
        Status::OK
    })
}

unsafe extern "C" fn host_copied(_: *mut c_void, node: NodeHandle, bytes: u64) {
    with_told(node, (), |told| told.copied += bytes);
}

unsafe extern "C" fn host_dropped(_: *mut c_void, node: NodeHandle, count: u64) {
    with_told(node, (), |told| told.dropped += count);
}
