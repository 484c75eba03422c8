//! What does a frame cost where eight inputs meet in one node?
//!
//! Eight branches of one source meet inline: all are of one segment, which the bench's thread runs.
//! Eight sources that the engine's threads run meet through channels: each source is a segment, and the
//! node takes from eight queues. Compared with the same nodes called in a plain loop, and, for sources,
//! with eight threads that share a crossbeam channel and eight tasks that share one of tokio's.

mod support;

use std::{hint::black_box, sync::mpsc, thread, time::Duration};

use criterion::{Criterion, Throughput};
use levada_engine::{
    Engine,
    graph::{GraphBuilder, Policy},
};
use levada_plugin::{Plugin, prelude::*};
use support::{
    AUDIO, BATCH, LAST, Pass, Payloads, Running, engine,
    nodes::Pump,
    peers::CAPACITY,
    plan_with, pool,
    raw::RawChain,
    table::{self, Contender, cell, timed},
};

const INPUTS: usize = 8;
const RAW: &str = "raw";
const LEVADA: &str = "levada";

/// Takes frames at eight inputs and releases them.
#[derive(Default)]
struct Join {
    count: u64,
}

impl Node for Join {
    const NAME: &'static str = "join";
    const SUMMARY: &'static str = "Counts the frames of eight inputs and releases them";
    const PORTS: &'static [Port] = &[
        Port::input("in1"),
        Port::input("in2"),
        Port::input("in3"),
        Port::input("in4"),
        Port::input("in5"),
        Port::input("in6"),
        Port::input("in7"),
        Port::input("in8"),
    ];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Join::default())
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.count += 1;
            black_box(&frame);
        }
        Ok(())
    }
}

fn join() -> Plugin {
    Builtin::new("fan-in", "0.0.0").with::<Join>().into_plugin()
}

/// Instances of a type for each input, and the node that they lead to, last.
fn raw_nodes(name: &str, params: &[(&str, i64)]) -> RawChain {
    let plugin = Builtin::new("fan-in", "0.0.0")
        .with::<Pass>()
        .with::<Pump>()
        .with::<Join>()
        .into_plugin();
    let mut types = vec![name; INPUTS];
    types.push("join");
    RawChain::with_params(&plugin, &types, params)
}

/// Calls `f`, which passes on `size` frames, until `count` frames have passed or a few more, and
/// returns the time that `count` took.
fn in_turns(count: u64, size: usize, mut f: impl FnMut()) -> Duration {
    let turns = count.div_ceil(size as u64);
    let took = timed(|| (0..turns).for_each(|_| f()));
    took.mul_f64(count as f64 / (turns * size as u64) as f64)
}

fn raw_branches<'a>(batch: usize) -> Contender<'a> {
    let (mut nodes, mut payloads) = (raw_nodes("pass", &[]), Payloads::new(pool(), AUDIO));
    let (mut frames, mut clones) = (Vec::with_capacity(batch), Vec::with_capacity(batch));
    Contender::new(RAW, move |count| {
        in_turns(count, batch * INPUTS, || {
            frames.extend((0..batch).map(|_| payloads.next().into_abi()));
            for branch in 0..INPUTS {
                let last = branch + 1 == INPUTS;
                clones.clear();
                if !last {
                    clones.extend_from_slice(&frames);
                }
                let frames = if last { &mut frames } else { &mut clones };
                nodes.call(branch, 0, frames);
                nodes.call(INPUTS, branch as u32, frames);
            }
            frames.clear();
        })
    })
}

fn branches<'a>(running: &Running, batch: usize) -> Contender<'a> {
    let (host, mut payloads) = (running.host(), Payloads::new(pool(), AUDIO));
    let mut frames = Vec::with_capacity(batch);
    Contender::new(LEVADA, move |count| {
        in_turns(count, batch * INPUTS, || {
            if batch == 1 {
                assert!(host.ingest(0, payloads.next()).is_ok());
            } else {
                frames.extend((0..batch).map(|_| payloads.next()));
                assert!(host.ingest_batch(0, &mut frames).is_ok());
            }
        })
    })
}

fn raw_sources<'a>(batch: usize) -> Contender<'a> {
    let params = [("count", i64::MAX), ("batch", batch as i64)];
    let mut nodes = raw_nodes("pump", &params);
    let (mut made, mut source) = (Vec::with_capacity(batch), 0);
    Contender::new(RAW, move |count| {
        in_turns(count, batch, || {
            nodes.tick(source, &mut made);
            nodes.call(INPUTS, source as u32, &mut made);
            made.clear();
            source = (source + 1) % INPUTS;
        })
    })
}

fn sources<'a>(engine: &'a Engine, batch: usize) -> Contender<'a> {
    Contender::new(LEVADA, move |count| {
        let each = count.div_ceil(INPUTS as u64);
        let mut graph = GraphBuilder::new("sources");
        for source in 1..=INPUTS {
            let name = format!("pump{source}");
            graph
                .node(&name, "pump")
                .param("count", each as i64)
                .param("batch", batch as i64);
            let link = format!("{name} -> join.in{source}");
            graph.link_with(&link, Some(Policy::Block), Some(CAPACITY));
        }
        graph.node("join", "join");
        let plan = plan_with(&graph, &[join()]);
        let mut report = None;
        let took = timed(|| report = Some(Running::start(engine, &plan).wait()));
        let seen = report.map_or(0, |r| r.nodes[INPUTS].frames_in);
        assert_eq!(seen, each * INPUTS as u64);
        took.mul_f64(count as f64 / seen as f64)
    })
}

/// Counts the sources that have sent their last frame, and says when all have.
fn until_all_last() -> (impl FnMut(Frame) + Send + 'static, mpsc::Receiver<()>) {
    let (tell, finished) = mpsc::sync_channel(1);
    let mut ended = 0;
    let sink = move |frame: Frame| {
        if frame.pts() == LAST {
            ended = (ended + 1) % INPUTS;
            if ended == 0 {
                // The bench has gone, and this end goes next.
                let _ = tell.send(());
            }
        }
    };
    (sink, finished)
}

/// Orders `count` frames of eight sources, and returns the time that they took.
fn ordered(count: u64, order: impl Fn(u64), finished: &mpsc::Receiver<()>) -> Duration {
    let each = count.div_ceil(INPUTS as u64);
    let took = timed(|| {
        order(each);
        finished.recv().expect("the sink lives");
    });
    took.mul_f64(count as f64 / (each * INPUTS as u64) as f64)
}

/// A source a thread. They live until their channels close; the process does not wait for them.
fn threads<'a>(batch: usize) -> Contender<'a> {
    let (to, from) = crossbeam::channel::bounded::<Frame>(CAPACITY);
    let (mut sink, finished) = until_all_last();
    let orders: Vec<_> = (0..INPUTS)
        .map(|_| {
            let (order, orders) = mpsc::sync_channel::<u64>(1);
            let (to, mut payloads) = (to.clone(), Payloads::new(pool(), AUDIO));
            thread::spawn(move || {
                for count in orders {
                    (1..count).for_each(|_| assert!(to.send(payloads.next()).is_ok()));
                    assert!(to.send(payloads.next().with_pts(LAST)).is_ok());
                }
            });
            order
        })
        .collect();
    thread::spawn(move || {
        while let Ok(first) = from.recv() {
            sink(first);
            from.try_iter().take(batch - 1).for_each(&mut sink);
        }
    });
    Contender::new("crossbeam", move |count| {
        let order = |each| {
            for order in &orders {
                order.send(each).expect("the sources live");
            }
        };
        ordered(count, order, &finished)
    })
}

/// A source a task.
fn tasks<'a>(batch: usize) -> Contender<'a> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("the system has threads");
    let (to, mut from) = tokio::sync::mpsc::channel::<Frame>(CAPACITY);
    let (mut sink, finished) = until_all_last();
    let orders: Vec<_> = (0..INPUTS)
        .map(|_| {
            let (order, mut orders) = tokio::sync::mpsc::channel::<u64>(1);
            let (to, mut payloads) = (to.clone(), Payloads::new(pool(), AUDIO));
            runtime.spawn(async move {
                while let Some(count) = orders.recv().await {
                    for _ in 1..count {
                        assert!(to.send(payloads.next()).await.is_ok());
                    }
                    assert!(to.send(payloads.next().with_pts(LAST)).await.is_ok());
                }
            });
            order
        })
        .collect();
    runtime.spawn(async move {
        let mut frames = Vec::with_capacity(batch);
        while from.recv_many(&mut frames, batch).await > 0 {
            frames.drain(..).for_each(&mut sink);
        }
    });
    Contender::new("tokio", move |count| {
        // Owned here, so that the runtime lives as long as the contender.
        let _runtime = &runtime;
        let order = |each| {
            for order in &orders {
                order.blocking_send(each).expect("the sources live");
            }
        };
        ordered(count, order, &finished)
    })
}

fn start_branches(engine: &Engine) -> Running {
    let mut graph = GraphBuilder::new("branches");
    graph.node("feed", "feed");
    graph.node("join", "join");
    for branch in 1..=INPUTS {
        let name = format!("branch{branch}");
        graph.node(&name, "pass");
        graph.link(&format!("feed -> {name} -> join.in{branch}"));
    }
    Running::start(engine, &plan_with(&graph, &[join()]))
}

const GROUPS: [(&str, usize); 4] = [
    ("branches", 1),
    ("branches", BATCH),
    ("sources", 1),
    ("sources", BATCH),
];

/// Runs `f` with the contenders of a group.
fn with<R>(
    engine: &Engine,
    (inputs, batch): (&str, usize),
    f: impl FnOnce(&mut [Contender]) -> R,
) -> R {
    if inputs == "sources" {
        return f(&mut [
            raw_sources(batch),
            sources(engine, batch),
            threads(batch),
            tasks(batch),
        ]);
    }
    let running = start_branches(engine);
    let result = f(&mut [raw_branches(batch), branches(&running, batch)]);
    running.stop();
    result
}

fn main() {
    let engine = engine();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    for group in GROUPS {
        let mut bench = criterion.benchmark_group(format!("fan_in/{}/batch {}", group.0, group.1));
        bench.throughput(Throughput::Elements(1));
        with(&engine, group, |contenders| {
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
        let rows = GROUPS.map(|group| {
            let outcome = with(&engine, group, table::compare);
            let mut row = vec![format!("8 {}", group.0), group.1.to_string()];
            row.extend([RAW, LEVADA, "crossbeam", "tokio"].map(|name| cell(outcome.ns(name), "")));
            row.extend(
                [(LEVADA, RAW), ("crossbeam", LEVADA), ("tokio", LEVADA)]
                    .map(|(name, base)| cell(outcome.ratio(name, base), "x")),
            );
            row
        });
        table::print(
            "CPU ns a frame that arrives at one node with eight inputs, medians of interleaved rounds",
            &[
                "inputs",
                "batch",
                "raw",
                "levada",
                "crossbeam",
                "tokio",
                "levada/raw",
                "crossbeam/levada",
                "tokio/levada",
            ],
            &rows,
        );
    }
}
