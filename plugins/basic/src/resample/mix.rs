//! [`Mix`]: so many channels become more or fewer.
//!
//! Channels are in the order of WAVE: front left and right, centre, low frequencies, back left and right, side left and
//! right. A channel goes to its own speaker where there is one, and else to the nearest ones that there are: the centre to
//! both in front, a side to the back of the same side and the other way round, a back centre to both in the back, and what
//! has none of these to the front of its side. That is by the weights of ITU-R BS.775: 1 for one of its own kind, 0.7071 for
//! two, or for front instead of back, and nothing for low frequencies. All weights are divided by the largest sum of what
//! one speaker gets, so that nothing exceeds full scale and channels stay as loud beside each other as they were.
//!
//! One channel is the mean of the two sides, and goes to both front ones. Speakers that nothing goes to are silent.

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

#[derive(Clone, Copy, PartialEq)]
enum Speaker {
    /// The only one.
    One,
    Left,
    Right,
    Centre,
    Low,
    BackLeft,
    BackRight,
    BackCentre,
    SideLeft,
    SideRight,
}

use Speaker::{
    BackCentre, BackLeft, BackRight, Centre, Left, Low, One, Right, SideLeft, SideRight,
};

/// The speakers of so many channels.
fn speakers(channels: u32) -> Option<&'static [Speaker]> {
    Some(match channels {
        1 => &[One],
        2 => &[Left, Right],
        3 => &[Left, Right, Centre],
        4 => &[Left, Right, BackLeft, BackRight],
        5 => &[Left, Right, Centre, BackLeft, BackRight],
        6 => &[Left, Right, Centre, Low, BackLeft, BackRight],
        // A back centre before the sides.
        7 => &[Left, Right, Centre, Low, BackCentre, SideLeft, SideRight],
        8 => &[
            Left, Right, Centre, Low, BackLeft, BackRight, SideLeft, SideRight,
        ],
        _ => return None,
    })
}

/// Where a channel may go, the best first: the first one of which all speakers are there counts.
fn ways(speaker: Speaker) -> &'static [&'static [(Speaker, f32)]] {
    const H: f32 = HALF_POWER;
    match speaker {
        One => &[&[(One, 1.0)], &[(Left, 1.0), (Right, 1.0)]],
        Left => &[&[(Left, 1.0)]],
        Right => &[&[(Right, 1.0)]],
        Centre => &[&[(Centre, 1.0)], &[(Left, H), (Right, H)]],
        Low => &[&[(Low, 1.0)]],
        BackLeft => &[&[(BackLeft, 1.0)], &[(SideLeft, 1.0)], &[(Left, H)]],
        BackRight => &[&[(BackRight, 1.0)], &[(SideRight, 1.0)], &[(Right, H)]],
        BackCentre => &[
            &[(BackCentre, 1.0)],
            &[(BackLeft, H), (BackRight, H)],
            &[(Left, H), (Right, H)],
        ],
        SideLeft => &[&[(SideLeft, 1.0)], &[(BackLeft, 1.0)], &[(Left, H)]],
        SideRight => &[&[(SideRight, 1.0)], &[(BackRight, 1.0)], &[(Right, H)]],
    }
}

/// What each speaker of `to` gets of each channel of `from`: a row for each.
fn rows(from: &[Speaker], to: &[Speaker]) -> Vec<Vec<f32>> {
    let way = |channel: &Speaker| {
        let mut ways = ways(*channel).iter();
        let way = ways.find(|way| way.iter().all(|(speaker, _)| to.contains(speaker)));
        way.copied().unwrap_or_default()
    };
    let weight = |speaker: &Speaker, channel: &Speaker| {
        let found = way(channel).iter().find(|(other, _)| other == speaker);
        found.map_or(0.0, |(_, weight)| *weight)
    };
    let row = |speaker| {
        from.iter()
            .map(|channel| weight(speaker, channel))
            .collect()
    };
    to.iter().map(row).collect()
}

impl Mix {
    /// The mix from so many channels to so many.
    ///
    /// # Errors
    /// When either number is 0 or more than [`MAX_CHANNELS`].
    pub fn new(from: u32, to: u32) -> Result<Mix> {
        let (Some(inputs), Some(outputs)) = (speakers(from), speakers(to)) else {
            return Err(Error::new(format_args!(
                "there is no rule to make {to} channels of {from}: resample takes and makes 1 to {MAX_CHANNELS}; set \
                 channels = 2"
            )));
        };
        let mut rows = match (from, to) {
            (2.., 1) => {
                let sides = rows(inputs, &[Left, Right]);
                let both = sides[0].iter().zip(&sides[1]);
                vec![both.map(|(left, right)| left + right).collect()]
            }
            _ => rows(inputs, outputs),
        };
        let sums = rows.iter().map(|row| row.iter().sum::<f32>());
        // At least 1: somebody gets a channel as it is.
        let most = sums.fold(1.0, f32::max);
        rows.iter_mut().flatten().for_each(|weight| *weight /= most);
        Ok(Mix {
            from: inputs.len(),
            weights: rows.concat(),
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
        for (from, to) in [(9, 2), (0, 2), (2, 9), (2, 0)] {
            let refused = Mix::new(from, to).err();
            assert!(refused.is_some_and(|e| e.to_string().contains("channels = 2")));
        }
    }

    #[test]
    fn every_number_of_channels_becomes_every_other_without_clipping_on_its_own_side() -> Result {
        for from in 1..=MAX_CHANNELS {
            for to in 1..=MAX_CHANNELS {
                let inputs = speakers(from).expect("a layout");
                let outputs = speakers(to).expect("a layout");
                let loudest = mixed(from, to, &vec![1.0; from as usize])?;
                let most = loudest.iter().copied().fold(0.0, f32::max);
                assert!((most - 1.0).abs() < 1e-6, "{from} to {to}: {loudest:?}");
                for (at, channel) in inputs.iter().enumerate() {
                    let mut moment = vec![0.0; from as usize];
                    moment[at] = 1.0;
                    let heard = mixed(from, to, &moment)?;
                    let is_heard = heard.iter().any(|sample| *sample > 0.0);
                    let is_low = *channel == Low && !outputs.contains(&Low);
                    assert_eq!(is_heard, !is_low, "channel {at} of {from} in {to}");
                    let rights = [Right, BackRight, SideRight];
                    if [Left, BackLeft, SideLeft].contains(channel) {
                        let mut on_right = outputs.iter().zip(&heard);
                        assert!(on_right.all(|(s, sample)| !rights.contains(s) || *sample == 0.0));
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn channels_that_have_no_speaker_go_to_the_nearest_and_stay_as_loud_beside_the_others() -> Result
    {
        let near = |heard: Vec<f32>, wanted: &[f32]| {
            let mut pairs = heard.iter().zip(wanted);
            assert!(
                pairs.all(|(a, b)| (a - b).abs() < 1e-6),
                "{heard:?}, {wanted:?}"
            );
        };
        // The centre goes to both in front, low frequencies nowhere.
        let front = 1.0 / (1.0 + HALF_POWER);
        let moment = [0.1, 0.2, 0.3, 1.0, 0.4, 0.5];
        let centre = 0.3 * HALF_POWER;
        let wanted = [0.1 + centre, 0.2 + centre, 0.4, 0.5].map(|sample| sample * front);
        near(mixed(6, 4, &moment)?, &wanted);
        // The back is heard in front.
        let wanted = [0.1 + 0.3 * HALF_POWER, 0.2 + 0.4 * HALF_POWER, 0.0].map(|s| s * front);
        near(mixed(4, 3, &[0.1, 0.2, 0.3, 0.4])?, &wanted);
        // Sides and backs become one.
        let moment = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.1, 0.2];
        near(mixed(8, 6, &moment)?, &[0.05, 0.1, 0.15, 0.2, 0.3, 0.4]);
        // What has no channel is silent.
        near(
            mixed(4, 6, &[0.1, 0.2, 0.3, 0.4])?,
            &[0.1, 0.2, 0.0, 0.0, 0.3, 0.4],
        );
        Ok(())
    }
}
