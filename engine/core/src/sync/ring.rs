//! A ring for one producer and one consumer, several items at a time.
#![forbid(unsafe_code)]

use rtrb::{Consumer, Producer, RingBuffer};

pub(crate) fn ring_buffer<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    RingBuffer::new(capacity)
}

/// Puts at most `most` of the items in, as many as fit, and returns how many that were.
pub(crate) fn push_many<T>(
    ring: &mut Producer<T>,
    most: usize,
    items: &mut impl Iterator<Item = T>,
) -> usize {
    let count = ring.slots().min(most);
    match ring.write_chunk_uninit(count) {
        Ok(chunk) => chunk.fill_from_iter(items),
        Err(_) => 0,
    }
}

/// Takes `count` items, which are there.
pub(crate) fn pop_many<T>(ring: &mut Consumer<T>, count: usize, into: &mut Vec<T>) {
    if let Ok(chunk) = ring.read_chunk(count) {
        into.extend(chunk);
    }
}
