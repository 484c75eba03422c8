//! Voice in samples: by the energy in the band where vowels are strong, and by that band's part of the whole.
//!
//! Sound is cut into windows of 10 ms. A window speaks when its energy between 200 and 1200 Hz lies `threshold` above
//! the floor, which follows what is heard while nobody speaks, and is a third of all energy at least: hum lies below that
//! band, and hiss is spread over all others as well. Three windows that speak, one after the other, begin a voice, and
//! `hold` without one ends it. Music with a singer's spectrum passes for voice; a steady tone does until the floor has
//! risen to it.

const WINDOWS_PER_SECOND: u32 = 100;
/// Windows that speak, one after the other, for a voice to begin.
const ONSET: u32 = 3;
/// What is quieter is no voice, in dB below full scale.
const QUIETEST_DB: f64 = -60.0;
/// Where the floor begins, at most.
const FLOOR_DB: f64 = -50.0;
/// The band's least part of all energy.
const LEAST_PART: f64 = 0.33;
const BAND_HZ: (f64, f64) = (200.0, 1200.0);

/// A second-order Butterworth filter, after R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter
/// coefficients".
#[derive(Clone, Copy)]
struct Filter {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Filter {
    fn new(is_high_pass: bool, hz: f64, rate: u32) -> Filter {
        let w = std::f64::consts::TAU * hz / f64::from(rate);
        let (sin, cos) = w.sin_cos();
        let alpha = sin * std::f64::consts::FRAC_1_SQRT_2;
        let sign = if is_high_pass { -1.0 } else { 1.0 };
        let edge = (1.0 - sign * cos) / 2.0;
        let a0 = 1.0 + alpha;
        Filter {
            b: [edge / a0, sign * 2.0 * edge / a0, edge / a0],
            a: [-2.0 * cos / a0, (1.0 - alpha) / a0],
            state: [0.0; 2],
        }
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.state[0];
        self.state[0] = self.b[1] * x - self.a[0] * y + self.state[1];
        self.state[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// Finds voice in one stream.
pub struct Detector {
    filters: [Filter; 2],
    window: u32,
    count: u32,
    all: f64,
    band: f64,
    threshold_db: f64,
    floor_db: f64,
    level_db: f64,
    /// Windows that spoke, one after the other.
    run: u32,
    /// Windows that a voice outlasts without one that speaks.
    hold: u32,
    left: u32,
}

impl Detector {
    pub fn new(rate: u32, threshold_db: f64, hold_s: f64) -> Detector {
        Detector {
            filters: [
                Filter::new(true, BAND_HZ.0, rate),
                Filter::new(false, BAND_HZ.1, rate),
            ],
            window: (rate / WINDOWS_PER_SECOND).max(1),
            count: 0,
            all: 0.0,
            band: 0.0,
            threshold_db,
            floor_db: FLOOR_DB,
            level_db: QUIETEST_DB * 2.0,
            run: 0,
            hold: (hold_s * f64::from(WINDOWS_PER_SECOND)) as u32,
            left: 0,
        }
    }

    /// Whether a voice is heard now.
    pub fn speaks(&self) -> bool {
        self.left > 0
    }

    /// The last window's level in the band, in dB below full scale.
    pub fn level_db(&self) -> f64 {
        self.level_db
    }

    /// Hears a sample.
    pub fn hear(&mut self, sample: f32) {
        // Neither a number that is none nor an endless one may stay in the filters.
        let sample = f64::from(if sample.is_finite() { sample } else { 0.0 }).clamp(-4.0, 4.0);
        let passed = self.filters.iter_mut().fold(sample, |x, f| f.next(x));
        self.all += sample * sample;
        self.band += passed * passed;
        self.count += 1;
        if self.count == self.window {
            self.judge();
            (self.count, self.all, self.band) = (0, 0.0, 0.0);
        }
    }

    fn judge(&mut self) {
        let mean = self.band / f64::from(self.count);
        self.level_db = 10.0 * mean.max(1e-12).log10();
        let above = self.level_db > (self.floor_db + self.threshold_db).max(QUIETEST_DB);
        let is_voice = above && self.band >= self.all * LEAST_PART;
        // Down at once, up slowly, and hardly while somebody speaks.
        let rise = if is_voice { 0.005 } else { 0.1 };
        let off = self.level_db - self.floor_db;
        self.floor_db += if off < 0.0 { off * 0.2 } else { off.min(rise) };
        self.floor_db = self.floor_db.max(QUIETEST_DB * 2.0);
        self.run = if is_voice {
            self.run.saturating_add(1)
        } else {
            0
        };
        if self.run >= ONSET || (is_voice && self.left > 0) {
            // The window itself counts, so that a hold of 0 still begins.
            self.left = self.hold + 1;
        } else {
            self.left = self.left.saturating_sub(1);
        }
    }
}
