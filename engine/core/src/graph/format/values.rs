//! [`Values`]: the numbers that a key of a pattern may have.

use std::fmt;

/// A set of whole numbers, never empty. Two sets with the same numbers are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Values {
    /// Inclusive, ascending, with a gap between any two.
    ranges: Vec<(u32, u32)>,
}

impl Values {
    /// One number.
    #[must_use]
    pub fn one(value: u32) -> Values {
        Values {
            ranges: vec![(value, value)],
        }
    }

    /// All numbers of these inclusive ranges; `None` without one.
    pub(super) fn of(mut ranges: Vec<(u32, u32)>) -> Option<Values> {
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match joined.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => joined.push((low, high)),
            }
        }
        (!joined.is_empty()).then_some(Values { ranges: joined })
    }

    /// The numbers from `low` to `high`, both included; `None` when there are none.
    pub(crate) fn between(low: u32, high: u32) -> Option<Values> {
        Values::of(if low <= high {
            vec![(low, high)]
        } else {
            vec![]
        })
    }

    /// The number, where there is only one.
    #[must_use]
    pub fn single(&self) -> Option<u32> {
        match self.ranges[..] {
            [(low, high)] if low == high => Some(low),
            _ => None,
        }
    }

    /// Whether it is stated as a limit, with a range, rather than as the numbers that will do.
    #[must_use]
    pub fn has_range(&self) -> bool {
        self.ranges.iter().any(|(low, high)| low < high)
    }

    /// The largest number.
    #[must_use]
    pub fn max(&self) -> u32 {
        // Never empty.
        self.ranges.last().map_or(1, |range| range.1)
    }

    /// Whether this number is one of them.
    #[must_use]
    pub fn contains(&self, value: u32) -> bool {
        self.ranges
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&value))
    }

    /// The smallest number that is `value` at least, or else the largest: what loses least where
    /// `value` comes.
    #[must_use]
    pub fn nearest_above(&self, value: u32) -> u32 {
        let fits = self.ranges.iter().find(|(_, high)| *high >= value);
        fits.map_or(self.max(), |(low, _)| value.max(*low))
    }

    /// The numbers of both.
    #[must_use]
    pub fn meet(&self, other: &Values) -> Option<Values> {
        let pairs = self.ranges.iter().flat_map(|a| {
            other
                .ranges
                .iter()
                .map(move |b| (a.0.max(b.0), a.1.min(b.1)))
        });
        Values::of(pairs.filter(|(low, high)| low <= high).collect())
    }

    /// The numbers of either.
    #[must_use]
    pub fn join(&self, other: &Values) -> Values {
        let both = self.ranges.iter().chain(&other.ranges).copied();
        Values::of(both.collect()).unwrap_or_else(|| self.clone())
    }

    /// Whether `other` has them all.
    #[must_use]
    pub fn is_within(&self, other: &Values) -> bool {
        self.meet(other).as_ref() == Some(self)
    }
}

impl fmt::Display for Values {
    /// Prints them as a pattern states them: `48000`, `1..2`, `8000|16000|48000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (low, high)) in self.ranges.iter().enumerate() {
            let bar = if at > 0 { "|" } else { "" };
            match low == high {
                true => write!(f, "{bar}{low}")?,
                false => write!(f, "{bar}{low}..{high}")?,
            }
        }
        Ok(())
    }
}
