//! Node handles: from the two numbers that a plugin keeps to the node they name, or to nothing.
//!
//! The table is one for the process, because the functions of the host's vtable know nothing but the
//! handle. Looking up takes no lock; a handle whose generation is not the slot's is stale.
#![forbid(unsafe_code)]

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use arc_swap::ArcSwapOption;
use levada_abi::NodeHandle;

use crate::session::Session;

const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

/// What a live handle names.
pub(crate) struct Named {
    pub generation: u32,
    pub session: Arc<Session>,
    pub node: usize,
}

#[derive(Default)]
struct Slot {
    generation: AtomicU32,
    named: ArcSwapOption<Named>,
}

static TABLE: [OnceLock<Box<[Slot]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
/// Slots that were given back, and how many slots have ever been given out.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

fn slot(index: u32) -> Option<&'static Slot> {
    TABLE
        .get(index as usize / CHUNK)?
        .get()?
        .get(index as usize % CHUNK)
}

/// Reserves a handle; it names nothing yet. `None` when a million nodes are alive.
pub(crate) fn reserve() -> Option<NodeHandle> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let index = match free.0.pop() {
        Some(index) => index,
        None => {
            let index = free.1;
            TABLE
                .get(index as usize / CHUNK)?
                .get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
            free.1 += 1;
            index
        }
    };
    let generation = slot(index)?.generation.load(Ordering::Relaxed);
    Some(NodeHandle {
        slot: index,
        generation,
    })
}

/// Makes a reserved handle name a node.
pub(crate) fn bind(handle: NodeHandle, session: &Arc<Session>, node: usize) {
    if let Some(slot) = slot(handle.slot) {
        let named = Named {
            generation: handle.generation,
            session: session.clone(),
            node,
        };
        slot.named.store(Some(Arc::new(named)));
    }
}

/// Makes a handle stale. Calls that looked it up before may still be under way.
pub(crate) fn release(handle: NodeHandle) {
    if let Some(slot) = slot(handle.slot) {
        slot.named.store(None);
        slot.generation
            .store(handle.generation.wrapping_add(1), Ordering::Relaxed);
        FREE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .push(handle.slot);
    }
}

/// Calls `f` with what the handle names; `None` when it is stale.
pub(crate) fn with<R>(handle: NodeHandle, f: impl FnOnce(&Arc<Session>, usize) -> R) -> Option<R> {
    let named = slot(handle.slot)?.named.load();
    let named = named
        .as_ref()
        .filter(|named| named.generation == handle.generation)?;
    Some(f(&named.session, named.node))
}
