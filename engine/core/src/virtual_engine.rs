//! [`VirtualEngine`]: runs sessions on a virtual clock, so that a run repeats exactly.
#![forbid(unsafe_code)]

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{Engine, EngineConfig, Shared},
    frame::pool::Pool,
    graph::Plan,
    scheduler::{
        driver::{Driver, Rest},
        worker::Workers,
    },
    session::{Ended, NodeError, Session, node_error},
};

/// Runs sessions on a virtual clock: one thread, in an order that follows from a seed.
///
/// Nothing runs but in [`VirtualEngine::drive`], on the calling thread. Time passes as fast as the nodes
/// work, and jumps where all of them wait. What `now` and timers say to nodes is this clock's. The same
/// seed, graphs and calls make the same run: the same calls of nodes in the same order, the same
/// report. Another seed makes another order that real threads might have made.
///
/// Nodes must do their part: a node with threads of its own, or whose work depends on the time of day,
/// on random numbers or on files that change, repeats nothing. What such a thread asks of the engine is
/// refused with [`Status::INVALID`](levada_abi::Status::INVALID) and one log record, and nodes that
/// belong to a peer are not started at all. Nodes that may wait hold up the driving thread.
///
/// Dropping it aborts the sessions that have not ended.
pub struct VirtualEngine(Engine);

impl VirtualEngine {
    /// Makes an engine whose clock stands at 0. It has no threads, so only the memory of `config` counts.
    /// The few hundred bytes of its clock are never given back, because nodes may read it for ever.
    #[must_use]
    pub fn new(config: &EngineConfig, seed: u64) -> VirtualEngine {
        VirtualEngine(Engine(Arc::new(Shared {
            pool: Pool::new(config.memory),
            workers: Workers::Driven(Box::new(Driver::new(seed))),
            assert_zero_copy: config.assert_zero_copy,
        })))
    }

    fn driver(&self) -> Option<&Driver> {
        self.0.0.workers.driver()
    }

    /// The engine as nodes' owners know it, to start sessions with from `on_end` and the like. It takes
    /// them from the driving thread only.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0
    }

    /// Makes the calling thread the one that drives, and starts a session; see
    /// [`Engine::start_session`].
    ///
    /// # Errors
    /// As there, and when a node of the graph belongs to a peer.
    pub fn start_session(
        &mut self,
        plan: &Arc<Plan>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        if let Some(driver) = self.driver() {
            driver.adopt();
        }
        self.0.start_session(plan, on_end)
    }

    /// Runs on the calling thread until there is nothing left to do. A graph whose source goes on for
    /// ever needs [`VirtualEngine::drive_for`], or another thread that stops the session.
    pub fn drive(&mut self) -> Rest {
        self.drive_until(i64::MAX)
    }

    /// Lets virtual time pass, and runs on the calling thread what there is to run in it.
    pub fn drive_for(&mut self, time: Duration) -> Rest {
        let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.drive_until(self.0.now_ns().saturating_add(time))
    }

    fn drive_until(&mut self, until: i64) -> Rest {
        self.driver()
            .map_or(Rest::Idle, |driver| driver.drive(until))
    }
}

impl Drop for VirtualEngine {
    fn drop(&mut self) {
        if let Some(driver) = self.driver() {
            driver.close();
        }
    }
}

impl Session {
    /// Names of the sources that have not said that they are done. A session on a virtual clock that
    /// rests ([`Rest::Idle`]) and has not ended waits for one of these to be woken from outside.
    #[must_use]
    pub fn open_sources(&self) -> Vec<&str> {
        (0..self.plan.nodes.len())
            .filter(|node| self.plan.nodes[*node].is_source && !self.is_source_finished(*node))
            .map(|node| self.plan.graph.nodes[node].name.as_str())
            .collect()
    }
}

/// Says why a session cannot start here and now, if so.
pub(crate) fn check(driver: &Driver, plan: &Plan) -> Result<(), Box<NodeError>> {
    let (node, cause) = if let Some(peer) = plan.types.iter().position(|t| t.is_for_peers()) {
        let cause = "it belongs to a peer, and a virtual clock cannot say when a network brings something; \
             run this graph with the real clock";
        (peer, cause)
    } else if driver.is_ending() {
        (0, "the engine with the virtual clock has been dropped")
    } else if driver.is_foreign() {
        (
            0,
            "an engine with a virtual clock takes sessions from the thread that drives it only",
        )
    } else {
        return Ok(());
    };
    Err(Box::new(node_error(plan, node, cause.into())))
}
