//! The nodes that graphs of the benches are made of, beside [`Pass`](super::Pass).

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use levada_engine::clock;
use levada_plugin::prelude::*;

use super::{AUDIO, BATCH, Payloads, arrivals, pool};

/// By session, what the bench's thread needs of a node: all that a bench knows of a session that has
/// been started is its number.
struct BySession<T>(Mutex<Option<HashMap<u64, T>>>);

impl<T: Clone> BySession<T> {
    const fn new() -> BySession<T> {
        BySession(Mutex::new(None))
    }

    fn add(&self, session: u64, it: T) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().insert(session, it);
    }

    fn get(&self, session: u64) -> Option<T> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.as_ref().and_then(|all| all.get(&session)).cloned()
    }
}

static FEEDS: BySession<Host> = BySession::new();
static ORDERS: BySession<Arc<Order>> = BySession::new();

/// The services of a session's [`Feed`].
pub fn feed_of(session: u64) -> Option<Host> {
    FEEDS.get(session)
}

/// What the [`Drip`] of a session takes orders from.
pub fn order_of(session: u64) -> Option<Arc<Order>> {
    ORDERS.get(session)
}

/// A source that hands in what the bench's thread gives it; see [`feed_of`].
pub struct Feed;

impl Node for Feed {
    const NAME: &'static str = "feed";
    const SUMMARY: &'static str = "Hands in what the bench's thread gives it";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        FEEDS.add(config.session(), config.host());
        Ok(Feed)
    }
}

/// How many frames the bench's thread wants of a [`Drip`].
pub struct Order {
    frames: AtomicU64,
    host: Host,
    done: mpsc::SyncSender<()>,
    finished: Mutex<mpsc::Receiver<()>>,
}

impl Order {
    /// Leaves an order without asking for a tick: for a source that is called from a plain loop.
    pub fn place(&self, frames: u64) {
        // Release, with the Acquire of the tick that takes it.
        self.frames.store(frames, Ordering::Release);
    }

    /// Orders frames and waits until the source has made the last one.
    pub fn carry_out(&self, frames: u64) {
        self.place(frames);
        self.host.wake();
        self.wait();
    }

    /// Waits until the source has made the last frame of an order.
    pub fn wait(&self) {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.recv().expect("the order owns the other end");
    }
}

/// A source that the engine's own thread runs: each tick makes one frame and asks for the next tick
/// at once, until an [`Order`] is carried out.
pub struct Drip {
    payloads: Payloads,
    order: Arc<Order>,
    left: u64,
}

impl Node for Drip {
    const NAME: &'static str = "drip";
    const SUMMARY: &'static str = "Makes one frame a tick, and asks for the next tick at once";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = &[Param::integer("bytes", AUDIO as i64).range(1.0, 64e6)];

    fn create(config: &Config) -> Result<Self> {
        let (done, finished) = mpsc::sync_channel(1);
        let order = Arc::new(Order {
            frames: AtomicU64::new(0),
            host: config.host(),
            done,
            finished: Mutex::new(finished),
        });
        ORDERS.add(config.session(), order.clone());
        Ok(Drip {
            payloads: Payloads::new(pool(), config.integer("bytes")? as usize),
            order,
            left: 0,
        })
    }

    #[inline]
    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.left == 0 {
            // Acquire, with the Release of `place`.
            self.left = self.order.frames.swap(0, Ordering::Acquire);
            if self.left == 0 {
                return Ok(());
            }
        }
        ctx.emit(0, self.payloads.next())?;
        self.left -= 1;
        if self.left > 0 {
            ctx.tick_again();
        } else {
            let _ = self.order.done.try_send(());
        }
        Ok(())
    }
}

/// Makes `count` frames, up to `batch` in a tick, as fast as the next node takes them.
pub struct Pump {
    payloads: Payloads,
    left: i64,
    batch: i64,
}

impl Node for Pump {
    const NAME: &'static str = "pump";
    const SUMMARY: &'static str = "Makes frames as fast as they are taken";
    const PORTS: &'static [Port] = &[Port::output("out").max_out(BATCH as u32)];
    const PARAMS: &'static [Param] = &[
        Param::integer("count", 1).range(0.0, 1e12),
        Param::integer("bytes", AUDIO as i64).range(1.0, 64e6),
        Param::integer("batch", BATCH as i64).range(1.0, BATCH as f64),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Pump {
            payloads: Payloads::new(pool(), config.integer("bytes")? as usize),
            left: config.integer("count")?,
            batch: config.integer("batch")?,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        for _ in 0..self.left.min(self.batch) {
            ctx.emit(0, self.payloads.next())?;
            self.left -= 1;
        }
        if self.left > 0 {
            ctx.tick_again();
        } else {
            ctx.finish();
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

/// Takes frames, and records how long ago the time was that each is stamped with.
pub struct Arrive;

impl Arrive {
    /// The work of one frame, the same wherever a bench calls it from.
    #[inline]
    pub fn take(frame: Frame) {
        arrivals::record(clock::now_ns() - frame.pts());
    }
}

impl Node for Arrive {
    const NAME: &'static str = "arrive";
    const SUMMARY: &'static str = "Records how old each frame is";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Arrive)
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        frames.drain().for_each(Arrive::take);
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
