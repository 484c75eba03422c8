//! [`Outputs`]: what a call emits, in order.

use std::ffi::c_void;

use levada_abi::{Event, Frame, Status, event};

use super::spare;
use crate::graph::Plan;

/// Downstream events of one call at most.
const MAX_SIGNALS: usize = 256;

/// Frames that a call emitted at one port one after the other, and the event behind them.
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
    list: Vec<Emitted>,
}

impl<'a> Outputs<'a> {
    #[inline]
    pub fn new(plan: &'a Plan, node: usize, batch: usize) -> Self {
        Outputs {
            plan,
            node,
            batch,
            list: Vec::new(),
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
        self.list.is_empty()
    }

    /// Takes what the call emitted.
    pub fn take(self) -> Vec<Emitted> {
        self.list
    }

    /// Releases what the call emitted.
    pub fn discard(self) {
        spare::give_list(self.list);
    }

    /// Frames that a call may put out at a port of the node.
    fn limit(&self, port: usize) -> Option<usize> {
        let port = self.plan.nodes[self.node].ports.get(port)?;
        port.is_output
            .then(|| port.max_out.saturating_mul(self.batch))
    }

    /// The part of the list that a port's next frame or event belongs to.
    fn entry(&mut self, port: usize) -> &mut Emitted {
        let at = self.list.iter().rposition(|e| e.port == port);
        let at = at
            .filter(|at| self.list[*at].then.is_none())
            .unwrap_or_else(|| {
                if self.list.capacity() == 0 {
                    self.list = spare::take_list();
                }
                self.list.push(Emitted {
                    port,
                    frames: spare::take(),
                    unlinked: 0,
                    then: None,
                });
                self.list.len() - 1
            });
        &mut self.list[at]
    }

    fn emit(&mut self, port: usize, slot: &mut Frame) -> Status {
        let Some(limit) = self.limit(port) else {
            return Status::INVALID;
        };
        if slot.is_empty_slot() {
            return Status::OK;
        }
        if emitted(&self.list, port) >= limit {
            return Status::FULL;
        }
        let is_linked = !self.plan.nodes[self.node].ports[port].links.is_empty();
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
        if !event::kind::is_in_band(event.kind) || self.limit(port).is_none() {
            return Status::INVALID;
        }
        if self.list.iter().filter(|e| e.then.is_some()).count() >= MAX_SIGNALS {
            return Status::FULL;
        }
        self.entry(port).then = Some(event);
        Status::OK
    }
}

/// Frames in the list at a port.
pub(crate) fn emitted(list: &[Emitted], port: usize) -> usize {
    list.iter()
        .filter(|e| e.port == port)
        .map(|e| e.frames.len() + e.unlinked)
        .sum()
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
