//! [`Wheel`]: when nodes wish to be called; one moment a node.
//!
//! A hierarchical timing wheel (Varghese and Lauck, 1987): six rings of 256 slots. A slot of the
//! innermost ring is 65.5 us long, one of the next ring as long as the whole ring before. A wish lies
//! in the ring of the highest byte in which its moment differs from the wheel's, so setting and
//! forgetting are a few stores, and a wish moves inwards at most once a ring as its moment comes near.
//! Wishes keep their exact deadlines: within the innermost ring's present slot they are compared, so
//! none is called early. Entries lie in one array, linked by their indices, so nothing is allocated
//! once as many nodes as ever have set a wish.
//!
//! What must hold: every entry of ring `r` at slot `s` shares with the wheel's own moment all bytes
//! above `r`, and `s` is beyond the wheel's own byte `r` (for the innermost ring, not before it).
//! So the first slot in use of the innermost ring in use is the earliest, and the wheel's moment may go
//! as far as that slot's beginning.
//!
//! The order of wishes that come due together is not said, but follows from the calls alone: neither
//! the handles' numbers nor addresses count.
#![forbid(unsafe_code)]

use levada_abi::NodeHandle;

/// Length of the innermost ring's slots, as a power of two of ns.
const SLOT_BITS: u32 = 16;
/// Slots of a ring, as a power of two.
const RING_BITS: u32 = 8;
const RING: usize = 1 << RING_BITS;
/// Rings for all moments there are: 16 + 6 * 8 bits.
const RINGS: usize = 6;
const NONE: u32 = u32::MAX;
const NO_LIST: u16 = u16::MAX;

/// An entry, in the list of a slot or in none.
#[derive(Clone, Copy)]
struct Wish {
    deadline: i64,
    generation: u32,
    next: u32,
    previous: u32,
    list: u16,
}

const NO_WISH: Wish = Wish {
    deadline: 0,
    generation: 0,
    next: NONE,
    previous: NONE,
    list: NO_LIST,
};

/// See the module's documentation.
pub(crate) struct Wheel {
    /// The wheel's own moment, in slots of the innermost ring.
    at: u64,
    /// By handle slot.
    wishes: Vec<Wish>,
    /// By ring and slot: the first entry.
    lists: Box<[u32]>,
    /// By ring: a bit for each slot in use.
    in_use: [[u64; RING / 64]; RINGS],
}

/// Slot of the innermost ring in which a moment lies.
fn slot_of(moment: i64) -> u64 {
    moment.max(0).unsigned_abs() >> SLOT_BITS
}

/// Whether a generation of a handle comes after another; they count round and round.
fn is_later(generation: u32, than: u32) -> bool {
    (1..=u32::MAX / 2).contains(&generation.wrapping_sub(than))
}

/// Bits of a slot's number that a ring does not look at.
fn shift(ring: usize) -> u32 {
    ring as u32 * RING_BITS
}

impl Wheel {
    pub fn new() -> Wheel {
        Wheel {
            at: 0,
            wishes: Vec::new(),
            lists: vec![NONE; RINGS * RING].into(),
            in_use: [[0; RING / 64]; RINGS],
        }
    }

    /// Sets a node's wish, instead of the one it had.
    pub fn set(&mut self, node: NodeHandle, deadline: i64) {
        let index = node.slot as usize;
        if index >= self.wishes.len() {
            self.wishes.resize(index + 1, NO_WISH);
        }
        let there = self.wishes[index];
        if there.list != NO_LIST && is_later(there.generation, node.generation) {
            // A late call of a node that is gone: the slot's next user has a wish by now.
            return;
        }
        self.unlink(node.slot);
        let wish = &mut self.wishes[index];
        (wish.deadline, wish.generation) = (deadline, node.generation);
        self.link(node.slot);
    }

    /// Forgets a node's wish.
    pub fn forget(&mut self, node: NodeHandle) {
        let wish = self.wishes.get(node.slot as usize);
        if wish.is_some_and(|wish| wish.generation == node.generation) {
            self.unlink(node.slot);
        }
    }

    /// Moment before which no node is to be called, as near to the first deadline as is known without
    /// moving wishes; `None` without wishes. Once it has come, [`Wheel::take_due`] gives a node or makes
    /// the next answer more exact.
    pub fn next(&self) -> Option<i64> {
        let (ring, slot) = self.first_in_use()?;
        if ring > 0 {
            // No deadline reaches beyond what `i64` holds.
            return Some((self.start_of(ring, slot) << SLOT_BITS) as i64);
        }
        let mut earliest = i64::MAX;
        let mut index = self.lists[slot];
        while index != NONE {
            let wish = &self.wishes[index as usize];
            earliest = earliest.min(wish.deadline);
            index = wish.next;
        }
        Some(earliest)
    }

    /// Takes nodes whose deadlines have come, at most as many as `due` has room for without growing.
    pub fn take_due(&mut self, now: i64, due: &mut Vec<NodeHandle>) {
        let present = slot_of(now);
        while let Some((ring, slot)) = self.first_in_use() {
            let start = self.start_of(ring, slot);
            if start > present {
                break;
            }
            self.at = self.at.max(start);
            if ring > 0 {
                self.move_inwards(ring * RING + slot);
                continue;
            }
            let mut index = self.lists[slot];
            while index != NONE {
                let wish = self.wishes[index as usize];
                if wish.deadline <= now {
                    if due.len() == due.capacity() {
                        return;
                    }
                    due.push(NodeHandle {
                        slot: index,
                        generation: wish.generation,
                    });
                    self.unlink(index);
                }
                index = wish.next;
            }
            if start == present {
                break;
            }
        }
        self.at = self.at.max(present);
    }

    /// Distributes a slot's entries over the rings further in, now that the wheel stands at its start.
    fn move_inwards(&mut self, list: usize) {
        let mut index = self.lists[list];
        while index != NONE {
            let next = self.wishes[index as usize].next;
            self.unlink(index);
            self.link(index);
            index = next;
        }
    }

    /// The first slot in use of the innermost ring in use: what it holds comes first.
    fn first_in_use(&self) -> Option<(usize, usize)> {
        self.in_use.iter().enumerate().find_map(|(ring, words)| {
            let word = words.iter().position(|word| *word != 0)?;
            Some((ring, word * 64 + words[word].trailing_zeros() as usize))
        })
    }

    /// Where a slot begins, in slots of the innermost ring.
    fn start_of(&self, ring: usize, slot: usize) -> u64 {
        // The bytes further out are the wheel's own; the shift may be all of them.
        let outer = self.at.checked_shr(shift(ring + 1)).unwrap_or(0);
        (outer << RING_BITS | slot as u64) << shift(ring)
    }

    fn link(&mut self, index: u32) {
        let wish = &mut self.wishes[index as usize];
        // What should have been called already is called with what is due now.
        let slot = slot_of(wish.deadline).max(self.at);
        let differs = slot ^ self.at;
        let ring = (63 - (differs | 1).leading_zeros()) / RING_BITS;
        let within = (slot >> (ring * RING_BITS)) as usize % RING;
        let ring = ring as usize;
        let list = ring * RING + within;
        let head = std::mem::replace(&mut self.lists[list], index);
        wish.list = list as u16;
        (wish.previous, wish.next) = (NONE, head);
        if head != NONE {
            self.wishes[head as usize].previous = index;
        }
        self.in_use[ring][within / 64] |= 1 << (within % 64);
    }

    fn unlink(&mut self, index: u32) {
        let wish = &mut self.wishes[index as usize];
        let list = std::mem::replace(&mut wish.list, NO_LIST);
        if list == NO_LIST {
            return;
        }
        let (previous, next) = (wish.previous, wish.next);
        if next != NONE {
            self.wishes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.wishes[previous as usize].next = next;
            return;
        }
        let list = usize::from(list);
        self.lists[list] = next;
        if next == NONE {
            let (ring, within) = (list / RING, list % RING);
            self.in_use[ring][within / 64] &= !(1 << (within % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn node(slot: u32) -> NodeHandle {
        NodeHandle {
            slot,
            generation: 1,
        }
    }

    fn take(wheel: &mut Wheel, now: i64) -> Vec<u32> {
        let mut all = Vec::new();
        loop {
            let mut due = Vec::with_capacity(3);
            wheel.take_due(now, &mut due);
            if due.is_empty() {
                return all;
            }
            all.extend(due.iter().map(|node| node.slot));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set { slot: u32, after: i64 },
        Forget { slot: u32 },
        Pass { ns: i64 },
        PassToNext,
    }

    /// Spans of every length, from ns to centuries, and some before the present.
    fn span() -> impl Strategy<Value = i64> {
        prop_oneof![
            (0u32..63).prop_map(|bits| (1 << bits) - 1),
            -100_000i64..100_000
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u32..40, span()).prop_map(|(slot, after)| Step::Set { slot, after }),
            1 => (0u32..40).prop_map(|slot| Step::Forget { slot }),
            1 => (0u32..40).prop_map(|bits| Step::Pass { ns: 1 << bits }),
            2 => Just(Step::PassToNext),
        ]
    }

    proptest! {
        #[test]
        fn wishes_come_due_when_they_are_and_not_before(steps in prop::collection::vec(step(), 1..200)) {
            let (mut wheel, mut wishes, mut now) = (Wheel::new(), HashMap::new(), 0i64);
            for step in steps {
                match step {
                    Step::Set { slot, after } => {
                        let deadline = now.saturating_add(after);
                        wheel.set(node(slot), deadline);
                        wishes.insert(slot, deadline);
                    }
                    Step::Forget { slot } => {
                        wheel.forget(node(slot));
                        wishes.remove(&slot);
                    }
                    Step::Pass { ns } => now = now.saturating_add(ns),
                    Step::PassToNext => now = now.max(wheel.next().unwrap_or(now)),
                }
                let mut due = take(&mut wheel, now);
                let mut expected: Vec<u32> =
                    wishes.extract_if(|_, deadline| *deadline <= now).map(|(slot, _)| slot).collect();
                due.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(due, expected);
                let first = wishes.values().min().copied();
                let next = wheel.next();
                prop_assert_eq!(first.is_some(), next.is_some());
                prop_assert!(next <= first && next.is_none_or(|next| next > now), "{:?} {:?}", next, first);
            }
            // Going from one moment to the next comes to every deadline exactly.
            while let Some(next) = wheel.next() {
                for slot in take(&mut wheel, next) {
                    prop_assert_eq!(wishes.remove(&slot), Some(next));
                }
            }
            prop_assert!(wishes.is_empty());
        }
    }

    #[test]
    fn a_node_has_one_wish_and_a_handle_that_is_over_cannot_touch_it() {
        let mut wheel = Wheel::new();
        wheel.set(node(5), 10);
        wheel.set(node(5), 30);
        wheel.forget(NodeHandle {
            slot: 5,
            generation: 0,
        });
        wheel.set(
            NodeHandle {
                slot: 5,
                generation: 0,
            },
            20,
        );
        wheel.forget(node(1_000_000));
        assert_eq!((take(&mut wheel, 20), wheel.next()), (vec![], Some(30)));
        assert_eq!((take(&mut wheel, 30), wheel.next()), (vec![5], None));
    }

    #[test]
    fn the_same_calls_give_the_same_order_whatever_the_handles() {
        let order = |stride: u32| -> Vec<u32> {
            let mut wheel = Wheel::new();
            for at in 0..100 {
                let handle = node((at * stride) % 101);
                wheel.set(handle, i64::from(at % 7) * 1_000_000);
            }
            let taken = take(&mut wheel, 1_000_000_000);
            // Back to what was set first, second and so on: 101 is a prime.
            taken
                .iter()
                .map(|slot| {
                    (0..101)
                        .find(|at| (at * stride) % 101 == *slot)
                        .expect("a multiple")
                })
                .collect()
        };
        assert_eq!(order(1), order(37));
    }
}
