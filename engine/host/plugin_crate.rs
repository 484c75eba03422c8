//! [`load_crate`]: a plugin from the folder of its crate, for applications.

use std::path::Path;

use levada_engine::{
    plugin::{LoadError, load},
    services,
};
use levada_plugin::Plugin;

use crate::plugin_build::{BuildError, build};

/// Why a plugin crate gave no plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrateError {
    /// It was not built.
    #[error("{0}; {remedy}", remedy = .0.remedy())]
    Build(#[from] BuildError),
    /// What was built was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Builds the plugin crate in `folder` if it has changed, as a graph file that names it does, and loads it.
/// A build that takes more than two seconds says so on stderr.
///
/// Blocks for as long as that takes, so not a place for an async task. A program that loads plugins calls
/// [`serve_if_asked`](levada_engine::plugin::trial::serve_if_asked) first thing in `main`.
///
/// # Errors
/// When there is no crate, it does not compile, or its library is no plugin for this host.
pub fn load_crate(folder: &Path) -> Result<Plugin, CrateError> {
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    let library = build(&name.to_string_lossy(), folder)?;
    Ok(load(&library, services::host())?.plugin)
}
