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

//!
//! *The gate.* The state lies beside the root node's handle and carries the handle's generation, so that
//! whoever knows nothing but the handle can claim the task by the same single exchange.

use std::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

use crate::sync::{AtomicU64, Ordering};

const IDLE: u64 = 0;
const QUEUED: u64 = 1;
const RUNNING: u64 = 2;
const NOTIFIED: u64 = 3;
const DONE: u64 = 4;

/// A task's state: the generation of the handle that it belongs to, and one of the states in the
/// lowest eight bits.
pub(crate) struct Gate(AtomicU64);

impl Default for Gate {
    fn default() -> Gate {
        Gate(AtomicU64::new(DONE))
    }
}

fn tag(generation: u32) -> u64 {
    u64::from(generation) << 8
}

impl Gate {
    /// Claims the task, if it is idle and of this generation. The caller then owns the claim that
    /// [`Task::claimed`] stands for.
    #[inline]
    #[must_use]
    pub fn claim_idle(&self, generation: u32) -> bool {
        self.step(tag(generation), IDLE, RUNNING)
    }

    /// Nobody claims a task here until the next one is made, which is of this generation.
    pub fn shut(&self, generation: u32) {
        self.0.store(tag(generation) | DONE, Ordering::Release);
    }

    #[inline]
    fn step(&self, tag: u64, from: u64, to: u64) -> bool {
        let (from, to) = (tag | from, tag | to);
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// See the module's documentation.
#[repr(C)]
pub(crate) struct Task<T> {
    body: UnsafeCell<T>,
    gate: &'static Gate,
    tag: u64,
}

// SAFETY: only the one holder of a `Claim` touches the body (module documentation), and a body may
// move between threads.
unsafe impl<T: Send> Sync for Task<T> {}

impl<T> Task<T> {
    /// Makes a task that nobody asks for yet. The gate is this task's alone until it is shut.
    pub fn new(gate: &'static Gate, generation: u32, body: T) -> Task<T> {
        let tag = tag(generation);
        gate.0.store(tag | IDLE, Ordering::Release);
        Task {
            body: UnsafeCell::new(body),
            gate,
            tag,
        }
    }

    /// Asks for a run. `true`: the caller must queue the task.
    #[must_use]
    pub fn notify(&self) -> bool {
        let mut state = self.gate.0.load(Ordering::Relaxed) ^ self.tag;
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => NOTIFIED,
                // The exchange with the same value orders the caller's writes before the run that
                // is still to begin.
                QUEUED | NOTIFIED => state,
                // Done, or the gate of a later task.
                _ => return false,
            };
            match self.gate.0.compare_exchange_weak(
                self.tag | state,
                self.tag | next,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return state == IDLE,
                Err(now) => state = now ^ self.tag,
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

    fn claim(&self, from: u64) -> Option<Claim<'_, T>> {
        self.gate
            .step(self.tag, from, RUNNING)
            .then_some(Claim { task: self })
    }

    /// The claim that was won by [`Gate::claim_idle`].
    ///
    /// # Safety
    /// It must have been won on this task's gate and generation, and this be the first use of it.
    pub unsafe fn claimed(&self) -> Claim<'_, T> {
        Claim { task: self }
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
        let (gate, tag) = (self.task.gate, self.task.tag);
        if !again && gate.step(tag, RUNNING, IDLE) {
            return false;
        }
        // RUNNING or NOTIFIED; only this claim's holder leaves them.
        gate.0.swap(tag | QUEUED, Ordering::AcqRel);
        true
    }

    /// Gives the claim back for ever: the task never runs again.
    pub fn complete(self) {
        let (gate, tag) = (self.task.gate, self.task.tag);
        gate.0.swap(tag | DONE, Ordering::AcqRel);
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
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize},
    };

    /// Gates live for ever, as those in the table of handles do.
    fn gate() -> &'static Gate {
        // One for each test that asks.
        static GATES: LazyLock<[Gate; 3]> = LazyLock::new(Default::default);
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        &GATES[NEXT.fetch_add(1, Ordering::Relaxed)]
    }

    #[test]
    fn a_notice_during_a_run_asks_for_another() {
        let task = Task::new(gate(), 7, ());
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

    #[test]
    fn a_gate_opens_for_its_own_generation_alone() {
        let gate = gate();
        assert!(!gate.claim_idle(7), "no task yet");
        let task = Task::new(gate, 7, ());
        assert!(!gate.claim_idle(6) && gate.claim_idle(7) && !gate.claim_idle(7));
        // SAFETY: the claim that was just won.
        unsafe { task.claimed() }.complete();
        gate.shut(8);
        assert!(!gate.claim_idle(7) && !gate.claim_idle(8) && !task.notify());
        let next = Task::new(gate, 8, ());
        assert!(
            !task.notify() && task.claim_idle().is_none(),
            "the gate is the next task's"
        );
        assert!(next.notify());
    }

    /// Four threads add work and run the task whenever they are told to queue it; every piece of
    /// work must be seen by some run.
    #[test]
    fn no_notice_is_lost_between_threads() {
        const EACH: u64 = if cfg!(miri) { 50 } else { 50_000 };
        let task = Task::new(gate(), 7, 0u64);
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
                task: Task::new(Box::leak(Box::default()), 7, UnsafeCell::new(0)),
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

    /// Whoever runs a task next may be another thread, which learns nothing but that it is queued.
    #[test]
    fn loom_a_run_that_is_queued_again_sees_the_last_one() {
        loom::model(|| {
            let shared = Shared::new();
            let other = shared.clone();
            let thread = thread::spawn(move || {
                if let Some(claim) = other.task.claim_queued() {
                    other.look(&claim);
                    claim.complete();
                }
            });
            let claim = shared.task.claim_idle().expect("idle");
            shared.look(&claim);
            assert!(claim.finish(true), "as it asked for");
            thread.join().expect("no panic");
        });
    }

    /// What a handle's slot holds, and the memory of the session that its gate leads to.
    #[derive(Default)]
    struct Slot {
        gate: Gate,
        session: UnsafeCell<u32>,
    }

    // SAFETY: the gate decides who may access the cell; loom checks that.
    unsafe impl Sync for Slot {}

    impl Slot {
        /// Tries, as whoever knows nothing but the handle, to run the task here and now. Returns whether the
        /// caller must queue it.
        fn run(&'static self, task: &Task<()>, generation: u32) -> bool {
            if !self.gate.claim_idle(generation) {
                return false;
            }
            // SAFETY: the claim keeps the session.
            let session = self.session.with(|session| unsafe { *session });
            assert_eq!(session, generation, "another session's memory");
            // SAFETY: the claim that was just won.
            unsafe { task.claimed() }.finish(false)
        }

        /// Runs a queued task for the last time, ends its session, and lets another one have the slot.
        fn end(&'static self, task: &Task<()>) -> Task<()> {
            task.claim_queued().expect("queued").complete();
            // SAFETY: the task never runs again.
            self.session.with_mut(|session| unsafe { *session = 8 });
            self.gate.shut(8);
            Task::new(&self.gate, 8, ())
        }
    }

    /// A source's thread knows a handle whose session ends, and whose slot is used again.
    #[test]
    fn loom_a_stale_handle_claims_nothing() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(3);
        bounded.check(|| {
            let slot: &'static Slot = Box::leak(Box::default());
            // SAFETY: nobody else knows the slot yet.
            slot.session.with_mut(|session| unsafe { *session = 7 });
            let task = Arc::new(Task::new(&slot.gate, 7, ()));
            let theirs = task.clone();
            let source = thread::spawn(move || {
                for _ in 0..2 {
                    if slot.run(&theirs, 7) {
                        return Some(slot.end(&theirs));
                    }
                }
                None
            });
            let next = task.notify().then(|| slot.end(&task));
            if let Some(next) = &next {
                // The next session's source.
                assert!(!slot.run(next, 8));
            }
            let theirs = source.join().expect("no panic");
            let next = next.or(theirs).expect("it has ended");
            assert!(!slot.run(&task, 7) && !task.notify(), "stale");
            assert!(!slot.run(&next, 8) && next.notify());
        });
    }
}
