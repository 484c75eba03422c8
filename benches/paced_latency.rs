//! How long does a frame take from its source to the sink, at a pace of 1,000 frames a second?
//!
//! Sixteen pass-through nodes between. Each frame is stamped when the bench's thread hands it in, and
//! its age is taken in the sink. The pace is the same for all: the thread sleeps, and spins until the
//! frame is due. Between two frames everything has come to rest, so what is measured is the way of one
//! frame through idle nodes, where throughput says nothing.

mod support;

use hdrhistogram::Histogram;
use levada_abi::Frame as Slot;
use levada_engine::{Engine, clock};
use levada_plugin::Frame;
use support::{
    PICTURE, Payloads, Running,
    arrivals::{collect, histogram, wait_until},
    chain_between, engine,
    nodes::Arrive,
    peers::{Tasks, Threads},
    plan, plugin, pool,
    raw::RawChain,
    table::{self, cell, median},
};
use tokio::runtime::Builder;

const NODES: usize = 16;
const PERIOD_NS: i64 = 1_000_000;
/// Frames of a turn, and turns of each way.
const FRAMES: u64 = 500;
const ROUNDS: usize = 12;

/// A way through sixteen nodes to a sink that takes the frame's age.
struct Way<'a> {
    name: &'static str,
    send: Box<dyn FnMut(Frame) + 'a>,
    /// What each turn found.
    ages: Vec<Histogram<u64>>,
}

impl<'a> Way<'a> {
    fn new(name: &'static str, send: impl FnMut(Frame) + 'a) -> Way<'a> {
        Way {
            name,
            send: Box::new(send),
            ages: vec![],
        }
    }

    fn turn(&mut self, frames: u64, payloads: &mut Payloads) {
        let mut due = clock::now_ns();
        for _ in 0..frames {
            let frame = payloads.next();
            due += PERIOD_NS;
            wait_until(due);
            (self.send)(frame.with_pts(clock::now_ns()));
        }
        self.ages.push(collect(frames));
    }

    fn quantile(&self, round: usize, quantile: f64) -> f64 {
        self.ages[round].value_at_quantile(quantile) as f64
    }

    /// Median over the turns, in us.
    fn us(&self, quantile: f64) -> String {
        let rounds = (0..self.ages.len()).map(|round| self.quantile(round, quantile));
        cell(median(rounds.collect()) / 1e3, "")
    }

    /// Median over the rounds of the ratio within a round.
    fn ratio(&self, base: &Way, quantile: f64) -> String {
        let rounds = (0..self.ages.len())
            .map(|round| self.quantile(round, quantile) / base.quantile(round, quantile));
        cell(median(rounds.collect()), "x")
    }

    fn row(&self, base: &Way) -> Vec<String> {
        let mut all = histogram();
        for ages in &self.ages {
            all.add(ages).expect("they have the same bounds");
        }
        vec![
            self.name.to_owned(),
            self.us(0.5),
            self.us(0.99),
            cell(all.value_at_quantile(0.999) as f64 / 1e3, ""),
            cell(all.max() as f64 / 1e3, ""),
            self.ratio(base, 0.5),
            self.ratio(base, 0.99),
        ]
    }
}

fn raw<'a>() -> Way<'a> {
    let mut types = vec!["pass"; NODES];
    types.push("arrive");
    let mut chain = RawChain::new(&plugin(), &types);
    Way::new("raw", move |frame| {
        let mut slot: Slot = frame.into_abi();
        chain.run(std::slice::from_mut(&mut slot));
    })
}

fn levada<'a>(running: &Running) -> Way<'a> {
    let host = running.host();
    Way::new("levada", move |frame| {
        assert!(host.ingest(0, frame).is_ok());
    })
}

fn tasks<'a>() -> Way<'a> {
    let tasks = Tasks::start(Builder::new_multi_thread(), NODES, 1, Arrive::take);
    Way::new("tokio", move |frame| tasks.send(frame))
}

fn threads<'a>() -> Way<'a> {
    let threads = Threads::start(NODES, Arrive::take);
    Way::new("threads", move |frame| threads.send(frame))
}

fn measure(engine: &Engine) -> Vec<Vec<String>> {
    let (frames, rounds) = if table::is_short() {
        (5, 1)
    } else {
        (FRAMES, ROUNDS)
    };
    let mut payloads = Payloads::new(pool(), PICTURE);
    let running = Running::start(engine, &plan(&chain_between("feed", &[], NODES, "arrive")));
    let mut ways = [raw(), levada(&running), tasks(), threads()];
    // The first frames find nothing in the caches, and threads that have yet to start.
    for way in &mut ways {
        way.turn(frames / 10 + 1, &mut payloads);
        way.ages.clear();
    }
    for round in 0..rounds {
        // Each begins a round in turn, so that none always follows the same other.
        for turn in 0..ways.len() {
            let at = (round + turn) % ways.len();
            ways[at].turn(frames, &mut payloads);
        }
    }
    let rows = ways.iter().map(|way| way.row(&ways[0])).collect();
    drop(ways);
    running.stop();
    rows
}

fn main() {
    if !table::is_wanted() {
        return;
    }
    let rows = measure(&engine());
    table::print(
        "us from the source to the sink behind 16 nodes, at 1,000 frames a second",
        &["way", "p50", "p99", "p99.9", "max", "p50/raw", "p99/raw"],
        &rows,
    );
}
