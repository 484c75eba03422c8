//! [`Streams`]: what a node keeps for each stream of its link, bounded.

/// Streams of a link that have a codec at a time: each costs tens of megabytes.
pub const MAX_STREAMS: usize = 8;
/// A stream without frames for this long gives way to another one, ns.
const IDLE_NS: i64 = 5_000_000_000;

/// A value for each stream, at most [`MAX_STREAMS`].
pub struct Streams<T> {
    /// With the stream's number and the time of its last use; least recently used first.
    entries: Vec<(u16, i64, T)>,
}

impl<T> Streams<T> {
    pub fn new() -> Streams<T> {
        Streams {
            entries: Vec::new(),
        }
    }

    /// The stream's value, made if there is none. Where there are as many as there may be, it takes the place of one
    /// that has been idle, which `gone` is told; without such a one the answer is `None`.
    pub fn of(
        &mut self,
        id: u16,
        now: i64,
        make: impl FnOnce() -> T,
        gone: impl FnOnce(T),
    ) -> Option<&mut T> {
        match self.entries.iter().position(|(of, ..)| *of == id) {
            Some(at) => self.entries[at..].rotate_left(1),
            None => {
                if self.entries.len() == MAX_STREAMS {
                    if now.saturating_sub(self.entries[0].1) < IDLE_NS {
                        return None;
                    }
                    gone(self.entries.remove(0).2);
                }
                self.entries.push((id, now, make()));
            }
        }
        let (_, used, value) = self.entries.last_mut()?;
        *used = now;
        Some(value)
    }

    /// Visits those that an event for `stream` is meant for.
    pub fn meant(&mut self, stream: u32) -> impl Iterator<Item = &mut T> {
        let all = stream == levada_plugin::event::ALL_STREAMS;
        self.entries
            .iter_mut()
            .filter(move |(id, ..)| all || u32::from(*id) == stream)
            .map(|(.., value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_too_many_takes_the_place_of_an_idle_one_or_none() {
        let mut streams = Streams::new();
        let mut gone = Vec::new();
        let mut use_at = |streams: &mut Streams<u16>, id: u16, now: i64| {
            streams.of(id, now, || id, |it| gone.push(it)).copied()
        };
        for id in 0..MAX_STREAMS as u16 {
            assert_eq!(use_at(&mut streams, id, 0), Some(id));
        }
        assert_eq!(use_at(&mut streams, 0, IDLE_NS - 1), Some(0));
        assert_eq!(
            use_at(&mut streams, 100, IDLE_NS - 1),
            None,
            "all are in use"
        );
        assert_eq!(use_at(&mut streams, 100, IDLE_NS), Some(100));
        assert_eq!(
            use_at(&mut streams, 0, IDLE_NS),
            Some(0),
            "it is there still"
        );
        assert_eq!(gone, [1]);
        assert_eq!(streams.meant(0).count(), 1);
        assert_eq!(streams.meant(1).count(), 0);
        let all = levada_plugin::event::ALL_STREAMS;
        assert_eq!(streams.meant(all).count(), MAX_STREAMS);
    }
}
