//! [`Engine`]: the threads and the memory that sessions share.
#![forbid(unsafe_code)]

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use levada_abi::HostVTable;

use crate::{
    clock,
    frame::pool::Pool,
    graph::Plan,
    observe::Report,
    scheduler::{
        driver::Driver,
        timers::TooManyJobs,
        worker::{Threads, Workers},
    },
    services,
    session::{Ended, NEXT_SESSION, NodeError, Session},
    virtual_engine,
};

/// Payload memory that nobody has needed for so long, or up to twice that, goes back to the system.
const TRIM: Duration = Duration::from_secs(10);

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Threads that run segments, at least 1.
    pub workers: usize,
    /// Threads for nodes that may wait, at least 1.
    pub blocking: usize,
    /// Bytes of payload memory that the pool may hold.
    pub memory: usize,
    /// Whether a session fails when one of its nodes lets out a payload in memory that it was not given,
    /// without having declared a copy. For tests and for whoever writes a plugin: it takes time.
    pub assert_zero_copy: bool,
    /// Whether light segments that deal with audio alone run on threads of their own, with real-time
    /// priority (SCHED_FIFO) where the system allows it. They are started when they are first needed.
    pub audio_lane: bool,
}

impl Default for EngineConfig {
    /// A worker for each core, four threads for nodes that may wait, 256 MiB, an audio lane.
    fn default() -> EngineConfig {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        EngineConfig {
            workers: cores,
            blocking: 4,
            memory: 256 << 20,
            assert_zero_copy: false,
            audio_lane: true,
        }
    }
}

pub(crate) struct Shared {
    pub pool: Pool,
    pub workers: Workers,
    pub assert_zero_copy: bool,
}

impl Shared {
    pub fn next_session(&self) -> u64 {
        NEXT_SESSION.fetch_add(1, Ordering::Relaxed)
    }

    /// The time now on this engine's clock, in ns.
    pub fn now_ns(&self) -> i64 {
        self.workers
            .driver()
            .map_or_else(clock::now_ns, Driver::now_ns)
    }

    /// The date, in seconds since 1970; on a virtual clock, where it would make a run another one, that clock's time.
    pub fn date_s(&self) -> u64 {
        match self.workers.driver() {
            Some(driver) => driver.now_ns().unsigned_abs() / 1_000_000_000,
            None => SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |it| it.as_secs()),
        }
    }

    /// How many frames a call may take: `most`, or on a virtual clock what the seed says.
    pub fn batch_limit(&self, most: usize) -> usize {
        self.workers
            .driver()
            .map_or(most, |driver| driver.batch_limit(most))
    }

    /// The vtable that the nodes of this engine's sessions are given.
    pub fn host(&self) -> &'static HostVTable {
        self.workers
            .driver()
            .map_or_else(services::host, Driver::host)
    }
}

/// Runs sessions on the real clock, or, when it comes from a [`VirtualEngine`](crate::VirtualEngine),
/// on a virtual one. Cheap to clone; the threads end with the last clone and the last session.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Shared>);

impl Engine {
    /// Starts the engine's threads.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn start(config: &EngineConfig) -> std::io::Result<Engine> {
        let threads = Threads::start(config.workers, config.blocking, config.audio_lane)?;
        let engine = Engine(Arc::new(Shared {
            pool: Pool::new(config.memory),
            workers: Workers::Threads(Box::new(threads)),
            assert_zero_copy: config.assert_zero_copy,
        }));
        let pool = engine.0.pool.clone();
        let trimmed = engine.every(TRIM, move || {
            pool.trim_idle();
        });
        trimmed.map_err(std::io::Error::other)?;
        Ok(engine)
    }

    /// Returns a number for a session that is yet to be started, so that what belongs to it (a peer)
    /// can be registered before its nodes look for it.
    #[must_use]
    pub fn reserve_session(&self) -> u64 {
        self.0.next_session()
    }

    /// The time now on the engine's clock, in ns.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.0.now_ns()
    }

    /// Calls `work` after each `interval` of the engine's clock, on the thread that keeps time, as long
    /// as the engine lives. It must be quick, because all timers wait for it; it must not hold the engine
    /// or a session, which would live for ever. Times that pass while it runs are left out. A job that
    /// panics is not called again.
    ///
    /// # Errors
    /// When the engine has 16 jobs already.
    pub fn every(
        &self,
        interval: Duration,
        work: impl FnMut() + Send + 'static,
    ) -> Result<(), TooManyJobs> {
        self.0.workers.every(interval, Box::new(work))
    }

    /// Starts a session of a planned graph. `on_end` is called once, on a thread of the engine's
    /// own, when it has ended: it must not block. On a virtual clock that is the thread that drives.
    ///
    /// # Errors
    /// When a node cannot be created or started, or not on a virtual clock; `on_end` is not called
    /// then.
    pub fn start_session(
        &self,
        plan: &Arc<Plan>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        self.check(plan)?;
        let session = Session::start(&self.0, plan, on_end)?;
        self.remember(&session);
        Ok(session)
    }

    /// As [`Engine::start_session`], with a number from [`Engine::reserve_session`].
    ///
    /// # Errors
    /// As there.
    pub fn start_reserved(
        &self,
        session: u64,
        plan: &Arc<Plan>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        self.start_as(session, plan, false, on_end)
    }

    /// As [`Engine::start_reserved`], but sources that work by ticks (files, generators) do not begin before
    /// [`Session::release`]: for what their frames go to is not ready yet. What comes in from threads of a source's own
    /// passes at once.
    ///
    /// # Errors
    /// As there.
    pub fn start_held(
        &self,
        session: u64,
        plan: &Arc<Plan>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        self.start_as(session, plan, true, on_end)
    }

    fn start_as(
        &self,
        session: u64,
        plan: &Arc<Plan>,
        held: bool,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        self.check(plan)?;
        let session = Session::start_as(&self.0, plan, session, held, on_end)?;
        self.remember(&session);
        Ok(session)
    }

    /// Refuses what cannot run on a virtual clock, where that is the engine's.
    fn check(&self, plan: &Plan) -> Result<(), Box<NodeError>> {
        match self.0.workers.driver() {
            Some(driver) => virtual_engine::check(driver, plan),
            None => Ok(()),
        }
    }

    fn remember(&self, session: &Arc<Session>) {
        if let Some(driver) = self.0.workers.driver() {
            driver.add_session(session);
        }
    }

    /// Looks again at what a report calls leaks: a buffer that was still on its way out when its
    /// session ended (in a socket's queue, on another thread) may have been released since.
    ///
    /// `report` is the sum over all sessions of this engine, which are instances of one graph and have
    /// all ended.
    pub fn update_leaks(&self, report: &mut Report) {
        report.set_held(&self.0.pool.held());
        report.set_ended();
    }
}
