//! [`Order`]: when units are to be decoded, where a file says only when they are shown.
//!
//! Units lie in the order of their decoding. Shown in order, the nth of them has the nth smallest time; that time, earlier by as
//! much as the most hasty unit needs it, is when the nth is decoded. So decoding times grow, are never later than the
//! unit is shown, and are the same as those where nothing is out of order.

use std::{cmp::Reverse, collections::BinaryHeap};

/// How many units are looked at ahead: pictures are out of order by 16 at most (ITU-T H.264, A.3.1).
pub(super) const AHEAD: usize = 17;

/// The decoding times of a track.
#[derive(Default)]
pub(super) struct Order {
    /// Times that were read and are not any unit's decoding time yet.
    times: BinaryHeap<Reverse<i64>>,
    /// How much earlier units are decoded; `None` before the first.
    lead: Option<i64>,
    last: Option<i64>,
}

impl Order {
    /// Takes note of a unit's time, in the order of decoding.
    pub fn push(&mut self, pts: i64) {
        self.times.push(Reverse(pts));
    }

    /// The decoding time of the first unit of those that were pushed and not taken yet, whose times these are.
    pub fn take(&mut self, ahead: impl Iterator<Item = i64>) -> i64 {
        let pts: Vec<i64> = ahead.take(AHEAD).collect();
        let lead = *self.lead.get_or_insert_with(|| {
            let mut sorted = pts.clone();
            sorted.sort_unstable();
            let pairs = sorted.iter().zip(&pts);
            pairs.map(|(a, b)| a.saturating_sub(*b)).max().unwrap_or(0)
        });
        let next = self.times.pop().map_or(0, |Reverse(time)| time);
        let shown = pts.first().copied().unwrap_or(next);
        let dts = next.saturating_sub(lead).min(shown);
        let dts = dts.max(self.last.map_or(i64::MIN, |last| last.saturating_add(1)));
        self.last = Some(dts);
        dts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoding(pts: &[i64]) -> Vec<i64> {
        let mut order = Order::default();
        let mut pushed = 0;
        let mut all = vec![];
        for at in 0..pts.len() {
            while pushed < pts.len().min(at + AHEAD) {
                order.push(pts[pushed]);
                pushed += 1;
            }
            all.push(order.take(pts[at..].iter().copied()));
        }
        all
    }

    #[test]
    fn what_is_in_order_is_decoded_when_it_is_shown() {
        let pts: Vec<i64> = (0..100).map(|n| n * 40).collect();
        assert_eq!(decoding(&pts), pts);
    }

    #[test]
    fn what_is_out_of_order_is_decoded_in_time() {
        // I P B B, a pyramid of seven, and again.
        let group = [0, 3, 1, 2, 11, 7, 5, 4, 6, 9, 8, 10];
        let pts: Vec<i64> = (0..20)
            .flat_map(|n| group.map(|p| (n * 12 + p) * 40))
            .collect();
        let dts = decoding(&pts);
        assert!(dts.windows(2).all(|w| w[1] - w[0] == 40), "{dts:?}");
        assert!(dts.iter().zip(&pts).all(|(d, p)| d <= p));
    }
}
