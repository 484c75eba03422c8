//! Runs a random graph, on either clock, and judges what came of it.

use std::{
    fmt,
    sync::mpsc,
    time::{Duration, Instant},
};

use levada_engine::{Ended, Engine, EngineConfig, NodeError, Rest, Session, VirtualEngine};

use super::{
    check::{check, check_refused},
    feed::{Feed, Step},
    ledger::{Ledger, lock},
    spec::{Ending, Spec},
};

/// After this time a session on threads that should have ended hangs. Nobody waits for it elsewhere.
const HANGS: Duration = Duration::from_secs(60);
/// Virtual time that no graph needs to end: 200 frames at the slowest pace take 80 ms.
const TOO_LONG: Duration = Duration::from_millis(200);

/// What a graph's run came to.
#[derive(Debug)]
pub enum Verdict {
    /// All held. What a run on a virtual clock repeats: the calls in their order, and the report.
    Right {
        trace: u64,
        report: String,
        /// Frames that went into links.
        frames: u64,
        /// A node failed, as it was told to.
        failed: bool,
    },
    /// The engine refused the graph, as it should.
    Refused,
    /// What did not hold.
    Wrong(Vec<String>),
    /// The session did not end.
    Hung {
        state: String,
        /// It kept threads.
        on_threads: bool,
    },
}

impl Verdict {
    fn of(session: u64, spec: &Spec, ledger: &Ledger, ended: &Ended) -> Verdict {
        Ledger::close(session);
        let wrong = check(spec, ledger, ended);
        if wrong.is_empty() {
            let report = format!("{:?} {:?}", ended.report, ended.error);
            return Verdict::Right {
                trace: ledger.trace(),
                report,
                frames: ended.report.links.iter().map(|link| link.frames).sum(),
                failed: ended.error.is_some(),
            };
        }
        Verdict::Wrong(wrong)
    }

    fn of_refusal(session: u64, spec: &Spec, ledger: &Ledger, error: &NodeError) -> Verdict {
        Ledger::close(session);
        lock(&ledger.feeds).clear();
        let mut wrong = check_refused(ledger);
        let told = |fault: &str| ["create", "start"].contains(&fault);
        if !spec.nodes.iter().any(|node| told(node.fault())) {
            wrong.push(format!("it did not start: {error}"));
        }
        if wrong.is_empty() {
            return Verdict::Refused;
        }
        Verdict::Wrong(wrong)
    }

    /// Whether finding this out again takes long.
    pub fn is_costly(&self) -> bool {
        matches!(
            self,
            Verdict::Hung {
                on_threads: true,
                ..
            }
        )
    }

    /// Whether all is as it should be.
    pub fn is_right(&self) -> bool {
        matches!(self, Verdict::Right { .. } | Verdict::Refused)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Right { .. } => f.write_str("all held"),
            Verdict::Refused => f.write_str("refused"),
            Verdict::Wrong(wrong) => f.write_str(&wrong.join("\n")),
            Verdict::Hung { state, .. } => write!(f, "it did not end: {state}"),
        }
    }
}

/// Steps every feed; returns whether one is full.
fn feed(feeds: &mut Vec<Feed>) -> bool {
    let mut full = false;
    feeds.retain_mut(|feed| {
        let step = feed.step();
        full |= step == Step::Full;
        step != Step::Done
    });
    full
}

/// Runs a graph on a virtual clock.
pub fn on_virtual_clock(spec: &Spec) -> Verdict {
    let Some(plan) = spec.plan(false) else {
        return Verdict::Refused;
    };
    let mut engine = VirtualEngine::new(&EngineConfig::default(), spec.seed);
    let id = engine.engine().reserve_session();
    let ledger = Ledger::open(id, spec.nodes.len());
    let (tell, told) = mpsc::sync_channel(1);
    let started = engine.engine().start_reserved(id, &plan, move |ended| {
        let _ = tell.send(ended);
    });
    let session = match started {
        Ok(session) => session,
        Err(error) => return Verdict::of_refusal(id, spec, &ledger, &error),
    };
    let mut feeds = std::mem::take(&mut *lock(&ledger.feeds));
    let moment = match spec.ending {
        Ending::Natural => u64::MAX,
        Ending::Stop(us) | Ending::Abort(us) => us,
    };
    // Slices of time that differ, so that frames are handed in while nodes rest and while they work.
    let mut slice = 1 + spec.seed % 7;
    while !feeds.is_empty() && (engine.engine().now_ns() as u64) < moment.saturating_mul(1000) {
        let full = feed(&mut feeds);
        let rest = engine.drive_for(Duration::from_micros(slice));
        slice = slice % 37 + 5;
        if full && rest == Rest::Idle && feed(&mut feeds) {
            // Nothing moves any more, and still there is no room.
            return hung(&session, false, "a source finds no room in a graph at rest");
        }
        if rest == Rest::Idle && feeds.is_empty() {
            break;
        }
    }
    let now = engine.engine().now_ns() as u64 / 1000;
    engine.drive_for(Duration::from_micros(moment.saturating_sub(now)).min(TOO_LONG));
    match spec.ending {
        Ending::Natural => {}
        Ending::Stop(_) => session.stop(),
        Ending::Abort(_) => session.abort(),
    }
    let rest = engine.drive_for(TOO_LONG);
    feeds.clear();
    match (told.try_recv(), rest) {
        (Ok(ended), _) => {
            drop(session);
            Verdict::of(id, spec, &ledger, &ended)
        }
        (Err(_), Rest::Idle) => hung(&session, false, "nothing is left to do"),
        (Err(_), Rest::Elapsed) => hung(&session, false, "it goes on and on"),
    }
}

/// Runs a graph on threads.
pub fn on_threads(spec: &Spec) -> Verdict {
    let config = EngineConfig {
        workers: spec.workers,
        blocking: spec.blocking,
        audio_lane: spec.lane,
        ..EngineConfig::default()
    };
    let engine = Engine::start(&config).expect("the system has threads left");
    let verdict = on_engine(&engine, spec);
    if verdict.is_costly() {
        // Its threads cannot be joined.
        std::mem::forget(engine);
    }
    verdict
}

/// As [`on_threads`], on an engine that others use too.
pub fn on_engine(engine: &Engine, spec: &Spec) -> Verdict {
    let Some(plan) = spec.plan(true) else {
        return Verdict::Refused;
    };
    let id = engine.reserve_session();
    let ledger = Ledger::open(id, spec.nodes.len());
    let (tell, told) = mpsc::sync_channel(1);
    let started = engine.start_reserved(id, &plan, move |ended| {
        let _ = tell.send(ended);
    });
    let session = match started {
        Ok(session) => session,
        Err(error) => return Verdict::of_refusal(id, spec, &ledger, &error),
    };
    let began = Instant::now();
    let ended = match spec.ending {
        Ending::Natural => told.recv_timeout(HANGS),
        Ending::Stop(us) | Ending::Abort(us) => {
            told.recv_timeout(Duration::from_micros(us)).or_else(|_| {
                match spec.ending {
                    Ending::Abort(_) => session.abort(),
                    _ => session.stop(),
                }
                told.recv_timeout(HANGS)
            })
        }
    };
    match ended {
        Ok(ended) => Verdict::of(id, spec, &ledger, &ended),
        Err(_) => hung(&session, true, &format!("after {:?}", began.elapsed())),
    }
}

fn hung(session: &Session, on_threads: bool, why: &str) -> Verdict {
    let state = format!(
        "{why}; open sources: {:?}; {:#?}",
        session.open_sources(),
        session.report()
    );
    Verdict::Hung { state, on_threads }
}
