//! [`Ivf`]: IVF, the container of libvpx's and libaom's tools: a header of 32 bytes, then frames behind their length and time.
//!
//! Of the file, one frame of at most [`MAX_UNIT`](super::MAX_UNIT) bytes is in memory. Times count in what the header says;
//! a frame lasts until the next one.

use levada_plugin::prelude::*;

use super::{Carried, Demuxer, MAX_UNIT, Unit, VIDEO, bytes::Source};

const FRAME_HEADER: u64 = 12;

/// A file that is open.
pub(super) struct Ivf {
    source: Source,
    codec: Codec,
    width: u32,
    height: u32,
    /// Units of time in a second.
    scale: (u32, u32),
    first: u64,
    at: u64,
    /// The time where playing began, in units.
    origin: u64,
    /// How long the last frame lasted that another one followed, in units.
    lasted: u64,
}

#[derive(Clone, Copy)]
enum Codec {
    Vp8,
    Vp9,
    Av1,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Codec::Vp8 => "vp8",
            Codec::Vp9 => "vp9",
            Codec::Av1 => "av1",
        }
    }

    /// Whether decoding can begin with a frame that starts like this.
    fn is_key(self, frame: &[u8]) -> bool {
        let byte = |n: usize| frame.get(n).copied().unwrap_or(0);
        match self {
            // RFC 6386, 9.1.
            Codec::Vp8 => byte(0) & 1 == 0,
            // Two bits of marker, two of profile, "show an older one", "no keyframe".
            Codec::Vp9 => byte(0) & 0xc0 == 0x80 && byte(0) & 0x0c == 0,
            // A sequence header, behind the temporal delimiter (types 1 and 2, with a length of 0).
            Codec::Av1 => {
                let first = if byte(0) >> 3 & 0xf == 2 {
                    byte(2)
                } else {
                    byte(0)
                };
                first >> 3 & 0xf == 1
            }
        }
    }
}

/// A frame's place, length and time.
struct Place {
    at: u64,
    len: usize,
    time: u64,
}

impl Ivf {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is damaged, or names another codec.
    pub fn open(mut source: Source) -> Result<Ivf> {
        source.check(0, 32, 32, "the header")?;
        let mut head = [0; 32];
        source.read(0, &mut head)?;
        let short = |n: usize| u16::from_le_bytes([head[n], head[n + 1]]);
        let long = |n: usize| u32::from_le_bytes([head[n], head[n + 1], head[n + 2], head[n + 3]]);
        let codec = match &head[8..12] {
            b"VP80" => Codec::Vp8,
            b"VP90" => Codec::Vp9,
            b"AV01" => Codec::Av1,
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(source.error(
                    8,
                    format_args!("codec {name:?} is not played; VP80, VP90 and AV01 are"),
                ));
            }
        };
        let (scale, first) = ((long(16), long(20)), u64::from(short(6)));
        if scale.0 == 0 || scale.1 == 0 || first < 32 {
            return Err(source.error(0, "the header's rate or length makes no sense"));
        }
        Ok(Ivf {
            source,
            codec,
            width: short(12).into(),
            height: short(14).into(),
            scale,
            first,
            at: first,
            origin: 0,
            lasted: 1,
        })
    }

    fn ns(&self, time: u64) -> i64 {
        let units = i128::from(time) - i128::from(self.origin);
        let ns = units * 1_000_000_000 * i128::from(self.scale.1) / i128::from(self.scale.0);
        ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The next frame whose header lies at a place or behind it; `None` at the end. Empty ones stand for pictures that the encoder
    /// left out, and are passed over.
    fn look(&mut self, mut at: u64) -> Result<Option<Place>> {
        while at < self.source.len() {
            let place = self.look_at(at)?;
            if place.len > 0 {
                return Ok(Some(place));
            }
            at = place.at;
        }
        Ok(None)
    }

    fn look_at(&mut self, at: u64) -> Result<Place> {
        self.source
            .check(at, FRAME_HEADER, FRAME_HEADER, "a frame's header")?;
        let mut head = [0; FRAME_HEADER as usize];
        self.source.read(at, &mut head)?;
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let time = head[4..]
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let len = self
            .source
            .check(at + FRAME_HEADER, len.into(), MAX_UNIT, "a frame")?;
        Ok(Place {
            at: at + FRAME_HEADER,
            len,
            time,
        })
    }

    fn is_key(&mut self, place: &Place) -> Result<bool> {
        let mut head = [0; 3];
        let head = &mut head[..place.len.min(3)];
        self.source.read(place.at, head)?;
        Ok(self.codec.is_key(head))
    }
}

impl Demuxer for Ivf {
    fn has(&self, port: usize) -> bool {
        port == VIDEO
    }

    fn carries(&self, port: usize) -> Vec<Carried> {
        if !self.has(port) {
            return vec![];
        }
        vec![Format::video(self.codec.name(), self.width, self.height).into()]
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        (self.at, self.origin) = (self.first, 0);
        let mut at = self.first;
        let (mut begin, mut origin) = (at, None);
        while let Some(place) = self.look(at)? {
            if origin.is_some() && self.ns(place.time) > at_ns {
                break;
            }
            if origin.is_none() || self.is_key(&place)? {
                (begin, origin) = (place.at - FRAME_HEADER, Some(place.time));
            }
            if at_ns <= 0 {
                break;
            }
            at = place.at + place.len as u64;
        }
        (self.at, self.origin) = (begin, origin.unwrap_or(0));
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        let Some(place) = self.look(self.at)? else {
            return Ok(None);
        };
        let mut payload = host.loan(place.len)?;
        self.source.read(place.at, payload.as_mut_slice())?;
        self.at = place.at + place.len as u64;
        // The last one lasts as long as the one before.
        let next = match self.look(self.at)? {
            Some(next) => {
                self.lasted = next.time.saturating_sub(place.time).max(1);
                next.time
            }
            None => place.time.saturating_add(self.lasted),
        };
        let pts = self.ns(place.time);
        let format = Format::video(self.codec.name(), self.width, self.height);
        Ok(Some(Unit {
            port: VIDEO,
            key: self.codec.is_key(&payload),
            payload,
            format: host.format_id(&format)?,
            pts,
            dts: pts,
            end: self.ns(next).max(pts),
        }))
    }
}
