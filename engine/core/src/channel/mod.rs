//! The bounded queue behind a link between two segments: an [`Outlet`] for the segment that produces,
//! an [`Inlet`] for the one that consumes.
//!
//! Each end belongs to one segment and is used by whoever runs it. Where the policy lets frames wait
//! in order (`block`, `drop-newest`) they lie in a ring for one producer and one consumer (`rtrb`);
//! where the producer displaces them (`drop-oldest`, `latest`) in crossbeam's [`ArrayQueue`], whose
//! slots carry sequence numbers, so that displacing one is no race with the consumer. Each frame that
//! was put in has a *position*, counted from 0.
//!
//! *Room.* A producer on a `block` channel that finds no room calls [`Outlet::wait_for_room`]: it
//! leaves a mark, then looks again. A consumer that has taken frames calls [`Inlet::take_waiter`]:
//! when the channel is at most half full (or as its consumer needs it) and the mark is there, it clears the mark and wakes the
//! producer's segment. Mark and look on one side, take and look on the other, each with a
//! sequentially consistent fence between, so that at least one of the two sees the other.
//!
//! *In-band events* (flush, gap) wait beside the frames, each with the position of the frame that it
//! precedes, so no policy can drop one and no frame can overtake it. An event is put there before the
//! frames that follow it, so whoever has taken one of those sees it. Of two of one kind and stream
//! with no frame left between them the last one stays, which bounds their number by that of the frames,
//! of the kinds, and of the streams that a session can have.
//!
//! *Inter-coded video.* Where a frame was dropped that others need, those that cannot be decoded
//! without it are dropped as well, up to the next keyframe, and one keyframe is asked for.
#![forbid(unsafe_code)]

use std::{collections::VecDeque, sync::PoisonError};

use levada_abi::{Event, Frame, flags};

use crate::{
    graph::Policy,
    sync::{
        Arc, ArrayQueue, AtomicBool, AtomicUsize, Consumer, Mutex, MutexGuard, Ordering, Producer,
        ring_buffer,
    },
};

mod ingress;
mod inlet;
mod outlet;

pub(crate) use ingress::{Ingress, Item};
pub(crate) use inlet::{Inlet, Next};
pub(crate) use outlet::Outlet;

/// Streams for which a channel remembers that they wait for a keyframe; beyond that many it believes
/// all others to be whole.
const MAX_BROKEN: usize = 64;

/// What both ends see.
struct Shared {
    policy: Policy,
    /// Frames that it holds at most.
    capacity: usize,
    /// Frames that may wait when the producer is woken.
    wake_at: usize,
    /// The producer has pushed its last frame.
    closed: AtomicBool,
    /// Nobody takes from the channel any more.
    abandoned: AtomicBool,
    producer_waits: AtomicBool,
    /// In-band events that wait.
    events_waiting: AtomicUsize,
    /// Each with the position of the frame that it precedes, in order.
    events: Mutex<VecDeque<(u64, Event)>>,
    /// Frames that were displaced and are in `lost`, if they belong there.
    accounted: AtomicUsize,
    /// Streams that lost frames which others need, and where.
    lost: Mutex<Broken>,
}

/// No lock here guards data that a panic could leave half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an empty channel for `capacity` frames, at least one.
pub(crate) fn channel(policy: Policy, capacity: usize) -> (Outlet, Inlet) {
    let capacity = match policy {
        Policy::Latest => 1,
        _ => capacity.max(1),
    };
    channel_with(policy, capacity, capacity / 2)
}

/// The same, where a producer that waits is woken once at most `wake_at` frames wait: for a consumer that
/// keeps frames waiting and may never empty the channel by half.
pub(crate) fn channel_with(policy: Policy, capacity: usize, wake_at: usize) -> (Outlet, Inlet) {
    let shared = Arc::new(Shared {
        policy,
        capacity,
        wake_at,
        closed: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
        producer_waits: AtomicBool::new(false),
        events_waiting: AtomicUsize::new(0),
        events: Mutex::new(VecDeque::new()),
        accounted: AtomicUsize::new(0),
        lost: Mutex::new(Broken::default()),
    });
    match policy {
        Policy::Block | Policy::DropNewest => {
            let (producer, consumer) = ring_buffer(capacity);
            (
                Outlet::new(Sending::Ring(producer), shared.clone()),
                Inlet::new(Receiving::Ring(consumer), shared),
            )
        }
        Policy::DropOldest | Policy::Latest => {
            let slots = Arc::new(ArrayQueue::new(capacity));
            (
                Outlet::new(Sending::Slots(slots.clone()), shared.clone()),
                Inlet::new(Receiving::Slots(slots), shared),
            )
        }
    }
}

enum Sending {
    Ring(Producer<Frame>),
    Slots(Arc<ArrayQueue<(u64, Frame)>>),
}

enum Receiving {
    Ring(Consumer<Frame>),
    Slots(Arc<ArrayQueue<(u64, Frame)>>),
}

/// Whether other frames need this one to be decoded.
fn is_needed(frame: &Frame) -> bool {
    frame.flags & (flags::KEYFRAME | flags::INTER) != 0 && frame.flags & flags::DROPPABLE == 0
}

/// Whether a frame needs others.
fn needs_others(frame: &Frame) -> bool {
    frame.flags & (flags::KEYFRAME | flags::INTER) == flags::INTER
}

/// Frames that others need, of one stream, were lost: the first and the last position.
struct Loss {
    stream: u16,
    first: u64,
    last: u64,
}

/// Streams that wait for a keyframe, since frames were lost.
#[derive(Default)]
struct Broken(Vec<Loss>);

impl Broken {
    fn lose(&mut self, stream: u16, first: u64, last: u64) {
        if let Some(loss) = self.0.iter_mut().find(|loss| loss.stream == stream) {
            (loss.first, loss.last) = (loss.first.min(first), loss.last.max(last));
        } else if self.0.len() < MAX_BROKEN {
            self.0.push(Loss {
                stream,
                first,
                last,
            });
        }
    }

    /// Whether the frame at this position cannot be decoded; a keyframe mends what was lost before it.
    fn spoils(&mut self, frame: &Frame, position: u64) -> bool {
        let mut losses = self.0.iter();
        let Some(at) =
            losses.position(|loss| loss.stream == frame.stream && loss.first <= position)
        else {
            return false;
        };
        if frame.flags & flags::KEYFRAME == 0 {
            return needs_others(frame);
        }
        // While the keyframe was on its way to the consumer, frames behind it may have been displaced.
        if self.0[at].last > position {
            self.0[at].first = position + 1;
        } else {
            self.0.swap_remove(at);
        }
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_models;
