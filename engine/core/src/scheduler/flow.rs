//! How frames move through a segment: depth first, node by node.
//!
//! Frames stay where they are in memory: a batch is an array of slots that the nodes edit in place, and
//! moves to another array only where a node emits, a channel carries it, or an output feeds several
//! links. A straight run of nodes that leave every slot filled is one loop that reads a
//! [`Step`](crate::graph::Step) a hop. The frames that pass are counted once, on the link, or on the run
//! where they went all the way.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::{Event, Frame, Status};

use super::{
    segment::{Fault, Segment},
    zero_copy,
};
use crate::{
    frame::pool::Holder,
    graph::{NONE, Step, Target, To},
    plugin::{
        instance::{Calls, Failed, Instance},
        outputs::Outputs,
        spare,
    },
    session::Session,
};

impl Segment {
    /// Makes a call that brings no frames, and sends on what it emits.
    pub(super) fn call<R>(
        &mut self,
        session: &Arc<Session>,
        local: usize,
        f: impl FnOnce(&mut Instance, &mut Calls) -> Result<R, Failed>,
    ) -> Result<R, Fault> {
        let node = session.plan.segments[self.index].nodes[local];
        let mut outputs = Outputs::new(&session.plan, node, 1);
        let mut answer = f(&mut self.nodes[local], &mut Calls::new(&mut outputs));
        // What comes out of a source is not compared with anything.
        if let Some(watch) = self.watch(local)
            && !session.plan.nodes[node].is_source
        {
            answer = answer.and_then(|answer| {
                zero_copy::after(watch, session, node, &outputs, None).map(|()| answer)
            });
        }
        match answer {
            Ok(answer) => {
                if !outputs.is_untouched() {
                    self.flush(session, node, &mut outputs)?;
                }
                Ok(answer)
            }
            Err(Failed(status)) => Err(Fault { node, status }),
        }
    }

    /// Gives a batch to an input, and sends on what comes of it.
    pub(super) fn push_in(
        &mut self,
        session: &Arc<Session>,
        mut at: usize,
        mut frames: &mut [Frame],
    ) -> Result<(), Fault> {
        if frames.is_empty() {
            return Ok(());
        }
        let steps = &*session.plan.steps;
        let mut outputs = Outputs::new(&session.plan, 0, 0);
        let mut calls = Calls::new(&mut outputs);
        // Where the batch has been at its present size, and has not been counted yet.
        let mut since = at;
        loop {
            let step = &steps[at];
            let node = step.node as usize;
            calls.outputs().arm(node, frames.len());
            let is_looked_after = self.nodes[step.local as usize].is_looked_after();
            if is_looked_after {
                self.look_after(session, step, frames);
            }
            let instance = &mut self.nodes[step.local as usize];
            let mut status = if step.looks {
                instance.observe(step.port, frames, &mut calls)
            } else {
                instance.process(step.port, frames, &mut calls)
            };
            let untouched = calls.outputs().is_untouched();
            if status == Status::KEPT && untouched && step.goes_on && !is_looked_after {
                at += 1;
                continue;
            }
            session.count(since, at, frames.len());
            if let Some(watch) = self.watch(step.local as usize)
                && status.is_ok()
            {
                let left =
                    (step.forwards_to != NONE).then_some((step.forwards_to as usize, &*frames));
                let seen = zero_copy::after(watch, session, node, calls.outputs(), left);
                status = seen.map_or_else(|Failed(status)| status, |()| status);
            }
            if !status.is_ok() {
                // What the node has not taken ends here.
                let left = if step.looks { 0 } else { close_gaps(frames) };
                session.block.nodes[node].dropped.add_shared(left as u64);
                return Err(Fault { node, status });
            }
            if status != Status::KEPT && !step.looks {
                // From now on it is known who may hold what it is given.
                self.nodes[step.local as usize].look_after();
            }
            let out = step.forwards_to as usize;
            // Who says KEPT and has taken a frame breaks the contract; nobody beyond its run is to see it.
            let may_have_gaps = status != Status::KEPT || !step.goes_on;
            if may_have_gaps && !step.looks && step.forwards_to != NONE {
                let left = close_gaps(frames);
                frames = &mut frames[..left];
            }
            if step.forwards_to != NONE && calls.outputs().left(out) < frames.len() {
                session.block.nodes[node]
                    .dropped
                    .add_shared(frames.len() as u64);
                return Err(too_many(session, node, out));
            }
            if !untouched {
                self.flush(session, node, calls.outputs())?;
            }
            if step.forwards_to == NONE || frames.is_empty() {
                return Ok(());
            }
            if !step.goes_on {
                return self.send_out(session, node, out, frames);
            }
            session.block.passed[step.link as usize].add(frames.len() as u64);
            at += 1;
            since = at;
        }
    }

    /// Notes what a node is about to be given that takes frames, or has to declare copies.
    #[cold]
    fn look_after(&mut self, session: &Session, step: &Step, frames: &[Frame]) {
        let holder = Holder::node(session.id(), step.node as usize);
        session.pool().attribute(frames, holder);
        if let Some(watch) = self.watch(step.local as usize) {
            watch.before(session.pool(), frames);
        }
    }

    /// Sends on what a call emitted.
    #[inline]
    pub(super) fn flush(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        outputs: &mut Outputs,
    ) -> Result<(), Fault> {
        // Most calls emit one frame at most, which has no need of an array.
        if let Some((port, frame)) = outputs.take_one() {
            return self.send_out(session, node, port, &mut [frame]);
        }
        self.flush_list(session, node, outputs)
    }

    fn flush_list(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        outputs: &mut Outputs,
    ) -> Result<(), Fault> {
        for emitted in outputs.listed_mut() {
            let unlinked = emitted.unlinked as u64;
            session.block.nodes[node].unlinked.add_shared(unlinked);
            let sent = self.send_out(session, node, emitted.port, &mut emitted.frames);
            emitted.frames.clear();
            sent?;
            if let Some(event) = emitted.then {
                self.send_event(session, node, emitted.port, event)?;
            }
        }
        outputs.clear();
        Ok(())
    }

    /// Sends a batch out at an output port, over all its links.
    #[inline]
    pub(super) fn send_out(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        port: usize,
        frames: &mut [Frame],
    ) -> Result<(), Fault> {
        let targets = &*session.plan.nodes[node].ports[port].targets;
        if let &[Target { link, to }] = targets
            && let To::Step(step) = to
        {
            session.block.passed[link].add(frames.len() as u64);
            return self.push_in(session, step, frames);
        }
        self.send_to_all(session, node, targets, frames)
    }

    fn send_to_all(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        targets: &[Target],
        frames: &mut [Frame],
    ) -> Result<(), Fault> {
        if frames.is_empty() {
            return Ok(());
        }
        let count = frames.len() as u64;
        if targets.is_empty() {
            session.block.nodes[node].unlinked.add_shared(count);
        }
        for (turn, Target { link, to }) in targets.iter().enumerate() {
            let is_last = turn + 1 == targets.len();
            session.block.passed[*link].add(count);
            match *to {
                To::Channel { outlet, consumer } => {
                    let outlet = &mut self.outlets[outlet];
                    let dropped = if is_last {
                        outlet.push(frames.len(), frames.iter_mut().map(std::mem::take))
                    } else {
                        outlet.push(frames.len(), frames.iter().cloned())
                    };
                    while let Some(stream) = outlet.take_wanted() {
                        session.want_keyframe(*link, stream);
                    }
                    session.block.dropped[*link].add_shared(dropped as u64);
                    session.notify(consumer);
                }
                To::Look(step) => self.push_in(session, step, frames)?,
                To::Step(step) if is_last => self.push_in(session, step, frames)?,
                To::Step(step) => {
                    let mut batch = spare::take();
                    batch.extend_from_slice(frames);
                    let result = self.push_in(session, step, &mut batch);
                    spare::give(batch);
                    result?;
                }
            }
        }
        Ok(())
    }

    /// Sends an in-band event out at an output port, over all its links.
    pub(super) fn send_event(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        port: usize,
        event: Event,
    ) -> Result<(), Fault> {
        for target in &session.plan.nodes[node].ports[port].targets {
            match target.to {
                To::Channel { outlet, consumer } => {
                    self.outlets[outlet].signal(event);
                    session.notify(consumer);
                }
                To::Look(step) | To::Step(step) => self.deliver(session, step, event)?,
            }
        }
        Ok(())
    }

    /// Gives an in-band event to an input; a node that does not handle it lets it pass.
    pub(super) fn deliver(
        &mut self,
        session: &Arc<Session>,
        step: usize,
        event: Event,
    ) -> Result<(), Fault> {
        let step = session.plan.steps[step];
        let (node, local) = (step.node as usize, step.local as usize);
        // With room for no frame: none is counted on, so a node cannot emit here.
        let mut outputs = Outputs::new(&session.plan, node, 0);
        let calls = &mut Calls::new(&mut outputs);
        let handled = match self.nodes[local].event(step.port as usize, event, calls) {
            Ok(handled) => handled,
            Err(Failed(status)) => return Err(Fault { node, status }),
        };
        self.flush(session, node, &mut outputs)?;
        if handled {
            return Ok(());
        }
        if step.forwards_to != NONE {
            return self.send_event(session, node, step.forwards_to as usize, event);
        }
        for port in 0..session.plan.nodes[node].ports.len() {
            if session.plan.nodes[node].ports[port].is_output {
                self.send_event(session, node, port, event)?;
            }
        }
        Ok(())
    }
}

fn too_many(session: &Session, node: usize, out: usize) -> Fault {
    let text =
        format!("it put out more frames at port {out} in one call than the port's max_out allows");
    session.set_error(node, text);
    let status = Status::INVALID;
    Fault { node, status }
}

/// Moves the frames in a batch to its front, in order, and returns their number.
fn close_gaps(frames: &mut [Frame]) -> usize {
    let Some(mut filled) = frames.iter().position(Frame::is_empty_slot) else {
        return frames.len();
    };
    for at in filled + 1..frames.len() {
        if !frames[at].is_empty_slot() {
            frames.swap(filled, at);
            filled += 1;
        }
    }
    filled
}
