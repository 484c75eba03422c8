//! The node type `webrtc-sink`: what arrives is sent to the peer.

use std::collections::HashMap;
use std::sync::Arc;

use levada_plugin::prelude::*;

use crate::codec::{Codec, MediaKind};
use crate::driver::random;
use crate::error::Refused;
use crate::feedback::Upstream;
use crate::media::{DEFAULT_PAYLOAD_BYTES, Forwarder, Packetiser, PacketiserStart, RtpFields};
use crate::peer::{Message, Peer, RtpOut};
use crate::session::{Feedback, Session};
use crate::source::find_session;
use crate::wire::{self, Wire};

const AUDIO: usize = 0;
const VIDEO: usize = 1;
const IN: usize = 3;

/// Between two keyframe requests after a loss here.
const KEYFRAME_INTERVAL_NS: i64 = 500_000_000;

/// Sends what arrives to the session's peer.
///
/// **Inputs** `audio`, `video` and `data`, one kind each, or `in` with all three. Sound and pictures are access units
/// (`opus`, `pcmu`, `pcma`, `vp8`, `h264` in Annex B) or RTP payloads (`rtp-opus`, `rtp-vp8` and so on), as each frame's
/// format says. **Data** goes out on the data channel whose label is the stream's label, as text when its format is
/// `text/plain`, otherwise as bytes. **Events**: when the peer asks for a keyframe, the request travels upstream from
/// the inputs that bring pictures. When the network takes more or less than before, as the peer's reports show, a
/// bitrate travels upstream: pictures get what sound leaves over. **Params** `min-bitrate` and `max-bitrate` in kbit/s:
/// the least and the most that is told, sound and pictures together.
///
/// What the peer does not take (it is not connected yet, it did not agree to the codec, its queue is full) is dropped
/// and counted; after a lost picture, pictures are dropped up to the next keyframe, which is asked for.
pub(crate) struct Sink {
    session: Arc<Session>,
    peer: Arc<dyn Peer>,
    upstream: Arc<Upstream>,
    /// By format id.
    formats: HashMap<u32, Wants>,
    /// By stream.
    labels: HashMap<u16, Arc<str>>,
    /// By kind.
    lanes: [Lane; MediaKind::ALL.len()],
    /// Since a picture was lost, only a keyframe helps.
    await_keyframe: bool,
    asked_ns: i64,
    packets: Vec<RtpOut>,
    /// The reasons that have been logged.
    said: Vec<Refused>,
}

/// The one stream of a kind that goes out. Whatever it is made of, each number is used once.
struct Lane {
    start: PacketiserStart,
    numbers: Forwarder,
    packetiser: Option<Packetiser>,
}

impl Lane {
    fn new() -> Self {
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
        }
    }

    fn packetiser(&mut self, codec: Codec) -> &mut Packetiser {
        let start = self.start;
        let packetiser = self
            .packetiser
            .take()
            .filter(|packetiser| packetiser.codec() == codec)
            .unwrap_or_else(|| Packetiser::new(codec, start, DEFAULT_PAYLOAD_BYTES));
        self.packetiser.insert(packetiser)
    }
}

#[derive(Clone, Copy)]
enum Wants {
    Media(Wire),
    Text,
    Binary,
    Nothing,
}

impl Node for Sink {
    const NAME: &'static str = "webrtc-sink";
    const SUMMARY: &'static str = "Sends audio, video and data to a WebRTC peer";
    const PORTS: &'static [Port] = &[
        Port::optional_input("audio").formats(wire::AUDIO_FORMATS),
        Port::optional_input("video").formats(wire::VIDEO_FORMATS),
        Port::optional_input("data").formats(wire::DATA_FORMATS),
        Port::optional_input("in").formats(wire::ALL_FORMATS),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("min-bitrate", 100)
            .range(16.0, 100_000.0)
            .unit("kbit/s")
            .help("The least that encoders are told to aim at, however narrow the network is"),
        Param::integer("max-bitrate", 10_000)
            .range(16.0, 100_000.0)
            .unit("kbit/s")
            .help("The most that they are told; their own params may ask for less"),
    ];
    const PEER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        let session = find_session(config)?;
        let peer = session.peer().ok_or_else(|| {
            Error::new(format_args!(
                "the peer of session {} has gone",
                session.id()
            ))
        })?;
        // The ranges keep them positive.
        let [least, most] = ["min-bitrate", "max-bitrate"].map(|name| config.integer(name));
        let bounds = (least? as u64 * 1000, most? as u64 * 1000);
        if bounds.0 > bounds.1 {
            return Err(Error::new(format_args!(
                "min-bitrate is {} kbit/s and max-bitrate is {} kbit/s; make the first the smaller one",
                bounds.0 / 1000,
                bounds.1 / 1000
            )));
        }
        let linked = |port| Some(port).filter(|port| config.is_linked(*port));
        let ports = [linked(AUDIO), linked(VIDEO)];
        Ok(Self {
            upstream: Arc::new(Upstream::new(config.host(), ports, linked(IN), bounds)),
            session,
            peer,
            formats: HashMap::new(),
            labels: HashMap::new(),
            lanes: [Lane::new(), Lane::new()],
            await_keyframe: false,
            asked_ns: 0,
            packets: Vec::new(),
            said: Vec::new(),
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        if self.session.attach_feedback(self.upstream.clone()) {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "session {} has a webrtc-sink already; a graph may have one",
            self.session.id()
        )))
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            match self.wants(&frame, ctx) {
                Wants::Media(wire) => {
                    let (kind, bytes) = (wire.codec().kind(), frame.payload().len());
                    self.upstream.note(kind, frame.stream(), bytes, ctx.now());
                    match wire {
                        Wire::Unit(codec) => self.unit(codec, frame, ctx),
                        Wire::Packet(codec) => self.packet(codec, frame, ctx),
                    }
                }
                Wants::Text => self.data(true, frame, ctx),
                Wants::Binary => self.data(false, frame, ctx),
                Wants::Nothing => ctx.dropped(1),
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.session.detach_feedback();
    }
}

impl Sink {
    fn wants(&mut self, frame: &Frame, ctx: &Context) -> Wants {
        let id = frame.format_id();
        *self.formats.entry(id).or_insert_with(|| {
            let format = ctx.format(id);
            match (frame.kind(), format.as_ref()) {
                (Kind::Data, Some(format)) if format.encoding.starts_with("text/") => Wants::Text,
                (Kind::Data, _) => Wants::Binary,
                (_, format) => match format.and_then(Wire::of) {
                    Some(wire) => Wants::Media(wire),
                    None => {
                        tracing::warn!(
                            ?format,
                            "frames of this format cannot be sent to a peer and are dropped; put an encoder in front"
                        );
                        Wants::Nothing
                    }
                },
            }
        })
    }

    /// Notes that something was not taken.
    fn refused(&mut self, refused: Refused, ctx: &Context) {
        ctx.dropped(1);
        if !self.said.contains(&refused) {
            self.said.push(refused);
            tracing::info!(session = self.session.id(), %refused, "something was not sent; further ones are counted only");
        }
    }

    fn ask_for_keyframe(&mut self, ctx: &Context) {
        self.asked_ns = ctx.now();
        self.upstream.keyframe_wanted();
    }

    fn unit(&mut self, codec: Codec, frame: Frame, ctx: &Context) {
        let inter = codec.is_inter_coded();
        if inter && self.await_keyframe && !frame.has(flags::KEYFRAME) {
            // The one that was asked for may have been lost as well.
            if ctx.now().saturating_sub(self.asked_ns) >= KEYFRAME_INTERVAL_NS {
                self.ask_for_keyframe(ctx);
            }
            return ctx.dropped(1);
        }
        let pts = frame.pts();
        let lane = &mut self.lanes[codec.kind().index()];
        self.packets.clear();
        match lane
            .packetiser(codec)
            .packetise(&frame.into_bytes(), pts, &mut self.packets)
        {
            Ok(0) => {}
            Ok(copied) => ctx.copied(copied),
            Err(error) => {
                tracing::debug!(%error, %codec, "an access unit is dropped");
                return ctx.dropped(1);
            }
        }
        let mut sent = Ok(());
        for mut packet in self.packets.drain(..) {
            packet.sequence = Some(lane.numbers.number());
            sent = self.peer.send_rtp(packet);
            if sent.is_err() {
                break;
            }
        }
        self.packets.clear();
        match sent {
            Ok(()) => {
                if inter {
                    self.await_keyframe = false;
                }
            }
            Err(refused) => {
                if inter && !std::mem::replace(&mut self.await_keyframe, true) {
                    self.ask_for_keyframe(ctx);
                }
                self.refused(refused, ctx);
            }
        }
    }

    fn packet(&mut self, codec: Codec, frame: Frame, ctx: &Context) {
        let fields = frame
            .side_data(RtpFields::SIDE_DATA)
            .and_then(RtpFields::from_bytes);
        let (pts, marker) = (frame.pts(), frame.has(flags::MARKER));
        let numbers = &mut self.lanes[codec.kind().index()].numbers;
        let Some(packet) = numbers.forward(codec, frame.into_bytes(), pts, marker, fields) else {
            return ctx.dropped(1);
        };
        // The far side sees a loss by the numbers, and asks for a keyframe itself.
        if let Err(refused) = self.peer.send_rtp(packet) {
            self.refused(refused, ctx);
        }
    }

    fn data(&mut self, text: bool, frame: Frame, ctx: &Context) {
        let stream = frame.stream();
        let label = self
            .labels
            .entry(stream)
            .or_insert_with(|| ctx.stream_label(stream).unwrap_or_default().into())
            .clone();
        let message = Message {
            text,
            payload: frame.into_bytes(),
        };
        if let Err(refused) = self.peer.send_data(&label, message) {
            self.refused(refused, ctx);
        }
    }
}
