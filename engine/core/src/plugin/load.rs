//! Loads a plugin file: read once, inspected, tried in a child process, opened for good.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use levada_abi::{HostVTable, Plugin};
use sha2::{Digest, Sha256};

use super::{copy::Copy, error::LoadError, inspect, open, trial};

/// A plugin that was loaded from a file. It stays in memory until the process ends.
#[derive(Clone)]
pub struct Loaded {
    /// Its node types, checked.
    pub plugin: Plugin,
    /// Whether a panic in the plugin is caught at its boundary; `false` when it ends the process,
    /// or is not known.
    pub panic_unwinds: bool,
    /// Version of the kit that built it; empty when it does not say.
    pub sdk_version: String,
    /// The file, as it was named at the first load.
    pub path: PathBuf,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("plugin", &self.plugin.name())
            .field("version", &self.plugin.version())
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a file's content.
pub(super) type ContentHash = [u8; 32];

/// Every plugin of this process, by the file's full path and content. It grows as memory does with
/// every library that is opened, because none is ever closed.
static LOADED: Mutex<Vec<(PathBuf, ContentHash, Loaded)>> = Mutex::new(Vec::new());

/// Loads the plugin file at `path`.
///
/// The same file with the same content is loaded once in a process, and its `init` is called once,
/// with the `host` of that first call. Another path, or changed content, is another plugin. Blocks
/// for as long as the trial of a file that was not seen before takes, at most some ten seconds;
/// callers on other threads wait their turn.
///
/// # Errors
/// When the file is not a plugin for this host; see [`LoadError`].
pub fn load(path: &Path, host: &'static HostVTable) -> Result<Loaded, LoadError> {
    let bytes = inspect::read(path)?;
    let inspection = inspect::inspect(path, &bytes)?;
    let hash: ContentHash = Sha256::digest(&bytes).into();
    let full_path = path.canonicalize().unwrap_or_else(|_| path.to_owned());

    // A panic while the lock was held leaves a list that is still whole.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., known)) = loaded
        .iter()
        .find(|(p, h, _)| *p == full_path && *h == hash)
    {
        return Ok(known.clone());
    }
    let copy = Copy::make(&full_path, &bytes, inspection.needs_its_place)?;
    drop(bytes);
    trial::pass(path, copy.path(), &hash)?;
    // SAFETY: these very bytes passed inspection and the trial. That their code keeps the contract
    // beyond that is what whoever names a plugin file vouches for.
    let valid = unsafe { open::open(path, copy.path(), inspection.has_root_module) }?;
    if let Some(init) = valid.init {
        // SAFETY: `host` lives for ever, and this is the library's first call of `init`.
        let status = unsafe { init(host) };
        if !status.is_ok() {
            return Err(LoadError::Init {
                path: path.to_owned(),
                status: status.0,
            });
        }
    }
    // SAFETY: the descriptors are checked and lie in a library that is never closed.
    let plugin = unsafe { Plugin::new(valid.name, valid.version, valid.types, None) };
    let new = Loaded {
        plugin,
        panic_unwinds: inspection.panic_unwinds,
        sdk_version: inspection.sdk_version,
        path: path.to_owned(),
    };
    loaded.push((full_path, hash, new.clone()));
    Ok(new)
}
