//! Plugins: checked before they are opened, then node types by name, then instances.

pub(crate) mod instance;
mod registry;

pub use registry::{NodeType, Registry};
