//! What decoders of pictures have in common: [`Pictures`], which bring a picture into the pool, [`Holes`], for what does
//! not come out, and [`KeyframeRequests`].

use tracing::{debug, warn};

use crate::{
    Event,
    colour::Colour,
    error::Result,
    event, flags,
    format::Format,
    frame::{Frame, Kind},
    host::Context,
    picture::{I420Mut, i420_bytes},
};

/// Time between two requests for a keyframe, ns.
const ASK_AGAIN_NS: i64 = 500_000_000;

/// Asks for keyframes of one stream, at once and again every half a second for as long as it is called.
#[derive(Debug, Default)]
pub struct KeyframeRequests {
    /// When one was asked for last, ns.
    asked: Option<i64>,
}

impl KeyframeRequests {
    /// Raises a request for `stream` at an input, unless one was raised less than half a second ago.
    pub fn ask(&mut self, input: usize, stream: u16, ctx: &Context) {
        let now = ctx.now();
        if self.asked.is_none_or(|at| now - at >= ASK_AGAIN_NS) {
            self.asked = Some(now);
            let request = Event {
                kind: event::kind::KEYFRAME_REQUEST,
                stream: u32::from(stream),
                value: 0,
            };
            ctx.raise(input, request);
        }
    }
}

/// What did not come out of a decoder, and why.
#[derive(Debug)]
pub enum Lost {
    /// A unit was not decoded: what refers to it cannot be either, up to the next keyframe.
    Unit(String),
    /// It was, but there is no memory or no format left for its picture.
    Picture(String),
}

impl Lost {
    /// A unit that was not decoded.
    pub fn unit(why: impl ToString) -> Lost {
        Lost::Unit(why.to_string())
    }

    /// A picture that was decoded and cannot be put out.
    pub fn picture(why: impl ToString) -> Lost {
        Lost::Picture(why.to_string())
    }
}

/// The holes of one stream: counts what is lost, asks for a keyframe where that helps, says so once, and marks the first
/// picture behind each hole.
#[derive(Debug, Default)]
pub struct Holes {
    requests: KeyframeRequests,
    /// Something is missing before the next picture.
    is_open: bool,
    has_warned: bool,
}

impl Holes {
    /// Notes what became of `unit`, which came at input 0 of the node of this name. Where it is the unit that was lost the
    /// answer is `true`: the caller decodes no more of the stream before the next keyframe.
    #[must_use]
    pub fn lost(&mut self, lost: Lost, unit: &Frame, node: &str, ctx: &Context) -> bool {
        let (stream, pts_ns) = (unit.stream(), unit.pts());
        let is_unit = matches!(lost, Lost::Unit(_));
        let (why, what) = match lost {
            Lost::Picture(why) => (why, "a picture"),
            Lost::Unit(why) => {
                self.requests.ask(0, stream, ctx);
                (why, "a unit and what follows, up to the next keyframe,")
            }
        };
        self.is_open = true;
        ctx.dropped(1);
        if std::mem::replace(&mut self.has_warned, true) {
            debug!(node, stream, pts_ns, why, "dropped");
        } else {
            warn!(
                node,
                stream,
                pts_ns,
                "{what} is dropped because {why}. More of this stream is only counted"
            );
        }
        is_unit
    }

    /// The picture of `unit`, marked if it is the first behind a hole, or if the unit was.
    #[must_use]
    pub fn mark(&mut self, picture: Frame, unit: &Frame) -> Frame {
        if std::mem::take(&mut self.is_open) || unit.has(flags::DISCONTINUITY) {
            picture.with_flags(flags::DISCONTINUITY)
        } else {
            picture
        }
    }
}

/// Makes frames of `video/i420` for the pictures of one stream, and keeps their format while size and colours stay.
#[derive(Debug, Default)]
pub struct Pictures {
    size: (u32, u32),
    colour: Colour,
    format: u32,
}

impl Pictures {
    /// A frame of pool memory that `fill` writes, which counts as a copy of what it holds. It is a keyframe, as every raw
    /// picture is; its time and stream are to be set.
    ///
    /// # Errors
    /// When a side is 0 or too large, there is no memory or no format left, or `fill` fails.
    pub fn make(
        &mut self,
        size: (u32, u32),
        colour: Colour,
        ctx: &Context,
        fill: impl FnOnce(&mut I420Mut) -> Result,
    ) -> Result<Frame> {
        let bytes = i420_bytes(size.0, size.1)?;
        if (self.size, self.colour) != (size, colour) {
            let format = Format::video("i420", size.0, size.1).with_config(colour.to_string());
            *self = Pictures {
                size,
                colour,
                format: ctx.format_id(&format)?,
            };
        }
        let mut loan = ctx.loan(bytes)?;
        fill(&mut I420Mut::new(loan.as_mut_slice(), size.0, size.1)?)?;
        ctx.copied(bytes);
        Ok(Frame::new(Kind::Video, loan)
            .with_format_id(self.format)
            .with_flags(flags::KEYFRAME))
    }
}
