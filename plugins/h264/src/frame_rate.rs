//! [`Meter`]: how many pictures a second come, by their `pts`.

/// What is expected before pictures have shown it, Hz.
const FIRST_HZ: f64 = 30.0;
/// What an encoder can be told, Hz.
const LIMITS_HZ: (f64, f64) = (1.0, 240.0);
/// How many pictures a change takes to be seen, about.
const INERTIA: f64 = 8.0;
/// A rate that differs by less is not worth telling.
const WORTH_TELLING: f64 = 0.15;

/// A running mean of the time between pictures.
pub struct Meter {
    /// The rate that the graph states, which is believed; 0 when it is to be measured.
    stated_hz: f64,
    mean_s: f64,
    last: Option<i64>,
    told_hz: f64,
}

impl Meter {
    pub fn new(stated_hz: f64) -> Meter {
        let hz = if stated_hz > 0.0 { stated_hz } else { FIRST_HZ };
        Meter {
            stated_hz,
            mean_s: 1.0 / hz,
            last: None,
            told_hz: hz,
        }
    }

    /// The rate as last told, Hz.
    pub fn hz(&self) -> f64 {
        self.told_hz
    }

    /// Takes the time of the next picture; `true` when the rate has changed enough to tell.
    pub fn see(&mut self, pts: i64) -> bool {
        let Some(last) = self.last.replace(pts) else {
            return false;
        };
        if self.stated_hz > 0.0 {
            return false;
        }
        let seconds = pts.saturating_sub(last) as f64 / 1e9;
        // Jumps of the timeline say nothing of the rate.
        if !(1.0 / (2.0 * LIMITS_HZ.1)..=2.0 / LIMITS_HZ.0).contains(&seconds) {
            return false;
        }
        self.mean_s += (seconds - self.mean_s) / INERTIA;
        let hz = (1.0 / self.mean_s).clamp(LIMITS_HZ.0, LIMITS_HZ.1);
        let differs = (hz / self.told_hz - 1.0).abs() > WORTH_TELLING;
        if differs {
            self.told_hz = hz;
        }
        differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_pictures_and_jumps_do_not_matter() {
        let mut meter = Meter::new(0.0);
        let mut pts = 0;
        let mut run = |meter: &mut Meter, hz: i64, count: i64| {
            let mut told = 0;
            for _ in 0..count {
                pts += 1_000_000_000 / hz;
                told += u32::from(meter.see(pts));
            }
            pts += 3_600_000_000_000;
            told
        };
        assert_eq!(run(&mut meter, 30, 60), 0, "as expected");
        assert!(run(&mut meter, 15, 60) > 0);
        assert!((meter.hz() - 15.0).abs() < 3.0, "{}", meter.hz());
        assert!(run(&mut meter, 60, 120) > 0);
        assert!((meter.hz() - 60.0).abs() < 9.0, "{}", meter.hz());
    }

    #[test]
    fn a_stated_rate_is_believed() {
        let mut meter = Meter::new(25.0);
        assert!((0..100).all(|n| !meter.see(n * 1_000_000)));
        assert!((meter.hz() - 25.0).abs() < f64::EPSILON);
    }
}
