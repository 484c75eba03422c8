//! [`Block`]: the memory of one buffer, and the functions that its buffers are given.
//!
//! A block is a [`Header`], whose count has a cache line of its own, and memory for one payload. At any
//! time it is in one of three hands: a [`Block`], which has it alone; a shelf, from which one thread
//! takes it as a `Block`; or the buffers on loan, as many as the header counts, of which the last to go
//! makes it a `Block` again.
//!
//! From its allocation to its end a block owns a reference to its pool. A loan and a release therefore
//! leave the pool's count alone, and a buffer may outlive every handle of its pool.

use std::{alloc::Layout, ffi::c_void, ptr::NonNull};

use levada_abi::{Buffer, BufferVTable, RawBuffer, Text};

use super::{Inner, Pool, holder::Holder, shelf};
use crate::sync::{
    Arc, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, alloc_zeroed, dealloc, fence,
};

/// Payloads begin at a multiple of this: a cache line, and enough for any vector instruction.
const ALIGN: usize = 64;

/// What is known of a block. All fields are atomics, because a thread that lost a race for a block may
/// read them at any time; where nothing else is said, a field is the block's holder's alone.
#[repr(C, align(64))]
pub(super) struct Header {
    /// Buffers that refer to the block; 0 while it is not on loan.
    pub references: AtomicUsize,
    /// While it is on loan: whose it is.
    pub holder: AtomicU64,
    /// How many times the block has been lent.
    loans: AtomicU64,
    /// Where the payload begins, inside `memory`.
    payload: AtomicPtr<u8>,
    /// As allocated.
    memory: AtomicPtr<u8>,
    /// The reference that the block owns; null while there is no block.
    pool: AtomicPtr<Inner>,
    /// On a shelf: the block below.
    pub below: AtomicU32,
    /// On a shelf: the pool's period when it got there.
    pub since: AtomicU32,
    class: AtomicU32,
    /// The header's own, for ever.
    pub number: u32,
}

#[cfg(not(all(test, loom)))]
const _: () = assert!(size_of::<Header>() == 64);

impl Header {
    pub fn new(number: u32) -> Header {
        Header {
            references: AtomicUsize::new(0),
            holder: AtomicU64::new(Holder::NOBODY.bits()),
            loans: AtomicU64::new(0),
            payload: AtomicPtr::new(std::ptr::null_mut()),
            memory: AtomicPtr::new(std::ptr::null_mut()),
            pool: AtomicPtr::new(std::ptr::null_mut()),
            below: AtomicU32::new(shelf::NONE),
            since: AtomicU32::new(0),
            class: AtomicU32::new(0),
            number,
        }
    }

    /// Bytes of the block's memory.
    pub fn size(&self) -> usize {
        1 << self.class.load(Ordering::Relaxed)
    }
}

/// A block that nothing else refers to. It is to be lent, put on its shelf, or freed.
#[must_use]
pub(super) struct Block(NonNull<Header>);

/// The memory of a block: as many bytes as its class says, and what it takes to align them. An
/// alignment of 1 lets the allocator hand out untouched pages of the system, which are zero already.
fn layout(class: u32) -> Layout {
    // Classes end at 64 MiB, so the sum is far from overflowing.
    Layout::from_size_align((1 << class) + ALIGN, 1).expect("64 MiB make a layout")
}

impl Block {
    /// Allocates the memory of a block; `None` when the system has none.
    ///
    /// # Safety
    /// `header` must be one of `pool`'s that has no block.
    pub unsafe fn allocate(pool: &Arc<Inner>, header: &Header, class: u32) -> Option<Block> {
        // Zeroed, because a loan is a slice of bytes, which safe code may read before it writes.
        // SAFETY: the layout is not of size zero.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout(class)) })?;
        let gap = memory.align_offset(ALIGN);
        // SAFETY: the gap is shorter than `ALIGN`, which the layout adds.
        let payload = unsafe { memory.add(gap) };
        let pool = Arc::into_raw(pool.clone()).cast_mut();
        header.memory.store(memory.as_ptr(), Ordering::Relaxed);
        header.payload.store(payload.as_ptr(), Ordering::Relaxed);
        header.pool.store(pool, Ordering::Relaxed);
        header.class.store(class, Ordering::Relaxed);
        Some(Block(NonNull::from(header)))
    }

    /// A block that was taken off a shelf.
    ///
    /// # Safety
    /// It must have been on one, and no other thread have taken it.
    pub unsafe fn taken(header: &Header) -> Block {
        Block(NonNull::from(header))
    }

    pub fn header(&self) -> &Header {
        // SAFETY: the block's reference to its pool keeps the header.
        unsafe { self.0.as_ref() }
    }

    /// Makes it a unique buffer of its first `len` bytes, which is not more than it has.
    pub fn lend(self, len: usize, holder: Holder) -> Buffer {
        let header = self.header();
        let loans = header.loans.load(Ordering::Relaxed);
        header.loans.store(loans.wrapping_add(1), Ordering::Relaxed);
        header.set_holder(holder);
        // Release, with the Acquire in `Header::loan`: who sees the loan sees whose it is.
        header.references.store(1, Ordering::Release);
        let raw = RawBuffer {
            ptr: header.payload.load(Ordering::Relaxed),
            len,
            owner: self.0.as_ptr().cast(),
            vtable: &raw const VTABLE,
        };
        // SAFETY: the block's one reference is the new buffer's, and `VTABLE` keeps the contract.
        unsafe { Buffer::from_raw(raw) }
    }

    /// Puts it on its shelf after its last release, or frees it when its pool's last handle is gone.
    fn put_back(self) {
        let header = self.header();
        header.references.store(0, Ordering::Relaxed);
        // SAFETY: the block's reference keeps its pool.
        let period = unsafe { &(*header.pool.load(Ordering::Relaxed)).period };
        header
            .since
            .store(period.load(Ordering::Relaxed), Ordering::Relaxed);
        self.shelve();
    }

    /// Puts it on its shelf, or frees it when its pool's last handle is gone.
    pub fn shelve(self) {
        let header = self.header();
        // SAFETY: the block's reference keeps the pool, until the block is on the shelf; `put` touches
        // nothing after that.
        let pool = unsafe { &*header.pool.load(Ordering::Relaxed) };
        let shelf = pool.shelf(header.class.load(Ordering::Relaxed));
        if !shelf::put(shelf.head(), header.number, &header.below) {
            self.free();
        }
    }

    /// Gives the memory back to the allocator. The header has no block then, and is gone with its
    /// pool if this was the last reference to it.
    pub fn free(self) {
        let header = self.header();
        let class = header.class.load(Ordering::Relaxed);
        let memory = header.memory.load(Ordering::Relaxed);
        let pool = header.pool.swap(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the block is ours alone and was allocated with its class's layout; its reference to
        // the pool is given up last.
        unsafe {
            dealloc(memory, layout(class));
            (*pool).bytes.fetch_sub(1 << class, Ordering::Relaxed);
            Arc::decrement_strong_count(pool);
        }
    }
}

/// One loan of a pool: the memory from when it was lent to its last release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoanId {
    block: u32,
    loan: u64,
}

impl Pool {
    /// Which loan of this pool a buffer is, or is a part or a clone of.
    pub(crate) fn loan_id(&self, buffer: &Buffer) -> Option<LoanId> {
        self.header(buffer).map(|header| LoanId {
            block: header.number,
            loan: header.loans.load(Ordering::Relaxed),
        })
    }

    /// The header of a buffer on loan from this pool.
    pub(super) fn header<'b>(&self, buffer: &'b Buffer) -> Option<&'b Header> {
        let raw = buffer.raw();
        if !std::ptr::eq(raw.vtable, &raw const VTABLE) {
            return None;
        }
        // SAFETY: the vtable says that a pool made the buffer, whose reference keeps the header.
        let header = unsafe { header(raw.owner) };
        let pool = header.pool.load(Ordering::Relaxed).cast_const();
        std::ptr::eq(pool, Arc::as_ptr(&self.inner)).then_some(header)
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
/// `owner` must be the header of a block on loan to which the caller holds a reference.
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
    let references = &unsafe { header(owner) }.references;
    // Where the caller's is the only reference, nobody can add one or take one away meanwhile, and a
    // look is as good as an exchange. Acquire, with the Release below: what others did through their
    // references happens before the block is lent again.
    if references.load(Ordering::Acquire) != 1 {
        if references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
    }
    if let Some(header) = NonNull::new(owner.cast::<Header>()) {
        // This was the last reference, so the block is ours alone.
        Block(header).put_back();
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
