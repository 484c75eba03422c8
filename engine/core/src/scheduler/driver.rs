//! [`Driver`]: runs segments on a virtual clock: one thread, in an order that follows from a seed.
//!
//! What threads do on the real clock, the thread that calls [`Driver::drive`] does here alone. It takes
//! any of the queued segments, as the seed says, and runs it. When none is queued it moves the clock to
//! the next wish of a node. A run takes up to a microsecond of virtual time, drawn from the seed: so
//! nodes' moments come while others still work, as they do on a real machine, and a graph that never
//! waits cannot keep time from passing.
//!
//! *What repeats.* Everything that happens is a call by the driving thread, and follows from the seed,
//! the graph and what that thread did before. So what other threads ask for is refused
//! ([`Driver::is_foreign`]), except to stop or abort a session, which is for the person who watches.
//! Numbers that differ from run to run (handles, sessions, addresses) decide nothing.
#![forbid(unsafe_code)]

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use levada_abi::{HostVTable, NodeHandle};
use tracing::warn;

use super::{
    random::Random,
    timers::{Caller, Timers, TooManyJobs, Work, lock},
    worker::Runnable,
};
use crate::{services, session::Session};

/// Virtual time that a run takes at most, in ns.
const MAX_RUN_NS: usize = 1 << 10;

/// Why a drive came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing is left to do: every session has ended, or waits for something from outside.
    Idle,
    /// The time is over.
    Elapsed,
}

struct Queue {
    /// Each segment at most once, by the state of its task.
    runnables: Vec<Runnable>,
    random: Random,
    /// Nobody drives any more: what is pushed is dropped.
    closed: bool,
}

/// See the module's documentation.
pub(crate) struct Driver {
    queue: Mutex<Queue>,
    timers: Mutex<Timers>,
    /// The time now. Lives for ever, because nodes may keep the vtable that reads it.
    now: &'static AtomicI64,
    host: &'static HostVTable,
    /// The thread that made the engine, or drove it last.
    owner: AtomicU64,
    has_refused: AtomicBool,
    /// The engine takes no sessions any more.
    ending: AtomicBool,
    /// Sessions that may not have ended.
    sessions: Mutex<Vec<Weak<Session>>>,
}

/// A number for this thread.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local!(static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    // A thread that is ending has no number any more, and drives nothing.
    NUMBER.try_with(|number| *number).unwrap_or(u64::MAX)
}

impl Driver {
    /// The clock stands at 0. A few hundred bytes per call are never given back: nodes may ask for the
    /// time for ever.
    pub fn new(seed: u64) -> Driver {
        let now: &'static AtomicI64 = Box::leak(Box::new(AtomicI64::new(0)));
        Driver {
            queue: Mutex::new(Queue {
                runnables: Vec::new(),
                random: Random::new(seed),
                closed: false,
            }),
            timers: Mutex::new(Timers::new()),
            now,
            host: Box::leak(Box::new(services::host_with_clock(now))),
            owner: AtomicU64::new(this_thread()),
            has_refused: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            sessions: Mutex::new(Vec::new()),
        }
    }

    pub fn now_ns(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    pub fn host(&self) -> &'static HostVTable {
        self.host
    }

    /// Makes the calling thread the one that drives.
    pub fn adopt(&self) {
        self.owner.store(this_thread(), Ordering::Relaxed);
    }

    /// Whether the calling thread is not the one that drives.
    pub fn is_foreign(&self) -> bool {
        self.owner.load(Ordering::Relaxed) != this_thread()
    }

    /// Says, once, why a call from another thread is refused.
    pub fn refuse(&self, session: &Session, node: usize) {
        if !self.has_refused.swap(true, Ordering::Relaxed) {
            warn!(
                session = session.id(),
                "node \"{}\" called from a thread of its own, which a virtual clock cannot put in order: \
                 the call is refused; run this graph with the real clock",
                session.plan.graph.nodes[node].name
            );
        }
    }

    /// Whether the engine takes no sessions any more.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Remembers a session that was started, to end it with the engine.
    pub fn add_session(&self, session: &Arc<Session>) {
        let mut sessions = lock(&self.sessions);
        // Before it would grow, so that it stays as small as the most that lived together.
        if sessions.len() == sessions.capacity() {
            sessions.retain(|session| session.strong_count() > 0);
        }
        sessions.push(Arc::downgrade(session));
    }

    pub fn push(&self, runnable: Runnable) {
        let mut queue = lock(&self.queue);
        if !queue.closed {
            queue.runnables.push(runnable);
        }
    }

    /// Draws how many frames a call may take, from 1 to `most`.
    pub fn batch_limit(&self, most: usize) -> usize {
        1 + lock(&self.queue).random.below(most)
    }

    /// Draws a segment that is queued, and how long its run takes.
    fn pick(&self) -> Option<(Runnable, i64)> {
        let mut queue = lock(&self.queue);
        let count = queue.runnables.len();
        if count == 0 {
            return None;
        }
        let picked = queue.random.below(count);
        let took = queue.random.below(MAX_RUN_NS) as i64;
        Some((queue.runnables.swap_remove(picked), took))
    }

    /// Runs what there is to run, up to the moment `until`, at which the clock stands then. Without such a
    /// moment (`i64::MAX`) it stands where nothing was left to do.
    pub fn drive(&self, until: i64) -> Rest {
        self.adopt();
        let mut caller = Caller::new();
        loop {
            let now = self.now_ns();
            if now >= until {
                return Rest::Elapsed;
            }
            while caller.call_due(&self.timers, now) > 0 {}
            if let Some((Runnable { session, segment }, took)) = self.pick() {
                session.run_queued(segment);
                self.now.store(now.saturating_add(took), Ordering::Relaxed);
                continue;
            }
            let (node, job) = {
                let timers = lock(&self.timers);
                (timers.next_node(), timers.next_job())
            };
            // A job alone keeps nobody busy: it comes on the way to a node's moment, or to the end of the
            // time that is to pass.
            let next = match (node, job) {
                (None, _) if until == i64::MAX => return Rest::Idle,
                (None, job) if job.is_none_or(|job| job >= until) => {
                    self.now.store(until, Ordering::Relaxed);
                    return Rest::Idle;
                }
                (node, job) => node.into_iter().chain(job).min().unwrap_or(until),
            };
            self.now.store(next.clamp(now, until), Ordering::Relaxed);
        }
    }

    /// Aborts every session, runs them to their ends, and takes nothing more.
    pub fn close(&self) {
        self.ending.store(true, Ordering::Relaxed);
        let sessions = std::mem::take(&mut *lock(&self.sessions));
        for session in sessions.iter().filter_map(Weak::upgrade) {
            session.abort();
        }
        self.drive(i64::MAX);
        let left = {
            let mut queue = lock(&self.queue);
            queue.closed = true;
            std::mem::take(&mut queue.runnables)
        };
        // Outside the lock, because sessions may end with them.
        drop(left);
    }

    /// See [`Timers::at`].
    pub fn at(&self, deadline: i64, node: NodeHandle) {
        lock(&self.timers).at(deadline, node);
    }

    /// See [`Timers::forget`].
    pub fn forget(&self, node: NodeHandle) {
        lock(&self.timers).forget(node);
    }

    /// See [`Timers::every`].
    pub fn every(&self, interval: Duration, work: Work) -> Result<(), TooManyJobs> {
        lock(&self.timers).every(self.now_ns(), interval, work)
    }
}
