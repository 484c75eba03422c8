//! [`Workers`]: the threads that run segments, and the one that keeps time.
//!
//! Segments that are to run wait in the queue of a [`Crew`]. Each is in it at most once (its task is
//! QUEUED), so the queue is bounded by the number of segments.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use levada_abi::NodeHandle;

use super::crew::Crew;
use crate::{clock, graph::Class, services, session::Session, sync::Parker};

/// A segment that is to run.
pub(crate) struct Runnable {
    pub session: Arc<Session>,
    pub segment: usize,
}

fn work(crew: &Crew<Runnable>, worker: usize, parker: &Parker) {
    while let Some(Runnable { session, segment }) = crew.next(worker, parker) {
        session.run_queued(segment);
    }
}

/// No lock here guards data that a panic could leave half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When nodes wish to be called: one time a node.
#[derive(Default)]
struct Wishes {
    by_time: BTreeSet<(i64, u32, u32)>,
    of_node: HashMap<NodeHandle, i64>,
}

impl Wishes {
    fn set(&mut self, node: NodeHandle, deadline: i64) {
        self.forget(node);
        self.by_time.insert((deadline, node.slot, node.generation));
        self.of_node.insert(node, deadline);
    }

    fn forget(&mut self, node: NodeHandle) {
        if let Some(old) = self.of_node.remove(&node) {
            self.by_time.remove(&(old, node.slot, node.generation));
        }
    }
}

struct Timers {
    wishes: Mutex<Wishes>,
    earlier: Condvar,
    ended: AtomicBool,
}

impl Timers {
    fn keep_time(&self) {
        let mut wishes = lock(&self.wishes);
        while !self.ended.load(Ordering::Acquire) {
            let now = clock::now_ns();
            match wishes.by_time.first().copied() {
                Some((deadline, slot, generation)) if deadline <= now => {
                    let node = NodeHandle { slot, generation };
                    wishes.forget(node);
                    drop(wishes);
                    services::timer_is_due(node);
                    wishes = lock(&self.wishes);
                }
                Some((deadline, ..)) => {
                    let wait = Duration::from_nanos((deadline - now).unsigned_abs());
                    let waited = self.earlier.wait_timeout(wishes, wait);
                    wishes = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    wishes = self
                        .earlier
                        .wait(wishes)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}

/// The engine's threads. Dropping them ends and joins them.
pub(crate) struct Workers {
    light: Arc<Crew<Runnable>>,
    blocking: Arc<Crew<Runnable>>,
    timers: Arc<Timers>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `workers` threads for segments, `blocking` for those that may wait, and one for time.
    pub fn start(workers: usize, blocking: usize) -> std::io::Result<Workers> {
        let (light, light_parkers) = Crew::new(workers.max(1));
        let (blocking, blocking_parkers) = Crew::new(blocking.max(1));
        let timers = Timers {
            wishes: Mutex::default(),
            earlier: Condvar::new(),
            ended: AtomicBool::new(false),
        };
        // Whole before the first thread starts: should a later one fail, the drop ends those that run.
        let mut all = Workers {
            light: Arc::new(light),
            blocking: Arc::new(blocking),
            timers: Arc::new(timers),
            threads: vec![],
        };
        for (name, crew, parkers) in [
            ("levada-worker", all.light.clone(), light_parkers),
            ("levada-blocking", all.blocking.clone(), blocking_parkers),
        ] {
            for (worker, parker) in parkers.into_iter().enumerate() {
                let crew = crew.clone();
                let thread = std::thread::Builder::new().name(format!("{name}-{worker}"));
                all.threads
                    .push(thread.spawn(move || work(&crew, worker, &parker))?);
            }
        }
        let keeper = all.timers.clone();
        let thread = std::thread::Builder::new().name("levada-timer".into());
        all.threads.push(thread.spawn(move || keeper.keep_time())?);
        Ok(all)
    }

    /// Queues a segment whose task is QUEUED.
    pub fn push(&self, class: Class, runnable: Runnable) {
        match class {
            Class::Light | Class::Heavy => self.light.push(runnable),
            Class::Blocking => self.blocking.push(runnable),
        }
    }

    /// Asks for a call of [`services::timer_is_due`] at the deadline instead of an earlier wish of
    /// the same node.
    pub fn at(&self, deadline: i64, node: NodeHandle) {
        let mut wishes = lock(&self.timers.wishes);
        wishes.set(node, deadline);
        let is_first = wishes
            .by_time
            .first()
            .is_some_and(|first| first.0 == deadline);
        drop(wishes);
        if is_first {
            self.timers.earlier.notify_one();
        }
    }

    /// Forgets a node's wish.
    pub fn forget(&self, node: NodeHandle) {
        lock(&self.timers.wishes).forget(node);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for crew in [&self.light, &self.blocking] {
            crew.end();
        }
        {
            // Under the lock, so that the keeper is either waiting or yet to look.
            let _wishes = lock(&self.timers.wishes);
            self.timers.ended.store(true, Ordering::Release);
        }
        self.timers.earlier.notify_all();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last reference may be dropped on a thread of the engine's own.
            if thread.thread().id() != me {
                let _ = thread.join();
            }
        }
    }
}
