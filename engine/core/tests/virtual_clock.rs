//! On a virtual clock a run repeats by its seed, and takes no more time than its nodes work.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::ThreadId,
    time::Duration,
};

use levada_engine::{
    Ended, Engine, EngineConfig, Rest, Session, VirtualEngine,
    graph::{GraphBuilder, Plan, Policy},
    plugin::Registry,
};
use levada_plugin::{Refused, prelude::*};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call of a node: who, what came or went, and when.
type Call = (String, &'static str, Vec<i64>, i64);

/// What the nodes of each session did, by session.
static CALLS: Mutex<Option<HashMap<u64, Vec<Call>>>> = Mutex::new(None);

/// Writes a node's calls down.
struct Diary {
    session: u64,
    name: String,
    host: Host,
}

impl Diary {
    fn new(config: &Config) -> Diary {
        Diary {
            session: config.session(),
            name: config.name().to_owned(),
            host: config.host(),
        }
    }

    fn note(&self, what: &'static str, pts: impl Iterator<Item = i64>) {
        let call = (self.name.clone(), what, pts.collect(), self.host.now());
        let mut calls = lock(&CALLS);
        let calls = calls.get_or_insert_default();
        calls.entry(self.session).or_default().push(call);
    }
}

fn calls_of(session: &Session) -> Vec<Call> {
    let mut calls = lock(&CALLS);
    calls
        .get_or_insert_default()
        .remove(&session.id())
        .unwrap_or_default()
}

fn frame(pts: i64) -> Frame {
    Frame::from_bytes(Kind::Data, "frame".into()).with_pts(pts)
}

/// Emits a frame each `period` us, or, when that is 0, as fast as it is called.
struct Paced {
    diary: Diary,
    period: i64,
    count: i64,
    next: i64,
    start: i64,
}

impl Node for Paced {
    const NAME: &'static str = "paced";
    const SUMMARY: &'static str = "Emits frames at a pace";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = &[
        Param::integer("period", 20_000),
        Param::integer("count", i64::MAX),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Paced {
            diary: Diary::new(config),
            period: config.integer("period")? * 1000,
            count: config.integer("count")?,
            next: 0,
            start: 0,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        self.start = ctx.now();
        ctx.wake_at(self.start);
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        self.diary.note("tick", std::iter::once(self.next));
        ctx.emit(0, frame(self.next))?;
        self.next += 1;
        if self.next == self.count {
            ctx.finish();
        } else if self.period == 0 {
            ctx.wake();
        } else {
            ctx.wake_at(self.start + self.next * self.period);
        }
        Ok(())
    }
}

/// Lets frames pass.
struct Work<const COST: usize>(Diary);

impl<const COST: usize> Node for Work<COST> {
    const NAME: &'static str = ["light", "heavy", "blocking"][COST];
    const SUMMARY: &'static str = "Lets frames pass";
    const PORTS: &'static [Port] = &[
        Port::input("in").forwards_to(2),
        Port::optional_input("also").forwards_to(2),
        Port::output("out"),
    ];
    const COST: Cost = [Cost::Light, Cost::Heavy, Cost::Blocking][COST];

    fn create(config: &Config) -> Result<Self> {
        Ok(Work(Diary::new(config)))
    }

    fn process(&mut self, port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        let what = ["in", "also"][port];
        self.0
            .note(what, frames.iter_mut().map(|frame| frame.pts()));
        let mut threads = lock(&THREADS);
        threads.push((self.0.session, std::thread::current().id()));
        Ok(())
    }
}

/// Which threads ran the work of which session.
static THREADS: Mutex<Vec<(u64, ThreadId)>> = Mutex::new(Vec::new());

/// What the engine answered to a thread of the node's own.
static ANSWERS: Mutex<Option<mpsc::Sender<Option<Refused>>>> = Mutex::new(None);

/// Hands a frame in from a thread of its own.
struct Threaded(Host);

impl Node for Threaded {
    const NAME: &'static str = "threaded";
    const SUMMARY: &'static str = "Hands a frame in from a thread of its own";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const LIVE: bool = true;

    fn create(config: &Config) -> Result<Self> {
        Ok(Threaded(config.host()))
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        let host = self.0;
        std::thread::spawn(move || {
            let answer = host.ingest(0, frame(0)).err().map(|(_, why)| why);
            host.wake();
            host.wake_at(0);
            host.finish();
            if let Some(answers) = &*lock(&ANSWERS) {
                let _ = answers.send(answer);
            }
        });
        Ok(())
    }
}

/// Belongs to a peer.
struct OfPeer;

impl Node for OfPeer {
    const NAME: &'static str = "of-peer";
    const SUMMARY: &'static str = "Belongs to a peer";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PEER: bool = true;

    fn create(_config: &Config) -> Result<Self> {
        Ok(OfPeer)
    }
}

fn plan(graph: &GraphBuilder) -> Arc<Plan> {
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Paced>()
        .with::<Work<0>>()
        .with::<Work<1>>()
        .with::<Work<2>>()
        .with::<Threaded>()
        .with::<OfPeer>()
        .into_plugin();
    let mut registry = Registry::default();
    assert!(registry.add(&plugin).is_empty());
    let graph = graph
        .build(&registry)
        .unwrap_or_else(|problems| panic!("{problems}"));
    Arc::new(Plan::new(graph, &registry).expect("the registry has all types"))
}

fn engine(seed: u64) -> VirtualEngine {
    VirtualEngine::new(&EngineConfig::default(), seed)
}

fn start(engine: &mut VirtualEngine, plan: &Arc<Plan>) -> (Arc<Session>, mpsc::Receiver<Ended>) {
    let (tell, told) = mpsc::channel();
    let session = engine.start_session(plan, move |ended| drop(tell.send(ended)));
    (session.unwrap_or_else(|error| panic!("{error}")), told)
}

/// Two paces, every class, a join.
fn busy() -> Arc<Plan> {
    let mut graph = GraphBuilder::new("busy");
    graph
        .node("fast", "paced")
        .param("period", 700)
        .param("count", 2000);
    graph
        .node("flood", "paced")
        .param("period", 0)
        .param("count", 2000);
    graph.node("a", "heavy");
    graph.node("b", "blocking");
    graph.node("join", "heavy");
    graph.node("end", "light");
    graph.link("fast -> a.in");
    graph.link("a -> join.in");
    graph.link_with("flood -> b.in", Some(Policy::DropOldest), Some(2));
    graph.link("b -> join.also");
    graph.link("join -> end.in");
    plan(&graph)
}

fn run_busy(seed: u64) -> (Vec<Call>, Ended) {
    let mut engine = engine(seed);
    let (session, told) = start(&mut engine, &busy());
    assert_eq!(engine.drive(), Rest::Idle);
    let ended = told.try_recv().expect("both sources finished");
    (calls_of(&session), ended)
}

#[test]
fn a_seed_repeats_a_run_call_by_call_and_another_makes_another_run() {
    for seed in [0, 7, u64::MAX] {
        let ((calls, ended), (again, ended_again)) = (run_busy(seed), run_busy(seed));
        assert!(calls.len() > 4000);
        assert_eq!(calls, again);
        assert_eq!(ended.report, ended_again.report);
        assert_ne!(calls, run_busy(seed ^ 1).0);
    }
}

#[test]
fn an_hour_passes_as_fast_as_the_nodes_work_and_every_call_comes_at_its_time() {
    let mut graph = GraphBuilder::new("paced");
    graph.node("source", "paced");
    graph.node("sink", "light");
    graph.link("source -> sink.in");
    let mut engine = engine(1);
    let (session, told) = start(&mut engine, &plan(&graph));
    assert_eq!(engine.drive_for(Duration::from_secs(3600)), Rest::Elapsed);
    session.stop();
    assert_eq!(engine.drive(), Rest::Idle);
    let report = told.try_recv().expect("it was stopped").report;
    assert_eq!(report.links[0].frames, 3600 * 50);
    assert!((3600.0..3600.001).contains(&report.seconds));
    for (at, (name, _, pts, now)) in calls_of(&session).iter().enumerate() {
        // Tick and sink take turns.
        let due = at as i64 / 2 * 20_000_000;
        assert_eq!((pts[0], *now), (at as i64 / 2, due), "{name}");
    }
}

#[test]
fn a_graph_that_never_waits_cannot_keep_time_from_passing() {
    let mut graph = GraphBuilder::new("flood");
    graph.node("source", "paced").param("period", 0);
    graph.node("sink", "heavy");
    graph.link("source -> sink.in");
    let mut engine = engine(2);
    let (session, told) = start(&mut engine, &plan(&graph));
    assert_eq!(engine.drive_for(Duration::from_millis(2)), Rest::Elapsed);
    assert!(engine.engine().now_ns() >= 2_000_000);
    session.stop();
    engine.drive();
    let report = told.try_recv().expect("it was stopped").report;
    assert!(report.links[0].frames > 100 && report.links[0].dropped == 0);
}

#[test]
fn the_sources_of_a_held_session_begin_when_it_is_released_or_end_when_it_is_stopped() {
    for (period, is_released) in [(0, true), (700, true), (0, false), (700, false)] {
        let mut graph = GraphBuilder::new("held");
        graph
            .node("source", "paced")
            .param("period", period)
            .param("count", 100);
        graph.node("sink", "heavy");
        graph.link("source -> sink.in");
        let mut engine = engine(11);
        let (tell, told) = mpsc::channel();
        let id = engine.engine().reserve_session();
        let tell = move |ended| drop(tell.send(ended));
        let session = engine.engine().start_held(id, &plan(&graph), tell);
        let session = session.unwrap_or_else(|error| panic!("{error}"));
        engine.drive_for(Duration::from_secs(1));
        assert_eq!(session.report().links[0].frames, 0, "nothing comes before");
        if is_released {
            session.release();
        } else {
            session.stop();
        }
        engine.drive();
        let report = told.try_recv().expect("the source ended").report;
        let frames = if is_released { 100 } else { 0 };
        assert_eq!(
            (report.links[0].frames, report.links[0].dropped),
            (frames, 0)
        );
    }
}

#[test]
fn time_passes_where_nothing_is_left_to_do() {
    let mut engine = engine(10);
    let jobs = Arc::new(AtomicUsize::new(0));
    let counted = jobs.clone();
    let every = engine.engine().every(Duration::from_millis(1), move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    assert!(every.is_ok());
    assert_eq!(engine.drive_for(Duration::from_millis(5)), Rest::Idle);
    assert_eq!(engine.drive_for(Duration::from_millis(2)), Rest::Idle);
    assert_eq!(jobs.load(Ordering::Relaxed), 6, "the seventh is due now");
    assert_eq!(engine.drive(), Rest::Idle, "without a limit none passes");
    assert_eq!(engine.engine().now_ns(), 7_000_000);
    assert_eq!(jobs.load(Ordering::Relaxed), 7);
}

#[test]
fn all_nodes_run_on_the_thread_that_drives() {
    let mut engine = engine(3);
    let (session, _told) = start(&mut engine, &busy());
    let driving = std::thread::spawn(move || {
        engine.drive();
        std::thread::current().id()
    });
    let driving = driving.join().expect("no panic");
    let threads = lock(&THREADS);
    let mut of_session = threads.iter().filter(|(id, _)| *id == session.id());
    assert!(of_session.clone().count() > 0 && of_session.all(|(_, thread)| *thread == driving));
}

#[test]
fn what_a_thread_of_a_nodes_own_asks_for_is_refused() {
    let (tell, told) = mpsc::channel();
    *lock(&ANSWERS) = Some(tell);
    let mut graph = GraphBuilder::new("threaded");
    graph.node("source", "threaded");
    graph.node("sink", "light");
    graph.link("source -> sink.in");
    let mut engine = engine(4);
    let (session, _told) = start(&mut engine, &plan(&graph));
    assert_eq!(told.recv(), Ok(Some(Refused::Invalid)));
    // Neither its wish to be called nor its end was taken.
    assert_eq!(engine.drive(), Rest::Idle);
    assert_eq!(session.report().links[0].frames, 0);
    assert_eq!(session.open_sources(), ["source"]);
}

#[test]
fn a_node_that_belongs_to_a_peer_is_refused_by_name() {
    let mut graph = GraphBuilder::new("peers");
    graph.node("source", "of-peer");
    graph.node("sink", "light");
    graph.link("source -> sink.in");
    let refused = engine(5).start_session(&plan(&graph), |_| ()).err();
    let refused = refused.expect("peers have a network").to_string();
    assert!(
        refused.contains("\"source\"") && refused.contains("with the real clock"),
        "{refused}"
    );
}

#[test]
fn a_session_that_ends_may_start_the_next_one() {
    let mut graph = GraphBuilder::new("next");
    graph.node("source", "paced").param("count", 10);
    graph.node("sink", "light");
    graph.link("source -> sink.in");
    let plan = plan(&graph);
    let mut driven = engine(6);
    let (again, next) = (plan.clone(), driven.engine().clone());
    let (tell, told) = mpsc::channel();
    let started = driven.start_session(&plan, move |first| {
        let started = next.start_session(&again, move |second| {
            drop(tell.send((first.report, second.report)));
        });
        assert!(started.is_ok());
    });
    assert!(started.is_ok());
    assert_eq!(driven.drive(), Rest::Idle);
    let (first, second) = told.try_recv().expect("both ended");
    assert_eq!((first.links[0].frames, second.links[0].frames), (10, 10));
}

#[test]
fn sessions_end_with_the_engine_that_drives_them() {
    let mut engine = engine(7);
    let plan = busy();
    let (fresh, fresh_told) = start(&mut engine, &plan);
    let (running, running_told) = start(&mut engine, &plan);
    engine.drive_for(Duration::from_millis(1));
    let (late, other) = (Arc::downgrade(&fresh), engine.engine().clone());
    drop((fresh, running));
    drop(engine);
    assert!(fresh_told.try_recv().is_ok() && running_told.try_recv().is_ok());
    assert!(late.upgrade().is_none(), "nothing holds it any more");
    let refused = other.start_session(&plan, |_| ()).err();
    assert!(refused.is_some_and(|error| error.cause.contains("dropped")));
}

#[test]
fn a_session_can_be_stopped_from_another_thread() {
    let mut graph = GraphBuilder::new("stopped");
    graph.node("source", "paced").param("period", 0);
    graph.node("sink", "heavy");
    graph.link("source -> sink.in");
    let mut engine = engine(8);
    let (session, told) = start(&mut engine, &plan(&graph));
    let stopper = std::thread::spawn(move || {
        while session.report().links[0].frames < 1000 {
            std::thread::yield_now();
        }
        session.stop();
    });
    assert_eq!(engine.drive(), Rest::Idle);
    stopper.join().expect("no panic");
    assert!(told.try_recv().is_ok());
}

#[test]
fn a_periodic_job_follows_its_engines_clock() {
    let mut graph = GraphBuilder::new("paced");
    graph.node("source", "paced");
    graph.node("sink", "light");
    graph.link("source -> sink.in");
    let mut engine = engine(9);
    let (_session, _told) = start(&mut engine, &plan(&graph));
    let times = Arc::new(Mutex::new(Vec::new()));
    let (noted, clock) = (times.clone(), Arc::new(Mutex::new(engine.engine().clone())));
    let reader = Arc::downgrade(&clock);
    let every = engine.engine().every(Duration::from_millis(100), move || {
        if let Some(clock) = reader.upgrade() {
            lock(&noted).push(lock(&clock).now_ns());
        }
    });
    assert!(every.is_ok());
    engine.drive_for(Duration::from_millis(1050));
    let expected: Vec<i64> = (1..=10).map(|at| at * 100_000_000).collect();
    assert_eq!(*lock(&times), expected);
    assert_eq!(engine.engine().now_ns(), 1_050_000_000);
}

#[test]
fn a_job_that_panics_is_dropped_and_the_others_go_on() {
    let engine = Engine::start(&EngineConfig::default()).expect("threads");
    let (tell, told) = mpsc::channel();
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = panics.clone();
    let every = engine.every(Duration::from_millis(1), move || {
        counted.fetch_add(1, Ordering::Relaxed);
        panic!("told to");
    });
    assert!(every.is_ok());
    let every = engine.every(Duration::from_millis(2), move || {
        let _ = tell.send(());
    });
    assert!(every.is_ok());
    for _ in 0..5 {
        told.recv_timeout(Duration::from_secs(60))
            .expect("the job goes on");
    }
    assert_eq!(panics.load(Ordering::Relaxed), 1);
    let full = (0..100).find_map(|_| engine.every(Duration::from_secs(1), || ()).err());
    assert!(full.is_some_and(|full| full.to_string().contains("16 periodic jobs")));
}
