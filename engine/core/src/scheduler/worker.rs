//! [`Workers`]: what runs segments and keeps time: threads, or whoever drives a virtual clock.
//!
//! Segments that are to run wait in the queue of a [`Crew`], or of a [`Driver`]. Each is in it at most once (its task is
//! QUEUED), so the queue is bounded by the number of segments.
#![forbid(unsafe_code)]

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use levada_abi::NodeHandle;

use super::{
    crew::Crew,
    driver::Driver,
    keeper::Keeper,
    timers::{TooManyJobs, Work},
};
use crate::{graph::Class, session::Session, sync::Parker};

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

/// What runs an engine's segments.
pub(crate) enum Workers {
    /// On the real clock.
    Threads(Threads),
    /// On a virtual clock.
    Driven(Box<Driver>),
}

impl Workers {
    /// What drives a virtual clock, if the clock is one.
    pub fn driver(&self) -> Option<&Driver> {
        match self {
            Workers::Threads(_) => None,
            Workers::Driven(driver) => Some(driver),
        }
    }

    /// Queues a segment whose task is QUEUED.
    pub fn push(&self, class: Class, runnable: Runnable) {
        match (self, class) {
            (Workers::Threads(threads), Class::Light | Class::Heavy) => {
                threads.light.push(runnable);
            }
            (Workers::Threads(threads), Class::Blocking) => threads.blocking.push(runnable),
            (Workers::Driven(driver), _) => driver.push(runnable),
        }
    }

    /// Asks for a call of [`timer_is_due`](crate::services::timer_is_due) at the deadline instead of an
    /// earlier wish of the same node.
    pub fn at(&self, deadline: i64, node: NodeHandle) {
        match self {
            Workers::Threads(threads) => threads.keeper.at(deadline, node),
            Workers::Driven(driver) => driver.at(deadline, node),
        }
    }

    /// Forgets a node's wish.
    pub fn forget(&self, node: NodeHandle) {
        match self {
            Workers::Threads(threads) => threads.keeper.forget(node),
            Workers::Driven(driver) => driver.forget(node),
        }
    }

    /// Has `work` done again and again, by the thread that keeps time, until the engine ends.
    pub fn every(&self, interval: Duration, work: Work) -> Result<(), TooManyJobs> {
        match self {
            Workers::Threads(threads) => threads.keeper.every(interval, work),
            Workers::Driven(driver) => driver.every(interval, work),
        }
    }
}

/// The engine's threads. Dropping them ends and joins them.
pub(crate) struct Threads {
    light: Arc<Crew<Runnable>>,
    blocking: Arc<Crew<Runnable>>,
    keeper: Arc<Keeper>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts `workers` threads for segments, `blocking` for those that may wait, and one for time.
    pub fn start(workers: usize, blocking: usize) -> std::io::Result<Threads> {
        let (light, light_parkers) = Crew::new(workers.max(1));
        let (blocking, blocking_parkers) = Crew::new(blocking.max(1));
        // Whole before the first thread starts: should a later one fail, the drop ends those that run.
        let mut all = Threads {
            light: Arc::new(light),
            blocking: Arc::new(blocking),
            keeper: Arc::new(Keeper::new()),
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
        let keeper = all.keeper.clone();
        let thread = std::thread::Builder::new().name("levada-timer".into());
        all.threads.push(thread.spawn(move || keeper.keep_time())?);
        Ok(all)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for crew in [&self.light, &self.blocking] {
            crew.end();
        }
        self.keeper.end();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last reference may be dropped on a thread of the engine's own.
            if thread.thread().id() != me {
                let _ = thread.join();
            }
        }
    }
}
