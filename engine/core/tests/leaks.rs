//! A node that keeps buffers beyond its end is named in the report, and so is what a node holds while it
//! runs.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use levada_engine::{
    Ended, Engine, EngineConfig, Leak,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::{Loan, prelude::*};

/// By session: what [`Hoard`] never gave back.
static HOARDED: Mutex<Vec<(u64, Loan)>> = Mutex::new(Vec::new());

/// Loans buffers when it starts. Some it emits, some it keeps while it lives, some for ever.
struct Hoard {
    session: u64,
    kept: Vec<Loan>,
    leaks: i64,
    host: Host,
}

impl Node for Hoard {
    const NAME: &'static str = "hoard";
    const SUMMARY: &'static str = "Keeps buffers";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = &[Param::integer("leaks", 0)];

    fn create(config: &Config) -> Result<Self> {
        Ok(Hoard {
            session: config.session(),
            kept: vec![],
            leaks: config.integer("leaks")?,
            host: config.host(),
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.kept.push(self.host.loan(3840)?);
        let mut hoarded = HOARDED.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..self.leaks {
            hoarded.push((self.session, self.host.loan(300)?));
        }
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        ctx.emit(0, Frame::new(Kind::Data, self.host.loan(10)?))
    }
}

/// Says that it has seen a frame.
struct Witness(u64);

static SEEN: Mutex<Vec<(u64, mpsc::Sender<()>)>> = Mutex::new(Vec::new());

impl Node for Witness {
    const NAME: &'static str = "witness";
    const SUMMARY: &'static str = "Says that a frame came";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Witness(config.session()))
    }

    fn process(&mut self, _port: usize, _frames: &mut Frames, _ctx: &mut Context) -> Result {
        let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, tell) in seen.iter().filter(|(session, _)| *session == self.0) {
            let _ = tell.send(());
        }
        Ok(())
    }
}

fn plan(leaks: i64) -> Arc<Plan> {
    let plugin = Builtin::new("hoarders", "1.0.0")
        .with::<Hoard>()
        .with::<Witness>()
        .into_plugin();
    let mut registry = Registry::default();
    assert!(registry.add(&plugin).is_empty());
    let mut graph = GraphBuilder::new("hoarding");
    graph.node("source", "hoard").param("leaks", leaks);
    graph.node("sink", "witness");
    graph.link("source -> sink");
    let graph = graph.build(&registry).expect("a valid graph");
    Arc::new(Plan::new(graph, &registry).expect("a plan"))
}

/// Runs a session until a frame has arrived; returns what the source held then, and the end.
fn run(engine: &Engine, leaks: i64) -> ((u64, u64), Ended) {
    let id = engine.reserve_session();
    let (tell, seen) = mpsc::channel();
    SEEN.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((id, tell));
    let (tell, ended) = mpsc::sync_channel(1);
    let session = engine
        .start_reserved(id, &plan(leaks), move |end| {
            let _ = tell.send(end);
        })
        .expect("it starts");
    seen.recv().expect("a frame arrives");
    let source = &session.report().nodes[0];
    let held = (source.held_buffers, source.held_bytes);
    session.stop();
    (held, ended.recv().expect("it ends"))
}

fn engine() -> Engine {
    let config = EngineConfig {
        workers: 1,
        blocking: 1,
        ..EngineConfig::default()
    };
    Engine::start(&config).expect("threads")
}

#[test]
fn what_a_node_keeps_beyond_its_end_is_named_until_it_is_released() {
    let engine = engine();
    let (_, ended) = run(&engine, 3);
    let leak = Leak {
        node: "source".into(),
        type_name: "hoard".into(),
        plugin: "hoarders".into(),
        buffers: 3,
        bytes: 3 * 512,
    };
    assert_eq!(ended.report.leaks, [leak]);
    let (_, clean) = run(&engine, 0);
    assert_eq!(
        clean.report.leaks,
        [],
        "another session's leak is not its own"
    );

    let mut total = ended.report.clone();
    total.add(&clean.report);
    assert_eq!(total.leaks, ended.report.leaks);
    HOARDED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|(session, _)| *session != ended.session);
    engine.update_leaks(&mut total);
    assert_eq!(total.leaks, []);
    assert_eq!(total.nodes[0].held_buffers, 0);
}

#[test]
fn a_running_session_s_report_says_what_a_node_holds() {
    let ((buffers, bytes), ended) = run(&engine(), 0);
    // The frame in the sink's hands may be counted, or released already.
    assert!((1..=2).contains(&buffers), "{buffers} buffers");
    assert_eq!(bytes, 4096 + 256 * (buffers - 1));
    assert_eq!(ended.report.nodes[0].held_buffers, 0);
    assert_eq!(ended.report.leaks, []);
}
