//! How old frames are when they arrive, and how a bench's thread keeps a pace.
//!
//! Contenders take turns, so one histogram serves the process: whoever takes a frame at the end of its
//! way [`record`]s its age, and the bench [`collect`]s when all frames of a turn have come.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hdrhistogram::Histogram;
use levada_engine::clock;

/// How long before it is due a thread stops to sleep and begins to spin: longer than a sleep takes too
/// long on a machine that has a core to spare.
const SPIN_NS: i64 = 150_000;

static RECORDED: Mutex<Option<Histogram<u64>>> = Mutex::new(None);
static ONE_MORE: Condvar = Condvar::new();

/// A histogram of ages in ns, up to 10 s, to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("the bounds are in order")
}

fn recorded() -> MutexGuard<'static, Option<Histogram<u64>>> {
    RECORDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records the age of a frame that has arrived, in ns.
pub fn record(age_ns: i64) {
    let age = u64::try_from(age_ns).unwrap_or(0);
    recorded()
        .get_or_insert_with(histogram)
        .saturating_record(age);
    ONE_MORE.notify_all();
}

/// Waits until `count` frames have arrived since the last call, and returns their ages.
pub fn collect(count: u64) -> Histogram<u64> {
    let mut ages = recorded();
    while ages.as_ref().map_or(0, Histogram::len) < count {
        ages = ONE_MORE.wait(ages).unwrap_or_else(PoisonError::into_inner);
    }
    ages.take().unwrap_or_else(histogram)
}

/// Waits until `due_ns` of the engine's clock: sleeps, and spins at the end, so that the thread is
/// neither late nor cold.
pub fn wait_until(due_ns: i64) {
    let sleep = due_ns - clock::now_ns() - SPIN_NS;
    if sleep > 0 {
        thread::sleep(Duration::from_nanos(sleep.unsigned_abs()));
    }
    while clock::now_ns() < due_ns {
        std::hint::spin_loop();
    }
}
