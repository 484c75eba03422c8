//! The engine of Levada: graphs, channels, the scheduler, plugins.
//!
//! A graph file becomes a [`graph::Graph`] (parsed, validated), then a [`graph::Plan`] (segments,
//! channels, where each node's state lies). [`Engine::start_session`] makes an instance of a plan, a
//! [`Session`], whose nodes come from a [`plugin::Registry`]. A [`VirtualEngine`] runs
//! sessions on one thread and a virtual clock, and repeats a run by its seed. This crate knows no WebRTC, no codec and
//! no signaling, and runs without an async runtime.

mod channel;
pub mod clock;
mod engine;
pub mod frame;
pub mod graph;
mod log;
mod observe;
pub mod plugin;
mod scheduler;
pub mod services;
mod session;
mod sync;
mod texts;
mod virtual_engine;

pub use engine::{Engine, EngineConfig};
pub use observe::{Leak, LinkReport, NodeReport, Progress, Report};
pub use scheduler::{driver::Rest, timers::TooManyJobs};
pub use session::{Ended, NodeError, Session};
pub use virtual_engine::VirtualEngine;
