//! The scheduler: tasks, segments, and the threads that run them.

mod crew;
mod flow;
pub(crate) mod segment;
pub(crate) mod task;
pub(crate) mod worker;
