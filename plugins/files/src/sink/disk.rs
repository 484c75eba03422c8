//! [`Disk`]: the file that a recording is written to. Its errors say what to do about them, whatever writes.
//!
//! Who writes holds an exclusive lock on it, which ends with its process, so two never write one file, and what a crash left is
//! known from what is being written. The lock ends with the [`Disk`], which therefore lives until the file has its name.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    path::Path,
};

use levada_plugin::{Error, Result};
use tracing::warn;

/// How often a file is opened anew that got its name while it was being opened.
const TRIES: usize = 8;
const IS_WRITTEN: &str = "is being written, by another node or process; give another path";

pub(super) struct Disk {
    file: File,
    /// A write failed, perhaps half way: what came behind it would be out of place.
    has_failed: bool,
}

impl Disk {
    /// Opens a file that nobody else writes, and empties it. What is in it already goes only if it may be replaced.
    ///
    /// # Errors
    /// When another one writes it, it holds something that is to stay, or it cannot be opened.
    pub fn create(path: &Path, replaces: bool) -> Result<Disk> {
        let error = |what: &str| Error::new(format_args!("\"{}\" {what}", path.display()));
        let failed = |cause| error(&format!("cannot be created: {}", with_remedy(cause)));
        for _ in 0..TRIES {
            let (file, is_new) = open(path).map_err(failed)?;
            let is_locked = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => return Err(error(IS_WRITTEN)),
                Err(TryLockError::Error(cause)) => {
                    warn!(path = %path.display(), %cause, "no lock can be had, so nothing keeps others from writing the same file");
                    false
                }
            };
            // It got its name between the opening and the lock: what is locked is a recording that ended well.
            if is_locked && !is_at(&file, path).map_err(failed)? {
                continue;
            }
            let len = file.metadata().map_err(failed)?.len();
            // A crash that came before anything was written leaves nothing to keep.
            let is_free = is_new || (is_locked && len == 0);
            if !is_free && !replaces {
                let why = if is_locked {
                    ""
                } else {
                    "it is being written, or "
                };
                return Err(error(&format!(
                    "is there already: {why}it was left by a recording that broke off and can be played; move it away, give another path, or \
                     set overwrite = true"
                )));
            }
            if len > 0 {
                file.set_len(0).map_err(failed)?;
            }
            return Ok(Disk {
                file,
                has_failed: false,
            });
        }
        Err(error(IS_WRITTEN))
    }

    /// Sees that all that was written is on the disk.
    pub fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all().map_err(with_remedy)
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(io::Error::other(
                "a part in front of it could not be written",
            ));
        }
        let written = self.file.write(bytes).map_err(with_remedy);
        let is_final = |cause: &io::Error| cause.kind() != ErrorKind::Interrupted;
        self.has_failed = written.as_ref().is_err_and(is_final);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(with_remedy)
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to).map_err(with_remedy)
    }
}

/// Opens a file as it is, and says whether it is new.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.write(true);
    match options.clone().create_new(true).open(path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
            let opened = options.create(true).truncate(false).open(path);
            opened.map(|file| (file, false))
        }
        created => created.map(|file| (file, true)),
    }
}

/// Whether a path names this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (is, named) = (file.metadata()?, fs::metadata(path));
    match named {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        named => named.map(|named| (is.dev(), is.ino()) == (named.dev(), named.ino())),
    }
}

/// Gives a file its name. Unless it may be replaced, a file that has the name already stays, which is an error.
pub(super) fn name(part: &Path, path: &Path, replaces: bool) -> io::Result<()> {
    if replaces {
        return fs::rename(part, path);
    }
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Err(cause),
        // Not every file system has links.
        Err(_) if path.symlink_metadata().is_err() => fs::rename(part, path),
        Err(_) => Err(ErrorKind::AlreadyExists.into()),
    }
}

/// Why a file cannot be written, and what to do about it.
pub(super) fn with_remedy(cause: io::Error) -> io::Error {
    let remedy = match cause.kind() {
        // Is tried again by those who write.
        ErrorKind::Interrupted => return cause,
        ErrorKind::NotFound => "make its folder, or choose another path",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that this program may write to"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room, or choose another disk; what was written can be played up to its last second"
        }
        ErrorKind::AlreadyExists => {
            "the recording is kept where it is; give it another name by hand"
        }
        _ => "choose another path",
    };
    io::Error::new(cause.kind(), format!("{cause}; {remedy}"))
}
