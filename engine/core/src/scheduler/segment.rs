//! [`Segment`]: runs the nodes of a segment inline.
//!
//! A run takes batches from the segment's entries (channels from other segments, rings in which a
//! source's frames wait) and pushes each through the nodes depth first ([`flow`](super::flow)).
//!
//! *Batches.* A batch is what is there, up to [`MAX_BATCH`] frames and to about [`BATCH_NS`] of the
//! segment's measured cost, so that a backlog is worked off in few calls and a slow node still lets
//! others in. Paced frames come one at a time and never wait for a batch to fill.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::{Event, Frame, Status, event};

use crate::{
    channel::{Inlet, Outlet},
    graph::{Entry, Need},
    plugin::{
        instance::{Calls, Failed, Instance},
        outputs::Outputs,
        spare,
    },
    scheduler::zero_copy::Watch,
    session::{Session, block::Row},
};

/// Frames that one call takes at most.
pub(crate) const MAX_BATCH: usize = 32;
/// Time that one batch should take at most, where more than one frame is there.
const BATCH_NS: i64 = 50_000;
/// Rounds over the entries before a segment lets others run.
const MAX_ROUNDS: usize = 8;
/// Time after which a segment lets others run, at the end of a round.
const MAX_RUN_NS: i64 = 1_000_000;
/// Ticks that a node may have one after the other, and between two looks at the clock.
const MAX_TICKS: usize = 4096;
const TICKS: usize = 32;

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

/// See the module's documentation. What a run without channels reads comes last, for it to lie on one
/// cache line with the task's own fields.
#[repr(C)]
pub(crate) struct Segment {
    /// In the order of the plan's numbering.
    pub(super) outlets: Row<Outlet>,
    /// Of the entries that are channels, which come before the others.
    pub(super) inlets: Row<Inlet>,
    /// By node, where copies are to be declared; otherwise empty.
    watches: Vec<Watch>,
    /// Node to drain next.
    draining: usize,
    /// In the order of the plan's segment.
    pub(super) nodes: Row<Instance>,
    pub(super) index: usize,
    /// What a frame costs, ns, smoothed.
    cost_ns: i64,
    /// Entry to look at first, so that none starves.
    first_entry: u32,
    /// Frames to take at a time.
    pub(super) batch: u8,
    /// All that comes in has come: nothing is left but to drain.
    is_draining: bool,
    /// Copies are to be declared.
    is_watched: bool,
}

#[cfg(all(target_pointer_width = "64", not(loom)))]
const _: () = assert!(std::mem::offset_of!(Segment, nodes) == 64);

impl Segment {
    /// Makes a segment without nodes and channels, with room for those that it has.
    pub fn new(
        index: usize,
        nodes: Row<Instance>,
        outlets: Row<Outlet>,
        inlets: Row<Inlet>,
    ) -> Segment {
        Segment {
            nodes,
            index,
            cost_ns: 0,
            first_entry: 0,
            batch: MAX_BATCH as u8,
            is_draining: false,
            is_watched: false,
            outlets,
            inlets,
            watches: vec![],
            draining: 0,
        }
    }

    /// Adds the next node of the segment.
    pub fn add(&mut self, mut instance: Instance, session: &Session) {
        if session.engine.assert_zero_copy {
            self.watches.push(Watch::default());
            self.is_watched = true;
            instance.look_after();
        }
        self.nodes.push(instance);
    }

    /// Adds the next of the channels that the segment feeds.
    pub fn add_outlet(&mut self, outlet: Outlet) {
        self.outlets.push(outlet);
    }

    /// Adds the next of the channels that feed the segment.
    pub fn add_inlet(&mut self, inlet: Inlet) {
        self.inlets.push(inlet);
    }

    /// Who watches a node, where copies are to be declared.
    #[inline]
    pub(super) fn watch(&mut self, local: usize) -> Option<&mut Watch> {
        if !self.is_watched {
            return None;
        }
        self.watches.get_mut(local)
    }

    /// Starts a node; all that its outputs lead to have started.
    pub fn start_node(&mut self, session: &Arc<Session>, local: usize) -> Result<(), Fault> {
        let node = session.plan.segments[self.index].nodes[local];
        // With room for no frame, a node cannot emit before all others have started. It may send events.
        let mut outputs = Outputs::new(&session.plan, node, 0);
        let started = self.nodes[local].start(&mut Calls::new(&mut outputs));
        started.map_err(|Failed(status)| Fault { node, status })?;
        self.flush(session, node, &mut outputs)
    }

    /// Stops and destroys all nodes, and counts what still waited; the session is over.
    pub fn clear(&mut self, session: &Session) {
        self.nodes.clear();
        self.discard_inlets(session);
    }

    fn discard_inlets(&mut self, session: &Session) {
        for (entry, inlet) in session.plan.segments[self.index]
            .entries
            .iter()
            .zip(self.inlets.iter_mut())
        {
            if let Entry::Channel { channel, .. } = entry {
                let link = session.plan.channels[*channel].link;
                session.block.dropped[link].add_shared(inlet.discard());
            }
        }
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
        let mut began = session.now_ns();
        let end = began + MAX_RUN_NS;
        // A segment whose input has ended makes no more calls: what they emit would take the room that
        // its end waits for, again and again.
        if session.take_called(self.index)
            && !self.is_ending(session)
            && self.deliver_calls(session, end)?
        {
            // A node that ticks on and on lets others run, frames of its own segment first.
            self.round(session)?;
            return Ok(Next::Again);
        }
        for _ in 0..MAX_ROUNDS {
            match self.round(session)? {
                Round::Moved(frames) => {
                    let now = session.now_ns();
                    self.measure(now - began, frames);
                    // Others are waiting for the thread, and an abort for this run's end.
                    if now > end || session.is_aborted() {
                        break;
                    }
                    began = now;
                }
                Round::Idle => return self.try_finish(session),
                Round::Waits => return Ok(Next::Wait),
            }
        }
        Ok(Next::Again)
    }

    /// Learns from a round what a frame costs.
    fn measure(&mut self, elapsed: i64, frames: usize) {
        let Some(cost) = elapsed.checked_div(frames as i64) else {
            return;
        };
        self.cost_ns += (cost - self.cost_ns) / 4;
        let fit = BATCH_NS / self.cost_ns.max(1);
        self.batch = fit.clamp(1, MAX_BATCH as i64) as u8;
    }

    /// Takes at most one batch from each entry.
    fn round(&mut self, session: &Arc<Session>) -> Result<Round, Fault> {
        let entries = &session.plan.segments[self.index].entries;
        let (mut moved, mut frames, mut waits) = (false, 0, false);
        let root = session.plan.segments[self.index].nodes[0];
        let tolerance_ns = session.plan.nodes[root].tolerance_ns;
        if let Some(tolerance_ns) = tolerance_ns {
            let aligned = self.take_aligned(session, tolerance_ns)?;
            (moved, frames, waits) = (aligned.moved, aligned.frames, aligned.waits);
        }
        for turn in 0..entries.len() {
            let at = (self.first_entry as usize + turn) % entries.len();
            if tolerance_ns.is_some() && self.aligned(session, at).is_some() {
                continue;
            }
            let (has_any, need) = match entries[at] {
                Entry::Channel { to, .. } => {
                    (self.inlets[at].has_any(), &session.plan.nodes[to.node].need)
                }
                Entry::Ingress { ingress } => (
                    !session.block.ingress[ingress].is_empty(),
                    &session.plan.ingress[ingress].need,
                ),
            };
            if !has_any {
                continue;
            }
            let most = session.engine.batch_limit(usize::from(self.batch));
            let count = self.room(session, need).min(most);
            if count == 0 {
                // Where there is room by now after all, the next round takes the frames.
                if self.wait_for_room(session, need, 1) {
                    moved = true
                } else {
                    waits = true
                }
                continue;
            }
            let mut batch = spare::take();
            let result = match entries[at] {
                Entry::Channel { channel, to } => {
                    let event = self.take_in(session, channel, at, count, &mut batch);
                    moved |= event.is_some();
                    let step = session.plan.nodes[to.node].ports[to.port].step;
                    frames += batch.len();
                    match event {
                        Some(event) => self.deliver(session, step, event),
                        None => self.push_in(session, step, &mut batch),
                    }
                }
                Entry::Ingress { ingress } => {
                    let event = session.block.ingress[ingress].take(count, &mut batch);
                    moved |= event.is_some();
                    frames += batch.len();
                    let from = session.plan.ingress[ingress].from;
                    let sent = self.send_out(session, from.node, from.port, &mut batch);
                    match event {
                        Some(event) if sent.is_ok() => {
                            self.send_event(session, from.node, from.port, event)
                        }
                        _ => sent,
                    }
                }
            };
            spare::give(batch);
            result?;
        }
        self.first_entry = (self.first_entry + 1) % entries.len().max(1) as u32;
        Ok(if moved || frames > 0 {
            Round::Moved(frames)
        } else if waits {
            Round::Waits
        } else {
            Round::Idle
        })
    }

    /// Takes from a channel, counts, and wakes the producer and the source of keyframes where needed.
    pub(super) fn take_in(
        &mut self,
        session: &Arc<Session>,
        channel: usize,
        entry: usize,
        count: usize,
        batch: &mut Vec<Frame>,
    ) -> Option<Event> {
        let event = self.inlets[entry].take(count, batch);
        session.block.arrived[channel].add(batch.len() as u64);
        self.after_taking(session, channel, entry);
        event
    }

    /// What follows when frames have been taken from a channel.
    pub(super) fn after_taking(&mut self, session: &Arc<Session>, channel: usize, entry: usize) {
        let inlet = &mut self.inlets[entry];
        let plan = &session.plan.channels[channel];
        let dropped = inlet.take_dropped();
        session.block.dropped[plan.link].add_shared(dropped);
        while let Some(stream) = inlet.take_wanted() {
            session.want_keyframe(plan.link, stream);
        }
        if inlet.take_waiter() {
            session.notify(plan.producer);
        }
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
        let count = frames.len().min(self.room(session, &plan.need));
        for batch in frames[..count].chunks_mut(MAX_BATCH) {
            let result = self.send_out(session, plan.from.node, plan.from.port, batch);
            for frame in batch.iter_mut().filter(|frame| !frame.is_empty_slot()) {
                *frame = Frame::default();
            }
            if let Err(fault) = result {
                session.fail(&fault);
                // Frames behind the failing batch are the session's as well, and end with it.
                let rest = frames[..count]
                    .iter()
                    .filter(|frame| !frame.is_empty_slot())
                    .count();
                session.block.nodes[plan.from.node]
                    .dropped
                    .add_shared(rest as u64);
                frames[..count].fill_with(Frame::default);
                return count;
            }
        }
        count
    }

    /// Ticks a node whose time has come, where the segment was at rest; the rest of what there is to
    /// do is left to a run, which the answer asks for.
    pub fn run_tick(&mut self, session: &Arc<Session>, node: usize) -> Next {
        if self.is_draining || self.is_ending(session) || session.is_aborted() {
            return Next::Again;
        }
        match self.tick(session, node, None) {
            Ok(false) => Next::Wait,
            Ok(true) => Next::Again,
            Err(fault) => {
                session.fail(&fault);
                Next::Again
            }
        }
    }

    /// Ticks a node until it has had enough, or the time is over; `true` when it wants more.
    fn tick(
        &mut self,
        session: &Arc<Session>,
        node: usize,
        mut end: Option<i64>,
    ) -> Result<bool, Fault> {
        if session.is_held(node) {
            // It ticks when the session is released.
            session.mark_due(node);
            return Ok(false);
        }
        let local = session.plan.nodes[node].local;
        for turn in 1..=MAX_TICKS {
            if !self.has_room_for_calls(session, node, 1) {
                // It is made to tick again when the channel's consumer wakes this segment.
                session.mark_due(node);
                return Ok(false);
            }
            let status = self.call(session, local, |node, calls| node.tick(calls))?;
            // A source that was asked to end is not to go on; what others hold is still to come.
            let is_over = if session.plan.nodes[node].is_source {
                session.is_source_finished(node)
            } else {
                session.is_aborted()
            };
            if status != Status::AGAIN || is_over {
                return Ok(false);
            }
            // Most ticks are alone, and need no look at the clock.
            if turn % TICKS == 0 {
                let now = session.now_ns();
                if now > *end.get_or_insert(now + MAX_RUN_NS) {
                    break;
                }
            }
        }
        session.mark_due(node);
        Ok(true)
    }

    /// Delivers events and ticks; `true` when one of the nodes wants more. Those that lack room for
    /// what they may emit stay where they are, and the channel's consumer wakes this segment for them.
    fn deliver_calls(&mut self, session: &Arc<Session>, end: i64) -> Result<bool, Fault> {
        let mut wants_more = false;
        let nodes = &session.plan.segments[self.index].nodes;
        for (local, &node) in nodes.iter().enumerate() {
            // What the calls themselves raise waits for the next run, so that nodes that answer each
            // other cannot keep the thread.
            for _ in 0..session.waiting_events(node) {
                if !self.has_room_for_calls(session, node, 1) {
                    session.mark_called(self.index);
                    break;
                }
                let Some((port, event)) = session.next_event(node) else {
                    break;
                };
                let handled = self.call(session, local, |node, calls| {
                    node.event(port as usize, event, calls)
                })?;
                if !handled && event::kind::is_upstream(event.kind) {
                    session.pass_upstream(node, port as usize, event);
                }
            }
            if session.block.nodes[node].due.take() {
                wants_more |= self.tick(session, node, Some(end))?;
            }
        }
        Ok(wants_more)
    }

    /// Whether nothing new can come in; what has come may still wait at the entries.
    fn is_ending(&self, session: &Session) -> bool {
        let plan = &session.plan.segments[self.index];
        let root = plan.nodes[0];
        if session.plan.nodes[root].is_source {
            return session.is_source_finished(root);
        }
        let feeds = plan.entries.iter().zip(&self.inlets);
        feeds
            .filter(|(entry, _)| !session.plan.is_feedback(entry))
            .all(|(_, inlet)| inlet.is_finished())
    }

    /// Ends the segment when nothing more can come in.
    fn try_finish(&mut self, session: &Arc<Session>) -> Result<Next, Fault> {
        let plan = &session.plan.segments[self.index];
        let root = plan.nodes[0];
        let mut finished = !session.plan.nodes[root].is_source || session.is_source_finished(root);
        for (at, entry) in plan.entries.iter().enumerate() {
            match *entry {
                Entry::Ingress { ingress } => finished &= session.block.ingress[ingress].is_empty(),
                // What comes round is waited for by nobody.
                Entry::Channel { .. } if session.plan.is_feedback(entry) => {}
                Entry::Channel { to, .. } => {
                    if !self.inlets[at].is_finished() {
                        finished = false;
                    } else if !self.inlets[at].end_delivered {
                        if !self.has_room_for_calls(session, root, 1) {
                            return Ok(Next::Wait);
                        }
                        self.inlets[at].end_delivered = true;
                        self.end_port(session, 0, to.port)?;
                    }
                }
            }
        }
        if !finished {
            return Ok(Next::Wait);
        }
        self.is_draining = true;
        for (entry, inlet) in plan.entries.iter().zip(&self.inlets) {
            if let Entry::Channel { channel, .. } = entry
                && session.plan.is_feedback(entry)
                && inlet.abandon()
            {
                session.notify(session.plan.channels[*channel].producer);
            }
        }
        self.drain(session)
    }

    /// Ends and drains the nodes in order, as far as there is room for what they still emit.
    fn drain(&mut self, session: &Arc<Session>) -> Result<Next, Fault> {
        let nodes = &session.plan.segments[self.index].nodes;
        while self.draining < nodes.len() {
            let local = self.draining;
            let plan = &session.plan.nodes[nodes[local]];
            if !self.has_room_for_calls(session, nodes[local], plan.inputs + 1) {
                return Ok(Next::Wait);
            }
            for port in 0..plan.ports.len() {
                // The root's inputs ended when its channels did, feedback apart.
                let ends = plan.ports[port]
                    .link
                    .is_some_and(|link| local > 0 || session.plan.graph.links[link].feedback);
                if ends {
                    self.end_port(session, local, port)?;
                }
            }
            self.call(session, local, |node, calls| node.drain(calls))?;
            self.draining += 1;
        }
        self.close_outlets(session);
        Ok(Next::Done)
    }

    fn end_port(&mut self, session: &Arc<Session>, local: usize, port: usize) -> Result<(), Fault> {
        let end = Event {
            kind: event::kind::END_OF_STREAM,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        self.call(session, local, |node, calls| node.event(port, end, calls))?;
        Ok(())
    }

    fn close_outlets(&self, session: &Arc<Session>) {
        self.outlets.iter().for_each(Outlet::close);
        for plan in session
            .plan
            .channels
            .iter()
            .filter(|plan| plan.producer == self.index)
        {
            session.notify(plan.consumer);
        }
    }

    /// Releases and counts what has not been processed.
    fn abandon(&mut self, session: &Arc<Session>) {
        self.discard_inlets(session);
        for entry in &session.plan.segments[self.index].entries {
            if let Entry::Ingress { ingress } = *entry {
                session.drop_ingress(ingress);
            }
        }
        self.close_outlets(session);
    }

    /// How many frames may be taken so that all that they become fits.
    pub(super) fn room(&self, session: &Session, need: &Need) -> usize {
        need.iter()
            .map(|(channel, frames)| self.outlet(session, *channel).room() / frames.max(&1))
            .min()
            .unwrap_or(usize::MAX)
    }

    /// Leaves a mark at each channel that lacks room for `count` frames; returns whether all have it.
    pub(super) fn wait_for_room(&self, session: &Session, need: &Need, count: usize) -> bool {
        need.iter().all(|(channel, frames)| {
            let outlet = self.outlet(session, *channel);
            let wanted = frames.saturating_mul(count);
            outlet.room() >= wanted || outlet.wait_for_room(wanted)
        })
    }

    /// The channels that a node of this segment needs room in are this segment's own.
    fn outlet(&self, session: &Session, channel: usize) -> &Outlet {
        &self.outlets[session.plan.channels[channel].outlet]
    }

    /// Whether `calls` calls of a node may be made now; if not, its segment is woken when they may.
    fn has_room_for_calls(&self, session: &Session, node: usize, calls: usize) -> bool {
        let need = &session.plan.nodes[node].need;
        self.room(session, need) >= calls || self.wait_for_room(session, need, calls)
    }
}

enum Round {
    /// Something was done; so many frames were taken.
    Moved(usize),
    Idle,
    /// Frames are there, but no room for what they become.
    Waits,
}
