//! Real-time priority for threads that run audio, and its limit.
//!
//! With SCHED_FIFO a thread runs as soon as it has something to do, before all ordinary threads, for as
//! long as it likes: that is what keeps sound whole on a busy machine, and what would let one bad node
//! stop the machine. So every such thread says when it begins and ends to work, and one that has worked
//! for longer than [`LIMIT_NS`] without a rest becomes an ordinary thread, with a warning. Where the
//! system does not allow the priority, the thread is an ordinary one from the start.
#![forbid(unsafe_code)]

use std::{
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    time::Duration,
};

use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority,
    ThreadSchedulePolicy as Policy, set_thread_priority_and_policy, thread_native_id,
};
use tracing::{debug, warn};

use crate::clock;

/// Priority among real-time threads, of 1 to 99: above none of the system's own.
const PRIORITY: u8 = 10;
/// Work without a rest that a thread may do.
const LIMIT_NS: i64 = 200_000_000;
/// How often that is looked at.
pub(super) const WATCH: Duration = Duration::from_millis(50);

/// A thread's seat: whether it has the priority, and since when it works.
#[derive(Default)]
pub(super) struct Seat {
    /// The thread, as the system names it; 0 while it is an ordinary one.
    thread: AtomicUsize,
    /// 0 while it rests.
    busy_since: AtomicI64,
}

impl Seat {
    /// Gives the calling thread, which takes the seat, real-time priority where that is allowed.
    pub fn take(&self) {
        let thread = thread_native_id();
        let policy = Policy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
        let priority = ThreadPriority::Crossplatform(PRIORITY.try_into().unwrap_or_default());
        match set_thread_priority_and_policy(thread, priority, policy) {
            Ok(()) => self.thread.store(thread as usize, Ordering::Release),
            Err(error) => debug!(
                "audio runs on threads of ordinary priority: the system does not allow SCHED_FIFO ({error})"
            ),
        }
    }

    /// Work begins.
    pub fn begin(&self) {
        self.busy_since
            .store(clock::now_ns().max(1), Ordering::Relaxed);
    }

    /// Work ends.
    pub fn rest(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// The thread is about to end.
    pub fn leave(&self) {
        self.thread.store(0, Ordering::Release);
    }

    /// Makes the thread an ordinary one if it has worked for too long. Called while it lives.
    pub fn watch(&self, now: i64) {
        let since = self.busy_since.load(Ordering::Relaxed);
        if since == 0 || now - since < LIMIT_NS {
            return;
        }
        let thread = self.thread.swap(0, Ordering::AcqRel);
        if thread == 0 {
            return;
        }
        let policy = Policy::Normal(NormalThreadSchedulePolicy::Other);
        // The library sets the niceness of the calling thread as well. 48 of 99 is its word for 0, which
        // that thread has.
        let niceness = ThreadPriority::Crossplatform(48_u8.try_into().unwrap_or_default());
        let lowered = set_thread_priority_and_policy(thread as _, niceness, policy);
        warn!(
            "an audio node has worked for {} ms without a rest: its thread loses its real-time priority for \
             good{}; declare such a node heavy",
            (now - since) / 1_000_000,
            lowered
                .err()
                .map_or(String::new(), |error| format!(" ({error})")),
        );
    }
}
