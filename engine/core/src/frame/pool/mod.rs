//! The pool: loans buffers by size class and takes them back on their last release.
//!
//! Sizes are powers of two from 256 bytes to 64 MiB. Released blocks wait on a shelf for each, so
//! that a loan and a release are one atomic exchange each, in no order and on any thread. Only when a
//! shelf is empty does a loan take the lock and allocate. The sum of all blocks, out on loan or
//! waiting, never exceeds the pool's limit.
//!
//! Nothing waits for ever: [`Pool::trim_idle`], called now and then, gives back what has not been
//! needed since the call before, and a loan that finds the limit reached gives back what waits in
//! other classes first. What is freed goes back to the allocator.
//!
//! Every buffer on loan is attributed to the node that holds it, so that a leak has a name; see
//! [`Holder`].
//!
//! The last handle to go closes the shelves and frees what waits on them. A buffer may outlive them,
//! its pool and its engine; its last release frees it then.

mod block;
mod headers;
mod holder;
mod shelf;
mod trim;

use levada_abi::Buffer;

pub(crate) use self::block::LoanId;
pub use self::holder::{Held, Holder};
use self::{
    block::Block,
    headers::{Headers, MAX_BLOCKS},
    shelf::{Chain, Shelf},
};
use crate::sync::{Arc, AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering, fence};

const SMALLEST: u32 = 8;
#[cfg(not(all(test, loom)))]
const LARGEST: u32 = 26;
/// Models get by with two classes.
#[cfg(all(test, loom))]
const LARGEST: u32 = 9;
const CLASSES: usize = (LARGEST - SMALLEST + 1) as usize;

/// Loans buffers. Cheap to clone; clones share the memory.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
    /// Closes the shelves when the last handle goes.
    _door: Arc<Door>,
}

struct Door(Arc<Inner>);

/// What handles and blocks share.
struct Inner {
    shelves: [Shelf; CLASSES],
    headers: Headers,
    /// Bytes of all blocks, loaned or waiting. It grows under the lock only.
    bytes: AtomicUsize,
    /// Calls of `trim_idle`.
    period: AtomicU32,
    limit: usize,
    slots: Mutex<Slots>,
}

/// Which headers have no block, or none that waits on a shelf.
struct Slots {
    /// Numbers from here on have never been used.
    fresh: u32,
    /// Below `fresh`, those whose block was freed.
    free: Vec<u32>,
    /// Blocks that were taken off the shelves to be freed.
    idle: Chain,
}

/// The pool's limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no buffer of {wanted} bytes: the pool's {limit} bytes are out on loan; release frames sooner or raise the limit"
)]
pub struct Exhausted {
    /// Bytes asked for.
    pub wanted: usize,
    /// The pool's limit in bytes.
    pub limit: usize,
}

fn class_of(len: usize) -> Option<u32> {
    let class = len
        .max(1 << SMALLEST)
        .checked_next_power_of_two()?
        .trailing_zeros();
    (class <= LARGEST).then_some(class)
}

impl Pool {
    /// Makes an empty pool that never holds more than `limit` bytes of payload memory.
    #[must_use]
    pub fn new(limit: usize) -> Pool {
        let inner = Arc::new(Inner {
            shelves: std::array::from_fn(|_| Shelf::new()),
            headers: Headers::new(),
            bytes: AtomicUsize::new(0),
            period: AtomicU32::new(0),
            limit,
            slots: Mutex::new(Slots {
                fresh: 0,
                free: vec![],
                idle: Chain::EMPTY,
            }),
        });
        let door = Arc::new(Door(inner.clone()));
        Pool { inner, _door: door }
    }

    /// Loans a unique, writable buffer of `len` bytes, content undefined.
    ///
    /// # Errors
    /// When `len` is beyond 64 MiB, or all memory up to the limit is out on loan.
    #[inline]
    pub fn loan(&self, len: usize) -> Result<Buffer, Exhausted> {
        self.loan_for(len, Holder::NOBODY)
    }

    /// As [`Pool::loan`], to a node: the buffer counts as held by `holder`.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn loan_for(&self, len: usize, holder: Holder) -> Result<Buffer, Exhausted> {
        let inner = &*self.inner;
        let block = class_of(len).and_then(|class| {
            inner
                .shelf(class)
                .take(&inner.headers)
                .or_else(|| self.allocate(class))
        });
        match block {
            Some(block) => Ok(block.lend(len, holder)),
            None => Err(Exhausted {
                wanted: len,
                limit: inner.limit,
            }),
        }
    }

    /// Bytes of all blocks, out on loan or waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    #[cold]
    fn allocate(&self, class: u32) -> Option<Block> {
        let (inner, size) = (&*self.inner, 1 << class);
        let mut slots = inner.lock();
        loop {
            if let Some(block) = inner.shelf(class).take(&inner.headers) {
                return Some(block);
            }
            if inner.bytes().saturating_add(size) <= inner.limit {
                break;
            }
            let heads = inner.heads();
            // Blocks of other classes may be waiting unused; the largest, so that it takes few.
            let idle = slots.idle.take(&inner.headers);
            let largest = || {
                let mut shelves = inner.shelves.iter().rev();
                shelves.find_map(|shelf| shelf.take(&inner.headers))
            };
            match idle.or_else(largest) {
                Some(block) => slots.free(block),
                // One shelf was looked at after the other. Nothing waits only if none has changed.
                None if inner.heads() == heads => return None,
                None => {}
            }
        }
        let number = slots.free.pop().or_else(|| {
            let number = slots.fresh;
            slots.fresh += u32::from(number < MAX_BLOCKS);
            (number < MAX_BLOCKS).then_some(number)
        })?;
        inner.bytes.fetch_add(size, Ordering::Relaxed);
        drop(slots);
        // SAFETY: the number is this thread's, and its header has no block.
        let block = unsafe { Block::allocate(&self.inner, inner.headers.make(number), class) };
        if block.is_none() {
            let mut slots = inner.lock();
            slots.free.push(number);
            inner.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        block
    }
}

impl Slots {
    fn free(&mut self, block: Block) {
        self.free.push(block.header().number);
        block.free();
    }
}

impl Inner {
    fn shelf(&self, class: u32) -> &Shelf {
        &self.shelves[(class - SMALLEST) as usize]
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What is on top of the shelves now.
    fn heads(&self) -> [u64; CLASSES] {
        // The looks before are over, and those after have not begun.
        fence(Ordering::SeqCst);
        let heads = std::array::from_fn(|at| self.shelves[at].head().load(Ordering::Relaxed));
        fence(Ordering::SeqCst);
        heads
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // The lock guards no data that a panic could leave half-done.
        self.slots
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        for shelf in &self.0.shelves {
            let mut chain = shelf.close();
            while let Some(block) = chain.take(&self.0.headers) {
                block.free();
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models;
#[cfg(all(test, not(loom)))]
mod tests;
