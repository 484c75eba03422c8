//! [`Disk`]: the file that a recording is written to. Its errors say what to do about them, whatever writes.

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    path::Path,
};

pub(super) struct Disk(File);

impl Disk {
    pub fn create(path: &Path) -> io::Result<Disk> {
        File::create(path).map(Disk)
    }

    /// Sees that all that was written is on the disk.
    pub fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all().map_err(with_remedy)
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(with_remedy)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(with_remedy)
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to).map_err(with_remedy)
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
        _ => "choose another path",
    };
    io::Error::new(cause.kind(), format!("{cause}; {remedy}"))
}
