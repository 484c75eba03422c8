//! [`Source`]: a file's bytes, with errors that name the place.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
};

use levada_plugin::{Error, Result};

/// What to do about a file that ends too early.
pub(super) const CUT_OFF: &str = "it was cut off, or is being written still; wait until it is written, or copy what is whole of it, such as with ffmpeg -i IN -c copy OUT";
/// What to do about a file that is damaged.
pub(super) const DAMAGED: &str =
    "it is damaged; copy what is whole of it, such as with ffmpeg -i IN -c copy OUT";

/// A file that is open for reading.
pub(super) struct Source {
    path: String,
    file: File,
    len: u64,
}

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn open(path: &str) -> Result<Source> {
        let refuse = |cause: &dyn Display| {
            Error::new(format_args!(
                "\"{path}\" cannot be read: {cause}; correct its path, which in a graph file is relative to that, and else \
                 to where the program runs"
            ))
        };
        // To open a pipe would wait for its other end.
        if !fs::metadata(path).map_err(|e| refuse(&e))?.is_file() {
            return Err(refuse(&"it is no regular file"));
        }
        let file = File::open(path).map_err(|e| refuse(&e))?;
        let about = file.metadata().map_err(|e| refuse(&e))?;
        Ok(Source {
            path: path.to_owned(),
            file,
            len: about.len(),
        })
    }

    /// The file's length when it was opened, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// An error about a place in the file.
    pub fn error(&self, at: u64, cause: impl Display) -> Error {
        Error::new(format_args!("\"{}\" at byte {at}: {cause}", self.path))
    }

    /// Reads the file's first bytes, as many as there are.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn peek<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let len = usize::try_from(self.len)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.read(0, &mut buffer[..len])?;
        Ok(&buffer[..len])
    }

    /// Asserts that so many bytes lie at a place, and are no more than `most`.
    ///
    /// # Errors
    /// When the file ends before, or they are too many.
    pub fn check(&self, at: u64, len: u64, most: u64, what: &str) -> Result<usize> {
        if len > most {
            return Err(self.error(
                at,
                format_args!("{what} claims {len} bytes, and at most {most} are read"),
            ));
        }
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.error(
                at,
                format_args!(
                    "{what} has {len} bytes, but the file ends at {}; {CUT_OFF}",
                    self.len
                ),
            ));
        }
        usize::try_from(len).map_err(|_| self.error(at, "it does not fit into memory"))
    }

    /// Fills a buffer with what lies at a place.
    ///
    /// # Errors
    /// When the file ends before, or cannot be read.
    pub fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result {
        let done = self.file.seek(SeekFrom::Start(at));
        done.and_then(|_| self.file.read_exact(buffer))
            .map_err(|cause| self.error(at, cause))
    }
}
