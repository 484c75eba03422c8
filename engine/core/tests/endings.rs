//! Sessions come to their end whatever their nodes and their owners do.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use levada_engine::{
    Ended, Engine, EngineConfig, Session,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;

const KEYFRAME_REQUEST: Event = Event {
    kind: event::kind::KEYFRAME_REQUEST,
    stream: 0,
    value: 0,
};

fn data() -> Frame {
    Frame::from_bytes(Kind::Data, "data".into())
}

/// A call reached a node that had been drained.
static CALLED_AFTER_DRAIN: AtomicBool = AtomicBool::new(false);

/// Fills its output at each call of `tick` and asks for the next, as one that reads a file does.
struct Fill {
    host: Host,
    burst: i64,
    drained: bool,
}

impl Node for Fill {
    const NAME: &'static str = "fill";
    const SUMMARY: &'static str = "Emits as much as it may";
    const PORTS: &'static [Port] = &[Port::output("out").max_out(16)];
    const PARAMS: &'static [Param] = &[Param::integer("burst", 16).range(1.0, 16.0)];

    fn create(config: &Config) -> Result<Self> {
        Ok(Fill {
            host: config.host(),
            burst: config.integer("burst")?,
            drained: false,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        CALLED_AFTER_DRAIN.fetch_or(self.drained, Ordering::Relaxed);
        for _ in 0..self.burst {
            ctx.emit(0, data())?;
        }
        self.host.wake();
        Ok(())
    }

    fn event(&mut self, _port: usize, _event: Event, _ctx: &mut Context) -> Result<bool> {
        CALLED_AFTER_DRAIN.fetch_or(self.drained, Ordering::Relaxed);
        Ok(true)
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        self.drained = true;
        Ok(())
    }
}

/// Emits one frame at its start, and one for each keyframe that is asked for.
struct Answer(Host);

impl Node for Answer {
    const NAME: &'static str = "answer";
    const SUMMARY: &'static str = "Answers keyframe requests at once";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Answer(config.host()))
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.0.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        ctx.emit(0, data())
    }

    fn event(&mut self, _port: usize, _event: Event, ctx: &mut Context) -> Result<bool> {
        ctx.emit(0, data())?;
        Ok(true)
    }
}

/// Asks for a keyframe at every frame, as a decoder that can use none does.
struct Ask<const COST: usize>(Host);

impl<const COST: usize> Node for Ask<COST> {
    const NAME: &'static str = ["ask", "ask-slowly"][COST];
    const SUMMARY: &'static str = "Asks for keyframes";
    const PORTS: &'static [Port] = &[Port::input("in")];
    const COST: Cost = [Cost::Light, Cost::Blocking][COST];

    fn create(config: &Config) -> Result<Self> {
        Ok(Ask(config.host()))
    }

    fn process(&mut self, port: usize, _frames: &mut Frames, _ctx: &mut Context) -> Result {
        self.0.raise(port, KEYFRAME_REQUEST);
        if COST == 1 {
            // It stands for a device that takes its time.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Emits a last frame when it is drained.
struct Last;

impl Node for Last {
    const NAME: &'static str = "last";
    const SUMMARY: &'static str = "Emits a last frame when it is drained";
    const PORTS: &'static [Port] = &[
        Port::input("in").forwards_to(1),
        Port::output("out").max_out(8),
    ];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Last)
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        ctx.emit(1, data())
    }
}

/// Sources of the sessions that are bridged, in the order of their creation.
static BRIDGED: Mutex<Vec<Host>> = Mutex::new(Vec::new());
static DEEPEST: AtomicUsize = AtomicUsize::new(0);
thread_local!(static DEPTH: AtomicUsize = const { AtomicUsize::new(0) });

fn bridged() -> std::sync::MutexGuard<'static, Vec<Host>> {
    BRIDGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what another session hands in.
struct From;

impl Node for From {
    const NAME: &'static str = "from";
    const SUMMARY: &'static str = "Takes what another session hands in";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        bridged().push(config.host());
        Ok(From)
    }
}

/// Hands what comes in to the session that was created next.
struct Onward(usize);

impl Node for Onward {
    const NAME: &'static str = "onward";
    const SUMMARY: &'static str = "Hands frames in at the next session";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Onward(bridged().len()))
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        let next = bridged().get(self.0).copied();
        DEPTH.with(|depth| {
            DEEPEST.fetch_max(depth.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            if let Some(next) = next {
                for frame in frames.drain() {
                    assert!(next.ingest(0, frame).is_ok(), "the next session has room");
                }
            }
            depth.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(())
    }
}

fn engine() -> Engine {
    let config = EngineConfig {
        workers: 1,
        blocking: 1,
        ..EngineConfig::default()
    };
    Engine::start(&config).expect("threads")
}

fn plan(graph: &GraphBuilder) -> Arc<Plan> {
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Fill>()
        .with::<Answer>()
        .with::<Ask<0>>()
        .with::<Ask<1>>()
        .with::<Last>()
        .with::<From>()
        .with::<Onward>()
        .into_plugin();
    let mut registry = Registry::default();
    assert!(registry.add(&plugin).is_empty());
    let graph = graph
        .build(&registry)
        .unwrap_or_else(|problems| panic!("{problems}"));
    Arc::new(Plan::new(graph, &registry).expect("the registry has all types"))
}

fn start(engine: &Engine, plan: &Arc<Plan>) -> (Arc<Session>, mpsc::Receiver<Ended>) {
    let (tell, told) = mpsc::channel();
    let session = engine.start_session(plan, move |ended| drop(tell.send(ended)));
    (session.unwrap_or_else(|error| panic!("{error}")), told)
}

fn end_of(told: &mpsc::Receiver<Ended>) -> Ended {
    told.recv_timeout(Duration::from_secs(60))
        .expect("the session ends")
}

fn wait_until(is: impl Fn() -> bool) {
    while !is() {
        std::thread::yield_now();
    }
}

#[test]
fn a_source_that_fills_its_link_again_and_again_can_be_stopped() {
    let mut graph = GraphBuilder::new("full");
    graph.node("source", "fill");
    graph.node("sink", "ask-slowly");
    graph.link("source -> sink");
    let (session, told) = start(&engine(), &plan(&graph));
    wait_until(|| session.report().links[0].frames > 32);
    session.stop();
    let ended = end_of(&told);
    assert!(ended.error.is_none() && ended.report.links[0].dropped == 0);
}

#[test]
fn a_node_that_has_been_drained_is_called_no_more() {
    let mut graph = GraphBuilder::new("drained");
    graph.node("source", "fill").param("burst", 1);
    graph.node("last", "last");
    graph.node("sink", "ask-slowly");
    graph.link("source -> last -> sink");
    let (engine, plan) = (engine(), plan(&graph));
    for _ in 0..5 {
        let (session, told) = start(&engine, &plan);
        wait_until(|| session.report().links[1].frames > 8);
        session.stop();
        assert!(end_of(&told).error.is_none());
    }
    assert!(!CALLED_AFTER_DRAIN.load(Ordering::Relaxed));
}

#[test]
fn nodes_that_answer_each_other_for_ever_can_be_aborted() {
    let mut graph = GraphBuilder::new("answers");
    graph.node("source", "answer");
    graph.node("sink", "ask");
    graph.link("source -> sink");
    let (session, told) = start(&engine(), &plan(&graph));
    wait_until(|| session.report().links[0].frames > 100);
    session.abort();
    end_of(&told);
}

#[test]
fn a_callback_that_panics_costs_no_thread() {
    let mut graph = GraphBuilder::new("callback");
    graph.node("source", "answer");
    graph.node("sink", "ask-slowly");
    graph.link("source -> sink");
    let (engine, plan) = (engine(), plan(&graph));
    let bad = engine.start_session(&plan, |_| panic!("told to"));
    bad.unwrap_or_else(|error| panic!("{error}")).abort();
    let (session, told) = start(&engine, &plan);
    session.stop();
    end_of(&told);
}

#[test]
fn sessions_that_feed_one_another_nest_to_a_bounded_depth() {
    let mut graph = GraphBuilder::new("bridge");
    graph.node("source", "from");
    graph.node("sink", "onward");
    graph.link("source -> sink");
    let (engine, plan) = (engine(), plan(&graph));
    let sessions: Vec<_> = (0..1000).map(|_| start(&engine, &plan)).collect();
    let first = bridged()[0];
    assert!(first.ingest(0, data()).is_ok());
    let (last, _) = &sessions[999];
    wait_until(|| last.report().links[0].frames == 1);
    for (session, told) in &sessions {
        session.stop();
        assert!(end_of(told).error.is_none());
    }
    // Four direct runs, upon a worker's own.
    assert!(DEEPEST.load(Ordering::Relaxed) <= 5);
}
