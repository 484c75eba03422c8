//! [`Buffer`]: a counted reference to memory, with the owner's own functions beside it.
//!
//! A buffer is a window (`ptr`, `len`) on memory that an *owner* keeps alive. Whoever made the
//! memory supplies the owner pointer and a vtable, so a buffer made in one library is released by
//! the code that made it, whichever library drops the last reference.

use std::ffi::c_void;

use abi_stable::StableAbi;

/// The owner's functions. Any thread may call any of them at any time; none may unwind.
#[repr(C)]
#[derive(StableAbi)]
pub struct BufferVTable {
    /// Size of this struct in bytes as its maker knew it; later versions append fields.
    pub size: usize,
    /// Adds one reference.
    pub retain: unsafe extern "C" fn(owner: *mut c_void),
    /// Takes one reference away; the last one frees the memory.
    pub release: unsafe extern "C" fn(owner: *mut c_void),
    /// Answers 1 when there is exactly one reference and the memory may be written, else 0. A 1
    /// holds until the caller shares the buffer.
    pub is_unique_and_writable: unsafe extern "C" fn(owner: *mut c_void) -> u8,
    /// Answers what the memory is besides bytes (a dmabuf, a GPU texture, ...), or null. `id` is
    /// the interface's name in static memory; the answer lives as long as the reference.
    pub query: unsafe extern "C" fn(owner: *mut c_void, id: crate::Text) -> *const c_void,
}

/// What a [`Buffer`] is made of: 32 bytes. It owns nothing by itself.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct RawBuffer {
    /// First byte of the window.
    pub ptr: *mut u8,
    /// Length of the window in bytes.
    pub len: usize,
    /// Passed to every function of `vtable`.
    pub owner: *mut c_void,
    /// The owner's functions; null in an empty buffer.
    pub vtable: *const BufferVTable,
}

/// A counted reference to a window of memory: 32 bytes.
///
/// Dropping it releases its reference, cloning it adds one; the memory itself is never copied. A
/// null `vtable` marks an empty buffer that refers to nothing.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct Buffer(RawBuffer);

const _: () = assert!(size_of::<Buffer>() == 32 && align_of::<Buffer>() == 8);

// SAFETY: the vtable's functions may be called from any thread (their contract), and the window is
// only written through a unique reference.
unsafe impl Send for Buffer {}
// SAFETY: as above; a shared `Buffer` only hands out shared access.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer that refers to nothing.
    pub const EMPTY: Buffer = Buffer(RawBuffer {
        ptr: std::ptr::null_mut(),
        len: 0,
        owner: std::ptr::null_mut(),
        vtable: std::ptr::null(),
    });

    /// Takes over a reference.
    ///
    /// # Safety
    /// `raw` must stand for one reference that nobody else gives up: `ptr` and `len` name memory that
    /// `owner` keeps alive as long as there are references, and `vtable` keeps the contract of
    /// [`BufferVTable`]. Or `vtable` is null.
    #[inline]
    #[must_use]
    pub const unsafe fn from_raw(raw: RawBuffer) -> Buffer {
        Buffer(raw)
    }

    /// What the buffer is made of. It stays the owner of its reference.
    #[inline]
    #[must_use]
    pub const fn raw(&self) -> RawBuffer {
        self.0
    }

    /// Whether the buffer refers to nothing (not the same as a window of length zero).
    #[inline]
    #[must_use]
    pub const fn is_empty_slot(&self) -> bool {
        self.0.vtable.is_null()
    }

    /// The bytes of the window.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        if self.0.len == 0 || self.0.vtable.is_null() {
            return &[];
        }
        // SAFETY: a non-empty buffer's window is valid while its reference is held (type
        // invariant, upheld by whoever filled the fields), and nobody writes while it is shared.
        unsafe { std::slice::from_raw_parts(self.0.ptr, self.0.len) }
    }

    /// The bytes of the window for writing, or `None` when the memory is shared or read-only.
    pub fn as_mut_slice(&mut self) -> Option<&mut [u8]> {
        if self.0.vtable.is_null() {
            return None;
        }
        // SAFETY: `vtable` is valid for a non-empty buffer (type invariant).
        let unique = unsafe { ((*self.0.vtable).is_unique_and_writable)(self.0.owner) };
        if unique == 0 {
            return None;
        }
        if self.0.len == 0 {
            return Some(&mut []);
        }
        // SAFETY: the reference is the only one and the memory writable, as the owner just said;
        // `&mut self` keeps it so for the life of the slice.
        Some(unsafe { std::slice::from_raw_parts_mut(self.0.ptr, self.0.len) })
    }

    /// Answers the owner's interface `id` (see [`BufferVTable::query`]), or null.
    #[must_use]
    pub fn query(&self, id: &'static str) -> *const c_void {
        if self.0.vtable.is_null() {
            return std::ptr::null();
        }
        // SAFETY: `vtable` is valid for a non-empty buffer (type invariant).
        unsafe { ((*self.0.vtable).query)(self.0.owner, crate::Text::new(id)) }
    }

    /// Narrows the window to `range` of itself; `None`, and no change, when it does not fit.
    #[must_use]
    pub fn narrow(mut self, range: std::ops::Range<usize>) -> Option<Buffer> {
        if range.start > range.end || range.end > self.0.len {
            return None;
        }
        if !self.0.vtable.is_null() {
            // SAFETY: the start lies inside the window or one past its end.
            self.0.ptr = unsafe { self.0.ptr.add(range.start) };
        }
        self.0.len = range.end - range.start;
        Some(self)
    }
}

impl Clone for Buffer {
    #[inline]
    fn clone(&self) -> Self {
        if !self.0.vtable.is_null() {
            // SAFETY: `vtable` is valid for a non-empty buffer (type invariant); the new value
            // owns the reference added here.
            unsafe { ((*self.0.vtable).retain)(self.0.owner) };
        }
        Buffer(self.0)
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if !self.0.vtable.is_null() {
            // SAFETY: this value owns one reference, and gives it up here.
            unsafe { ((*self.0.vtable).release)(self.0.owner) };
        }
    }
}

impl Default for Buffer {
    #[inline]
    fn default() -> Self {
        Buffer::EMPTY
    }
}
