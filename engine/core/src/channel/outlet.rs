//! [`Outlet`]: the end of a channel that frames are put into.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::{Arc, Broken, Event, Frame, Ordering, Policy, Sending, Shared, is_needed, lock};
use crate::sync::{fence, push_many};

/// See the [channel](super)'s documentation.
pub(crate) struct Outlet {
    queue: Sending,
    /// Frames that were put in, which is the next one's position.
    next: u64,
    broken: Broken,
    /// Streams of which a keyframe is to be asked for.
    wanted: Vec<u16>,
    /// Length of the list of events at which it is tidied.
    tidy_at: usize,
    pub(super) shared: Arc<Shared>,
}

impl Outlet {
    pub(super) fn new(queue: Sending, shared: Arc<Shared>) -> Outlet {
        Outlet {
            queue,
            next: 0,
            broken: Broken::default(),
            wanted: vec![],
            tidy_at: 64,
            shared,
        }
    }

    /// How many frames fit now without a drop; `usize::MAX` when the policy makes room by itself, or
    /// nobody takes them any more.
    pub fn room(&self) -> usize {
        match (&self.queue, self.shared.policy) {
            (Sending::Ring(ring), Policy::Block)
                if !self.shared.abandoned.load(Ordering::Relaxed) =>
            {
                ring.slots()
            }
            _ => usize::MAX,
        }
    }

    /// Puts `count` frames in, in order, and returns how many were dropped.
    pub fn push(&mut self, count: usize, frames: impl Iterator<Item = Frame>) -> usize {
        let mut frames = frames.take(count);
        match (&mut self.queue, self.shared.policy) {
            (Sending::Ring(ring), Policy::Block) => {
                let put = push_many(ring, count, &mut frames);
                self.next += put as u64;
                frames.count()
            }
            (Sending::Ring(_), _) => frames.map(|frame| self.push_or_drop(frame)).sum(),
            (Sending::Slots(_), _) => frames.map(|frame| self.displace(frame)).sum(),
        }
    }

    fn push_or_drop(&mut self, frame: Frame) -> usize {
        let Sending::Ring(ring) = &mut self.queue else {
            return 0;
        };
        let stream = frame.stream;
        // What is dropped here never gets a position; any number will do.
        if ring.slots() > 0 {
            if !self.broken.spoils(&frame, 0) {
                // One place is free, and only this end fills it.
                let put = push_many(ring, 1, &mut std::iter::once(frame));
                self.next += put as u64;
                return 1 - put;
            }
            want(&mut self.wanted, stream);
        } else if is_needed(&frame) {
            self.broken.lose(stream, 0, 0);
        }
        1
    }

    fn displace(&mut self, frame: Frame) -> usize {
        let Sending::Slots(slots) = &self.queue else {
            return 0;
        };
        let displaced = slots.force_push((self.next, frame));
        self.next += 1;
        let Some((position, frame)) = displaced else {
            return 0;
        };
        if is_needed(&frame) {
            lock(&self.shared.lost).lose(frame.stream, position, position);
        }
        // Release, with the Acquire in `Inlet`: what was lost is seen before it is accounted for.
        self.shared.accounted.fetch_add(1, Ordering::Release);
        1
    }

    /// Puts an event in, behind the frames that were put in so far.
    pub fn signal(&mut self, event: Event) {
        let mut events = lock(&self.shared.events);
        // One of its kind that no frame has followed is over. It may have been behind others that are not.
        let here = events.iter().rev();
        let here = here.take_while(|(position, _)| *position == self.next);
        let mut here = events.len() - here.count()..events.len();
        let same = |e: &Event| e.kind == event.kind && e.stream == event.stream;
        if let Some(at) = here.find(|at| same(&events[*at].1)) {
            events.remove(at);
        }
        events.push_back((self.next, event));
        if events.len() >= self.tidy_at {
            // Frames before this one have been taken or dropped, but for the one that the consumer may
            // have looked at: what was said first comes before it, and what was said last behind it.
            let floor = self.next.saturating_sub(self.shared.capacity as u64 + 1);
            let key = |(position, e): &(u64, Event)| ((*position).max(floor), e.kind, e.stream);
            let mut kept = HashMap::new();
            for (at, entry) in events.iter().enumerate() {
                kept.entry(key(entry)).or_insert((at, at)).1 = at;
            }
            let mut next = 0;
            events.retain(|entry| {
                let (first, last) = kept[&key(entry)];
                next += 1;
                next - 1 == first || next - 1 == last
            });
            self.tidy_at = 64.max(2 * events.len());
        }
        // Release, with the Acquire in `Inlet`; so is the push of every frame that follows.
        self.shared
            .events_waiting
            .store(events.len(), Ordering::Release);
    }

    /// Leaves a mark that the producer waits, and returns whether `need` frames fit after all.
    pub fn wait_for_room(&self, need: usize) -> bool {
        self.shared.producer_waits.store(true, Ordering::Relaxed);
        // Pairs with the fence in `Inlet::take_waiter`.
        fence(Ordering::SeqCst);
        self.room() >= need
    }

    /// Says that no frame follows.
    pub fn close(&self) {
        // Release, with the Acquire in `is_finished`: the frames pushed before are seen.
        self.shared.closed.store(true, Ordering::Release);
    }

    /// A stream of which a keyframe is to be asked for.
    pub fn take_wanted(&mut self) -> Option<u16> {
        self.wanted.pop()
    }
}

pub(super) fn want(wanted: &mut Vec<u16>, stream: u16) {
    if !wanted.contains(&stream) && wanted.len() < super::MAX_BROKEN {
        wanted.push(stream);
    }
}
