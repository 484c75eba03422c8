//! From [`Node`] to the contract's function table.
//!
//! Each function catches panics on this side of the boundary: none may unwind into the host. A
//! panic's payload is dropped under a guard of its own, because its drop can panic as well.

use std::{
    any::Any,
    ffi::c_void,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use levada_abi::{self as abi, List, NodeConfig, NodeTypeDesc, NodeVTable, Status, Text};

use crate::{
    error::Result,
    frame::{self, Frames},
    host::{Context, Host},
    node::{Config, Node, type_flags_of},
};

/// An instance as it lies in the host's memory.
struct State<N> {
    node: N,
    host: Host,
}

/// The static tables of a node type.
pub(crate) struct Glue<N>(PhantomData<N>);

impl<N: Node> Glue<N> {
    const VTABLE: &'static NodeVTable = &NodeVTable {
        size: size_of::<NodeVTable>(),
        create_at: create_at::<N>,
        start: start::<N>,
        process: process::<N>,
        observe: observe::<N>,
        tick: tick::<N>,
        event: event::<N>,
        drain: drain::<N>,
        stop: stop::<N>,
        destroy: destroy::<N>,
        get_ext: get_ext::<N>,
    };

    /// What `get_ext` answers for a type that has [`Node::OFFERS`] or [`Node::CHECK`].
    const OFFERS: &'static abi::OffersVTable = &abi::OffersVTable {
        size: size_of::<abi::OffersVTable>(),
        formats: offers::<N>,
    };

    pub(crate) const DESC: NodeTypeDesc = NodeTypeDesc {
        size: size_of::<NodeTypeDesc>(),
        name: Text::new(N::NAME),
        summary: Text::new(N::SUMMARY),
        // `Port` and `Param` are transparent wrappers of the contract's types.
        ports: List {
            ptr: N::PORTS.as_ptr().cast(),
            len: N::PORTS.len(),
        },
        params: List {
            ptr: N::PARAMS.as_ptr().cast(),
            len: N::PARAMS.len(),
        },
        cost: N::COST.to_abi(),
        flags: type_flags_of::<N>(),
        latency_ns: N::LATENCY_NS,
        state_size: size_of::<State<N>>(),
        state_align: align_of::<State<N>>(),
        vtable: Self::VTABLE,
        data: std::ptr::null(),
    };
}

/// [`guarded_by`] the host, which is told an error's or a panic's text.
fn guarded(host: Option<Host>, f: impl FnOnce() -> Result<Status>) -> Status {
    let report = |text: &str| {
        if let Some(host) = host {
            host.error(text);
        }
    };
    guarded_by(report, f)
}

/// Runs `f`, hands an error's or a panic's text to `report`, and answers the status.
fn guarded_by(report: impl Fn(&str), f: impl FnOnce() -> Result<Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            report(&error.to_string());
            Status::FAILED
        }
        Err(payload) => {
            report(&format!("it panicked: {}", panic_text(&*payload)));
            drop_payload(payload);
            Status::PANICKED
        }
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(no text)"
    }
}

/// Drops a panic's payload; a payload whose drop panics again and again is leaked.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn check<N: Node>(config: &Config) -> Result {
    N::CHECK.map_or(Ok(()), |check| check(config))
}

unsafe extern "C" fn create_at<N: Node>(memory: *mut c_void, config: *const NodeConfig) -> Status {
    // SAFETY: the host passes a valid config (contract of `create_at`).
    let config = unsafe { Config::new(&*config, N::PARAMS) };
    let host = config.host();
    guarded(Some(host), || {
        check::<N>(&config)?;
        let node = N::create(&config)?;
        // SAFETY: `memory` has the size and alignment of `State<N>`, as the descriptor asked.
        unsafe { memory.cast::<State<N>>().write(State { node, host }) };
        Ok(Status::OK)
    })
}

/// Calls `f` with the instance and the context of the call.
///
/// # Safety
/// `node` must be an instance made by `create_at::<N>` that no other call uses, `ctx` valid.
unsafe fn with<N: Node>(
    node: *mut c_void,
    ctx: *const abi::Context,
    f: impl FnOnce(&mut N, &mut Context) -> Result<Status>,
) -> Status {
    // SAFETY: the caller vouches for both.
    let (state, call) = unsafe { (&mut *node.cast::<State<N>>(), &*ctx) };
    let host = state.host;
    guarded(Some(host), || {
        f(&mut state.node, &mut Context::new(&host, call))
    })
}

unsafe extern "C" fn start<N: Node>(node: *mut c_void, ctx: *const abi::Context) -> Status {
    // SAFETY: contract of `start`.
    unsafe { with::<N>(node, ctx, |node, ctx| node.start(ctx).map(|()| Status::OK)) }
}

unsafe extern "C" fn process<N: Node>(
    node: *mut c_void,
    port: u32,
    frames: *mut abi::Frame,
    count: u32,
    ctx: *const abi::Context,
) -> Status {
    // SAFETY: contract of `process`: `count` slots that are ours during the call.
    unsafe {
        let slots = std::slice::from_raw_parts_mut(frames, count as usize);
        with::<N>(node, ctx, |node, ctx| {
            let mut frames = Frames::new(slots);
            node.process(port as usize, &mut frames, ctx)
                .map(|()| frames.status())
        })
    }
}

unsafe extern "C" fn observe<N: Node>(
    node: *mut c_void,
    port: u32,
    frames: *const abi::Frame,
    count: u32,
    ctx: *const abi::Context,
) -> Status {
    // SAFETY: contract of `observe`: `count` frames that nobody writes during the call.
    unsafe {
        let Some(frames) = frame::view(std::slice::from_raw_parts(frames, count as usize)) else {
            return Status::INVALID;
        };
        with::<N>(node, ctx, |node, ctx| {
            node.observe(port as usize, frames, ctx)
                .map(|()| Status::KEPT)
        })
    }
}

unsafe extern "C" fn tick<N: Node>(node: *mut c_void, ctx: *const abi::Context) -> Status {
    // SAFETY: contract of `tick`.
    unsafe {
        with::<N>(node, ctx, |node, ctx| {
            node.tick(ctx)?;
            Ok(ctx.tick_status())
        })
    }
}

unsafe extern "C" fn event<N: Node>(
    node: *mut c_void,
    port: u32,
    event: *const abi::Event,
    ctx: *const abi::Context,
) -> Status {
    // SAFETY: contract of `event`.
    unsafe {
        let event = *event;
        with::<N>(node, ctx, |node, ctx| {
            let handled = node.event(port as usize, event, ctx)?;
            Ok(if handled {
                Status::OK
            } else {
                Status::UNSUPPORTED
            })
        })
    }
}

unsafe extern "C" fn drain<N: Node>(node: *mut c_void, ctx: *const abi::Context) -> Status {
    // SAFETY: contract of `drain`.
    unsafe { with::<N>(node, ctx, |node, ctx| node.drain(ctx).map(|()| Status::OK)) }
}

unsafe extern "C" fn stop<N: Node>(node: *mut c_void) -> Status {
    // SAFETY: contract of `stop`: a live instance that no other call uses.
    let state = unsafe { &mut *node.cast::<State<N>>() };
    guarded(Some(state.host), || {
        state.node.stop();
        Ok(Status::OK)
    })
}

unsafe extern "C" fn destroy<N: Node>(node: *mut c_void) {
    guarded(None, || {
        // SAFETY: contract of `destroy`: a live instance, used for the last time.
        unsafe { node.cast::<State<N>>().drop_in_place() };
        Ok(Status::OK)
    });
}

unsafe extern "C" fn offers<N: Node>(
    config: *const NodeConfig,
    port: u32,
    call: *mut c_void,
    answer: abi::Answer,
) -> Status {
    // SAFETY: the host passes a valid config (contract of `OffersVTable::formats`).
    let config = unsafe { Config::new(&*config, N::PARAMS) };
    // SAFETY: `call` is handed back during the call, with a text that is valid for as long.
    let answer = |text: &str| unsafe { answer(call, Text::new(text)) };
    guarded_by(answer, || {
        check::<N>(&config)?;
        let patterns = match N::OFFERS {
            Some(offers) => offers(&config, port as usize)?,
            None => None,
        };
        let Some(patterns) = patterns else {
            return Ok(Status::UNSUPPORTED);
        };
        answer(&patterns);
        Ok(Status::OK)
    })
}

unsafe extern "C" fn get_ext<N: Node>(name: Text) -> *const c_void {
    // SAFETY: the host passes a valid text.
    if (N::OFFERS.is_some() || N::CHECK.is_some()) && unsafe { name.as_str() } == abi::OFFERS {
        std::ptr::from_ref(Glue::<N>::OFFERS).cast()
    } else {
        std::ptr::null()
    }
}
