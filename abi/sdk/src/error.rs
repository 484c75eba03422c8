//! [`Error`]: why a node could not do what was asked.

use std::fmt;

/// Why a node could not do what was asked, for people: place, cause and remedy.
///
/// Any `std::error::Error` converts into it with `?`.
pub struct Error(String);

/// The result of a node's functions.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of its text.
    pub fn new(text: impl fmt::Display) -> Error {
        Error(text.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Error(text)
    }
}
