//! How frames move through a segment: depth first, node by node.
//!
//! Frames stay where they are in memory: a batch is an array of slots that the nodes edit in place, and
//! moves to another array only where a node emits, a channel carries it, or an output feeds several
//! links. A straight run of nodes that leave every slot filled is one loop that reads a
//! [`Step`](crate::graph::Step) a hop. The frames that pass are counted once, on the link.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::{Event, Frame, Status};

use super::segment::{Fault, Segment};
use crate::{
    graph::{NONE, Target, To},
    plugin::{
        instance::{Failed, Instance},
        outputs::{Emitted, Outputs, emitted},
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
        f: impl FnOnce(&mut Instance, &mut Outputs) -> Result<R, Failed>,
    ) -> Result<R, Fault> {
        let node = session.plan.segments[self.index].nodes[local];
        let mut outputs = Outputs::new(&session.plan, node, 1);
        match f(&mut self.nodes[local], &mut outputs) {
            Ok(answer) => {
                if !outputs.is_untouched() {
                    let list = outputs.take();
                    self.flush(session, node, 1, list, None)?;
                }
                Ok(answer)
            }
            Err(Failed(status)) => {
                outputs.discard();
                Err(Fault { node, status })
            }
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
        let plan = &*session.plan;
        let mut outputs = Outputs::new(plan, 0, 0);
        loop {
            let step = &plan.steps[at];
            outputs.arm(step.node as usize, frames.len());
            let node = &mut self.nodes[step.local as usize];
            let status = if step.looks {
                node.observe(step.port, frames, &mut outputs)
            } else {
                node.process(step.port, frames, &mut outputs)
            };
            let kept = status == Status::KEPT || (step.looks && status.is_ok());
            if kept && outputs.is_untouched() && step.next != NONE {
                session.link_counters[step.link as usize]
                    .frames
                    .add(frames.len() as u64);
                at = step.next as usize;
                continue;
            }
            if !status.is_ok() {
                outputs.discard();
                // What the node has not taken ends here.
                let left = if step.looks { 0 } else { close_gaps(frames) };
                session.nodes[step.node as usize]
                    .dropped
                    .add_shared(left as u64);
                let node = step.node as usize;
                return Err(Fault { node, status });
            }
            let batch = frames.len();
            if !kept {
                let left = close_gaps(frames);
                frames = &mut frames[..left];
            }
            let node = step.node as usize;
            let forward = (step.forwards_to != NONE).then_some(step.forwards_to as usize);
            if outputs.is_untouched() && step.next != NONE {
                if frames.is_empty() {
                    return Ok(());
                }
                session.link_counters[step.link as usize]
                    .frames
                    .add(frames.len() as u64);
                at = step.next as usize;
                continue;
            }
            if outputs.is_untouched() && forward.is_none() {
                return Ok(());
            }
            let list = outputs.take();
            let forward = forward.map(|out| (out, frames));
            return self.flush(session, node, batch, list, forward);
        }
    }

    /// Sends on what a call with `batch` frames emitted, and behind it what it left to forward.
    fn flush(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        batch: usize,
        mut list: Vec<Emitted>,
        forward: Option<(usize, &mut [Frame])>,
    ) -> Result<(), Fault> {
        let mut result = Ok(());
        if let Some((out, frames)) = &forward {
            let limit = session.plan.nodes[node].ports[*out]
                .max_out
                .saturating_mul(batch);
            if emitted(&list, *out) + frames.len() > limit {
                let text = format!(
                    "it put out more frames at port {out} in one call than the port's max_out allows"
                );
                session.set_error(node, text);
                let status = Status::INVALID;
                result = Err(Fault { node, status });
            }
        }
        for part in &mut list {
            if result.is_err() {
                break;
            }
            session.nodes[node]
                .unlinked
                .add_shared(part.unlinked as u64);
            result = self.send_out(session, node, part.port, &mut part.frames);
            if let (Ok(()), Some(event)) = (&result, part.then) {
                result = self.send_event(session, node, part.port, event);
            }
        }
        spare::give_list(list);
        result?;
        match forward {
            Some((out, frames)) => self.send_out(session, node, out, frames),
            None => Ok(()),
        }
    }

    /// Sends a batch out at an output port, over all its links.
    pub(super) fn send_out(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        port: usize,
        frames: &mut [Frame],
    ) -> Result<(), Fault> {
        if frames.is_empty() {
            return Ok(());
        }
        let count = frames.len() as u64;
        let targets = &*session.plan.nodes[node].ports[port].targets;
        if targets.is_empty() {
            session.nodes[node].unlinked.add_shared(count);
        }
        for (turn, Target { link, to }) in targets.iter().enumerate() {
            let is_last = turn + 1 == targets.len();
            session.link_counters[*link].frames.add(count);
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
                    session.link_counters[*link]
                        .dropped
                        .add_shared(dropped as u64);
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
        let handled = match self.nodes[local].event(step.port as usize, event, &mut outputs) {
            Ok(handled) => handled,
            Err(Failed(status)) => {
                outputs.discard();
                return Err(Fault { node, status });
            }
        };
        let list = outputs.take();
        self.flush(session, node, 0, list, None)?;
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
