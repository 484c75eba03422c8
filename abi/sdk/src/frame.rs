//! [`Frame`] and [`Frames`]: the units that travel, safely.

use bytes::Bytes;
use levada_abi::{self as abi, Buffer, flags, media};

use crate::buffer::{self, Loan};

/// What kind of media a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound: a block of samples or an encoded packet.
    Audio,
    /// A picture, an encoded access unit or, in packet mode, a packet of one.
    Video,
    /// A message.
    Data,
}

impl Kind {
    pub(crate) const fn to_abi(self) -> u32 {
        match self {
            Kind::Audio => media::AUDIO,
            Kind::Video => media::VIDEO,
            Kind::Data => media::DATA,
        }
    }

    pub(crate) const fn from_abi(media: u32) -> Kind {
        match media {
            media::AUDIO => Kind::Audio,
            media::VIDEO => Kind::Video,
            _ => Kind::Data,
        }
    }
}

/// One unit that travels: a raw picture, an encoded access unit, an audio block or a message.
///
/// A frame is moved; `clone` is explicit and only adds references. Its payload is shared memory: it
/// can be written in place ([`payload_mut`](Frame::payload_mut)) when this frame has the only
/// reference.
#[repr(transparent)]
#[derive(Clone)]
pub struct Frame(abi::Frame);

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind())
            .field("pts_ns", &self.pts())
            .field("len", &self.payload().len())
            .field("format", &self.format_id())
            .field("stream", &self.stream())
            .field("flags", &self.0.flags)
            .finish()
    }
}

impl Frame {
    /// Makes a frame of a buffer on loan, at time 0, without format.
    #[must_use]
    pub fn new(kind: Kind, payload: Loan) -> Frame {
        Frame::of_buffer(kind, payload.into())
    }

    /// Makes a frame whose payload is `bytes`, which are not copied.
    #[must_use]
    pub fn from_bytes(kind: Kind, bytes: Bytes) -> Frame {
        Frame::of_buffer(kind, buffer::from_bytes(bytes))
    }

    fn of_buffer(kind: Kind, buffer: Buffer) -> Frame {
        let flags = (kind.to_abi() as u16) << flags::MEDIA_SHIFT;
        Frame(abi::Frame {
            buffer,
            flags,
            ..abi::Frame::default()
        })
    }

    /// Takes a frame of the contract's own type; `None` for an empty slot.
    #[inline]
    #[must_use]
    pub fn from_abi(frame: abi::Frame) -> Option<Frame> {
        (!frame.is_empty_slot()).then_some(Frame(frame))
    }

    /// Gives the contract's own type.
    #[inline]
    #[must_use]
    pub fn into_abi(self) -> abi::Frame {
        self.0
    }

    /// Whether the host emptied this slot; never between calls of the contract's functions.
    #[inline]
    pub(crate) fn is_empty_slot(&self) -> bool {
        self.0.is_empty_slot()
    }

    /// What kind of media it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::from_abi(u32::from(
            (self.0.flags & flags::MEDIA_MASK) >> flags::MEDIA_SHIFT,
        ))
    }

    /// Presentation time in ns on the session's timeline.
    #[inline]
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.0.pts
    }

    /// Sets the presentation time in ns.
    #[inline]
    #[must_use]
    pub fn with_pts(mut self, pts_ns: i64) -> Frame {
        self.0.pts = pts_ns;
        self
    }

    /// Duration in us; 0 when unknown.
    #[must_use]
    pub fn duration_us(&self) -> u32 {
        self.0.duration
    }

    /// Sets the duration in us.
    #[must_use]
    pub fn with_duration_us(mut self, us: u32) -> Frame {
        self.0.duration = us;
        self
    }

    /// Decoding time less presentation time, in us; 0 without reordering.
    #[must_use]
    pub fn dts_delta_us(&self) -> i32 {
        self.0.dts_delta
    }

    /// Sets how much earlier (below 0) than presented the frame is to be decoded, in us.
    #[must_use]
    pub fn with_dts_delta_us(mut self, us: i32) -> Frame {
        self.0.dts_delta = us;
        self
    }

    /// The format's id in the session; 0 is "none". [`Context::format`](crate::Context::format) looks it up.
    #[must_use]
    pub fn format_id(&self) -> u32 {
        self.0.format
    }

    /// Sets the format's id.
    #[must_use]
    pub fn with_format_id(mut self, id: u32) -> Frame {
        self.0.format = id;
        self
    }

    /// Which stream of the link the frame belongs to.
    #[must_use]
    pub fn stream(&self) -> u16 {
        self.0.stream
    }

    /// Sets the stream.
    #[must_use]
    pub fn with_stream(mut self, stream: u16) -> Frame {
        self.0.stream = stream;
        self
    }

    /// Whether all bits of `mask` (from [`flags`]) are set.
    #[must_use]
    pub fn has(&self, mask: u16) -> bool {
        self.0.flags & mask == mask
    }

    /// Sets the bits of `mask` (from [`flags`]); the bits that repeat the kind stay.
    #[must_use]
    pub fn with_flags(mut self, mask: u16) -> Frame {
        self.0.flags |= mask & !flags::MEDIA_MASK;
        self
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.0.buffer.as_slice()
    }

    /// The payload for writing in place, or `None` when its memory is shared or read-only; then
    /// [`Context::make_writable`](crate::Context::make_writable) copies it, and says so.
    pub fn payload_mut(&mut self) -> Option<&mut [u8]> {
        self.0.buffer.as_mut_slice()
    }

    /// Replaces the payload and keeps everything else.
    pub fn set_payload(&mut self, payload: Loan) {
        self.0.buffer = payload.into();
    }

    /// The payload as `Bytes` that share its memory.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        buffer::into_bytes(self.0.buffer.clone())
    }

    /// Gives up the frame for its payload as `Bytes`, without a copy.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        buffer::into_bytes(std::mem::take(&mut self.0.buffer))
    }

    /// Returns the side data called `id`, if there is any.
    #[must_use]
    pub fn side_data(&self, id: &str) -> Option<&[u8]> {
        self.0.side.find(id)
    }

    /// Puts a piece of side data in front of what the frame has; the content is copied.
    #[must_use]
    pub fn with_side_data(mut self, id: &'static str, content: &[u8]) -> Frame {
        let next = std::mem::take(&mut self.0.side);
        self.0.side = crate::side::attach(id, content, next);
        self
    }
}

/// The slots of a batch at an input port.
///
/// A frame that is taken is the node's; what is left goes on to the output that the port
/// [forwards to](crate::Port::forwards_to), or is released at a sink.
pub struct Frames<'a> {
    slots: &'a mut [abi::Frame],
    /// Whether a frame was taken, so that a slot may be empty.
    taken: bool,
}

impl<'a> Frames<'a> {
    /// Wraps slots of the contract's own type.
    #[inline]
    pub fn new(slots: &'a mut [abi::Frame]) -> Frames<'a> {
        Frames {
            slots,
            taken: false,
        }
    }

    /// What `process` answers: whether every slot holds a frame still.
    #[inline]
    pub(crate) fn status(&self) -> abi::Status {
        if self.taken {
            abi::Status::OK
        } else {
            abi::Status::KEPT
        }
    }

    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no slots.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Visits the frames in order, to edit them in place.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Frame> {
        self.slots
            .iter_mut()
            .filter(|slot| !slot.is_empty_slot())
            .map(|slot| {
                // SAFETY: `Frame` is a transparent wrapper of `abi::Frame`, and the slot is not empty,
                // which is the invariant that the wrapper adds.
                unsafe { &mut *std::ptr::from_mut(slot).cast::<Frame>() }
            })
    }

    /// Visits the slots in order; `f` answers the frame to leave in the slot, or `None` to leave it
    /// empty.
    #[inline]
    pub fn replace_each(&mut self, mut f: impl FnMut(Frame) -> Option<Frame>) {
        for slot in self.slots.iter_mut() {
            if let Some(frame) = Frame::from_abi(std::mem::take(slot)) {
                match f(frame) {
                    Some(frame) => *slot = frame.into_abi(),
                    None => self.taken = true,
                }
            }
        }
    }

    /// Takes all frames in order.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.taken = true;
        self.slots
            .iter_mut()
            .filter_map(|slot| Frame::from_abi(std::mem::take(slot)))
    }
}

/// Views a slice of the contract's frames (none of which is an empty slot) as frames.
pub(crate) fn view(slots: &[abi::Frame]) -> Option<&[Frame]> {
    if slots.iter().any(abi::Frame::is_empty_slot) {
        return None;
    }
    // SAFETY: `Frame` is a transparent wrapper of `abi::Frame`, and no slot is empty, which is the
    // invariant that the wrapper adds.
    Some(unsafe { std::slice::from_raw_parts(slots.as_ptr().cast::<Frame>(), slots.len()) })
}
