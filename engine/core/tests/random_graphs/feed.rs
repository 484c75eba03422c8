//! [`Feed`]: hands frames in at a source, from a thread of the source's own or by the test.

use levada_plugin::{Refused, prelude::*};

use super::ledger::Maker;

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Some were taken, or those that were not have been dropped.
    More,
    /// The engine has no room for one; the same frames are to be handed in again.
    Full,
    /// It has handed in all, or the source has ended.
    Done,
}

/// See the module's documentation.
pub struct Feed {
    pub maker: Maker,
    /// Frames that are still to be made.
    pub left: i64,
    /// Frames that are handed in together, at least 1.
    pub batch: usize,
    /// Drop what the engine has no room for, as a live source does.
    pub drops: bool,
    waiting: Vec<Frame>,
}

impl Feed {
    pub fn new(maker: Maker, left: i64, batch: usize, drops: bool) -> Feed {
        Feed {
            maker,
            left,
            batch,
            drops,
            waiting: Vec::new(),
        }
    }

    /// Hands in what is waiting, or makes a batch and hands that in. At the end it tells the engine.
    pub fn step(&mut self) -> Step {
        while self.waiting.len() < self.batch && self.left > 0 {
            self.left -= 1;
            let frame = self.maker.make();
            let frame = self.maker.stamp(0, frame);
            self.waiting.push(frame);
        }
        if self.waiting.is_empty() {
            self.maker.host.finish();
            return Step::Done;
        }
        let before = self.waiting.len();
        let host = self.maker.host;
        let answer = if before == 1 {
            match host.ingest(0, self.waiting.remove(0)) {
                Ok(()) => Ok(()),
                Err((frame, why)) => {
                    self.waiting.push(frame);
                    Err(why)
                }
            }
        } else {
            host.ingest_batch(0, &mut self.waiting)
        };
        let taken = before - self.waiting.len();
        self.maker.page().put[0].add(taken);
        match answer {
            Ok(()) => Step::More,
            Err(Refused::Full) if self.drops => {
                host.dropped(self.waiting.len() as u64);
                self.maker.page().declared.add(self.waiting.len());
                self.release();
                Step::More
            }
            Err(Refused::Full) if taken > 0 => Step::More,
            Err(Refused::Full) => Step::Full,
            Err(Refused::Gone) => {
                self.release();
                Step::Done
            }
            Err(Refused::Invalid) => {
                let ledger = &self.maker.ledger;
                ledger.complain("a feed was refused as invalid".into());
                self.release();
                Step::Done
            }
        }
    }

    fn release(&mut self) {
        self.maker.page().consumed.add(self.waiting.len());
        self.waiting.clear();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.release();
    }
}
