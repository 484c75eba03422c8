//! Sessions run to their end, every frame is accounted for, and failures stay where they happen.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use levada_engine::{
    Ended, Engine, EngineConfig, Session,
    graph::{GraphBuilder, Plan, Policy},
    plugin::Registry,
};
use levada_plugin::{Refused, prelude::*};

/// Emits `count` data frames numbered by pts, as fast as there is room, then says that it is done.
struct Count {
    next: i64,
    count: i64,
    burst: i64,
    host: Host,
}

impl Node for Count {
    const NAME: &'static str = "count";
    const SUMMARY: &'static str = "Emits numbered frames";
    const PORTS: &'static [Port] = &[Port::output("out").max_out(16)];
    const PARAMS: &'static [Param] = &[
        Param::integer("count", 1000).range(0.0, 1e9),
        Param::integer("burst", 16).range(1.0, 16.0),
    ];

    fn create(config: &Config) -> Result<Self> {
        let (count, burst) = (config.integer("count")?, config.integer("burst")?);
        Ok(Count {
            next: 0,
            count,
            burst,
            host: config.host(),
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        for _ in 0..self.burst.min(self.count - self.next) {
            ctx.emit(
                0,
                Frame::from_bytes(Kind::Data, "frame".into()).with_pts(self.next),
            )?;
            self.next += 1;
        }
        if self.next < self.count {
            self.host.wake()
        } else {
            self.host.finish()
        }
        Ok(())
    }
}

/// A node with one input and one output that does what its param says.
struct Filter<const COST: usize> {
    what: String,
    seen: u64,
}

impl<const COST: usize> Node for Filter<COST> {
    const NAME: &'static str = ["pass", "heavy", "blocking"][COST];
    const SUMMARY: &'static str = "Does what its param says";
    const PORTS: &'static [Port] = &[
        Port::input("in").forwards_to(1),
        Port::output("out").max_out(2),
    ];
    const PARAMS: &'static [Param] = &[Param::choice(
        "do",
        "pass halve double panic fail overflow refuse",
        "pass",
    )];
    const COST: Cost = [Cost::Light, Cost::Heavy, Cost::Blocking][COST];

    fn create(config: &Config) -> Result<Self> {
        let what = config.text("do")?.to_owned();
        if what == "refuse" {
            return Err(Error::new("refused to be created"));
        }
        Ok(Filter { what, seen: 0 })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        let copies = match self.what.as_str() {
            "halve" => {
                frames.replace_each(|frame| {
                    self.seen += 1;
                    (self.seen % 2 == 1).then_some(frame)
                });
                return Ok(());
            }
            "double" => 2,
            "overflow" => 3,
            "panic" => panic!("told to"),
            "fail" => return Err(Error::new("told to fail")),
            _ => return Ok(()),
        };
        for frame in frames.drain() {
            for _ in 0..copies {
                ctx.emit(1, frame.clone())?;
            }
        }
        Ok(())
    }
}

type Seen = Arc<Mutex<Vec<(String, i64)>>>;

/// What each session's sinks saw, by session.
fn seen() -> &'static Mutex<HashMap<u64, Seen>> {
    static SEEN: OnceLock<Mutex<HashMap<u64, Seen>>> = OnceLock::new();
    SEEN.get_or_init(Mutex::default)
}

/// Writes down what arrives, for the test that runs the session.
struct Collect {
    name: String,
    seen: Seen,
}

impl Node for Collect {
    const NAME: &'static str = "collect";
    const SUMMARY: &'static str = "Writes down what arrives";
    const PORTS: &'static [Port] = &[Port::input("in"), Port::optional_input("also")];

    fn create(config: &Config) -> Result<Self> {
        let mut all = seen().lock().expect("no panic under the lock");
        let seen = all.entry(config.session()).or_default().clone();
        Ok(Collect {
            name: config.name().to_owned(),
            seen,
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        let mut seen = self.seen.lock().expect("no panic under the lock");
        seen.extend(frames.drain().map(|frame| (self.name.clone(), frame.pts())));
        Ok(())
    }
}

/// Hands frames in from a thread of its own until the node is stopped; ends the stream when it is
/// asked for a keyframe.
struct Threaded {
    host: Host,
    run: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Node for Threaded {
    const NAME: &'static str = "threaded";
    const SUMMARY: &'static str = "Hands frames in from a thread of its own";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const LIVE: bool = true;

    fn create(config: &Config) -> Result<Self> {
        Ok(Threaded {
            host: config.host(),
            run: Arc::new(AtomicBool::new(true)),
            thread: None,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        let (host, run) = (self.host, self.run.clone());
        self.thread = Some(std::thread::spawn(move || {
            let mut pts = 0;
            while run.load(Ordering::Relaxed) {
                let frame = Frame::from_bytes(Kind::Data, "live".into()).with_pts(pts);
                match host.ingest(0, frame) {
                    Ok(()) => {}
                    Err((_, Refused::Gone | Refused::Invalid)) => return,
                    Err((_, Refused::Full)) => {
                        host.dropped(1);
                        std::thread::yield_now();
                    }
                }
                pts += 1;
            }
        }));
        Ok(())
    }

    fn event(&mut self, _port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        assert_eq!(event.kind, event::kind::KEYFRAME_REQUEST);
        self.host.finish();
        Ok(true)
    }

    fn stop(&mut self) {
        self.run.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread does not panic");
        }
    }
}

/// A sink that looks, and asks for a keyframe once it has seen a hundred frames.
struct Asker {
    host: Host,
    seen: usize,
}

impl Node for Asker {
    const NAME: &'static str = "asker";
    const SUMMARY: &'static str = "Asks for a keyframe";
    const PORTS: &'static [Port] = &[Port::input("in").read_only()];

    fn create(config: &Config) -> Result<Self> {
        Ok(Asker {
            host: config.host(),
            seen: 0,
        })
    }

    fn observe(&mut self, port: usize, frames: &[Frame], _ctx: &mut Context) -> Result {
        if self.seen < 100 && self.seen + frames.len() >= 100 {
            self.host.raise(
                port,
                Event {
                    kind: event::kind::KEYFRAME_REQUEST,
                    stream: 0,
                    value: 0,
                },
            );
        }
        self.seen += frames.len();
        Ok(())
    }
}

/// Held by the test for as long as [`Stuck`] is to take nothing.
static GATE: Mutex<()> = Mutex::new(());

/// A sink that waits for the gate.
struct Stuck;

impl Node for Stuck {
    const NAME: &'static str = "stuck";
    const SUMMARY: &'static str = "Waits for the gate";
    const PORTS: &'static [Port] = &[Port::input("in")];
    const COST: Cost = Cost::Blocking;

    fn create(_config: &Config) -> Result<Self> {
        Ok(Stuck)
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        let gate = GATE.lock().expect("no panic under the lock");
        frames.drain().for_each(drop);
        drop(gate);
        Ok(())
    }
}

fn registry() -> Registry {
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Count>()
        .with::<Filter<0>>()
        .with::<Filter<1>>()
        .with::<Filter<2>>()
        .with::<Collect>()
        .with::<Threaded>()
        .with::<Asker>()
        .with::<Handed>()
        .with::<Stuck>()
        .into_plugin();
    let mut registry = Registry::default();
    assert!(registry.add(&plugin).is_empty());
    registry
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let config = EngineConfig {
        workers: 2,
        ..EngineConfig::default()
    };
    ENGINE.get_or_init(|| Engine::start(&config).expect("threads"))
}

fn plan(graph: &GraphBuilder) -> Arc<Plan> {
    let registry = registry();
    let graph = graph
        .build(&registry)
        .unwrap_or_else(|problems| panic!("{problems}"));
    Arc::new(Plan::new(graph, &registry).expect("the registry has all types"))
}

fn start(plan: &Arc<Plan>) -> (Arc<Session>, mpsc::Receiver<Ended>) {
    let (tell, told) = mpsc::channel();
    let session =
        engine().start_session(plan, move |ended| tell.send(ended).expect("the test waits"));
    (session.unwrap_or_else(|error| panic!("{error}")), told)
}

/// Waits for a session's end and checks its counts: what goes into links and is not dropped arrives.
fn end_of(session: &Session, told: &mpsc::Receiver<Ended>) -> Ended {
    let ended = told
        .recv_timeout(Duration::from_secs(60))
        .unwrap_or_else(|_| {
            panic!("the session did not end: {:#?}", session.report());
        });
    for node in &ended.report.nodes {
        let links = ended.report.links.iter();
        let arrived: u64 = links
            .filter(|link| link.to.split('.').next() == Some(&node.name))
            .map(|link| link.frames - link.dropped)
            .sum();
        assert!(
            ended.error.is_some() || arrived == node.frames_in,
            "{:#?}",
            ended.report
        );
    }
    ended
}

/// Runs a graph to its end, and returns what its sinks saw.
fn run(graph: &GraphBuilder) -> (Ended, Vec<(String, i64)>) {
    let (session, told) = start(&plan(graph));
    let ended = end_of(&session, &told);
    let seen = seen()
        .lock()
        .expect("no panic under the lock")
        .remove(&session.id())
        .unwrap_or_default();
    let seen = std::mem::take(&mut *seen.lock().expect("no panic under the lock"));
    (ended, seen)
}

fn pts_of(seen: &[(String, i64)], name: &str) -> Vec<i64> {
    seen.iter()
        .filter(|(n, _)| n == name)
        .map(|(_, pts)| *pts)
        .collect()
}

#[test]
fn a_chain_delivers_every_frame_in_order() {
    let mut graph = GraphBuilder::new("chain");
    graph.node("source", "count").param("count", 10_000);
    graph.node("a", "pass");
    graph.node("b", "pass");
    graph.node("sink", "collect");
    graph.link("source -> a -> b -> sink.in");
    let (ended, seen) = run(&graph);
    assert_eq!(pts_of(&seen, "sink"), (0..10_000).collect::<Vec<_>>());
    assert!(
        ended.error.is_none()
            && ended
                .report
                .links
                .iter()
                .all(|l| l.frames == 10_000 && l.dropped == 0)
    );
}

#[test]
fn heavy_and_blocking_nodes_run_behind_channels_and_lose_nothing() {
    let mut graph = GraphBuilder::new("costs");
    graph.node("source", "count").param("count", 5_000);
    graph.node("a", "heavy");
    graph.node("b", "blocking").param("do", "double");
    graph.node("c", "heavy").param("do", "halve");
    graph.node("sink", "collect");
    graph.link("source -> a -> b -> c -> sink.in");
    let (_, seen) = run(&graph);
    assert_eq!(pts_of(&seen, "sink"), (0..5_000).collect::<Vec<_>>());
}

#[test]
fn an_output_feeds_several_links_and_a_node_several_sources() {
    let mut graph = GraphBuilder::new("diamond");
    graph.node("source", "count").param("count", 3_000);
    graph.node("other", "count").param("count", 2_000);
    graph.node("left", "pass").param("do", "halve");
    graph.node("right", "heavy");
    graph.node("join", "collect");
    graph.node("look", "asker");
    graph.node("alone", "collect");
    graph.link("source -> left -> join.in");
    graph.link("source -> right -> join.also");
    graph.link("source -> look");
    graph.link("other -> alone.in");
    let (ended, seen) = run(&graph);
    assert_eq!(pts_of(&seen, "join").len(), 1_500 + 3_000);
    assert_eq!(pts_of(&seen, "alone").len(), 2_000);
    let look = ended
        .report
        .nodes
        .iter()
        .find(|n| n.name == "look")
        .expect("in the report");
    assert_eq!(look.frames_in, 3_000);
}

/// By session: the services of its [`Handed`].
static HANDED: Mutex<Vec<(u64, Host)>> = Mutex::new(Vec::new());

/// A source that hands in what the test gives it.
struct Handed;

impl Node for Handed {
    const NAME: &'static str = "handed";
    const SUMMARY: &'static str = "Hands in what the test gives it";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        let mut handed = HANDED.lock().expect("no panic under the lock");
        handed.push((config.session(), config.host()));
        Ok(Handed)
    }
}

fn numbered(range: std::ops::Range<i64>) -> Vec<Frame> {
    let frame = |pts| Frame::from_bytes(Kind::Data, "batch".into()).with_pts(pts);
    range.map(frame).collect()
}

#[test]
fn a_batch_that_does_not_fit_is_taken_from_the_front_and_the_rest_comes_back() {
    let mut graph = GraphBuilder::new("batches");
    graph.node("source", "handed");
    graph.node("stuck", "stuck");
    graph.link_with("source -> stuck", Some(Policy::Block), Some(4));
    let (session, told) = start(&plan(&graph));
    let handed = HANDED.lock().expect("no panic under the lock");
    let host = handed.iter().find(|(id, _)| *id == session.id());
    let host = host.expect("the source was created").1;
    drop(handed);

    // The sink takes nothing on before the gate opens, so no more fits than the graph holds.
    let gate = GATE.lock().expect("no panic under the lock");
    let mut frames = numbered(0..1000);
    assert_eq!(host.ingest_batch(0, &mut frames), Err(Refused::Full));
    let left: Vec<i64> = frames.iter().map(Frame::pts).collect();
    assert!(!left.is_empty() && left.len() < 1000);
    assert_eq!(left, (1000 - left.len() as i64..1000).collect::<Vec<_>>());
    drop(gate);

    while host.ingest_batch(0, &mut frames).is_err() {
        std::thread::yield_now();
    }
    assert!(frames.is_empty());
    host.finish();
    let ended = end_of(&session, &told);
    assert_eq!(ended.report.nodes[1].frames_in, 1000);
    let mut late = numbered(0..3);
    assert_eq!(host.ingest_batch(0, &mut late), Err(Refused::Gone));
    assert_eq!(late.len(), 3);
}

#[test]
fn a_slow_consumer_drops_by_its_links_policy_and_every_drop_is_counted() {
    for policy in [Policy::DropOldest, Policy::DropNewest, Policy::Latest] {
        let mut graph = GraphBuilder::new("drops");
        graph.node("source", "count").param("count", 20_000);
        graph.node("slow", "heavy");
        graph.node("sink", "collect");
        graph.link_with("source -> slow", Some(policy), Some(2));
        graph.link("slow -> sink.in");
        let (ended, seen) = run(&graph);
        let seen = pts_of(&seen, "sink");
        let link = &ended.report.links[0];
        assert_eq!(link.frames, 20_000);
        assert_eq!(link.dropped, 20_000 - seen.len() as u64, "{policy}");
        assert!(seen.is_sorted(), "order survives {policy}");
    }
}

#[test]
fn a_node_that_fails_or_panics_ends_its_session_and_is_named() {
    for (what, cause) in [
        ("panic", "it panicked: told to"),
        ("fail", "told to fail"),
        (
            "overflow",
            "port 1 has emitted all that its max_out allows in one call; declare more",
        ),
    ] {
        for kind in ["pass", "heavy", "blocking"] {
            let mut graph = GraphBuilder::new("fails");
            graph.node("source", "count");
            graph.node("bad", kind).param("do", what);
            graph.node("sink", "collect");
            graph.link("source -> bad -> sink.in");
            let (ended, _) = run(&graph);
            let error = ended.error.expect("the session failed");
            assert_eq!((error.node.as_str(), error.cause.as_str()), ("bad", cause));
            assert_eq!(
                (error.plugin.as_str(), error.plugin_version.as_str()),
                ("test", "1.0.0")
            );
            assert_eq!(ended.report.failed, 1);
        }
    }
}

#[test]
fn a_node_that_cannot_be_created_keeps_its_session_from_starting() {
    let mut graph = GraphBuilder::new("refused");
    graph.node("source", "threaded");
    graph.node("bad", "pass").param("do", "refuse");
    graph.node("sink", "collect");
    graph.link("source -> bad -> sink.in");
    let error = engine()
        .start_session(&plan(&graph), |_| ())
        .err()
        .expect("refused");
    assert_eq!(
        (error.node.as_str(), error.cause.as_str()),
        ("bad", "refused to be created")
    );
}

#[test]
fn an_upstream_event_travels_through_nodes_that_do_not_handle_it() {
    let mut graph = GraphBuilder::new("keyframe");
    graph.node("source", "threaded");
    graph.node("a", "pass");
    graph.node("b", "heavy");
    graph.node("sink", "asker");
    graph.link("source -> a -> b -> sink");
    // The source ends the stream when the request reaches it, so coming to the end is the proof.
    let (ended, _) = run(&graph);
    assert!(ended.report.nodes[3].frames_in >= 100);
}

#[test]
fn stopping_a_live_session_drains_it_and_loses_nothing_unsaid() {
    for kind in ["pass", "heavy"] {
        let mut graph = GraphBuilder::new("live");
        graph.node("source", "threaded");
        graph.node("a", kind);
        graph.node("sink", "collect");
        graph.link_with("source -> a", Some(Policy::Block), None);
        graph.link_with("a -> sink.in", Some(Policy::Block), None);
        let (session, told) = start(&plan(&graph));
        while session.report().links[1].frames < 500 {
            std::thread::yield_now();
        }
        session.stop();
        let ended = end_of(&session, &told);
        assert!(
            ended
                .report
                .links
                .iter()
                .all(|link| link.dropped == 0 && link.frames >= 500)
        );
        assert_eq!(
            ended.report.nodes[0].frames_out,
            ended.report.links[0].frames
        );
    }
}

#[test]
fn many_sessions_of_one_plan_run_side_by_side() {
    let mut graph = GraphBuilder::new("many");
    graph
        .node("source", "count")
        .param("count", 100)
        .param("burst", 3);
    graph.node("a", "pass");
    graph.node("b", "heavy");
    graph.node("sink", "collect");
    graph.link("source -> a -> b -> sink.in");
    let plan = plan(&graph);
    let sessions: Vec<_> = (0..500).map(|_| start(&plan)).collect();
    for (session, told) in sessions {
        assert_eq!(end_of(&session, &told).report.links[2].frames, 100);
    }
}

#[test]
fn a_graph_in_which_one_frame_may_become_too_many_is_refused() {
    let mut graph = GraphBuilder::new("swells");
    graph.node("source", "count");
    let names: Vec<String> = (0..20).map(|at| format!("double-{at}")).collect();
    for name in &names {
        graph.node(name, "pass").param("do", "double");
    }
    graph.node("heavy", "heavy");
    graph.node("sink", "collect");
    graph.link(&format!(
        "source -> {} -> heavy -> sink.in",
        names.join(" -> ")
    ));
    let registry = registry();
    let graph = graph.build(&registry).expect("valid");
    let problem = Plan::new(graph, &registry)
        .err()
        .expect("refused")
        .to_string();
    assert!(
        problem.contains("may become") && problem.contains("\"heavy\""),
        "{problem}"
    );
}
