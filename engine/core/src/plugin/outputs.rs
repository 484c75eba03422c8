//! [`Outputs`]: what a call emits, in order.

use std::ffi::c_void;

use levada_abi::{Event, Frame, Status};

use super::spare;
use crate::graph::Plan;

/// Downstream events of one call at most.
const MAX_SIGNALS: usize = 256;

/// Frames that a call emitted at one port one after the other, and the event behind them.
#[derive(Default)]
pub(crate) struct Emitted {
    pub port: usize,
    pub frames: Vec<Frame>,
    /// Frames that were emitted while the port is not linked; they are released.
    pub unlinked: usize,
    pub then: Option<Event>,
}

/// What a call emits.
pub(crate) struct Outputs<'a> {
    plan: &'a Plan,
    node: usize,
    /// Frames that the running call was given.
    batch: usize,
    /// What the call emitted, as long as that is one frame for a linked port; otherwise empty.
    one: Frame,
    /// The port of that frame.
    port: usize,
    /// The first `used` are what the call emitted, in order; the others are empty.
    list: Vec<Emitted>,
    used: usize,
}

impl<'a> Outputs<'a> {
    #[inline]
    pub fn new(plan: &'a Plan, node: usize, batch: usize) -> Self {
        Outputs {
            plan,
            node,
            batch,
            one: Frame::default(),
            port: 0,
            list: Vec::new(),
            used: 0,
        }
    }

    /// Makes ready for a call of a node with `batch` frames; nothing has been emitted.
    #[inline]
    pub fn arm(&mut self, node: usize, batch: usize) {
        self.node = node;
        self.batch = batch;
    }

    /// Whether the call emitted nothing.
    #[inline]
    pub fn is_untouched(&self) -> bool {
        self.used == 0 && self.one.is_empty_slot()
    }

    /// The frames that the call emitted, port by port in order.
    pub fn frames(&self) -> impl Iterator<Item = (usize, &Frame)> {
        let one = std::iter::once((self.port, &self.one)).filter(|(_, one)| !one.is_empty_slot());
        let listed = self.listed().iter();
        one.chain(listed.flat_map(|e| e.frames.iter().map(|frame| (e.port, frame))))
    }

    /// Takes the only frame that the call emitted, with its port, where that was all.
    #[inline]
    pub fn take_one(&mut self) -> Option<(usize, Frame)> {
        (!self.one.is_empty_slot()).then(|| (self.port, std::mem::take(&mut self.one)))
    }

    /// What the call emitted, in order, to be taken out; beside [`Outputs::take_one`].
    pub fn listed_mut(&mut self) -> &mut [Emitted] {
        &mut self.list[..self.used]
    }

    fn listed(&self) -> &[Emitted] {
        &self.list[..self.used]
    }

    /// Frames that a port of the node may put out in this call beyond what it emitted.
    pub fn left(&self, port: usize) -> usize {
        let limit = self.limit(port).unwrap_or(0);
        let one = usize::from(!self.one.is_empty_slot() && self.port == port);
        let listed = self.listed().iter().filter(|e| e.port == port);
        limit.saturating_sub(one + listed.map(|e| e.frames.len() + e.unlinked).sum::<usize>())
    }

    /// Releases what is left of what the call emitted.
    pub fn clear(&mut self) {
        self.one = Frame::default();
        for emitted in &mut self.list[..self.used] {
            emitted.frames.clear();
        }
        self.used = 0;
    }

    /// Frames that a call may put out at a port of the node.
    fn limit(&self, port: usize) -> Option<usize> {
        let port = self.plan.nodes[self.node].ports.get(port)?;
        port.is_output
            .then(|| port.max_out.saturating_mul(self.batch))
    }

    /// The part of the list that a port's next frame or event belongs to.
    fn entry(&mut self, port: usize) -> &mut Emitted {
        if let Some((port, frame)) = self.take_one() {
            let at = self.add_entry(port);
            self.list[at].frames.push(frame);
        }
        let last = self.listed().iter().rposition(|e| e.port == port);
        let at = last.filter(|at| self.list[*at].then.is_none());
        let at = at.unwrap_or_else(|| self.add_entry(port));
        &mut self.list[at]
    }

    fn add_entry(&mut self, port: usize) -> usize {
        if self.list.capacity() == 0 {
            self.list = spare::take_list();
        }
        if self.used == self.list.len() {
            self.list.push(Emitted::default());
        }
        let entry = &mut self.list[self.used];
        (entry.port, entry.unlinked, entry.then) = (port, 0, None);
        self.used += 1;
        self.used - 1
    }

    #[inline]
    fn emit(&mut self, port: usize, slot: &mut Frame) -> Status {
        let Some(limit) = self.limit(port) else {
            return Status::INVALID;
        };
        if slot.is_empty_slot() {
            return Status::OK;
        }
        let is_linked = !self.plan.nodes[self.node].ports[port].links.is_empty();
        if self.is_untouched() && is_linked && limit > 0 {
            (self.one, self.port) = (std::mem::take(slot), port);
            return Status::OK;
        }
        self.emit_more(port, slot, is_linked)
    }

    fn emit_more(&mut self, port: usize, slot: &mut Frame, is_linked: bool) -> Status {
        if self.left(port) == 0 {
            return Status::FULL;
        }
        let frame = std::mem::take(slot);
        let entry = self.entry(port);
        if is_linked {
            entry.frames.push(frame);
        } else {
            entry.unlinked += 1;
        }
        Status::OK
    }

    fn signal(&mut self, port: usize, event: Event) -> Status {
        if !event.is_in_band() || self.limit(port).is_none() {
            return Status::INVALID;
        }
        let signals = self.listed().iter().filter(|e| e.then.is_some());
        if signals.count() >= MAX_SIGNALS {
            return Status::FULL;
        }
        self.entry(port).then = Some(event);
        Status::OK
    }
}

impl Drop for Outputs<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.list.capacity() > 0 {
            self.clear();
            spare::give_list(std::mem::take(&mut self.list));
        }
    }
}

/// `emit` of a [`Context`](levada_abi::Context) whose `call` is an [`Outputs`].
pub(super) unsafe extern "C" fn emit(call: *mut c_void, port: u32, frame: *mut Frame) -> Status {
    // SAFETY: `call` is the `Outputs` of the call that is running on this thread, and `frame` a slot
    // (contract of `Context`).
    let (outputs, slot) = unsafe { (&mut *call.cast::<Outputs>(), &mut *frame) };
    outputs.emit(port as usize, slot)
}

/// `signal` of such a context.
pub(super) unsafe extern "C" fn signal(
    call: *mut c_void,
    port: u32,
    event: *const Event,
) -> Status {
    // SAFETY: as above; the event is valid for the call.
    let (outputs, event) = unsafe { (&mut *call.cast::<Outputs>(), *event) };
    outputs.signal(port as usize, event)
}
