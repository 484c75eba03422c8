//! How a session's segments come to run: from the queue, by a source's own thread, by a timer.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use levada_abi::{Event, Frame, Status};

use super::Session;
use crate::{
    channel::Item,
    scheduler::{
        segment::{Next, Segment},
        task::Claim,
        worker::Runnable,
    },
};

/// Runs that may lie on one stack, where nodes of one session hand frames in to another; beyond this
/// depth they wait in the source's ring.
const MAX_DIRECT_RUNS: usize = 4;

thread_local! {
    /// Runs on this thread's stack, and the session that the innermost of them runs.
    static RUNNING: Cell<(usize, *const Session)> = const { Cell::new((0, std::ptr::null())) };
}

/// A run on this thread's stack, until it ends, however it does.
struct Running {
    before: (usize, *const Session),
}

impl Running {
    fn begin(session: &Arc<Session>) -> Running {
        let before = RUNNING.get();
        RUNNING.set((before.0 + 1, Arc::as_ptr(session)));
        Running { before }
    }

    fn depth() -> usize {
        RUNNING.get().0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(self.before);
    }
}

/// Whether this thread runs a segment of that session, which therefore lives and keeps its handles.
pub(super) fn is_running(session: *const Session) -> bool {
    !session.is_null() && std::ptr::eq(RUNNING.get().1, session)
}

impl Session {
    /// Asks for a run of a segment.
    pub(crate) fn notify(self: &Arc<Self>, segment: usize) {
        if self.block.tasks[segment].task.notify() {
            self.queue(segment);
        }
    }

    pub(super) fn notify_all(self: &Arc<Self>) {
        (0..self.block.tasks.len()).for_each(|segment| self.notify(segment));
    }

    pub(super) fn queue(self: &Arc<Self>, segment: usize) {
        self.engine.workers.push(Runnable {
            session: self.clone(),
            segment,
        });
    }

    /// Runs a segment that was taken from the queue.
    pub(crate) fn run_queued(self: &Arc<Self>, segment: usize) {
        if let Some(claim) = self.block.tasks[segment].task.claim_queued() {
            self.run(segment, claim, |claim| claim.run(self));
        }
    }

    /// Runs a claimed segment and gives the claim back.
    fn run(
        self: &Arc<Self>,
        segment: usize,
        mut claim: Claim<'_, Segment>,
        f: impl FnOnce(&mut Segment) -> Next,
    ) {
        // A panic here is the engine's own bug, or a log subscriber's: it ends the session, and neither
        // the thread nor the claim is lost.
        let next = catch_unwind(AssertUnwindSafe(|| {
            let _running = Running::begin(self);
            f(&mut claim)
        }));
        let next = next.unwrap_or_else(|payload| {
            // Dropping the payload could panic again.
            std::mem::forget(payload);
            self.engine_panicked(segment);
            Next::Done
        });
        match next {
            // The claim may be all that keeps the session for the caller.
            Next::Done => {
                let session = self.clone();
                claim.complete();
                session.segment_has_ended();
            }
            next => {
                if claim.finish(next == Next::Again) {
                    let session = self.clone();
                    session.queue(segment);
                }
            }
        }
    }

    /// Ticks a source whose time has come, and whose segment the caller has claimed by its handle: here and
    /// now where the segment is light, unless a seed decides the order.
    ///
    /// # Safety
    /// The claim must be the caller's own, on the segment whose root this node is, and unused.
    pub(crate) unsafe fn tick_claimed(self: &Arc<Self>, node: usize) {
        let segment = self.plan.nodes[node].segment;
        // SAFETY: the caller vouches for it.
        let claim = unsafe { self.block.tasks[segment].task.claimed() };
        self.block.prefetch(&self.plan.block, segment);
        if self.plan.segments[segment].class.is_light() && self.engine.workers.driver().is_none() {
            self.run(segment, claim, |claim| claim.run_tick(self, node));
        } else {
            self.mark_due(node);
            self.run(segment, claim, |_| Next::Again);
        }
    }

    /// Runs a source's segment, which the caller has claimed by the source's handle, with the frames
    /// that the source hands in. Returns how many were taken, from the front.
    ///
    /// # Safety
    /// The claim must be the caller's own, on the segment whose root this node is, and unused.
    pub(crate) unsafe fn run_claimed(
        self: &Arc<Self>,
        node: usize,
        port: usize,
        frames: &mut [Frame],
    ) -> usize {
        let plan = &self.plan.nodes[node];
        // SAFETY: the caller vouches for it.
        let claim = unsafe { self.block.tasks[plan.segment].task.claimed() };
        let mut given = Given {
            session: self,
            segment: plan.segment,
            claim: Some(claim),
            is_whole: false,
        };
        let ingress = plan
            .ports
            .get(port)
            .and_then(|port| port.ingress)
            .filter(|ingress| {
                self.plan.segments[plan.segment].class.is_light()
                    && self.block.ingress[*ingress].is_empty()
                    && self.engine.workers.driver().is_none()
                    && !self.is_source_finished(node)
                    && Running::depth() < MAX_DIRECT_RUNS
            });
        let taken = match (ingress, &mut given.claim) {
            (Some(ingress), Some(claim)) => {
                let _running = Running::begin(self);
                claim.run_direct(self, ingress, frames)
            }
            _ => 0,
        };
        given.is_whole = true;
        taken
    }

    /// Takes frames that a source hands in from a thread of its own, from the front, into the ring where
    /// they wait for the source's segment.
    pub(crate) fn ingest(
        self: &Arc<Self>,
        node: usize,
        port: usize,
        frames: &mut [Frame],
    ) -> Result<usize, Status> {
        let Some(ingress) = self.ingress_of(node, port)? else {
            self.block.nodes[node]
                .unlinked
                .add_shared(frames.len() as u64);
            frames.fill_with(Frame::default);
            return Ok(frames.len());
        };
        let (ring, capacity) = (
            &self.block.ingress[ingress],
            self.plan.ingress[ingress].capacity,
        );
        let mut taken = 0;
        while taken < frames.len() {
            let item = Item::Frame(std::mem::take(&mut frames[taken]));
            if let Err(Item::Frame(frame)) = ring.push(capacity, item) {
                frames[taken] = frame;
                break;
            }
            taken += 1;
        }
        if taken > 0 {
            self.notify(self.plan.nodes[node].segment);
        }
        Ok(taken)
    }

    /// Takes a downstream event that a source hands in from a thread of its own, in order with its
    /// frames.
    pub(crate) fn signal(self: &Arc<Self>, node: usize, port: usize, event: Event) -> Status {
        let ingress = match self.ingress_of(node, port) {
            Ok(Some(ingress)) => ingress,
            Ok(None) => return Status::OK,
            Err(status) => return status,
        };
        let capacity = self.plan.ingress[ingress].capacity;
        if self.block.ingress[ingress]
            .push(capacity, Item::Event(event))
            .is_err()
        {
            return Status::FULL;
        }
        self.notify(self.plan.nodes[node].segment);
        Status::OK
    }

    /// The ring behind a source's output; `None` where no link takes from it.
    fn ingress_of(&self, node: usize, port: usize) -> Result<Option<usize>, Status> {
        if self.is_source_finished(node) {
            return Err(Status::GONE);
        }
        let plan = &self.plan.nodes[node];
        let out = plan.ports.get(port).filter(|p| p.is_output);
        let out = out.filter(|_| plan.is_source).ok_or(Status::INVALID)?;
        Ok(out.ingress)
    }

    /// Releases what a source handed in and nobody took, and counts it at the source.
    pub(crate) fn drop_ingress(&self, ingress: usize) {
        let node = self.plan.ingress[ingress].from.node;
        self.block.nodes[node]
            .dropped
            .add_shared(self.block.ingress[ingress].discard());
    }
}

/// A claim that is given back at the end of a direct run, however it ends.
struct Given<'a> {
    session: &'a Arc<Session>,
    segment: usize,
    claim: Option<Claim<'a, Segment>>,
    /// The run came to its end; otherwise the engine panicked, or a log subscriber did.
    is_whole: bool,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.session.engine_panicked(self.segment);
        }
        if self.claim.take().is_some_and(|claim| claim.finish(false)) {
            // The claim was all that kept the session. It lives until its segment is queued, from when on
            // another thread may run it to the end.
            let session = Arc::clone(self.session);
            session.queue(self.segment);
        }
    }
}
