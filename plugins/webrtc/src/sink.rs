//! The node type `webrtc-sink`: what arrives is sent to the peer.

use std::collections::HashMap;
use std::sync::Arc;

use levada_plugin::colour::Colour;
use levada_plugin::prelude::*;

use crate::codec::{Codec, MediaKind};
use crate::error::Refused;
use crate::feedback::Upstream;
use crate::lane::{Lane, SILENCE_NS, Turn};
use crate::media::{PacketiseError, RtpFields, starts_keyframe};
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
/// format says. **Colours** that the format of VP8 states (`levada_plugin::colour`) are told to the peer with each
/// keyframe and where they change, if it hears that. **Data** goes out on the data channel whose label is the stream's
/// label, as text when its format is `text/plain`, otherwise as bytes. H.264 is accepted in the order in which it is shown
/// (`reordering=0`); what comes otherwise all the same is sent, with a warning. **Events**: when the peer asks for a keyframe,
/// the request travels upstream from the inputs that bring pictures. When the network takes more or less than before,
/// as the peer's reports show, a bitrate travels upstream: pictures get what sound leaves over. **Params** `min-bitrate`
/// and `max-bitrate` in kbit/s: the least and the most that is told, sound and pictures together.
///
/// What the peer does not take (it is not connected yet, it did not agree to the codec, its queue is full) is dropped
/// and counted; after a lost picture, pictures are dropped up to the next keyframe, which is asked for.
///
/// A peer is sent one stream of sound and one of pictures: the first that comes. Frames of further ones are dropped and
/// counted until it has ended with its input, or has brought nothing for two seconds; the next that comes is sent then,
/// pictures from their next keyframe on, which is asked for.
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
    /// When it was asked for, if it was.
    asked_ns: Option<i64>,
    packets: Vec<RtpOut>,
    /// The reasons that have been logged.
    said: Vec<Refused>,
    has_told_of_order: bool,
}

#[derive(Clone, Copy)]
enum Wants {
    /// With the colours that the format states.
    Media(Wire, Colour),
    Text,
    Binary,
    Nothing,
}

/// The least and the most, in kbit/s.
fn bitrates(config: &Config) -> Result<[i64; 2]> {
    Ok([
        config.integer("min-bitrate")?,
        config.integer("max-bitrate")?,
    ])
}

impl Node for Sink {
    const NAME: &'static str = "webrtc-sink";
    const SUMMARY: &'static str = "Sends audio, video and data to a WebRTC peer";
    const PORTS: &'static [Port] = &[
        Port::optional_input("audio").formats(wire::AUDIO_FORMATS),
        Port::optional_input("video").formats(wire::SENT_VIDEO_FORMATS),
        Port::optional_input("data").formats(wire::DATA_FORMATS),
        Port::optional_input("in").formats(wire::ALL_SENT_FORMATS),
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
    const CHECK: Option<Check> = Some(|config| {
        let [least, most] = bitrates(config)?;
        if least > most {
            return Err(Error::new(format_args!(
                "min-bitrate is {least} kbit/s and max-bitrate is {most} kbit/s; make the first the smaller one"
            )));
        }
        Ok(())
    });

    fn create(config: &Config) -> Result<Self> {
        let session = find_session(config)?;
        let peer = session.peer().ok_or_else(|| {
            Error::new(format_args!(
                "the peer of session {} has gone",
                session.id()
            ))
        })?;
        let [least, most] = bitrates(config)?;
        // The ranges keep them positive.
        let bounds = (least as u64 * 1000, most as u64 * 1000);
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
            asked_ns: None,
            packets: Vec::new(),
            said: Vec::new(),
            has_told_of_order: false,
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

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            match self.wants(&frame, ctx) {
                Wants::Media(wire, colour) => self.media(port, wire, colour, frame, ctx),
                Wants::Text => self.data(true, frame, ctx),
                Wants::Binary => self.data(false, frame, ctx),
                Wants::Nothing => ctx.dropped(1),
            }
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        if event.kind == event::kind::END_OF_STREAM {
            self.lanes.iter_mut().for_each(|lane| lane.port_ended(port));
        }
        Ok(false)
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
                (_, format) => match format.and_then(|of| Some((Wire::of(of)?, Colour::of(of)))) {
                    Some((wire, colour)) => Wants::Media(wire, colour),
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

    /// From now on only a keyframe helps.
    fn begin_at_keyframe(&mut self) {
        if !std::mem::replace(&mut self.await_keyframe, true) {
            self.asked_ns = None;
        }
    }

    /// Asks for the keyframe that is waited for, unless that was just done. It may have been lost as well.
    fn ask_for_keyframe(&mut self, ctx: &Context) {
        let now = ctx.now();
        let asked = self.asked_ns.map(|asked| now.saturating_sub(asked));
        if asked.is_none_or(|passed| passed >= KEYFRAME_INTERVAL_NS) {
            self.asked_ns = Some(now);
            self.upstream.keyframe_wanted();
        }
    }

    fn media(&mut self, port: usize, wire: Wire, colour: Colour, frame: Frame, ctx: &Context) {
        let (codec, stream, now) = (wire.codec(), frame.stream(), ctx.now());
        let kind = codec.kind();
        match self.lanes[kind.index()].turn(port, stream, now) {
            Turn::Goes => {}
            Turn::Follows if codec.is_inter_coded() => self.begin_at_keyframe(),
            Turn::Follows => {}
            Turn::Waits { holder, news } => {
                if news {
                    tracing::warn!(
                        session = self.session.id(),
                        stream,
                        label = ctx.stream_label(stream),
                        "a peer is sent one stream of {kind}, and stream {holder} is sent already; frames of this one \
                         are dropped until that one ends or is silent for {} s; let one stream of a kind come here: \
                         put mix, compose or select in front of several inputs, and have a peer send one track of a kind",
                        SILENCE_NS / 1_000_000_000
                    );
                }
                return ctx.dropped(1);
            }
        }
        self.upstream.note(kind, stream, frame.payload().len(), now);
        match wire {
            Wire::Unit(codec) => self.unit(codec, colour, frame, ctx),
            Wire::Packet(codec) => self.packet(codec, frame, ctx),
        }
    }

    fn unit(&mut self, codec: Codec, colour: Colour, frame: Frame, ctx: &Context) {
        let inter = codec.is_inter_coded();
        if frame.dts_delta_us() != 0 && !std::mem::replace(&mut self.has_told_of_order, true) {
            tracing::warn!(
                session = self.session.id(),
                "these pictures do not come in the order in which they are shown (B-frames), and browsers show few of \
                 them; put an h264-decoder and an h264-encoder node between the film and this sink"
            );
        }
        if inter && self.await_keyframe && !frame.has(flags::KEYFRAME) {
            self.ask_for_keyframe(ctx);
            return ctx.dropped(1);
        }
        let (pts, keyframe) = (frame.pts(), frame.has(flags::KEYFRAME));
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
                // The numbers go on without a gap, so that the far side cannot see it. An empty unit leaves no hole.
                if inter && error != PacketiseError::Empty {
                    self.begin_at_keyframe();
                    self.ask_for_keyframe(ctx);
                }
                return ctx.dropped(1);
            }
        }
        let stated =
            (codec.is_coloured_by_packets() && lane.states(colour, keyframe)).then_some(colour);
        if let Some(last) = self.packets.last_mut() {
            last.colour = stated;
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
                lane.told = stated.or(lane.told);
                if inter {
                    self.await_keyframe = false;
                }
            }
            Err(refused) => {
                if inter {
                    self.begin_at_keyframe();
                    self.ask_for_keyframe(ctx);
                }
                self.refused(refused, ctx);
            }
        }
    }

    fn packet(&mut self, codec: Codec, frame: Frame, ctx: &Context) {
        if codec.is_inter_coded() && self.await_keyframe {
            if !starts_keyframe(codec, frame.payload()) {
                self.ask_for_keyframe(ctx);
                return ctx.dropped(1);
            }
            self.await_keyframe = false;
        }
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
