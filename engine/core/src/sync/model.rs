//! Stand-ins for crossbeam's containers that loom can see into.
//!
//! Their indices are loom's atomics, with orderings no stronger than crossbeam's own.

use std::collections::VecDeque;

use loom::{
    cell::UnsafeCell,
    sync::{Arc, Condvar, Mutex, atomic::Ordering},
    thread,
};

use super::atomic::AtomicUsize;

/// Stands for [`crossbeam::queue::ArrayQueue`]: slots with sequence numbers.
///
/// In lap `n` over the slots, a slot has stamp `2n` while it is free and `2n + 1` while it is filled;
/// emptying it makes it free for the next lap.
pub(crate) struct ArrayQueue<T> {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: Box<[Slot<T>]>,
}

struct Slot<T> {
    stamp: AtomicUsize,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: whoever wins the exchange of `head` or `tail` has the slot to itself until it stores the
// stamp; loom checks that.
unsafe impl<T: Send> Sync for ArrayQueue<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for ArrayQueue<T> {}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> Self {
        let slot = |_| Slot {
            stamp: AtomicUsize::new(0),
            value: UnsafeCell::new(None),
        };
        ArrayQueue {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: (0..capacity).map(slot).collect(),
        }
    }

    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub fn len(&self) -> usize {
        let tail = self.tail.load(Ordering::Relaxed);
        tail.saturating_sub(self.head.load(Ordering::Relaxed))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot for a position, and its stamp when it is free for that position.
    fn slot(&self, position: usize) -> (&Slot<T>, usize) {
        let slot = &self.slots[position % self.capacity()];
        (slot, position / self.capacity() * 2)
    }

    pub fn push(&self, value: T) -> Result<(), T> {
        loop {
            let tail = self.tail.load(Ordering::Relaxed);
            let (slot, free) = self.slot(tail);
            if slot.stamp.load(Ordering::Acquire) == free {
                if advance(&self.tail, tail) {
                    // SAFETY: the slot is this thread's until the stamp says that it is filled.
                    slot.value.with_mut(|at| unsafe { *at = Some(value) });
                    slot.stamp.store(free + 1, Ordering::Release);
                    return Ok(());
                }
            } else if self.head.load(Ordering::Relaxed) + self.capacity() == tail {
                return Err(value);
            }
            // Another push has taken the slot, or a pop has yet to give it back.
            thread::yield_now();
        }
    }

    pub fn pop(&self) -> Option<T> {
        loop {
            let head = self.head.load(Ordering::Relaxed);
            let (slot, free) = self.slot(head);
            if slot.stamp.load(Ordering::Acquire) == free + 1 {
                if advance(&self.head, head) {
                    // SAFETY: the slot is this thread's until the stamp says that it is free.
                    let value = slot.value.with_mut(|at| unsafe { (*at).take() });
                    slot.stamp.store(free + 2, Ordering::Release);
                    return value;
                }
            } else if self.tail.load(Ordering::Relaxed) == head {
                return None;
            }
            // Another pop has taken the slot, or a push has yet to fill it.
            thread::yield_now();
        }
    }

    pub fn force_push(&self, mut value: T) -> Option<T> {
        let mut displaced = None;
        loop {
            match self.push(value) {
                Ok(()) => return displaced,
                Err(back) => value = back,
            }
            displaced = displaced.or(self.pop());
        }
    }
}

/// Stands for [`rtrb`]'s ring: the producer alone moves `tail`, the consumer alone `head`.
struct Ring<T> {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: Box<[UnsafeCell<Option<T>>]>,
}

// SAFETY: a slot is the producer's from the consumer's store of `head` to its own of `tail`, and the
// consumer's otherwise; loom checks that.
unsafe impl<T: Send> Sync for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Ring<T> {}

pub(crate) struct Producer<T>(Arc<Ring<T>>);
pub(crate) struct Consumer<T>(Arc<Ring<T>>);

pub(crate) fn ring_buffer<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let ring = Arc::new(Ring {
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(0),
        slots: (0..capacity).map(|_| UnsafeCell::new(None)).collect(),
    });
    (Producer(ring.clone()), Consumer(ring))
}

impl<T> Producer<T> {
    pub fn slots(&self) -> usize {
        let tail = self.0.tail.load(Ordering::Relaxed);
        self.0.slots.len() - (tail - self.0.head.load(Ordering::Acquire))
    }
}

impl<T> Consumer<T> {
    pub fn slots(&self) -> usize {
        let head = self.0.head.load(Ordering::Relaxed);
        self.0.tail.load(Ordering::Acquire) - head
    }

    pub fn pop(&mut self) -> Result<T, ()> {
        if self.slots() == 0 {
            return Err(());
        }
        let head = self.0.head.load(Ordering::Relaxed);
        let slot = &self.0.slots[head % self.0.slots.len()];
        // SAFETY: the slot is the consumer's until it moves `head`.
        let value = slot.with_mut(|at| unsafe { (*at).take() });
        self.0.head.store(head + 1, Ordering::Release);
        value.ok_or(())
    }
}

pub(crate) fn push_many<T>(
    ring: &mut Producer<T>,
    most: usize,
    items: &mut impl Iterator<Item = T>,
) -> usize {
    let count = ring.slots().min(most);
    let tail = ring.0.tail.load(Ordering::Relaxed);
    let mut put = 0;
    for item in items.take(count) {
        let slot = &ring.0.slots[(tail + put) % ring.0.slots.len()];
        // SAFETY: the slot is the producer's until it moves `tail`.
        slot.with_mut(|at| unsafe { *at = Some(item) });
        put += 1;
    }
    ring.0.tail.store(tail + put, Ordering::Release);
    put
}

pub(crate) fn pop_many<T>(ring: &mut Consumer<T>, count: usize, into: &mut Vec<T>) {
    into.extend((0..count).filter_map(|_| ring.pop().ok()));
}

fn advance(index: &AtomicUsize, from: usize) -> bool {
    index
        .compare_exchange(from, from + 1, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
}

/// Stands for [`crossbeam::deque::Injector`]. Looking whether it is empty takes no lock, and so orders
/// nothing.
pub(crate) struct Injector<T> {
    len: AtomicUsize,
    items: Mutex<VecDeque<T>>,
}

pub(crate) enum Steal<T> {
    Empty,
    Success(T),
    /// Somebody else took the item that was seen.
    Retry,
}

impl<T> Injector<T> {
    pub fn new() -> Self {
        Injector {
            len: AtomicUsize::new(0),
            items: Mutex::new(VecDeque::new()),
        }
    }

    pub fn push(&self, item: T) {
        let mut items = self.items.lock().expect("no panic under the lock");
        items.push_back(item);
        self.len.store(items.len(), Ordering::Relaxed);
    }

    pub fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    pub fn steal(&self) -> Steal<T> {
        if self.is_empty() {
            return Steal::Empty;
        }
        let mut items = self.items.lock().expect("no panic under the lock");
        let item = items.pop_front();
        self.len.store(items.len(), Ordering::Relaxed);
        item.map_or(Steal::Retry, Steal::Success)
    }
}

/// Stands for [`crossbeam::sync::Parker`]: one token, which `unpark` leaves and `park` waits for.
pub(crate) struct Parker(Unparker);

#[derive(Clone)]
pub(crate) struct Unparker(Arc<(Mutex<bool>, Condvar)>);

impl Parker {
    pub fn new() -> Self {
        Parker(Unparker(Arc::new((Mutex::new(false), Condvar::new()))))
    }

    pub fn unparker(&self) -> &Unparker {
        &self.0
    }

    pub fn park(&self) {
        let (token, left) = &*self.0.0;
        let mut token = token.lock().expect("no panic under the lock");
        while !*token {
            token = left.wait(token).expect("no panic under the lock");
        }
        *token = false;
    }
}

impl Unparker {
    pub fn unpark(&self) {
        let (token, left) = &*self.0;
        *token.lock().expect("no panic under the lock") = true;
        left.notify_one();
    }
}
