//! What decoders of pictures have in common: [`Pictures`], which bring a picture into the pool, and
//! [`KeyframeRequests`].

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
