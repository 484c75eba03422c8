//! [`Event`]: control that travels beside the frames.

use abi_stable::StableAbi;

/// A piece of control for a node.
///
/// *Upstream* events are raised by a node on one of its input ports and arrive at the output port
/// that feeds it; a node that does not handle one answers [`Status::UNSUPPORTED`](crate::Status) and
/// the host passes it on to the node's own inputs. They coalesce: of several events of one kind for
/// one port and stream that have not been delivered yet, the last stays. *Downstream* events are sent
/// at an output port and arrive at the input ports that it feeds, in order with the frames and never
/// dropped; a node that does not handle one answers `UNSUPPORTED` as well, and it goes on to the
/// output that the input forwards to, or to all outputs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct Event {
    /// One of [`event`](crate::event).
    pub kind: u32,
    /// The stream that is meant; 0xffff_ffff means all streams of the port.
    pub stream: u32,
    /// Depends on the kind.
    pub value: i64,
}

/// The kinds of events.
pub mod kind {
    /// Upstream: send a keyframe of this stream soon. No value.
    pub const KEYFRAME_REQUEST: u32 = 1;
    /// Upstream: the receiver can take `value` bits a second of this stream.
    pub const BITRATE: u32 = 2;
    /// Downstream, by the host alone: nothing more will come in at this port. No value.
    pub const END_OF_STREAM: u32 = 0x100;
    /// Downstream: what came before belongs to a past that is over (a seek, a new call): let go of
    /// what is held of it. No value. A node cannot emit while it is told.
    pub const FLUSH: u32 = 0x101;
    /// Downstream: no frame will come whose `pts` lies before `value` ns; whoever waits for one need
    /// not. A node cannot emit while it is told.
    pub const GAP: u32 = 0x102;

    /// Whether nodes send an event of this kind in order with their frames.
    #[must_use]
    pub const fn is_in_band(kind: u32) -> bool {
        kind == FLUSH || kind == GAP
    }

    /// Whether an event of this kind travels against the flow of frames.
    #[must_use]
    pub const fn is_upstream(kind: u32) -> bool {
        kind < 0x100
    }
}

/// Streams that a session can have, numbered from 0.
pub const MAX_STREAMS: u32 = 256;

impl Event {
    /// Whether a node may send it in order with its frames: a flush or a gap, of all streams or of one
    /// that a session can have.
    #[must_use]
    pub const fn is_in_band(&self) -> bool {
        kind::is_in_band(self.kind) && (self.stream == ALL_STREAMS || self.stream < MAX_STREAMS)
    }
}

/// The value of [`Event::stream`] that means every stream of the port.
pub const ALL_STREAMS: u32 = u32::MAX;
