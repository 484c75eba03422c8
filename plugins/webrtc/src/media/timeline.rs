//! Times of a stream: RTP ticks of 32 bits that wrap, and nanoseconds that do not.
//!
//! Both directions are exact: nanoseconds are computed from the whole number of ticks since the beginning, never by
//! adding up rounded steps, so there is no drift, and `ticks -> ns -> ticks` gives the same ticks back.

const NS_PER_SECOND: i128 = 1_000_000_000;

/// Follows the RTP timestamps of one stream across their wraps (RFC 3550, 5.1).
#[derive(Debug, Clone)]
pub struct Timeline {
    clock_rate: u32,
    last: Option<(u32, i64)>,
}

impl Timeline {
    /// A timeline whose clock ticks `clock_rate` times a second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            last: None,
        }
    }

    /// Says where time 0 is, unless it is known already.
    pub fn begin(&mut self, timestamp: u32) {
        self.last.get_or_insert((timestamp, 0));
    }

    /// The time of a timestamp in ns since the first one given, which may be negative. A timestamp is taken as the one
    /// nearest to the last.
    pub fn pts_ns(&mut self, timestamp: u32) -> i64 {
        let ticks = match self.last {
            None => 0,
            Some((last, ticks)) => {
                ticks.saturating_add(i64::from(timestamp.wrapping_sub(last) as i32))
            }
        };
        self.last = Some((timestamp, ticks));
        let ns = (i128::from(ticks) * NS_PER_SECOND).div_euclid(i128::from(self.clock_rate));
        ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}

/// The tick nearest to a time, counted from time 0, wrapping as timestamps do.
pub fn ticks_of(pts_ns: i64, clock_rate: u32) -> u32 {
    let doubled = i128::from(pts_ns) * i128::from(clock_rate) * 2 + NS_PER_SECOND;
    doubled.div_euclid(2 * NS_PER_SECOND) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_video_across_wraps_does_not_drift() {
        let mut timeline = Timeline::new(90_000);
        let start = u32::MAX - 1000;
        let first = timeline.pts_ns(start);
        assert_eq!(first, 0);
        // 29.97 frames a second: 3003 ticks each.
        for frame in 1..=(24 * 3600 * 30_u64) {
            let ticks = frame * 3003;
            let pts = timeline.pts_ns(start.wrapping_add(ticks as u32));
            assert_eq!(pts, (u128::from(ticks) * 1_000_000_000 / 90_000) as i64);
            assert_eq!(ticks_of(pts, 90_000), ticks as u32);
        }
    }

    #[test]
    fn older_timestamps_are_earlier() {
        let mut timeline = Timeline::new(48_000);
        timeline.pts_ns(5);
        assert_eq!(timeline.pts_ns(5_u32.wrapping_sub(960)), -20_000_000);
        assert_eq!(ticks_of(-20_000_000, 48_000), 0_u32.wrapping_sub(960));
    }

    #[test]
    fn timestamps_that_jump_for_ever_do_not_overflow() {
        let mut timeline = Timeline::new(1);
        timeline.last = Some((0, i64::MAX - 5));
        assert_eq!(timeline.pts_ns(i32::MAX as u32), i64::MAX);
        let _ = ticks_of(i64::MIN, u32::MAX);
        let _ = ticks_of(i64::MAX, u32::MAX);
    }
}
