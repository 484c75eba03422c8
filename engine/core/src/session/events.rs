//! Upstream events and ticks: who is to be called, and for what.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::{Event, NodeHandle, Status, event};

use super::{Session, lock};
use crate::{graph::PortRef, scheduler::worker::Place};

/// Events that may wait in one session; more than a graph's kinds, ports and streams come to.
const MAX_EVENTS: usize = 1024;

impl Session {
    /// Asks for a call of `tick`.
    pub(crate) fn call_soon(self: &Arc<Self>, node: usize) {
        self.mark_due(node);
        self.notify(self.plan.nodes[node].segment);
    }

    /// Has the next run of its segment tick a node.
    pub(crate) fn mark_due(&self, node: usize) {
        self.block.nodes[node].due.raise();
        self.mark_called(self.plan.nodes[node].segment);
    }

    pub(crate) fn mark_called(&self, segment: usize) {
        self.block.tasks[segment].called.raise();
    }

    pub(crate) fn take_called(&self, segment: usize) -> bool {
        self.block.tasks[segment].called.take()
    }

    /// Asks for a call of `tick` of a node, which this handle names, at the deadline.
    pub(crate) fn set_timer(&self, node: usize, handle: NodeHandle, deadline: i64) {
        self.engine.workers.at(self.place(node), deadline, handle);
    }

    /// Which of the engine's threads a node belongs to.
    pub(super) fn place(&self, node: usize) -> Place {
        Place {
            session: self.id,
            class: self.plan.segments[self.plan.nodes[node].segment].class,
        }
    }

    /// Events that wait for a node.
    pub(crate) fn waiting_events(&self, node: usize) -> usize {
        let Some(rare) = self.rare.get() else {
            return 0;
        };
        let events = lock(&rare.events);
        events.iter().filter(|(n, ..)| *n as usize == node).count()
    }

    /// Takes the event that has waited longest for a node, with its port.
    pub(crate) fn next_event(&self, node: usize) -> Option<(u32, Event)> {
        let mut events = lock(&self.rare.get()?.events);
        let first = events.iter().position(|(n, ..)| *n as usize == node)?;
        let (_, port, event) = events.remove(first);
        Some((port, event))
    }

    /// Adds an event, replacing one of the same kind, port and stream.
    fn add_event(&self, at: PortRef, event: Event) -> bool {
        let (node, port) = (at.node as u32, at.port as u32);
        let mut events = lock(&self.rare().events);
        let same = |(n, p, e): &&mut (u32, u32, Event)| {
            (*n, *p, e.kind, e.stream) == (node, port, event.kind, event.stream)
        };
        if let Some(waiting) = events.iter_mut().find(same) {
            waiting.2 = event;
        } else if events.len() < MAX_EVENTS {
            events.push((node, port, event));
        } else {
            return false;
        }
        true
    }

    /// Takes an upstream event that a node raises at one of its inputs.
    pub(crate) fn raise(self: &Arc<Self>, node: usize, port: usize, event: Event) -> Status {
        if !event::kind::is_upstream(event.kind) {
            return Status::INVALID;
        }
        let Some(link) = self.plan.nodes[node].ports.get(port).and_then(|p| p.link) else {
            return Status::INVALID;
        };
        self.raise_at(link, event)
    }

    fn raise_at(self: &Arc<Self>, link: usize, event: Event) -> Status {
        let from = self.plan.graph.links[link].from;
        if !self.add_event(from, event) {
            return Status::FULL;
        }
        let segment = self.plan.nodes[from.node].segment;
        self.mark_called(segment);
        self.notify(segment);
        Status::OK
    }

    /// Asks whatever feeds a link for a keyframe of a stream, of which frames were dropped.
    pub(crate) fn want_keyframe(self: &Arc<Self>, link: usize, stream: u16) {
        let request = Event {
            kind: event::kind::KEYFRAME_REQUEST,
            stream: u32::from(stream),
            value: 0,
        };
        // A full table has a request for a keyframe waiting already, or a thousand other things.
        let _ = self.raise_at(link, request);
    }

    /// Passes an event that a node does not handle on to what feeds the output it arrived at.
    pub(crate) fn pass_upstream(self: &Arc<Self>, node: usize, output: usize, event: Event) {
        let ports = &self.plan.nodes[node].ports;
        let forwards = |input: &usize| ports[*input].forwards_to == Some(output);
        // Round and round it would go where frames come round.
        let leads_on = |link: usize| !self.plan.graph.links[link].feedback;
        let inputs = || (0..ports.len()).filter(|port| ports[*port].link.is_some_and(leads_on));
        let any_forwards = inputs().any(|input| forwards(&input));
        for input in inputs().filter(|input| !any_forwards || forwards(input)) {
            // A full table loses no kind of event that is not waiting there already.
            let _ = self.raise(node, input, event);
        }
    }
}
