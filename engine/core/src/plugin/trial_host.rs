//! The host as a trial child plays it: it offers nothing, and says so.
//!
//! A node's creation may answer an error here for want of a buffer or a format. That is a clean
//! outcome: the trial is about crashes and hangs.

use std::{alloc::Layout, ffi::c_void};

use levada_abi::{
    self as abi, Buffer, Event, Format, HostVTable, LogSite, NodeConfig, NodeHandle, NodeTypeDesc,
    ParamValue, Status, StreamInfo, Text,
};

/// Creates an instance of each node type with its params' defaults, and destroys it.
///
/// # Safety
/// The descriptors have been checked, and `init` was called with [`HOST`].
pub(super) unsafe fn create_and_destroy(types: &[NodeTypeDesc]) {
    for (n, desc) in types.iter().enumerate() {
        // SAFETY: the lists of a checked descriptor are valid.
        let params = unsafe { desc.params.as_slice() };
        let values: Vec<ParamValue> = params.iter().map(|p| p.default).collect();
        let Ok(layout) = Layout::from_size_align(desc.state_size.max(1), desc.state_align) else {
            // Size and alignment have been checked, so that they make a layout.
            continue;
        };
        let config = NodeConfig {
            size: size_of::<NodeConfig>(),
            node: NodeHandle {
                slot: n as u32,
                generation: 0,
            },
            session: 0,
            name: desc.name,
            params: values.as_ptr(),
            params_len: values.len(),
            linked_ports: u64::MAX,
            host: &raw const HOST,
            data: desc.data,
            formats: std::ptr::null(),
            formats_len: 0,
        };
        // SAFETY: the memory has the size and alignment that the type asks for, is at least one
        // byte, and is given back with the same layout; the vtable has been checked.
        unsafe {
            let memory = std::alloc::alloc_zeroed(layout);
            if memory.is_null() {
                std::alloc::handle_alloc_error(layout);
            }
            let status = ((*desc.vtable).create_at)(memory.cast(), &raw const config);
            if status.is_ok() {
                ((*desc.vtable).destroy)(memory.cast());
            }
            std::alloc::dealloc(memory, layout);
        }
    }
}

/// Services that offer nothing.
pub(super) static HOST: HostVTable = HostVTable {
    size: size_of::<HostVTable>(),
    abi_version: abi::ABI_VERSION,
    host: std::ptr::null_mut(),
    log_enabled,
    log,
    error,
    loan,
    format_intern,
    format_get,
    stream_declare,
    stream_get,
    ingest,
    finish: gone,
    wake: gone,
    timer,
    now,
    raise,
    copied: count,
    dropped: count,
    signal: raise,
    progress,
};

unsafe extern "C" fn log_enabled(_: *mut c_void, _: *const LogSite) -> u8 {
    0
}

unsafe extern "C" fn log(_: *mut c_void, _: *const LogSite, _: Text) {}

unsafe extern "C" fn error(_: *mut c_void, _: NodeHandle, _: Text) {}

unsafe extern "C" fn loan(_: *mut c_void, _: NodeHandle, _: usize, _: *mut Buffer) -> Status {
    Status::FULL
}

unsafe extern "C" fn format_intern(_: *mut c_void, _: NodeHandle, _: *const Format) -> u32 {
    0
}

unsafe extern "C" fn format_get(_: *mut c_void, _: NodeHandle, _: u32) -> *const Format {
    std::ptr::null()
}

unsafe extern "C" fn stream_declare(_: *mut c_void, _: NodeHandle, _: *const StreamInfo) -> i32 {
    -1
}

unsafe extern "C" fn stream_get(_: *mut c_void, _: NodeHandle, _: u32) -> *const StreamInfo {
    std::ptr::null()
}

unsafe extern "C" fn ingest(
    _: *mut c_void,
    _: NodeHandle,
    _: u32,
    _: *mut abi::Frame,
    _: u32,
) -> i32 {
    Status::GONE.0
}

unsafe extern "C" fn gone(_: *mut c_void, _: NodeHandle) -> Status {
    Status::GONE
}

unsafe extern "C" fn timer(_: *mut c_void, _: NodeHandle, _: i64) -> Status {
    Status::GONE
}

unsafe extern "C" fn now(_: *mut c_void) -> i64 {
    0
}

unsafe extern "C" fn raise(_: *mut c_void, _: NodeHandle, _: u32, _: *const Event) -> Status {
    Status::GONE
}

unsafe extern "C" fn progress(_: *mut c_void, _: NodeHandle, _: i64, _: i64) {}

unsafe extern "C" fn count(_: *mut c_void, _: NodeHandle, _: u64) {}
