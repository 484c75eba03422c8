//! Reads a plugin file as data, before anything of it runs.
//!
//! [`read`] takes the bytes in once; [`inspect`] looks at their structure and at the version note.
//! What passes can be mapped by the system's loader without reaching past the end of the file. Any
//! bytes get an answer, and none makes this module panic. It cannot tell whether the code in the
//! file is sound: that is what [`trial`](super::trial) is for.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use levada_abi::{ABI_MAJOR, ABI_MINOR, NOTE_MAGIC, Note};

use super::{elf, error::LoadError, macho};

/// Largest plugin file in bytes.
pub const MAX_SIZE: u64 = 1 << 30;

/// What a plugin file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Major and minor version of the contract that it was built for.
    pub abi_version: (u32, u32),
    /// Whether a panic in the plugin unwinds, and is caught at its boundary; `false` when it ends
    /// the process, or is not known.
    pub panic_unwinds: bool,
    /// Version of the kit that built it; empty when it does not say.
    pub sdk_version: String,
    /// Whether it has the `abi_stable` root module, so that its types can be compared with ours.
    pub has_root_module: bool,
    /// Whether it looks for other libraries relative to its own place (`$ORIGIN`).
    pub needs_its_place: bool,
}

/// What the reader of one file format found.
#[derive(Default)]
pub(super) struct Shape<'a> {
    pub has_c_entry: bool,
    pub has_root_module: bool,
    pub needs_its_place: bool,
    /// Content of the note section.
    pub note: Option<&'a [u8]>,
}

/// Reads the file at `path`.
///
/// # Errors
/// When there is none, it cannot be read, is no file, or is larger than [`MAX_SIZE`].
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LoadError::Missing {
            path: path.to_owned(),
        },
        _ => LoadError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    // Asked before opening, because opening a pipe without a writer waits.
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if !kind.is_file() {
        return Err(LoadError::NotAFile {
            path: path.to_owned(),
            found: if kind.is_dir() {
                "a directory"
            } else {
                "a device, pipe or socket"
            },
        });
    }
    let file = File::open(path).map_err(unreadable)?;
    let too_large = |size| LoadError::TooLarge {
        path: path.to_owned(),
        size,
        limit: MAX_SIZE,
    };
    let size = file.metadata().map_err(unreadable)?.len();
    if size > MAX_SIZE {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // A file that grows meanwhile is still read no further than the limit.
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Checks the bytes of a plugin file; `path` is only named in errors.
///
/// # Errors
/// When the bytes are no shared library of this machine, are truncated or damaged, have no plugin
/// entry, or are of a version that this host does not load.
pub fn inspect(path: &Path, bytes: &[u8]) -> Result<Inspection, LoadError> {
    let shape = match bytes {
        [0x7f, b'E', b'L', b'F', ..] => elf::read(path, bytes)?,
        [0xcf, 0xfa, 0xed, 0xfe, ..] => macho::read(path, bytes)?,
        _ => return Err(not_a_library(path, bytes)),
    };
    if !shape.has_c_entry && !shape.has_root_module {
        return Err(LoadError::NoEntry {
            path: path.to_owned(),
        });
    }
    let note = shape
        .note
        .and_then(read_note)
        .ok_or_else(|| LoadError::NoNote {
            path: path.to_owned(),
        })?;
    let plugin = (note.abi_version >> 16, note.abi_version & 0xffff);
    if plugin.0 != ABI_MAJOR || plugin.1 > ABI_MINOR {
        return Err(LoadError::Version {
            path: path.to_owned(),
            plugin,
            host: (ABI_MAJOR, ABI_MINOR),
        });
    }
    let end = note.sdk_version.iter().position(|&b| b == 0).unwrap_or(32);
    Ok(Inspection {
        abi_version: plugin,
        panic_unwinds: note.panic_unwinds == 1,
        sdk_version: String::from_utf8_lossy(&note.sdk_version[..end])
            .replace(|c: char| c.is_control(), "?"),
        has_root_module: shape.has_root_module,
        needs_its_place: shape.needs_its_place,
    })
}

fn read_note(section: &[u8]) -> Option<Note> {
    let (magic, rest) = section.split_first_chunk::<8>()?;
    let (abi_version, rest) = rest.split_first_chunk::<4>()?;
    let (panic_unwinds, rest) = rest.split_first_chunk::<4>()?;
    let sdk_version = rest.first_chunk::<32>()?;
    (*magic == NOTE_MAGIC).then_some(Note {
        magic: *magic,
        abi_version: u32::from_ne_bytes(*abi_version),
        panic_unwinds: u32::from_ne_bytes(*panic_unwinds),
        sdk_version: *sdk_version,
    })
}

fn not_a_library(path: &Path, bytes: &[u8]) -> LoadError {
    const BUILD: &str = "name the library that building the plugin leaves behind";
    let head = &bytes[..bytes.len().min(512)];
    let (found, remedy) = match bytes {
        [] => ("an empty file", "build the plugin again"),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => (
            "a static library",
            "set crate-type = [\"cdylib\"] and name the library that this builds",
        ),
        [b'M', b'Z', ..] => ("a Windows program or library", "build it for this system"),
        [0xca, 0xfe, 0xba, 0xbe, ..] => (
            "a universal binary of several machines",
            "take out this machine's part with lipo -thin",
        ),
        // The first bytes of the formats above, cut short.
        [0x7f, ..] if b"\x7fELF".starts_with(bytes) => ("a truncated file", BUILD),
        _ if is_text(head) => ("text", BUILD),
        _ => ("a file of unknown content", BUILD),
    };
    LoadError::NotALibrary {
        path: path.to_owned(),
        found,
        remedy,
    }
}

/// Whether the beginning of a file reads as text; its last character may be cut.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

/// Whether `offset..offset + len` lies in a file of `size` bytes; else the error that says so.
pub(super) fn in_file(
    path: &Path,
    part: &'static str,
    (offset, len): (u64, u64),
    size: usize,
) -> Result<(), LoadError> {
    match offset.checked_add(len) {
        Some(end) if end <= size as u64 => Ok(()),
        Some(end) => Err(LoadError::Truncated {
            path: path.to_owned(),
            part,
            end,
            size: size as u64,
        }),
        None => Err(damaged(
            path,
            format!("its {part} lie at impossible offsets"),
        )),
    }
}

pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> LoadError {
    LoadError::Damaged {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
