//! Arrays that batches lie in while calls need them, kept by the thread for the next time: as many as
//! batches nest.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use levada_abi::Frame;

use super::outputs::Emitted;

struct Spare {
    frames: Vec<Vec<Frame>>,
    lists: Vec<Vec<Emitted>>,
}

thread_local! {
    static SPARE: RefCell<Spare> = const {
        RefCell::new(Spare {
            frames: Vec::new(),
            lists: Vec::new(),
        })
    };
}

/// Calls `f` with what the thread keeps; `None` when the thread is ending and keeps nothing any more.
fn with<R>(f: impl FnOnce(&mut Spare) -> R) -> Option<R> {
    SPARE.try_with(|spare| f(&mut spare.borrow_mut())).ok()
}

/// An empty array.
pub(crate) fn take() -> Vec<Frame> {
    with(|spare| spare.frames.pop())
        .flatten()
        .unwrap_or_default()
}

/// Releases what is left in an array, and keeps it.
pub(crate) fn give(mut frames: Vec<Frame>) {
    // Before the thread's own is borrowed: a release calls others' code.
    frames.clear();
    with(|spare| spare.frames.push(frames));
}

/// A list of what a call emits, all of its entries without frames.
pub(super) fn take_list() -> Vec<Emitted> {
    with(|spare| spare.lists.pop())
        .flatten()
        .unwrap_or_default()
}

/// Keeps such a list, with the arrays of its entries.
pub(super) fn give_list(list: Vec<Emitted>) {
    with(|spare| spare.lists.push(list));
}
