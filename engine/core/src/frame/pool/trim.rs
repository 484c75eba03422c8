//! Giving back the memory that waits.
//!
//! Time is the caller's: [`Pool::trim_idle`] ends a *period*, and every block on a shelf knows in which
//! period it got there. Shelves hand out what came last, so the blocks that are needed keep coming from
//! the top, and one that has been there since before the period began is one that the whole period
//! could do without.
//!
//! To free a block in the middle of a shelf, all are taken off and the others put back. A loan that
//! finds the shelf empty meanwhile asks for the lock, which is held until they are there again; then it
//! looks once more, before it allocates or says that the limit is reached. What is to be freed waits
//! where such a loan finds it as well. So nobody who loans can tell the memory that is being given back
//! from memory that was never there. Freeing may take long (pages go back to the system), and the lock
//! is held for one block at a time.
#![forbid(unsafe_code)]

use super::{Inner, Pool, shelf::Chain};
use crate::sync::Ordering;

impl Pool {
    /// Ends a period, and gives back the memory that has not been loaned since it began. Returns how
    /// many bytes that was. Called at regular intervals, it gives a block back between one and two of
    /// them after its last release. Any thread; what is in use costs it a glance at each block that
    /// waits.
    pub fn trim_idle(&self) -> usize {
        self.inner.take_idle();
        self.inner.free_idle()
    }

    /// Gives back all memory that waits, and returns how many bytes that was. Any thread.
    pub fn trim(&self) -> usize {
        let mut slots = self.inner.lock();
        for shelf in &self.inner.shelves {
            let mut taken = shelf.take_all();
            while let Some(block) = taken.take(&self.inner.headers) {
                slots.idle.put(block);
            }
        }
        drop(slots);
        self.inner.free_idle()
    }
}

impl Inner {
    fn take_idle(&self) {
        let mut slots = self.lock();
        let period = self.period.load(Ordering::Relaxed);
        for shelf in &self.shelves {
            let is_idle = |since: u32| since != period;
            let is_any = shelf.any(&self.headers, slots.fresh, |header| {
                is_idle(header.since.load(Ordering::Relaxed))
            });
            if !is_any {
                continue;
            }
            let (mut taken, mut kept) = (shelf.take_all(), Chain::EMPTY);
            while let Some(block) = taken.take(&self.headers) {
                if is_idle(block.header().since.load(Ordering::Relaxed)) {
                    slots.idle.put(block);
                } else {
                    kept.put(block);
                }
            }
            // The chain is in the opposite order, so the shelf is in the same again.
            while let Some(block) = kept.take(&self.headers) {
                block.shelve();
            }
        }
        // Whoever releases a block just now may still write the period before, which only makes the
        // block look a period older than it is.
        self.period.store(period.wrapping_add(1), Ordering::Relaxed);
    }

    fn free_idle(&self) -> usize {
        let mut bytes = 0;
        loop {
            let mut slots = self.lock();
            let Some(block) = slots.idle.take(&self.headers) else {
                return bytes;
            };
            bytes += block.header().size();
            slots.free(block);
        }
    }
}
