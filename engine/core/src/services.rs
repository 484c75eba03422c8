//! The host's vtable: what the engine does for a node.
//!
//! One static vtable serves all nodes of the process, except those on a virtual clock, whose engine has
//! its own with the same functions. Each function resolves the handle, and answers
//! [`Status::GONE`] (or its like) when it is stale. None unwinds: they run engine code that does not
//! panic, behind a guard all the same.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use levada_abi::{
    ABI_VERSION, Buffer, Event, Format, Frame, HostVTable, LogSite, NodeHandle, Status, StreamInfo,
    Text,
};

use crate::{
    clock,
    frame::pool::Holder,
    log,
    session::{Session, handles},
};

/// Texts beyond this many bytes are cut.
const MAX_TEXT: usize = 8192;

/// Makes a vtable; `host` is what its `now` expects.
const fn vtable(host: *mut c_void, now: unsafe extern "C" fn(*mut c_void) -> i64) -> HostVTable {
    HostVTable {
        size: size_of::<HostVTable>(),
        abi_version: ABI_VERSION,
        host,
        log_enabled,
        log: log_record,
        error,
        loan,
        format_intern,
        format_get,
        stream_declare,
        stream_get,
        ingest,
        finish,
        wake,
        timer,
        now,
        raise,
        copied,
        dropped,
        signal,
        progress,
    }
}

static HOST: HostVTable = vtable(std::ptr::null_mut(), real_now);

/// The vtable that nodes on the real clock are given.
#[must_use]
pub fn host() -> &'static HostVTable {
    &HOST
}

/// Makes the vtable for nodes on a virtual clock, whose time is `now`, in ns.
pub(crate) fn host_with_clock(now: &'static AtomicI64) -> HostVTable {
    vtable(std::ptr::from_ref(now).cast_mut().cast(), virtual_now)
}

unsafe extern "C" fn real_now(_: *mut c_void) -> i64 {
    clock::now_ns()
}

unsafe extern "C" fn virtual_now(host: *mut c_void) -> i64 {
    // SAFETY: `host_with_clock` put a clock there that lives for ever, and callers pass the vtable's
    // own `host` (contract of `HostVTable`).
    unsafe { &*host.cast::<AtomicI64>() }.load(Ordering::Relaxed)
}

pub(crate) fn timer_is_due(node: NodeHandle) {
    // SAFETY: the claim was won by this call, by the handle of the segment's root.
    let claimed = handles::claim(node, |session, node| unsafe { session.tick_claimed(node) });
    if claimed.is_none() {
        handles::with(node, |session, node| session.call_soon(node));
    }
}

fn guarded<R>(on_panic: R, f: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        // Dropping the payload could panic again, beyond this guard.
        std::mem::forget(payload);
        on_panic
    })
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

unsafe extern "C" fn log_enabled(_: *mut c_void, site: *const LogSite) -> u8 {
    // SAFETY: valid for the call, here and below (contract of `HostVTable`).
    guarded(0, || u8::from(log::is_enabled(unsafe { &*site })))
}

unsafe extern "C" fn log_record(_: *mut c_void, site: *const LogSite, message: Text) {
    // SAFETY: as above.
    guarded((), || unsafe { log::record(&*site, cut(message.as_str())) });
}

unsafe extern "C" fn error(_: *mut c_void, node: NodeHandle, message: Text) {
    guarded((), || {
        // SAFETY: as above.
        let text = cut(unsafe { message.as_str() }).to_owned();
        handles::with(node, |session, node| session.set_error(node, text));
    });
}

unsafe extern "C" fn loan(
    _: *mut c_void,
    node: NodeHandle,
    len: usize,
    out: *mut Buffer,
) -> Status {
    guarded(Status::FAILED, || {
        let answer = handles::with(node, |session, node| {
            let holder = Holder::node(session.id(), node);
            session.pool().loan_for(len, holder)
        });
        match answer {
            Some(Ok(buffer)) => {
                // SAFETY: `out` is writable and holds a buffer, which is dropped.
                unsafe { *out = buffer };
                Status::OK
            }
            Some(Err(_)) => Status::FULL,
            None => Status::GONE,
        }
    })
}

unsafe extern "C" fn format_intern(_: *mut c_void, node: NodeHandle, format: *const Format) -> u32 {
    guarded(0, || {
        // SAFETY: as above; the texts of the format too.
        let (format, encoding, config) = unsafe {
            (
                &*format,
                (*format).encoding.as_str(),
                (*format).config.as_bytes(),
            )
        };
        handles::with(node, |session, _| {
            session.formats.intern(format, encoding, config)
        })
        .unwrap_or(0)
    })
}

unsafe extern "C" fn format_get(_: *mut c_void, node: NodeHandle, id: u32) -> *const Format {
    guarded(std::ptr::null(), || {
        let get = |entry: Option<&Format>| entry.map_or(std::ptr::null(), std::ptr::from_ref);
        handles::with(node, |session, _| get(session.formats.get(id))).unwrap_or(std::ptr::null())
    })
}

unsafe extern "C" fn stream_declare(
    _: *mut c_void,
    node: NodeHandle,
    info: *const StreamInfo,
) -> i32 {
    guarded(-1, || {
        // SAFETY: as above; the label too.
        let (media, label) = unsafe { ((*info).media, (*info).label.as_str()) };
        let id = handles::with(node, |session, _| session.streams.declare(media, label));
        id.flatten().map_or(-1, i32::from)
    })
}

unsafe extern "C" fn stream_get(_: *mut c_void, node: NodeHandle, id: u32) -> *const StreamInfo {
    guarded(std::ptr::null(), || {
        let get = |entry: Option<&StreamInfo>| entry.map_or(std::ptr::null(), std::ptr::from_ref);
        handles::with(node, |session, _| get(session.streams.get(id))).unwrap_or(std::ptr::null())
    })
}

unsafe extern "C" fn ingest(
    _: *mut c_void,
    node: NodeHandle,
    port: u32,
    frames: *mut Frame,
    count: u32,
) -> i32 {
    if count == 0 {
        return 0;
    }
    guarded(Status::FAILED.0, || {
        // SAFETY: `count` slots that are ours for the call.
        let frames = unsafe { std::slice::from_raw_parts_mut(frames, count as usize) };
        if frames.iter().any(Frame::is_empty_slot) {
            return Status::INVALID.0;
        }
        let direct = handles::claim(node, |session, index| {
            // SAFETY: the claim was won by this call, by the handle of the segment's root.
            unsafe { session.run_claimed(index, port as usize, frames) }
        });
        let direct = direct.unwrap_or(0);
        let rest = &mut frames[direct..];
        if rest.is_empty() {
            return i32::try_from(direct).unwrap_or(i32::MAX);
        }
        match handles::with(node, |session, node| {
            check_thread(session, node)?;
            session.ingest(node, port as usize, rest)
        }) {
            Some(Ok(taken)) => i32::try_from(direct + taken).unwrap_or(i32::MAX),
            _ if direct > 0 => i32::try_from(direct).unwrap_or(i32::MAX),
            Some(Err(status)) => status.0,
            None => Status::GONE.0,
        }
    })
}

unsafe extern "C" fn signal(
    _: *mut c_void,
    node: NodeHandle,
    port: u32,
    event: *const Event,
) -> Status {
    guarded(Status::FAILED, || {
        // SAFETY: valid for the call.
        let event = unsafe { *event };
        if !event.is_in_band() {
            return Status::INVALID;
        }
        handles::with(node, |session, node| match check_thread(session, node) {
            Ok(()) => session.signal(node, port as usize, event),
            Err(status) => status,
        })
        .unwrap_or(Status::GONE)
    })
}

/// Calls `f` with the node and answers OK, or GONE.
fn tell(node: NodeHandle, f: impl FnOnce(&Arc<Session>, usize)) -> Status {
    guarded(Status::FAILED, || {
        handles::with(node, f).map_or(Status::GONE, |()| Status::OK)
    })
}

/// What decides the order of calls is for the driving thread alone where the clock is virtual.
fn check_thread(session: &Session, node: usize) -> Result<(), Status> {
    match session.engine.workers.driver() {
        Some(driver) if driver.is_foreign() => {
            driver.refuse(session, node);
            Err(Status::INVALID)
        }
        _ => Ok(()),
    }
}

/// As [`tell`], for what decides the order of calls.
fn ask(node: NodeHandle, f: impl FnOnce(&Arc<Session>, usize)) -> Status {
    guarded(Status::FAILED, || {
        let answer = handles::with(node, |session, node| {
            check_thread(session, node).map(|()| f(session, node))
        });
        match answer {
            Some(Ok(())) => Status::OK,
            Some(Err(status)) => status,
            None => Status::GONE,
        }
    })
}

unsafe extern "C" fn finish(_: *mut c_void, node: NodeHandle) -> Status {
    ask(node, |session, node| session.finish_source(node))
}

unsafe extern "C" fn wake(_: *mut c_void, node: NodeHandle) -> Status {
    ask(node, |session, node| session.call_soon(node))
}

unsafe extern "C" fn timer(_: *mut c_void, node: NodeHandle, deadline_ns: i64) -> Status {
    ask(node, |session, index| {
        session.set_timer(index, node, deadline_ns);
    })
}

unsafe extern "C" fn raise(
    _: *mut c_void,
    node: NodeHandle,
    port: u32,
    event: *const Event,
) -> Status {
    guarded(Status::FAILED, || {
        // SAFETY: valid for the call.
        let event = unsafe { *event };
        handles::with(node, |session, node| match check_thread(session, node) {
            Ok(()) => session.raise(node, port as usize, event),
            Err(status) => status,
        })
        .unwrap_or(Status::GONE)
    })
}

unsafe extern "C" fn copied(_: *mut c_void, node: NodeHandle, bytes: u64) {
    tell(node, |session, node| {
        session.block.nodes[node].bytes_copied.add_shared(bytes)
    });
}

unsafe extern "C" fn progress(_: *mut c_void, node: NodeHandle, done_ns: i64, total_ns: i64) {
    tell(node, |session, node| {
        session.set_progress(node, done_ns, total_ns)
    });
}

unsafe extern "C" fn dropped(_: *mut c_void, node: NodeHandle, count: u64) {
    tell(node, |session, node| {
        session.block.nodes[node].dropped.add_shared(count)
    });
}
