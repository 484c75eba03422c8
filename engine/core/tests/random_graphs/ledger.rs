//! [`Ledger`]: what the nodes of one session did and saw, to compare with the engine's own report.
//!
//! Each frame carries who stamped it (in `stream`: the node and its output) and that output's number
//! for it (in `pts`). A node stamps what it sends on, so along each link, and along a chain of links
//! through nodes that only look, the numbers of one stamp rise.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use levada_plugin::prelude::*;

use super::feed::Feed;

/// Inputs or outputs of a node at most.
pub const PORTS: usize = 3;
/// Complaints that are kept; the first few tell it all.
const MAX_WRONG: usize = 10;

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A count of calls or frames.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A node's page.
#[derive(Default)]
pub struct Page {
    pub created: Count,
    pub started: Count,
    pub drained: Count,
    pub stopped: Count,
    pub destroyed: Count,
    /// Calls that failed or panicked.
    pub faults: Count,
    /// By input: ends of stream.
    pub ended: [Count; PORTS],
    /// By input: frames that came in.
    pub received: [Count; PORTS],
    /// By output: frames that were sent on, or that the engine took from a feed.
    pub put: [Count; PORTS],
    /// Frames that the node made, clones included.
    pub made: Count,
    /// Frames that it released.
    pub consumed: Count,
    /// Frames that it declared to have dropped before the engine took them.
    pub declared: Count,
}

/// See the module's documentation.
pub struct Ledger {
    pub pages: Vec<Page>,
    /// Payloads that somebody holds.
    live: Arc<AtomicI64>,
    wrong: Mutex<Vec<String>>,
    /// Changes with every call of a node and its order.
    trace: AtomicU64,
    /// Sources that the test itself feeds.
    pub feeds: Mutex<Vec<Feed>>,
}

/// By session.
static LEDGERS: Mutex<Option<HashMap<u64, Arc<Ledger>>>> = Mutex::new(None);

impl Ledger {
    /// Opens the ledger of a session that is yet to be started.
    pub fn open(session: u64, nodes: usize) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger {
            pages: (0..nodes).map(|_| Page::default()).collect(),
            live: Arc::default(),
            wrong: Mutex::default(),
            trace: AtomicU64::new(0),
            feeds: Mutex::default(),
        });
        let mut ledgers = lock(&LEDGERS);
        ledgers
            .get_or_insert_default()
            .insert(session, ledger.clone());
        ledger
    }

    /// Closes the ledger of a session that has ended.
    pub fn close(session: u64) {
        if let Some(ledgers) = &mut *lock(&LEDGERS) {
            ledgers.remove(&session);
        }
    }

    fn of(session: u64) -> Result<Arc<Ledger>> {
        let ledgers = lock(&LEDGERS);
        let ledger = ledgers.as_ref().and_then(|all| all.get(&session));
        ledger
            .cloned()
            .ok_or_else(|| Error::new("the session has no ledger"))
    }

    pub fn complain(&self, what: String) {
        let mut wrong = lock(&self.wrong);
        if wrong.len() < MAX_WRONG {
            wrong.push(what);
        }
    }

    /// What the nodes themselves found wrong.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    pub fn live(&self) -> i64 {
        self.live.load(Ordering::Relaxed)
    }

    pub fn trace(&self) -> u64 {
        self.trace.load(Ordering::Relaxed)
    }

    fn note(&self, values: [i64; 5]) {
        let mix = |mut trace: u64| {
            for value in values {
                trace = (trace ^ value as u64)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(29);
            }
            Some(trace)
        };
        let _ = self
            .trace
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, mix);
    }
}

/// A payload whose release is counted.
struct Payload(Arc<AtomicI64>);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        b"payload"
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Life {
    Created,
    Started,
    Drained,
    Stopped,
}

/// Makes and stamps frames.
pub struct Maker {
    pub host: Host,
    pub ledger: Arc<Ledger>,
    pub node: usize,
    /// By output: the next number.
    next: [i64; PORTS],
}

impl Maker {
    /// For the node whose number is the param `index`.
    pub fn new(config: &Config) -> Result<Maker> {
        Ok(Maker {
            host: config.host(),
            ledger: Ledger::of(config.session())?,
            node: config.integer("index")? as usize,
            next: [0; PORTS],
        })
    }

    pub fn page(&self) -> &Page {
        &self.ledger.pages[self.node]
    }

    /// Makes a frame with a payload of its own.
    pub fn make(&self) -> Frame {
        self.page().made.add(1);
        self.ledger.live.fetch_add(1, Ordering::Relaxed);
        let payload = Payload(self.ledger.live.clone());
        Frame::from_bytes(Kind::Data, Bytes::from_owner(payload))
    }

    /// Stamps a frame that is to go out at an output.
    pub fn stamp(&mut self, out: usize, frame: Frame) -> Frame {
        let number = self.next[out];
        self.next[out] += 1;
        frame
            .with_stream((self.node * PORTS + out) as u16)
            .with_pts(number)
    }

    /// Stamps and emits a frame; `port` is the number of output `out`.
    pub fn emit(&mut self, ctx: &mut Context, port: usize, out: usize, frame: Frame) -> Result {
        let frame = self.stamp(out, frame);
        ctx.emit(port, frame)?;
        self.page().put[out].add(1);
        Ok(())
    }
}

/// Writes a node's page and judges the calls it gets.
pub struct Scribe {
    pub maker: Maker,
    life: Life,
    ended: [bool; PORTS],
    /// By input and stamp: the last number that came in.
    last: HashMap<(usize, u16), i64>,
}

impl Deref for Scribe {
    type Target = Maker;
    fn deref(&self) -> &Maker {
        &self.maker
    }
}

impl DerefMut for Scribe {
    fn deref_mut(&mut self) -> &mut Maker {
        &mut self.maker
    }
}

impl Scribe {
    /// Opens the node's page.
    pub fn new(config: &Config) -> Result<Scribe> {
        let maker = Maker::new(config)?;
        maker.page().created.add(1);
        Ok(Scribe {
            maker,
            life: Life::Created,
            ended: [false; PORTS],
            last: HashMap::new(),
        })
    }

    fn complain(&self, what: impl std::fmt::Display) {
        self.ledger.complain(format!("n{}: {what}", self.node));
    }

    fn called(&mut self, what: &str, call: i64, detail: [i64; 2]) {
        if self.life != Life::Started {
            self.complain(format_args!("{what} while it was {:?}", self.life));
        }
        let now = self.host.now();
        self.ledger
            .note([self.node as i64, call, detail[0], detail[1], now]);
    }

    pub fn started(&mut self) {
        if self.life != Life::Created {
            self.complain(format_args!("started while it was {:?}", self.life));
        }
        self.life = Life::Started;
        self.page().started.add(1);
    }

    pub fn ticked(&mut self) {
        self.called("a tick", 1, [0, 0]);
    }

    /// An event came in, which for an end of stream is at an input.
    pub fn heard(&mut self, port: usize, event: Event) {
        self.called("an event", 2, [port as i64, i64::from(event.kind)]);
        if event.kind != event::kind::END_OF_STREAM {
            return;
        }
        if self.ended[port] {
            self.complain(format_args!("in{port} ended twice"));
        }
        self.ended[port] = true;
        self.page().ended[port].add(1);
    }

    /// A batch of so many frames came in.
    pub fn received(&mut self, port: usize, count: usize) {
        self.called("frames", 3, [port as i64, count as i64]);
        if count == 0 {
            self.complain(format_args!("a call without frames at in{port}"));
        }
        if self.ended[port] {
            self.complain(format_args!("frames at in{port} behind its end"));
        }
        self.page().received[port].add(count);
    }

    /// Checks the order of a frame that came in.
    pub fn check(&mut self, port: usize, stream: u16, number: i64) {
        let last = self.last.insert((port, stream), number).unwrap_or(-1);
        if number <= last {
            let (node, out) = (usize::from(stream) / PORTS, usize::from(stream) % PORTS);
            self.complain(format_args!(
                "at in{port}, frame {number} of n{node}.out{out} came behind frame {last}"
            ));
        }
        self.ledger
            .note([self.node as i64, 4, i64::from(stream), number, port as i64]);
    }

    pub fn drained(&mut self) {
        self.called("the drain", 5, [0, 0]);
        self.life = Life::Drained;
        self.page().drained.add(1);
    }

    pub fn stopped(&mut self) {
        if self.life < Life::Started || self.life == Life::Stopped {
            self.complain(format_args!("stopped while it was {:?}", self.life));
        }
        self.life = Life::Stopped;
        self.page().stopped.add(1);
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.page().destroyed.add(1);
    }
}
