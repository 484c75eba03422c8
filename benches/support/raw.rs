//! The raw limit: the same nodes, called through their own function tables in a plain loop.
//!
//! What is called is what the engine calls, the kit's panic guard included. What is left out is all
//! that the engine adds: routes, counters, room, activation.

use std::{
    alloc::Layout,
    ffi::c_void,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use levada_abi::{
    Context, Event, Frame, NodeConfig, NodeHandle, NodeTypeDesc, NodeVTable, ParamValue, Plugin,
    Status, Text,
};
use levada_engine::services;

use super::nodes::{self, Order};

/// Where a node of a plain loop puts out: a call of a node that only forwards emits nothing.
unsafe extern "C" fn no_output(_: *mut c_void, _: u32, _: *mut Frame) -> Status {
    Status::INVALID
}

unsafe extern "C" fn no_event(_: *mut c_void, _: u32, _: *const Event) -> Status {
    Status::INVALID
}

/// Where a source's frames go: into the `Vec<Frame>` that `call` is.
unsafe extern "C" fn collect(call: *mut c_void, _: u32, frame: *mut Frame) -> Status {
    // SAFETY: `tick_and_run` makes `call` of a vector that is its own, and the kit calls this during
    // that call only, with one writable slot.
    unsafe { (*call.cast::<Vec<Frame>>()).push(std::mem::take(&mut *frame)) };
    Status::OK
}

/// Which types a chain has, and where in its memory their instances lie.
struct Shape {
    types: Vec<(usize, NodeTypeDesc)>,
    layout: Layout,
    // The descriptors live with it.
    _plugin: Plugin,
}

// SAFETY: a shape does not change, and the functions that it names may be called from any thread.
unsafe impl Send for Shape {}
// SAFETY: as above.
unsafe impl Sync for Shape {}

/// Instances of node types, in a block of memory as the engine lays it out.
pub struct RawChain {
    nodes: Vec<(*mut c_void, *const NodeVTable)>,
    shape: Arc<Shape>,
    memory: *mut u8,
    session: u64,
}

// SAFETY: a chain owns its instances, which may move between threads (contract of the nodes).
unsafe impl Send for RawChain {}

impl RawChain {
    /// Makes an instance of each named type, in this order.
    pub fn new(plugin: &Plugin, types: &[&str]) -> RawChain {
        RawChain::with_params(plugin, types, &[])
    }

    /// As [`new`](RawChain::new), with values for whole-number params of these names.
    pub fn with_params(plugin: &Plugin, types: &[&str], params: &[(&str, i64)]) -> RawChain {
        let mut layout = Layout::from_size_align(0, 64).expect("a power of two");
        let mut types_at = vec![];
        for name in types {
            let desc = plugin
                .types()
                .iter()
                // SAFETY: the texts of a `Plugin` are valid while it lives, here and below.
                .find(|t| unsafe { t.name.as_str() } == *name)
                .expect("the plugin has the type");
            let state = Layout::from_size_align(desc.state_size.max(1), desc.state_align.max(8))
                .expect("a state's layout is sound")
                .pad_to_align();
            let offset;
            (layout, offset) = layout.extend(state).expect("states fit in memory");
            types_at.push((offset, *desc));
        }
        assert!(!types_at.is_empty(), "a chain has nodes");
        let shape = Shape {
            types: types_at,
            layout,
            _plugin: plugin.clone(),
        };
        RawChain::of_shape(&Arc::new(shape), params)
    }

    /// Makes more instances of the same types, with the defaults of their params.
    pub fn another(&self) -> RawChain {
        RawChain::of_shape(&self.shape, &[])
    }

    fn of_shape(shape: &Arc<Shape>, params: &[(&str, i64)]) -> RawChain {
        // Numbers that no session of the engine has.
        static SESSION: AtomicU64 = AtomicU64::new(u64::MAX);
        let session = SESSION.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: there is a node, and each takes a byte or more, so the size is not zero.
        let memory = unsafe { std::alloc::alloc(shape.layout) };
        assert!(!memory.is_null(), "out of memory");
        let nodes = shape.types.iter().map(|(offset, desc)| {
            // SAFETY: the offset lies inside the block, and there is room for this state and no other.
            let state = unsafe { memory.add(*offset) }.cast::<c_void>();
            create(desc, state, session, params);
            (state, desc.vtable)
        });
        RawChain {
            nodes: nodes.collect(),
            shape: shape.clone(),
            memory,
            session,
        }
    }

    /// What the chain's [`Drip`](nodes::Drip) takes orders from.
    pub fn order(&self) -> Arc<Order> {
        nodes::order_of(self.session).expect("the chain has a drip")
    }

    /// Passes a batch to an input port of a node.
    #[inline]
    pub fn call(&mut self, node: usize, port: u32, frames: &mut [Frame]) {
        call(self.nodes[node], port, frames);
    }

    /// Passes a batch through all nodes; `between` sees it before each.
    #[inline]
    pub fn run_with(&mut self, frames: &mut [Frame], mut between: impl FnMut(&mut [Frame])) {
        for node in &self.nodes {
            between(frames);
            call(*node, 0, frames);
        }
    }

    /// Passes a batch through all nodes. Not inlined, so that its code is the same in every bench.
    #[inline(never)]
    pub fn run(&mut self, frames: &mut [Frame]) {
        self.run_with(frames, |_| {});
    }

    /// Calls `tick` of a node, a source, which puts out into `made`.
    #[inline]
    pub fn tick(&mut self, node: usize, made: &mut Vec<Frame>) {
        let context = Context {
            call: std::ptr::from_mut(made).cast(),
            emit: collect,
            signal: no_event,
        };
        let (state, vtable) = self.nodes[node];
        // SAFETY: a live instance that nobody else calls; the context is valid for the call.
        let status = unsafe { ((*vtable).tick)(state, &raw const context) };
        assert!(status.is_ok(), "{status:?}");
    }

    /// Calls `tick` of the first node, a source, and passes what it makes through the others. `made`
    /// is empty before and after.
    #[inline(never)]
    pub fn tick_and_run(&mut self, made: &mut Vec<Frame>) {
        self.tick(0, made);
        for node in &self.nodes[1..] {
            call(*node, 0, made);
        }
        made.clear();
    }
}

#[inline]
fn call((state, vtable): (*mut c_void, *const NodeVTable), port: u32, frames: &mut [Frame]) {
    let context = Context {
        call: std::ptr::null_mut(),
        emit: no_output,
        signal: no_event,
    };
    // SAFETY: a live instance of the chain that the caller borrows mutably, so nobody else calls it,
    // and `frames.len()` slots that are its own for the call.
    let status = unsafe {
        ((*vtable).process)(
            state,
            port,
            frames.as_mut_ptr(),
            frames.len() as u32,
            &raw const context,
        )
    };
    assert!(status.is_ok(), "{status:?}");
}

/// Makes an instance in `state`, which has room for it.
fn create(desc: &NodeTypeDesc, state: *mut c_void, session: u64, params: &[(&str, i64)]) {
    // SAFETY: the list is valid while the plugin lives.
    let declared = unsafe { desc.params.as_slice() };
    let value = |param: &levada_abi::ParamDesc| {
        // SAFETY: so are its texts.
        let name = unsafe { param.name.as_str() };
        let given = params.iter().find(|given| given.0 == name);
        ParamValue {
            integer: given.map_or(param.default.integer, |given| given.1),
            ..param.default
        }
    };
    let values: Vec<ParamValue> = declared.iter().map(value).collect();
    let config = NodeConfig {
        size: size_of::<NodeConfig>(),
        // A handle that names nothing: the host answers calls with GONE.
        node: NodeHandle {
            slot: u32::MAX,
            generation: 0,
        },
        session,
        name: Text::new("raw"),
        params: values.as_ptr(),
        params_len: values.len(),
        linked_ports: !0,
        host: services::host(),
        data: desc.data,
        formats: std::ptr::null(),
        formats_len: 0,
    };
    // SAFETY: `state` has room for this state and no other; the config keeps its contract; the
    // vtable lives with the plugin.
    let status = unsafe { ((*desc.vtable).create_at)(state, &raw const config) };
    assert!(status.is_ok(), "{status:?}");
}

impl Drop for RawChain {
    fn drop(&mut self) {
        for (state, vtable) in &self.nodes {
            // SAFETY: a live instance, used for the last time.
            unsafe { ((**vtable).destroy)(*state) };
        }
        // SAFETY: allocated in `of_shape` with this layout.
        unsafe { std::alloc::dealloc(self.memory, self.shape.layout) };
    }
}
