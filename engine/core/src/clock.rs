//! The engine's clock: ns since the process first asked, monotonic.
#![forbid(unsafe_code)]

use std::{sync::OnceLock, time::Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Returns the time now, in ns on the engine's clock.
#[must_use]
pub fn now_ns() -> i64 {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    // 292 years fit.
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}
