//! Side data: small pieces that ride along with a frame.

use std::{
    ffi::c_void,
    sync::atomic::{AtomicUsize, Ordering, fence},
};

use bytes::Bytes;
use levada_abi::{Side, SideData, Text};

/// A piece with its count and content. The head comes first, so a pointer to the one is a pointer
/// to the other.
#[repr(C)]
struct Piece {
    head: SideData,
    count: AtomicUsize,
    /// Not a box, which would be the only one to point to it wherever it is moved.
    content: Bytes,
    next: Side,
}

/// Makes a piece with a copy of `content`, followed by `next`.
pub(crate) fn attach(id: &'static str, content: &[u8], next: Side) -> Side {
    let content = Bytes::copy_from_slice(content);
    let piece = Box::new(Piece {
        head: SideData {
            id: Text::new(id),
            data: content.as_ptr().cast(),
            size: content.len(),
            next: next.as_ptr().cast_const().cast(),
            retain,
            release,
        },
        count: AtomicUsize::new(1),
        content,
        next,
    });
    // SAFETY: a fresh piece with one reference, which keeps the contract by the functions below.
    unsafe { Side::from_raw(Box::into_raw(piece).cast()) }
}

unsafe extern "C" fn retain(this: *mut c_void) {
    // SAFETY: `attach` made the piece, and the caller holds a reference to it.
    let piece = unsafe { &*this.cast::<Piece>() };
    // Relaxed: a new reference is made from an existing one.
    piece.count.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn release(this: *mut c_void) {
    // SAFETY: as in `retain`.
    let piece = unsafe { &*this.cast::<Piece>() };
    // Release, with the Acquire fence below: uses through other references happen before the free.
    if piece.count.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: this was the last reference. Dropping the piece drops its `next` as well.
        let piece = unsafe { Box::from_raw(this.cast::<Piece>()) };
        debug_assert_eq!(piece.head.size, piece.content.len());
        drop(piece.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_by_name_through_the_chain() {
        let chain = attach("b", &[2, 2], attach("a", &[1], Side::NONE));
        let second = chain.clone();
        drop(chain);
        assert_eq!(second.find("a"), Some(&[1][..]));
        assert_eq!(second.find("b"), Some(&[2, 2][..]));
        assert_eq!(second.find("c"), None);
    }
}
