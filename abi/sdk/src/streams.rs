//! [`Streams`]: what a node keeps for each stream that a port carries.

use crate::error::Result;

/// Streams that a node keeps something for at once.
pub(crate) const MAX_KEPT: usize = 16;

/// What a node keeps for each stream of a port, such as a decoder.
///
/// A link may carry several streams, and a peer may bring new ones for as long as it lives. So at most 16 are
/// kept, and a further one takes the place of the one that was used longest ago.
///
/// ```
/// let mut counts = levada_plugin::Streams::default();
/// for stream in [0, 7, 0] {
///     *counts.of(stream, || Ok(0))? += 1;
/// }
/// assert_eq!(counts.get(0), Some(&mut 2));
/// # Ok::<(), levada_plugin::Error>(())
/// ```
pub struct Streams<T> {
    entries: Vec<Entry<T>>,
    uses: u64,
}

struct Entry<T> {
    stream: u16,
    used: u64,
    kept: T,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Streams {
            entries: Vec::new(),
            uses: 0,
        }
    }
}

impl<T> Streams<T> {
    /// Returns what is kept for `stream`, made by `make` at its first use.
    ///
    /// # Errors
    /// What `make` answered; then nothing is kept.
    pub fn of(&mut self, stream: u16, make: impl FnOnce() -> Result<T>) -> Result<&mut T> {
        self.uses += 1;
        let used = self.uses;
        let at = match self.entries.iter().position(|e| e.stream == stream) {
            Some(at) => at,
            None => {
                let kept = make()?;
                self.make_room();
                self.entries.push(Entry { stream, used, kept });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at];
        entry.used = used;
        Ok(&mut entry.kept)
    }

    fn make_room(&mut self) {
        if self.entries.len() < MAX_KEPT {
            return;
        }
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, e)| e.used);
        if let Some((at, _)) = oldest {
            self.entries.swap_remove(at);
        }
    }

    /// Returns what is kept for `stream`, if there is something.
    pub fn get(&mut self, stream: u16) -> Option<&mut T> {
        let entry = self.entries.iter_mut().find(|e| e.stream == stream)?;
        Some(&mut entry.kept)
    }

    /// Visits what is kept, with its stream.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        self.entries.iter_mut().map(|e| (e.stream, &mut e.kept))
    }

    /// Visits what is kept for the streams that an event means: one, or all.
    pub fn meant_by(&mut self, event: &levada_abi::Event) -> impl Iterator<Item = (u16, &mut T)> {
        let meant = event.stream;
        self.iter_mut().filter(move |(stream, _)| {
            meant == levada_abi::event::ALL_STREAMS || meant == u32::from(*stream)
        })
    }

    /// Lets go of what is kept for `stream`.
    pub fn remove(&mut self, stream: u16) {
        self.entries.retain(|e| e.stream != stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_too_many_takes_the_place_of_the_one_used_longest_ago() -> Result {
        let mut streams = Streams::default();
        for stream in 0..MAX_KEPT as u16 {
            streams.of(stream, || Ok(stream))?;
        }
        streams.of(0, || Ok(99))?;
        streams.of(500, || Ok(500))?;
        assert_eq!(streams.iter_mut().count(), MAX_KEPT);
        assert_eq!(streams.get(0), Some(&mut 0));
        assert_eq!(streams.get(1), None);
        assert_eq!(streams.get(500), Some(&mut 500));
        Ok(())
    }

    #[test]
    fn what_cannot_be_made_takes_nobodys_place() -> Result {
        let mut streams = Streams::default();
        for stream in 0..MAX_KEPT as u16 {
            streams.of(stream, || Ok(stream))?;
        }
        assert!(streams.of(500, || Err(crate::Error::new("no"))).is_err());
        assert_eq!(streams.get(0), Some(&mut 0));
        Ok(())
    }
}
