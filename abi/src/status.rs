//! The outcome of a call across the plugin boundary.

use abi_stable::StableAbi;

/// What a call across the boundary answered.
///
/// Zero is success and every negative number a failure. The text that belongs to a failure travels
/// by [`HostVTable::error`](crate::HostVTable::error), called before the failing function returns.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct Status(pub i32);

impl Status {
    /// The call did what was asked.
    pub const OK: Status = Status(0);
    /// Answered by `process` and `observe` only: the call did what was asked, and every slot still
    /// holds a frame. `OK` in its place is never wrong; this one spares the host a look at the slots.
    pub const KEPT: Status = Status(1);
    /// Answered by `tick` only: the call did what was asked, and the node wants the next `tick` as
    /// soon as what this one emitted is on its way.
    pub const AGAIN: Status = Status(2);
    /// The call failed; the text is with the host.
    pub const FAILED: Status = Status(-1);
    /// An argument does not fit the contract.
    pub const INVALID: Status = Status(-2);
    /// The handle is stale: the node it named is gone.
    pub const GONE: Status = Status(-3);
    /// A bound is reached: a table, a queue or the memory limit is full.
    pub const FULL: Status = Status(-4);
    /// The callee does not offer this.
    pub const UNSUPPORTED: Status = Status(-5);
    /// The callee panicked; the panic was caught on its own side.
    pub const PANICKED: Status = Status(-6);

    /// Whether the call succeeded.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 >= 0
    }
}
