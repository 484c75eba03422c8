//! `h264-decoder`: access units to pictures.
//!
//! *Beginning.* Decoding begins at a keyframe. A stream that begins with another unit has one asked for at
//! once, and again every half a second for as long as none comes; what comes before it is dropped.
//!
//! *Damage.* What cannot be decoded is dropped and counted, and the stream waits for a keyframe, which it
//! asks for likewise. It never ends the session. The first time is a warning in the log, with the reason
//! where one is known; the sum is logged at the end. The first picture behind a hole is marked as a
//! discontinuity.
//!
//! *Order.* Each unit gives its picture in the same call, with the unit's `pts`. Only where the stream says
//! that pictures are not shown in the order in which they come (B slices, as in files) do they wait for
//! their turn; see `reorder`. WebRTC's streams say that they are in order, and none waits.
//!
//! *Streams.* Each has a decoder of its own, for at most eight at a time; more are dropped and counted until
//! one has been silent for five seconds.
//!
//! *Size and colours.* They may change at any keyframe: the pictures from there on carry another format. What the
//! stream states of its colours (annex E) is the format's `config`, which is empty where it states nothing.
//!
//! *Memory.* The library's is bounded by the size and number of pictures that a stream may refer to, which
//! are read before it is given a parameter set (`sps`); each picture is copied once into a buffer on loan.

use levada_plugin::{
    colour::Colour,
    decoded::{Holes, Lost, Pictures},
    prelude::*,
};
use tracing::{debug, info};

use crate::{codec, nal, reorder::Reorder, sps, streams::Streams};

/// Decodes H.264 into I420.
///
/// **Inputs** `in`: `video/h264`, an access unit in Annex B a frame. **Outputs** `out`: `video/i420`, tightly
/// packed, with the colours that the stream states (`levada_plugin::colour`); `pts`, duration and stream are the
/// unit's. Each picture is copied once, out of the library's memory. **Params** none. **Events** from `out`: a
/// keyframe request is taken, because raw pictures are all keyframes. **Example**
/// `"browser.video -> decode -> mirror"` with `decode = { type = "h264-decoder" }`.
pub struct H264Decoder {
    name: String,
    streams: Streams<Stream>,
    /// Units and pictures that were dropped.
    dropped: u64,
}

struct Stream {
    /// Made for the first unit that is worth decoding.
    codec: Option<codec::Decoder>,
    order: Reorder,
    /// Whether decoding begins with the next keyframe.
    is_waiting: bool,
    /// The parameter set that was judged last, and whether its pictures can be decoded.
    sps: Vec<u8>,
    is_fit: bool,
    /// The format of the input, known to be H.264.
    input: u32,
    /// What that set says of colours.
    colour: Colour,
    pictures: Pictures,
    /// Counts units, to tell whose picture came out.
    mark: u64,
    holes: Holes,
}

impl Stream {
    fn new() -> Stream {
        Stream {
            codec: None,
            order: Reorder::new(),
            is_waiting: true,
            sps: Vec::new(),
            is_fit: true,
            input: 0,
            colour: Colour::default(),
            pictures: Pictures::default(),
            mark: 0,
            holes: Holes::default(),
        }
    }

    /// Looks at a parameter set before the library does.
    fn judge(&mut self, sps: &[u8]) -> Result<(), sps::Unfit> {
        if self.sps == sps {
            return Ok(());
        }
        let judged = sps::read(sps);
        self.is_fit = judged.is_ok();
        self.sps.clear();
        let stated = judged?;
        self.order.set(stated.reordering);
        self.colour = stated.colour;
        // A malformed one may be of any length, and is not kept.
        self.sps.extend_from_slice(sps);
        Ok(())
    }

    /// Decodes a unit; `Ok(None)` when it was to give no picture.
    fn decode(&mut self, frame: &Frame, ctx: &mut Context) -> Result<Option<Frame>, Lost> {
        let bytes = frame.payload();
        let unit = nal::look(bytes);
        if let Some(sps) = unit.sps {
            self.judge(sps).map_err(Lost::unit)?;
        }
        if !self.is_fit {
            return Err(Lost::unit("its parameter set was refused"));
        }
        let is_keyframe = unit.is_idr || frame.has(flags::KEYFRAME);
        if self.is_waiting && unit.has_slice && !is_keyframe {
            return Err(Lost::unit("there was no keyframe yet"));
        }
        let codec = match &mut self.codec {
            Some(codec) => codec,
            none => none.insert(codec::Decoder::new().map_err(Lost::unit)?),
        };
        self.mark += 1;
        let (mark, colour, pictures) = (self.mark, self.colour, &mut self.pictures);
        let mut picture = None;
        let is_whole = codec.decode(bytes, mark, |shown| {
            // What is left of a unit that was given up comes too late.
            if shown.mark == mark {
                picture = Some(copy(&shown, colour, pictures, ctx));
            }
        });
        match picture {
            _ if !is_whole => Err(Lost::unit("it is damaged, or refers to what is missing")),
            Some(Ok(picture)) => {
                self.is_waiting = false;
                Ok(Some(
                    picture
                        .with_pts(frame.pts())
                        .with_duration_us(frame.duration_us())
                        .with_stream(frame.stream()),
                ))
            }
            Some(Err(error)) => {
                self.is_waiting = false;
                Err(Lost::picture(error))
            }
            None if unit.has_slice => Err(Lost::unit("it gave no picture")),
            None => Ok(None),
        }
    }
}

/// Copies a picture into a buffer on loan.
fn copy(
    shown: &codec::Picture<'_>,
    colour: Colour,
    pictures: &mut Pictures,
    ctx: &Context,
) -> Result<Frame> {
    pictures.make((shown.width, shown.height), colour, ctx, |picture| {
        for (plane, (source, stride)) in picture.planes().iter_mut().zip(shown.planes) {
            plane.copy_from(source, stride)?;
        }
        Ok(())
    })
}

impl H264Decoder {
    fn take(&mut self, frame: Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        let mut lost = 0;
        let gone = |mut gone: Stream| lost = gone.order.clear() as u64;
        let Some(stream) = self.streams.of(id, ctx.now(), Stream::new, gone) else {
            self.count(1, ctx);
            debug!(
                node = self.name,
                stream = id,
                "dropped: too many streams have a decoder"
            );
            return Ok(());
        };
        if stream.input != frame.format_id() || stream.input == 0 {
            let format = ctx.format(frame.format_id()).unwrap_or_default();
            if format.encoding != "h264" || format.kind() != Kind::Video {
                return Err(Error::new(format_args!(
                    "h264-decoder takes video/h264, an access unit a frame, and not {format}; put the decoder of \
                     that format here, or mode = \"encoded\" into a source of packets"
                )));
            }
            stream.input = frame.format_id();
        }
        match stream.decode(&frame, ctx) {
            Ok(Some(picture)) => {
                let picture = stream.holes.mark(picture, &frame);
                if !stream.order.push(picture, |frame| ctx.emit(1, frame))? {
                    lost += 1;
                    debug!(
                        node = self.name,
                        stream = id,
                        "a picture came too late to be shown"
                    );
                }
            }
            Ok(None) => {}
            Err(lost) => {
                stream.is_waiting |= stream.holes.lost(lost, &frame, &self.name, ctx);
                self.dropped += 1;
            }
        }
        self.count(lost, ctx);
        Ok(())
    }

    fn count(&mut self, lost: u64, ctx: &Context) {
        if lost > 0 {
            self.dropped += lost;
            ctx.dropped(lost);
        }
    }
}

impl Node for H264Decoder {
    const NAME: &'static str = "h264-decoder";
    const SUMMARY: &'static str = "Decodes H.264 into raw pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/h264"),
        // A timeline that begins again, and the end, let go of all that waited.
        Port::output("out").formats("video/i420").max_out(4),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        Ok(H264Decoder {
            name: config.name().to_owned(),
            streams: Streams::new(),
            dropped: 0,
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        frames.drain().try_for_each(|frame| self.take(frame, ctx))
    }

    fn event(&mut self, _port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        if event.kind == event::kind::FLUSH {
            let streams = self.streams.meant(event.stream);
            let lost: usize = streams
                .map(|stream| {
                    stream.is_waiting = true;
                    stream.order.clear()
                })
                .sum();
            self.count(lost as u64, ctx);
        }
        Ok(event.kind == event::kind::KEYFRAME_REQUEST)
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        let mut lost = 0;
        for stream in self.streams.meant(event::ALL_STREAMS) {
            stream.order.flush(|frame| {
                // Several streams out of order at once have more than one call may put out.
                lost += u64::from(ctx.emit(1, frame).is_err());
                Ok::<(), Error>(())
            })?;
        }
        self.count(lost, ctx);
        if self.dropped > 0 {
            info!(node = self.name, units = self.dropped, "dropped in all");
        }
        Ok(())
    }
}
