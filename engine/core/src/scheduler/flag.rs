//! [`Flag`]: one of several reasons for a segment to run, found by its next run.
//!
//! Whoever raises flags asks for a run afterwards ([`Task::notify`](super::task::Task::notify)). One flag
//! may say that others are raised; it is raised behind them, and taken before.
#![forbid(unsafe_code)]

use crate::sync::{AtomicBool, Ordering};

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub fn raise(&self) {
        // Release, with the Acquire in `take`: what was done before is seen by whoever takes the flag. An
        // exchange, because a plain store over a flag that somebody else has raised would hide what they
        // did before.
        self.0.swap(true, Ordering::Release);
    }

    /// Takes the flag down, if it is raised.
    pub fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::{sync::Arc, thread};

    use super::{super::task::Task, *};

    struct Shared {
        task: Task<()>,
        called: Flag,
        due: [Flag; 2],
    }

    impl Shared {
        /// What a run does, again and again until nobody asks; returns how many flags it took.
        fn run_queued(&self) -> usize {
            let mut taken = 0;
            loop {
                let claim = self.task.claim_queued().expect("told to queue it");
                if self.called.take() {
                    taken += self.due.iter().filter(|due| due.take()).count();
                }
                if !claim.finish(false) {
                    return taken;
                }
            }
        }

        fn call(&self, which: usize) -> usize {
            self.due[which].raise();
            self.called.raise();
            if self.task.notify() {
                self.run_queued()
            } else {
                0
            }
        }
    }

    /// Two call for the same segment while a third has it run.
    #[test]
    fn loom_no_call_is_lost() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(2);
        bounded.check(|| {
            let shared = Arc::new(Shared {
                task: Task::new(Box::leak(Box::default()), 7, ()),
                called: Flag::default(),
                due: Default::default(),
            });
            let threads = [0, 1].map(|which| {
                let shared = shared.clone();
                thread::spawn(move || shared.call(which))
            });
            let mut taken = 0;
            if shared.task.notify() {
                taken += shared.run_queued();
            }
            for thread in threads {
                taken += thread.join().expect("no panic");
            }
            assert_eq!(taken, 2);
        });
    }
}
