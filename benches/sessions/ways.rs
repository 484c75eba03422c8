//! Ways to run many sessions on one thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use levada_engine::{
    Ended, Engine, EngineConfig, Session, clock,
    graph::{GraphBuilder, Plan},
};
use tokio::{runtime::Runtime, time};

use super::nodes::{self, Beat, PERIOD_NS, Tally, schedule};
use crate::support::{Pass, arrivals::sleep_until, plan_with, raw::RawChain};

/// Sessions that run until this is dropped, which makes sure that they did what they should.
pub trait Way {
    /// Adds the sessions.
    fn add(&mut self, sessions: u64);

    /// Adds one more session and removes it, and returns how long each took; `None` where that is no
    /// question.
    fn come_and_go(&mut self) -> Option<(Duration, Duration)> {
        None
    }
}

pub const NAMES: [&str; 4] = ["raw", "raw, at once", "levada", "tokio"];

/// The way of this name, ready for sessions.
pub fn way(name: &str, sessions: u64) -> Box<dyn Way> {
    match name {
        // Both are limits. Of 10,000 sessions one is due every 2 us, and a thread that sleeps until
        // then pays for a wake-up every few sessions; one that looks each ms does not, as tokio's
        // timer does not.
        "raw" => Box::new(Raw::new(sessions, 1_000_000)),
        "raw, at once" => Box::new(Raw::new(sessions, 1)),
        "levada" => Box::new(Levada::new(sessions)),
        "tokio" => Box::new(Tasks::new()),
        other => panic!("no way is called {other}"),
    }
}

/// The nodes' own functions, called by a thread that knows when each session is due.
struct Raw {
    chains: Vec<RawChain>,
    /// The thread wakes at multiples of this.
    step_ns: i64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Raw {
    fn new(sessions: u64, step_ns: i64) -> Raw {
        Raw {
            chains: Vec::with_capacity(sessions as usize),
            step_ns,
            stop: Arc::default(),
            thread: None,
        }
    }
}

impl Way for Raw {
    fn add(&mut self, sessions: u64) {
        let types = ["beat", "pass", "pass", "tally"];
        self.chains
            .push(RawChain::new(&nodes::plugin_with_pass(), &types));
        for _ in 1..sessions {
            self.chains.push(self.chains[0].another());
        }
        let (mut chains, stop) = (std::mem::take(&mut self.chains), self.stop.clone());
        let step = self.step_ns;
        self.thread = Some(thread::spawn(move || {
            let (schedule, mut made) = (schedule(), Vec::with_capacity(1));
            let mut next = 0;
            while !stop.load(Ordering::Relaxed) {
                sleep_until((schedule.due(next) + step - 1) / step * step);
                let now = clock::now_ns();
                while schedule.due(next) <= now {
                    chains[(next % sessions) as usize].tick_and_run(&mut made);
                    next += 1;
                }
            }
        }));
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "a node failed");
        }
    }
}

/// The engine with one worker.
struct Levada {
    engine: Engine,
    plan: Arc<Plan>,
    sessions: Vec<Arc<Session>>,
    ended: Arc<AtomicU64>,
    /// Of those that ended.
    whole: Arc<AtomicU64>,
    all_ended: mpsc::Receiver<()>,
    tell: mpsc::SyncSender<()>,
}

/// Whether no node failed and no frame got lost.
fn is_whole(end: &Ended) -> bool {
    end.error.is_none() && end.report.links.iter().all(|link| link.dropped == 0)
}

impl Levada {
    fn new(sessions: u64) -> Levada {
        let mut graph = GraphBuilder::new("voice");
        for (name, node) in [
            ("beat", "beat"),
            ("a", "pass"),
            ("b", "pass"),
            ("tally", "tally"),
        ] {
            graph.node(name, node);
        }
        graph.link("beat -> a -> b -> tally");
        let config = EngineConfig {
            workers: 1,
            blocking: 1,
            ..EngineConfig::default()
        };
        let (tell, all_ended) = mpsc::sync_channel(1);
        Levada {
            engine: Engine::start(&config).expect("the system has threads"),
            plan: plan_with(&graph, &[nodes::plugin()]),
            sessions: Vec::with_capacity(sessions as usize),
            ended: Arc::default(),
            whole: Arc::default(),
            all_ended,
            tell,
        }
    }
}

impl Way for Levada {
    fn add(&mut self, sessions: u64) {
        for _ in 0..sessions {
            let (ended, whole) = (self.ended.clone(), self.whole.clone());
            let tell = self.tell.clone();
            // It runs on a thread of the engine's, where a failed assertion would end nothing.
            let session = self.engine.start_session(&self.plan, move |end| {
                whole.fetch_add(u64::from(is_whole(&end)), Ordering::Relaxed);
                // AcqRel: the last to end sees what the others counted.
                if ended.fetch_add(1, Ordering::AcqRel) + 1 == sessions {
                    let _ = tell.send(());
                }
            });
            self.sessions.push(session.expect("the nodes start"));
        }
    }

    fn come_and_go(&mut self) -> Option<(Duration, Duration)> {
        let (tell, ended) = mpsc::sync_channel(1);
        let begin = Instant::now();
        let session = self.engine.start_session(&self.plan, move |end| {
            let _ = tell.send(is_whole(&end));
        });
        let session = session.expect("the nodes start");
        let came = begin.elapsed();
        let begin = Instant::now();
        session.stop();
        drop(session);
        assert!(ended.recv().expect("a session ends once"));
        Some((came, begin.elapsed()))
    }
}

impl Drop for Levada {
    fn drop(&mut self) {
        self.sessions.iter().for_each(Session::stop);
        if !self.sessions.is_empty() {
            self.all_ended.recv().expect("this is the other end");
            let whole = self.whole.load(Ordering::Relaxed);
            assert_eq!(whole, self.sessions.len() as u64, "sessions lost frames");
        }
    }
}

/// A task a session on one worker; a task does what four nodes do.
struct Tasks(Runtime);

impl Tasks {
    fn new() -> Tasks {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build();
        Tasks(runtime.expect("the system has threads"))
    }
}

impl Way for Tasks {
    fn add(&mut self, sessions: u64) {
        for _ in 0..sessions {
            let (mut beat, mut tally) = (Beat::next(), Tally::next());
            self.0.spawn(async move {
                let (mut a, mut b) = (Pass::default(), Pass::default());
                let due_in = (beat.due_ns() - clock::now_ns()).max(0).unsigned_abs();
                let period = Duration::from_nanos(PERIOD_NS as u64);
                let first = time::Instant::now() + Duration::from_nanos(due_in);
                let mut interval = time::interval_at(first, period);
                loop {
                    interval.tick().await;
                    let block = beat.block();
                    a.look(block.pts());
                    b.look(block.pts());
                    tally.take(block);
                }
            });
        }
    }
}
