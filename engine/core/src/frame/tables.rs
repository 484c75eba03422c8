//! What the ids in frames mean: a session's formats and streams.
//!
//! Each table only grows, up to a bound, and lives as long as its session, so a reference into it
//! stays valid without counting. Looking an entry up takes no lock; adding one does, which happens
//! a few times in a session's life.
#![forbid(unsafe_code)]

use std::sync::{Mutex, OnceLock, PoisonError};

use levada_abi::{Format, StreamInfo, Text};

/// Formats a session may use.
pub const MAX_FORMATS: usize = 64;
/// Streams a session may declare.
pub const MAX_STREAMS: usize = 256;
const _: () = assert!(MAX_STREAMS == levada_abi::event::MAX_STREAMS as usize);
const MAX_NAME: usize = 64;
const MAX_CONFIG: usize = 4096;
const MAX_LABEL: usize = 1024;

/// Entries of a table's first chunk; each chunk has twice as many as the one before.
const FIRST: usize = 4;
const CHUNKS: usize = 7;

const _: () = assert!(FIRST * ((1 << CHUNKS) - 1) >= MAX_STREAMS && MAX_STREAMS >= MAX_FORMATS);

type Chunk<T> = Box<[OnceLock<T>]>;

/// An append-only table of at most `N` entries. It and its chunks are made as they are needed, so that a
/// session with few entries is small.
struct Table<T, const N: usize>(OnceLock<Box<Chunks<T>>>);

struct Chunks<T> {
    chunks: [OnceLock<Chunk<T>>; CHUNKS],
    adding: Mutex<()>,
}

impl<T> Chunks<T> {
    fn new() -> Box<Self> {
        Box::new(Chunks {
            chunks: [const { OnceLock::new() }; CHUNKS],
            adding: Mutex::new(()),
        })
    }
}

impl<T, const N: usize> Table<T, N> {
    fn new() -> Self {
        Table(OnceLock::new())
    }

    /// Which chunk an entry is in, and where.
    fn place(index: usize) -> (usize, usize) {
        let chunk = (index / FIRST + 1).ilog2();
        (chunk as usize, index - FIRST * ((1 << chunk) - 1))
    }

    fn get(&self, index: usize) -> Option<&T> {
        let (chunk, at) = Self::place(index);
        self.0.get()?.chunks.get(chunk)?.get()?.get(at)?.get()
    }

    /// Returns the index of the entry that `is` recognises, or adds what `make` gives.
    fn intern(&self, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> Option<usize> {
        let Chunks { chunks, adding } = &**self.0.get_or_init(Chunks::new);
        // The lock guards no data that a panic could leave half-done.
        let _adding = adding.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..N {
            match self.get(index) {
                Some(there) if is(there) => return Some(index),
                Some(_) => {}
                None => {
                    let (chunk, at) = Self::place(index);
                    let empty = || (0..FIRST << chunk).map(|_| OnceLock::new()).collect();
                    chunks[chunk].get_or_init(empty)[at].get_or_init(make);
                    return Some(index);
                }
            }
        }
        None
    }
}

/// A format with the memory that its texts point to.
struct OwnedFormat {
    abi: Format,
    encoding: Box<str>,
    config: Box<[u8]>,
}

/// A stream with the memory that its label points to.
struct OwnedStream {
    abi: StreamInfo,
    label: Box<str>,
}

/// A session's formats; ids count from 1.
pub(crate) struct Formats(Table<OwnedFormat, MAX_FORMATS>);

impl Formats {
    pub fn new() -> Self {
        Formats(Table::new())
    }

    /// Returns the id of a format, adding it when it is new; 0 when it is malformed or the table
    /// is full. `encoding` and `config` are those of `format`.
    pub fn intern(&self, format: &Format, encoding: &str, config: &[u8]) -> u32 {
        if encoding.is_empty() || encoding.len() > MAX_NAME || config.len() > MAX_CONFIG {
            return 0;
        }
        let numbers = |f: &Format| {
            (
                f.media,
                f.rate,
                f.channels,
                f.width,
                f.height,
                f.frame_rate_milli,
            )
        };
        let is = |entry: &OwnedFormat| {
            numbers(&entry.abi) == numbers(format)
                && *entry.encoding == *encoding
                && *entry.config == *config
        };
        let make = || {
            let (encoding, config): (Box<str>, Box<[u8]>) = (encoding.into(), config.into());
            let abi = Format {
                size: size_of::<Format>(),
                encoding: Text::new(&encoding),
                config: Text::from_bytes(&config),
                ..*format
            };
            OwnedFormat {
                abi,
                encoding,
                config,
            }
        };
        self.0.intern(is, make).map_or(0, |index| index as u32 + 1)
    }

    /// Returns the format with this id.
    pub fn get(&self, id: u32) -> Option<&Format> {
        Some(&self.0.get((id as usize).checked_sub(1)?)?.abi)
    }
}

/// A session's streams; ids count from 0.
pub(crate) struct Streams(Table<OwnedStream, MAX_STREAMS>);

impl Streams {
    pub fn new() -> Self {
        Streams(Table::new())
    }

    /// Returns the id of a stream, adding it when it is new; `None` when the label is too long or
    /// the table is full.
    pub fn declare(&self, media: u32, label: &str) -> Option<u16> {
        if label.len() > MAX_LABEL {
            return None;
        }
        let make = || {
            let label: Box<str> = label.into();
            let abi = StreamInfo {
                size: size_of::<StreamInfo>(),
                media,
                label: Text::new(&label),
            };
            OwnedStream { abi, label }
        };
        let index = self
            .0
            .intern(|s| s.abi.media == media && *s.label == *label, make)?;
        u16::try_from(index).ok()
    }

    /// Returns the stream with this id.
    pub fn get(&self, id: u32) -> Option<&StreamInfo> {
        Some(&self.0.get(id as usize)?.abi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(rate: u32) -> Format {
        Format {
            size: size_of::<Format>(),
            media: levada_abi::media::AUDIO,
            rate,
            channels: 2,
            width: 0,
            height: 0,
            frame_rate_milli: 0,
            encoding: Text::EMPTY,
            config: Text::EMPTY,
        }
    }

    #[test]
    fn equal_formats_share_an_id_and_others_do_not() {
        let formats = Formats::new();
        let a = formats.intern(&audio(48_000), "opus", b"");
        assert_eq!(formats.intern(&audio(48_000), "opus", b""), a);
        let b = formats.intern(&audio(44_100), "opus", b"");
        let c = formats.intern(&audio(48_000), "opus", b"stereo=1");
        assert!(a != 0 && b != 0 && c != 0 && a != b && a != c && b != c);
        assert_eq!(formats.get(b).map(|f| f.rate), Some(44_100));
        assert!(formats.get(0).is_none() && formats.get(4).is_none());
    }

    #[test]
    fn a_full_table_refuses_and_keeps_what_it_has() {
        let formats = Formats::new();
        for rate in 1..=MAX_FORMATS as u32 {
            assert_eq!(formats.intern(&audio(rate), "f32", b""), rate);
        }
        assert_eq!(formats.intern(&audio(0), "f32", b""), 0);
        assert_eq!(formats.intern(&audio(7), "f32", b""), 7);
    }

    #[test]
    fn streams_are_told_apart_by_kind_and_label() {
        let streams = Streams::new();
        let chat = streams.declare(3, "chat");
        assert_eq!(chat, Some(0));
        assert_eq!(streams.declare(2, "chat"), Some(1));
        assert_eq!(streams.declare(3, "chat"), chat);
        assert_eq!(streams.declare(3, &"x".repeat(MAX_LABEL + 1)), None);
    }
}
