//! `av1-decoder`: temporal units to pictures.
//!
//! *Beginning.* Decoding begins at a unit with a sequence header, which keyframes have. A stream that begins with
//! another unit has a keyframe asked for at once, and again every half a second for as long as none comes; what comes
//! before it is dropped.
//!
//! *Damage.* What cannot be decoded is dropped and counted, and the stream waits for a keyframe, which it asks for
//! likewise. The same goes for a unit behind a hole (`DISCONTINUITY`), because its bytes need not tell that what it
//! refers to is missing, and for a stream that is not of the main profile at 8 bits. Damage never ends the session. The
//! first time is a warning in the log; the sum is logged at the end. The first picture behind a hole is marked.
//!
//! *Order.* A unit gives its picture in the same call: AV1 sends what is shown later inside the units before.
//!
//! *Size and colours.* They may change at any keyframe: the pictures from there on carry another format. What the stream
//! states of its colours is the format's `config`, which is empty where it states nothing. Gray pictures come out with
//! neutral colours. Film grain is put on, as the stream asks for it.
//!
//! *Streams.* Each has a decoder of its own, for the 16 that were used last.

use bytes::Bytes;
use levada_plugin::{
    Streams,
    colour::Colour,
    decoded::{Holes, Lost, Pictures},
    prelude::*,
};
use re_rav1d::dav1d::{Picture, PixelLayout, PlanarImageComponent};
use tracing::info;

use crate::{codec, obu, sequence};

/// A colour sample of gray.
const NEUTRAL: u8 = 128;

/// Decodes AV1 into I420.
///
/// **Inputs** `in`: `video/av1`, one temporal unit a frame, main profile, 8 bits, up to as many pixels as 4096x2304 has.
/// **Outputs** `out`: `video/i420`, tightly packed, with the colours that the stream states (`levada_plugin::colour`);
/// `pts`, duration and stream are the unit's. Each picture is copied once, out of the library's memory, and so is a unit
/// with OBUs that decoding does not need, without those. **Params** none. **Events** from `out`: a keyframe request is
/// taken, because raw pictures are all keyframes. **Example** `"file.video -> decode -> mirror"` with
/// `decode = { type = "av1-decoder" }`.
pub struct Av1Decoder {
    name: String,
    streams: Streams<Stream>,
    /// Units and pictures that were dropped.
    dropped: u64,
}

#[derive(Default)]
struct Stream {
    /// The format of the input, known to be AV1.
    input: u32,
    /// None while decoding waits for a keyframe.
    codec: Option<codec::Decoder>,
    colour: Colour,
    pictures: Pictures,
    holes: Holes,
}

impl Stream {
    /// Decodes a unit: its picture, if it shows one, and how many others it shows.
    fn decode(&mut self, frame: &Frame, ctx: &Context) -> Result<(Option<Frame>, u64), Lost> {
        let unit = obu::look(frame.payload());
        let unit = unit.map_err(|obu::Malformed| Lost::unit("it is not made of OBUs"))?;
        let begins = unit.sequence.is_some();
        if self.codec.is_some() && frame.has(flags::DISCONTINUITY) && !begins {
            return Err(Lost::unit("something is missing before it"));
        }
        if let Some(header) = unit.sequence {
            self.colour = sequence::read(header).map_err(Lost::unit)?.colour;
        }
        let bytes = match unit.needed {
            Some(needed) => {
                ctx.copied(needed.len());
                Bytes::from(needed)
            }
            None => frame.bytes(),
        };
        if bytes.is_empty() {
            return Err(Lost::unit("there is nothing in it"));
        }
        let codec = match &mut self.codec {
            Some(codec) => codec,
            none if begins => none.insert(codec::Decoder::new().map_err(Lost::unit)?),
            _ => return Err(Lost::unit("there was no keyframe yet")),
        };
        let (picture, shown) = codec.decode(bytes).map_err(Lost::unit)?;
        let Some(picture) = picture else {
            // A unit for one of several layers may show nothing.
            return Ok((None, 0));
        };
        let copy = self.copy(&picture, ctx);
        let copy = copy.map_err(Lost::picture)?;
        let copy = copy
            .with_pts(frame.pts())
            .with_duration_us(frame.duration_us())
            .with_stream(frame.stream());
        Ok((Some(copy), shown.saturating_sub(1) as u64))
    }

    /// Copies a picture into a buffer on loan.
    fn copy(&mut self, shown: &Picture, ctx: &Context) -> Result<Frame> {
        let size = (shown.width(), shown.height());
        let is_gray = match (shown.bit_depth(), shown.pixel_layout()) {
            (8, PixelLayout::I420) => false,
            (8, PixelLayout::I400) => true,
            (depth, layout) => {
                return Err(Error::new(format_args!(
                    "the picture is {layout:?} at {depth} bits"
                )));
            }
        };
        self.pictures.make(size, self.colour, ctx, |picture| {
            let components = [
                PlanarImageComponent::Y,
                PlanarImageComponent::U,
                PlanarImageComponent::V,
            ];
            for (plane, component) in picture.planes().iter_mut().zip(components) {
                if is_gray && component != PlanarImageComponent::Y {
                    plane.data.fill(NEUTRAL);
                } else {
                    let source = shown.plane(component);
                    plane.copy_from(&source, shown.stride(component) as usize)?;
                }
            }
            Ok(())
        })
    }
}

impl Av1Decoder {
    fn take(&mut self, frame: &Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        let stream = self.streams.of(id, || Ok(Stream::default()))?;
        if stream.input != frame.format_id() || stream.input == 0 {
            let format = ctx.format(frame.format_id()).unwrap_or_default();
            if format.encoding != "av1" || format.kind() != Kind::Video {
                return Err(Error::new(format_args!(
                    "av1-decoder takes video/av1, a temporal unit a frame, and not {format}; put the decoder of that \
                     format here, or mode = \"encoded\" into a source of packets"
                )));
            }
            stream.input = frame.format_id();
        }
        match stream.decode(frame, ctx) {
            Ok((picture, more)) => {
                if more > 0 {
                    self.dropped += more;
                    ctx.dropped(more);
                }
                picture.map_or(Ok(()), |picture| {
                    ctx.emit(1, stream.holes.mark(picture, frame))
                })
            }
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

impl Node for Av1Decoder {
    const NAME: &'static str = "av1-decoder";
    const SUMMARY: &'static str = "Decodes AV1 into raw pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/av1"),
        Port::output("out").formats("video/i420"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        Ok(Av1Decoder {
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
            info!(node = self.name, units = self.dropped, "dropped in all");
        }
        Ok(())
    }
}
