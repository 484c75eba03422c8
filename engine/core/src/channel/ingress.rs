//! [`Ingress`]: the ring in which what a source hands in waits while its segment is busy.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use levada_abi::{Event, Frame};

use crate::sync::ArrayQueue;

/// What a source hands in.
pub(crate) enum Item {
    Frame(Frame),
    Event(Event),
}

/// See the module's documentation. A source's thread is not the engine's to trust, so the ring bears
/// being filled from several at once. It is made when it is first needed: a source that the engine
/// ticks never needs it.
#[derive(Default)]
pub(crate) struct Ingress(OnceLock<Box<ArrayQueue<Item>>>);

impl Ingress {
    /// Puts something in behind all else; it comes back when `capacity` items wait.
    pub fn push(&self, capacity: usize, item: Item) -> Result<(), Item> {
        self.0
            .get_or_init(|| Box::new(ArrayQueue::new(capacity)))
            .push(item)
    }

    pub fn is_empty(&self) -> bool {
        self.0.get().is_none_or(|ring| ring.is_empty())
    }

    /// Takes at most `most` frames, and the event behind the last of them, if one comes before that.
    pub fn take(&self, most: usize, into: &mut Vec<Frame>) -> Option<Event> {
        let ring = self.0.get()?;
        while into.len() < most {
            match ring.pop()? {
                Item::Frame(frame) => into.push(frame),
                Item::Event(event) => return Some(event),
            }
        }
        None
    }

    /// Takes out what waits, and returns how many frames that were.
    pub fn discard(&self) -> u64 {
        let Some(ring) = self.0.get() else {
            return 0;
        };
        let taken = std::iter::from_fn(|| ring.pop());
        taken.filter(|item| matches!(item, Item::Frame(_))).count() as u64
    }
}
