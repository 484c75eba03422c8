//! The pool: loans buffers by size class and takes them back on their last release.
//!
//! A block of memory is a 64-byte `Header` followed by the payload, so each buffer's reference
//! count has a cache line of its own. Released blocks wait in a bounded lock-free queue for each
//! class (powers of two from 256 bytes to 64 MiB); what does not fit there goes back to the
//! allocator. The sum of all blocks, out on loan or waiting, never exceeds the pool's limit. A
//! block keeps the pool alive, so a buffer may be released after its engine is gone, from any
//! thread.

use std::{
    alloc::Layout,
    ffi::c_void,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering, fence},
    },
};

use crossbeam::queue::ArrayQueue;
use levada_abi::{Buffer, BufferVTable, RawBuffer, Text};

const HEADER: usize = 64;
const SMALLEST: u32 = 8;
const LARGEST: u32 = 26;
/// Bytes that wait in one class at most, and blocks at most.
const WAITING_BYTES: usize = 32 << 20;
const WAITING_BLOCKS: usize = 256;

/// Loans buffers. Cheap to clone; clones share the memory.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    classes: Vec<ArrayQueue<Block>>,
    /// Bytes of all blocks, loaned or waiting.
    bytes: AtomicUsize,
    limit: usize,
}

/// A block that waits in the pool: nobody else refers to it.
struct Block(NonNull<Header>);

// SAFETY: a waiting block is plain memory that only its holder refers to.
unsafe impl Send for Block {}

#[repr(C, align(64))]
struct Header {
    references: AtomicUsize,
    class: u32,
    /// The pool, while the block is out on loan.
    pool: Option<Arc<Inner>>,
}

const _: () = assert!(size_of::<Header>() == HEADER);

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

fn layout(class: u32) -> Layout {
    // Classes end at 64 MiB, so the sum is far from overflowing.
    Layout::from_size_align(HEADER + (1 << class), HEADER).expect("a power of two makes a layout")
}

impl Pool {
    /// Makes an empty pool that never holds more than `limit` bytes of payload memory.
    #[must_use]
    pub fn new(limit: usize) -> Pool {
        let classes = (SMALLEST..=LARGEST)
            .map(|class| ArrayQueue::new((WAITING_BYTES >> class).clamp(1, WAITING_BLOCKS)))
            .collect();
        Pool(Arc::new(Inner {
            classes,
            bytes: AtomicUsize::new(0),
            limit,
        }))
    }

    /// Loans a unique, writable buffer of `len` bytes, content undefined.
    ///
    /// # Errors
    /// When `len` is beyond 64 MiB, or all memory up to the limit is out on loan.
    pub fn loan(&self, len: usize) -> Result<Buffer, Exhausted> {
        let exhausted = Exhausted {
            wanted: len,
            limit: self.0.limit,
        };
        let class = class_of(len).ok_or(exhausted)?;
        let block = match self.0.queue(class).pop() {
            Some(block) => block,
            None => self.0.allocate(class).ok_or(exhausted)?,
        };
        let header = block.0.as_ptr();
        // SAFETY: the block is ours alone. Its header was initialised by `allocate`, and `pool` is
        // `None` while it waits.
        unsafe {
            (*header).references.store(1, Ordering::Relaxed);
            (*header).pool = Some(self.0.clone());
        }
        // SAFETY: the payload follows the header in the same allocation.
        let ptr = unsafe { header.cast::<u8>().add(HEADER) };
        let raw = RawBuffer {
            ptr,
            len,
            owner: header.cast(),
            vtable: &raw const VTABLE,
        };
        // SAFETY: the block's one reference is the new buffer's, and `VTABLE` keeps the contract.
        Ok(unsafe { Buffer::from_raw(raw) })
    }

    /// Bytes of all blocks, out on loan or waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn queue(&self, class: u32) -> &ArrayQueue<Block> {
        &self.classes[(class - SMALLEST) as usize]
    }

    fn allocate(&self, class: u32) -> Option<Block> {
        let size = 1 << class;
        let reserve = |limit: usize| {
            self.bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
                    bytes.checked_add(size).filter(|sum| *sum <= limit)
                })
                .is_ok()
        };
        if !reserve(self.limit) {
            // Blocks of other classes may be waiting unused: give them back, then try again.
            for queue in &self.classes {
                while let Some(block) = queue.pop() {
                    self.free(block);
                }
            }
            if !reserve(self.limit) {
                return None;
            }
        }
        let layout = layout(class);
        // Zeroed, because a loan is a slice of bytes, which safe code may read before it writes.
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        let Some(header) = NonNull::new(memory.cast::<Header>()) else {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return None;
        };
        // SAFETY: freshly allocated with room and alignment for a header.
        unsafe {
            header.write(Header {
                references: AtomicUsize::new(0),
                class,
                pool: None,
            })
        };
        Some(Block(header))
    }

    fn free(&self, block: Block) {
        // SAFETY: the block is ours alone, and was allocated with its class's layout.
        unsafe {
            let class = block.0.as_ref().class;
            std::ptr::drop_in_place(block.0.as_ptr());
            std::alloc::dealloc(block.0.as_ptr().cast(), layout(class));
            self.bytes.fetch_sub(1 << class, Ordering::Relaxed);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for queue in &self.classes {
            while let Some(block) = queue.pop() {
                self.free(block);
            }
        }
    }
}

static VTABLE: BufferVTable = BufferVTable {
    size: size_of::<BufferVTable>(),
    retain,
    release,
    is_unique_and_writable,
    query,
};

/// # Safety
/// `owner` must be the header of a loaned block to which the caller holds a reference.
unsafe fn header<'a>(owner: *mut c_void) -> &'a Header {
    // SAFETY: the caller vouches for it.
    unsafe { &*owner.cast::<Header>() }
}

unsafe extern "C" fn retain(owner: *mut c_void) {
    // SAFETY: contract of `BufferVTable::retain`. Relaxed: a new reference is made from an existing
    // one, which orders the accesses.
    unsafe { header(owner) }
        .references
        .fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn release(owner: *mut c_void) {
    // SAFETY: contract of `BufferVTable::release`.
    let count = &unsafe { header(owner) }.references;
    // Release, with the Acquire fence below: what others did through their references happens
    // before the block is loaned again.
    if count.fetch_sub(1, Ordering::Release) != 1 {
        return;
    }
    fence(Ordering::Acquire);
    let header = owner.cast::<Header>();
    // SAFETY: this was the last reference, so the block is ours alone.
    let (class, pool) = unsafe { ((*header).class, (*header).pool.take()) };
    let (Some(pool), Some(block)) = (pool, NonNull::new(header)) else {
        return;
    };
    if let Err(block) = pool.queue(class).push(Block(block)) {
        pool.free(block);
    }
}

unsafe extern "C" fn is_unique_and_writable(owner: *mut c_void) -> u8 {
    // SAFETY: contract of the function. Acquire, with the Release of `release`: what a former
    // holder did happens before the caller writes.
    u8::from(unsafe { header(owner) }.references.load(Ordering::Acquire) == 1)
}

unsafe extern "C" fn query(_: *mut c_void, _: Text) -> *const c_void {
    std::ptr::null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_block_is_loaned_again() {
        let pool = Pool::new(1 << 20);
        let first = pool.loan(1000).expect("room");
        let at = first.raw().ptr;
        drop(first);
        let second = pool.loan(900).expect("room");
        assert_eq!(second.raw().ptr, at);
        assert_eq!(second.as_slice().len(), 900);
        assert_eq!(pool.bytes(), 1024);
    }

    #[test]
    fn the_limit_is_kept_and_waiting_blocks_of_other_classes_make_room() {
        let pool = Pool::new(4096);
        let a = pool.loan(2048).expect("room");
        let b = pool.loan(2048).expect("room");
        assert_eq!(
            pool.loan(1).err(),
            Some(Exhausted {
                wanted: 1,
                limit: 4096
            })
        );
        drop((a, b));
        assert!(pool.loan(4096).is_ok());
        assert!(pool.bytes() <= 4096);
    }

    #[test]
    fn a_shared_buffer_is_not_writable_until_it_is_alone() {
        let pool = Pool::new(1 << 20);
        let mut a = pool.loan(16).expect("room");
        let b = a.clone();
        assert!(a.as_mut_slice().is_none());
        drop(b);
        a.as_mut_slice().expect("alone").fill(7);
        assert_eq!(a.as_slice(), [7; 16]);
    }

    #[test]
    fn a_buffer_outlives_its_pool_and_goes_back_from_another_thread() {
        let pool = Pool::new(1 << 20);
        let buffer = pool.loan(16).expect("room");
        drop(pool);
        std::thread::spawn(move || assert_eq!(buffer.as_slice().len(), 16))
            .join()
            .expect("no panic");
    }

    #[test]
    fn sizes_beyond_the_largest_class_are_refused() {
        assert!(Pool::new(usize::MAX).loan((64 << 20) + 1).is_err());
        assert!(Pool::new(usize::MAX).loan(usize::MAX).is_err());
    }
}
