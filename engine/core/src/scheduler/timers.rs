//! [`Timers`]: what is to be done at its time: nodes' wishes, and jobs that come again and again.
//!
//! Both clocks use it: the real one from a thread of its own ([`Keeper`](super::keeper::Keeper)), the
//! virtual one from the thread that drives ([`Driver`](super::driver::Driver)). It reads no clock.
#![forbid(unsafe_code)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use levada_abi::NodeHandle;
use tracing::error;

use super::wheel::Wheel;
use crate::{services, session::handles};

/// Jobs of an engine.
const MAX_JOBS: usize = 16;
/// Nodes that are called before the clock is read again.
const MAX_DUE: usize = 256;

/// What an engine calls again and again; see [`Engine::every`](crate::Engine::every).
pub(crate) type Work = Box<dyn FnMut() + Send>;

/// An engine has as many jobs as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the engine has {MAX_JOBS} periodic jobs and takes no more; let one job do the work of several"
)]
pub struct TooManyJobs;

struct Job {
    next: i64,
    interval: i64,
    /// `None` while it runs.
    work: Option<Work>,
}

/// See the module's documentation.
pub(crate) struct Timers {
    wheel: Wheel,
    jobs: Vec<Job>,
}

impl Timers {
    pub fn new() -> Timers {
        Timers {
            wheel: Wheel::new(),
            jobs: Vec::new(),
        }
    }

    /// Asks for a call of `tick` at the deadline instead of an earlier wish of the same node.
    pub fn at(&mut self, deadline: i64, node: NodeHandle) {
        self.wheel.set(node, deadline);
    }

    /// Forgets a node's wish.
    pub fn forget(&mut self, node: NodeHandle) {
        self.wheel.forget(node);
    }

    /// Adds a job, whose first time is one interval from now.
    pub fn every(&mut self, now: i64, interval: Duration, work: Work) -> Result<(), TooManyJobs> {
        if self.jobs.len() >= MAX_JOBS {
            return Err(TooManyJobs);
        }
        let interval = i64::try_from(interval.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1);
        self.jobs.push(Job {
            next: now.saturating_add(interval),
            interval,
            work: Some(work),
        });
        Ok(())
    }

    /// Moment at which to look for a node again, if one has a wish; see [`Wheel::next`].
    pub fn next_node(&self) -> Option<i64> {
        self.wheel.next()
    }

    /// Moment of the next job, if there is one.
    pub fn next_job(&self) -> Option<i64> {
        self.jobs.iter().map(|job| job.next).min()
    }

    fn take_job(&mut self, now: i64) -> Option<(usize, Work)> {
        let (index, job) = self
            .jobs
            .iter_mut()
            .enumerate()
            .find(|(_, job)| job.next <= now && job.work.is_some())?;
        // Times that have passed are left out: a job catches up on nothing.
        let missed = (now - job.next) / job.interval;
        job.next = job
            .next
            .saturating_add(job.interval.saturating_mul(missed + 1));
        job.work.take().map(|work| (index, work))
    }
}

/// No panic can leave what these locks guard half-done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What its thread needs to call what is due.
pub(crate) struct Caller {
    due: Vec<NodeHandle>,
}

impl Caller {
    pub fn new() -> Caller {
        Caller {
            due: Vec::with_capacity(MAX_DUE),
        }
    }

    /// Calls [`services::timer_is_due`] for nodes that are due and runs a job that is. Returns how
    /// many that were; where there was anything there may be more. `timers` is locked only between the calls.
    pub fn call_due(&mut self, timers: &Mutex<Timers>, now: i64) -> usize {
        let job = {
            let mut timers = lock(timers);
            timers.wheel.take_due(now, &mut self.due);
            timers.take_job(now)
        };
        let count = usize::from(job.is_some()) + self.due.len();
        handles::visit(&self.due, services::timer_is_due);
        self.due.clear();
        if let Some((index, mut work)) = job {
            match catch_unwind(AssertUnwindSafe(&mut work)) {
                Ok(()) => lock(timers).jobs[index].work = Some(work),
                Err(payload) => {
                    // Dropping the payload or what the job holds could panic again.
                    std::mem::forget((payload, work));
                    error!("a periodic job of the engine panicked and is not called again");
                    lock(timers).jobs[index].next = i64::MAX;
                }
            }
        }
        count
    }
}
