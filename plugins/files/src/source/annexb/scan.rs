//! [`Scanner`]: from one start code to the next.

use levada_plugin::Result;

use super::super::bytes::Source;

/// How much of the file is read at once.
const CHUNK: usize = 64 << 10;
/// Three bytes that no NAL unit holds.
const CODE: [u8; 3] = [0, 0, 1];

/// A NAL unit's place.
pub(super) struct Nal {
    /// Where its start code begins, and where the next one does.
    pub at: u64,
    pub end: u64,
    /// Its first byte.
    body: u64,
    pub kind: u8,
    /// Other pictures refer to it.
    pub is_reference: bool,
}

impl Nal {
    /// Reads at most `most` of its first bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn head(&self, source: &mut Source, most: usize, to: &mut Vec<u8>) -> Result {
        to.resize((self.end - self.body).min(most as u64) as usize, 0);
        source.read(self.body, to)
    }
}

/// A place in a file, and what was read around it.
pub(super) struct Scanner {
    /// The next start code, and the byte behind it; `None` when it has not been looked for.
    next: Option<(u64, u64)>,
    from: u64,
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl Scanner {
    /// Begins at a place.
    pub fn new(from: u64) -> Scanner {
        Scanner {
            next: None,
            from,
            chunk: vec![],
            chunk_at: 0,
        }
    }

    /// The next NAL unit; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self, source: &mut Source) -> Result<Option<Nal>> {
        loop {
            let begin = match self.next.take() {
                Some(begin) => Some(begin),
                None => self.find(source, self.from)?,
            };
            let Some((at, body)) = begin else {
                self.from = source.len();
                return Ok(None);
            };
            let next = self.find(source, body)?;
            let end = next.map_or(source.len(), |(at, _)| at);
            (self.next, self.from) = (next, end);
            if body >= end {
                // Two start codes with nothing in between.
                continue;
            }
            let mut first = [0];
            source.read(body, &mut first)?;
            return Ok(Some(Nal {
                at,
                end,
                body,
                kind: first[0] & 0x1f,
                is_reference: first[0] & 0x60 != 0,
            }));
        }
    }

    /// The first start code from a place on, with a zero in front of it where there is one, and the byte behind it.
    fn find(&mut self, source: &mut Source, from: u64) -> Result<Option<(u64, u64)>> {
        let mut at = from;
        loop {
            let chunk_end = self.chunk_at + self.chunk.len() as u64;
            if at < self.chunk_at || at + 3 > chunk_end {
                let len = source.len().saturating_sub(at).min(CHUNK as u64) as usize;
                if len < CODE.len() {
                    return Ok(None);
                }
                self.chunk.resize(len, 0);
                self.chunk_at = at;
                source.read(at, &mut self.chunk)?;
            }
            let bytes = &self.chunk[(at - self.chunk_at) as usize..];
            if let Some(found) = bytes.windows(3).position(|w| w == CODE) {
                let code = at + found as u64;
                let has_zero = if found > 0 {
                    bytes[found - 1] == 0
                } else {
                    // In the chunk before.
                    let mut byte = [1];
                    if code > from {
                        source.read(code - 1, &mut byte)?;
                    }
                    byte[0] == 0
                };
                return Ok(Some((code - u64::from(has_zero), code + 3)));
            }
            at += bytes.len() as u64 - 2;
        }
    }
}
