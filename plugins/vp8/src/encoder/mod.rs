//! `vp8-encoder`: pictures to frames of the codec, by libvpx.
//!
//! *Stream.* One pass, constant bitrate, no frame held back: a frame leaves in the call that its picture came in.
//!
//! *Bitrate.* The param is what the encoder aims at and the most it ever does. An event of a receiver that can take less
//! lowers it from the next picture on, and one that can take more lifts it again, up to the param. The codec's means are
//! coarser pictures and, with `skip = true`, leaving some out, which are counted as dropped. It reads from `pts` how
//! many come a second.
//!
//! *Keyframes.* The first picture, the next one after a request, the first one of another size, and every
//! `keyframe-interval` seconds.
//!
//! *Size.* Up to as many pixels as 4096x2304 has; more are an error. Another size begins a codec anew. Odd sizes are
//! encoded as they are.
//!
//! *Colours.* A frame of the codec has no word of them, and by itself VP8 means BT.601 in limited range. What the
//! pictures' format states goes into the format of the frames, for `webrtc-sink` and files to pass on.

mod vpx;

use levada_plugin::{
    Streams,
    colour::Colour,
    picture::{I420, Sizes},
    prelude::*,
};
use tracing::debug;

use crate::codec::MAX_PIXELS;
use vpx::{Encoder, Setup};

/// Fewest bits a second that a receiver's event can ask for.
const MIN_BITRATE: u32 = 16_000;
/// Time between pictures whose times say nothing of it, us.
const USUAL_US: i64 = 33_333;
/// Longest time between pictures that counts, us.
const LONGEST_US: i64 = 1_000_000;

/// Encodes I420 as VP8.
///
/// **Inputs** `in`: `video/i420`, up to as many pixels as 4096x2304 has. **Outputs** `out`: `video/vp8`, one frame of
/// the codec each, with the colours of the picture in its format; `pts`, duration and stream are the picture's. Each
/// frame is copied once, out of the library's memory. **Params** `bitrate` in kbit/s, `keyframe-interval` in seconds
/// (0: when asked for), `complexity`, `skip`. **Events** from `out`: keyframe requests and bitrates are taken.
/// **Example** `"mirror -> encode -> screen.video"` with `encode = { type = "vp8-encoder", params = { bitrate = 2000 } }`.
pub struct Vp8Encoder {
    name: String,
    /// Most bits a second.
    bitrate: u32,
    /// What a stream that begins may have of them.
    allowed: u32,
    keyframe_interval_ns: i64,
    speed: i32,
    skip: bool,
    sizes: Sizes,
    streams: Streams<Stream>,
}

struct Stream {
    /// With the size of its pictures.
    codec: Option<(Encoder, (u32, u32))>,
    /// The formats of the last picture and of its frame.
    formats: (u32, u32),
    /// Bits a second that the receiver can take, at most the param.
    bitrate: u32,
    /// Whether the codec is to be told of another bitrate.
    has_news: bool,
    wants_keyframe: bool,
    /// When the last keyframe was, and the last picture, by their `pts`.
    last_keyframe: i64,
    last: Option<i64>,
    /// The codec's time, which never goes back, us.
    at_us: i64,
}

impl Stream {
    fn new(bitrate: u32) -> Stream {
        Stream {
            codec: None,
            formats: (0, 0),
            bitrate,
            has_news: false,
            wants_keyframe: false,
            last_keyframe: i64::MIN,
            last: None,
            at_us: 0,
        }
    }

    /// Moves the codec's time on to a picture at `pts`.
    fn advance(&mut self, pts: i64) {
        let Some(last) = self.last.replace(pts) else {
            return;
        };
        let us = pts.saturating_sub(last) / 1000;
        // A timeline that begins again, or jumps, says nothing of the rate.
        self.at_us += if (1..=LONGEST_US).contains(&us) {
            us
        } else {
            USUAL_US
        };
    }
}

impl Vp8Encoder {
    /// Encodes a picture; `None` when the codec left it out.
    fn take(&mut self, frame: &Frame, ctx: &Context) -> Result<Option<Frame>> {
        let size = self.sizes.of(frame, ctx)?;
        let picture = I420::new(frame.payload(), size.0, size.1)?;
        let allowed = self.allowed;
        let stream = self
            .streams
            .of(frame.stream(), || Ok(Stream::new(allowed)))?;
        stream.advance(frame.pts());
        if stream.codec.as_ref().is_none_or(|(_, of)| *of != size) {
            if u64::from(size.0) * u64::from(size.1) > MAX_PIXELS {
                return Err(Error::new(format_args!(
                    "vp8-encoder encodes pictures of up to {MAX_PIXELS} pixels, as 4096x2304, and these are {}x{}; put a \
                     resize node before it",
                    size.0, size.1
                )));
            }
            let setup = Setup {
                size,
                bitrate: stream.bitrate,
                speed: self.speed,
                skip: self.skip,
            };
            stream.codec = Some((Encoder::new(setup)?, size));
            stream.has_news = false;
        }
        if stream.formats.0 != frame.format_id() || stream.formats.0 == 0 {
            let colour = Colour::of(&ctx.format(frame.format_id()).unwrap_or_default());
            let format = Format::video("vp8", size.0, size.1).with_config(colour.to_string());
            stream.formats = (frame.format_id(), ctx.format_id(&format)?);
        }
        let (news, bitrate) = (std::mem::take(&mut stream.has_news), stream.bitrate);
        let Some((codec, _)) = &mut stream.codec else {
            return Ok(None);
        };
        if news {
            codec.set_bitrate(bitrate)?;
            debug!(node = self.name, bitrate, "aims at");
        }
        let since = frame.pts().saturating_sub(stream.last_keyframe);
        // Negative where the timeline began again.
        let interval = self.keyframe_interval_ns;
        let is_due = interval > 0 && !(0..interval).contains(&since);
        let duration = frame.duration_us().clamp(1, LONGEST_US as u32);
        let wanted = stream.wants_keyframe || is_due;
        let encoded = codec.encode(picture, stream.at_us, duration, wanted)?;
        if encoded.bytes.is_empty() {
            return Ok(None);
        }
        let mut bits = if encoded.is_keyframe {
            stream.wants_keyframe = false;
            stream.last_keyframe = frame.pts();
            flags::KEYFRAME
        } else {
            flags::INTER
        };
        // What the codec leaves out nothing refers to: only holes of the input count.
        if frame.has(flags::DISCONTINUITY) {
            bits |= flags::DISCONTINUITY;
        }
        let mut loan = ctx.loan(encoded.bytes.len())?;
        loan.as_mut_slice().copy_from_slice(encoded.bytes);
        ctx.copied(encoded.bytes.len());
        Ok(Some(
            Frame::new(Kind::Video, loan)
                .with_format_id(stream.formats.1)
                .with_stream(frame.stream())
                .with_pts(frame.pts())
                .with_duration_us(frame.duration_us())
                .with_flags(bits),
        ))
    }

    fn set_bitrate(&mut self, event: &Event) -> Result {
        let bits = u32::try_from(event.value.max(0)).unwrap_or(u32::MAX);
        let bits = bits.clamp(MIN_BITRATE.min(self.bitrate), self.bitrate);
        let allowed = self.allowed;
        match u16::try_from(event.stream) {
            // It may be told before its first picture.
            Ok(id) => {
                self.streams.of(id, || Ok(Stream::new(allowed)))?;
            }
            Err(_) => self.allowed = bits,
        }
        for (_, stream) in self.streams.meant_by(event) {
            stream.has_news |= stream.bitrate != bits;
            stream.bitrate = bits;
        }
        Ok(())
    }
}

impl Node for Vp8Encoder {
    const NAME: &'static str = "vp8-encoder";
    const SUMMARY: &'static str = "Encodes raw pictures as VP8";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420"),
        Port::output("out").formats("video/vp8"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("bitrate", 1500)
            .range(16.0, 100_000.0)
            .unit("kbit/s")
            .help("What to aim at, and the most; receivers that can take less lower it"),
        Param::float("keyframe-interval", 0.0)
            .range(0.0, 3600.0)
            .unit("s")
            .help("Time between keyframes; 0 makes one only when it is asked for"),
        Param::choice("complexity", "low medium high", "low")
            .help("How much time to spend on a picture for its quality"),
        Param::bool("skip", false)
            .help("Whether to leave pictures out where the bitrate cannot be kept otherwise"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        let speed = match config.text("complexity")? {
            "medium" => -6,
            "high" => -3,
            _ => -10,
        };
        // The range keeps it far inside its type.
        let bitrate = config.integer("bitrate")? as u32 * 1000;
        Ok(Vp8Encoder {
            name: config.name().to_owned(),
            bitrate,
            allowed: bitrate,
            keyframe_interval_ns: (config.float("keyframe-interval")? * 1e9) as i64,
            speed,
            skip: config.bool("skip")?,
            sizes: Sizes::default(),
            streams: Streams::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            match self.take(&frame, ctx)? {
                Some(unit) => ctx.emit(1, unit)?,
                None => ctx.dropped(1),
            }
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        match (port, event.kind) {
            (1, event::kind::KEYFRAME_REQUEST) => {
                let meant = self.streams.meant_by(&event);
                meant.for_each(|(_, stream)| stream.wants_keyframe = true);
                Ok(true)
            }
            (1, event::kind::BITRATE) => {
                self.set_bitrate(&event)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
