//! [`Mix`]: so many channels become more or fewer.
//!
//! Channels are in the order of WAVE: front left and right, centre, low frequencies, back left and right, side left and
//! right. Downwards each channel goes to the sides that it is on, by the weights of ITU-R BS.775 (1 in front, 0.7071
//! for centre, back and sides, nothing for low frequencies), divided by their sum, so that nothing exceeds full scale. One
//! channel is the mean of the two sides. Upwards, one channel goes to both front ones and two stay the front ones; the
//! others are silent.

use levada_plugin::prelude::*;

/// The most channels there are.
pub(super) const MAX_CHANNELS: u32 = 8;
const HALF_POWER: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// Weights of each channel that comes in for each that goes out. See the module's documentation.
pub(super) struct Mix {
    from: usize,
    /// `from` weights for each channel that goes out.
    weights: Vec<f32>,
}

/// How much of a channel of a layout is heard on the left and on the right.
fn sides(channels: u32) -> Option<&'static [(f32, f32)]> {
    const L: (f32, f32) = (1.0, 0.0);
    const R: (f32, f32) = (0.0, 1.0);
    const C: (f32, f32) = (HALF_POWER, HALF_POWER);
    const LOW: (f32, f32) = (0.0, 0.0);
    const BL: (f32, f32) = (HALF_POWER, 0.0);
    const BR: (f32, f32) = (0.0, HALF_POWER);
    Some(match channels {
        1 => &[(1.0, 1.0)],
        2 => &[L, R],
        3 => &[L, R, C],
        4 => &[L, R, BL, BR],
        5 => &[L, R, C, BL, BR],
        6 => &[L, R, C, LOW, BL, BR],
        // A back centre before the sides.
        7 => &[L, R, C, LOW, C, BL, BR],
        8 => &[L, R, C, LOW, BL, BR, BL, BR],
        _ => return None,
    })
}

impl Mix {
    /// The mix from so many channels to so many.
    ///
    /// # Errors
    /// When there is no rule for it.
    pub fn new(from: u32, to: u32) -> Result<Mix> {
        let known = sides(from).zip(sides(to)).map(|(sides, _)| sides);
        let weights = match (known, from, to) {
            (Some(_), from, to) if from == to => unit(from, to),
            (Some(sides), _, 1 | 2) => down(sides, to as usize),
            (Some(_), 1, _) => {
                let mut weights = vec![0.0; to as usize];
                weights[..2].fill(1.0);
                weights
            }
            (Some(_), 2, _) => unit(from, to),
            _ => {
                return Err(Error::new(format_args!(
                    "there is no rule to make {to} channels of {from}: resample makes 1 or 2 of up to {MAX_CHANNELS}, and up \
                     to {MAX_CHANNELS} of 1 or 2; set channels = 2"
                )));
            }
        };
        Ok(Mix {
            from: from as usize,
            weights,
        })
    }

    /// Channels that come in.
    pub fn from(&self) -> usize {
        self.from
    }

    /// What goes out of a channel, of one moment of all that come in.
    pub fn channel(&self, to: usize, moment: &[f32]) -> f32 {
        let weights = &self.weights[to * self.from..(to + 1) * self.from];
        moment.iter().zip(weights).map(|(s, w)| s * w).sum()
    }
}

/// Each channel as it is, and silence where there is none.
fn unit(from: u32, to: u32) -> Vec<f32> {
    let cells = (0..to).flat_map(|out| (0..from).map(move |channel| out == channel));
    cells.map(f32::from).collect()
}

fn down(sides: &[(f32, f32)], to: usize) -> Vec<f32> {
    let scale = |row: Vec<f32>| {
        let sum: f32 = row.iter().sum();
        row.into_iter().map(move |w| w / sum)
    };
    if to == 1 {
        return scale(sides.iter().map(|(l, r)| l + r).collect()).collect();
    }
    let left = scale(sides.iter().map(|s| s.0).collect());
    left.chain(scale(sides.iter().map(|s| s.1).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(from: u32, to: u32, moment: &[f32]) -> Result<Vec<f32>> {
        let mix = Mix::new(from, to)?;
        Ok((0..to as usize).map(|n| mix.channel(n, moment)).collect())
    }

    #[test]
    fn two_sides_become_their_mean_and_one_becomes_both() -> Result {
        assert_eq!(mixed(2, 1, &[0.5, -0.1])?, [0.2]);
        assert_eq!(mixed(1, 2, &[0.3])?, [0.3, 0.3]);
        assert_eq!(mixed(1, 6, &[0.3])?, [0.3, 0.3, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(mixed(2, 4, &[0.3, 0.4])?, [0.3, 0.4, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn five_and_one_become_two_by_the_weights_of_bs_775() -> Result {
        let sum = 1.0 + 2.0 * HALF_POWER;
        let heard = mixed(6, 2, &[0.2, 0.0, 0.4, 1.0, 0.6, 0.0])?;
        let left = (0.2 + HALF_POWER * 0.4 + HALF_POWER * 0.6) / sum;
        assert!((heard[0] - left).abs() < 1e-6 && (heard[1] - HALF_POWER * 0.4 / sum).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn full_scale_in_all_channels_stays_full_scale() -> Result {
        for from in 1..=MAX_CHANNELS {
            for to in 1..=2 {
                for sample in mixed(from, to, &vec![1.0; from as usize])? {
                    assert!((sample - 1.0).abs() < 1e-6, "{from} to {to}: {sample}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn what_has_no_rule_is_refused_with_a_remedy() {
        for (from, to) in [(6, 4), (9, 2), (0, 2), (2, 9)] {
            let refused = Mix::new(from, to).err();
            assert!(refused.is_some_and(|e| e.to_string().contains("channels = 2")));
        }
    }
}
