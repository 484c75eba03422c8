//! How old frames are when they arrive, and how a bench's thread keeps a pace.
//!
//! Contenders take turns, so one histogram serves the process: whoever takes a frame at the end of its
//! way [`record`]s its age, and the bench [`collect`]s when all frames of a turn have come.

use std::{
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hdrhistogram::Histogram;
use levada_engine::clock;

/// How long before it is due a thread stops to sleep and begins to spin: longer than a sleep takes too
/// long on a machine that has a core to spare.
const SPIN_NS: i64 = 150_000;

struct Recorded {
    ages: Histogram<u64>,
    /// How many ages somebody waits for.
    wanted: Option<u64>,
}

static RECORDED: LazyLock<Mutex<Recorded>> = LazyLock::new(|| {
    Mutex::new(Recorded {
        ages: histogram(),
        wanted: None,
    })
});
static COMPLETE: Condvar = Condvar::new();

/// A histogram of ages in ns, up to 10 s, to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("the bounds are in order")
}

fn recorded() -> MutexGuard<'static, Recorded> {
    RECORDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records the age of a frame that has arrived, in ns.
pub fn record(age_ns: i64) {
    let mut recorded = recorded();
    let age = u64::try_from(age_ns).unwrap_or(0);
    recorded.ages.saturating_record(age);
    if recorded.wanted.is_some_and(|w| recorded.ages.len() >= w) {
        COMPLETE.notify_all();
    }
}

/// Waits until `count` frames have arrived since the last call, and returns the ages of all that have.
pub fn collect(count: u64) -> Histogram<u64> {
    let mut recorded = recorded();
    recorded.wanted = Some(count);
    while recorded.ages.len() < count {
        recorded = COMPLETE
            .wait(recorded)
            .unwrap_or_else(PoisonError::into_inner);
    }
    recorded.wanted = None;
    std::mem::replace(&mut recorded.ages, histogram())
}

/// Waits until `due_ns` of the engine's clock: sleeps, and spins at the end, so that the thread is
/// neither late nor cold.
pub fn wait_until(due_ns: i64) {
    sleep_until(due_ns - SPIN_NS);
    while clock::now_ns() < due_ns {
        std::hint::spin_loop();
    }
}

/// Sleeps until `due_ns` of the engine's clock, and as much longer as the system lets it.
pub fn sleep_until(due_ns: i64) {
    let left = due_ns - clock::now_ns();
    if left > 0 {
        thread::sleep(Duration::from_nanos(left.unsigned_abs()));
    }
}
