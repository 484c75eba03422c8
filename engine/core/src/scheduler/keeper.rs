//! [`Keeper`]: keeps time for an engine with the real clock, on a thread of its own.
//!
//! The thread sleeps until the first moment at which there may be something to do. Whoever sets an
//! earlier one wakes it. Both happen under the lock of the timers, so a wish is either seen before the
//! thread sleeps, or finds how long it does.
#![forbid(unsafe_code)]

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use levada_abi::NodeHandle;

use super::{
    realtime::Seat,
    timers::{Caller, Timers, TooManyJobs, Work, lock},
};
use crate::clock;

/// A keeper that calls more often than this, on average, is crowded: it rests for [`NAP_NS`] after each
/// waking, so that one waking serves many calls, which come late by as much.
const CROWDED_NS: i64 = 20_000;
const NAP_NS: i64 = 1_000_000;

/// The thread does not sleep.
const AWAKE: i64 = i64::MIN;

/// See the module's documentation.
pub(crate) struct Keeper {
    timers: Mutex<Timers>,
    /// Read and written with the timers locked.
    sleeps_until: AtomicI64,
    earlier: Condvar,
    ended: AtomicBool,
}

impl Keeper {
    pub fn new() -> Keeper {
        Keeper {
            timers: Mutex::new(Timers::new()),
            sleeps_until: AtomicI64::new(AWAKE),
            earlier: Condvar::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Calls what is due, and sleeps, until the end.
    pub(super) fn keep_time(&self, seat: &Seat) {
        let mut caller = Caller::new();
        let mut awake_since = clock::now_ns();
        loop {
            let mut calls = 0;
            loop {
                seat.begin();
                let called = caller.call_due(&self.timers, clock::now_ns());
                seat.rest();
                calls += called;
                if self.ended.load(Ordering::Acquire) {
                    return;
                }
                if called == 0 {
                    break;
                }
            }
            let timers = lock(&self.timers);
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            let next = timers.next_node().into_iter().chain(timers.next_job());
            let mut until = next.min().unwrap_or(i64::MAX);
            let now = clock::now_ns();
            if calls as i64 > (now - awake_since) / CROWDED_NS {
                until = until.max(awake_since + NAP_NS);
            }
            if until <= now {
                awake_since = now;
                continue;
            }
            self.sleeps_until.store(until, Ordering::Relaxed);
            let wait = Duration::from_nanos(until.abs_diff(now));
            let waited = self.earlier.wait_timeout(timers, wait);
            let _timers = waited.unwrap_or_else(PoisonError::into_inner).0;
            self.sleeps_until.store(AWAKE, Ordering::Relaxed);
            awake_since = clock::now_ns();
        }
    }

    /// Ends the thread.
    pub fn end(&self) {
        // Under the lock, so that the thread either sleeps or is yet to look.
        let _timers = lock(&self.timers);
        self.ended.store(true, Ordering::Release);
        self.earlier.notify_all();
    }

    /// See [`Timers::at`].
    pub fn at(&self, deadline: i64, node: NodeHandle) {
        let mut timers = lock(&self.timers);
        timers.at(deadline, node);
        let wakes = deadline < self.sleeps_until.load(Ordering::Relaxed);
        drop(timers);
        if wakes {
            self.earlier.notify_one();
        }
    }

    /// See [`Timers::forget`].
    pub fn forget(&self, node: NodeHandle) {
        lock(&self.timers).forget(node);
    }

    /// See [`Timers::every`].
    pub fn every(&self, interval: Duration, work: Work) -> Result<(), TooManyJobs> {
        let mut timers = lock(&self.timers);
        timers.every(clock::now_ns(), interval, work)?;
        drop(timers);
        self.earlier.notify_one();
        Ok(())
    }
}
