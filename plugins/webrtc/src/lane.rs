//! [`Lane`]: the one stream of a kind that a peer is sent.
//!
//! RTP knows one timeline a stream, so frames of several streams are never interleaved into it. The first that comes
//! has the lane; another one gets it when the first has ended or fallen silent, and begins behind the last number.

use levada_plugin::colour::Colour;

use crate::codec::Codec;
use crate::driver::random;
use crate::media::{DEFAULT_PAYLOAD_BYTES, Forwarder, Packetiser, PacketiserStart};

/// How long the stream that has a lane must have brought nothing before another one gets it, by the node's clock. Longer
/// than a screen at rest or a pause in speech takes between two frames.
pub(crate) const SILENCE_NS: i64 = 2_000_000_000;

/// See the module. Whatever its stream is made of, each number is used once.
pub(crate) struct Lane {
    start: PacketiserStart,
    pub(crate) numbers: Forwarder,
    packetiser: Option<Packetiser>,
    /// What the other side was told of the colours last.
    pub(crate) told: Option<Colour>,
    holder: Option<Holder>,
    /// That a stream has to wait is said once.
    said: bool,
}

/// Who has a lane.
struct Holder {
    /// Nodes that number no streams all bring stream 0, so that the input counts as well.
    port: usize,
    stream: u16,
    heard_ns: i64,
    ended: bool,
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It goes out.
    Goes,
    /// It goes out as the first of its stream, behind another one's.
    Follows,
    /// It does not: the lane is this stream's.
    Waits {
        holder: u16,
        /// Nobody was told yet.
        news: bool,
    },
}

impl Lane {
    pub(crate) fn new() -> Self {
        let numbers = random();
        let start = PacketiserStart {
            timestamp: numbers as u32,
            picture_id: (numbers >> 32) as u16,
        };
        Self {
            start,
            // Room before the first wrap, which encryption has to guess.
            numbers: Forwarder::new(start.timestamp, (numbers >> 48) as u16 & 0x7fff),
            packetiser: None,
            told: None,
            holder: None,
            said: false,
        }
    }

    /// Says what becomes of a frame of this stream that came at this input.
    pub(crate) fn turn(&mut self, port: usize, stream: u16, now: i64) -> Turn {
        let is_first = self.holder.is_none();
        if let Some(holder) = &mut self.holder {
            if (holder.port, holder.stream) == (port, stream) {
                holder.heard_ns = now;
                return Turn::Goes;
            }
            if !holder.ended && now.saturating_sub(holder.heard_ns) < SILENCE_NS {
                return Turn::Waits {
                    holder: holder.stream,
                    news: !std::mem::replace(&mut self.said, true),
                };
            }
        }
        self.holder = Some(Holder {
            port,
            stream,
            heard_ns: now,
            ended: false,
        });
        if is_first {
            return Turn::Goes;
        }
        self.numbers.begin_stream();
        Turn::Follows
    }

    /// Notes that nothing more comes at an input.
    pub(crate) fn port_ended(&mut self, port: usize) {
        if let Some(holder) = &mut self.holder {
            holder.ended |= holder.port == port;
        }
    }

    pub(crate) fn packetiser(&mut self, codec: Codec) -> &mut Packetiser {
        let start = self.start;
        let packetiser = self
            .packetiser
            .take()
            .filter(|packetiser| packetiser.codec() == codec)
            .unwrap_or_else(|| Packetiser::new(codec, start, DEFAULT_PAYLOAD_BYTES));
        self.packetiser.insert(packetiser)
    }

    /// Whether a unit is to state its colours: keyframes do, and others where they have changed. A stream that has
    /// never stated any goes without.
    pub(crate) fn states(&self, colour: Colour, keyframe: bool) -> bool {
        let news = self.told != Some(colour);
        (keyframe || news) && (colour != Colour::default() || self.told.is_some())
    }
}
