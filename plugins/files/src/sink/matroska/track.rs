//! [`Track`]: a stream's description, and its units as blocks.

use levada_plugin::{colour::Colour, prelude::*};
use shiguredo_mp4::{Encode, boxes::SampleEntry};

use super::super::{
    AUDIO, VIDEO, decoding_time,
    entry::{Coding, describe, opus_channels},
    pace::rate_meant,
};
use crate::{
    ebml::{id, put, put_all, put_float, put_uint},
    opus,
};

/// How much of Opus a player decodes in front of where it jumps to, ns (RFC 7845, 4.6).
const PRE_ROLL_NS: u64 = 80_000_000;

/// A unit that waits.
pub(super) struct Block {
    pub port: usize,
    pub pts: i64,
    /// When it is to be decoded: the order in the file.
    pub order: i64,
    pub lasts: i64,
    /// How much of sound at its end is not to be heard, in ns.
    pub beyond: i64,
    pub key: bool,
    pub payload: Vec<u8>,
}

/// A stream.
pub(super) struct Track {
    port: usize,
    stream: u16,
    coding: Coding,
    codec: &'static str,
    private: Vec<u8>,
    /// Width and height, or rate and channels.
    measures: (u32, u32),
    /// Of VP8 alone: other codecs state them in the stream.
    colour: Colour,
    /// How long a picture lasts, ns; 0 when the first one does not say.
    lasts: u64,
    last: Option<i64>,
}

impl Track {
    /// Begins with a stream's first unit; `None` when decoding cannot begin with it.
    ///
    /// # Errors
    /// When the stream is of a kind that is not recorded.
    pub fn begin(port: usize, frame: &Frame, ctx: &Context) -> Result<Option<Track>> {
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        if port == VIDEO && !frame.has(flags::KEYFRAME) {
            return Ok(None);
        }
        let Some(description) = describe(&format, frame.payload())? else {
            return Ok(None);
        };
        let colour = match description.entry {
            SampleEntry::Vp08(_) => Colour::of(&format),
            _ => Colour::default(),
        };
        let side = |w: u16, h: u16| (u32::from(w), u32::from(h));
        let (codec, private, size) = match &description.entry {
            SampleEntry::Avc1(it) => (
                "V_MPEG4/ISO/AVC",
                content(&it.avcc_box)?,
                side(it.visual.width, it.visual.height),
            ),
            SampleEntry::Vp08(it) => ("V_VP8", vec![], side(it.visual.width, it.visual.height)),
            SampleEntry::Vp09(it) => ("V_VP9", vec![], side(it.visual.width, it.visual.height)),
            SampleEntry::Av01(it) => (
                "V_AV1",
                content(&it.av1c_box)?,
                side(it.visual.width, it.visual.height),
            ),
            SampleEntry::Opus(_) => {
                let Media::Audio { channels, .. } = format.media else {
                    return Ok(None);
                };
                let channels = opus_channels(channels)?;
                // As in Ogg (RFC 7845, 5.1): no pre-skip, no gain.
                let mut head = b"OpusHead\x01".to_vec();
                head.extend([channels, 0, 0]);
                head.extend(48_000_u32.to_le_bytes());
                head.extend([0; 3]);
                ("A_OPUS", head, (48_000, channels.into()))
            }
            _ => {
                let Media::Audio { rate, channels } = format.media else {
                    return Ok(None);
                };
                ("A_AAC", format.config, (rate, channels))
            }
        };
        let lasts = rate_meant(frame.duration_us()).filter(|_| port == VIDEO);
        Ok(Some(Track {
            port,
            stream: frame.stream(),
            coding: description.coding,
            codec,
            private,
            measures: size,
            colour,
            lasts: lasts.map_or(0, |(over, under)| under * 1_000_000_000 / over),
            last: None,
        }))
    }

    /// Appends the track's entry.
    pub fn describe(&self, to: &mut Vec<u8>) {
        put_all(to, id::TRACK_ENTRY, |to| {
            let number = self.port as u64 + 1;
            put_uint(to, id::TRACK_NUMBER, number);
            put_uint(to, id::TRACK_UID, number);
            put_uint(to, id::TRACK_TYPE, if self.port == VIDEO { 1 } else { 2 });
            put_uint(to, id::FLAG_LACING, 0);
            put(to, id::CODEC_ID, self.codec.as_bytes());
            if !self.private.is_empty() {
                put(to, id::CODEC_PRIVATE, &self.private);
            }
            if self.lasts > 0 {
                put_uint(to, id::DEFAULT_DURATION, self.lasts);
            }
            let (one, other) = self.measures;
            if self.port == AUDIO {
                if self.codec == "A_OPUS" {
                    put_uint(to, id::SEEK_PRE_ROLL, PRE_ROLL_NS);
                }
                put_all(to, id::AUDIO, |to| {
                    put_float(to, id::SAMPLING_FREQUENCY, f64::from(one));
                    put_uint(to, id::CHANNELS, other.into());
                });
            } else {
                put_all(to, id::VIDEO, |to| {
                    put_uint(to, id::PIXEL_WIDTH, one.into());
                    put_uint(to, id::PIXEL_HEIGHT, other.into());
                    if self.colour != Colour::default() {
                        put_all(to, id::COLOUR, |to| self.describe_colour(to));
                    }
                });
            }
        });
    }

    /// Appends what is stated of the colours (RFC 9559, 5.1.4.1.28.16).
    fn describe_colour(&self, to: &mut Vec<u8>) {
        let colour = self.colour;
        for (id, stated) in [
            (id::MATRIX_COEFFICIENTS, colour.matrix),
            (id::RANGE, colour.full_range.map(|full| 1 + u8::from(full))),
            (id::TRANSFER_CHARACTERISTICS, colour.transfer),
            (id::PRIMARIES, colour.primaries),
        ] {
            if let Some(value) = stated {
                put_uint(to, id, value.into());
            }
        }
    }

    /// Makes a block of a unit; `None` when it cannot be one: of another stream, earlier than the one before, or malformed. Of
    /// sound, it has to be later; a picture that is not shown may have the time of the one behind it.
    pub fn block(&mut self, frame: &Frame) -> Option<Block> {
        let order = decoding_time(frame);
        let is_late = self
            .last
            .is_some_and(|last| order < last || (order == last && self.port == AUDIO));
        if frame.stream() != self.stream || is_late || frame.payload().is_empty() {
            return None;
        }
        let mut payload = Vec::with_capacity(frame.payload().len());
        if !self.coding.append(frame.payload(), &mut payload) || payload.is_empty() {
            return None;
        }
        self.last = Some(order);
        Some(Block {
            port: self.port,
            pts: frame.pts(),
            order,
            lasts: i64::from(frame.duration_us()) * 1000,
            beyond: match self.codec {
                "A_OPUS" => {
                    let samples = opus::beyond(frame.payload(), frame.duration_us());
                    i64::from(samples) * 1_000_000_000 / i64::from(opus::RATE)
                }
                _ => 0,
            },
            key: self.port == AUDIO || frame.has(flags::KEYFRAME),
            payload,
        })
    }
}

/// What a box holds, without its header of 8 bytes.
fn content(it: &impl Encode) -> Result<Vec<u8>> {
    Ok(it.encode_to_vec()?.split_off(8))
}
