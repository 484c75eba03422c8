//! The real clock: ns since the process first asked, monotonic.
//!
//! An engine's own time is [`Engine::now_ns`](crate::Engine::now_ns): this clock, or the one of a
//! [`VirtualEngine`](crate::VirtualEngine), which only moves when it is driven.
#![forbid(unsafe_code)]

use std::{sync::OnceLock, time::Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Returns the time now, in ns on the real clock.
#[must_use]
pub fn now_ns() -> i64 {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    // 292 years fit.
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}
