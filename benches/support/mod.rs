//! What the benches share: nodes, payloads, sessions that the bench's own thread feeds, the raw calls
//! that everything is compared with, and the table of ratios.
//!
//! Every bench runs the engine through its public interface. A [`Feed`] hands in what the bench's
//! thread gives it, and a segment of light nodes then runs on that thread: nothing but the engine's
//! own work lies between the two ends of a measurement.

// Each bench uses a part of this.
#![allow(dead_code)]

pub mod arrivals;
pub mod build;
pub mod memory;
pub mod nodes;
mod pass;
pub mod peers;
pub mod raw;
pub mod table;

use std::sync::{Arc, OnceLock, mpsc};

pub use pass::Pass;

use levada_abi::{Buffer, Plugin};
use levada_engine::{
    Ended, Engine, EngineConfig, Report, Session,
    frame::pool::Pool,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;
use nodes::{Arrive, Drip, Feed, Look, Order, Pump, Sink};

/// A picture of 1280x720 in I420: 1.4 MB.
pub const PICTURE: usize = 1280 * 720 * 3 / 2;
/// 10 ms of stereo sound at 48 kHz in 32-bit floats.
pub const AUDIO: usize = 480 * 2 * 4;
/// Frames of a batch where the batch path is measured; the most that the engine passes in one call.
pub const BATCH: usize = 32;

/// How many payloads are sent in turn.
const PAYLOADS: usize = 16;

/// Time stamp of the last frame of a measurement, for sinks that run on other threads.
pub const LAST: i64 = -1;

/// The nodes of the benches as a plugin that is linked in.
pub fn plugin() -> Plugin {
    Builtin::new("bench", "0.0.0")
        .with::<Feed>()
        .with::<Drip>()
        .with::<Pass>()
        .with::<Pump>()
        .with::<Sink<false>>()
        .with::<Sink<true>>()
        .with::<Look>()
        .with::<Arrive>()
        .into_plugin()
}

/// The memory of payloads that belong to the bench and not to an engine.
pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(256 << 20))
}

/// Frames to send: each call of [`next`](Payloads::next) refers to one of a few payloads from the
/// pool, in turn, so that neither memory nor reference counts are fresher than in a real pipeline.
pub struct Payloads {
    frames: Vec<Frame>,
    next: usize,
}

impl Payloads {
    /// Loans payloads of `len` bytes.
    pub fn new(pool: &Pool, len: usize) -> Payloads {
        let frames = (0..PAYLOADS).map(|_| frame(pool, len)).collect();
        Payloads { frames, next: 0 }
    }

    /// A frame that refers to the next payload.
    #[inline]
    pub fn next(&mut self) -> Frame {
        let at = self.next;
        self.next = (at + 1) % self.frames.len();
        self.frames[at].clone()
    }
}

/// One frame with a payload of its own from the pool.
pub fn frame(pool: &Pool, len: usize) -> Frame {
    let buffer: Buffer = pool.loan(len).expect("the pool has room for a bench");
    let frame = levada_abi::Frame {
        buffer,
        ..levada_abi::Frame::default()
    };
    Frame::from_abi(frame).expect("a loaned buffer is not empty")
}

/// An engine with two workers.
pub fn engine() -> Engine {
    let config = EngineConfig {
        workers: 2,
        blocking: 1,
        ..EngineConfig::default()
    };
    Engine::start(&config).expect("the system has threads")
}

/// Plans a graph of the benches' node types.
pub fn plan(graph: &GraphBuilder) -> Arc<Plan> {
    plan_with(graph, &[])
}

/// Plans a graph of the benches' node types and those of other plugins.
pub fn plan_with(graph: &GraphBuilder, others: &[Plugin]) -> Arc<Plan> {
    let mut registry = Registry::default();
    registry.add(&plugin());
    for other in others {
        let hidden = registry.add(other);
        assert!(hidden.is_empty(), "two types have one name: {hidden:?}");
    }
    let graph = graph.build(&registry).expect("the bench's graph is sound");
    Arc::new(Plan::new(graph, &registry).expect("the registry has the types"))
}

/// A session that runs, and its end.
pub struct Running {
    session: Arc<Session>,
    ended: mpsc::Receiver<Ended>,
}

impl Running {
    /// Starts a session.
    pub fn start(engine: &Engine, plan: &Arc<Plan>) -> Running {
        let (tell, ended) = mpsc::sync_channel(1);
        let session = engine
            .start_session(plan, move |end| {
                let _ = tell.send(end);
            })
            .expect("the bench's nodes start");
        Running { session, ended }
    }

    /// The services of the session's [`Feed`].
    pub fn host(&self) -> Host {
        nodes::feed_of(self.session.id()).expect("the graph has a feed")
    }

    /// What the session's [`Drip`] takes orders from.
    pub fn order(&self) -> Arc<Order> {
        nodes::order_of(self.session.id()).expect("the graph has a drip")
    }

    /// Waits until the session ends by itself, and makes sure that no frame got lost.
    pub fn wait(self) -> Report {
        let ended = self.ended.recv().expect("a session ends once");
        assert_eq!(ended.error, None);
        for link in &ended.report.links {
            assert_eq!(link.dropped, 0, "{} -> {}", link.from, link.to);
        }
        ended.report
    }

    /// Ends the session, as [`wait`](Running::wait) does.
    pub fn stop(self) -> Report {
        self.session.stop();
        self.wait()
    }
}

/// A chain `feed -> p1 -> .. -> pN -> sink`.
pub fn chain(nodes: usize) -> GraphBuilder {
    chain_between("feed", &[], nodes, "sink")
}

/// A chain of pass-through nodes between two others, given by their types and the source's params.
pub fn chain_between(
    source: &str,
    params: &[(&str, i64)],
    nodes: usize,
    sink: &str,
) -> GraphBuilder {
    let mut graph = GraphBuilder::new("chain");
    let mut node = graph.node("source", source);
    for (name, value) in params {
        node = node.param(name, *value);
    }
    let mut link = String::from("source");
    for node in 1..=nodes {
        let name = format!("p{node}");
        graph.node(&name, "pass");
        link = format!("{link} -> {name}");
    }
    graph.node("sink", sink);
    graph.link(&format!("{link} -> sink"));
    graph
}
