//! The raw limit: the same nodes, called through their own function tables in a plain loop.
//!
//! What is called is what the engine calls, the kit's panic guard included. What is left out is all
//! that the engine adds: routes, counters, room, activation.

use std::{alloc::Layout, ffi::c_void};

use levada_abi::{Context, Event, Frame, NodeConfig, NodeHandle, NodeVTable, Plugin, Status, Text};
use levada_engine::services;

unsafe extern "C" fn no_output(_: *mut c_void, _: u32, _: *mut Frame) -> Status {
    Status::INVALID
}

unsafe extern "C" fn no_event(_: *mut c_void, _: u32, _: *const Event) -> Status {
    Status::INVALID
}

/// Instances of node types that only forward, in a block of memory as the engine lays it out.
pub struct RawChain {
    nodes: Vec<(*mut c_void, *const NodeVTable)>,
    memory: (*mut u8, Layout),
    _plugin: Plugin,
}

impl RawChain {
    /// Makes an instance of each named type, in this order.
    pub fn new(plugin: &Plugin, types: &[&str]) -> RawChain {
        let types = types.iter().map(|name| {
            plugin
                .types()
                .iter()
                // SAFETY: the texts of a `Plugin` are valid while it lives.
                .find(|t| unsafe { t.name.as_str() } == *name)
                .expect("the plugin has the type")
        });
        let mut layout = Layout::new::<u8>();
        let mut places = vec![];
        for desc in types {
            let state = Layout::from_size_align(desc.state_size, desc.state_align.max(64))
                .expect("a state's layout is sound");
            let (sum, offset) = layout.extend(state).expect("states fit in memory");
            layout = sum;
            places.push((offset, desc));
        }
        // SAFETY: the layout begins with one byte, so its size is not zero.
        let memory = unsafe { std::alloc::alloc(layout) };
        assert!(!memory.is_null(), "out of memory");
        let nodes = places.into_iter().map(|(offset, desc)| {
            let config = NodeConfig {
                size: size_of::<NodeConfig>(),
                // A handle that names nothing: the host answers calls with GONE.
                node: NodeHandle {
                    slot: u32::MAX,
                    generation: 0,
                },
                session: 0,
                name: Text::new("raw"),
                params: std::ptr::null(),
                params_len: 0,
                linked_ports: !0,
                host: services::host(),
                data: desc.data,
            };
            // SAFETY: the offset lies inside the block.
            let state = unsafe { memory.add(offset) }.cast::<c_void>();
            // SAFETY: there is room for this state and no other; the config keeps its contract; the
            // vtable lives with the plugin.
            let status = unsafe { ((*desc.vtable).create_at)(state, &raw const config) };
            assert!(status.is_ok(), "{status:?}");
            (state, desc.vtable)
        });
        RawChain {
            nodes: nodes.collect(),
            memory: (memory, layout),
            _plugin: plugin.clone(),
        }
    }

    /// Passes a batch through all nodes; `between` sees it before each.
    #[inline]
    pub fn run_with(&mut self, frames: &mut [Frame], mut between: impl FnMut(&mut [Frame])) {
        let context = Context {
            call: std::ptr::null_mut(),
            emit: no_output,
            signal: no_event,
        };
        for (state, vtable) in &self.nodes {
            between(frames);
            // SAFETY: a live instance that nobody else calls, and `frames.len()` slots that are its
            // own for the call.
            let status = unsafe {
                ((**vtable).process)(
                    *state,
                    0,
                    frames.as_mut_ptr(),
                    frames.len() as u32,
                    &raw const context,
                )
            };
            assert!(status.is_ok(), "{status:?}");
        }
    }

    /// Passes a batch through all nodes. Not inlined, so that its code is the same in every bench.
    #[inline(never)]
    pub fn run(&mut self, frames: &mut [Frame]) {
        self.run_with(frames, |_| {});
    }
}

impl Drop for RawChain {
    fn drop(&mut self) {
        for (state, vtable) in &self.nodes {
            // SAFETY: a live instance, used for the last time.
            unsafe { ((**vtable).destroy)(*state) };
        }
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.memory.0, self.memory.1) };
    }
}
