//! [`RateConverter`]: samples of one rate become samples of another.
//!
//! *How.* Band-limited interpolation (J. O. Smith, "Digital Audio Resampling"): each output sample is the input around its
//! moment, weighed by a windowed sinc. With both rates divided by what they share, output sample `k` lies at input
//! position `k * from / to`; whole numbers say where, so nothing is rounded however long a stream is. The fraction of that
//! position picks a row of weights: there is one for every fraction that can occur, or, beyond [`MAX_ROWS`] of them,
//! the two nearest are blended.
//!
//! *What holds.* Output sample 0 is at the moment of input sample 0: the filter's delay shows only as samples that come
//! out later, never as a shift. After [`flush`](RateConverter::flush), `n` input samples have become exactly
//! `ceil(n * to / from)`. The weights of a row add up to 1.
//!
//! The crate `rubato` was measured: its sinc resampler costs as much, rounds its delay to whole samples and takes blocks
//! of lengths that it states; its FFT resampler holds blocks of 20 ms and more.

/// Weights on each side of the middle, at the lower of both rates.
pub(super) const REACH: usize = 48;
/// Rows of weights.
const MAX_ROWS: u32 = 1024;
/// Rows that are blended, and one more to blend with.
const BLENDED_ROWS: u32 = 512;
/// Where the filter is 6 dB down, as a part of half the lower rate; it is flat to about 0.88 and closed at 1.
const CUTOFF: f64 = 0.94;
/// The shape of the Kaiser window; it keeps aliases about 90 dB down.
const BETA: f64 = 9.0;

/// Converts planar channels. See the module's documentation.
pub(super) struct RateConverter {
    /// Both rates, without what they share.
    from: u64,
    to: u64,
    taps: usize,
    /// Samples that are needed beyond a moment.
    lead: usize,
    rows: u64,
    /// `taps` weights for each row.
    weights: Vec<f32>,
    /// Input by channel: what the next output sample needs, and all after it.
    input: Vec<Vec<f32>>,
    /// Where in `input` the next output sample's first weight lies.
    at: usize,
    /// The fraction of the next output sample's position, in parts of `to`.
    fraction: u64,
}

impl RateConverter {
    /// A converter between two rates in Hz, neither of them 0.
    pub fn new(from: u32, to: u32, channels: usize) -> RateConverter {
        let shared = gcd(from, to).max(1);
        let (from, to) = (from / shared, to / shared);
        let (taps, lead, rows, weights) = if from == to {
            (1, 0, 1, vec![1.0])
        } else {
            let slower = (f64::from(from) / f64::from(to)).max(1.0);
            let lead = (REACH as f64 * slower).ceil() as usize;
            let rows = if to <= MAX_ROWS { to } else { BLENDED_ROWS };
            (2 * lead, lead, rows, weights(lead, rows, slower))
        };
        let mut made = RateConverter {
            from: u64::from(from),
            to: u64::from(to),
            taps,
            lead,
            rows: u64::from(rows),
            weights,
            input: vec![Vec::new(); channels],
            at: 0,
            fraction: 0,
        };
        made.reset();
        made
    }

    /// Forgets all input.
    pub fn reset(&mut self) {
        (self.at, self.fraction) = (0, 0);
        for channel in &mut self.input {
            channel.clear();
            // What lies before the first sample is silence.
            channel.resize(self.taps - 1 - self.lead, 0.0);
        }
    }

    /// The channels' input, to push samples to: as many to each.
    pub fn input(&mut self) -> &mut [Vec<f32>] {
        &mut self.input
    }

    /// How many output samples of each channel are ready.
    pub fn ready(&self) -> usize {
        let len = self.input.first().map_or(0, Vec::len);
        let Some(spare) = (len + 1).checked_sub(self.at + self.taps) else {
            return 0;
        };
        // The n-th from now needs input up to `at + (fraction + n * from) / to + taps`.
        let reach = (spare as u64 * self.to).saturating_sub(self.fraction);
        reach.div_ceil(self.from) as usize
    }

    /// Makes `count` samples of each channel, at most as many as are ready: `put(n, channel, sample)`.
    pub fn take(&mut self, count: usize, mut put: impl FnMut(usize, usize, f32)) {
        for n in 0..count {
            let place = self.fraction * self.rows;
            let (row, between) = ((place / self.to) as usize, place % self.to);
            let row = &self.weights[row * self.taps..];
            let window = self.at..self.at + self.taps;
            for (index, channel) in self.input.iter().enumerate() {
                let samples = &channel[window.clone()];
                let mut sum = dot(samples, &row[..self.taps]);
                if between > 0 {
                    let next = dot(samples, &row[self.taps..2 * self.taps]);
                    sum += (next - sum) * (between as f32 / self.to as f32);
                }
                put(n, index, sum);
            }
            self.fraction += self.from;
            self.at += (self.fraction / self.to) as usize;
            self.fraction %= self.to;
        }
        let len = self.input.first().map_or(0, Vec::len);
        // A step may lead beyond what has come; then the first of what is to come is passed over.
        let done = self.at.min(len);
        for channel in &mut self.input {
            channel.drain(..done);
        }
        self.at -= done;
    }

    /// Pushes what lets the last samples come out.
    pub fn flush(&mut self) {
        for channel in &mut self.input {
            channel.resize(channel.len() + self.lead, 0.0);
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A sum in eight parts, which a compiler can make at once.
fn dot(samples: &[f32], weights: &[f32]) -> f32 {
    let mut parts = [0.0_f32; 8];
    let (samples, last_samples) = samples.as_chunks::<8>();
    let (weights, last_weights) = weights.as_chunks::<8>();
    for (s, w) in samples.iter().zip(weights) {
        for (part, (s, w)) in parts.iter_mut().zip(s.iter().zip(w)) {
            *part += s * w;
        }
    }
    let last = last_samples.iter().zip(last_weights).map(|(s, w)| s * w);
    parts.iter().sum::<f32>() + last.sum::<f32>()
}

/// The rows of weights, and one more, which is the first one a sample later.
fn weights(lead: usize, rows: u32, slower: f64) -> Vec<f32> {
    let mut all = Vec::with_capacity((rows as usize + 1) * 2 * lead);
    for row in 0..=rows {
        let fraction = f64::from(row) / f64::from(rows);
        let weight = |tap: usize| {
            // From the moment of the output sample, in input samples.
            let distance = tap as f64 - (lead as f64 - 1.0) - fraction;
            sinc(distance * CUTOFF / slower) * kaiser(distance / lead as f64)
        };
        let row: Vec<f64> = (0..2 * lead).map(weight).collect();
        let sum: f64 = row.iter().sum();
        all.extend(row.iter().map(|w| (w / sum) as f32));
    }
    all
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

/// The Kaiser window over -1..=1, without its constant factor.
fn kaiser(x: f64) -> f64 {
    bessel_i0(BETA * (1.0 - x * x).max(0.0).sqrt())
}

/// The modified Bessel function of the first kind and order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= (x / (2.0 * n)).powi(2);
        sum += term;
        n += 1.0;
    }
    sum
}
