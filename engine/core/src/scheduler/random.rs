//! [`Random`]: numbers that follow from a seed, the same on every machine.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a counter
//! whose value is mixed. Good enough to choose what runs next; nothing secret depends on it. Written
//! out because a generator from a crate may change with its version, and with it what a seed repeats.
#![forbid(unsafe_code)]

/// See the module's documentation.
pub(crate) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of the product: the bias is one in 2^64 of the bound.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_numbers() {
        let mut random = Random::new(1_234_567);
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn every_number_below_the_bound_is_drawn() {
        let mut random = Random::new(7);
        let mut drawn = [0; 5];
        (0..1000).for_each(|_| drawn[random.below(5)] += 1);
        assert!(drawn.iter().all(|count| *count > 100), "{drawn:?}");
        assert_eq!((random.below(1), random.below(0)), (0, 0));
    }
}
