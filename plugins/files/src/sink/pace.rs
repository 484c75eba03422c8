//! [`Pace`]: where units belong in a file that has no times.
//!
//! In such a file, time is what lies before: so many samples, or so many pictures. A unit goes behind the one before as long as it is
//! less than a tolerance away from there, so that jitter of clocks moves nothing. Behind a hole, what is
//! missing is said, to be filled; a hole longer than a bound is cut to it. What lies too far back is late.

use tracing::warn;

const NS: i128 = 1_000_000_000;

/// What is to be done with a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It goes behind the last one.
    Here,
    /// So many steps are missing in front of it.
    After(u64),
    /// Its place is taken.
    Late,
}

/// A timeline of steps.
pub(super) struct Pace {
    /// Steps in a second, as a fraction.
    rate: (u64, u64),
    tolerance: i128,
    longest: i128,
    /// The time of step 0, in ns.
    origin: Option<i128>,
    /// Steps that are taken.
    count: u64,
}

impl Pace {
    /// Steps at `rate` a second, neither part 0. A unit may be `tolerance` steps away from its place; a hole is at most
    /// `longest_ns` long.
    pub fn new(rate: (u64, u64), tolerance: u64, longest_ns: i64) -> Pace {
        let longest = i128::from(longest_ns) * i128::from(rate.0) / (i128::from(rate.1) * NS);
        Pace {
            rate,
            tolerance: tolerance.into(),
            longest,
            origin: None,
            count: 0,
        }
    }

    /// Steps that are taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Says where a unit belongs that begins at `pts`.
    pub fn place(&mut self, pts: i64) -> Place {
        let origin = *self.origin.get_or_insert(pts.into());
        let (over, under) = (i128::from(self.rate.0), i128::from(self.rate.1) * NS);
        // Rounded to the nearest.
        let step = ((i128::from(pts) - origin) * over + under / 2).div_euclid(under);
        let missing = step - i128::from(self.count);
        if missing < -self.tolerance {
            return Place::Late;
        }
        if missing <= self.tolerance {
            return Place::Here;
        }
        let filled = missing.min(self.longest.max(1));
        if filled < missing {
            warn!(
                seconds = ((missing - filled) * under / over / NS) as f64,
                "nothing came for so long that this much is left out of the file, whose kind holds no times"
            );
            self.origin = Some(origin + (missing - filled) * under / over);
        }
        Place::After(u64::try_from(filled).unwrap_or(0))
    }

    /// Takes steps.
    pub fn advance(&mut self, steps: u64) {
        self.count = self.count.saturating_add(steps);
    }
}

/// Usual rates of pictures, a second.
const USUAL: [(u64, u64); 12] = [
    (24_000, 1001),
    (30_000, 1001),
    (60_000, 1001),
    (5, 1),
    (10, 1),
    (15, 1),
    (24, 1),
    (25, 1),
    (30, 1),
    (50, 1),
    (60, 1),
    (120, 1),
];

/// How long a picture is to last, as pictures a second: a usual rate where it is one, to the microsecond.
pub(super) fn rate_of(duration_us: u32) -> Option<(u64, u64)> {
    let lasts = u64::from(duration_us);
    usual(lasts, 1).or((lasts > 0).then_some((1_000_000, lasts)))
}

/// The rate that was meant where a picture lasts so long. In Matroska times are whole milliseconds, so two of them may be up to
/// one closer together or farther apart than the pictures were, and what lies so close to a whole rate is taken for it: at 30
/// a second pictures last 33 ms or 34, and 34 taken at its word would leave out one in fifty.
pub(super) fn rate_meant(duration_us: u32) -> Option<(u64, u64)> {
    let lasts = u64::from(duration_us);
    let is_rounded = lasts.is_multiple_of(1000);
    let rounded = || usual(lasts, 999).filter(|_| is_rounded);
    usual(lasts, 1).or_else(rounded).or(rate_of(duration_us))
}

/// The usual rate, whole ones first, whose pictures last so long, but for so many microseconds.
fn usual(lasts: u64, tolerance: u64) -> Option<(u64, u64)> {
    let off = |(over, under): &(u64, u64)| (under * 1_000_000 / over).abs_diff(lasts);
    let near = USUAL.into_iter().filter(|rate| off(rate) <= tolerance);
    near.min_by_key(|rate| rate.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn jitter_moves_nothing_and_holes_are_told() {
        let mut pace = Pace::new((48_000, 1), 960, 1_000 * MS);
        assert_eq!(pace.place(500 * MS), Place::Here);
        pace.advance(960);
        assert_eq!(pace.place(530 * MS), Place::Here);
        assert_eq!(pace.place(505 * MS), Place::Here);
        assert_eq!(pace.place(560 * MS), Place::After(1920));
        assert_eq!(pace.place(499 * MS), Place::Late);
        // Longer than a hole may be: the rest is cut out of the time.
        assert_eq!(pace.place(10_000 * MS), Place::After(48_000));
        pace.advance(48_000);
        assert_eq!(pace.place(10_000 * MS), Place::Here);
        assert_eq!(pace.place(i64::MAX), Place::After(48_000));
        assert_eq!(pace.place(i64::MIN), Place::Late);
    }

    #[test]
    fn usual_rates_are_recognised() {
        assert_eq!(rate_of(33_333), Some((30, 1)));
        assert_eq!(rate_of(33_367), Some((30_000, 1001)));
        assert_eq!(rate_of(40_000), Some((25, 1)));
        assert_eq!(rate_of(71_000), Some((1_000_000, 71_000)));
        assert_eq!(rate_of(0), None);
        for (ms, rate) in [
            (16, 60),
            (17, 60),
            (33, 30),
            (34, 30),
            (40, 25),
            (41, 24),
            (42, 24),
        ] {
            assert_eq!(rate_meant(ms * 1000), Some((rate, 1)));
        }
        assert_eq!(rate_meant(33_367), Some((30_000, 1001)));
        assert_eq!(rate_meant(71_000), Some((1_000_000, 71_000)));
        assert_eq!(rate_meant(0), None);
    }
}
