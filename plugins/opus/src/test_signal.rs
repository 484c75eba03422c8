//! Sounds for tests, and what became of them.

use levada_plugin::{as_f32, as_f32_mut, harness::Harness, prelude::*};

/// A sine of one pitch in every channel, interleaved.
pub(crate) fn sine(hz: f64, rate: u32, channels: usize, samples: usize) -> Vec<f32> {
    (0..samples)
        .flat_map(|n| {
            let value = 0.4 * (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin();
            std::iter::repeat_n(value as f32, channels)
        })
        .collect()
}

/// White noise that repeats from a seed.
pub(crate) fn noise(samples: usize, mut seed: u64) -> Vec<f32> {
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((seed >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.4
    })
    .take(samples)
    .collect()
}

/// A block of samples for a node under test.
pub(crate) fn block<N: Node>(
    node: &Harness<N>,
    format: &Format,
    pts: i64,
    samples: &[f32],
) -> Result<Frame> {
    let mut loan = node.loan(size_of_val(samples))?;
    as_f32_mut(loan.as_mut_slice())
        .expect("aligned")
        .copy_from_slice(samples);
    let frame = Frame::new(Kind::Audio, loan).with_pts(pts);
    Ok(frame.with_format_id(node.format_id(format)))
}

/// The samples of frames, one behind the other.
pub(crate) fn samples(frames: &[(usize, Frame)]) -> Vec<f32> {
    let of = |frame: &Frame| as_f32(frame.payload()).expect("aligned").to_vec();
    frames.iter().flat_map(|(_, frame)| of(frame)).collect()
}

/// Signal to noise in dB of `heard` against `said`, which it lags by `delay` samples.
pub(crate) fn snr(said: &[f32], heard: &[f32], delay: usize) -> f64 {
    let (mut signal, mut error) = (0.0, 1e-12);
    for (s, h) in said.iter().zip(&heard[delay..]) {
        signal += f64::from(*s).powi(2);
        error += f64::from(s - h).powi(2);
    }
    10.0 * (signal / error).log10()
}

/// Root mean square.
pub(crate) fn rms(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// The largest step from one sample to the next.
pub(crate) fn steepest(samples: &[f32]) -> f32 {
    samples
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max)
}
