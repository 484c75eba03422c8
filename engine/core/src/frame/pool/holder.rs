//! Who holds a buffer: a [`Holder`] in each block's header, and the search for what a session holds.
//!
//! A block is its borrower's until it is attributed to another node, which happens before that node is
//! given it. So the holder of a block on loan is the last node that could have kept it, and after a
//! session's end, when all its nodes are destroyed, what it still holds is a leak, or a frame that the
//! application keeps. A block that several nodes share has one holder all the same, the last.
#![forbid(unsafe_code)]

use super::{Inner, Pool, block::Header};
use crate::sync::Ordering;
use levada_abi::Frame;

/// A node of a session, or nobody: what buffers are attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(u64);

const NODE_BITS: u32 = 16;

const _: () = assert!(crate::graph::MAX_NODES <= 1 << NODE_BITS);

impl Holder {
    /// No node: the application, or a benchmark.
    pub const NOBODY: Holder = Holder(0);

    /// A node, by its session's number and its place in the graph. Sessions count from 1, and 48 bits
    /// of the number are kept.
    #[must_use]
    pub fn node(session: u64, node: usize) -> Holder {
        Holder(session << NODE_BITS | node as u64)
    }

    pub(super) const fn from_bits(bits: u64) -> Holder {
        Holder(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    fn session(self) -> u64 {
        self.0 >> NODE_BITS
    }

    fn place(self) -> usize {
        (self.0 & ((1 << NODE_BITS) - 1)) as usize
    }
}

/// What a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The node's place in its graph.
    pub node: usize,
    /// Buffers on loan that are attributed to it.
    pub buffers: u64,
    /// Bytes of memory that these take from the pool: their size classes, not their windows.
    pub bytes: u64,
}

impl Pool {
    /// Attributes those of the frames whose memory is this pool's to `holder`. Any thread that has the
    /// frames; one look at each header, which a node is about to touch anyway.
    pub fn attribute(&self, frames: &[Frame], holder: Holder) {
        for header in frames.iter().filter_map(|f| self.header(&f.buffer)) {
            // A line that is not written stays in the caches of those who share it.
            if header.holder() != holder {
                header.set_holder(holder);
            }
        }
    }

    /// What the nodes of a session hold, in the graph's order. Any thread; it looks at every block of
    /// the pool, and what is loaned and released meanwhile may or may not be counted.
    #[must_use]
    pub fn held_by(&self, session: u64) -> Vec<Held> {
        self.inner
            .held(|holder| holder.session() == Holder::node(session, 0).session())
    }

    /// As [`Pool::held_by`], for the nodes of all sessions together, by their place.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.inner.held(|holder| holder != Holder::NOBODY)
    }
}

impl Inner {
    fn held(&self, is: impl Fn(Holder) -> bool) -> Vec<Held> {
        let fresh = self.lock().fresh;
        let mut held: Vec<Held> = vec![];
        let headers = (0..fresh).filter_map(|number| self.headers.get(number));
        for (holder, bytes) in headers.filter_map(Header::loan).filter(|l| is(l.0)) {
            let node = holder.place();
            let at = held.partition_point(|h| h.node < node);
            if held.get(at).is_none_or(|h| h.node != node) {
                let none = Held {
                    node,
                    buffers: 0,
                    bytes: 0,
                };
                held.insert(at, none);
            }
            held[at].buffers += 1;
            held[at].bytes += bytes as u64;
        }
        held
    }
}

impl Header {
    fn holder(&self) -> Holder {
        Holder::from_bits(self.holder.load(Ordering::Relaxed))
    }

    pub(super) fn set_holder(&self, holder: Holder) {
        self.holder.store(holder.bits(), Ordering::Relaxed);
    }

    /// Who holds the block, and how many bytes it has; `None` when it is not on loan.
    fn loan(&self) -> Option<(Holder, usize)> {
        // Acquire, with the Release in `Block::lend`: a loan that is seen is not taken for one of whom
        // the block was lent to before.
        (self.references.load(Ordering::Acquire) > 0).then(|| (self.holder(), self.size()))
    }
}
