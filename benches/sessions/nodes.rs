//! The ends of a session's graph: a source that makes a block of sound every 20 ms, and the sink.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use levada_engine::clock;
use levada_plugin::{Plugin, prelude::*};

use crate::support::{AUDIO, Pass, arrivals, frame, pool};

/// 50 blocks a second.
pub const PERIOD_NS: i64 = 20_000_000;
/// Of many sessions, the age of every so many-th block is taken.
const SAMPLE: u64 = 64;
/// Counts of frames; more than sessions that a run ever makes.
const COUNTS: usize = 1 << 15;

/// When each session's blocks are due: evenly spread, as those of strangers are.
#[derive(Clone, Copy)]
pub struct Schedule {
    /// When the first block of the first session is due.
    pub begin_ns: i64,
    pub sessions: u64,
}

static SCHEDULE: OnceLock<Schedule> = OnceLock::new();
static FRAMES: [AtomicU64; COUNTS] = [const { AtomicU64::new(0) }; COUNTS];

/// Sets the schedule of this process.
pub fn set_schedule(schedule: Schedule) {
    assert!(
        SCHEDULE.set(schedule).is_ok(),
        "one process, one measurement"
    );
}

pub fn schedule() -> Schedule {
    *SCHEDULE.get().expect("the bench sets it first")
}

impl Schedule {
    /// When the `n`-th block of all sessions is due.
    pub fn due(&self, n: u64) -> i64 {
        self.begin_ns + (n as i64) * PERIOD_NS / self.sessions as i64
    }

    /// When the first block of a session is due, which may have come late.
    fn first_due(&self, session: u64) -> i64 {
        let due = self.due(session % self.sessions);
        let late = (clock::now_ns() - due).max(0);
        due + (late + PERIOD_NS - 1) / PERIOD_NS * PERIOD_NS
    }
}

/// Frames that have arrived in all sessions of this process.
pub fn arrived() -> u64 {
    FRAMES.iter().map(|f| f.load(Ordering::Relaxed)).sum()
}

fn number(of: &AtomicU64) -> u64 {
    of.fetch_add(1, Ordering::Relaxed)
}

/// The blocks of one session: frames that share a payload, each stamped with the time it is due.
pub struct Beat {
    payload: &'static Frame,
    due_ns: i64,
}

impl Beat {
    /// What all sessions send in turn.
    pub fn payloads() -> &'static [Frame] {
        static PAYLOADS: OnceLock<Vec<Frame>> = OnceLock::new();
        PAYLOADS.get_or_init(|| (0..16).map(|_| frame(pool(), AUDIO)).collect())
    }

    /// The next session's.
    pub fn next() -> Beat {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (session, payloads) = (number(&NEXT), Beat::payloads());
        Beat {
            payload: &payloads[session as usize % payloads.len()],
            due_ns: schedule().first_due(session),
        }
    }

    /// When the next block is due.
    pub fn due_ns(&self) -> i64 {
        self.due_ns
    }

    /// The block that is due.
    #[inline]
    pub fn block(&mut self) -> Frame {
        let block = self.payload.clone().with_pts(self.due_ns);
        self.due_ns += PERIOD_NS;
        block
    }
}

impl Node for Beat {
    const NAME: &'static str = "beat";
    const SUMMARY: &'static str = "Makes a block of sound every 20 ms";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Beat::next())
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake_at(self.due_ns);
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let block = self.block();
        ctx.wake_at(self.due_ns);
        ctx.emit(0, block)
    }
}

/// Counts the blocks of one session, and takes the age of some.
pub struct Tally {
    frames: &'static AtomicU64,
    sample: u64,
    until_sample: u64,
}

impl Tally {
    /// The next session's.
    pub fn next() -> Tally {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let session = number(&NEXT);
        let sample = if schedule().sessions > SAMPLE {
            SAMPLE
        } else {
            1
        };
        Tally {
            frames: &FRAMES[session as usize % COUNTS],
            sample,
            until_sample: session % sample,
        }
    }

    /// The work of one block.
    #[inline]
    pub fn take(&mut self, block: Frame) {
        // One writer at a time: the session's own.
        let seen = self.frames.load(Ordering::Relaxed);
        self.frames.store(seen + 1, Ordering::Relaxed);
        if self.until_sample == 0 {
            arrivals::record(clock::now_ns() - block.pts());
            self.until_sample = self.sample;
        }
        self.until_sample -= 1;
    }
}

impl Node for Tally {
    const NAME: &'static str = "tally";
    const SUMMARY: &'static str = "Counts blocks and releases them";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Tally::next())
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        frames.drain().for_each(|block| self.take(block));
        Ok(())
    }
}

fn both() -> Builtin {
    Builtin::new("sessions", "0.0.0")
        .with::<Beat>()
        .with::<Tally>()
}

/// Both as a plugin.
pub fn plugin() -> Plugin {
    both().into_plugin()
}

/// Both, and the node that stands between them.
pub fn plugin_with_pass() -> Plugin {
    both().with::<Pass>().into_plugin()
}
