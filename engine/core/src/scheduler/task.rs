//! [`Task`]: who may run a segment, and how nobody's call for it gets lost.
//!
//! A task guards a body. Whoever moves the state to RUNNING may use the body until they leave that
//! state; nobody else touches it. The states:
//!
//! ```text
//!            notify                claim_queued
//!   IDLE ---------------> QUEUED ----------------> RUNNING <---+
//!    |  \                   ^                       |  |       |
//!    |   +-- claim_idle ----|-----------------------|--+       | notify: NOTIFIED
//!    |                      |   finish(again), or   |          |
//!    |                      +---- was NOTIFIED -----+----------+
//!    +<-------------- finish(not again) ------------+--> DONE (complete)
//! ```
//!
//! *No call is lost.* `notify` on IDLE makes the caller responsible for queueing the task; on QUEUED
//! or NOTIFIED a run is still to begin, which will see what the caller did before; on RUNNING it
//! becomes NOTIFIED, and `finish` then answers that the task must be queued again.
//!
//! *Ordering.* Every change of state is an acquire-release exchange on one atomic, so all that the
//! notifier wrote before `notify`, and all that the last runner did to the body, is seen by the next
//! runner.

use std::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

use crate::sync::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const NOTIFIED: u8 = 3;
const DONE: u8 = 4;

/// See the module's documentation.
pub(crate) struct Task<T> {
    state: AtomicU8,
    body: UnsafeCell<T>,
}

// SAFETY: only the one holder of a `Claim` touches the body (module documentation), and a body may
// move between threads.
unsafe impl<T: Send> Sync for Task<T> {}

impl<T> Task<T> {
    /// Makes a task that nobody asks for yet.
    pub fn new(body: T) -> Task<T> {
        Task {
            state: AtomicU8::new(IDLE),
            body: UnsafeCell::new(body),
        }
    }

    /// Asks for a run. `true`: the caller must queue the task.
    #[must_use]
    pub fn notify(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => NOTIFIED,
                // The exchange with the same value orders the caller's writes before the run that
                // is still to begin.
                QUEUED | NOTIFIED => state,
                _ => return false,
            };
            match self
                .state
                .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return state == IDLE,
                Err(now) => state = now,
            }
        }
    }

    /// Claims a task that was taken from the queue.
    pub fn claim_queued(&self) -> Option<Claim<'_, T>> {
        self.claim(QUEUED)
    }

    /// Claims a task that nobody has asked for, to run it here and now.
    pub fn claim_idle(&self) -> Option<Claim<'_, T>> {
        self.claim(IDLE)
    }

    /// Claims a task that has completed, to take its body apart.
    pub fn claim_done(&self) -> Option<Claim<'_, T>> {
        self.claim(DONE)
    }

    fn claim(&self, from: u8) -> Option<Claim<'_, T>> {
        self.state
            .compare_exchange(from, RUNNING, Ordering::AcqRel, Ordering::Relaxed)
            .ok()
            .map(|_| Claim { task: self })
    }
}

/// The right to use a task's body.
///
/// It must be given back by [`finish`](Claim::finish) or [`complete`](Claim::complete); one that is
/// merely dropped leaves the task claimed for ever.
#[must_use]
pub(crate) struct Claim<'a, T> {
    task: &'a Task<T>,
}

impl<T> Claim<'_, T> {
    /// Gives the claim back. `true`: the caller must queue the task, because it asks for another run
    /// itself (`again`), or somebody did meanwhile.
    #[must_use]
    pub fn finish(self, again: bool) -> bool {
        let state = &self.task.state;
        if !again
            && state
                .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            return false;
        }
        // RUNNING or NOTIFIED; only this claim's holder leaves them.
        state.swap(QUEUED, Ordering::AcqRel);
        true
    }

    /// Gives the claim back for ever: the task never runs again.
    pub fn complete(self) {
        self.task.state.swap(DONE, Ordering::AcqRel);
    }
}

impl<T> Deref for Claim<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the state is RUNNING or NOTIFIED on this claim's behalf, so no other claim exists.
        unsafe { &*self.task.body.get() }
    }
}

impl<T> DerefMut for Claim<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.task.body.get() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_notice_during_a_run_asks_for_another() {
        let task = Task::new(());
        assert!(task.notify());
        assert!(!task.notify(), "queued already");
        let claim = task.claim_queued().expect("queued");
        assert!(task.claim_idle().is_none() && task.claim_queued().is_none());
        assert!(!task.notify(), "the runner will see it");
        assert!(claim.finish(false), "queue it again");
        assert!(!task.claim_queued().expect("queued").finish(false));
        task.claim_idle().expect("idle").complete();
        assert!(!task.notify() && task.claim_done().is_some());
    }

    /// Four threads add work and run the task whenever they are told to queue it; every piece of
    /// work must be seen by some run.
    #[test]
    fn no_notice_is_lost_between_threads() {
        const EACH: u64 = if cfg!(miri) { 50 } else { 50_000 };
        let task = Task::new(0u64);
        let work = AtomicU64::new(0);
        let run = |task: &Task<u64>| {
            loop {
                let mut claim = task
                    .claim_queued()
                    .expect("this thread was told to queue it");
                *claim += work.swap(0, Ordering::Relaxed);
                if !claim.finish(false) {
                    break;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        work.fetch_add(1, Ordering::Relaxed);
                        if task.notify() {
                            run(&task);
                        }
                    }
                });
            }
        });
        assert_eq!(*task.claim_idle().expect("at rest"), 4 * EACH);
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{
        cell::UnsafeCell,
        sync::{Arc, atomic::AtomicBool},
        thread,
    };

    /// A task whose runs note how many of the two wishes they saw. Loom reports a race when two runs
    /// overlap, or when one does not see what the one before it did.
    struct Shared {
        task: Task<UnsafeCell<usize>>,
        wishes: [AtomicBool; 2],
    }

    impl Shared {
        fn new() -> Arc<Shared> {
            Arc::new(Shared {
                task: Task::new(UnsafeCell::new(0)),
                wishes: [AtomicBool::new(false), AtomicBool::new(false)],
            })
        }

        fn look(&self, claim: &Claim<'_, UnsafeCell<usize>>) {
            // Relaxed: it is the task that orders the wish before the run.
            let seen = |wish: &AtomicBool| usize::from(wish.load(Ordering::Relaxed));
            let seen = self.wishes.iter().map(seen).sum();
            // SAFETY: the claim's holder alone uses the body; loom checks that.
            claim.with_mut(|body| unsafe { *body = seen });
        }

        fn run_queued(&self) {
            loop {
                let claim = self.task.claim_queued().expect("told to queue it");
                self.look(&claim);
                if !claim.finish(false) {
                    return;
                }
            }
        }

        fn wish(&self, which: usize) {
            self.wishes[which].store(true, Ordering::Relaxed);
            if self.task.notify() {
                self.run_queued();
            }
        }

        fn run_directly(&self) {
            if let Some(claim) = self.task.claim_idle() {
                self.look(&claim);
                if claim.finish(false) {
                    self.run_queued();
                }
            }
        }

        fn last_run_saw(&self) -> usize {
            let claim = self.task.claim_idle().expect("at rest");
            // SAFETY: as above.
            claim.with(|body| unsafe { *body })
        }
    }

    #[test]
    fn loom_the_last_run_sees_every_wish() {
        loom::model(|| {
            let shared = Shared::new();
            let other = shared.clone();
            let thread = thread::spawn(move || other.wish(1));
            shared.wish(0);
            thread.join().expect("no panic");
            assert_eq!(shared.last_run_saw(), 2);
        });
    }

    #[test]
    fn loom_a_direct_run_loses_no_wish() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(3);
        bounded.check(|| {
            let shared = Shared::new();
            let threads = [0, 1].map(|which| {
                let shared = shared.clone();
                thread::spawn(move || shared.wish(which))
            });
            shared.run_directly();
            for thread in threads {
                thread.join().expect("no panic");
            }
            assert_eq!(shared.last_run_saw(), 2);
        });
    }

    #[test]
    fn loom_a_task_that_has_completed_never_runs_again() {
        loom::model(|| {
            let shared = Shared::new();
            assert!(shared.task.notify());
            let other = shared.clone();
            let thread = thread::spawn(move || {
                let claim = other.task.claim_queued().expect("queued");
                other.look(&claim);
                claim.complete();
            });
            assert!(!shared.task.notify() && shared.task.claim_idle().is_none());
            if let Some(claim) = shared.task.claim_done() {
                shared.look(&claim);
                claim.complete();
            }
            thread.join().expect("no panic");
            assert!(!shared.task.notify());
            shared.task.claim_done().expect("done").complete();
        });
    }
}
