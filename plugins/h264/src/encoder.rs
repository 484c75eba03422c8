//! `h264-encoder`: pictures to access units.
//!
//! *Stream.* Constrained baseline, which every browser takes: no reordering, one slice a picture, parameter
//! sets in band at each keyframe. A unit leaves in the call that its picture came in.
//!
//! *Bitrate.* The param is what the encoder aims at and the most it ever does. An event of a receiver that can
//! take less lowers it from the next picture on, and one that can take more lifts it again, up to the param.
//! The codec's means are coarser pictures and, with `skip = true`, leaving some out, which are counted as
//! dropped. Its bits for each picture depend on how many come a second: that is measured by `pts`, or stated.
//!
//! *Keyframes.* The first picture, the next one after a request, the first one of another size or other
//! colours, and every `keyframe-interval` seconds.
//!
//! *Size.* 16x16 up to 3840x2160 or 2160x3840. A picture of another size begins a codec anew. Odd sizes lose
//! their last row or column, because the format has none. Smaller ones (a muted camera of a browser sends
//! 2x2) are dropped and counted; larger ones are an error.
//!
//! *Colours.* What the pictures' format states of them goes into the parameter sets (annex E), so that whoever
//! shows the stream takes them for what they are; where it states nothing, nothing is written. Other colours
//! begin a codec anew.

use levada_plugin::{
    colour::Colour,
    picture::{I420, Sizes},
    prelude::*,
};
use openh264::encoder::Complexity;
use tracing::{debug, warn};

use crate::{
    codec::{Encoder, Setup},
    colour::vui,
    frame_rate::Meter,
    streams::Streams,
};

/// Fewest bits a second that a receiver's event can ask for.
const MIN_BITRATE: u32 = 16_000;
/// Smallest side of a picture that the library encodes.
const MIN_SIDE: u32 = 16;
/// Largest sides of a picture that the library encodes, the longer one first.
const MAX_SIDES: (u32, u32) = (3840, 2160);
/// The library counts bits for at most so many pictures a second.
const MAX_COUNTED_HZ: f64 = 60.0;

/// Encodes I420 as H.264.
///
/// **Inputs** `in`: `video/i420`, 16x16 to 3840x2160; odd sizes lose their last row or column. **Outputs**
/// `out`: `video/h264`, constrained baseline, an access unit in Annex B a frame, with the colours that the format
/// of the pictures states; `pts`, duration and stream are the picture's. Each unit is copied once, out of the library's memory. **Params** `bitrate` in kbit/s,
/// `keyframe-interval` in seconds (0: when asked for), `fps` (0: measured), `complexity`, `skip`. **Events**
/// from `out`: keyframe requests and bitrates are taken. **Example** `"mirror -> encode -> screen.video"` with
/// `encode = { type = "h264-encoder", params = { bitrate = 2000 } }`.
pub struct H264Encoder {
    name: String,
    /// Most bits a second.
    bitrate: u32,
    /// What a stream that begins may have of them.
    allowed: u32,
    keyframe_interval_ns: i64,
    fps: f64,
    complexity: Complexity,
    skip: bool,
    sizes: Sizes,
    streams: Streams<Stream>,
}

struct Stream {
    codec: Option<Encoder>,
    /// The format of the last picture, and what the codec's pictures have in common, as they come in.
    input: u32,
    size: (u32, u32),
    colour: Colour,
    /// The format of the codec's units.
    format: u32,
    rate: Meter,
    /// Bits a second that the receiver can take, at most the param.
    bitrate: u32,
    /// Whether the codec is to be told of another bitrate or frame rate.
    has_news: bool,
    wants_keyframe: bool,
    /// When the last keyframe was, and the first picture, by their `pts`.
    last_keyframe: i64,
    first: Option<i64>,
    has_warned: bool,
}

impl Stream {
    fn new(bitrate: u32, fps: f64) -> Stream {
        Stream {
            codec: None,
            input: 0,
            size: (0, 0),
            colour: Colour::default(),
            format: 0,
            rate: Meter::new(fps),
            bitrate,
            has_news: false,
            wants_keyframe: false,
            last_keyframe: i64::MIN,
            first: None,
            has_warned: false,
        }
    }

    /// What the library is to aim at: it counts no more than 60 pictures a second, and each has its share.
    fn target(&self) -> (u32, f32) {
        let hz = self.rate.hz();
        let share = (MAX_COUNTED_HZ / hz).min(1.0);
        let bits = f64::from(self.bitrate) * share;
        (bits as u32, hz.min(MAX_COUNTED_HZ) as f32)
    }

    /// Looks at the format of a picture, and begins a codec where that has another size or other colours.
    #[cold]
    fn fit(
        &mut self,
        frame: &Frame,
        size: (u32, u32),
        (complexity, skip): (Complexity, bool),
        ctx: &Context,
    ) -> Result {
        let colour = Colour::of(&ctx.format(frame.format_id()).unwrap_or_default());
        if self.codec.is_none() || (self.size, self.colour) != (size, colour) {
            let (long, short) = (size.0.max(size.1), size.0.min(size.1));
            if long > MAX_SIDES.0 || short > MAX_SIDES.1 {
                return Err(Error::new(format_args!(
                    "h264-encoder encodes pictures up to {}x{}, and these are {}x{}; put a resize node before it",
                    MAX_SIDES.0, MAX_SIDES.1, size.0, size.1
                )));
            }
            let (bitrate, frame_rate) = self.target();
            let codec = Encoder::new(Setup {
                bitrate,
                frame_rate,
                complexity,
                skip,
                vui: vui(colour),
            })?;
            // Coded sizes are even.
            let format = Format::video("h264", size.0 & !1, size.1 & !1);
            self.format = ctx.format_id(&format)?;
            (self.codec, self.size, self.colour) = (Some(codec), size, colour);
            self.has_news = false;
        }
        self.input = frame.format_id();
        Ok(())
    }
}

impl H264Encoder {
    /// Encodes a picture; `None` when the codec left it out, it is too small for one, or there are too many streams.
    fn take(&mut self, frame: &Frame, ctx: &Context) -> Result<Option<Frame>> {
        let size = self.sizes.of(frame, ctx)?;
        let picture = I420::new(frame.payload(), size.0, size.1)?;
        let (allowed, fps) = (self.allowed, self.fps);
        let make = || Stream::new(allowed, fps);
        let Some(stream) = self.streams.of(frame.stream(), ctx.now(), make, drop) else {
            debug!(
                node = self.name,
                stream = frame.stream(),
                "dropped: too many streams have an encoder"
            );
            return Ok(None);
        };
        if size.0 < MIN_SIDE || size.1 < MIN_SIDE {
            if !stream.has_warned {
                stream.has_warned = true;
                warn!(
                    node = self.name,
                    stream = frame.stream(),
                    "pictures of {}x{} are dropped: H.264 is encoded from {MIN_SIDE}x{MIN_SIDE}",
                    size.0,
                    size.1
                );
            }
            return Ok(None);
        }
        let first = *stream.first.get_or_insert(frame.pts());
        stream.has_news |= stream.rate.see(frame.pts());
        if stream.codec.is_none() || stream.input != frame.format_id() {
            stream.fit(frame, size, (self.complexity, self.skip), ctx)?;
        }
        let (target, news) = (stream.target(), std::mem::take(&mut stream.has_news));
        let Some(codec) = &mut stream.codec else {
            return Ok(None);
        };
        if news {
            codec.set_bitrate(target.0);
            codec.set_frame_rate(target.1);
            debug!(
                node = self.name,
                bitrate = target.0,
                hz = target.1,
                "aims at"
            );
        }
        let since = frame.pts().saturating_sub(stream.last_keyframe);
        // Negative where the timeline began again.
        let interval = self.keyframe_interval_ns;
        let is_due = interval > 0 && !(0..interval).contains(&since);
        let at_ms = frame.pts().saturating_sub(first).max(0) / 1_000_000;
        let at_ms = u32::try_from(at_ms).unwrap_or(u32::MAX);
        let encoded = codec.encode(picture, at_ms, stream.wants_keyframe || is_due)?;
        if encoded.bytes == 0 {
            return Ok(None);
        }
        let is_keyframe = encoded.is_keyframe();
        let mut loan = ctx.loan(encoded.bytes)?;
        encoded.copy_to(loan.as_mut_slice());
        ctx.copied(encoded.bytes);
        if is_keyframe {
            stream.wants_keyframe = false;
            stream.last_keyframe = frame.pts();
        }
        let mut bits = if is_keyframe {
            flags::KEYFRAME
        } else {
            flags::INTER
        };
        // What the codec leaves out nothing refers to: only holes of the input count.
        if frame.has(flags::DISCONTINUITY) {
            bits |= flags::DISCONTINUITY;
        }
        Ok(Some(
            Frame::new(Kind::Video, loan)
                .with_format_id(stream.format)
                .with_stream(frame.stream())
                .with_pts(frame.pts())
                .with_duration_us(frame.duration_us())
                .with_flags(bits),
        ))
    }

    fn set_bitrate(&mut self, stream: u32, bits: i64, now: i64) {
        let bits = u32::try_from(bits.max(0)).unwrap_or(u32::MAX);
        let bits = bits.clamp(MIN_BITRATE.min(self.bitrate), self.bitrate);
        let (allowed, fps) = (self.allowed, self.fps);
        match u16::try_from(stream) {
            // It may be told before its first picture.
            Ok(id) => {
                self.streams.of(id, now, || Stream::new(allowed, fps), drop);
            }
            Err(_) => self.allowed = bits,
        }
        for stream in self.streams.meant(stream) {
            stream.has_news |= stream.bitrate != bits;
            stream.bitrate = bits;
        }
    }
}

impl Node for H264Encoder {
    const NAME: &'static str = "h264-encoder";
    const SUMMARY: &'static str = "Encodes raw pictures as H.264";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420"),
        Port::output("out").formats("video/h264"),
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
        Param::float("fps", 0.0)
            .range(0.0, 240.0)
            .unit("Hz")
            .help("Pictures a second that the bitrate is shared among; 0 measures them"),
        Param::choice("complexity", "low medium high", "low")
            .help("How much time to spend on a picture for its quality"),
        Param::bool("skip", false)
            .help("Whether to leave pictures out where the bitrate cannot be kept otherwise"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        let complexity = match config.text("complexity")? {
            "medium" => Complexity::Medium,
            "high" => Complexity::High,
            _ => Complexity::Low,
        };
        // The range keeps it far inside its type.
        let bitrate = config.integer("bitrate")? as u32 * 1000;
        Ok(H264Encoder {
            name: config.name().to_owned(),
            bitrate,
            allowed: bitrate,
            keyframe_interval_ns: (config.float("keyframe-interval")? * 1e9) as i64,
            fps: config.float("fps")?,
            complexity,
            skip: config.bool("skip")?,
            sizes: Sizes::default(),
            streams: Streams::new(),
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

    fn event(&mut self, _port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        match event.kind {
            event::kind::KEYFRAME_REQUEST => {
                let meant = self.streams.meant(event.stream);
                meant.for_each(|stream| stream.wants_keyframe = true);
                Ok(true)
            }
            event::kind::BITRATE => {
                self.set_bitrate(event.stream, event.value, ctx.now());
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
