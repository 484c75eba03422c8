//! [`Reorder`]: pictures from the order of decoding into the order of showing.
//!
//! A stream with B slices sends a picture before others that are shown earlier. Frames carry their own
//! `pts`, so order is a matter of sorting: a picture waits until as many others have come as the stream says
//! may come before their turn, and the earliest goes. A stream without reordering, as WebRTC's are, has a
//! depth of 0 and nothing ever waits.
//!
//! One that does not say begins with 0 as well: it is far more likely to be a browser's than a file's. Each
//! picture that turns out to come too late is lost, and the depth grows by one, so that at most
//! [`MAX_DEPTH`] are.

use levada_plugin::Frame;

use crate::sps::Reordering;

/// Pictures that wait at most. Encoders use 1 or 2; what a stream wants beyond comes too late.
pub const MAX_DEPTH: usize = 3;
/// A picture this much before the last one shown belongs to another timeline (a loop, a jump), ns.
const JUMP_NS: i64 = 1_000_000_000;

/// Pictures that wait for their turn.
pub struct Reorder {
    depth: usize,
    may_learn: bool,
    /// By `pts`.
    held: Vec<Frame>,
    /// The `pts` of the last picture that went.
    last: i64,
}

impl Reorder {
    pub fn new() -> Reorder {
        Reorder {
            depth: 0,
            may_learn: true,
            held: Vec::new(),
            last: i64::MIN,
        }
    }

    /// Takes what the stream says.
    pub fn set(&mut self, reordering: Reordering) {
        (self.depth, self.may_learn) = match reordering {
            Reordering::Known(frames) => ((frames as usize).min(MAX_DEPTH), false),
            // What was learnt still holds.
            Reordering::Unknown => (self.depth, true),
        };
    }

    /// Takes the next picture in the order of decoding, and hands on those whose turn has come, at most
    /// [`MAX_DEPTH`] + 1. `false`: it came too late and is lost.
    ///
    /// # Errors
    /// What `emit` answers.
    pub fn push<E>(
        &mut self,
        frame: Frame,
        mut emit: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<bool, E> {
        let late_by = self.last.saturating_sub(frame.pts());
        if late_by > JUMP_NS {
            self.flush(&mut emit)?;
            self.last = i64::MIN;
        } else if late_by > 0 && (self.depth > 0 || self.may_learn) {
            if self.may_learn {
                self.depth = (self.depth + 1).min(MAX_DEPTH);
            }
            return Ok(false);
        }
        let at = self.held.partition_point(|f| f.pts() <= frame.pts());
        self.held.insert(at, frame);
        let ready = self.held.len().saturating_sub(self.depth);
        for frame in self.held.drain(..ready) {
            self.last = frame.pts();
            emit(frame)?;
        }
        Ok(true)
    }

    /// Hands on all that wait, in order.
    ///
    /// # Errors
    /// What `emit` answers.
    pub fn flush<E>(&mut self, mut emit: impl FnMut(Frame) -> Result<(), E>) -> Result<(), E> {
        self.held.drain(..).try_for_each(|frame| {
            self.last = frame.pts();
            emit(frame)
        })
    }

    /// Lets go of all that wait, and says how many they were.
    pub fn clear(&mut self) -> usize {
        self.last = i64::MIN;
        self.held.drain(..).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::{Error, Kind};

    /// Pushes pictures at these times; what comes out at each, and whether it was taken.
    fn run(reorder: &mut Reorder, times: &[i64]) -> Vec<(Vec<i64>, bool)> {
        let each = times.iter().map(|pts| {
            let frame = Frame::from_bytes(Kind::Video, "x".into()).with_pts(*pts);
            let mut out = Vec::new();
            let taken = reorder.push(frame, |f| {
                out.push(f.pts());
                Ok::<(), Error>(())
            });
            (out, taken.unwrap_or_else(|e| panic!("{e}")))
        });
        each.collect()
    }

    #[test]
    fn without_reordering_nothing_waits() {
        let mut reorder = Reorder::new();
        reorder.set(Reordering::Known(0));
        for (out, taken) in run(&mut reorder, &[0, 33, 66, 60, 99]) {
            assert!(taken);
            assert_eq!(out.len(), 1);
        }
        let mut unsaid = Reorder::new();
        unsaid.set(Reordering::Unknown);
        assert!(
            run(&mut unsaid, &[0, 33, 66])
                .iter()
                .all(|(out, _)| out.len() == 1)
        );
    }

    #[test]
    fn pictures_leave_by_their_time_as_soon_as_the_stream_allows() {
        let mut reorder = Reorder::new();
        reorder.set(Reordering::Known(2));
        // I P B B of a stream with a pyramid: 0 4 2 1 3, 8 6 5 7.
        let out = run(&mut reorder, &[0, 4, 2, 1, 3, 8, 6, 5, 7]);
        let shown: Vec<i64> = out.iter().flat_map(|(out, _)| out.clone()).collect();
        assert_eq!(shown, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(out[2].0, [0], "not later than needed");
        let mut rest = Vec::new();
        let flushed = reorder.flush(|f| {
            rest.push(f.pts());
            Ok::<(), Error>(())
        });
        assert!(flushed.is_ok());
        assert_eq!(rest, [7, 8]);
    }

    #[test]
    fn a_stream_that_does_not_say_costs_a_picture_for_each_it_is_out_of_order() {
        let mut reorder = Reorder::new();
        reorder.set(Reordering::Unknown);
        let out = run(&mut reorder, &[0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]);
        let lost = out.iter().filter(|(_, taken)| !taken).count();
        assert!(lost <= MAX_DEPTH, "{lost}");
        let shown: Vec<i64> = out.iter().flat_map(|(out, _)| out.clone()).collect();
        assert!(shown.is_sorted(), "{shown:?}");
        assert!(
            shown.ends_with(&[8, 9]),
            "nothing is lost any more: {shown:?}"
        );
    }

    #[test]
    fn a_timeline_that_begins_again_is_followed() {
        let mut reorder = Reorder::new();
        reorder.set(Reordering::Known(1));
        let second = 1_000_000_000;
        let out = run(&mut reorder, &[5 * second, 6 * second, 0, second]);
        assert!(out.iter().all(|(_, taken)| *taken));
        assert_eq!(out[2].0, [6 * second]);
        assert_eq!(out[3].0, [0]);
    }
}
