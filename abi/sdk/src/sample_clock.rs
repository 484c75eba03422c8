//! [`SampleClock`]: the exact times of samples that are counted.

/// Counts samples of one rate from a moment on, and tells their times in ns.
///
/// Times come from the whole count, never from steps that were rounded and added up, so there is no drift.
///
/// ```
/// let mut clock = levada_plugin::SampleClock::new(44_100);
/// clock.set(5_000);
/// (0..3600).for_each(|_| clock.advance(44_100));
/// assert_eq!(clock.now_ns(), 5_000 + 3600 * 1_000_000_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SampleClock {
    rate: u32,
    from_ns: i64,
    samples: u64,
}

impl SampleClock {
    /// A clock at time 0 for samples of `rate` Hz (at least 1).
    #[must_use]
    pub fn new(rate: u32) -> SampleClock {
        SampleClock {
            rate: rate.max(1),
            from_ns: 0,
            samples: 0,
        }
    }

    /// Counts anew from `now_ns`.
    pub fn set(&mut self, now_ns: i64) {
        (self.from_ns, self.samples) = (now_ns, 0);
    }

    /// Counts `samples` (of one channel).
    pub fn advance(&mut self, samples: usize) {
        self.samples = self.samples.saturating_add(samples as u64);
    }

    /// The time of the next sample, in ns.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.from_ns.saturating_add(self.ns_of(self.samples))
    }

    /// How long `samples` (of one channel) last, in us, rounded.
    #[must_use]
    pub fn duration_us(&self, samples: usize) -> u32 {
        u32::try_from((self.ns_of(samples as u64) + 500) / 1000).unwrap_or(u32::MAX)
    }

    fn ns_of(&self, samples: u64) -> i64 {
        let ns = u128::from(samples) * 1_000_000_000 / u128::from(self.rate);
        i64::try_from(ns).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_length_that_is_no_whole_number_of_ns_do_not_drift() {
        let mut clock = SampleClock::new(48_000);
        clock.set(-7);
        for block in 1..=1_000_000_u64 {
            clock.advance(7);
            let exact = (u128::from(block) * 7 * 1_000_000_000 / 48_000) as i64 - 7;
            assert_eq!(clock.now_ns(), exact);
        }
        assert_eq!(clock.duration_us(960), 20_000);
        assert_eq!(clock.duration_us(7), 146);
    }
}
