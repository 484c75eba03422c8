//! [`Segment`]: runs the nodes of a segment inline.
//!
//! A run takes batches from the segment's entries (channels from other segments, rings in which a
//! source's frames wait) and pushes each through the nodes depth first. Frames stay where they are
//! in memory: a batch is an array of slots that the nodes edit in place, and moves to another array
//! only where a node emits, a channel carries it, or an output feeds several links.
//!
//! What a call needs to know of the plan (where an output's links lead, whether an input only looks)
//! is laid out in the segment's own [`Slot`]s when it is built, so that a hop follows no pointer into
//! the plan. The frames that pass are counted once, on the link.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::{Event, Frame, Status, event};

use crate::{
    clock,
    graph::{Entry, Need, PortRef, Route},
    plugin::{
        instance::{Failed, Instance},
        outputs::{OutputPort, Outputs},
    },
    session::Session,
};

/// Frames that one call takes at most.
pub(crate) const MAX_BATCH: usize = 32;
/// Rounds over the entries before a segment lets others run.
const MAX_ROUNDS: usize = 8;
/// Time after which a segment lets others run, at the end of a round.
const MAX_RUN_NS: i64 = 1_000_000;

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
    /// All that comes in has come: nothing is left but to drain.
    is_draining: bool,
    /// Slot to drain next.
    draining: usize,
    /// Arrays for batches, kept for the next time; as many as batches nest.
    spare: Vec<Vec<Frame>>,
}

struct Slot {
    node: usize,
    instance: Instance,
    outputs: Outputs,
    ports: Box<[Port]>,
}

/// What running a node needs to know of one of its ports.
#[derive(Default)]
struct Port {
    is_linked_input: bool,
    /// Input: the node only looks.
    read_only: bool,
    /// Input: the output that what is left of a batch goes to.
    forwards_to: Option<usize>,
    /// Input: the end of the stream has been delivered.
    ended: bool,
    /// Output: where its links lead, those that only borrow first.
    targets: Box<[Target]>,
}

#[derive(Clone, Copy)]
struct Target {
    link: usize,
    to: To,
}

#[derive(Clone, Copy)]
enum To {
    /// An input of this segment.
    Input { slot: usize, port: usize },
    /// An input of this segment that only looks, and lets nothing through.
    Look { slot: usize, port: usize },
    /// A channel to this segment.
    Channel { channel: usize, consumer: usize },
}

impl Segment {
    pub fn empty(index: usize) -> Segment {
        Segment {
            index,
            slots: vec![],
            first_entry: 0,
            is_draining: false,
            draining: 0,
            spare: vec![],
        }
    }

    /// Adds the next node of the segment.
    pub fn add(&mut self, session: &Session, node: usize, instance: Instance) {
        let plan = &session.plan;
        let target = |link: &usize| {
            let PortRef { node, port } = plan.graph.links[*link].to;
            let (slot, to) = (plan.nodes[node].local, &plan.nodes[node].ports[port]);
            let to = match plan.routes[*link] {
                Route::Channel(channel) => To::Channel {
                    channel,
                    consumer: plan.channels[channel].consumer,
                },
                Route::Inline if to.read_only && to.forwards_to.is_none() => {
                    To::Look { slot, port }
                }
                Route::Inline => To::Input { slot, port },
            };
            Target { link: *link, to }
        };
        let ports = &plan.nodes[node].ports;
        let outputs = ports.iter().map(|port| OutputPort {
            max_out: port.max_out,
            is_output: port.is_output,
            is_linked: !port.links.is_empty(),
            ..OutputPort::default()
        });
        self.slots.push(Slot {
            node,
            instance,
            outputs: Outputs {
                ports: outputs.collect(),
                ..Outputs::default()
            },
            ports: ports
                .iter()
                .map(|port| Port {
                    is_linked_input: port.link.is_some(),
                    read_only: port.read_only,
                    forwards_to: port.forwards_to,
                    ended: false,
                    targets: port.links.iter().map(target).collect(),
                })
                .collect(),
        });
    }

    pub fn start_node(&mut self, local: usize) -> Result<(), Fault> {
        let slot = &mut self.slots[local];
        // With room for no frame, a node cannot emit before all others have started.
        slot.outputs.arm(0);
        let started = slot.instance.start(&mut slot.outputs);
        started.map_err(|Failed(status)| Fault {
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
        if self.is_draining {
            return self.drain(session);
        }
        // A segment whose input has ended makes no more calls: what they emit would take the room that
        // its end waits for, again and again.
        if session.take_called(self.index) && !self.is_ending(session) {
            self.deliver_calls(session)?;
        }
        let began = clock::now_ns();
        for _ in 0..MAX_ROUNDS {
            match self.round(session)? {
                // Others are waiting for the thread, and an abort for this run's end.
                Round::Moved if session.is_aborted() || clock::now_ns() - began > MAX_RUN_NS => {
                    break;
                }
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
            let (waiting, need) = match entry {
                Entry::Channel { channel, to } => (
                    session.channels[channel].len(),
                    &session.plan.nodes[to.node].need,
                ),
                Entry::Ingress { ingress } => (
                    session.ingress[ingress].len(),
                    &session.plan.ingress[ingress].need,
                ),
            };
            if waiting == 0 {
                continue;
            }
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
                    session.arrived[channel].add(batch.len() as u64);
                    if from.take_waiter() {
                        session.notify(session.plan.channels[channel].producer);
                    }
                    self.push_in(
                        session,
                        session.plan.nodes[to.node].local,
                        to.port,
                        &mut batch,
                    )
                }
                Entry::Ingress { ingress } => {
                    let from = &session.ingress[ingress];
                    batch.extend(std::iter::from_fn(|| from.pop()).take(count));
                    // A source is the root of its segment.
                    self.send_out(
                        session,
                        0,
                        session.plan.ingress[ingress].from.port,
                        &mut batch,
                    )
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

    /// Pushes frames that a source hands in from its own thread, and returns how many were taken,
    /// from the front; their slots are empty then.
    pub fn run_direct(
        &mut self,
        session: &Arc<Session>,
        ingress: usize,
        frames: &mut [Frame],
    ) -> usize {
        if self.is_draining {
            // The source was asked to end meanwhile: its ring takes the frames, which are counted as
            // dropped at the session's end.
            return 0;
        }
        let plan = &session.plan.ingress[ingress];
        let count = frames.len().min(room(session, &plan.need));
        for batch in frames[..count].chunks_mut(MAX_BATCH) {
            let result = self.send_out(session, 0, plan.from.port, batch);
            batch.fill_with(Frame::default);
            if let Err(fault) = result {
                session.fail(&fault);
                // Frames behind the failing batch are the session's as well, and end with it.
                let rest = frames[..count]
                    .iter()
                    .filter(|frame| !frame.is_empty_slot())
                    .count();
                session.node_counters[plan.from.node]
                    .dropped
                    .add_shared(rest as u64);
                frames[..count].fill_with(Frame::default);
                return count;
            }
        }
        count
    }

    /// Delivers events and ticks. Those that lack room for what they may emit stay where they are,
    /// and the channel's consumer wakes this segment for them.
    fn deliver_calls(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        for local in 0..self.slots.len() {
            let node = self.slots[local].node;
            let state = &session.nodes[node];
            // What the calls themselves raise waits for the next run, so that nodes that answer each
            // other cannot keep the thread.
            for _ in 0..state.waiting_events() {
                let Some((port, event)) = state.next_event() else {
                    break;
                };
                if !has_room_for_calls(session, node, 1) {
                    state.put_back(port, event);
                    session.mark_called(self.index);
                    break;
                }
                let handled = self.call(session, local, |slot| {
                    slot.instance.event(port as usize, event, &mut slot.outputs)
                })?;
                if !handled && event::kind::is_upstream(event.kind) {
                    session.pass_upstream(node, port as usize, event);
                }
            }
            if state.take_due() {
                if has_room_for_calls(session, node, 1) {
                    self.call(session, local, |slot| slot.instance.tick(&mut slot.outputs))?;
                } else {
                    state.set_due();
                    session.mark_called(self.index);
                }
            }
        }
        Ok(())
    }

    /// Whether nothing new can come in; what has come may still wait at the entries.
    fn is_ending(&self, session: &Session) -> bool {
        let plan = &session.plan.segments[self.index];
        let root = plan.nodes[0];
        if session.plan.nodes[root].is_source {
            return session.is_source_finished(root);
        }
        plan.entries.iter().all(|entry| match *entry {
            Entry::Channel { channel, .. } => session.channels[channel].is_finished(),
            Entry::Ingress { .. } => true,
        })
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
                    } else if !self.slots[0].ports[to.port].ended {
                        if !has_room_for_calls(session, root, 1) {
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
        self.is_draining = true;
        self.drain(session)
    }

    /// Ends and drains the nodes in order, as far as there is room for what they still emit.
    fn drain(&mut self, session: &Arc<Session>) -> Result<Next, Fault> {
        while self.draining < self.slots.len() {
            let local = self.draining;
            let node = self.slots[local].node;
            if !has_room_for_calls(session, node, session.plan.nodes[node].inputs + 1) {
                return Ok(Next::Wait);
            }
            for port in 0..self.slots[local].ports.len() {
                if self.slots[local].ports[port].is_linked_input
                    && !self.slots[local].ports[port].ended
                {
                    self.end_port(session, local, port)?;
                }
            }
            self.call(session, local, |slot| {
                slot.instance.drain(&mut slot.outputs)
            })?;
            self.draining += 1;
        }
        self.close_outputs(session);
        Ok(Next::Done)
    }

    fn end_port(&mut self, session: &Arc<Session>, local: usize, port: usize) -> Result<(), Fault> {
        self.slots[local].ports[port].ended = true;
        let end = Event {
            kind: event::kind::END_OF_STREAM,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        self.call(session, local, |slot| {
            slot.instance.event(port, end, &mut slot.outputs)
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
        f: impl FnOnce(&mut Slot) -> Result<R, Failed>,
    ) -> Result<R, Fault> {
        let slot = &mut self.slots[local];
        slot.outputs.arm(1);
        match f(slot) {
            Ok(answer) => {
                if slot.outputs.is_touched {
                    self.flush(session, local, None)?;
                }
                Ok(answer)
            }
            Err(failed) => Err(slot.fault(failed)),
        }
    }

    /// Gives a batch to an input port, and sends on what comes of it.
    fn push_in(
        &mut self,
        session: &Arc<Session>,
        mut local: usize,
        mut port: usize,
        mut frames: &mut [Frame],
    ) -> Result<(), Fault> {
        // A straight run of nodes that edit in place is this loop; everything else goes by `flush`.
        loop {
            let slot = &mut self.slots[local];
            slot.outputs.arm(frames.len());
            let input = &slot.ports[port];
            let answer = if input.read_only {
                slot.instance.observe(port, frames, &mut slot.outputs)
            } else {
                slot.instance.process(port, frames, &mut slot.outputs)
            };
            if let Err(failed) = answer {
                // What the node has not taken ends here.
                let left = close_gaps(frames) as u64;
                session.node_counters[slot.node].dropped.add_shared(left);
                return Err(slot.fault(failed));
            }
            let forwards_to = input.forwards_to;
            if slot.outputs.is_touched {
                return self.flush(session, local, forwards_to.map(|out| (out, frames)));
            }
            let Some(out) = forwards_to else {
                return Ok(());
            };
            let left = close_gaps(frames);
            frames = &mut frames[..left];
            if left == 0 {
                return Ok(());
            }
            if left
                > slot.outputs.ports[out]
                    .max_out
                    .saturating_mul(slot.outputs.batch)
            {
                return Err(self.too_many(session, local, out));
            }
            match *slot.ports[out].targets {
                [
                    Target {
                        link,
                        to: To::Input { slot, port: input },
                    },
                ] => {
                    session.link_counters[link].frames.add(left as u64);
                    (local, port) = (slot, input);
                }
                _ => return self.send_out(session, local, out, frames),
            }
        }
    }

    /// Sends on what a call emitted, and behind it what it left to forward.
    fn flush(
        &mut self,
        session: &Arc<Session>,
        local: usize,
        mut forward: Option<(usize, &mut [Frame])>,
    ) -> Result<(), Fault> {
        for port in 0..self.slots[local].outputs.ports.len() {
            let output = &mut self.slots[local].outputs.ports[port];
            if !output.is_output {
                continue;
            }
            let unlinked = std::mem::take(&mut output.unlinked);
            let mut emitted = std::mem::take(&mut output.frames);
            if let Some((_, frames)) = forward.take_if(|(out, _)| *out == port) {
                let left = close_gaps(frames);
                emitted.extend(frames[..left].iter_mut().map(std::mem::take));
            }
            let output = &self.slots[local].outputs;
            let limit = output.ports[port].max_out.saturating_mul(output.batch);
            let result = if emitted.len() + unlinked > limit {
                Err(self.too_many(session, local, port))
            } else {
                let node = self.slots[local].node;
                session.node_counters[node]
                    .unlinked
                    .add_shared(unlinked as u64);
                self.send_out(session, local, port, &mut emitted)
            };
            emitted.clear();
            self.slots[local].outputs.ports[port].frames = emitted;
            if result.is_err() {
                self.slots[local].outputs.discard();
                return result;
            }
        }
        Ok(())
    }

    fn too_many(&mut self, session: &Arc<Session>, local: usize, port: usize) -> Fault {
        let node = self.slots[local].node;
        let text = format!(
            "it put out more frames at port {port} in one call than the port's max_out allows"
        );
        session.set_error(node, text);
        self.slots[local].fault(Failed(Status::INVALID))
    }

    /// Sends a batch out at an output port, over all its links.
    fn send_out(
        &mut self,
        session: &Arc<Session>,
        local: usize,
        port: usize,
        frames: &mut [Frame],
    ) -> Result<(), Fault> {
        if frames.is_empty() {
            return Ok(());
        }
        let count = frames.len() as u64;
        let links = self.slots[local].ports[port].targets.len();
        if links == 0 {
            let node = self.slots[local].node;
            session.node_counters[node].unlinked.add_shared(count);
        }
        for turn in 0..links {
            let Target { link, to } = self.slots[local].ports[port].targets[turn];
            let is_last = turn + 1 == links;
            session.link_counters[link].frames.add(count);
            match to {
                To::Channel { channel, consumer } => {
                    let mut dropped = 0;
                    for frame in frames.iter_mut() {
                        let frame = if is_last {
                            std::mem::take(frame)
                        } else {
                            frame.clone()
                        };
                        dropped += u64::from(session.channels[channel].push(frame).is_some());
                    }
                    session.link_counters[link].dropped.add_shared(dropped);
                    session.notify(consumer);
                }
                To::Look { slot, port } => self.push_in(session, slot, port, frames)?,
                To::Input { slot, port } if is_last => self.push_in(session, slot, port, frames)?,
                To::Input { slot, port } => {
                    let mut batch = self.spare.pop().unwrap_or_default();
                    batch.extend_from_slice(frames);
                    let result = self.push_in(session, slot, port, &mut batch);
                    self.give_back(batch);
                    result?;
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

impl Slot {
    /// Releases what the failed call emitted, and names the node.
    fn fault(&mut self, Failed(status): Failed) -> Fault {
        self.outputs.discard();
        Fault {
            node: self.node,
            status,
        }
    }
}

enum Round {
    Moved,
    Idle,
    /// Frames are there, but no room for what they become.
    Waits,
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

/// Whether `calls` calls of a node may be made now; if not, its segment is woken when they may.
fn has_room_for_calls(session: &Session, node: usize, calls: usize) -> bool {
    let need = &session.plan.nodes[node].need;
    room(session, need) >= calls || wait_for_room(session, need, calls)
}
