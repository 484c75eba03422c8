//! A closure over raw pictures: it writes the planes where they lie.

use std::ops::{Deref, DerefMut};

use super::{Outcome, Step};
use crate::{
    error::Result,
    frame::Frames,
    host::Context,
    picture::{I420Mut, Sizes},
};

/// A raw picture that a closure may write, where it lies: [`I420Mut`] with its time.
///
/// [`y`](I420Mut::y), [`u`](I420Mut::u) and [`v`](I420Mut::v) are the planes' bytes,
/// [`planes`](I420Mut::planes) all three at once. Rows lie without a gap, so a plane's stride is its width:
/// [`width`](I420Mut::width) of brightness, [`chroma_width`](I420Mut::chroma_width) of colour. The size may be another
/// one with each picture.
pub struct Picture<'a> {
    view: I420Mut<'a>,
    pts_ns: i64,
}

impl Picture<'_> {
    /// When it is shown: presentation time in ns on the session's timeline.
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.pts_ns
    }
}

impl<'a> Deref for Picture<'a> {
    type Target = I420Mut<'a>;
    fn deref(&self) -> &I420Mut<'a> {
        &self.view
    }
}

impl DerefMut for Picture<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.view
    }
}

/// Runs a closure on pictures: in place, or on one copy, declared, of those that others hold as well.
#[derive(Clone)]
pub(super) struct Edit<F> {
    f: F,
    sizes: Sizes,
}

impl<F> Edit<F> {
    pub(super) fn new(f: F) -> Edit<F> {
        Edit {
            f,
            sizes: Sizes::default(),
        }
    }
}

impl<F, R> Step for Edit<F>
where
    F: FnMut(&mut Picture) -> R + Send,
    R: Outcome,
{
    fn process(&mut self, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            let (width, height) = self.sizes.of(frame, ctx)?;
            let pts_ns = frame.pts();
            let view = I420Mut::new(ctx.make_writable(frame)?, width, height)?;
            (self.f)(&mut Picture { view, pts_ns }).into_result()?;
        }
        Ok(())
    }
}
