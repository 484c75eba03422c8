//! Alignment: a node with `sync = "pts"` takes the frames of its inputs in the order of their `pts`.
//!
//! The earliest of the frames at the heads of the inputs is known once each input has a frame, has
//! ended, or has said by a gap that none comes that early. While one input is silent the others' frames
//! wait in their channels, up to the channel's patience; then the earliest goes on without. Frames within
//! the tolerance of the earliest are simultaneous, and are taken in the order of the inputs.
#![forbid(unsafe_code)]

use std::sync::Arc;

use levada_abi::event;

use super::segment::{Fault, MAX_BATCH, Segment};
use crate::{
    channel::Next,
    graph::{Entry, PortRef},
    session::Session,
};

/// What [`Segment::take_aligned`] did.
#[derive(Default)]
pub(super) struct Aligned {
    /// Frames or events were taken.
    pub moved: bool,
    /// Frames are there, but no room for what they become.
    pub waits: bool,
    pub frames: usize,
}

impl Segment {
    /// Takes frames of aligned inputs, each by itself, as long as it is known which is the earliest.
    pub(super) fn take_aligned(
        &mut self,
        session: &Arc<Session>,
        tolerance_ns: i64,
    ) -> Result<Aligned, Fault> {
        let root = session.plan.segments[self.index].nodes[0];
        let need = &session.plan.nodes[root].need;
        let mut done = Aligned::default();
        while done.frames < MAX_BATCH {
            let Some(earliest) = self.earliest(session, tolerance_ns, &mut done)? else {
                break;
            };
            let until = earliest.saturating_add(tolerance_ns);
            for at in 0..self.inlets.len() {
                let Some((channel, to)) = self.aligned(session, at) else {
                    continue;
                };
                if !matches!(self.inlets[at].peek(), Next::Frame(pts) if pts <= until) {
                    continue;
                }
                if self.room(session, need) == 0 && !self.wait_for_room(session, need, 1) {
                    done.waits = true;
                    return Ok(done);
                }
                let Some(frame) = self.inlets[at].take_held() else {
                    continue;
                };
                session.block.arrived[channel].add(1);
                self.after_taking(session, channel, at);
                (done.moved, done.frames) = (true, done.frames + 1);
                let step = session.plan.nodes[to.node].ports[to.port].step;
                self.push_in(session, step, &mut [frame])?;
            }
        }
        Ok(done)
    }

    /// The `pts` of the earliest frame, when it is known. Delivers the events on the way to the heads.
    fn earliest(
        &mut self,
        session: &Arc<Session>,
        tolerance_ns: i64,
        done: &mut Aligned,
    ) -> Result<Option<i64>, Fault> {
        let mut earliest = None;
        for at in 0..self.inlets.len() {
            let Some((channel, to)) = self.aligned(session, at) else {
                continue;
            };
            loop {
                let inlet = &mut self.inlets[at];
                let next = inlet.peek();
                if let Next::Frame(pts) = next {
                    earliest = Some(earliest.map_or(pts, |earliest: i64| earliest.min(pts)));
                }
                let Next::Event(_) = next else {
                    break;
                };
                let Some(event) = inlet.take_event() else {
                    break;
                };
                match event.kind {
                    event::kind::GAP => inlet.silent_until = inlet.silent_until.max(event.value),
                    // What was announced belongs to the past as well.
                    event::kind::FLUSH => inlet.silent_until = i64::MIN,
                    _ => {}
                }
                done.moved = true;
                let step = session.plan.nodes[to.node].ports[to.port].step;
                self.deliver(session, step, event)?;
            }
            // Frames that cannot be decoded may have been dropped on the way.
            self.after_taking(session, channel, at);
        }
        let Some(earliest) = earliest else {
            return Ok(None);
        };
        let until = earliest.saturating_add(tolerance_ns);
        let (mut known, mut overdue) = (true, false);
        for at in 0..self.inlets.len() {
            let Some((channel, _)) = self.aligned(session, at) else {
                continue;
            };
            let inlet = &mut self.inlets[at];
            let has_said = inlet.silent_until > until || inlet.is_finished();
            known &= has_said || matches!(inlet.peek(), Next::Frame(_));
            overdue |= inlet.len() > session.plan.channels[channel].patience;
        }
        Ok((known || overdue).then_some(earliest))
    }

    /// The channel of an entry whose frames are aligned, and the input that it leads to.
    pub(super) fn aligned(&self, session: &Session, at: usize) -> Option<(usize, PortRef)> {
        match session.plan.segments[self.index].entries[at] {
            Entry::Channel { channel, to }
                if session.plan.channels[channel].patience < usize::MAX =>
            {
                Some((channel, to))
            }
            _ => None,
        }
    }
}
