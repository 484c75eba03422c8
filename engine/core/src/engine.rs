//! [`Engine`]: the threads and the memory that sessions share.
#![forbid(unsafe_code)]

use std::sync::{Arc, atomic::Ordering};

use levada_abi::HostVTable;

use crate::{
    clock,
    frame::pool::Pool,
    graph::Plan,
    scheduler::worker::Workers,
    services,
    session::{Ended, NEXT_SESSION, NodeError, Session},
};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Threads that run segments, at least 1.
    pub workers: usize,
    /// Threads for nodes that may wait, at least 1.
    pub blocking: usize,
    /// Bytes of payload memory that the pool may hold.
    pub memory: usize,
}

impl Default for EngineConfig {
    /// A worker for each core, four threads for nodes that may wait, 256 MiB.
    fn default() -> EngineConfig {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        EngineConfig {
            workers: cores,
            blocking: 4,
            memory: 256 << 20,
        }
    }
}

pub(crate) struct Shared {
    pub pool: Pool,
    pub workers: Workers,
}

impl Shared {
    pub fn next_session(&self) -> u64 {
        NEXT_SESSION.fetch_add(1, Ordering::Relaxed)
    }

    /// The time now on this engine's clock, in ns.
    pub fn now_ns(&self) -> i64 {
        clock::now_ns()
    }

    /// The vtable that the nodes of this engine's sessions are given.
    pub fn host(&self) -> &'static HostVTable {
        services::host()
    }
}

/// Runs sessions. Cheap to clone; the threads end with the last clone and the last session.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

impl Engine {
    /// Starts the engine's threads.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn start(config: &EngineConfig) -> std::io::Result<Engine> {
        let workers = Workers::start(config.workers.max(1), config.blocking.max(1))?;
        Ok(Engine(Arc::new(Shared {
            pool: Pool::new(config.memory),
            workers,
        })))
    }

    /// Returns a number for a session that is yet to be started, so that what belongs to it (a peer)
    /// can be registered before its nodes look for it.
    #[must_use]
    pub fn reserve_session(&self) -> u64 {
        self.0.next_session()
    }

    /// Starts a session of a planned graph. `on_end` is called once, on a thread of the engine's
    /// own, when it has ended: it must not block.
    ///
    /// # Errors
    /// When a node cannot be created or started; `on_end` is not called then.
    pub fn start_session(
        &self,
        plan: &Arc<Plan>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        Session::start(&self.0, plan, on_end)
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
        Session::start_as(&self.0, plan, session, on_end)
    }
}
