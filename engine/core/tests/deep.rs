//! The longest chain there may be runs on a small stack, whatever its nodes do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use levada_engine::{
    Engine, EngineConfig,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::{Refused, prelude::*};

const FRAMES: u64 = 100;
static ARRIVED: AtomicU64 = AtomicU64::new(0);
static FLUSHED: AtomicU64 = AtomicU64::new(0);

/// Hands frames in from a thread with little stack, which runs what follows where it is at rest.
struct Source(Option<JoinHandle<()>>);

impl Node for Source {
    const NAME: &'static str = "source";
    const SUMMARY: &'static str = "Hands in frames with a flush behind each";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Source(None))
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        let host: Host = **ctx;
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        let thread = thread.spawn(move || {
            for _ in 0..FRAMES {
                let mut frame = Frame::from_bytes(Kind::Data, "frame".into());
                while let Err((back, Refused::Full)) = host.ingest(0, frame) {
                    frame = back;
                    std::thread::yield_now();
                }
                let flush = Event {
                    kind: event::kind::FLUSH,
                    stream: event::ALL_STREAMS,
                    value: 0,
                };
                while host.signal(0, flush) == Err(Refused::Full) {
                    std::thread::yield_now();
                }
            }
            host.finish();
        });
        self.0 = Some(thread.map_err(Error::new)?);
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(thread) = self.0.take() {
            thread.join().expect("no panic");
        }
    }
}

/// Emits what it gets, so that each node's call lies on the stack of the one before.
struct Emit;

impl Node for Emit {
    const NAME: &'static str = "emit";
    const SUMMARY: &'static str = "Emits what it gets";
    const PORTS: &'static [Port] = &[Port::input("in"), Port::output("out")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Emit)
    }

    fn process(&mut self, _: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        frames.drain().try_for_each(|frame| ctx.emit(1, frame))
    }
}

struct Sink;

impl Node for Sink {
    const NAME: &'static str = "sink";
    const SUMMARY: &'static str = "Counts what it gets";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Sink)
    }

    fn process(&mut self, _: usize, frames: &mut Frames, _: &mut Context) -> Result {
        ARRIVED.fetch_add(frames.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn event(&mut self, _: usize, event: Event, _: &mut Context) -> Result<bool> {
        let flush = u64::from(event.kind == event::kind::FLUSH);
        FLUSHED.fetch_add(flush, Ordering::Relaxed);
        Ok(true)
    }
}

#[test]
fn the_longest_chain_runs_on_a_small_stack() {
    let plugin = Builtin::new("deep", "1.0.0")
        .with::<Source>()
        .with::<Emit>()
        .with::<Sink>()
        .into_plugin();
    let mut registry = Registry::default();
    registry.add(&plugin);
    let mut graph = GraphBuilder::new("deep");
    graph.node("n0", "source");
    for at in 1..1023 {
        graph.node(&format!("n{at}"), "emit");
        graph.link(&format!("n{} -> n{at}", at - 1));
    }
    graph.node("n1023", "sink");
    graph.link("n1022 -> n1023");
    let graph = graph.build(&registry).expect("valid");
    let plan = Arc::new(Plan::new(graph, &registry).expect("planned"));
    let engine = Engine::start(&EngineConfig::default()).expect("threads");
    let (tell, told) = mpsc::channel();
    engine
        .start_session(&plan, move |ended| {
            let _ = tell.send(ended);
        })
        .expect("started");
    let ended = told.recv_timeout(Duration::from_secs(60));
    assert_eq!(ended.expect("it ends by itself").error, None);
    assert_eq!(ARRIVED.load(Ordering::Relaxed), FRAMES);
    assert_eq!(FLUSHED.load(Ordering::Relaxed), FRAMES);
}
