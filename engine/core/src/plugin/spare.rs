//! Arrays that batches lie in while calls need them, kept by the thread for the next time: as many as
//! batches nest.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use levada_abi::Frame;

use super::outputs::Emitted;

/// Frames that an array may have room for that is kept, and entries of a list. Single calls may need many
/// more, and a thread keeps what it has for ever.
const MAX_FRAMES: usize = 1024;
const MAX_ENTRIES: usize = 16;

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
    if frames.capacity() <= MAX_FRAMES {
        with(|spare| spare.frames.push(frames));
    }
}

/// A list of what a call emits, all of its entries without frames.
pub(super) fn take_list() -> Vec<Emitted> {
    with(|spare| spare.lists.pop())
        .flatten()
        .unwrap_or_default()
}

/// Keeps such a list, with the arrays of its entries.
pub(super) fn give_list(mut list: Vec<Emitted>) {
    list.truncate(MAX_ENTRIES);
    for entry in &mut list {
        if entry.frames.capacity() > MAX_FRAMES {
            entry.frames = Vec::new();
        }
    }
    with(|spare| spare.lists.push(list));
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_one_call_needed_is_not_kept_for_ever() {
        for room in [32, MAX_FRAMES + 1] {
            give(Vec::with_capacity(room));
            let mut list = take_list();
            list.resize_with(MAX_ENTRIES + 1, Emitted::default);
            list[0].frames.reserve_exact(room);
            give_list(list);
        }
        let list = take_list();
        assert!(list.len() <= MAX_ENTRIES);
        assert!(
            list.iter()
                .all(|entry| entry.frames.capacity() <= MAX_FRAMES)
        );
        assert_eq!((take().capacity(), take().capacity()), (32, 0));
    }
}
