//! [`Streams`]: what a node keeps for each stream of its link, bounded.

/// Streams of a link that have a codec at a time: each costs tens of megabytes.
pub const MAX_STREAMS: usize = 8;

/// A value for each stream, at most [`MAX_STREAMS`]; of more, the one unused for longest gives way.
pub struct Streams<T> {
    /// Least recently used first.
    entries: Vec<(u16, T)>,
}

impl<T> Streams<T> {
    pub fn new() -> Streams<T> {
        Streams {
            entries: Vec::new(),
        }
    }

    /// The stream's value, made if there is none; `gone` is told of the one that gives way for it.
    pub fn of(&mut self, id: u16, make: impl FnOnce() -> T, gone: impl FnOnce(T)) -> &mut T {
        match self.entries.iter().position(|(of, _)| *of == id) {
            Some(at) => self.entries[at..].rotate_left(1),
            None => {
                if self.entries.len() == MAX_STREAMS {
                    gone(self.entries.remove(0).1);
                }
                self.entries.push((id, make()));
            }
        }
        let last = self.entries.len() - 1;
        &mut self.entries[last].1
    }

    /// Visits those that an event for `stream` is meant for.
    pub fn meant(&mut self, stream: u32) -> impl Iterator<Item = &mut T> {
        let all = stream == levada_plugin::event::ALL_STREAMS;
        self.entries
            .iter_mut()
            .filter(move |(id, _)| all || u32::from(*id) == stream)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_too_many_displaces_the_one_unused_for_longest() {
        let mut streams = Streams::new();
        let mut gone = Vec::new();
        let ids = (0..MAX_STREAMS as u16).chain([0, 100, 101, 0]);
        for id in ids {
            *streams.of(id, || (id, 0), |it| gone.push(it)) = (id, 1);
        }
        assert_eq!(gone, [(1, 1), (2, 1)]);
        assert_eq!(streams.meant(0).count(), 1);
        assert_eq!(streams.meant(1).count(), 0);
        let all = levada_plugin::event::ALL_STREAMS;
        assert_eq!(streams.meant(all).count(), MAX_STREAMS);
    }
}
