//! [`Crew`]: a queue that several threads take from, and how those that find nothing sleep.
//!
//! What is to be done waits in one first-in first-out queue, so that none starves. A worker that finds
//! nothing announces itself as sleeping, looks once more, and parks. Whoever queues something wakes
//! one sleeper if there is one. Announce and look on one side, queue and look for sleepers on the
//! other, each with a sequentially consistent fence between: at least one of the two sees the other, so
//! nothing is left lying with all workers asleep.
#![forbid(unsafe_code)]

use std::sync::PoisonError;

use crate::sync::{
    AtomicBool, AtomicUsize, Injector, Mutex, MutexGuard, Ordering, Parker, Steal, Unparker, fence,
};

/// See the module's documentation.
pub(crate) struct Crew<T> {
    queue: Injector<T>,
    sleeping: Mutex<Vec<usize>>,
    sleepers: AtomicUsize,
    unparkers: Vec<Unparker>,
    ended: AtomicBool,
}

impl<T> Crew<T> {
    /// Makes the queue for `workers` threads, and what each of them parks on.
    pub fn new(workers: usize) -> (Crew<T>, Vec<Parker>) {
        let parkers: Vec<Parker> = (0..workers).map(|_| Parker::new()).collect();
        let crew = Crew {
            queue: Injector::new(),
            sleeping: Mutex::new(Vec::with_capacity(workers)),
            sleepers: AtomicUsize::new(0),
            unparkers: parkers.iter().map(|p| p.unparker().clone()).collect(),
            ended: AtomicBool::new(false),
        };
        (crew, parkers)
    }

    /// Queues something, and wakes a worker if one sleeps.
    pub fn push(&self, item: T) {
        self.queue.push(item);
        // Pairs with the fence in `next`.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.wake_one();
        }
    }

    fn wake_one(&self) {
        let sleeper = {
            let mut sleeping = self.sleeping();
            let sleeper = sleeping.pop();
            self.sleepers.store(sleeping.len(), Ordering::Relaxed);
            sleeper
        };
        if let Some(worker) = sleeper {
            self.unparkers[worker].unpark();
        }
    }

    fn take(&self) -> Option<T> {
        loop {
            match self.queue.steal() {
                Steal::Success(item) => return Some(item),
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }

    /// Takes what has waited longest, sleeping until there is something; `None` when the crew has
    /// ended. `worker` is the caller's number, `parker` its own.
    pub fn next(&self, worker: usize, parker: &Parker) -> Option<T> {
        loop {
            if let Some(item) = self.take() {
                return Some(item);
            }
            if self.ended.load(Ordering::Acquire) {
                return None;
            }
            {
                let mut sleeping = self.sleeping();
                sleeping.push(worker);
                self.sleepers.store(sleeping.len(), Ordering::Relaxed);
            }
            // Pairs with the fence in `push`.
            fence(Ordering::SeqCst);
            if self.queue.is_empty() && !self.ended.load(Ordering::Acquire) {
                parker.park();
            }
            let mut sleeping = self.sleeping();
            sleeping.retain(|w| *w != worker);
            self.sleepers.store(sleeping.len(), Ordering::Relaxed);
        }
    }

    /// Ends the crew, in which nothing is queued any more: the workers leave.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // A token that is left for a worker about to park lets it pass.
        self.unparkers.iter().for_each(Unparker::unpark);
    }

    /// No panic can leave the list half-done.
    fn sleeping(&self) -> MutexGuard<'_, Vec<usize>> {
        self.sleeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{sync::Arc, thread};

    /// Pushes `items` while each worker takes its share and leaves. A worker that has left stands for
    /// one that is busy for ever: what is still queued must reach the others. An item that is left
    /// lying shows as a worker that sleeps for ever, which loom reports as a deadlock.
    fn model(shares: &'static [usize], preemptions: usize) {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(preemptions);
        bounded.check(move || {
            let (crew, parkers) = Crew::new(shares.len());
            let crew = Arc::new(crew);
            let workers: Vec<_> = parkers
                .into_iter()
                .enumerate()
                .map(|(worker, parker)| {
                    let crew = crew.clone();
                    thread::spawn(move || {
                        for _ in 0..shares[worker] {
                            assert!(crew.next(worker, &parker).is_some(), "it has not ended");
                        }
                    })
                })
                .collect();
            (0..shares.iter().sum()).for_each(|item| crew.push(item));
            workers
                .into_iter()
                .for_each(|worker| worker.join().expect("no panic"));
        });
    }

    #[test]
    fn loom_a_worker_about_to_sleep_sees_what_is_queued() {
        model(&[2], 4);
    }

    #[test]
    fn loom_a_busy_worker_keeps_nothing_from_another() {
        model(&[1, 1], 2);
    }

    #[test]
    fn loom_workers_leave_when_the_crew_ends() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(3);
        bounded.check(|| {
            let (crew, mut parkers) = Crew::<()>::new(1);
            let crew = Arc::new(crew);
            let (theirs, parker) = (crew.clone(), parkers.remove(0));
            let worker = thread::spawn(move || theirs.next(0, &parker).is_none());
            crew.end();
            assert!(worker.join().expect("no panic"));
        });
    }
}
