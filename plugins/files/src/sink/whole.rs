//! [`Whole`]: pictures without those that lack another one.
//!
//! When a picture is not recorded that others need, those that cannot be decoded without it are no use in the file: players
//! would show rubbish up to the next keyframe. They are dropped and counted as well, as in a channel, and a keyframe is asked for.

use levada_plugin::{decoded::KeyframeRequests, prelude::*};
use tracing::warn;

use super::VIDEO;

/// What is known of the one stream of pictures that is recorded.
#[derive(Default)]
pub(super) struct Whole {
    /// Which one it is; `None` before the first unit is recorded.
    stream: Option<u16>,
    /// Whether something is missing since the last keyframe.
    lacks: bool,
    has_warned: bool,
    requests: KeyframeRequests,
}

impl Whole {
    /// Whether all is there that a unit needs.
    pub fn is_for(&self, frame: &Frame) -> bool {
        !self.lacks || self.stream != Some(frame.stream()) || !needs_others(frame)
    }

    /// Notes what became of a unit.
    pub fn note(&mut self, frame: &Frame, is_recorded: bool, ctx: &Context) {
        let is_key = frame.has(flags::KEYFRAME);
        if is_recorded {
            self.stream = Some(frame.stream());
            self.lacks &= !is_key;
        } else if self.stream == Some(frame.stream()) && (is_key || frame.has(flags::INTER)) {
            if !self.lacks && !frame.has(flags::DROPPABLE) {
                self.lacks = true;
                self.warn(frame);
            }
            if self.lacks {
                self.requests.ask(VIDEO, frame.stream(), ctx);
            }
        }
    }

    fn warn(&mut self, frame: &Frame) {
        if !std::mem::replace(&mut self.has_warned, true) {
            warn!(
                pts_ns = frame.pts(),
                "a picture is too early or damaged, so it is dropped, and what needs it, up to the next keyframe"
            );
        }
    }
}

fn needs_others(frame: &Frame) -> bool {
    frame.has(flags::INTER) && !frame.has(flags::KEYFRAME)
}
