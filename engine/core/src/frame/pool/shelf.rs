//! [`Shelf`]: the released blocks of one size, the last one first.
//!
//! A stack in the manner of Treiber ("Systems Programming: Coping with Parallelism", IBM RJ 5118,
//! 1986): the head names the top block, each block's header the one below it. Taking and putting back
//! is one exchange of the head each. Last in, first out, because the block released last is the one
//! most likely to be in a cache, and because blocks that nobody needs sink to the bottom, where
//! [`Pool::trim_idle`](super::Pool::trim_idle) finds them.
//!
//! The head is a number of 24 bits and a lap of 40. Every taking begins a new lap, so that a thread
//! that was held up between reading a header and exchanging the head fails when the same block is on
//! top again over another one. The exchange of a thread that was held up for exactly 2^40 takings,
//! which are hours, would be wrong.
//!
//! A shelf is closed when its pool's last handle goes. It takes no block after that: whoever releases
//! one frees it.

use crossbeam::utils::CachePadded;

use super::{
    block::{Block, Header},
    headers::Headers,
};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const NUMBER_BITS: u32 = 24;
const NUMBERS: u64 = (1 << NUMBER_BITS) - 1;
/// The number of no block: nothing is below.
pub(super) const NONE: u32 = NUMBERS as u32;
/// In the head: the shelf is closed.
const CLOSED: u32 = NONE - 1;

const _: () = assert!(super::headers::MAX_BLOCKS <= CLOSED);

/// See the module's documentation.
pub(super) struct Shelf(CachePadded<AtomicU64>);

fn number(head: u64) -> u32 {
    (head & NUMBERS) as u32
}

fn same_lap(head: u64, number: u32) -> u64 {
    head & !NUMBERS | u64::from(number)
}

fn next_lap(head: u64, number: u32) -> u64 {
    same_lap(head.wrapping_add(1 << NUMBER_BITS), number)
}

/// Puts a block on the shelf with this head, or says that it is closed. `below` is the block's link.
///
/// With the exchange the block belongs to whoever takes it, who may free it and the whole pool while
/// this function returns. So it is given atomics alone, and touches none after that.
pub(super) fn put(head: &AtomicU64, block: u32, below: &AtomicU32) -> bool {
    let mut seen = head.load(Ordering::Relaxed);
    loop {
        if number(seen) == CLOSED {
            return false;
        }
        below.store(number(seen), Ordering::Relaxed);
        // Release, with the Acquire in `take`, `take_all` and `close`: they see the link, and what was
        // done to the memory before.
        match head.compare_exchange_weak(
            seen,
            same_lap(seen, block),
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
}

impl Shelf {
    pub fn new() -> Shelf {
        Shelf(CachePadded::new(AtomicU64::new(u64::from(NONE))))
    }

    pub fn head(&self) -> &AtomicU64 {
        &self.0
    }

    /// Takes the block that was put last.
    pub fn take(&self, headers: &Headers) -> Option<Block> {
        // Acquire, with the Release in `put`, here and below: the link of the block, and what was done
        // to its memory. Exchanges between the two continue the release sequence.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            // None, or closed.
            let header = headers.get(number(seen))?;
            let below = header.below.load(Ordering::Relaxed);
            // Relaxed: the same lap was read with Acquire, and what this thread did before concerns
            // nobody who takes the blocks below.
            match self.0.compare_exchange_weak(
                seen,
                next_lap(seen, below),
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                // SAFETY: the lap says that the block was on top all the time, and it is this thread
                // that took it off.
                Ok(_) => return Some(unsafe { Block::taken(header) }),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all blocks off.
    pub fn take_all(&self) -> Chain {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            // Acquire, with the Release in `put`: the links of all blocks.
            match self.0.compare_exchange_weak(
                seen,
                next_lap(seen, NONE),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Chain(number(seen)),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all blocks off, and none ever after.
    pub fn close(&self) -> Chain {
        // Acquire, with the Release in `put`: the links of all blocks. Relaxed towards those who find
        // the shelf closed: they learn nothing else from it.
        Chain(number(self.0.swap(u64::from(CLOSED), Ordering::Acquire)))
    }

    /// Looks, without taking, whether there is a block of which `is` holds, among `at_most` blocks from
    /// the top. The answer may be wrong while others take and put back.
    pub fn any(&self, headers: &Headers, at_most: u32, is: impl Fn(&Header) -> bool) -> bool {
        // Relaxed: what is seen is believed for no longer than this look.
        let mut next = number(self.0.load(Ordering::Relaxed));
        for _ in 0..at_most {
            let Some(header) = headers.get(next) else {
                return false;
            };
            if is(header) {
                return true;
            }
            next = header.below.load(Ordering::Relaxed);
        }
        false
    }
}

/// Blocks that one thread has, linked like those of a shelf.
#[must_use]
pub(super) struct Chain(u32);

impl Chain {
    pub const EMPTY: Chain = Chain(NONE);

    pub fn take(&mut self, headers: &Headers) -> Option<Block> {
        let header = headers.get(self.0)?;
        self.0 = header.below.load(Ordering::Relaxed);
        // SAFETY: the chain's blocks are off the shelf and the chain's alone, and this one is no
        // longer part of it.
        Some(unsafe { Block::taken(header) })
    }

    pub fn put(&mut self, block: Block) {
        let header = block.header();
        header.below.store(self.0, Ordering::Relaxed);
        self.0 = header.number;
    }
}
