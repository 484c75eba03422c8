//! What does a hop through a node cost that only lets frames pass?
//!
//! A chain of N pass-through nodes between a source and a sink: N + 1 hops. The engine takes frames
//! from the bench's own thread, by reference, one at a time and in batches, and is compared with the
//! raw limit (the same nodes called through their function tables in a plain loop), with a task or a
//! thread a node, and with copying the payload at each hop.

mod support;

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput};
use levada_engine::{Engine, frame::pool::Pool};
use levada_plugin::{Frame, Host};
use support::{
    AUDIO, BATCH, LAST, PICTURE, Pass, Payloads, Running, chain, engine, plan, plugin,
    raw::RawChain,
    table::{self, Contender, cell, timed},
};
use tokio::runtime::{Builder, Runtime};

const NODES: [usize; 4] = [1, 4, 16, 64];
/// Frames that fit between two tasks or threads.
const CAPACITY: usize = 64;

/// Calls `f` with batches of `size` frames, `count` frames or a few more in all.
fn in_batches(count: u64, size: usize, mut f: impl FnMut()) -> Duration {
    timed(|| (0..count.div_ceil(size as u64)).for_each(|_| f()))
}

fn raw_chain(nodes: usize) -> RawChain {
    let mut types = vec!["pass"; nodes];
    types.push("sink");
    RawChain::new(&plugin(), &types)
}

fn raw<'a>(nodes: usize, batch: usize, mut payloads: Payloads) -> Contender<'a> {
    let mut chain = raw_chain(nodes);
    let mut frames = Vec::with_capacity(batch);
    Contender::new("raw", move |count| {
        in_batches(count, batch, || {
            if batch == 1 {
                let mut slot = payloads.next().into_abi();
                chain.run(std::slice::from_mut(&mut slot));
            } else {
                frames.extend((0..batch).map(|_| payloads.next().into_abi()));
                chain.run(&mut frames);
                frames.clear();
            }
        })
    })
}

fn copying<'a>(nodes: usize, len: usize, mut payloads: Payloads) -> Contender<'a> {
    let mut chain = raw_chain(nodes);
    let mut copies = vec![vec![0u8; len]; 2];
    Contender::new("copying", move |count| {
        in_batches(count, 1, || {
            let mut slot = payloads.next().into_abi();
            let mut turn = 0;
            chain.run_with(std::slice::from_mut(&mut slot), |frames| {
                let [a, b] = copies.as_mut_slice() else {
                    unreachable!("there are two")
                };
                match turn {
                    0 => a.copy_from_slice(frames[0].buffer.as_slice()),
                    t if t % 2 == 1 => b.copy_from_slice(a),
                    _ => a.copy_from_slice(b),
                }
                turn += 1;
            });
        })
    })
}

fn levada<'a>(host: Host, batch: usize, mut payloads: Payloads) -> Contender<'a> {
    let mut frames = Vec::with_capacity(batch);
    Contender::new("levada", move |count| {
        in_batches(count, batch, || {
            if batch == 1 {
                assert!(host.ingest(0, payloads.next()).is_ok());
            } else {
                frames.extend((0..batch).map(|_| payloads.next()));
                assert!(host.ingest_batch(0, &mut frames).is_ok());
            }
        })
    })
}

/// A task a node, a channel before each; the sink's task says when the last frame has come.
struct Tasks {
    runtime: Runtime,
    first: tokio::sync::mpsc::Sender<Frame>,
    finished: mpsc::Receiver<()>,
}

impl Tasks {
    fn start(mut builder: Builder, nodes: usize, batch: usize) -> Tasks {
        let runtime = builder.build().expect("the system has threads");
        let (first, mut from) = tokio::sync::mpsc::channel::<Frame>(CAPACITY);
        for _ in 0..nodes {
            let (to, next) = tokio::sync::mpsc::channel(CAPACITY);
            let mut from = std::mem::replace(&mut from, next);
            runtime.spawn(async move {
                let (mut node, mut frames) = (Pass::default(), Vec::with_capacity(batch));
                while from.recv_many(&mut frames, batch).await > 0 {
                    for frame in frames.drain(..) {
                        node.look(frame.pts());
                        if to.send(frame).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
        let (tell, finished) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            while let Some(frame) = from.recv().await {
                if frame.pts() == LAST && tell.send(()).is_err() {
                    return;
                }
            }
        });
        Tasks {
            runtime,
            first,
            finished,
        }
    }

    /// Sends from this thread, as a source outside of the runtime does.
    fn on_workers<'a>(self, mut payloads: Payloads) -> Contender<'a> {
        Contender::new("tokio", move |count| {
            // Named as a whole, or the closure would own its channels without the runtime.
            let tasks = &self;
            timed(|| {
                for _ in 1..count {
                    assert!(tasks.first.blocking_send(payloads.next()).is_ok());
                }
                let last = payloads.next().with_pts(LAST);
                assert!(tasks.first.blocking_send(last).is_ok());
                tasks.finished.recv().expect("the sink lives");
            })
        })
    }

    /// Sends from one more task on the same thread.
    fn on_this_thread<'a>(self, mut payloads: Payloads) -> Contender<'a> {
        Contender::new("tokio, one thread", move |count| {
            timed(|| {
                self.runtime.block_on(async {
                    for _ in 1..count {
                        assert!(self.first.send(payloads.next()).await.is_ok());
                    }
                    let last = payloads.next().with_pts(LAST);
                    assert!(self.first.send(last).await.is_ok());
                    while self.finished.try_recv().is_err() {
                        tokio::task::yield_now().await;
                    }
                });
            })
        })
    }
}

/// A thread a node. Dropping it ends them, from the source down.
struct Threads {
    first: Option<crossbeam::channel::Sender<Frame>>,
    finished: mpsc::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(nodes: usize) -> Threads {
        let (first, mut from) = crossbeam::channel::bounded::<Frame>(CAPACITY);
        let mut threads = vec![];
        for _ in 0..nodes {
            let (to, next) = crossbeam::channel::bounded(CAPACITY);
            let from = std::mem::replace(&mut from, next);
            threads.push(thread::spawn(move || {
                let mut node = Pass::default();
                for frame in from {
                    node.look(frame.pts());
                    if to.send(frame).is_err() {
                        return;
                    }
                }
            }));
        }
        let (tell, finished) = mpsc::sync_channel(1);
        threads.push(thread::spawn(move || {
            for frame in from {
                if frame.pts() == LAST && tell.send(()).is_err() {
                    return;
                }
            }
        }));
        Threads {
            first: Some(first),
            finished,
            threads,
        }
    }

    fn send(&self, frame: Frame) {
        let first = self.first.as_ref().expect("open until the drop");
        assert!(first.send(frame).is_ok());
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.first = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn threads<'a>(nodes: usize, mut payloads: Payloads) -> Contender<'a> {
    let threads = Threads::start(nodes);
    Contender::new("threads", move |count| {
        timed(|| {
            (1..count).for_each(|_| threads.send(payloads.next()));
            threads.send(payloads.next().with_pts(LAST));
            threads.finished.recv().expect("the sink lives");
        })
    })
}

/// One line of the table: the contenders at one length, batch and payload.
struct Group {
    nodes: usize,
    batch: usize,
    payload: (&'static str, usize),
}

impl Group {
    fn all() -> Vec<Group> {
        let picture = ("picture", PICTURE);
        let mut groups = vec![];
        for batch in [1, BATCH] {
            groups.extend(NODES.map(|nodes| Group {
                nodes,
                batch,
                payload: picture,
            }));
            groups.push(Group {
                nodes: 4,
                batch,
                payload: ("audio", AUDIO),
            });
        }
        groups
    }

    /// Runs `f` with the contenders.
    fn with<R>(&self, engine: &Engine, f: impl FnOnce(&mut [Contender]) -> R) -> R {
        let (nodes, batch, (_, len)) = (self.nodes, self.batch, self.payload);
        let pool = Pool::new(256 << 20);
        let payloads = || Payloads::new(&pool, len);
        let running = Running::start(engine, &plan(&chain(nodes)));
        let result = {
            let mut contenders = vec![
                raw(nodes, batch, payloads()),
                levada(running.host(), batch, payloads()),
                Tasks::start(Builder::new_multi_thread(), nodes, batch).on_workers(payloads()),
                Tasks::start(Builder::new_current_thread(), nodes, batch)
                    .on_this_thread(payloads()),
                threads(nodes, payloads()),
            ];
            if nodes == 4 && batch == 1 {
                contenders.push(copying(nodes, len, payloads()));
            }
            f(&mut contenders)
        };
        running.stop();
        result
    }

    fn name(&self) -> String {
        format!("{}/batch {}", self.payload.0, self.batch)
    }
}

fn measure_with_criterion(engine: &Engine, criterion: &mut Criterion) {
    for group in Group::all() {
        let mut bench = criterion.benchmark_group(format!("chain/{}", group.name()));
        bench.throughput(Throughput::Elements(group.nodes as u64 + 1));
        group.with(engine, |contenders| {
            for contender in contenders {
                let id = BenchmarkId::new(contender.name, group.nodes);
                bench.bench_function(id, |b| b.iter_custom(|n| (contender.measure)(n)));
            }
        });
        bench.finish();
    }
}

fn print_table(engine: &Engine) {
    let rows: Vec<_> = Group::all()
        .iter()
        .map(|group| {
            let outcome = group.with(engine, table::compare);
            let hop = |name| cell(outcome.ns(name) / (group.nodes + 1) as f64, "");
            let ratio = |name, base| cell(outcome.ratio(name, base), "x");
            vec![
                group.payload.0.into(),
                group.batch.to_string(),
                group.nodes.to_string(),
                hop("raw"),
                hop("levada"),
                hop("tokio"),
                hop("tokio, one thread"),
                hop("threads"),
                hop("copying"),
                ratio("levada", "raw"),
                ratio("tokio", "levada"),
                ratio("tokio, one thread", "levada"),
                ratio("threads", "levada"),
                ratio("copying", "levada"),
            ]
        })
        .collect();
    table::print(
        "CPU ns a frame a hop (N + 1 hops), medians of interleaved rounds, and ratios",
        &[
            "payload",
            "batch",
            "N",
            "raw",
            "levada",
            "tokio",
            "tokio, one thread",
            "threads",
            "copying",
            "levada/raw",
            "tokio/levada",
            "tokio, one thread/levada",
            "threads/levada",
            "copying/levada",
        ],
        &rows,
    );
}

fn main() {
    let engine = engine();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .configure_from_args();
    measure_with_criterion(&engine, &mut criterion);
    criterion.final_summary();
    if table::is_wanted() {
        print_table(&engine);
    }
}
