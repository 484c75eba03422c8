//! The scheduler: tasks, segments, what runs them, and time.

mod align;
mod crew;
pub(crate) mod driver;
pub(crate) mod flag;
mod flow;
mod keeper;
mod random;
mod realtime;
pub(crate) mod segment;
pub(crate) mod task;
pub(crate) mod timers;
mod wheel;
pub(crate) mod worker;
pub(crate) mod zero_copy;
