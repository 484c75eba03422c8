//! One input of the mixer: samples that wait for their moment.
//!
//! Moments are counted in samples of one channel from the mix's first one on ([`Timeline`]). What waits is one piece
//! without a hole, so that its beginning and its end say where all of it lies.

use std::collections::VecDeque;

/// Where a moment in ns lies among the samples, and back.
#[derive(Clone, Copy)]
pub struct Timeline {
    pub rate: u32,
    /// The time of sample 0.
    pub origin_ns: i64,
}

impl Timeline {
    /// The sample nearest to a time.
    pub fn position(self, ns: i64) -> i64 {
        let passed = i128::from(ns) - i128::from(self.origin_ns);
        let scaled = passed * i128::from(self.rate);
        // At most 2^65 ns at less than 2^18 Hz, so it fits after the division.
        ((scaled + 500_000_000).div_euclid(1_000_000_000)) as i64
    }

    /// The time of a sample, from the whole count, so that nothing drifts.
    pub fn ns(self, position: i64) -> i64 {
        let passed = i128::from(position) * 1_000_000_000 / i128::from(self.rate);
        let ns = i128::from(self.origin_ns) + passed;
        ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// Whether the others wait for an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It brings sound, or may begin to.
    Awaited,
    /// It has brought nothing for too long, has ended or is not linked.
    Silent,
}

pub struct Input {
    pub gain: f32,
    pub state: State,
    /// The stream that it brings; another one is taken when this one has fallen silent.
    pub stream: Option<u16>,
    /// What is added to its times, where its clock is another one than the others'.
    pub offset_ns: i64,
    /// No frame comes that begins earlier, as a gap said.
    pub promised: i64,
    /// Interleaved.
    samples: VecDeque<f32>,
    /// Where the first of them lies, or the next would.
    start: i64,
    /// Whether anything came, so that the next block has a place to follow.
    has_begun: bool,
}

impl Input {
    pub fn new(gain: f32, is_linked: bool) -> Input {
        Input {
            gain,
            state: if is_linked {
                State::Awaited
            } else {
                State::Silent
            },
            stream: None,
            offset_ns: 0,
            promised: i64::MIN,
            samples: VecDeque::new(),
            start: i64::MIN,
            has_begun: false,
        }
    }

    /// Lets go of all that belongs to the past.
    pub fn flush(&mut self) {
        *self = Input {
            state: self.state,
            ..Input::new(self.gain, true)
        };
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub fn start(&self) -> i64 {
        self.start
    }

    /// Where its samples end.
    pub fn end(&self, channels: usize) -> i64 {
        self.start
            .saturating_add((self.samples.len() / channels) as i64)
    }

    /// As far as its sound is known.
    pub fn known(&self, channels: usize) -> i64 {
        self.end(channels).max(self.promised)
    }

    /// The place of a block that claims `natural`: right behind the last one, where it is off by `tolerance` at most.
    pub fn place(&self, natural: i64, tolerance: i64, channels: usize) -> i64 {
        let end = self.end(channels);
        if self.has_begun && natural.saturating_sub(end).saturating_abs() <= tolerance {
            end
        } else {
            natural
        }
    }

    /// Adds a block whose first sample lies at `at`, without what lies before `from` or where there is sound already.
    /// A hole in front of it is filled with silence, so the caller keeps it short. Answers how many samples of a
    /// channel were added.
    pub fn push(&mut self, block: &[f32], at: i64, from: i64, channels: usize) -> usize {
        let end = self.end(channels);
        let earliest = if self.is_empty() { from } else { end };
        let late = usize::try_from(earliest.saturating_sub(at)).unwrap_or(0);
        let block = block.get(late * channels..).unwrap_or_default();
        let at = at.max(earliest);
        if self.is_empty() {
            self.start = at;
        } else {
            let hole = at.saturating_sub(end).max(0) as usize;
            self.samples
                .extend(std::iter::repeat_n(0.0, hole * channels));
        }
        // Neither a number that is none nor an endless one may spoil the others' sound.
        let sound = |sample: &f32| if sample.is_finite() { *sample } else { 0.0 };
        self.samples.extend(block.iter().map(sound));
        self.has_begun = true;
        block.len() / channels
    }

    /// Adds its part of the moments from `from` to `from + out.len() / channels` to `out`, and lets go of it.
    pub fn add_to(&mut self, out: &mut [f32], from: i64, channels: usize) {
        let before = usize::try_from(self.start.saturating_sub(from)).unwrap_or(0);
        let Some(out) = out.get_mut(before.saturating_mul(channels)..) else {
            return;
        };
        let count = out.len().min(self.samples.len());
        for (sum, sample) in out.iter_mut().zip(self.samples.drain(..count)) {
            *sum += sample * self.gain;
        }
        self.start += (count / channels) as i64;
    }
}
