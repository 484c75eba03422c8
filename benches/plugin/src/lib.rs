//! The benches' pass-through node as a plugin that is loaded: `ffi_call` measures its call against the
//! same source linked in.

#[path = "../../support/pass.rs"]
mod pass;

levada_plugin::export_plugin!(pass::Pass);
