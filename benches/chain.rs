//! What does a hop through a node cost that only lets frames pass?
//!
//! A chain of N pass-through nodes between a source and a sink: N + 1 hops. The engine takes frames
//! from the bench's own thread, by reference, one at a time and in batches, and is compared with the
//! raw limit (the same nodes called through their function tables in a plain loop), with a task or a
//! thread a node, and with copying the payload at each hop. On the owned path the engine's own thread
//! runs the source as well, one frame a tick.

mod support;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use levada_engine::{Engine, frame::pool::Pool};
use levada_plugin::Host;
use support::{
    AUDIO, BATCH, LAST, PICTURE, Payloads, Running, chain, chain_between, engine,
    peers::{Tasks, Threads, until_last},
    plan, plugin,
    raw::RawChain,
    table::{self, Contender, cell, timed},
};
use tokio::runtime::Builder;

const NODES: [usize; 4] = [1, 4, 16, 64];

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

/// Tasks on workers; this thread sends, as a source outside of the runtime does.
fn tasks<'a>(nodes: usize, batch: usize, mut payloads: Payloads) -> Contender<'a> {
    let (sink, finished) = until_last();
    let tasks = Tasks::start(Builder::new_multi_thread(), nodes, batch, sink);
    Contender::new("tokio", move |count| {
        // Named as a whole, or the closure would own its channels without the runtime.
        let tasks = &tasks;
        timed(|| {
            (1..count).for_each(|_| tasks.send(payloads.next()));
            tasks.send(payloads.next().with_pts(LAST));
            finished.recv().expect("the sink lives");
        })
    })
}

/// Tasks on this thread; one more of them sends.
fn tasks_here<'a>(nodes: usize, batch: usize, mut payloads: Payloads) -> Contender<'a> {
    let (sink, finished) = until_last();
    let tasks = Tasks::start(Builder::new_current_thread(), nodes, batch, sink);
    Contender::new("tokio, one thread", move |count| {
        timed(|| {
            tasks.runtime.block_on(async {
                for _ in 1..count {
                    assert!(tasks.first.send(payloads.next()).await.is_ok());
                }
                let last = payloads.next().with_pts(LAST);
                assert!(tasks.first.send(last).await.is_ok());
                while finished.try_recv().is_err() {
                    tokio::task::yield_now().await;
                }
            });
        })
    })
}

fn threads<'a>(nodes: usize, mut payloads: Payloads) -> Contender<'a> {
    let (sink, finished) = until_last();
    let threads = Threads::start(nodes, sink);
    Contender::new("threads", move |count| {
        timed(|| {
            (1..count).for_each(|_| threads.send(payloads.next()));
            threads.send(payloads.next().with_pts(LAST));
            finished.recv().expect("the sink lives");
        })
    })
}

const OWNED: [&str; 2] = ["raw, with the source", "levada, owned"];

/// A source that the engine's own thread runs, one frame a tick, against the same source's function
/// called in the plain loop.
fn owned<'a>(running: &Running, nodes: usize) -> Vec<Contender<'a>> {
    let mut types = vec!["pass"; nodes + 2];
    (types[0], types[nodes + 1]) = ("drip", "sink");
    let mut chain = RawChain::with_params(&plugin(), &types, &[("bytes", PICTURE as i64)]);
    let (raw, order, mut made) = (chain.order(), running.order(), Vec::with_capacity(1));
    vec![
        Contender::new(OWNED[0], move |count| {
            raw.place(count);
            let took = timed(|| (0..count).for_each(|_| chain.tick_and_run(&mut made)));
            raw.wait();
            took
        }),
        Contender::new(OWNED[1], move |count| timed(|| order.carry_out(count))),
    ]
}

/// Runs `f` with the contenders of the owned path.
fn with_owned<R>(engine: &Engine, nodes: usize, f: impl FnOnce(&mut [Contender]) -> R) -> R {
    let graph = chain_between("drip", &[("bytes", PICTURE as i64)], nodes, "sink");
    let running = Running::start(engine, &plan(&graph));
    let result = f(&mut owned(&running, nodes));
    running.stop();
    result
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
                tasks(nodes, batch, payloads()),
                tasks_here(nodes, batch, payloads()),
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
    let mut bench = criterion.benchmark_group("chain/owned");
    for nodes in NODES {
        bench.throughput(Throughput::Elements(nodes as u64 + 1));
        with_owned(engine, nodes, |contenders| {
            for contender in contenders {
                let id = BenchmarkId::new(contender.name, nodes);
                bench.bench_function(id, |b| b.iter_custom(|n| (contender.measure)(n)));
            }
        });
    }
    bench.finish();
}

fn print_owned(engine: &Engine) {
    let rows = NODES.map(|nodes| {
        let outcome = with_owned(engine, nodes, table::compare);
        let hop = |name| cell(outcome.ns(name) / (nodes + 1) as f64, "");
        vec![
            nodes.to_string(),
            hop(OWNED[0]),
            hop(OWNED[1]),
            cell(outcome.ratio(OWNED[1], OWNED[0]), "x"),
        ]
    });
    table::print(
        "CPU ns a frame a hop, one picture at a time from a source that the engine runs",
        &["N", OWNED[0], OWNED[1], "levada/raw"],
        &rows,
    );
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
        print_owned(&engine);
    }
}
