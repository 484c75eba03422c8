//! What the benches share: nodes, payloads, sessions that the bench's own thread feeds, the raw calls
//! that everything is compared with, and the table of ratios.
//!
//! Every bench runs the engine through its public interface. A [`Feed`] hands in what the bench's
//! thread gives it, and a segment of light nodes then runs on that thread: nothing but the engine's
//! own work lies between the two ends of a measurement.

// Each bench uses a part of this.
#![allow(dead_code)]

mod pass;
pub mod raw;
pub mod table;

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

pub use pass::Pass;

use levada_abi::{Buffer, Plugin};
use levada_engine::{
    Ended, Engine, EngineConfig, Report, Session,
    frame::pool::Pool,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;

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

/// By session: the services of its [`Feed`].
static FEEDS: Mutex<Option<HashMap<u64, Host>>> = Mutex::new(None);

/// A source that hands in what the bench's thread gives it; see [`Running::host`].
pub struct Feed;

impl Node for Feed {
    const NAME: &'static str = "feed";
    const SUMMARY: &'static str = "Hands in what the bench's thread gives it";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        let mut feeds = FEEDS.lock().unwrap_or_else(PoisonError::into_inner);
        feeds
            .get_or_insert_default()
            .insert(config.session(), config.host());
        Ok(Feed)
    }
}

/// Makes `count` frames, as many in a call as a batch holds, as fast as the next node takes them.
pub struct Pump {
    payloads: Payloads,
    left: i64,
    host: Host,
}

impl Node for Pump {
    const NAME: &'static str = "pump";
    const SUMMARY: &'static str = "Makes frames as fast as they are taken";
    const PORTS: &'static [Port] = &[Port::output("out").max_out(BATCH as u32)];
    const PARAMS: &'static [Param] = &[
        Param::integer("count", 1).range(0.0, 1e12),
        Param::integer("bytes", AUDIO as i64).range(1.0, 64e6),
    ];

    fn create(config: &Config) -> Result<Self> {
        let (host, bytes) = (config.host(), config.integer("bytes")? as usize);
        let loan = || Ok(Frame::new(Kind::Data, host.loan(bytes)?));
        Ok(Pump {
            payloads: Payloads::of((0..PAYLOADS).map(|_| loan()).collect::<Result<_>>()?),
            left: config.integer("count")?,
            host,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        for _ in 0..self.left.min(BATCH as i64) {
            ctx.emit(0, self.payloads.next())?;
            self.left -= 1;
        }
        if self.left > 0 {
            self.host.wake();
        } else {
            self.host.finish();
        }
        Ok(())
    }
}

/// Takes frames and releases them; on a worker of its own when it is heavy.
#[derive(Default)]
pub struct Sink<const HEAVY: bool> {
    count: u64,
}

impl<const HEAVY: bool> Node for Sink<HEAVY> {
    const NAME: &'static str = if HEAVY { "heavy-sink" } else { "sink" };
    const SUMMARY: &'static str = "Counts frames and releases them";
    const PORTS: &'static [Port] = &[Port::input("in")];
    const COST: Cost = if HEAVY { Cost::Heavy } else { Cost::Light };

    fn create(_config: &Config) -> Result<Self> {
        Ok(Sink::default())
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.count += 1;
            black_box(&frame);
        }
        Ok(())
    }
}

/// Looks at frames that stay where they are.
#[derive(Default)]
pub struct Look {
    sum: i64,
}

impl Node for Look {
    const NAME: &'static str = "look";
    const SUMMARY: &'static str = "Looks at the time stamp of each frame";
    const PORTS: &'static [Port] = &[Port::input("in").read_only()];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Look::default())
    }

    fn observe(&mut self, _port: usize, frames: &[Frame], _ctx: &mut Context) -> Result {
        for frame in frames {
            self.sum = self.sum.wrapping_add(frame.pts());
        }
        Ok(())
    }
}

/// The nodes above as a plugin that is linked in.
pub fn plugin() -> Plugin {
    Builtin::new("bench", "0.0.0")
        .with::<Feed>()
        .with::<Pass>()
        .with::<Pump>()
        .with::<Sink<false>>()
        .with::<Sink<true>>()
        .with::<Look>()
        .into_plugin()
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
        Payloads::of((0..PAYLOADS).map(|_| frame(pool, len)).collect())
    }

    fn of(frames: Vec<Frame>) -> Payloads {
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

/// Plans a graph of this module's node types.
pub fn plan(graph: &GraphBuilder) -> Arc<Plan> {
    let mut registry = Registry::default();
    registry.add(&plugin());
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
        let feeds = FEEDS.lock().unwrap_or_else(PoisonError::into_inner);
        let host = feeds.as_ref().and_then(|f| f.get(&self.session.id()));
        *host.expect("the graph has a feed")
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
    let mut graph = GraphBuilder::new("chain");
    graph.node("feed", "feed");
    let mut link = String::from("feed");
    for node in 1..=nodes {
        let name = format!("p{node}");
        graph.node(&name, "pass");
        link = format!("{link} -> {name}");
    }
    graph.node("sink", "sink");
    graph.link(&format!("{link} -> sink"));
    graph
}
