use levada_abi::Frame;

use super::*;

#[test]
fn a_released_block_is_loaned_again() {
    let pool = Pool::new(1 << 20);
    let first = pool.loan(1000).expect("room");
    let at = first.raw().ptr;
    drop(first);
    let second = pool.loan(900).expect("room");
    assert_eq!(second.raw().ptr, at);
    assert_eq!(second.as_slice().len(), 900);
    assert_eq!(pool.bytes(), 1024);
}

#[test]
fn the_block_released_last_is_loaned_first() {
    let pool = Pool::new(1 << 20);
    let loans: Vec<_> = (0..3).map(|_| pool.loan(300).expect("room")).collect();
    let at: Vec<_> = loans.iter().map(|buffer| buffer.raw().ptr).collect();
    drop(loans);
    let again: Vec<_> = (0..3).map(|_| pool.loan(300).expect("room")).collect();
    assert!(
        again
            .iter()
            .map(|buffer| buffer.raw().ptr)
            .eq(at.into_iter().rev())
    );
}

#[test]
fn a_fresh_loan_is_zeroed_and_begins_on_a_cache_line() {
    let pool = Pool::new(1 << 20);
    for len in [1, 256, 257, 5000, 1 << 16] {
        let buffer = pool.loan(len).expect("room");
        assert_eq!(buffer.raw().ptr.align_offset(64), 0, "{len} bytes");
        assert!(
            buffer.as_slice().iter().all(|byte| *byte == 0),
            "{len} bytes"
        );
        assert_eq!(buffer.as_slice().len(), len);
    }
}

#[test]
fn the_limit_is_kept_and_waiting_blocks_of_other_classes_make_room() {
    let pool = Pool::new(4096);
    let a = pool.loan(2048).expect("room");
    let b = pool.loan(2048).expect("room");
    assert_eq!(
        pool.loan(1).err(),
        Some(Exhausted {
            wanted: 1,
            limit: 4096
        })
    );
    drop((a, b));
    assert!(pool.loan(4096).is_ok());
    assert_eq!(pool.bytes(), 4096);
}

#[test]
fn only_as_much_is_given_back_under_pressure_as_the_loan_needs() {
    let pool = Pool::new(8192);
    let waiting: Vec<_> = (0..4).map(|_| pool.loan(2048).expect("room")).collect();
    drop(waiting);
    let one = pool.loan(256).expect("room");
    assert_eq!(pool.bytes(), 3 * 2048 + 256);
    drop(one);
}

#[test]
fn a_shared_buffer_is_not_writable_until_it_is_alone() {
    let pool = Pool::new(1 << 20);
    let mut a = pool.loan(16).expect("room");
    let b = a.clone();
    assert!(a.as_mut_slice().is_none());
    drop(b);
    a.as_mut_slice().expect("alone").fill(7);
    assert_eq!(a.as_slice(), [7; 16]);
}

#[test]
fn a_clone_keeps_the_block_on_loan() {
    let pool = Pool::new(1 << 20);
    let a = pool.loan(16).expect("room");
    let b = a.clone();
    drop(a);
    let other = pool.loan(16).expect("room");
    assert_ne!(other.raw().ptr, b.raw().ptr);
    let at = b.raw().ptr;
    drop(b);
    assert_eq!(pool.loan(16).expect("room").raw().ptr, at);
}

#[test]
fn a_buffer_outlives_its_pool_and_goes_back_from_another_thread() {
    let pool = Pool::new(1 << 20);
    let alive = Arc::downgrade(&pool.inner);
    let (buffer, waiting) = (pool.loan(16).expect("room"), pool.loan(16).expect("room"));
    drop(waiting);
    drop(pool);
    assert!(alive.upgrade().is_some());
    std::thread::spawn(move || assert_eq!(buffer.as_slice().len(), 16))
        .join()
        .expect("no panic");
    assert!(
        alive.upgrade().is_none(),
        "the last buffer takes its pool along"
    );
}

#[test]
fn what_a_whole_period_did_not_need_is_given_back_and_the_rest_stays() {
    let pool = Pool::new(1 << 20);
    let loan = |count: usize| -> Vec<Buffer> {
        let loans = (0..count).map(|_| pool.loan(2000).expect("room"));
        loans.collect()
    };
    let at = |loans: &[Buffer]| -> Vec<_> { loans.iter().map(|b| b.raw().ptr).collect() };
    drop(loan(5));
    assert_eq!(pool.trim_idle(), 0, "all five were needed in this period");
    let two = loan(2);
    let needed = at(&two);
    drop(two);
    assert_eq!(pool.trim_idle(), 3 * 2048);
    assert_eq!(pool.bytes(), 2 * 2048);
    let again = loan(2);
    assert!(
        at(&again).iter().eq(needed.iter().rev()),
        "the two that stay wait in the same order"
    );
    assert_eq!(pool.trim_idle(), 0, "nothing that is on loan is idle");
    drop(again);
    assert_eq!((pool.trim_idle(), pool.trim_idle()), (0, 2 * 2048));
    assert_eq!(pool.bytes(), 0);
    drop(loan(3));
    assert_eq!(
        pool.bytes(),
        3 * 2048,
        "headers without a block are used again"
    );
}

#[test]
fn trim_gives_back_all_that_waits_and_nothing_that_is_on_loan() {
    let pool = Pool::new(1 << 20);
    let kept = pool.loan(300).expect("room");
    drop((pool.loan(300), pool.loan(70_000)));
    assert_eq!(pool.trim(), 512 + (128 << 10));
    assert_eq!(pool.bytes(), 512);
    assert_eq!(kept.as_slice(), [0; 300]);
}

fn held(node: usize, buffers: u64, bytes: u64) -> Held {
    Held {
        node,
        buffers,
        bytes,
    }
}

#[test]
fn what_a_session_holds_is_told_by_node() {
    let pool = Pool::new(1 << 20);
    let loan = |session, node, len| {
        let buffer = pool.loan_for(len, Holder::node(session, node));
        buffer.expect("room")
    };
    let (a, b, c) = (loan(7, 2, 3000), loan(7, 0, 10), loan(7, 2, 256));
    let (other, application) = (loan(8, 2, 10), pool.loan(10).expect("room"));
    let shared = a.clone();
    assert_eq!(pool.held_by(7), [held(0, 1, 256), held(2, 2, 4096 + 256)]);
    assert_eq!(pool.held_by(8), [held(2, 1, 256)]);
    assert_eq!(pool.held_by(9), []);
    assert_eq!(pool.held(), [held(0, 1, 256), held(2, 3, 4096 + 512)]);
    drop((a, b, c));
    assert_eq!(pool.held_by(7), [held(2, 1, 4096)], "the clone holds it");
    drop((shared, other, application));
    assert_eq!(pool.held(), []);
}

#[test]
fn a_buffer_is_attributed_to_the_node_that_was_given_it() {
    let (pool, other_pool) = (Pool::new(1 << 20), Pool::new(1 << 20));
    let frame = |buffer| Frame {
        buffer,
        ..Frame::default()
    };
    let [source, thief] = [0, 1].map(|node| Holder::node(3, node));
    let frames = [
        frame(pool.loan_for(10, source).expect("room")),
        Frame::default(),
        frame(other_pool.loan_for(10, source).expect("room")),
        frame(pool.loan_for(10, source).expect("room")),
    ];
    pool.attribute(&frames[..3], thief);
    assert_eq!(pool.held_by(3), [held(0, 1, 256), held(1, 1, 256)]);
    assert_eq!(other_pool.held_by(3), [held(0, 1, 256)], "not this pool's");
    drop(frames);
    let _again = pool.loan(10).expect("room");
    assert_eq!(
        pool.held_by(3),
        [],
        "a new loan is nobody's but its borrower's"
    );
}

#[test]
fn sizes_beyond_the_largest_class_are_refused() {
    assert!(Pool::new(usize::MAX).loan((64 << 20) + 1).is_err());
    assert!(Pool::new(usize::MAX).loan(usize::MAX).is_err());
}

/// Every thread loans, writes its mark, hands some on to the next thread and releases what it was
/// handed: no two loans are the same memory, and the limit holds.
#[test]
fn threads_that_loan_and_release_each_other_s_buffers_never_share_memory() {
    const THREADS: usize = 4;
    let (rounds, limit) = if cfg!(miri) {
        (50, 16 << 10)
    } else {
        (20_000, 64 << 10)
    };
    let pool = Pool::new(limit);
    let lanes: Vec<_> = (0..THREADS)
        .map(|_| crossbeam::queue::ArrayQueue::<(Buffer, u64)>::new(4))
        .collect();
    std::thread::scope(|scope| {
        for me in 0..THREADS {
            let (pool, lanes) = (pool.clone(), &lanes);
            scope.spawn(move || {
                for round in 0..rounds {
                    let len = 8 << (round % 9);
                    let mark = (me * rounds + round) as u64;
                    if let Ok(mut buffer) = pool.loan(len) {
                        let bytes = buffer.as_mut_slice().expect("a loan is writable");
                        bytes[..8].copy_from_slice(&mark.to_ne_bytes());
                        // A full lane releases it here.
                        let _ = lanes[(me + 1) % THREADS].push((buffer, mark));
                    }
                    assert!(pool.bytes() <= limit);
                    if round % 3 != 0
                        && let Some((buffer, mark)) = lanes[me].pop()
                    {
                        assert_eq!(buffer.as_slice()[..8], mark.to_ne_bytes());
                    }
                }
            });
        }
    });
    drop(lanes);
    let whole = pool.loan(limit).expect("all else has been released");
    assert_eq!(pool.bytes(), limit);
    drop(whole);
}

/// As many threads as the limit has room for blocks, each with one at a time: whatever a trimming
/// thread has taken off the shelves at the moment, a loan finds room.
#[test]
fn trimming_makes_no_loan_fail() {
    const THREADS: usize = 3;
    let rounds = if cfg!(miri) { 50 } else { 20_000 };
    let pool = Pool::new(THREADS * 512);
    let working = AtomicUsize::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let failed = (0..rounds).find(|round| {
                    let len = if round % 5 == 0 { 512 } else { 256 };
                    pool.loan(len).is_err()
                });
                // First of all, or the other thread would trim for ever.
                working.fetch_sub(1, Ordering::Relaxed);
                assert_eq!(failed, None, "one for each thread");
            });
        }
        scope.spawn(|| {
            while working.load(Ordering::Relaxed) > 0 {
                pool.trim_idle();
                pool.trim();
            }
        });
    });
    pool.trim();
    assert_eq!(pool.bytes(), 0);
}
