//! What does a branch cost where one output feeds eight consumers?
//!
//! Consumers that only look borrow the frames; those that take them get a clone each (the last one
//! gets the frames themselves). Compared with cloning and dropping `Bytes` once a branch, which is
//! what handing shared memory to eight owners costs at least.

mod support;

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use levada_engine::{Engine, frame::pool::Pool, graph::GraphBuilder};
use support::{
    BATCH, PICTURE, Payloads, Running, engine, plan,
    table::{self, Contender, cell, timed},
};

const BRANCHES: u64 = 8;
const NAMES: [&str; 3] = ["Bytes clone and drop", "only look", "take"];

fn start(engine: &Engine, sink: &str) -> Running {
    let mut graph = GraphBuilder::new("fan-out");
    graph.node("feed", "feed");
    for branch in 1..=BRANCHES {
        let name = format!("sink{branch}");
        graph.node(&name, sink);
        graph.link(&format!("feed -> {name}"));
    }
    Running::start(engine, &plan(&graph))
}

fn levada<'a>(
    name: &'static str,
    running: &Running,
    batch: usize,
    mut payloads: Payloads,
) -> Contender<'a> {
    let (host, mut frames) = (running.host(), Vec::with_capacity(batch));
    Contender::new(name, move |count| {
        timed(|| {
            for _ in 0..count.div_ceil(batch as u64) {
                if batch == 1 {
                    assert!(host.ingest(0, payloads.next()).is_ok());
                } else {
                    frames.extend((0..batch).map(|_| payloads.next()));
                    assert!(host.ingest_batch(0, &mut frames).is_ok());
                }
            }
        })
    })
}

fn bytes<'a>() -> Contender<'a> {
    let bytes = Bytes::from(vec![0; PICTURE]);
    // The first clone of `Bytes` made of a vector makes the count that the others share.
    let _counted = bytes.clone();
    Contender::new(NAMES[0], move |count| {
        timed(|| {
            for _ in 0..count * BRANCHES {
                drop(black_box(bytes.clone()));
            }
        })
    })
}

fn with<R>(engine: &Engine, batch: usize, f: impl FnOnce(&mut [Contender]) -> R) -> R {
    let pool = Pool::new(256 << 20);
    let payloads = || Payloads::new(&pool, PICTURE);
    let (looking, taking) = (start(engine, "look"), start(engine, "sink"));
    let result = f(&mut [
        bytes(),
        levada(NAMES[1], &looking, batch, payloads()),
        levada(NAMES[2], &taking, batch, payloads()),
    ]);
    looking.stop();
    taking.stop();
    result
}

fn main() {
    let engine = engine();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for batch in [1, BATCH] {
        let mut bench = criterion.benchmark_group(format!("fan_out/batch {batch}"));
        bench.throughput(Throughput::Elements(BRANCHES));
        with(&engine, batch, |contenders| {
            for contender in contenders {
                bench.bench_function(contender.name, |b| {
                    b.iter_custom(|n| (contender.measure)(n));
                });
            }
        });
        bench.finish();
    }
    criterion.final_summary();
    if table::is_wanted() {
        let mut rows = vec![];
        for batch in [1, BATCH] {
            let outcome = with(&engine, batch, table::compare);
            rows.extend(NAMES.map(|name| {
                vec![
                    batch.to_string(),
                    name.to_owned(),
                    cell(outcome.ns(name) / BRANCHES as f64, ""),
                    cell(outcome.ratio(name, NAMES[0]), "x"),
                ]
            }));
        }
        table::print(
            "CPU ns a frame a branch of eight, medians of interleaved rounds",
            &["batch", "consumers", "ns", "to Bytes"],
            &rows,
        );
    }
}
