//! [`Frame`]: one unit of media that travels from node to node.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::buffer::Buffer;

/// One unit that travels: a raw picture, an encoded access unit, an audio block or a message.
///
/// Exactly 64 bytes, one cache line. A frame is moved; cloning is explicit and only adds references.
/// A slot whose `buffer` is empty ([`Buffer::is_empty_slot`]) holds no frame; a frame without
/// payload has a buffer of length zero that is not empty.
#[repr(C)]
#[derive(StableAbi, Clone, Default)]
pub struct Frame {
    /// The payload.
    pub buffer: Buffer,
    /// Presentation time in ns on the session's timeline.
    pub pts: i64,
    /// Duration in us; 0 when unknown.
    pub duration: u32,
    /// Decoding time less presentation time, in us; 0 without reordering.
    pub dts_delta: i32,
    /// The format's id in the session (see [`HostVTable::format_get`](crate::HostVTable::format_get));
    /// 0 is "none".
    pub format: u32,
    /// Which stream of the link the frame belongs to.
    pub stream: u16,
    /// Any of the bits in [`flags`].
    pub flags: u16,
    /// Optional side data.
    pub side: Side,
}

const _: () = assert!(size_of::<Frame>() == 64 && align_of::<Frame>() == 8);

/// The bits of [`Frame::flags`].
pub mod flags {
    /// Decoding can begin here.
    pub const KEYFRAME: u16 = 1;
    /// Something is missing before this frame, or its timeline jumped.
    pub const DISCONTINUITY: u16 = 1 << 1;
    /// Last packet of an access unit (RTP's marker bit), in packet mode.
    pub const MARKER: u16 = 1 << 2;
    /// May be dropped without hurting the frames that follow.
    pub const DROPPABLE: u16 = 1 << 3;
    /// Only decodable together with earlier frames (inter-coded).
    pub const INTER: u16 = 1 << 4;
    /// The two bits that repeat the kind of the frame's format (one of [`media`](crate::media)), so
    /// that telling sound from pictures needs no look-up.
    pub const MEDIA_MASK: u16 = 3 << MEDIA_SHIFT;
    /// Position of [`MEDIA_MASK`].
    pub const MEDIA_SHIFT: u32 = 8;
}

/// An owned, counted pointer to a chain of side data; null when there is none: 8 bytes.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct Side(*mut SideData);

const _: () = assert!(size_of::<Side>() == 8);

// SAFETY: side data's functions may be called from any thread (their contract), and its content is
// immutable once a frame carries it.
unsafe impl Send for Side {}
// SAFETY: as above.
unsafe impl Sync for Side {}

/// The head of a piece of side data; its maker appends the content.
#[repr(C)]
#[derive(StableAbi)]
pub struct SideData {
    /// What the content is: a name in static memory, such as `levada.rtp/1`.
    pub id: crate::Text,
    /// The content, laid out as `id` says; lives as long as the reference.
    pub data: *const c_void,
    /// Size of the content in bytes.
    pub size: usize,
    /// The next piece, or null. It is owned by this one.
    pub next: *const c_void,
    /// Adds one reference; any thread.
    pub retain: unsafe extern "C" fn(this: *mut c_void),
    /// Takes one reference away, and frees the piece and what follows with the last; any thread.
    pub release: unsafe extern "C" fn(this: *mut c_void),
}

impl Side {
    /// No side data.
    pub const NONE: Side = Side(std::ptr::null_mut());

    /// Takes over a reference.
    ///
    /// # Safety
    /// `piece` must be null, or keep the contract of [`SideData`] and stand for one reference that
    /// nobody else gives up.
    #[inline]
    #[must_use]
    pub const unsafe fn from_raw(piece: *mut SideData) -> Side {
        Side(piece)
    }

    /// The first piece, or null. The reference stays this value's.
    #[must_use]
    pub const fn as_ptr(&self) -> *mut SideData {
        self.0
    }

    /// Returns the content of the piece called `id`, if the chain has one.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&[u8]> {
        let mut at = self.0.cast_const();
        while !at.is_null() {
            // SAFETY: a non-null side pointer refers to a piece that lives as long as the
            // reference `self` owns, and so do those it chains to (contract of `SideData`).
            let piece = unsafe { &*at };
            // SAFETY: `id` is static text and `data` lives with the piece (contract).
            unsafe {
                if piece.id.as_str() == id {
                    return Some(
                        crate::Text {
                            ptr: piece.data.cast(),
                            len: piece.size,
                        }
                        .as_bytes(),
                    );
                }
            }
            at = piece.next.cast();
        }
        None
    }
}

impl Clone for Side {
    #[inline]
    fn clone(&self) -> Self {
        if !self.0.is_null() {
            // SAFETY: non-null side data is valid (contract); the new value owns the reference.
            unsafe { ((*self.0).retain)(self.0.cast()) };
        }
        Side(self.0)
    }
}

impl Drop for Side {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: this value owns one reference, and gives it up here.
            unsafe { ((*self.0).release)(self.0.cast()) };
        }
    }
}

impl Default for Side {
    #[inline]
    fn default() -> Self {
        Side::NONE
    }
}

impl Frame {
    /// Whether the slot holds no frame.
    #[inline]
    #[must_use]
    pub const fn is_empty_slot(&self) -> bool {
        self.buffer.is_empty_slot()
    }
}
