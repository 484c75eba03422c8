//! [`Instance`]: one node of a session, called safely.
//!
//! All calls into a plugin's function table for the life of a node are here. The rest of the engine
//! sees batches, [`Outputs`] and a [`Failed`].

use std::{alloc::Layout, ffi::c_void, marker::PhantomData};

use levada_abi::{Context, Event, Frame, NodeConfig, NodeVTable, Status, Text};

use super::{
    outputs::{Outputs, emit, signal},
    registry::NodeType,
};
use crate::graph::ParamValue;

/// A node's function answered a failure; its text, if it gave one, is with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub Status);

fn check(status: Status) -> Result<(), Failed> {
    if status.is_ok() {
        Ok(())
    } else {
        Err(Failed(status))
    }
}

/// The alignment of every state at least, so that the lowest bits of its address are free.
const STATE_ALIGN: usize = 8;
/// Bits of a state's address that say something about the node instead.
const STARTED: usize = 1;
const LOOKED_AFTER: usize = 2;

/// Size and alignment of the memory for an instance of this type; `None` beyond the address space. One
/// that asks for cache lines of its own gets them whole.
pub(crate) fn state_layout(node_type: &NodeType) -> Option<Layout> {
    let desc = node_type.desc();
    let (size, align) = (desc.state_size.max(1), desc.state_align.max(STATE_ALIGN));
    Some(Layout::from_size_align(size, align).ok()?.pad_to_align())
}

/// A param's value as a node gets it; `text` is that of a text, and borrowed.
pub(crate) fn param(value: &ParamValue, text: &str) -> levada_abi::ParamValue {
    let mut abi = levada_abi::ParamValue {
        float: 0.0,
        integer: 0,
        text: Text::new(text),
    };
    match value {
        ParamValue::Float(v) => abi.float = *v,
        ParamValue::Integer(v) => abi.integer = *v,
        ParamValue::Bool(v) => abi.integer = i64::from(*v),
        ParamValue::Text(_) => {}
    }
    abi
}

/// Calls that emit into the same [`Outputs`].
pub(crate) struct Calls<'o, 'p> {
    context: Context,
    outputs: PhantomData<&'o mut Outputs<'p>>,
}

impl<'o, 'p> Calls<'o, 'p> {
    #[inline]
    pub fn new(outputs: &'o mut Outputs<'p>) -> Self {
        Calls {
            context: Context {
                call: std::ptr::from_mut(outputs).cast(),
                emit,
                signal,
            },
            outputs: PhantomData,
        }
    }

    #[inline]
    pub fn outputs(&mut self) -> &mut Outputs<'p> {
        // SAFETY: made from a reference that this value holds for itself; nodes use it only during
        // their calls.
        unsafe { &mut *self.context.call.cast::<Outputs<'p>>() }
    }
}

/// A node of a session. Dropping it destroys the node.
pub(crate) struct Instance {
    /// With [`STARTED`] and [`LOOKED_AFTER`].
    state: *mut c_void,
    vtable: *const NodeVTable,
}

// SAFETY: an instance's state may move between threads (contract of `NodeVTable`), and its functions
// are called by one thread at a time because they take `&mut self`.
unsafe impl Send for Instance {}

impl Instance {
    /// Creates a node in `state`, memory as [`state_layout`] asks for it.
    ///
    /// # Safety
    /// Nothing else may lie there, `config` must keep the contract of [`NodeConfig`], and memory and type
    /// must outlive the instance.
    pub unsafe fn create(
        node_type: &NodeType,
        state: *mut c_void,
        config: &NodeConfig,
    ) -> Result<Instance, Failed> {
        let vtable = node_type.desc().vtable;
        // SAFETY: the memory has the type's size and alignment; the caller vouches for the rest. The
        // vtable of a `Plugin`'s type is valid while the plugin lives.
        check(unsafe { ((*vtable).create_at)(state, config) })?;
        Ok(Instance { state, vtable })
    }

    fn is(&self, bit: usize) -> bool {
        self.state.addr() & bit != 0
    }

    #[inline]
    fn state(&self) -> *mut c_void {
        self.state.map_addr(|at| at & !(STARTED | LOOKED_AFTER))
    }

    /// Whether whoever calls it looks at what it is given: it takes frames out of its slots, or has to
    /// declare copies.
    #[inline]
    pub fn is_looked_after(&self) -> bool {
        self.is(LOOKED_AFTER)
    }

    /// From now on it [is looked after](Instance::is_looked_after).
    #[inline]
    pub fn look_after(&mut self) {
        self.state = self.state.map_addr(|at| at | LOOKED_AFTER);
    }

    #[inline]
    fn vtable(&self) -> &NodeVTable {
        // SAFETY: the type outlives the instance, as whoever created it vouched.
        unsafe { &*self.vtable }
    }

    pub fn start(&mut self, calls: &mut Calls) -> Result<(), Failed> {
        // SAFETY: a live instance, called by its only user, and a context for the call; here and in the
        // functions below.
        check(unsafe { (self.vtable().start)(self.state(), &raw const calls.context) })?;
        self.state = self.state.map_addr(|at| at | STARTED);
        Ok(())
    }

    /// Brings a batch.
    #[inline]
    pub fn process(&mut self, port: u32, frames: &mut [Frame], calls: &mut Calls) -> Status {
        let (at, count) = (frames.as_mut_ptr(), frames.len() as u32);
        let context = &raw const calls.context;
        // SAFETY: as in `start`; `count` slots that are the node's for the call.
        unsafe { (self.vtable().process)(self.state(), port, at, count, context) }
    }

    /// Shows a batch.
    #[inline]
    pub fn observe(&mut self, port: u32, frames: &[Frame], calls: &mut Calls) -> Status {
        let (at, count) = (frames.as_ptr(), frames.len() as u32);
        let context = &raw const calls.context;
        // SAFETY: as in `start`; `count` frames that nobody writes during the call.
        unsafe { (self.vtable().observe)(self.state(), port, at, count, context) }
    }

    pub fn tick(&mut self, calls: &mut Calls) -> Result<Status, Failed> {
        // SAFETY: as in `start`.
        let status = unsafe { (self.vtable().tick)(self.state(), &raw const calls.context) };
        check(status).map(|()| status)
    }

    /// Delivers an event; `false` when the node does not handle it.
    pub fn event(&mut self, port: usize, event: Event, calls: &mut Calls) -> Result<bool, Failed> {
        let (event, context) = (&raw const event, &raw const calls.context);
        // SAFETY: as in `start`; the event is valid for the call.
        match unsafe { (self.vtable().event)(self.state(), port as u32, event, context) } {
            Status::UNSUPPORTED => Ok(false),
            status => check(status).map(|()| true),
        }
    }

    pub fn drain(&mut self, calls: &mut Calls) -> Result<(), Failed> {
        // SAFETY: as in `start`.
        check(unsafe { (self.vtable().drain)(self.state(), &raw const calls.context) })
    }

    /// Ends the node's own threads; does nothing on a node that never started or has stopped.
    pub fn stop(&mut self) -> Result<(), Failed> {
        if !self.is(STARTED) {
            return Ok(());
        }
        self.state = self.state.map_addr(|at| at & !STARTED);
        // SAFETY: as in `start`.
        check(unsafe { (self.vtable().stop)(self.state()) })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A node that cannot be stopped is destroyed all the same; its handle is stale by then.
        let _ = self.stop();
        // SAFETY: a live instance, used for the last time.
        unsafe { (self.vtable().destroy)(self.state()) };
    }
}
