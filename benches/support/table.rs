//! Measures contenders side by side and prints ratios.
//!
//! Other work on the machine disturbs a measurement more than the contenders differ. So contenders
//! take turns, round after round, each round a few ms of each, and what counts is the median over
//! the rounds of the ratio within a round. Time is the CPU time of the whole process, so that work on
//! several threads counts in full and waiting for a busy core does not count.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that all threads of this process have used.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // CPU time is never negative.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the CPU time that `f` takes.
pub fn timed(f: impl FnOnce()) -> Duration {
    let begin = cpu_time();
    f();
    cpu_time() - begin
}

/// Whether the program was asked to run everything once and measure nothing (`-- --test`).
pub fn is_short() -> bool {
    std::env::args().any(|arg| arg == "--test")
}

/// Whether the table is wanted: not when the program only lists, or runs, what a filter names. The
/// filter `table` names the table alone.
pub fn is_wanted() -> bool {
    std::env::args()
        .skip(1)
        .all(|arg| ["--bench", "--test", "table"].contains(&arg.as_str()))
}

/// Does `n` units of work (`n` frames) and returns the time that they took.
pub type Measure<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// One of those that are compared.
pub struct Contender<'a> {
    pub name: &'static str,
    pub measure: Measure<'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, measure: impl FnMut(u64) -> Duration + 'a) -> Self {
        Contender {
            name,
            measure: Box::new(measure),
        }
    }
}

/// What a comparison found.
pub struct Outcome {
    pub names: Vec<&'static str>,
    /// By round, by contender: ns a unit.
    rounds: Vec<Vec<f64>>,
}

const ROUNDS: usize = 15;
const SLICE: Duration = Duration::from_millis(6);

/// Lets the contenders take turns.
pub fn compare(contenders: &mut [Contender]) -> Outcome {
    let short = is_short();
    let counts: Vec<u64> = contenders
        .iter_mut()
        .map(|contender| {
            if short {
                (contender.measure)(1);
                return 1;
            }
            let mut count = 64;
            loop {
                let took = (contender.measure)(count);
                if took > SLICE / 4 {
                    let slices = SLICE.as_secs_f64() / took.as_secs_f64();
                    return ((count as f64 * slices) as u64).max(1);
                }
                count *= 2;
            }
        })
        .collect();
    let round = |contenders: &mut [Contender]| {
        contenders
            .iter_mut()
            .zip(&counts)
            .map(|(c, count)| (c.measure)(*count).as_nanos() as f64 / *count as f64)
            .collect()
    };
    let rounds = if short { 1 } else { ROUNDS };
    Outcome {
        names: contenders.iter().map(|c| c.name).collect(),
        rounds: (0..rounds).map(|_| round(contenders)).collect(),
    }
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Outcome {
    fn at(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| *n == name)
    }

    /// ns a unit of a contender; not a number if it did not take part.
    pub fn ns(&self, name: &str) -> f64 {
        self.at(name).map_or(f64::NAN, |at| {
            median(self.rounds.iter().map(|r| r[at]).collect())
        })
    }

    /// How much more `name` takes than `base`; not a number if one of them did not take part.
    pub fn ratio(&self, name: &str, base: &str) -> f64 {
        match (self.at(name), self.at(base)) {
            (Some(a), Some(b)) => median(self.rounds.iter().map(|r| r[a] / r[b]).collect()),
            _ => f64::NAN,
        }
    }
}

/// A cell of a table; empty for what is not a number.
pub fn cell(value: f64, unit: &str) -> String {
    match value {
        v if !v.is_finite() => String::new(),
        v if v >= 100.0 => format!("{v:.0}{unit}"),
        v if v >= 10.0 => format!("{v:.1}{unit}"),
        v => format!("{v:.2}{unit}"),
    }
}

/// Prints a table in Markdown; only that everything ran where nothing was measured.
pub fn print(title: &str, head: &[&str], rows: &[Vec<String>]) {
    if is_short() {
        println!("Ran once, without figures: {title}");
        return;
    }
    println!("\n{title}\n\n| {} |", head.join(" | "));
    println!("|{}", "---|".repeat(head.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}
