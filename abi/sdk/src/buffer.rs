//! [`Bytes`] to buffer and back, without copying the payload.

use std::{ffi::c_void, ops::Deref};

use bytes::Bytes;
use levada_abi::{Buffer, BufferVTable, RawBuffer, Text};

/// `Bytes` boxed behind a reference count is what a buffer made from `Bytes` owns. One box for each
/// buffer: `retain` clones the `Bytes`, whose own count does the counting.
struct Owned(Bytes, std::sync::atomic::AtomicUsize);

static BYTES: BufferVTable = BufferVTable {
    size: size_of::<BufferVTable>(),
    retain,
    release,
    is_unique_and_writable: never,
    query: nothing,
};

unsafe extern "C" fn retain(owner: *mut c_void) {
    // SAFETY: `owner` came from `Box::into_raw` in `from_bytes`, and the caller holds a reference.
    let owned = unsafe { &*owner.cast::<Owned>() };
    // Relaxed: a new reference is made from an existing one, which orders the accesses.
    owned.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

unsafe extern "C" fn release(owner: *mut c_void) {
    use std::sync::atomic::{Ordering, fence};
    // SAFETY: as in `retain`.
    let owned = unsafe { &*owner.cast::<Owned>() };
    // Release, with the Acquire fence below: what others did through their references happens
    // before the memory is freed.
    if owned.1.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: this was the last reference, so the box is ours alone.
        drop(unsafe { Box::from_raw(owner.cast::<Owned>()) });
    }
}

/// `Bytes` may be shared with others whom this count does not know, so it is never written.
unsafe extern "C" fn never(_: *mut c_void) -> u8 {
    0
}

unsafe extern "C" fn nothing(_: *mut c_void, _: Text) -> *const c_void {
    std::ptr::null()
}

/// Makes a read-only buffer that keeps `bytes` alive. The payload is not copied.
#[must_use]
pub fn from_bytes(bytes: Bytes) -> Buffer {
    let (ptr, len) = (bytes.as_ptr().cast_mut(), bytes.len());
    let owner = Box::new(Owned(bytes, std::sync::atomic::AtomicUsize::new(1)));
    let owner = Box::into_raw(owner).cast();
    let raw = RawBuffer {
        ptr,
        len,
        owner,
        vtable: &raw const BYTES,
    };
    // SAFETY: `owner` has one reference and keeps the bytes alive; `BYTES` keeps the contract.
    unsafe { Buffer::from_raw(raw) }
}

/// Makes `Bytes` that keep the buffer alive. The payload is not copied.
#[must_use]
pub fn into_bytes(buffer: Buffer) -> Bytes {
    if std::ptr::eq(buffer.raw().vtable, &raw const BYTES) {
        // SAFETY: the vtable says that `from_bytes` of this library made the owner, and the
        // reference held by `buffer` keeps it alive.
        let owned = unsafe { &*buffer.raw().owner.cast::<Owned>() };
        // A narrowed window becomes a slice of the same `Bytes`.
        return owned.0.slice_ref(buffer.as_slice());
    }
    if buffer.is_empty_slot() {
        return Bytes::new();
    }
    Bytes::from_owner(AsBytes(buffer))
}

struct AsBytes(Buffer);

impl AsRef<[u8]> for AsBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// A unique, writable buffer on loan from the host's pool; see [`Host::loan`](crate::Host::loan).
///
/// Dropping it gives it back; [`Frame::new`](crate::Frame::new) turns it into a frame's payload.
pub struct Loan(pub(crate) Buffer);

impl Loan {
    /// The bytes, content undefined until written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // A loan is unique and writable (contract of `HostVTable::loan`); a host that breaks this
        // gets an empty slice rather than undefined behaviour.
        self.0.as_mut_slice().unwrap_or(&mut [])
    }

    /// Shortens the loan to its first `len` bytes; more than there are is ignored.
    #[must_use]
    pub fn truncate(self, len: usize) -> Loan {
        let end = len.min(self.0.as_slice().len());
        Loan(self.0.narrow(0..end).unwrap_or_default())
    }
}

impl Deref for Loan {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl From<Loan> for Buffer {
    fn from(loan: Loan) -> Buffer {
        loan.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_in_and_out_without_a_copy() {
        let bytes = Bytes::from(vec![1, 2, 3, 4]);
        let at = bytes.as_ptr();
        let buffer = from_bytes(bytes);
        assert_eq!(buffer.as_slice().as_ptr(), at);
        let second = buffer.clone();
        drop(buffer);
        let back = into_bytes(second);
        assert_eq!(back.as_ptr(), at);
        assert_eq!(&back[..], &[1, 2, 3, 4]);
    }

    #[test]
    fn a_narrowed_buffer_becomes_a_slice_of_the_same_bytes() {
        let bytes = Bytes::from(vec![1, 2, 3, 4]);
        let at = bytes.as_ptr() as usize;
        let buffer = from_bytes(bytes).narrow(1..3).expect("inside the window");
        let back = into_bytes(buffer);
        assert_eq!(back.as_ptr() as usize, at + 1);
        assert_eq!(&back[..], &[2, 3]);
    }

    #[test]
    fn a_window_that_does_not_fit_is_refused() {
        assert!(
            from_bytes(Bytes::from_static(b"abc"))
                .narrow(2..4)
                .is_none()
        );
    }

    #[test]
    fn memory_from_bytes_is_never_writable() {
        let mut buffer = from_bytes(Bytes::from(vec![0; 8]));
        assert!(buffer.as_mut_slice().is_none());
    }
}
