//! What does a hop from one thread to another cost?
//!
//! A source and a sink on two workers with a bounded channel between them: the engine's (the sink is
//! declared heavy), crossbeam's and tokio's, all of the same capacity. Making a frame and releasing it
//! is part of each figure; the same source and sink in one segment, without a hop, show how much that
//! is.

mod support;

use std::{sync::mpsc, thread, time::Duration};

use criterion::Criterion;
use levada_engine::{
    Engine,
    frame::pool::Pool,
    graph::{GraphBuilder, Policy},
};
use levada_plugin::Frame;
use support::{
    AUDIO, BATCH, LAST, Payloads, Running, engine, plan,
    table::{self, Contender, cell, timed},
};

const CAPACITY: usize = 64;
const NAMES: [&str; 5] = [
    "levada, inline",
    "levada",
    "crossbeam",
    "tokio",
    "tokio, recv_many",
];

fn levada<'a>(engine: &'a Engine, name: &'static str, sink: &'static str) -> Contender<'a> {
    Contender::new(name, move |count| {
        let mut graph = GraphBuilder::new("hop");
        let count = i64::try_from(count).expect("a bench is finite");
        graph.node("pump", "pump").param("count", count);
        graph.node("sink", sink);
        graph.link_with("pump -> sink", Some(Policy::Block), Some(CAPACITY));
        let plan = plan(&graph);
        let mut seen = 0;
        let took = timed(|| seen = Running::start(engine, &plan).wait().nodes[1].frames_in);
        assert_eq!(seen, count as u64);
        took
    })
}

fn crossbeam_channel<'a>(mut payloads: Payloads) -> Contender<'a> {
    let (to, from) = crossbeam::channel::bounded::<Frame>(CAPACITY);
    let (tell, finished) = mpsc::sync_channel(1);
    // Both threads live until their channel closes; the process does not wait for them.
    thread::spawn(move || {
        for frame in from {
            if frame.pts() == LAST && tell.send(()).is_err() {
                return;
            }
        }
    });
    Contender::new(NAMES[2], move |count| {
        timed(|| {
            for _ in 1..count {
                assert!(to.send(payloads.next()).is_ok());
            }
            assert!(to.send(payloads.next().with_pts(LAST)).is_ok());
            finished.recv().expect("the sink lives");
        })
    })
}

fn tokio_channel<'a>(name: &'static str, batch: usize, mut payloads: Payloads) -> Contender<'a> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("the system has threads");
    let (to, mut from) = tokio::sync::mpsc::channel::<Frame>(CAPACITY);
    let (order, mut orders) = tokio::sync::mpsc::channel::<u64>(1);
    let (tell, finished) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        while let Some(count) = orders.recv().await {
            for _ in 1..count {
                assert!(to.send(payloads.next()).await.is_ok());
            }
            assert!(to.send(payloads.next().with_pts(LAST)).await.is_ok());
        }
    });
    runtime.spawn(async move {
        let mut frames = Vec::with_capacity(batch);
        while from.recv_many(&mut frames, batch).await > 0 {
            for frame in frames.drain(..) {
                if frame.pts() == LAST && tell.send(()).is_err() {
                    return;
                }
            }
        }
    });
    Contender::new(name, move |count| {
        // Owned here, so that the runtime lives as long as the contender.
        let _runtime = &runtime;
        timed(|| {
            order.blocking_send(count).expect("the source lives");
            finished.recv().expect("the sink lives");
        })
    })
}

fn main() {
    let (engine, pool) = (engine(), Pool::new(64 << 20));
    let payloads = || Payloads::new(&pool, AUDIO);
    let mut contenders = vec![
        levada(&engine, NAMES[0], "sink"),
        levada(&engine, NAMES[1], "heavy-sink"),
        crossbeam_channel(payloads()),
        tokio_channel(NAMES[3], 1, payloads()),
        tokio_channel(NAMES[4], BATCH, payloads()),
    ];
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for contender in &mut contenders {
        criterion.bench_function(&format!("hop/{}", contender.name), |b| {
            b.iter_custom(|n| (contender.measure)(n));
        });
    }
    criterion.final_summary();
    if table::is_wanted() {
        let outcome = table::compare(&mut contenders);
        let rows = NAMES.map(|name| {
            vec![
                name.to_owned(),
                cell(outcome.ns(name), ""),
                cell(outcome.ratio(name, NAMES[1]), "x"),
            ]
        });
        table::print(
            "CPU ns a frame, made, handed to another thread and released; medians of interleaved rounds",
            &["channel", "ns", "to levada"],
            &rows,
        );
    }
}
