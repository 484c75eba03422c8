//! Borrowed text and bytes.

use abi_stable::StableAbi;

/// Borrowed UTF-8 text or, where a field says so, raw bytes.
///
/// Valid for the call that passes it, or for ever in a static descriptor. Length in bytes, no
/// terminating zero. A null pointer with length zero is the empty text.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct Text {
    /// First byte; may be null when `len` is zero.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

// SAFETY: a `Text` is a shared borrow of immutable bytes.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

impl Text {
    /// The empty text.
    pub const EMPTY: Text = Text {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// Borrows `text`; the caller keeps it alive for as long as the field's contract says.
    #[must_use]
    pub const fn new(text: &str) -> Text {
        Text {
            ptr: text.as_ptr(),
            len: text.len(),
        }
    }

    /// Borrows `bytes`; the caller keeps them alive for as long as the field's contract says.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8]) -> Text {
        Text {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// Returns the bytes.
    ///
    /// # Safety
    /// `ptr` and `len` must name memory that stays valid and unchanged for `'a`.
    #[must_use]
    pub const unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: the caller vouches for the memory.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// Returns the text, or a fixed replacement where the bytes are not UTF-8.
    ///
    /// # Safety
    /// As for [`Text::as_bytes`].
    #[must_use]
    pub unsafe fn as_str<'a>(self) -> &'a str {
        // SAFETY: the caller vouches for the memory.
        std::str::from_utf8(unsafe { self.as_bytes() }).unwrap_or("(not UTF-8)")
    }
}

/// A borrowed list of `T` in static memory.
#[repr(C)]
#[derive(StableAbi)]
pub struct List<T: 'static> {
    /// First element; may be null when `len` is zero.
    pub ptr: *const T,
    /// Number of elements.
    pub len: usize,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for List<T> {}

// SAFETY: a `List` is a shared borrow of immutable static memory.
unsafe impl<T: Sync> Send for List<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for List<T> {}

impl<T> List<T> {
    /// Borrows a static slice.
    #[must_use]
    pub const fn new(items: &'static [T]) -> List<T> {
        List {
            ptr: items.as_ptr(),
            len: items.len(),
        }
    }

    /// Returns the elements.
    ///
    /// # Safety
    /// `ptr` and `len` must name `len` valid elements in memory that lives for ever.
    #[must_use]
    pub const unsafe fn as_slice(self) -> &'static [T] {
        if self.ptr.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: the caller vouches for the memory.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}
