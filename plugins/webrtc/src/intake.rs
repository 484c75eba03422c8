//! Turns what a peer sends into frames: the part of the source node that the peer's threads call.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use levada_plugin::Refused as NotTaken;
use levada_plugin::colour::Colour;
use levada_plugin::prelude::*;

use crate::codec::{Codec, MediaKind};
use crate::media::{
    AccessUnit, Deduplicator, DepacketiseStats, Depacketiser, ReorderLimits, RtpFields, RtpPacket,
    Timeline, opus_duration_us, starts_keyframe,
};
use crate::peer::{Message, RtpIn, TrackId};
use crate::session::{Receiver, Session};
use crate::wire::{self, Wire};

const AUDIO: usize = 0;
const VIDEO: usize = 1;
const DATA: usize = 2;
const OUT: usize = 3;

/// Between two requests for a keyframe of one track.
const KEYFRAME_INTERVAL_NS: i64 = 250_000_000;
/// How long a receiver's bitrate holds against a higher one, which may be another receiver's.
const LIMIT_NS: i64 = 500_000_000;
/// Times of a track begin on a whole millisecond, which is a whole number of ticks of every codec's clock, so that the
/// sink gets the same ticks back.
const BASE_NS: i64 = 1_000_000;

/// See the module. It keeps the node's host, and works on when the node has ended: calls then come to nothing.
pub(crate) struct Intake {
    host: Host,
    packets: bool,
    linked: [bool; 4],
    /// The node has ended: nothing is handed in any more.
    gone: AtomicBool,
    /// The video tracks. A lock of its own, never held while frames are handed in: that may run the graph on this
    /// thread, which may bring a keyframe request back.
    video: Mutex<Vec<VideoTrack>>,
    /// One call at a time is the rule of `ingest`; it holds for all tracks and channels together.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracks: HashMap<TrackId, Track>,
    formats: HashMap<&'static str, u32>,
    /// What has been logged.
    said: Vec<&'static str>,
}

impl State {
    /// Logs something once.
    fn say(&mut self, error: &Error, what: &'static str) {
        if !self.said.contains(&what) {
            self.said.push(what);
            tracing::warn!(%error, "{what}");
        }
    }
}

/// What a keyframe request needs to know of a track.
struct VideoTrack {
    id: TrackId,
    stream: u16,
    asked_ns: Option<i64>,
    /// Bits a second that the sender was last told, and when.
    limit: Option<(u64, i64)>,
}

thread_local! {
    /// The intake that this thread is handing frames in to, by its address; 0 for none.
    static HANDING_IN: Cell<usize> = const { Cell::new(0) };
}

/// One remote track.
struct Track {
    codec: Codec,
    ssrc: u32,
    stream: u16,
    format: u32,
    size: (u32, u32),
    colour: Colour,
    fmtp: String,
    channels: u32,
    /// The session's time of the track's time 0.
    base_ns: i64,
    kind: TrackKind,
}

enum TrackKind {
    Units(Box<Depacketiser>),
    Packets {
        known: Box<Deduplicator>,
        timeline: Timeline,
        lost: bool,
        newest: Option<u16>,
    },
}

/// A call that panicked leaves at worst a track that waits for a keyframe.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake {
    /// The intake of a source node that is being created.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            host: config.host(),
            packets: config.text("mode")? == "packets",
            linked: [AUDIO, VIDEO, DATA, OUT].map(|port| config.is_linked(port)),
            gone: AtomicBool::new(false),
            video: Mutex::default(),
            state: Mutex::default(),
        })
    }

    /// Runs a call of the peer's, one at a time, unless the node has ended.
    fn enter(&self, call: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        if !self.gone.load(Ordering::Acquire) {
            let before = HANDING_IN.replace(std::ptr::from_ref(self).addr());
            call(&mut state);
            HANDING_IN.set(before);
        }
    }

    /// Ends all calls: after this there is none under way, except the one that led here.
    pub(crate) fn leave(&self) {
        // Release, with the Acquire in `enter`; a call that did not see it holds the lock still.
        self.gone.store(true, Ordering::Release);
        if HANDING_IN.get() != std::ptr::from_ref(self).addr() {
            drop(lock(&self.state));
        }
    }

    /// Lets go of what waits for packets that are missing: so many units, or as good as units.
    pub(crate) fn give_up(&self) -> u64 {
        let mut held = 0;
        // A call that led here on this thread has what it needs.
        if HANDING_IN.get() != std::ptr::from_ref(self).addr() {
            self.enter(|state| {
                for (_, track) in std::mem::take(&mut state.tracks) {
                    if let TrackKind::Units(mut depacketiser) = track.kind {
                        let before = depacketiser.stats();
                        depacketiser.flush();
                        while depacketiser.pop().is_some() {
                            held += 1;
                        }
                        held += without(before, depacketiser.stats());
                    }
                }
            });
        }
        held
    }

    fn has(&self, port: usize) -> bool {
        self.linked.get(port).copied().unwrap_or(false) || self.linked[OUT]
    }

    /// The stream of a track that begins. A peer may give several tracks one name, and they are streams of their own.
    fn stream(&self, state: &State, kind: Kind, label: &str, id: TrackId) -> Result<u16> {
        let stream = self.host.stream_id(kind, label)?;
        if state.tracks.values().any(|track| track.stream == stream) {
            return self.host.stream_id(kind, &format!("{label} ({id})"));
        }
        Ok(stream)
    }

    fn track(&self, state: &State, session: &Session, packet: &RtpIn) -> Result<Track> {
        let info = session.track(packet.track);
        let label = info
            .as_ref()
            .map_or_else(|| packet.track.to_string(), |info| info.label.clone());
        let kind = match packet.codec.kind() {
            MediaKind::Audio => Kind::Audio,
            MediaKind::Video => Kind::Video,
        };
        let mut track = Track {
            codec: packet.codec,
            ssrc: packet.ssrc,
            stream: self.stream(state, kind, &label, packet.track)?,
            format: 0,
            size: (0, 0),
            colour: Colour::default(),
            fmtp: info
                .as_ref()
                .map_or_else(String::new, |info| info.fmtp.clone()),
            // G.711 states none, and has one.
            channels: match (packet.codec, info) {
                (Codec::Opus, None) => 2,
                (_, Some(info)) if info.channels > 0 => u32::from(info.channels),
                _ => 1,
            },
            base_ns: self.host.now() / BASE_NS * BASE_NS,
            kind: if self.packets {
                TrackKind::Packets {
                    known: Box::default(),
                    timeline: Timeline::new(packet.codec.clock_rate()),
                    lost: false,
                    newest: None,
                }
            } else {
                let limits = ReorderLimits::of(packet.codec);
                TrackKind::Units(Box::new(Depacketiser::new(packet.codec, limits)))
            },
        };
        self.settle_format(&mut track)?;
        let mut video = lock(&self.video);
        video.retain(|video| video.id != packet.track);
        if packet.codec.is_inter_coded() {
            video.push(VideoTrack {
                id: packet.track,
                stream: track.stream,
                asked_ns: None,
                limit: None,
            });
        }
        drop(video);
        Ok(track)
    }

    /// Interns the track's format. When the table is full the track keeps the one it has.
    fn settle_format(&self, track: &mut Track) -> Result {
        let wire = match self.packets {
            true => Wire::Packet(track.codec),
            false => Wire::Unit(track.codec),
        };
        let format = wire.format(track.channels, track.size, &track.fmtp, track.colour);
        track.format = self.host.format_id(&format)?;
        Ok(())
    }

    /// Hands a frame in at its own port and at `out`, as far as they are linked. `false` when it was not taken.
    fn ingest(&self, port: usize, frame: Frame) -> bool {
        let both = self.linked[port] && self.linked[OUT];
        let second = both.then(|| frame.clone());
        let first = if self.linked[port] { port } else { OUT };
        let mut taken = true;
        for (port, frame) in [(first, Some(frame)), (OUT, second)] {
            let Some(frame) = frame else { continue };
            match self.host.ingest(port, frame) {
                Ok(()) => {}
                Err((_, NotTaken::Full)) => {
                    self.host.dropped(1);
                    taken = false;
                }
                Err((_, NotTaken::Gone | NotTaken::Invalid)) => {
                    self.gone.store(true, Ordering::Release);
                    taken = false;
                }
            }
        }
        taken
    }

    /// Counts what could not become a frame.
    fn refuse(&self, state: &mut State, error: &Error) {
        self.host.dropped(1);
        state.say(error, "something that the peer sends is dropped");
    }

    fn units(&self, state: &mut State, track: &mut Track, session: &Session, packet: RtpIn) {
        let TrackKind::Units(depacketiser) = &mut track.kind else {
            return;
        };
        let before = depacketiser.stats();
        depacketiser.push(RtpPacket {
            payload: packet.payload,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            colour: packet
                .colour
                .filter(|_| packet.codec.is_coloured_by_packets()),
        });
        self.take_units(state, track, before);
        if let TrackKind::Units(depacketiser) = &mut track.kind
            && depacketiser.keyframe_wanted(self.host.now(), KEYFRAME_INTERVAL_NS)
        {
            request_keyframe(session, packet.track);
        }
    }

    /// Hands in the units that are there, and counts those that have come to nothing since `before`.
    fn take_units(&self, state: &mut State, track: &mut Track, before: DepacketiseStats) {
        loop {
            let TrackKind::Units(depacketiser) = &mut track.kind else {
                return;
            };
            let Some(unit) = depacketiser.pop() else {
                let dropped = without(before, depacketiser.stats());
                if dropped > 0 {
                    self.host.dropped(dropped);
                }
                return;
            };
            let now = (unit.size.unwrap_or(track.size), unit.colour);
            if (track.size, track.colour) != now {
                (track.size, track.colour) = now;
                // The unit goes on all the same: decoders learn the size from it.
                if let Err(error) = self.settle_format(track) {
                    state.say(
                        &error,
                        "the pictures of a track keep a format with another size or other colours",
                    );
                }
            }
            let taken = match self.frame(track, unit) {
                Ok(frame) => self.ingest(port_of(track.codec), frame),
                Err(error) => {
                    self.refuse(state, &error);
                    false
                }
            };
            if let (false, TrackKind::Units(depacketiser)) = (taken, &mut track.kind) {
                depacketiser.unit_lost();
            }
        }
    }

    /// Hands in what a track still holds: nothing more comes that it could wait for.
    fn end(&self, state: &mut State, mut track: Track) {
        if let TrackKind::Units(depacketiser) = &mut track.kind {
            let before = depacketiser.stats();
            depacketiser.flush();
            self.take_units(state, &mut track, before);
        }
    }

    fn frame(&self, track: &Track, unit: AccessUnit) -> Result<Frame> {
        let (pts, keyframe, discontinuity) = (unit.pts_ns, unit.keyframe, unit.discontinuity);
        let kind = frame_kind(track.codec);
        let frame = if let Some(bytes) = unit.whole() {
            Frame::from_bytes(kind, bytes.clone())
        } else {
            let mut loan = self.host.loan(unit.len())?;
            let copied = unit.write_to(loan.as_mut_slice());
            self.host.copied(copied);
            Frame::new(kind, loan)
        };
        let mut bits = 0;
        if track.codec.is_inter_coded() {
            bits |= if keyframe {
                flags::KEYFRAME
            } else {
                flags::INTER
            };
        }
        if discontinuity {
            bits |= flags::DISCONTINUITY;
        }
        let duration = match track.codec {
            Codec::Opus => opus_duration_us(frame.payload()),
            // A sample is a byte.
            Codec::Pcmu | Codec::Pcma => u32::try_from(frame.payload().len())
                .map_or(0, |samples| samples.saturating_mul(125)),
            Codec::Vp8 | Codec::H264 => 0,
        };
        Ok(frame
            .with_pts(track.base_ns.saturating_add(pts))
            .with_duration_us(duration)
            .with_format_id(track.format)
            .with_stream(track.stream)
            .with_flags(bits))
    }

    fn packet(&self, track: &mut Track, packet: RtpIn) {
        let TrackKind::Packets {
            known,
            timeline,
            lost,
            newest,
        } = &mut track.kind
        else {
            return;
        };
        if !known.is_new(packet.sequence) {
            return;
        }
        let mut bits = 0;
        if packet.marker {
            bits |= flags::MARKER;
        }
        if track.codec.is_inter_coded() {
            bits |= if starts_keyframe(track.codec, &packet.payload) {
                flags::KEYFRAME
            } else {
                flags::INTER
            };
        }
        let gap = newest.is_some_and(|newest| packet.sequence.wrapping_sub(newest) != 1);
        if gap || std::mem::take(lost) {
            bits |= flags::DISCONTINUITY;
        }
        *newest = Some(packet.sequence);
        let fields = RtpFields {
            sequence: packet.sequence,
            ssrc: packet.ssrc,
            colour: packet.colour,
        };
        let frame = Frame::from_bytes(frame_kind(track.codec), packet.payload)
            .with_pts(
                track
                    .base_ns
                    .saturating_add(timeline.pts_ns(packet.timestamp)),
            )
            .with_format_id(track.format)
            .with_stream(track.stream)
            .with_flags(bits)
            .with_side_data(RtpFields::SIDE_DATA, &fields.to_bytes());
        let taken = self.ingest(port_of(track.codec), frame);
        if let (false, TrackKind::Packets { lost, .. }) = (taken, &mut track.kind) {
            *lost = true;
        }
    }

    /// Asks the peer for keyframes of the video track that is this stream, or of all.
    pub(crate) fn request_keyframes(&self, session: &Session, stream: u32, now: i64) {
        for track in lock(&self.video).iter_mut() {
            let meant = stream == event::ALL_STREAMS || stream == u32::from(track.stream);
            let due = track
                .asked_ns
                .is_none_or(|asked| now.saturating_sub(asked) >= KEYFRAME_INTERVAL_NS);
            if meant && due {
                track.asked_ns = Some(now);
                request_keyframe(session, track.id);
            }
        }
    }
}

impl Intake {
    /// Tells the peer how many bits a second the receivers of the video track that is this stream can take, or those of
    /// all. Where several say something within half a second, the lowest counts.
    pub(crate) fn limit_bitrate(&self, session: &Session, stream: u32, bits: i64, now: i64) {
        let bits = u64::try_from(bits).unwrap_or(0);
        for track in lock(&self.video).iter_mut() {
            let meant = stream == event::ALL_STREAMS || stream == u32::from(track.stream);
            let holds = track
                .limit
                .is_some_and(|(least, at)| bits > least && now.saturating_sub(at) < LIMIT_NS);
            if !meant || holds {
                continue;
            }
            track.limit = Some((bits, now));
            if let Some(peer) = session.peer()
                && let Err(refused) = peer.limit_bitrate(track.id, bits)
            {
                tracing::debug!(%refused, track = %track.id, "a bitrate was not told");
            }
        }
    }

    fn take_packet(&self, state: &mut State, session: &Session, packet: RtpIn) {
        let known = match state.tracks.remove(&packet.track) {
            // Another codec or a new stream begins a timeline of its own.
            Some(track) if track.codec != packet.codec || track.ssrc != packet.ssrc => {
                self.end(state, track);
                None
            }
            known => known,
        };
        let mut track = match known.map_or_else(|| self.track(state, session, &packet), Ok) {
            Ok(track) => track,
            Err(error) => return self.refuse(state, &error),
        };
        let id = packet.track;
        match track.kind {
            TrackKind::Units(_) => self.units(state, &mut track, session, packet),
            TrackKind::Packets { .. } => self.packet(&mut track, packet),
        }
        state.tracks.insert(id, track);
    }

    fn take_message(&self, state: &mut State, label: &str, message: Message) {
        let mime = if message.text {
            wire::TEXT
        } else {
            wire::BINARY
        };
        let ids = || -> Result<(u16, u32)> {
            let stream = self.host.stream_id(Kind::Data, label)?;
            let format = match state.formats.get(mime) {
                Some(format) => *format,
                None => self.host.format_id(&Format::data(mime))?,
            };
            Ok((stream, format))
        };
        match ids() {
            Ok((stream, format)) => {
                state.formats.insert(mime, format);
                let frame = Frame::from_bytes(Kind::Data, message.payload)
                    .with_pts(self.host.now())
                    .with_format_id(format)
                    .with_stream(stream);
                self.ingest(DATA, frame);
            }
            Err(error) => self.refuse(state, &error),
        }
    }
}

fn request_keyframe(session: &Session, track: TrackId) {
    if let Some(peer) = session.peer()
        && let Err(refused) = peer.request_keyframe(track)
    {
        tracing::debug!(%refused, %track, "a keyframe request was not sent");
    }
}

/// Units that have come to nothing since `before`.
fn without(before: DepacketiseStats, now: DepacketiseStats) -> u64 {
    now.dropped + now.withheld - before.dropped - before.withheld
}

fn port_of(codec: Codec) -> usize {
    match codec.kind() {
        MediaKind::Audio => AUDIO,
        MediaKind::Video => VIDEO,
    }
}

fn frame_kind(codec: Codec) -> Kind {
    match codec.kind() {
        MediaKind::Audio => Kind::Audio,
        MediaKind::Video => Kind::Video,
    }
}

impl Receiver for Intake {
    fn rtp(&self, session: &Session, packet: RtpIn) {
        if self.has(port_of(packet.codec)) {
            self.enter(|state| self.take_packet(state, session, packet));
        }
    }

    fn message(&self, label: &str, message: Message) {
        if self.has(DATA) {
            self.enter(|state| self.take_message(state, label, message));
        }
    }

    fn track_ended(&self, track: TrackId) {
        lock(&self.video).retain(|video| video.id != track);
        self.enter(|state| {
            if let Some(track) = state.tracks.remove(&track) {
                self.end(state, track);
            }
        });
    }

    fn ended(&self) {
        self.enter(|state| {
            for (_, track) in std::mem::take(&mut state.tracks) {
                self.end(state, track);
            }
        });
        self.host.finish();
    }
}
