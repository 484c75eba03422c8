//! Node handles: from the two numbers that a plugin keeps to the node they name, or to nothing.
//!
//! The table is one for the process, because the functions of the host's vtable know nothing but the
//! handle. Looking up takes no lock; a handle whose generation is not the slot's is stale.
//!
//! A slot also holds the state of the task whose root its node is ([`Gate`]). The slot's memory is
//! never freed, so a source's thread can try to claim the task by one exchange that fails when the
//! handle is stale, and so finds out in one step that the session lives, that the segment is at rest,
//! and that it stays so: a session lets go of its handles only when none of its tasks is claimed.

use std::{
    mem::ManuallyDrop,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicPtr, AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use levada_abi::NodeHandle;

use super::{Session, block::prefetch, running};
use crate::scheduler::task::Gate;

const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

#[derive(Default)]
struct Slot {
    gate: Gate,
    /// The session of the node, while the handle is live.
    session: ArcSwapOption<Session>,
    /// The same, for whoever holds the claim on the gate under the handle's generation.
    claimed: AtomicPtr<Session>,
    generation: AtomicU32,
    node: AtomicU32,
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

/// Reserves handles; they name nothing yet. `None` when with them a million nodes were alive.
pub(super) fn reserve(count: usize) -> Option<Vec<NodeHandle>> {
    let mut handles = Vec::with_capacity(count);
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let (given_back, ever) = &mut *free;
    if given_back.len() + CHUNK * CHUNKS - (*ever as usize) < count {
        return None;
    }
    for _ in 0..count {
        let index = given_back.pop().unwrap_or_else(|| {
            *ever += 1;
            *ever - 1
        });
        let chunk = TABLE[index as usize / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
        let generation = &chunk[index as usize % CHUNK].generation;
        handles.push(NodeHandle {
            slot: index,
            generation: generation.load(Ordering::Relaxed),
        });
    }
    Some(handles)
}

/// The gate of the task whose root a reserved handle names.
///
/// # Panics
/// When the handle was never reserved.
pub(super) fn gate(handle: NodeHandle) -> &'static Gate {
    &slot(handle.slot)
        .expect("a reserved handle has a slot")
        .gate
}

/// Makes a reserved handle name a node.
pub(crate) fn bind(handle: NodeHandle, session: &Arc<Session>, node: usize) {
    if let Some(slot) = slot(handle.slot) {
        // Release, with the Acquire in `with`: who sees this node sees that the generation has moved on.
        slot.node.store(node as u32, Ordering::Release);
        slot.claimed
            .store(Arc::as_ptr(session).cast_mut(), Ordering::Release);
        slot.session.store(Some(session.clone()));
    }
}

/// Makes a handle stale. Calls that looked it up before may still be under way.
pub(crate) fn release(handle: NodeHandle) {
    if let Some(slot) = slot(handle.slot) {
        slot.session.store(None);
        let next = handle.generation.wrapping_add(1);
        slot.gate.shut(next);
        // Release, with the Acquire in `with`: what the slot's next user stores is not seen together
        // with this generation.
        slot.generation.store(next, Ordering::Release);
        FREE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .push(handle.slot);
    }
}

/// Calls `f` with what the handle names; `None` when it is stale.
pub(crate) fn with<R>(handle: NodeHandle, f: impl FnOnce(&Arc<Session>, usize) -> R) -> Option<R> {
    let slot = slot(handle.slot)?;
    let running = slot.claimed.load(Ordering::Acquire);
    if running::is_running(running) {
        // A node asks during its own session's run, which keeps session and handles.
        // SAFETY: the run on this thread's stack has a reference. This one is not dropped here.
        let session = ManuallyDrop::new(unsafe { Arc::from_raw(running) });
        let node = slot.node.load(Ordering::Relaxed) as usize;
        let is_live = slot.generation.load(Ordering::Relaxed) == handle.generation;
        return is_live.then(|| f(&session, node));
    }
    let session = slot.session.load();
    let session = session.as_ref()?;
    let node = slot.node.load(Ordering::Acquire) as usize;
    // Read last: a session or node of the slot's next user was stored after the generation moved on.
    (slot.generation.load(Ordering::Acquire) == handle.generation).then(|| f(session, node))
}

/// Claims the task whose root node the handle names, if it is at rest, and calls `f` with what the
/// handle names; `None` when it is stale or the task is not at rest. `f` gives the claim back.
pub(crate) fn claim<R>(handle: NodeHandle, f: impl FnOnce(&Arc<Session>, usize) -> R) -> Option<R> {
    let slot = slot(handle.slot)?;
    if !slot.gate.claim_idle(handle.generation) {
        return None;
    }
    let session = slot.claimed.load(Ordering::Acquire);
    // SAFETY: the gate opens under this generation only after `bind`, and the session keeps its
    // handles, and so the reference in `slot.session` that this one borrows, until no task of its own
    // is claimed or queued. Who gives the claim back has a reference of its own from then on. This one is
    // not dropped here.
    let session = ManuallyDrop::new(unsafe { Arc::from_raw(session) });
    Some(f(&session, slot.node.load(Ordering::Relaxed) as usize))
}

/// Calls `f` with each of the handles in turn, and has the processor fetch meanwhile what the calls after
/// it look at first: the slot, then the session. Where thousands of sessions take turns, none of it is in
/// a cache.
pub(crate) fn visit(handles: &[NodeHandle], f: impl Fn(NodeHandle)) {
    let ahead = |at: usize, by: usize| slot(handles.get(at + by)?.slot);
    for (at, handle) in handles.iter().enumerate() {
        if let Some(slot) = ahead(at, 12) {
            prefetch(std::ptr::from_ref(slot).cast());
        }
        if let Some(slot) = ahead(at, 6) {
            // Relaxed: what it points to is not looked at.
            prefetch(slot.claimed.load(Ordering::Relaxed).cast_const().cast());
        }
        f(*handle);
    }
}
