//! [`Outputs`]: what a call emits, by port.

use std::ffi::c_void;

use levada_abi::{Frame, Status};

/// What a call emits, by port.
#[derive(Default)]
pub(crate) struct Outputs {
    pub ports: Vec<OutputPort>,
    /// Frames that the running call was given; at least 1.
    pub batch: usize,
    /// Whether the running call has emitted anything.
    pub is_touched: bool,
}

/// One port's part of [`Outputs`]; that of an input stays empty.
#[derive(Default)]
pub(crate) struct OutputPort {
    pub frames: Vec<Frame>,
    /// Frames that a call may emit here for each frame it was given; 0 for an input.
    pub max_out: usize,
    pub is_output: bool,
    pub is_linked: bool,
    /// Frames that were emitted while the port is not linked.
    pub unlinked: usize,
}

impl Outputs {
    /// Makes ready for a call with `batch` frames. What the last call emitted has been taken away.
    pub fn arm(&mut self, batch: usize) {
        self.batch = batch;
        self.is_touched = false;
    }

    /// Releases what a failed call emitted.
    pub fn discard(&mut self) {
        for port in &mut self.ports {
            port.frames.clear();
            port.unlinked = 0;
        }
    }

    fn emit(&mut self, port: usize, slot: &mut Frame) -> Status {
        let Some(port) = self.ports.get_mut(port).filter(|p| p.is_output) else {
            return Status::INVALID;
        };
        if slot.is_empty_slot() {
            return Status::OK;
        }
        if port.frames.len() + port.unlinked >= port.max_out.saturating_mul(self.batch) {
            return Status::FULL;
        }
        self.is_touched = true;
        let frame = std::mem::take(slot);
        if port.is_linked {
            port.frames.push(frame);
        } else {
            port.unlinked += 1;
        }
        Status::OK
    }
}

/// `emit` of a [`Context`](levada_abi::Context) whose `call` is an [`Outputs`].
pub(super) unsafe extern "C" fn emit(call: *mut c_void, port: u32, frame: *mut Frame) -> Status {
    // SAFETY: `call` is the `Outputs` of the call that is running on this thread, and `frame` a slot
    // (contract of `Context`).
    let (outputs, slot) = unsafe { (&mut *call.cast::<Outputs>(), &mut *frame) };
    outputs.emit(port as usize, slot)
}
