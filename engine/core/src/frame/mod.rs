//! The memory behind frames, and what their ids mean.

pub mod pool;
pub(crate) mod tables;
