//! [`Segment`]: runs the nodes of a segment inline.
//!
//! A run takes batches from the segment's entries (channels from other segments, rings in which a
//! source's frames wait) and pushes each through the nodes depth first. Frames stay where they are
//! in memory: a batch is an array of slots that the nodes edit in place, and moves to another array
//! only where a node emits, a channel carries it, or an output feeds several links.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::{Event, Frame, Status, event};

use crate::{
    clock,
    graph::{Entry, Need, PortRef, Route},
    plugin::instance::{Failed, Instance, OutputPort, Outputs},
    session::Session,
};

/// Frames that one call takes at most.
pub(crate) const MAX_BATCH: usize = 32;
/// Rounds over the entries before a segment lets others run.
const MAX_ROUNDS: usize = 8;

/// What a segment wants after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// To run again soon: there is more to do.
    Again,
    /// To be notified.
    Wait,
    /// Nothing ever again.
    Done,
}

/// A node's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub node: usize,
    pub status: Status,
}

/// See the module's documentation.
pub(crate) struct Segment {
    index: usize,
    slots: Vec<Slot>,
    /// Entry to look at first, so that none starves.
    first_entry: usize,
    /// Node to drain next, once all entries have finished.
    draining: Option<usize>,
    now: i64,
    /// Arrays for batches, kept for the next time.
    spare: Vec<Vec<Frame>>,
}

struct Slot {
    node: usize,
    instance: Instance,
    outputs: Outputs,
    /// By port: the end of the stream has been delivered.
    ended: Vec<bool>,
}

impl Segment {
    pub fn empty(index: usize) -> Segment {
        Segment {
            index,
            slots: vec![],
            first_entry: 0,
            draining: None,
            now: 0,
            spare: vec![],
        }
    }

    /// Adds the next node of the segment.
    pub fn add(&mut self, session: &Session, node: usize, instance: Instance) {
        let ports = &session.plan.nodes[node].ports;
        let outputs = ports.iter().map(|port| OutputPort {
            is_output: port.is_output,
            is_linked: !port.links.is_empty(),
            ..OutputPort::default()
        });
        self.slots.push(Slot {
            node,
            instance,
            outputs: Outputs {
                ports: outputs.collect(),
            },
            ended: vec![false; ports.len()],
        });
    }

    pub fn start_node(&mut self, local: usize) -> Result<(), Fault> {
        let slot = &mut self.slots[local];
        slot.instance
            .start(&mut slot.outputs, clock::now_ns())
            .map_err(|Failed(status)| Fault {
                node: slot.node,
                status,
            })
    }

    /// Stops and destroys all nodes; the session is over.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    /// Does what there is to do, up to a bound.
    pub fn run(&mut self, session: &Arc<Session>) -> Next {
        if session.is_aborted() {
            self.abandon(session);
            return Next::Done;
        }
        self.now = clock::now_ns();
        match self.try_run(session) {
            Ok(next) => next,
            Err(fault) => {
                session.fail(&fault);
                self.abandon(session);
                Next::Done
            }
        }
    }

    fn try_run(&mut self, session: &Arc<Session>) -> Result<Next, Fault> {
        if session.take_called(self.index) {
            self.deliver_calls(session)?;
        }
        for _ in 0..MAX_ROUNDS {
            match self.round(session)? {
                Round::Moved => {}
                Round::Idle => return self.try_finish(session),
                Round::Waits => return Ok(Next::Wait),
            }
        }
        Ok(Next::Again)
    }

    /// Takes at most one batch from each entry.
    fn round(&mut self, session: &Arc<Session>) -> Result<Round, Fault> {
        let entries = &session.plan.segments[self.index].entries;
        let (mut moved, mut waits) = (false, false);
        for turn in 0..entries.len() {
            let entry = entries[(self.first_entry + turn) % entries.len()];
            let waiting = match entry {
                Entry::Channel { channel, .. } => session.channels[channel].len(),
                Entry::Ingress { ingress } => session.ingress[ingress].len(),
            };
            if waiting == 0 {
                continue;
            }
            let need = match entry {
                Entry::Channel { to, .. } => &session.plan.nodes[to.node].need,
                Entry::Ingress { ingress } => &session.plan.ingress[ingress].need,
            };
            let count = waiting.min(MAX_BATCH).min(room(session, need));
            if count == 0 {
                // Where there is room by now after all, the next round takes the frames.
                if wait_for_room(session, need, 1) {
                    moved = true
                } else {
                    waits = true
                }
                continue;
            }
            let mut batch = self.spare.pop().unwrap_or_default();
            let result = match entry {
                Entry::Channel { channel, to } => {
                    let from = &session.channels[channel];
                    batch.extend(std::iter::from_fn(|| from.pop()).take(count));
                    if from.take_waiter() {
                        session.notify(session.plan.channels[channel].producer);
                    }
                    self.push_in(session, to, &mut batch)
                }
                Entry::Ingress { ingress } => {
                    let from = &session.ingress[ingress];
                    batch.extend(std::iter::from_fn(|| from.pop()).take(count));
                    self.send_out(session, session.plan.ingress[ingress].from, &mut batch)
                }
            };
            self.give_back(batch);
            result?;
            moved = true;
        }
        self.first_entry = (self.first_entry + 1) % entries.len().max(1);
        Ok(if moved {
            Round::Moved
        } else if waits {
            Round::Waits
        } else {
            Round::Idle
        })
    }

    /// Pushes frames that a source hands in from its own thread, and returns how many were taken.
    pub fn run_direct(
        &mut self,
        session: &Arc<Session>,
        ingress: usize,
        frames: &mut [Frame],
    ) -> usize {
        self.now = clock::now_ns();
        let plan = &session.plan.ingress[ingress];
        let count = frames.len().min(room(session, &plan.need));
        for batch in frames[..count].chunks_mut(MAX_BATCH) {
            if let Err(fault) = self.send_out(session, plan.from, batch) {
                session.fail(&fault);
                // What is left of the session's frames is released and counted by `abandon`; these
                // have been counted on their way.
                batch.fill_with(Frame::default);
                return count;
            }
            batch.fill_with(Frame::default);
        }
        count
    }

    /// Delivers events and ticks. Those that lack room for what they may emit stay where they are,
    /// and the channel's consumer wakes this segment for them.
    fn deliver_calls(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        for local in 0..self.slots.len() {
            let node = self.slots[local].node;
            let state = &session.nodes[node];
            while let Some((port, event)) = state.next_event() {
                if !self.has_room_for_call(session, node, 1) {
                    state.put_back(port, event);
                    session.mark_called(self.index);
                    break;
                }
                let handled = self.call(session, local, |slot, now| {
                    slot.instance
                        .event(port as usize, event, &mut slot.outputs, now)
                })?;
                if !handled && event::kind::is_upstream(event.kind) {
                    session.pass_upstream(node, port as usize, event);
                }
            }
            if state.take_due() {
                if self.has_room_for_call(session, node, 1) {
                    self.call(session, local, |slot, now| {
                        slot.instance.tick(&mut slot.outputs, now)
                    })?;
                } else {
                    state.set_due();
                    session.mark_called(self.index);
                }
            }
        }
        Ok(())
    }

    fn has_room_for_call(&self, session: &Session, node: usize, calls: usize) -> bool {
        let need = &session.plan.nodes[node].need;
        room(session, need) >= calls || wait_for_room(session, need, calls)
    }

    /// Ends the segment when nothing more can come in.
    fn try_finish(&mut self, session: &Arc<Session>) -> Result<Next, Fault> {
        let plan = &session.plan.segments[self.index];
        let root = plan.nodes[0];
        let mut finished = !session.plan.nodes[root].is_source || session.is_source_finished(root);
        for entry in &plan.entries {
            match *entry {
                Entry::Ingress { ingress } => finished &= session.ingress[ingress].is_empty(),
                Entry::Channel { channel, to } => {
                    if !session.channels[channel].is_finished() {
                        finished = false;
                    } else if !self.slots[0].ended[to.port] {
                        if !self.has_room_for_call(session, root, 1) {
                            return Ok(Next::Wait);
                        }
                        self.end_port(session, 0, to.port)?;
                    }
                }
            }
        }
        if !finished {
            return Ok(Next::Wait);
        }
        while self.draining.unwrap_or(0) < self.slots.len() {
            let local = self.draining.unwrap_or(0);
            let node = self.slots[local].node;
            if !self.has_room_for_call(session, node, session.plan.nodes[node].inputs + 1) {
                return Ok(Next::Wait);
            }
            for port in 0..session.plan.nodes[node].ports.len() {
                if session.plan.nodes[node].ports[port].link.is_some()
                    && !self.slots[local].ended[port]
                {
                    self.end_port(session, local, port)?;
                }
            }
            self.call(session, local, |slot, now| {
                slot.instance.drain(&mut slot.outputs, now)
            })?;
            self.draining = Some(local + 1);
        }
        self.close_outputs(session);
        Ok(Next::Done)
    }

    fn end_port(&mut self, session: &Arc<Session>, local: usize, port: usize) -> Result<(), Fault> {
        self.slots[local].ended[port] = true;
        let end = Event {
            kind: event::kind::END_OF_STREAM,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        self.call(session, local, |slot, now| {
            slot.instance.event(port, end, &mut slot.outputs, now)
        })?;
        Ok(())
    }

    fn close_outputs(&self, session: &Arc<Session>) {
        for (channel, plan) in session.plan.channels.iter().enumerate() {
            if plan.producer == self.index {
                session.channels[channel].close();
                session.notify(plan.consumer);
            }
        }
    }

    /// Releases and counts what has not been processed.
    fn abandon(&mut self, session: &Arc<Session>) {
        for entry in &session.plan.segments[self.index].entries {
            match *entry {
                Entry::Channel { channel, .. } => session.drop_channel(channel),
                Entry::Ingress { ingress } => session.drop_ingress(ingress),
            }
        }
        self.close_outputs(session);
    }

    /// Makes a call that brings no frames, and sends on what it emits.
    fn call<R>(
        &mut self,
        session: &Arc<Session>,
        local: usize,
        f: impl FnOnce(&mut Slot, i64) -> Result<R, Failed>,
    ) -> Result<R, Fault> {
        let slot = &mut self.slots[local];
        let node = slot.node;
        arm(slot, session, 1);
        let answer = f(slot, self.now).map_err(|Failed(status)| Fault { node, status });
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                discard(&mut self.slots[local]);
                return Err(fault);
            }
        };
        self.flush(session, local, None)?;
        Ok(answer)
    }

    /// Gives a batch to an input port, and sends on what comes of it.
    fn push_in(
        &mut self,
        session: &Arc<Session>,
        to: PortRef,
        frames: &mut [Frame],
    ) -> Result<(), Fault> {
        let plan = &session.plan.nodes[to.node];
        let port = &plan.ports[to.port];
        session.node_counters[to.node]
            .frames_in
            .add(frames.len() as u64);
        let slot = &mut self.slots[plan.local];
        arm(slot, session, frames.len());
        let answer = if port.read_only {
            slot.instance
                .observe(to.port, frames, &mut slot.outputs, self.now)
        } else {
            slot.instance
                .process(to.port, frames, &mut slot.outputs, self.now)
        };
        if let Err(Failed(status)) = answer {
            discard(slot);
            return Err(Fault {
                node: to.node,
                status,
            });
        }
        self.flush(
            session,
            plan.local,
            port.forwards_to.map(|out| (out, frames)),
        )
    }

    /// Sends on what a call emitted, and behind it what it left to forward.
    fn flush(
        &mut self,
        session: &Arc<Session>,
        local: usize,
        mut forward: Option<(usize, &mut [Frame])>,
    ) -> Result<(), Fault> {
        let node = self.slots[local].node;
        for port in 0..self.slots[local].outputs.ports.len() {
            let output = &mut self.slots[local].outputs.ports[port];
            if !output.is_output {
                continue;
            }
            let unlinked = std::mem::take(&mut output.unlinked);
            session.node_counters[node].unlinked.add_shared(unlinked);
            let limit = output.limit;
            let mut emitted = std::mem::take(&mut output.frames);
            let at = PortRef { node, port };
            let result = match forward.take_if(|(out, _)| *out == port) {
                Some((_, frames)) => {
                    let left = close_gaps(frames);
                    if left > limit {
                        session.set_error(node, format!(
                            "it put out more frames at port {port} in one call than the port's max_out allows"
                        ));
                        Err(Fault {
                            node,
                            status: Status::INVALID,
                        })
                    } else if emitted.is_empty() {
                        self.send_out(session, at, &mut frames[..left])
                    } else {
                        emitted.extend(frames[..left].iter_mut().map(std::mem::take));
                        self.send_out(session, at, &mut emitted)
                    }
                }
                None => self.send_out(session, at, &mut emitted),
            };
            emitted.clear();
            self.slots[local].outputs.ports[port].frames = emitted;
            result?;
        }
        Ok(())
    }

    /// Sends a batch out at an output port, over all its links.
    fn send_out(
        &mut self,
        session: &Arc<Session>,
        from: PortRef,
        frames: &mut [Frame],
    ) -> Result<(), Fault> {
        if frames.is_empty() {
            return Ok(());
        }
        let count = frames.len() as u64;
        let links = &session.plan.nodes[from.node].ports[from.port].links;
        if links.is_empty() {
            session.node_counters[from.node].unlinked.add_shared(count);
        } else {
            session.node_counters[from.node].frames_out.add(count);
        }
        for (turn, &link) in links.iter().enumerate() {
            let is_last = turn + 1 == links.len();
            session.link_counters[link].frames.add(count);
            match session.plan.routes[link] {
                Route::Channel(channel) => {
                    let mut dropped = 0;
                    for frame in frames.iter_mut() {
                        let frame = if is_last {
                            std::mem::take(frame)
                        } else {
                            frame.clone()
                        };
                        dropped += u64::from(session.channels[channel].push(frame).is_some());
                    }
                    session.link_counters[link].dropped.add(dropped);
                    session.notify(session.plan.channels[channel].consumer);
                }
                Route::Inline => {
                    let to = session.plan.graph.links[link].to;
                    let port = &session.plan.nodes[to.node].ports[to.port];
                    if is_last || (port.read_only && port.forwards_to.is_none()) {
                        // A consumer that only looks borrows the frames.
                        self.push_in(session, to, frames)?;
                    } else {
                        let mut batch = self.spare.pop().unwrap_or_default();
                        batch.extend_from_slice(frames);
                        let result = self.push_in(session, to, &mut batch);
                        self.give_back(batch);
                        result?;
                    }
                }
            }
        }
        Ok(())
    }

    fn give_back(&mut self, mut batch: Vec<Frame>) {
        batch.clear();
        self.spare.push(batch);
    }
}

enum Round {
    Moved,
    Idle,
    /// Frames are there, but no room for what they become.
    Waits,
}

/// Sets how much a call may emit at each port.
fn arm(slot: &mut Slot, session: &Session, frames: usize) {
    let ports = &session.plan.nodes[slot.node].ports;
    for (output, plan) in slot.outputs.ports.iter_mut().zip(ports) {
        output.limit = plan.max_out.saturating_mul(frames);
    }
}

/// Releases what a failed call emitted.
fn discard(slot: &mut Slot) {
    for output in &mut slot.outputs.ports {
        output.frames.clear();
        output.unlinked = 0;
    }
}

/// Moves the frames in a batch to its front, in order, and returns their number.
fn close_gaps(frames: &mut [Frame]) -> usize {
    let mut filled = 0;
    for at in 0..frames.len() {
        if !frames[at].is_empty_slot() {
            frames.swap(filled, at);
            filled += 1;
        }
    }
    filled
}

/// How many frames may be taken so that all that they become fits.
fn room(session: &Session, need: &Need) -> usize {
    need.iter()
        .map(|(channel, frames)| session.channels[*channel].room() / frames.max(&1))
        .min()
        .unwrap_or(usize::MAX)
}

/// Leaves a mark at each channel that lacks room for `count` frames; returns whether all have it.
fn wait_for_room(session: &Session, need: &Need, count: usize) -> bool {
    need.iter().all(|(channel, frames)| {
        let channel = &session.channels[*channel];
        let wanted = frames.saturating_mul(count);
        channel.room() >= wanted || channel.wait_for_room(wanted)
    })
}
