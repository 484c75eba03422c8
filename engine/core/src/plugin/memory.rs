//! Remembers which plugin files have passed their trial.
//!
//! One empty file for each, named by the plugin's content, the contract's version and the host's
//! build: another host may behave otherwise. A folder that cannot be written only means that trials
//! are repeated.

use std::{
    fmt::Write,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use levada_abi::ABI_VERSION;
use sha2::{Digest, Sha256};

use super::load::ContentHash;

/// The oldest entries go when there are more than this many.
const MAX_ENTRIES: usize = 256;

/// Where to remember, once that was set.
static FOLDER: Mutex<Option<Option<PathBuf>>> = Mutex::new(None);

pub(super) fn set_folder(folder: Option<PathBuf>) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
}

fn folder() -> Option<PathBuf> {
    let set = FOLDER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    set.unwrap_or_else(|| {
        // A relative path in these variables is to be ignored (XDG base directory specification).
        let from = |variable| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        let cache = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")))?;
        Some(cache.join("levada/trials"))
    })
}

/// Whether a file of this content has passed with this host before.
pub(super) fn has_passed(hash: &ContentHash) -> bool {
    entry(hash).is_some_and(|entry| entry.is_file())
}

/// Remembers that a file of this content has passed with this host.
pub(super) fn remember(hash: &ContentHash) {
    if let Some(entry) = entry(hash)
        && let Some(folder) = entry.parent()
        && fs::create_dir_all(folder).is_ok()
        && File::create(&entry).is_ok()
    {
        forget_oldest(folder);
    }
}

fn entry(hash: &ContentHash) -> Option<PathBuf> {
    let name = format!("{}-{ABI_VERSION:x}-{}", hex(hash), host_build()?);
    Some(folder()?.join(name))
}

/// Tells one build of the host from another: version, place, size and time of its executable.
fn host_build() -> Option<&'static str> {
    static BUILD: OnceLock<Option<String>> = OnceLock::new();
    BUILD
        .get_or_init(|| {
            let path = std::env::current_exe().ok()?;
            let file = fs::metadata(&path).ok()?;
            let said = format!(
                "{} {} {} {} {}",
                env!("CARGO_PKG_VERSION"),
                path.display(),
                file.len(),
                file.mtime(),
                file.mtime_nsec()
            );
            Some(hex(&Sha256::digest(said)[..8]))
        })
        .as_deref()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn forget_oldest(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut by_age: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    by_age.sort();
    let excess = by_age.len().saturating_sub(MAX_ENTRIES);
    for (_, path) in by_age.drain(..excess) {
        // An entry that stays is forgotten next time.
        let _ = fs::remove_file(path);
    }
}
