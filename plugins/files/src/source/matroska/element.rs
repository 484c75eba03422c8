//! [`Element`]: where an element lies in a file, and elements within bytes that were read.

use levada_plugin::Result;

use super::super::bytes::{DAMAGED, Source};
use crate::ebml::{length, number};

/// An element's header.
#[derive(Clone, Copy)]
pub(super) struct Element {
    pub id: u32,
    /// Where its header begins, and its content.
    pub from: u64,
    pub at: u64,
    /// Where it ends; `None` when it does not say.
    pub end: Option<u64>,
}

impl Element {
    /// Reads the header that lies at a place.
    ///
    /// # Errors
    /// When none does.
    pub fn read(source: &mut Source, from: u64) -> Result<Element> {
        let mut bytes = [0; 12];
        let left = source.len().saturating_sub(from);
        let len = left.min(bytes.len() as u64) as usize;
        source.read(from, &mut bytes[..len])?;
        let Some((id, header, size)) = header(&bytes[..len]) else {
            return Err(source.error(
                from,
                format_args!("no element begins here; the file was cut off, or {DAMAGED}"),
            ));
        };
        let at = from + header as u64;
        Ok(Element {
            id,
            from,
            at,
            end: size.map(|size| at.saturating_add(size)),
        })
    }

    /// Asserts that all of it lies in the file, and that it has at most `most` bytes: how many.
    ///
    /// # Errors
    /// Otherwise, or when it does not say where it ends.
    pub fn check(&self, source: &Source, most: u64, what: &str) -> Result<usize> {
        let Some(end) = self.end else {
            return Err(source.error(self.from, format_args!("{what} does not say where it ends")));
        };
        source.check(self.at, end - self.at, most, what)
    }

    /// Reads its content, of at most `most` bytes.
    ///
    /// # Errors
    /// As [`Element::check`], or when it cannot be read.
    pub fn content(&self, source: &mut Source, most: u64, what: &str) -> Result<Vec<u8>> {
        let mut content = vec![0; self.check(source, most, what)?];
        source.read(self.at, &mut content)?;
        Ok(content)
    }
}

/// The identifier, the header's length, and the content's, from a header's bytes.
fn header(bytes: &[u8]) -> Option<(u32, usize, Option<u64>)> {
    let id_len = length(*bytes.first()?).filter(|len| *len <= 4)?;
    let id = bytes.get(..id_len)?;
    let id = id.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let size_len = length(*bytes.get(id_len)?)?;
    let size = bytes.get(id_len..id_len + size_len)?;
    Some((id, id_len + size_len, number(size)))
}

/// The elements within an element's content, with where theirs begins; what does not add up ends it.
pub(super) fn within(content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = content;
    std::iter::from_fn(move || {
        let (id, len, size) = header(rest)?;
        let size = usize::try_from(size?).ok()?;
        let end = len.checked_add(size)?;
        let content = rest.get(len..end)?;
        rest = &rest[end..];
        Some((id, content))
    })
}

/// A whole number of up to 8 bytes.
pub(super) fn uint(content: &[u8]) -> Option<u64> {
    (content.len() <= 8).then(|| {
        content
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    })
}

/// A float of 4 or 8 bytes; 0 of none.
pub(super) fn float(content: &[u8]) -> Option<f64> {
    match content {
        [] => Some(0.0),
        [a, b, c, d] => Some(f32::from_be_bytes([*a, *b, *c, *d]).into()),
        _ => Some(f64::from_be_bytes(content.try_into().ok()?)),
    }
}
