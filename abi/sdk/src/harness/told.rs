//! What the node under test has told its host.

use super::*;

impl<N: Node> Harness<N> {
    /// Bytes that the node declared as copied.
    #[must_use]
    pub fn bytes_copied(&self) -> u64 {
        with_told(self.handle, 0, |told| told.copied)
    }

    /// How far the node said it was, if it did: media time in ns, and of how much.
    #[must_use]
    pub fn progress(&self) -> Option<(i64, Option<i64>)> {
        with_told(self.handle, None, |told| told.progress)
    }

    /// Units that the node declared as dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        with_told(self.handle, 0, |told| told.dropped)
    }

    /// When the node wants its next `tick`, ns.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        with_told(self.handle, None, |told| told.deadline)
    }

    /// Takes the events that the node sent downstream, with their output port.
    #[must_use]
    pub fn take_signalled(&self) -> Vec<(usize, Event)> {
        with_told(self.handle, vec![], |told| {
            std::mem::take(&mut told.signalled)
        })
    }

    /// Takes the events that the node raised upstream, with their input port.
    #[must_use]
    pub fn take_raised(&self) -> Vec<(usize, Event)> {
        let raised = with_told(self.handle, vec![], |told| std::mem::take(&mut told.raised));
        raised
            .into_iter()
            .map(|(port, event)| (port as usize, event))
            .collect()
    }

    /// Takes the frames that the node handed in from threads of its own, with their output port.
    #[must_use]
    pub fn take_ingested(&self) -> Output {
        with_told(self.handle, vec![], |told| {
            std::mem::take(&mut told.ingested)
        })
    }
}

pub(super) unsafe extern "C" fn progress(_: *mut c_void, node: NodeHandle, done: i64, total: i64) {
    let progress = (done, (total > 0).then_some(total));
    with_told(node, (), |told| told.progress = Some(progress));
}
