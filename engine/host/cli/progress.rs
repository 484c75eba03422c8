//! How far a run has come: a bar on a terminal, elsewhere a line now and then.
//!
//! It follows what nodes say of themselves ([`NodeReport::progress`]), so it appears where some node knows how much there
//! is to do, whatever the node's type, and nowhere else.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use levada::engine::Report;

use super::say;

/// Between two looks, for a bar.
const LOOK: Duration = Duration::from_millis(200);
/// Before the first line, and between two.
const FIRST_LINE: Duration = Duration::from_secs(2);
const LINES: Duration = Duration::from_secs(5);
/// Steps of a bar.
const STEPS: u64 = 1000;
/// What a terminal has where it does not say it.
const COLUMNS: usize = 80;
/// A bar that is shorter shows little: words make way for it.
const SHORTEST_BAR: usize = 10;

/// The bar that is shown, which makes way for other lines.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> Option<ProgressBar> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Standard error, where a bar that is shown makes way for what is written.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match shown() {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// How far a graph has come: as far as the one of its nodes that has most to do still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Far {
    /// Seconds of media.
    done: f64,
    total: f64,
}

impl Far {
    /// `None` where no node knows how much there is to do.
    pub fn of(report: &Report) -> Option<Far> {
        let told = report.nodes.iter().filter_map(|node| node.progress);
        let known = told.filter_map(|it| {
            let (done, total) = (it.done_seconds, it.total_seconds?);
            Some(Far { done, total })
        });
        known.min_by(|a, b| a.part().total_cmp(&b.part()))
    }

    /// 0 to 1.
    fn part(&self) -> f64 {
        (self.done / self.total).clamp(0.0, 1.0)
    }
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Far { done, total } = self;
        write!(f, "{done:.1} s of {total:.1} s")
    }
}

/// What is said after `passed`: how far, how fast, and how long still if it goes on like this. As much of it as
/// fits into `room`, what matters least left out first; nothing where nothing fits.
fn text(far: &Far, passed: Duration, room: usize) -> String {
    let speed = far.done / passed.as_secs_f64().max(0.001);
    let percent = format!("{:.0} %", (far.part() * 100.0).floor());
    let media = format!(", {far}");
    let pace = format!(", {speed:.1} x real time");
    let left = if speed > 0.0 && far.done > 0.0 {
        // What is left of a file fits its type by far.
        let left = ((far.total - far.done).max(0.0) / speed).round() as u64;
        format!(", {} left", clock(left))
    } else {
        String::new()
    };
    let forms = [
        [&*percent, &media, &pace, &left].concat(),
        [&*percent, &media, &left].concat(),
        [&*percent, &left].concat(),
        percent,
    ];
    // All of it is ASCII: a byte is a column.
    let fits = forms.into_iter().find(|form| form.len() <= room);
    fits.unwrap_or_default()
}

/// How wide the terminal is, which a person may change at any time.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => COLUMNS,
    }
}

/// The columns for words beside a bar. On a terminal that has not even place for the shortest bar and a percentage,
/// the bar gives way.
fn room(columns: usize) -> usize {
    let beside = columns.saturating_sub(SHORTEST_BAR + 1);
    beside.max("100 %".len()).min(columns.saturating_sub(1))
}

fn clock(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Shows how far a run has come.
pub struct Progress {
    begin: Instant,
    is_terminal: bool,
}

impl Progress {
    pub fn start() -> Progress {
        Progress {
            begin: Instant::now(),
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// When [`Progress::show`] is to be called.
    pub fn looks(&self) -> tokio::time::Interval {
        let (first, period) = match self.is_terminal {
            true => (LOOK, LOOK),
            false => (FIRST_LINE, LINES),
        };
        tokio::time::interval_at(tokio::time::Instant::now() + first, period)
    }

    pub fn show(&self, report: &Report) {
        let Some(far) = Far::of(report) else {
            return;
        };
        let passed = self.begin.elapsed();
        if !self.is_terminal {
            say(&format!("levada: {}", text(&far, passed, usize::MAX)));
            return;
        }
        let text = text(&far, passed, room(columns()));
        let bar = shown().unwrap_or_else(make_bar);
        bar.set_message(text);
        bar.set_position((far.part() * STEPS as f64) as u64);
    }

    /// Shows how far it came at the end, where a bar is to be seen: it goes away full, and not a look before.
    pub fn end(self, report: &Report) {
        if let Some(bar) = shown() {
            self.show(report);
            bar.force_draw();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let bar = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }
}

fn make_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
    // The template is a constant that is known to parse.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
        bar.set_style(style);
    }
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    bar
}

#[cfg(test)]
mod tests {
    use levada::engine::{NodeReport, Progress};

    use super::*;

    fn report(nodes: &[Option<(f64, Option<f64>)>]) -> Report {
        let nodes = nodes.iter().map(|progress| NodeReport {
            progress: progress.map(|(done_seconds, total_seconds)| Progress {
                done_seconds,
                total_seconds,
            }),
            ..NodeReport::default()
        });
        Report {
            nodes: nodes.collect(),
            ..Report::default()
        }
    }

    #[test]
    fn a_run_is_as_far_as_its_slowest_node_that_knows_how_much_there_is() {
        let nodes = [
            None,
            Some((9.0, Some(10.0))),
            Some((30.0, Some(120.0))),
            Some((7.0, None)),
        ];
        let far = Far::of(&report(&nodes)).expect("two nodes know");
        assert_eq!((far.done, far.total), (30.0, 120.0));
        assert_eq!(Far::of(&report(&[None, Some((7.0, None))])), None);
    }

    fn far(done: f64, total: f64) -> Far {
        Far { done, total }
    }

    #[test]
    fn what_is_said_is_how_far_how_fast_and_how_long_still() {
        let after = Duration::from_secs(10);
        let text = |far, passed| text(&far, passed, usize::MAX);
        assert_eq!(
            text(far(30.0, 120.0), after),
            "25 %, 30.0 s of 120.0 s, 3.0 x real time, 0:30 left"
        );
        assert_eq!(
            text(far(1.0, 1000.0), after),
            "0 %, 1.0 s of 1000.0 s, 0.1 x real time, 2:46:30 left"
        );
        assert_eq!(
            text(far(0.0, 4.0), Duration::ZERO),
            "0 %, 0.0 s of 4.0 s, 0.0 x real time"
        );
    }

    #[test]
    fn on_a_narrow_terminal_what_matters_least_is_left_out_and_a_bar_has_its_place() {
        let said = |columns| text(&far(30.0, 120.0), Duration::from_secs(10), room(columns));
        for (columns, expected) in [
            (80, "25 %, 30.0 s of 120.0 s, 3.0 x real time, 0:30 left"),
            (60, "25 %, 30.0 s of 120.0 s, 0:30 left"),
            (40, "25 %, 0:30 left"),
            (20, "25 %"),
            (6, "25 %"),
            (3, ""),
            (0, ""),
        ] {
            assert_eq!(said(columns), expected, "{columns} columns");
        }
    }
}
