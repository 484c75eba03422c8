//! [`Headers`]: the headers of a pool's blocks, by number.
//!
//! A header stays where it is from its first use to the end of the pool, whatever becomes of its
//! block. So a thread that has lost a race for a block reads a header that says something else by now,
//! never memory that is gone; and all live blocks can be looked through without a lock.
//!
//! Headers lie in chunks, each twice as large as the one before, so that a small pool is small and a
//! number is found without a search.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use super::block::Header;

/// Headers of the first chunk. Models get by with few, which loom keeps a history of.
const FIRST: u32 = if cfg!(all(test, loom)) { 2 } else { 64 };
const CHUNKS: usize = 18;

/// Blocks that a pool can have: 16 million, numbered from 0.
pub(super) const MAX_BLOCKS: u32 = FIRST * ((1 << CHUNKS) - 1);

/// See the module's documentation.
pub(super) struct Headers([OnceLock<Box<[Header]>>; CHUNKS]);

/// The chunk that a number is in, and its place there.
fn place(number: u32) -> (usize, usize) {
    let scaled = number / FIRST + 1;
    let chunk = scaled.ilog2();
    (
        chunk as usize,
        (number - FIRST * ((1 << chunk) - 1)) as usize,
    )
}

impl Headers {
    pub fn new() -> Headers {
        Headers([const { OnceLock::new() }; CHUNKS])
    }

    /// Returns a header that [`Headers::make`] has made.
    pub fn get(&self, number: u32) -> Option<&Header> {
        let (chunk, at) = place(number);
        self.0.get(chunk)?.get()?.get(at)
    }

    /// Returns a header, allocating its chunk when it is the first there.
    ///
    /// `number` is below [`MAX_BLOCKS`].
    pub fn make(&self, number: u32) -> &Header {
        let (chunk, at) = place(number);
        let first = number - at as u32;
        let all = first..first + (FIRST << chunk);
        &self.0[chunk].get_or_init(|| all.map(Header::new).collect())[at]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_fill_chunks_that_double() {
        let places: Vec<_> = [0, 63, 64, 191, 192, MAX_BLOCKS - 1].map(place).into();
        let last = (FIRST as usize) << (CHUNKS - 1);
        let expected = [(0, 0), (0, 63), (1, 0), (1, 127), (2, 0), (17, last - 1)];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_header_knows_its_number_and_is_there_once_it_was_made() {
        let headers = Headers::new();
        assert!(headers.get(70).is_none());
        assert_eq!(headers.make(70).number, 70);
        assert_eq!(headers.get(71).map(|header| header.number), Some(71));
        assert!(headers.get(3).is_none());
        assert!(headers.get(u32::MAX).is_none());
    }
}
