//! [`Upstream`]: what the other side says about what it is sent, as events that travel up the graph.
//!
//! The peer's threads call it. A keyframe request goes to the inputs that bring pictures. A bitrate is shared out: sound
//! needs little and suffers most, so pictures get what it leaves over.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use levada_plugin::prelude::*;

use crate::codec::MediaKind;
use crate::session::Feedback;

/// How long sound is counted before its bitrate is known anew.
const SOUND_NS: i64 = 1_000_000_000;

/// Raises events at the sink's inputs.
pub(crate) struct Upstream {
    host: Host,
    /// The linked input of each kind, by [`MediaKind::index`].
    ports: [Option<usize>; MediaKind::ALL.len()],
    /// The input for all kinds, when it is linked.
    mixed: Option<usize>,
    /// The last stream of each kind that came there.
    streams: [AtomicU32; MediaKind::ALL.len()],
    /// The least and the most bits a second that are told.
    bounds: (u64, u64),
    sound: Mutex<Sound>,
    /// What was told last; 0 for nothing yet.
    told: AtomicU64,
}

#[derive(Default)]
struct Sound {
    since_ns: i64,
    bytes: u64,
    bits_per_second: u64,
}

impl Upstream {
    pub(crate) fn new(
        host: Host,
        ports: [Option<usize>; MediaKind::ALL.len()],
        mixed: Option<usize>,
        bounds: (u64, u64),
    ) -> Self {
        Self {
            host,
            ports,
            mixed,
            streams: [const { AtomicU32::new(event::ALL_STREAMS) }; MediaKind::ALL.len()],
            bounds,
            sound: Mutex::default(),
            told: AtomicU64::new(0),
        }
    }

    /// Notes that a frame came, `bytes` long.
    pub(crate) fn note(&self, kind: MediaKind, stream: u16, bytes: usize, now: i64) {
        self.streams[kind.index()].store(u32::from(stream), Ordering::Relaxed);
        if kind == MediaKind::Audio {
            let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
            sound.bytes += bytes as u64;
            let passed = now.saturating_sub(sound.since_ns);
            if passed >= SOUND_NS {
                let bits =
                    u128::from(sound.bytes) * 8_000_000_000 / passed.unsigned_abs().max(1) as u128;
                *sound = Sound {
                    since_ns: now,
                    bytes: 0,
                    bits_per_second: bits as u64,
                };
            }
        }
    }

    /// What sound takes at present, bits a second.
    fn sound(&self) -> u64 {
        let sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent = self.host.now().saturating_sub(sound.since_ns) > 3 * SOUND_NS;
        if is_silent { 0 } else { sound.bits_per_second }
    }

    fn stream(&self, kind: MediaKind) -> Option<u32> {
        self.mixed?;
        let stream = self.streams[kind.index()].load(Ordering::Relaxed);
        (stream != event::ALL_STREAMS).then_some(stream)
    }

    fn brings(&self, kind: MediaKind) -> bool {
        self.ports[kind.index()].is_some() || self.stream(kind).is_some()
    }

    fn raise(&self, port: usize, kind: u32, stream: u32, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.host.raise(
            port,
            Event {
                kind,
                stream,
                value,
            },
        );
    }

    fn tell(&self, kind: MediaKind, bits: u64) {
        if let Some(port) = self.ports[kind.index()] {
            self.raise(port, event::kind::BITRATE, event::ALL_STREAMS, bits);
        }
        if let (Some(port), Some(stream)) = (self.mixed, self.stream(kind)) {
            self.raise(port, event::kind::BITRATE, stream, bits);
        }
    }
}

impl Feedback for Upstream {
    fn keyframe_wanted(&self) {
        let video = self.ports[MediaKind::Video.index()];
        for port in video.into_iter().chain(self.mixed) {
            let kind = event::kind::KEYFRAME_REQUEST;
            self.raise(port, kind, event::ALL_STREAMS, 0);
        }
    }

    fn bitrate(&self, bits: u64) {
        let (least, most) = self.bounds;
        let bits = bits.clamp(least, most);
        if self.told.swap(bits, Ordering::Relaxed) == bits {
            return;
        }
        if !self.brings(MediaKind::Video) {
            return self.tell(MediaKind::Audio, bits);
        }
        let sound = self.sound().min(bits / 2);
        self.tell(MediaKind::Video, (bits - sound).max(least));
        // Much more than it asks for as a rule; on a very narrow path it gives way as well.
        self.tell(MediaKind::Audio, (bits / 4).max(least));
    }
}
