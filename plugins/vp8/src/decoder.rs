//! `vp8-decoder`: frames of the codec to pictures.
//!
//! *Beginning.* Decoding begins at a keyframe. A stream that begins with another frame has one asked for at once,
//! and again every half a second for as long as none comes; what comes before it is dropped.
//!
//! *Damage.* What cannot be decoded is dropped and counted, and the stream waits for a keyframe, which it asks for
//! likewise. The same goes for a frame behind a hole: nothing in its bytes tells that what it refers to is missing,
//! so that the flag of the frame (`DISCONTINUITY`) is all there is to go by. Damage never ends the session. The first
//! time is a warning in the log; the sum is logged at the end. The first picture behind a hole is marked.
//!
//! *Order.* A frame gives its picture in the same call. Frames that are only referred to (`show_frame` 0) give none.
//!
//! *Size.* It may change at any keyframe; odd sizes are decoded as they are. The factors by which a keyframe asks to be
//! enlarged for showing are not followed.
//!
//! *Colours.* A frame has no word of them. By itself VP8 means BT.601 in limited range, which is what `video/i420` is
//! where nothing is stated. What goes around a stream may state others, as browsers do of what a page draws, and that
//! stands in the format of the input; it may change at any frame.
//!
//! *Streams.* Each has a decoder of its own, for the 16 that were used last.

use levada_plugin::{
    Streams,
    colour::Colour,
    decoded::{Holes, Lost, Pictures},
    prelude::*,
};
use tracing::info;

use crate::codec::{self, is_keyframe};

/// Decodes VP8 into I420.
///
/// **Inputs** `in`: `video/vp8`, one frame of the codec each, up to as many pixels as 4096x2304 has. **Outputs**
/// `out`: `video/i420`, tightly packed, with the colours that the format of the input states
/// (`levada_plugin::colour`); `pts`, duration and stream are those of what came in. Each picture is copied
/// once, out of the library's memory. **Params** none. **Events** from `out`: a keyframe request is taken, because
/// raw pictures are all keyframes. **Example** `"browser.video -> decode -> mirror"` with
/// `decode = { type = "vp8-decoder" }`.
pub struct Vp8Decoder {
    name: String,
    streams: Streams<Stream>,
    /// Frames and pictures that were dropped.
    dropped: u64,
}

#[derive(Default)]
struct Stream {
    /// The format of the input, known to be VP8.
    input: u32,
    /// What that states of the colours.
    colour: Colour,
    /// None while decoding waits for a keyframe.
    codec: Option<codec::Decoder>,
    pictures: Pictures,
    holes: Holes,
}

impl Stream {
    /// Decodes a frame; `Ok(None)` when it is not to be shown.
    fn decode(&mut self, frame: &Frame, ctx: &Context) -> Result<Option<Frame>, Lost> {
        let unit = frame.payload();
        let is_keyframe = is_keyframe(unit);
        if self.codec.is_some() && frame.has(flags::DISCONTINUITY) && !is_keyframe {
            return Err(Lost::unit("something is missing before it"));
        }
        let codec = match &mut self.codec {
            Some(codec) => codec,
            none if is_keyframe => none.insert(codec::Decoder::new()),
            _ => return Err(Lost::unit("there was no keyframe yet")),
        };
        let decoded = codec.decode(unit);
        let Some(picture) = decoded.map_err(Lost::unit)? else {
            return Ok(None);
        };
        let picture = self.copy(&picture, ctx);
        let picture = picture.map_err(Lost::picture)?;
        Ok(Some(
            picture
                .with_pts(frame.pts())
                .with_duration_us(frame.duration_us())
                .with_stream(frame.stream()),
        ))
    }

    /// Copies a picture into a buffer on loan.
    fn copy(&mut self, shown: &oxideav_vp8::Vp8DecodedFrame, ctx: &Context) -> Result<Frame> {
        let size = (shown.width, shown.height);
        self.pictures.make(size, self.colour, ctx, |picture| {
            let planes = [&shown.y, &shown.u, &shown.v];
            for (to, from) in picture.planes().iter_mut().zip(planes) {
                to.copy_from(from, to.width)?;
            }
            Ok(())
        })
    }
}

impl Vp8Decoder {
    fn take(&mut self, frame: &Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        let stream = self.streams.of(id, || Ok(Stream::default()))?;
        if stream.input != frame.format_id() || stream.input == 0 {
            let format = ctx.format(frame.format_id()).unwrap_or_default();
            if format.encoding != "vp8" || format.kind() != Kind::Video {
                return Err(Error::new(format_args!(
                    "vp8-decoder takes video/vp8, one frame of the codec each, and not {format}; put the decoder of \
                     that format here, or mode = \"encoded\" into a source of packets"
                )));
            }
            stream.input = frame.format_id();
            stream.colour = Colour::of(&format);
        }
        match stream.decode(frame, ctx) {
            Ok(None) => Ok(()),
            Ok(Some(picture)) => ctx.emit(1, stream.holes.mark(picture, frame)),
            Err(lost) => {
                if stream.holes.lost(lost, frame, &self.name, ctx) {
                    stream.codec = None;
                }
                self.dropped += 1;
                Ok(())
            }
        }
    }
}

impl Node for Vp8Decoder {
    const NAME: &'static str = "vp8-decoder";
    const SUMMARY: &'static str = "Decodes VP8 into raw pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/vp8"),
        Port::output("out").formats("video/i420"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        Ok(Vp8Decoder {
            name: config.name().to_owned(),
            streams: Streams::default(),
            dropped: 0,
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        frames.drain().try_for_each(|frame| self.take(&frame, ctx))
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        if (port, event.kind) == (0, event::kind::FLUSH) {
            for (_, stream) in self.streams.meant_by(&event) {
                stream.codec = None;
            }
        }
        Ok((port, event.kind) == (1, event::kind::KEYFRAME_REQUEST))
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        if self.dropped > 0 {
            info!(node = self.name, frames = self.dropped, "dropped in all");
        }
        Ok(())
    }
}
