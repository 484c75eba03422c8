//! [`Channel`]: the bounded queue behind a link between two segments, with its policy.
//!
//! One producer (the segment that holds the link's output) and one consumer (the segment that holds
//! its input) use a channel, each from one thread at a time. The queue is crossbeam's
//! [`ArrayQueue`]: slots with sequence numbers, which allow the producer to displace the oldest
//! frame without a race with the consumer.
//!
//! *Room.* A producer on a `block` channel that finds no room calls [`Channel::wait_for_room`]: it
//! leaves a mark, then looks again. A consumer that has taken frames calls [`Channel::take_waiter`]:
//! when the channel is at most half full and the mark is there, it clears the mark and wakes the
//! producer's segment. Mark and look on one side, take and look on the other, each with a
//! sequentially consistent fence between, so that at least one of the two sees the other.
#![forbid(unsafe_code)]

use levada_abi::Frame;

use crate::{
    graph::Policy,
    sync::{ArrayQueue, AtomicBool, Ordering, fence},
};

/// See the module's documentation.
pub(crate) struct Channel {
    ring: ArrayQueue<Frame>,
    policy: Policy,
    /// The producer has pushed its last frame.
    closed: AtomicBool,
    producer_waits: AtomicBool,
}

impl Channel {
    /// Makes an empty channel for `capacity` frames, at least one.
    pub fn new(policy: Policy, capacity: usize) -> Channel {
        let capacity = if policy == Policy::Latest {
            1
        } else {
            capacity.max(1)
        };
        Channel {
            ring: ArrayQueue::new(capacity),
            policy,
            closed: AtomicBool::new(false),
            producer_waits: AtomicBool::new(false),
        }
    }

    /// How many frames fit now without a drop; `usize::MAX` when the policy makes room by itself.
    pub fn room(&self) -> usize {
        match self.policy {
            Policy::Block => self.ring.capacity() - self.ring.len(),
            Policy::DropOldest | Policy::DropNewest | Policy::Latest => usize::MAX,
        }
    }

    /// Producer: puts a frame in, and returns the one that was dropped for it, if any.
    pub fn push(&self, frame: Frame) -> Option<Frame> {
        match self.policy {
            Policy::Block | Policy::DropNewest => self.ring.push(frame).err(),
            Policy::DropOldest | Policy::Latest => self.ring.force_push(frame),
        }
    }

    /// Producer: leaves a mark that it waits, and returns whether `need` frames fit after all.
    pub fn wait_for_room(&self, need: usize) -> bool {
        self.producer_waits.store(true, Ordering::Relaxed);
        // Pairs with the fence in `take_waiter`.
        fence(Ordering::SeqCst);
        self.room() >= need
    }

    /// Producer: says that no frame follows.
    pub fn close(&self) {
        // Release, with the Acquire in `is_finished`: the frames pushed before are seen.
        self.closed.store(true, Ordering::Release);
    }

    /// Consumer: takes the oldest frame.
    pub fn pop(&self) -> Option<Frame> {
        self.ring.pop()
    }

    /// Consumer: returns whether the producer waits and has been given enough room to be woken.
    pub fn take_waiter(&self) -> bool {
        // Pairs with the fence in `wait_for_room`.
        fence(Ordering::SeqCst);
        self.producer_waits.load(Ordering::Relaxed)
            && self.ring.len() <= self.ring.capacity() / 2
            && self.producer_waits.swap(false, Ordering::Relaxed)
    }

    /// Frames that wait now.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Consumer: whether the last frame has been taken.
    pub fn is_finished(&self) -> bool {
        self.closed.load(Ordering::Acquire) && self.ring.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn frame(pts: i64) -> Frame {
        Frame {
            pts,
            ..Frame::default()
        }
    }

    fn drain(channel: &Channel) -> Vec<i64> {
        std::iter::from_fn(|| channel.pop())
            .map(|frame| frame.pts)
            .collect()
    }

    fn push_five(policy: Policy) -> (Channel, Vec<i64>) {
        let channel = Channel::new(policy, 3);
        let dropped = (0..5)
            .filter_map(|pts| channel.push(frame(pts)))
            .map(|f| f.pts)
            .collect();
        (channel, dropped)
    }

    #[test]
    fn drop_oldest_keeps_the_newest_frames() {
        let (channel, dropped) = push_five(Policy::DropOldest);
        assert_eq!((dropped, drain(&channel)), (vec![0, 1], vec![2, 3, 4]));
    }

    #[test]
    fn drop_newest_keeps_the_oldest_frames() {
        let (channel, dropped) = push_five(Policy::DropNewest);
        assert_eq!((dropped, drain(&channel)), (vec![3, 4], vec![0, 1, 2]));
    }

    #[test]
    fn latest_keeps_one_frame() {
        let (channel, dropped) = push_five(Policy::Latest);
        assert_eq!((dropped, drain(&channel)), (vec![0, 1, 2, 3], vec![4]));
    }

    #[test]
    fn block_says_how_much_room_there_is_and_wakes_at_half() {
        let channel = Channel::new(Policy::Block, 4);
        for pts in 0..4 {
            assert!(channel.push(frame(pts)).is_none());
        }
        assert_eq!(channel.room(), 0);
        assert!(!channel.wait_for_room(1));
        channel.pop();
        assert!(!channel.take_waiter(), "three of four is more than half");
        channel.pop();
        assert!(channel.take_waiter());
        assert!(!channel.take_waiter(), "woken once");
    }

    #[test]
    fn a_closed_channel_is_finished_when_its_last_frame_is_taken() {
        let channel = Channel::new(Policy::Block, 4);
        channel.push(frame(1));
        channel.close();
        assert!(!channel.is_finished());
        channel.pop();
        assert!(channel.is_finished());
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::sync::{Parker, Unparker};
    use loom::{sync::Arc, thread};

    /// Pushes bursts, each when it has room as a whole. Parking stands for a segment's rest, unparking
    /// for `notify`. Where a wake-up is lost, both rest, which loom reports as a deadlock.
    fn produce(channel: &Channel, bursts: usize, size: usize, rest: &Parker, consumer: &Unparker) {
        for burst in 0..bursts {
            while channel.room() < size && !channel.wait_for_room(size) {
                rest.park();
            }
            for at in 0..size {
                let pts = (burst * size + at) as i64;
                let frame = Frame {
                    pts,
                    ..Frame::default()
                };
                assert!(channel.push(frame).is_none(), "there was room");
            }
            consumer.unpark();
        }
        channel.close();
        consumer.unpark();
    }

    fn consume(channel: &Channel, rest: &Parker, producer: &Unparker) -> i64 {
        let mut next = 0;
        loop {
            if let Some(frame) = channel.pop() {
                assert_eq!(frame.pts, next);
                next += 1;
                if channel.take_waiter() {
                    producer.unpark();
                }
            } else if channel.is_finished() {
                return next;
            } else {
                rest.park();
            }
        }
    }

    fn model(capacity: usize, bursts: usize, size: usize) {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(3);
        bounded.check(move || {
            let channel = Arc::new(Channel::new(Policy::Block, capacity));
            let (producer, consumer) = (Parker::new(), Parker::new());
            let (wake_producer, wake_consumer) =
                (producer.unparker().clone(), consumer.unparker().clone());
            let taken = channel.clone();
            let thread = thread::spawn(move || consume(&taken, &consumer, &wake_producer));
            produce(&channel, bursts, size, &producer, &wake_consumer);
            let arrived = thread.join().expect("no panic");
            assert_eq!(arrived, (bursts * size) as i64);
        });
    }

    #[test]
    fn loom_a_producer_that_waits_for_one_place_is_woken() {
        model(1, 3, 1);
    }

    #[test]
    fn loom_a_producer_that_waits_for_all_places_is_woken() {
        model(2, 2, 2);
    }

    #[test]
    fn loom_a_producer_is_woken_at_half() {
        model(2, 3, 1);
    }
}
