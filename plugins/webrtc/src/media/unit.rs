//! [`AccessUnit`]: what the depacketiser makes, not yet put together.
//!
//! A unit that lies in one packet is a slice of that packet and is never copied. Any other is a list of slices until
//! its receiver says where it wants the bytes, so the one copy that reassembly needs goes straight to its place.

use bytes::{BufMut, Bytes, BytesMut};

use levada_plugin::colour::Colour;

use super::Part;

/// One access unit as received.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    pub(super) content: Content,
    /// Presentation time in ns, counted from the stream's first packet.
    pub pts_ns: i64,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// Decoding can begin here. Always true for sound.
    pub keyframe: bool,
    /// Something is missing before this unit, or its time jumped back.
    pub discontinuity: bool,
    /// Width and height in pixels, with video keyframes that say so.
    pub size: Option<(u32, u32)>,
    /// What the stream's packets state of its colours up to here.
    pub colour: Colour,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Whole(Bytes),
    Parts { parts: Vec<Part>, len: usize },
}

impl AccessUnit {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Whole(bytes) => bytes.len(),
            Content::Parts { len, .. } => *len,
        }
    }

    /// Whether it has no bytes. The depacketiser makes no such units.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The unit when it lies in one piece already, and needs no copy.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Parts { .. } => None,
        }
    }

    /// Copies the unit to the front of `target`, which should be [`len`](Self::len) bytes long, and returns how many
    /// bytes fitted.
    pub fn write_to(&self, mut target: &mut [u8]) -> usize {
        let room = target.len();
        let mut put = |bytes: &[u8]| {
            let fits = bytes.len().min(target.len());
            target.put_slice(&bytes[..fits]);
        };
        match &self.content {
            Content::Whole(bytes) => put(bytes),
            Content::Parts { parts, .. } => {
                for part in parts {
                    put(part.prefix());
                    put(&part.bytes);
                }
            }
        }
        room - target.len()
    }

    /// The unit as one piece, and how many bytes had to be copied for it.
    pub fn into_bytes(self) -> (Bytes, usize) {
        match self.content {
            Content::Whole(bytes) => (bytes, 0),
            Content::Parts { parts, len } => {
                let mut bytes = BytesMut::with_capacity(len);
                for part in parts {
                    bytes.put_slice(part.prefix());
                    bytes.put_slice(&part.bytes);
                }
                (bytes.freeze(), len)
            }
        }
    }
}
