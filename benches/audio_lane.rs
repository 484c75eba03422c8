//! Is sound on time while all cores are busy?
//!
//! Four audio sessions, each a source that the host's timer calls every 10 ms, two light nodes and a
//! sink, beside eight heavy nodes that each work for 1 ms a frame and always have a next frame. A block's
//! age in the sink is counted from the time it was due. Compared with a thread that sleeps until a block
//! is due and calls the same nodes' functions, ordinary and with the real-time class SCHED_FIFO where the
//! system allows it, and with tokio, where blocks and background are tasks.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hdrhistogram::Histogram;
use levada_engine::{
    Engine, EngineConfig, clock,
    graph::{GraphBuilder, Policy},
};
use levada_plugin::{Plugin, prelude::*};
use support::{
    AUDIO, Pass, Payloads, Running,
    arrivals::{collect, histogram, sleep_until},
    nodes::Arrive,
    plan_with, pool,
    raw::RawChain,
    table::{self, cell, median},
};
use tokio::time;

const SESSIONS: i64 = 4;
const PERIOD_NS: i64 = 10_000_000;
const TASKS: usize = 8;
const WORK_NS: i64 = 1_000_000;
const ROUNDS: usize = 3;

/// How the engine is set up that is measured: the one place that decides which threads run sound.
fn config() -> EngineConfig {
    EngineConfig::default()
}

/// Makes a block of sound every 10 ms, stamped with the time it is due.
struct Tone {
    payloads: Payloads,
    due_ns: i64,
}

impl Node for Tone {
    const NAME: &'static str = "tone";
    const SUMMARY: &'static str = "Makes a block of sound every 10 ms";
    const PORTS: &'static [Port] = &[Port::output("out").formats("audio/f32")];
    const PARAMS: &'static [Param] =
        &[Param::integer("begin", 0).help("when the first block is due, in ns")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Tone {
            payloads: Payloads::new(pool(), AUDIO),
            due_ns: config.integer("begin")?,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake_at(self.due_ns);
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let block = self.payloads.next().with_pts(self.due_ns);
        self.due_ns += PERIOD_NS;
        ctx.wake_at(self.due_ns);
        ctx.emit(0, block)
    }
}

/// Works for 1 ms.
fn work() {
    let end = clock::now_ns() + WORK_NS;
    while clock::now_ns() < end {
        std::hint::spin_loop();
    }
}

/// Works for 1 ms a frame.
struct Heavy;

impl Node for Heavy {
    const NAME: &'static str = "heavy";
    const SUMMARY: &'static str = "Works for 1 ms a frame";
    const PORTS: &'static [Port] = &[Port::input("in")];
    const COST: Cost = Cost::Heavy;

    fn create(_config: &Config) -> Result<Self> {
        Ok(Heavy)
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        frames.drain().for_each(|_| work());
        Ok(())
    }
}

fn types() -> Plugin {
    Builtin::new("audio-lane", "0.0.0")
        .with::<Tone>()
        .with::<Heavy>()
        .into_plugin()
}

/// Eight sessions that always have something to do, in the engine.
fn background(engine: &Engine) -> Vec<Running> {
    let mut graph = GraphBuilder::new("background");
    graph
        .node("pump", "pump")
        .param("count", 1_000_000_000_000_i64)
        .param("batch", 1);
    graph.node("heavy", "heavy");
    // One call of the source may make a batch, and room for that much is asked for.
    graph.link_with("pump -> heavy", Some(Policy::Block), Some(support::BATCH));
    let plan = plan_with(&graph, &[types()]);
    (0..TASKS).map(|_| Running::start(engine, &plan)).collect()
}

/// When the first block of a session is due, from `now`.
fn begin(session: i64, now: i64) -> i64 {
    now + PERIOD_NS + session * PERIOD_NS / SESSIONS
}

/// The ages of the blocks that arrive while this thread waits.
fn listen() -> Histogram<u64> {
    let (settle, window) = if table::is_short() {
        (Duration::ZERO, Duration::from_millis(40))
    } else {
        (Duration::from_millis(300), Duration::from_secs(2))
    };
    thread::sleep(settle);
    collect(0);
    thread::sleep(window);
    collect(1)
}

fn levada(with_background: bool) -> Histogram<u64> {
    let engine = Engine::start(&config()).expect("the system has threads");
    let mut running = if with_background {
        background(&engine)
    } else {
        vec![]
    };
    let now = clock::now_ns();
    for session in 0..SESSIONS {
        let mut graph = GraphBuilder::new("voice");
        graph
            .node("tone", "tone")
            .param("begin", begin(session, now));
        graph.node("a", "pass");
        graph.node("b", "pass");
        graph.node("arrive", "arrive");
        graph.link("tone -> a -> b -> arrive");
        running.push(Running::start(&engine, &plan_with(&graph, &[types()])));
    }
    let ages = listen();
    running.into_iter().rev().for_each(|session| {
        session.stop();
    });
    ages
}

/// Makes this thread a real-time one, and returns whether the system allowed it.
#[cfg(target_os = "linux")]
fn become_real_time() -> bool {
    let wanted = libc::sched_param { sched_priority: 10 };
    // SAFETY: the parameter is valid for the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const wanted) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn become_real_time() -> bool {
    false
}

/// A thread of its own for all sessions, beside the engine's background.
fn raw(real_time: bool) -> Histogram<u64> {
    let engine = Engine::start(&EngineConfig::default()).expect("the system has threads");
    let background = background(&engine);
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, now) = (stop.clone(), clock::now_ns());
    let thread = thread::spawn(move || {
        assert!(!real_time || become_real_time(), "it was allowed before");
        let plugin = Builtin::new("audio-lane", "0.0.0")
            .with::<Tone>()
            .with::<Pass>()
            .with::<Arrive>()
            .into_plugin();
        let types = ["tone", "pass", "pass", "arrive"];
        let mut chains: Vec<_> = (0..SESSIONS)
            .map(|session| {
                let begin = [("begin", begin(session, now))];
                RawChain::with_params(&plugin, &types, &begin)
            })
            .collect();
        let (mut made, mut block) = (Vec::with_capacity(1), 0);
        while !stopped.load(Ordering::Relaxed) {
            sleep_until(begin(block, now));
            chains[(block % SESSIONS) as usize].tick_and_run(&mut made);
            block += 1;
        }
    });
    let ages = listen();
    stop.store(true, Ordering::Relaxed);
    assert!(thread.join().is_ok(), "a node failed");
    background.into_iter().for_each(|session| {
        session.stop();
    });
    ages
}

/// Blocks and background as tasks.
fn tasks() -> Histogram<u64> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("the system has threads");
    for _ in 0..TASKS {
        runtime.spawn(async {
            loop {
                work();
                tokio::task::yield_now().await;
            }
        });
    }
    let now = clock::now_ns();
    for session in 0..SESSIONS {
        runtime.spawn(async move {
            let (mut a, mut b) = (Pass::default(), Pass::default());
            let mut payloads = Payloads::new(pool(), AUDIO);
            let mut due = begin(session, now);
            let wait = (due - clock::now_ns()).max(0).unsigned_abs();
            let first = time::Instant::now() + Duration::from_nanos(wait);
            let mut interval = time::interval_at(first, Duration::from_nanos(PERIOD_NS as u64));
            loop {
                interval.tick().await;
                let block = payloads.next().with_pts(due);
                due += PERIOD_NS;
                a.look(block.pts());
                b.look(block.pts());
                Arrive::take(block);
            }
        });
    }
    listen()
}

type Way = (&'static str, fn() -> Histogram<u64>);

fn row(name: &str, rounds: &[Histogram<u64>]) -> Vec<String> {
    let mut all = histogram();
    for ages in rounds {
        all.add(ages).expect("they have the same bounds");
    }
    let us = |quantile| {
        let rounds = rounds.iter().map(|ages| ages.value_at_quantile(quantile));
        cell(median(rounds.map(|ns| ns as f64 / 1e3).collect()), "")
    };
    vec![
        name.to_owned(),
        us(0.5),
        us(0.99),
        cell(all.max() as f64 / 1e3, ""),
    ]
}

fn main() {
    if !table::is_wanted() {
        return;
    }
    let allowed = thread::spawn(become_real_time).join().unwrap_or(false);
    let mut ways: Vec<Way> = vec![
        ("levada", || levada(true)),
        ("levada, nothing beside it", || levada(false)),
        ("thread", || raw(false)),
        ("tokio", tasks),
    ];
    if allowed {
        ways.push(("thread, SCHED_FIFO", || raw(true)));
    }
    let rounds = if table::is_short() { 1 } else { ROUNDS };
    let mut found = vec![vec![]; ways.len()];
    for _ in 0..rounds {
        for ((_, run), found) in ways.iter().zip(&mut found) {
            found.push(run());
            // What came after the window belongs to no other way.
            collect(0);
        }
    }
    let rows: Vec<_> = ways
        .iter()
        .zip(&found)
        .map(|(way, f)| row(way.0, f))
        .collect();
    let fifo = if allowed { "allowed" } else { "not allowed" };
    table::print(
        &format!("us from a block's time to the sink, all cores busy; SCHED_FIFO is {fifo} here"),
        &["way", "p50", "p99", "max"],
        &rows,
    );
}
