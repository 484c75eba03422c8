//! What the pool promises, under every interleaving and every reordering that the memory model allows.
//!
//! A payload's bytes stand beside the pool as cells, one for each block, which loom watches: two accesses
//! of which one writes must be ordered. Blocks, and the pool itself, are loom's allocations and counts, so
//! one that is never freed, or freed twice, fails the model.

use loom::{cell::UnsafeCell, thread};

use super::*;

const HOLDER: Holder = Holder::from_bits(1 << 16 | 7);

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(model);
}

/// The bytes of the only block of a pool.
struct Payload(UnsafeCell<u64>);

// SAFETY: the buffers of the block decide who may access it; loom checks that.
unsafe impl Sync for Payload {}
// SAFETY: as above.
unsafe impl Send for Payload {}

impl Payload {
    fn new() -> Arc<Payload> {
        Arc::new(Payload(UnsafeCell::new(0)))
    }

    fn read(&self, _buffer: &Buffer) -> u64 {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.0.with(|value| unsafe { *value })
    }

    /// Writes when the buffer is unique.
    fn write(&self, buffer: &mut Buffer, value: u64) -> bool {
        let unique = buffer.as_mut_slice().is_some();
        if unique {
            // SAFETY: loom checks that nobody else accesses it meanwhile.
            self.0.with_mut(|at| unsafe { *at = value });
        }
        unique
    }
}

/// A pool for one block.
fn one() -> (Pool, Arc<Payload>) {
    (Pool::new(256), Payload::new())
}

#[test]
fn loom_a_block_is_lent_after_all_that_was_done_to_it() {
    /// Reads, releases and, where the block is back, lends it again and writes.
    fn read_and_write(pool: &Pool, payload: &Payload, buffer: Buffer) {
        payload.read(&buffer);
        drop(buffer);
        if let Ok(mut again) = pool.loan(1) {
            assert!(payload.write(&mut again, 1));
        }
    }
    check(|| {
        let (pool, payload) = one();
        let buffer = pool.loan(1).expect("room");
        let (theirs, clone, seen) = (pool.clone(), buffer.clone(), payload.clone());
        let other = thread::spawn(move || read_and_write(&theirs, &seen, clone));
        read_and_write(&pool, &payload, buffer);
        other.join().expect("no panic");
        let mut last = pool.loan(1).expect("all were released");
        assert!(payload.write(&mut last, 2));
    });
}

#[test]
fn loom_who_finds_a_buffer_unique_writes_after_all_others_have_read() {
    check(|| {
        let (pool, payload) = one();
        let mut mine = pool.loan(1).expect("room");
        let theirs = mine.clone();
        let seen = payload.clone();
        let other = thread::spawn(move || {
            seen.read(&theirs);
        });
        while !payload.write(&mut mine, 1) {
            thread::yield_now();
        }
        other.join().expect("no panic");
    });
}

#[test]
fn loom_no_block_is_lent_twice_at_a_time() {
    check(|| {
        // Two blocks wait. One thread takes one; the other takes both and puts the first back, so that
        // the same block is on top again, over nothing.
        let pool = Pool::new(512);
        drop((pool.loan(1), pool.loan(1)));
        let theirs = pool.clone();
        let other = thread::spawn(move || {
            let top = theirs.loan(1).ok()?;
            let second = theirs.loan(1).ok()?;
            drop(top);
            Some(second)
        });
        let mine = pool.loan(1).ok();
        let third = pool.loan(1).ok();
        let theirs = other.join().expect("no panic");
        let all: Vec<_> = [mine, third, theirs].into_iter().flatten().collect();
        for (at, buffer) in all.iter().enumerate() {
            for other in &all[..at] {
                assert_ne!(buffer.raw().ptr, other.raw().ptr);
            }
        }
        assert!(pool.bytes() <= 512);
    });
}

#[test]
fn loom_two_threads_that_allocate_keep_the_limit() {
    check(|| {
        let pool = Pool::new(256);
        let theirs = pool.clone();
        let other = thread::spawn(move || theirs.loan(1).ok());
        let mine = pool.loan(1).ok();
        assert!(pool.bytes() <= 256);
        let theirs = other.join().expect("no panic");
        assert!(mine.is_some() != theirs.is_some(), "exactly one gets it");
    });
}

#[test]
fn loom_buffers_that_outlive_the_pool_take_it_along() {
    check(|| {
        // Loom's own counts say whether both blocks and the pool are freed, once each.
        let pool = Pool::new(512);
        let (a, b) = (pool.loan(1).expect("room"), pool.loan(1).expect("room"));
        let other = thread::spawn(move || drop(a));
        drop(pool);
        drop(b);
        other.join().expect("no panic");
    });
}

#[test]
fn loom_the_last_handles_may_go_while_buffers_are_released() {
    check(|| {
        // One block waits, the other gets on top of it or finds the shelf closed.
        let pool = Pool::new(512);
        let (waits, buffer) = (pool.loan(1).expect("room"), pool.loan(1).expect("room"));
        drop(waits);
        let handle = pool.clone();
        let releases = thread::spawn(move || drop(buffer));
        let goes = thread::spawn(move || drop(handle));
        drop(pool);
        releases.join().expect("no panic");
        goes.join().expect("no panic");
    });
}

#[test]
fn loom_trimming_makes_no_loan_fail() {
    check(|| {
        let (pool, payload) = one();
        drop(pool.loan(1));
        pool.trim_idle();
        let trimmed = pool.clone();
        let other = thread::spawn(move || trimmed.trim_idle());
        let mut buffer = pool.loan(1).expect("one block is there, or room for one");
        assert!(payload.write(&mut buffer, 1));
        drop(buffer);
        other.join().expect("no panic");
    });
}

#[test]
fn loom_what_is_released_while_all_is_taken_off_is_not_lost() {
    check(|| {
        let pool = Pool::new(512);
        let (waits, buffer) = (pool.loan(1).expect("room"), pool.loan(1).expect("room"));
        drop(waits);
        let other = thread::spawn(move || drop(buffer));
        let at_once = pool.trim();
        other.join().expect("no panic");
        assert_eq!(at_once + pool.trim(), 512);
    });
}

#[test]
fn loom_a_shelf_that_is_looked_through_keeps_what_it_is_to_keep_and_no_more() {
    check(|| {
        // Of two blocks that wait, the upper one was needed in this period.
        let pool = Pool::new(1024);
        drop((pool.loan(1), pool.loan(1)));
        pool.trim_idle();
        drop(pool.loan(1));
        let trimmed = pool.clone();
        let other = thread::spawn(move || trimmed.trim_idle());
        let mine = pool.loan(1).expect("one of them");
        assert!(pool.bytes() <= 512, "there was no need to allocate");
        let given_back = other.join().expect("no panic");
        let second = pool.loan(1).expect("room for another");
        assert_ne!(mine.raw().ptr, second.raw().ptr);
        assert_eq!(
            pool.held_by(0).iter().map(|held| held.buffers).sum::<u64>(),
            2
        );
        drop((mine, second));
        assert_eq!(pool.trim(), 512, "given back before: {given_back}");
        assert_eq!(pool.bytes(), 0);
    });
}

#[test]
fn loom_a_loan_is_never_taken_for_one_of_the_node_before() {
    check(|| {
        let pool = Pool::new(256);
        let before = pool.loan_for(1, HOLDER).expect("room");
        drop(before);
        let theirs = pool.clone();
        let other = thread::spawn(move || {
            let buffer = theirs.loan(1).expect("room");
            thread::yield_now();
            drop(buffer);
        });
        // The session of `HOLDER` has ended and looks for its leaks.
        assert_eq!(pool.held_by(1), []);
        other.join().expect("no panic");
    });
}
