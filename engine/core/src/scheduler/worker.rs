//! [`Workers`]: the threads that run segments, and the one that keeps time.
//!
//! Segments that are to run wait in one first-in first-out queue, so that none starves; each is in it
//! at most once (its task is QUEUED), so the queue is bounded by the number of segments. A worker
//! that finds nothing announces itself as sleeping, looks once more, and parks. Whoever queues a
//! segment wakes one sleeper if there is one. Announce and look on one side, queue and look for
//! sleepers on the other, each with a sequentially consistent fence between: at least one of the two
//! sees the other, so no segment is left lying with all workers asleep.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam::{
    deque::{Injector, Steal},
    sync::{Parker, Unparker},
};
use levada_abi::NodeHandle;

use crate::{clock, graph::Class, services, session::Session};

/// A segment that is to run.
pub(crate) struct Runnable {
    pub session: Arc<Session>,
    pub segment: usize,
}

struct Crew {
    queue: Injector<Runnable>,
    sleeping: Mutex<Vec<usize>>,
    sleepers: AtomicUsize,
    unparkers: Vec<Unparker>,
    ended: AtomicBool,
}

impl Crew {
    fn push(&self, runnable: Runnable) {
        self.queue.push(runnable);
        // Pairs with the fence in `sleep`.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.wake_one();
        }
    }

    fn wake_one(&self) {
        let sleeper = {
            let mut sleeping = lock(&self.sleeping);
            let sleeper = sleeping.pop();
            self.sleepers.store(sleeping.len(), Ordering::Relaxed);
            sleeper
        };
        if let Some(worker) = sleeper {
            self.unparkers[worker].unpark();
        }
    }

    fn take(&self) -> Option<Runnable> {
        loop {
            match self.queue.steal() {
                Steal::Success(runnable) => return Some(runnable),
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }

    fn work(&self, worker: usize, parker: &Parker) {
        loop {
            while let Some(Runnable { session, segment }) = self.take() {
                session.run_queued(segment);
            }
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            {
                let mut sleeping = lock(&self.sleeping);
                sleeping.push(worker);
                self.sleepers.store(sleeping.len(), Ordering::Relaxed);
            }
            // Pairs with the fence in `push`.
            fence(Ordering::SeqCst);
            if self.queue.is_empty() && !self.ended.load(Ordering::Acquire) {
                parker.park();
            }
            let mut sleeping = lock(&self.sleeping);
            sleeping.retain(|w| *w != worker);
            self.sleepers.store(sleeping.len(), Ordering::Relaxed);
        }
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
    light: Arc<Crew>,
    blocking: Arc<Crew>,
    timers: Arc<Timers>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `workers` threads for segments, `blocking` for those that may wait, and one for time.
    pub fn start(workers: usize, blocking: usize) -> std::io::Result<Workers> {
        let mut threads = Vec::new();
        let timers = Arc::new(Timers {
            wishes: Mutex::default(),
            earlier: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let mut crew = |name: &str, count: usize| -> std::io::Result<Arc<Crew>> {
            let parkers: Vec<Parker> = (0..count.max(1)).map(|_| Parker::new()).collect();
            let crew = Arc::new(Crew {
                queue: Injector::new(),
                sleeping: Mutex::new(Vec::with_capacity(parkers.len())),
                sleepers: AtomicUsize::new(0),
                unparkers: parkers.iter().map(|p| p.unparker().clone()).collect(),
                ended: AtomicBool::new(false),
            });
            for (worker, parker) in parkers.into_iter().enumerate() {
                let crew = crew.clone();
                let thread = std::thread::Builder::new().name(format!("{name}-{worker}"));
                threads.push(thread.spawn(move || crew.work(worker, &parker))?);
            }
            Ok(crew)
        };
        let light = crew("levada-worker", workers)?;
        let blocking = crew("levada-blocking", blocking)?;
        let keeper = timers.clone();
        let thread = std::thread::Builder::new().name("levada-timer".into());
        threads.push(thread.spawn(move || keeper.keep_time())?);
        Ok(Workers {
            light,
            blocking,
            timers,
            threads,
        })
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
            crew.ended.store(true, Ordering::Release);
            crew.unparkers.iter().for_each(Unparker::unpark);
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
