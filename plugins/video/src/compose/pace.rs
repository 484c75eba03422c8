//! [`Pace`]: which input's pictures let the canvas out, and at what times.
//!
//! The pace is that of the highest linked input that has not ended and has not been silent for [`PATIENCE_NS`]. One that
//! never brought anything has been silent since the first picture of any input; before that nobody can say.
//!
//! Times are those of the input that sets the pace. Another one may have times of its own, which say nothing on this
//! timeline: where it takes over, its times are moved so that the output goes on by as much as has passed, and they stay
//! moved by that. Times that go on from where the output is belong to the same timeline, and stay as they are. So the
//! output's times never go back, also where those of one input do.

/// How long an input may be silent before others set the pace.
pub(super) const PATIENCE_NS: i64 = 200_000_000;
/// How far times of one timeline may lie before what went out last: pictures of several inputs, on their way here.
const LATE_NS: i64 = 100_000_000;
/// How far they may lie after it, where another input takes over.
const AHEAD_NS: i64 = 1_000_000_000;
/// The least from one picture to the next where times are late: receivers take pictures of one time for one.
const STEP_NS: i64 = 1_000_000;

struct Input {
    port: usize,
    /// When its last picture came.
    heard: Option<i64>,
    has_ended: bool,
    /// What is added to its times.
    offset: i64,
}

/// A picture that went out: of which input, its time and duration, and when that was.
struct Shown {
    port: usize,
    pts: i64,
    duration: i64,
    now: i64,
}

pub(super) struct Pace {
    inputs: Vec<Input>,
    /// When the first picture of any input came.
    began: Option<i64>,
    last: Option<Shown>,
}

impl Pace {
    /// The pace of these inputs, in order.
    pub fn new(ports: &[usize]) -> Pace {
        let input = |port: &usize| Input {
            port: *port,
            heard: None,
            has_ended: false,
            offset: 0,
        };
        Pace {
            inputs: ports.iter().map(input).collect(),
            began: None,
            last: None,
        }
    }

    /// The input that sets the pace; `None` when all are silent or have ended.
    fn setter(&self, now: i64) -> Option<&Input> {
        let is_heard = |input: &&Input| {
            let since = input.heard.or(self.began).unwrap_or(now);
            !input.has_ended && now.saturating_sub(since) < PATIENCE_NS
        };
        self.inputs.iter().rev().find(is_heard)
    }

    /// Whether what an input says of times to come holds of those that go out. It says so when it is silent.
    pub fn speaks_for_all(&self, port: usize) -> bool {
        let running = self.inputs.iter().rev().find(|input| !input.has_ended);
        running.is_some_and(|input| input.port == port && input.offset == 0)
    }

    pub fn end(&mut self, port: usize) {
        let ended = self.inputs.iter_mut().find(|input| input.port == port);
        ended.into_iter().for_each(|input| input.has_ended = true);
    }

    /// A picture of this input has come: its time on the output's timeline, or `None` where it sets no pace.
    pub fn picture(&mut self, port: usize, pts: i64, duration: i64, now: i64) -> Option<i64> {
        self.began.get_or_insert(now);
        let at = self.inputs.iter().position(|input| input.port == port)?;
        self.inputs[at].heard = Some(now);
        if self.setter(now)?.port != port {
            return None;
        }
        let offset = &mut self.inputs[at].offset;
        let own = pts.saturating_add(*offset);
        let pts = match &self.last {
            None => own,
            Some(last) => {
                let ahead = own.saturating_sub(last.pts);
                let goes_on = ahead >= 0 && last.port == port;
                if goes_on || (1..=AHEAD_NS).contains(&ahead) {
                    own
                } else if (-LATE_NS..=0).contains(&ahead) {
                    last.pts.saturating_add(STEP_NS)
                } else {
                    let passed = now.saturating_sub(last.now).max(last.duration);
                    let moved = last.pts.saturating_add(passed.max(STEP_NS));
                    *offset = moved.saturating_sub(pts);
                    moved
                }
            }
        };
        self.last = Some(Shown {
            port,
            pts,
            duration,
            now,
        });
        Some(pts)
    }
}
