//! The private copy of a plugin file: what is tried and what is opened are the same bytes.
//!
//! The copy also keeps a running host safe from a build that overwrites the file in place, and it
//! gives every load a file of its own: the system's loader answers a file that it has open already
//! with the old library. Once it is open, its name is removed and its memory stays.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use super::error::LoadError;

/// A file of its own with the bytes of a plugin; its name goes when the value does.
pub(super) struct Copy(TempPath);

impl Copy {
    /// Writes `bytes` to a fresh file that only this user can open. It lies in the system's folder
    /// for temporary files; or beside `path`, for a library that looks for others from there.
    pub fn make(path: &Path, bytes: &[u8], beside: bool) -> Result<Copy, LoadError> {
        let folder = match path.parent() {
            Some(parent) if beside && parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) if beside => parent.to_owned(),
            _ => std::env::temp_dir(),
        };
        let mut suffix = OsString::from("-");
        suffix.push(path.file_name().unwrap_or_default());
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(".levada-")
                .suffix(&suffix)
                .tempfile_in(&folder)?;
            file.write_all(bytes)?;
            // Nobody may hold it open for writing when it is mapped.
            Ok(file.into_temp_path())
        };
        write().map(Copy).map_err(|source| LoadError::Copy {
            path: path.to_owned(),
            folder: folder.clone(),
            source,
        })
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}
