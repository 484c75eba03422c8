//! [`Inlet`]: the end of a channel that frames are taken from.
#![forbid(unsafe_code)]

use super::{
    Arc, Broken, Event, Frame, Ordering, Receiving, Shared, lock, needs_others, outlet::want,
};
use crate::sync::{fence, pop_many};

/// What a channel has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing now.
    Nothing,
    /// A frame with this time.
    Frame(i64),
    /// An in-band event.
    Event(Event),
}

/// See the [channel](super)'s documentation.
pub(crate) struct Inlet {
    queue: Receiving,
    /// The next frame with its position, once it has been looked at.
    held: Option<(u64, Frame)>,
    /// One more than the position of the last frame taken from the queue.
    next: u64,
    /// Positions that were skipped, because their frames were displaced.
    skipped: usize,
    /// Of those, how many the producer has accounted for.
    accounted: usize,
    broken: Broken,
    /// By a gap: no frame comes whose time lies before this, ns.
    pub silent_until: i64,
    /// The end has been delivered to the node.
    pub end_delivered: bool,
    /// Streams of which a keyframe is to be asked for.
    wanted: Vec<u16>,
    /// Frames that were dropped because they cannot be decoded.
    dropped: u64,
    shared: Arc<Shared>,
}

impl Inlet {
    pub(super) fn new(queue: Receiving, shared: Arc<Shared>) -> Inlet {
        Inlet {
            queue,
            held: None,
            next: 0,
            skipped: 0,
            accounted: 0,
            broken: Broken::default(),
            silent_until: i64::MIN,
            end_delivered: false,
            wanted: vec![],
            dropped: 0,
            shared,
        }
    }

    /// Whether anything waits: a frame, or an event.
    pub fn has_any(&self) -> bool {
        self.len() > 0 || self.shared.events_waiting.load(Ordering::Acquire) > 0
    }

    /// Frames that wait now.
    pub fn len(&self) -> usize {
        self.queued() + usize::from(self.held.is_some())
    }

    fn queued(&self) -> usize {
        match &self.queue {
            Receiving::Ring(ring) => ring.slots(),
            Receiving::Slots(slots) => slots.len(),
        }
    }

    /// Takes frames, until `into` holds `most`, up to the next event; or that event, if no frame comes
    /// before it and `into` is empty.
    pub fn take(&mut self, most: usize, into: &mut Vec<Frame>) -> Option<Event> {
        if let Receiving::Ring(ring) = &mut self.queue {
            let count = ring.slots().min(most.saturating_sub(into.len()));
            // An event that precedes one of these frames was put there before it, and so is seen.
            if self.held.is_none() && self.shared.events_waiting.load(Ordering::Acquire) == 0 {
                self.next += count as u64;
                pop_many(ring, count, into);
                return None;
            }
        }
        while into.len() < most {
            match self.peek() {
                Next::Frame(_) => into.extend(self.take_held()),
                Next::Event(_) if into.is_empty() => return self.take_event(),
                Next::Event(_) | Next::Nothing => break,
            }
        }
        None
    }

    /// Looks at what comes next.
    pub fn peek(&mut self) -> Next {
        loop {
            self.fill();
            let waiting = self.shared.events_waiting.load(Ordering::Acquire) > 0;
            let first = waiting
                .then(|| lock(&self.shared.events).front().copied())
                .flatten();
            match (&self.held, first) {
                (Some((position, _)), Some((before, event))) if before <= *position => {
                    return Next::Event(event);
                }
                (Some((_, frame)), _) => return Next::Frame(frame.pts),
                (None, None) => return Next::Nothing,
                (None, Some((_, event))) => {
                    // Frames that were put in before the event are seen by now.
                    self.fill();
                    if self.held.is_none() {
                        return Next::Event(event);
                    }
                }
            }
        }
    }

    /// Takes the frame that [`peek`](Inlet::peek) has found.
    pub fn take_held(&mut self) -> Option<Frame> {
        self.held.take().map(|(_, frame)| frame)
    }

    /// Takes the event that [`peek`](Inlet::peek) has found.
    pub fn take_event(&mut self) -> Option<Event> {
        let mut events = lock(&self.shared.events);
        let held = self
            .held
            .as_ref()
            .map_or(u64::MAX, |(position, _)| *position);
        let first = match events.front() {
            Some((before, _)) if *before <= held => events.pop_front(),
            _ => None,
        };
        self.shared
            .events_waiting
            .store(events.len(), Ordering::Release);
        first.map(|(_, event)| event)
    }

    /// Holds the next frame that can be used, if there is one.
    fn fill(&mut self) {
        while self.held.is_none() {
            let taken = match &mut self.queue {
                Receiving::Ring(ring) => ring.pop().ok().map(|frame| (self.next, frame)),
                Receiving::Slots(slots) => slots.pop(),
            };
            let Some((position, frame)) = taken else {
                return;
            };
            self.skipped += (position - self.next) as usize;
            self.next = position + 1;
            if self.skipped > 0 && self.is_spoilt(&frame, position) {
                want(&mut self.wanted, frame.stream);
                self.dropped += 1;
            } else {
                self.held = Some((position, frame));
            }
        }
    }

    /// Whether a frame cannot be decoded, now that some have been lost.
    fn is_spoilt(&mut self, frame: &Frame, position: u64) -> bool {
        // Acquire: what is accounted for is in the list.
        let accounted = self.shared.accounted.load(Ordering::Acquire);
        if accounted != self.accounted {
            self.accounted = accounted;
            for loss in lock(&self.shared.lost).0.drain(..) {
                self.broken.lose(loss.stream, loss.first, loss.last);
            }
        }
        if accounted < self.skipped && needs_others(frame) {
            // The producer is about to say which streams lost what: this one may have.
            self.broken.lose(frame.stream, position, position);
        }
        self.broken.spoils(frame, position)
    }

    /// Frames that were dropped since the last time because they cannot be decoded.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// A stream of which a keyframe is to be asked for.
    pub fn take_wanted(&mut self) -> Option<u16> {
        self.wanted.pop()
    }

    /// Returns whether the producer waits and has been given enough room to be woken.
    pub fn take_waiter(&self) -> bool {
        // Pairs with the fence in `Outlet::wait_for_room`.
        fence(Ordering::SeqCst);
        self.shared.producer_waits.load(Ordering::Relaxed)
            && self.queued() <= self.shared.wake_at
            && self.shared.producer_waits.swap(false, Ordering::Relaxed)
    }

    /// Says that nobody takes from the channel any more, so that what is still put in may be dropped;
    /// returns whether the producer waits, and is to be woken.
    pub fn abandon(&self) -> bool {
        self.shared.abandoned.store(true, Ordering::Relaxed);
        // Pairs with the fence in `Outlet::wait_for_room`.
        fence(Ordering::SeqCst);
        self.shared.producer_waits.swap(false, Ordering::Relaxed)
    }

    /// Whether the last frame and the last event have been taken.
    pub fn is_finished(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire) && !self.has_any()
    }

    /// Takes out and counts what waits; nobody takes from here any more.
    pub fn discard(&mut self) -> u64 {
        let held = u64::from(self.held.take().is_some());
        let mut queued = 0;
        match &mut self.queue {
            Receiving::Ring(ring) => {
                while ring.pop().is_ok() {
                    queued += 1;
                }
            }
            Receiving::Slots(slots) => {
                while slots.pop().is_some() {
                    queued += 1;
                }
            }
        }
        held + queued + self.take_dropped()
    }
}
