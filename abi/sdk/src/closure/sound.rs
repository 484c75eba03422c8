//! A closure over raw sound: it gets each channel's samples as one slice.
//!
//! Samples of a frame are interleaved, so those of one channel lie apart unless there is only one. Sound of one channel
//! is written where it lies. Other sound is copied channel by channel into memory that the node keeps, and back again
//! after the closure: two copies, both declared. They cost little (a block of 20 ms in stereo has 7680 bytes), and a
//! closure over slices is what signal processing is written for. A closure that wants no copy takes the
//! frames as they are (`closure_plugin_of` with `audio/f32`, and [`as_f32_mut`]).

use std::slice::ChunksExactMut;

use super::{Outcome, Step};
use crate::{
    error::{Error, Result},
    format::Media,
    frame::{Frame, Frames},
    host::Context,
    samples::{as_f32, as_f32_mut},
};

/// A block of raw sound that a closure may write: a slice of samples a channel.
///
/// All channels have as many samples, at least one, full scale being -1 to 1. Rate and number of channels may be others
/// with each block.
pub struct Sound<'a> {
    /// One channel behind the other.
    samples: &'a mut [f32],
    /// Samples of a channel; not 0.
    len: usize,
    rate: u32,
    pts_ns: i64,
}

impl Sound<'_> {
    /// Visits the channels in their order in the frame, such as left and right.
    pub fn channels(&mut self) -> ChunksExactMut<'_, f32> {
        self.samples.chunks_exact_mut(self.len)
    }

    /// The samples of one channel, counted from 0; `None` when there are fewer.
    pub fn channel(&mut self, index: usize) -> Option<&mut [f32]> {
        self.channels().nth(index)
    }

    /// Number of channels.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.samples.len() / self.len
    }

    /// Number of samples of each channel.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Samples a second and channel.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// When its first sample is heard: presentation time in ns on the session's timeline.
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.pts_ns
    }
}

/// Runs a closure on sound.
#[derive(Clone)]
pub(super) struct Edit<F> {
    f: F,
    /// The format that `rate` and `channels` are of; 0 is none.
    format: u32,
    rate: u32,
    channels: usize,
    /// A block, one channel behind the other. It grows to the largest one and no further.
    planar: Vec<f32>,
}

impl<F> Edit<F> {
    pub(super) fn new(f: F) -> Edit<F> {
        Edit {
            f,
            format: 0,
            rate: 0,
            channels: 1,
            planar: vec![],
        }
    }

    #[cold]
    fn look_up(&mut self, id: u32, ctx: &Context) -> Result {
        let format = ctx.format(id).unwrap_or_default();
        match format.media {
            Media::Audio { rate, channels } if format.encoding == "f32" && channels > 0 => {
                (self.format, self.rate, self.channels) = (id, rate, channels as usize);
                Ok(())
            }
            _ => Err(Error::new(format_args!(
                "sound is to be audio/f32, and this is {format}; put a decoder or a converter before this node"
            ))),
        }
    }
}

fn not_whole(bytes: usize, channels: usize) -> Error {
    Error::new(format_args!(
        "a frame of {bytes} bytes holds no whole samples of {channels} channels in audio/f32; the node before it gave \
         the frame the wrong format or cut it"
    ))
}

impl<F, R> Edit<F>
where
    F: FnMut(&mut Sound) -> R,
    R: Outcome,
{
    fn edit(&mut self, frame: &mut Frame, ctx: &Context) -> Result {
        if frame.format_id() != self.format || self.format == 0 {
            self.look_up(frame.format_id(), ctx)?;
        }
        let (bytes, channels, pts_ns) = (frame.payload().len(), self.channels, frame.pts());
        let (rate, len) = (self.rate, bytes / size_of::<f32>() / channels);
        if bytes != len * channels * size_of::<f32>() {
            return Err(not_whole(bytes, channels));
        }
        if bytes == 0 {
            return Ok(());
        }
        let mut run = |samples: &mut [f32]| {
            let mut sound = Sound {
                samples,
                len,
                rate,
                pts_ns,
            };
            (self.f)(&mut sound).into_result()
        };
        let unaligned = || Error::new("samples of audio/f32 are not aligned");
        if channels == 1 {
            return run(as_f32_mut(ctx.make_writable(frame)?).ok_or_else(unaligned)?);
        }
        let interleaved = as_f32(frame.payload()).ok_or_else(unaligned)?;
        self.planar.resize(interleaved.len(), 0.0);
        for (at, channel) in self.planar.chunks_exact_mut(len).enumerate() {
            let from = interleaved[at..].iter().step_by(channels);
            channel
                .iter_mut()
                .zip(from)
                .for_each(|(to, from)| *to = *from);
        }
        run(&mut self.planar)?;
        // Others that hold the frame keep what they have: the way back is into memory of its own.
        if frame.payload_mut().is_none() {
            frame.set_payload(ctx.loan(bytes)?);
        }
        let interleaved = frame.payload_mut().and_then(as_f32_mut);
        let interleaved = interleaved.ok_or_else(unaligned)?;
        for (at, channel) in self.planar.chunks_exact(len).enumerate() {
            let to = interleaved[at..].iter_mut().step_by(channels);
            to.zip(channel).for_each(|(to, from)| *to = *from);
        }
        ctx.copied(2 * bytes);
        Ok(())
    }
}

impl<F, R> Step for Edit<F>
where
    F: FnMut(&mut Sound) -> R + Send,
    R: Outcome,
{
    fn process(&mut self, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            self.edit(frame, ctx)?;
        }
        Ok(())
    }
}
