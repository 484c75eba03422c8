//! What does a hop cost in a pipeline that is written in Python?
//!
//! Sixteen nodes: a chain of the engine's, and a chain of asyncio queues with a task a node in one
//! process of `python3`, which says itself how much CPU time it took. Both carry a 1.4 MB picture by
//! reference, and take turns. Where there is no `python3`, a line says so.

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use criterion::{Criterion, Throughput};
use levada_engine::Engine;
use support::{
    BATCH, PICTURE, Payloads, Running, chain, engine,
    peers::CAPACITY,
    plan, pool,
    table::{self, Contender, cell, timed},
};

const NODES: usize = 16;
const NAMES: [&str; 3] = ["levada", "levada, batch 32", "asyncio"];

/// A chain in a process of its own, which ends with this.
struct Python {
    process: Child,
    /// Open until the drop.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    version: String,
}

impl Python {
    /// Starts it, or says why there is none.
    fn start() -> Result<Python, String> {
        let mut process = Command::new("python3")
            .args(["-c", include_str!("python/chain.py")])
            .args([NODES.to_string(), CAPACITY.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3 does not start: {error}"))?;
        let orders = process.stdin.take();
        let answers = process.stdout.take().expect("it was asked for");
        let mut python = Python {
            process,
            orders,
            answers: BufReader::new(answers),
            version: String::new(),
        };
        python.version = python.answer();
        if python.version.is_empty() {
            return Err("python3 ended without running the chain; it takes 3.7 or newer".into());
        }
        Ok(python)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.expect("Python writes text");
        line.trim().to_owned()
    }

    fn pass(&mut self, frames: u64) -> Duration {
        let orders = self.orders.as_mut().expect("open until the drop");
        writeln!(orders, "{frames}").expect("Python reads on");
        let ns = self.answer().parse().expect("Python answers a time");
        Duration::from_nanos(ns)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.orders = None;
        let _ = self.process.wait();
    }
}

fn levada<'a>(name: &'static str, running: &Running, batch: usize) -> Contender<'a> {
    let (host, mut payloads) = (running.host(), Payloads::new(pool(), PICTURE));
    let mut frames = Vec::with_capacity(batch);
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

fn with<R>(engine: &Engine, mut python: Python, f: impl FnOnce(&mut [Contender]) -> R) -> R {
    let running = Running::start(engine, &plan(&chain(NODES)));
    let result = f(&mut [
        levada(NAMES[0], &running, 1),
        levada(NAMES[1], &running, BATCH),
        Contender::new(NAMES[2], move |count| python.pass(count)),
    ]);
    running.stop();
    result
}

fn main() {
    let python = match Python::start() {
        Ok(python) => python,
        Err(why) => {
            println!("python: skipped, {why}");
            return;
        }
    };
    let (engine, version) = (engine(), python.version.clone());
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    with(&engine, python, |contenders| {
        let mut bench = criterion.benchmark_group("python");
        bench.throughput(Throughput::Elements(NODES as u64 + 1));
        for contender in contenders.iter_mut() {
            bench.bench_function(contender.name, |b| {
                b.iter_custom(|n| (contender.measure)(n));
            });
        }
        bench.finish();
        if !table::is_wanted() {
            return;
        }
        let outcome = table::compare(contenders);
        let rows = NAMES.map(|name| {
            vec![
                name.to_owned(),
                cell(outcome.ns(name) / (NODES + 1) as f64, ""),
                cell(outcome.ratio(NAMES[2], name), "x"),
            ]
        });
        table::print(
            &format!("CPU ns a frame a hop through {NODES} nodes, against asyncio of {version}"),
            &["chain", "ns", "asyncio to it"],
            &rows,
        );
    });
    criterion.final_summary();
}
