//! What does memory for a payload cost?
//!
//! A loan from the engine's pool and its release, through the pool itself and through a node's
//! [`Host`], against `malloc` and `free` (`Vec::with_capacity`). Released where it was loaned, or on
//! another thread, which gets several at a time; handing them over is not part of the figure. One
//! byte of each is written.

mod support;

use std::{
    hint::black_box,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use levada_abi::Buffer;
use levada_engine::frame::pool::Pool;
use levada_plugin::{Host, Loan};
use support::{
    AUDIO, PICTURE, Running, chain, engine, plan,
    table::{self, Contender, cell, timed},
};

/// Bytes that go to the other thread at a time, and buffers at most: fewer than the pool keeps.
const SHIPMENT_BYTES: usize = 16 << 20;
const SHIPMENT: usize = 128;
const NAMES: [&str; 3] = ["malloc", "pool", "host"];

fn malloc(len: usize) -> Vec<u8> {
    let mut memory = Vec::with_capacity(len);
    memory.push(1);
    black_box(memory)
}

fn loan(pool: &Pool, len: usize) -> Buffer {
    let mut buffer = pool.loan(len).expect("the bench stays below the limit");
    buffer.as_mut_slice().expect("a loan is writable")[0] = 1;
    black_box(buffer)
}

fn loan_of_host(host: Host, len: usize) -> Loan {
    let mut loan = host.loan(len).expect("the bench stays below the limit");
    loan.as_mut_slice()[0] = 1;
    black_box(loan)
}

fn here<'a, T>(name: &'static str, make: impl Fn() -> T + 'a) -> Contender<'a> {
    Contender::new(name, move |count| {
        timed(|| (0..count).for_each(|_| drop(make())))
    })
}

fn there<'a, T: Send + 'static>(
    name: &'static str,
    len: usize,
    make: impl Fn() -> T + 'a,
) -> Contender<'a> {
    let (to, from) = mpsc::sync_channel::<Vec<T>>(1);
    let (back, emptied) = mpsc::sync_channel(1);
    // The thread lives until its channel closes; the process does not wait for it.
    thread::spawn(move || {
        for mut shipment in from {
            let begin = Instant::now();
            shipment.clear();
            if back.send((shipment, begin.elapsed())).is_err() {
                return;
            }
        }
    });
    let size = (SHIPMENT_BYTES / len).min(SHIPMENT);
    let mut empty = Some(Vec::with_capacity(size));
    Contender::new(name, move |count| {
        let mut took = Duration::ZERO;
        let shipments = count.div_ceil(size as u64);
        for _ in 0..shipments {
            let mut shipment = empty.take().expect("one comes back for each that is sent");
            let begin = Instant::now();
            shipment.extend((0..size).map(|_| make()));
            took += begin.elapsed();
            to.send(shipment).expect("the other thread lives");
            let (shipment, released) = emptied.recv().expect("the other thread lives");
            took += released;
            empty = Some(shipment);
        }
        // Whole shipments were made and released; what was asked for is a part of them.
        took.mul_f64(count as f64 / (shipments * size as u64) as f64)
    })
}

fn groups(host: Host) -> Vec<(String, Vec<Contender<'static>>)> {
    let mut groups = vec![];
    for (what, len) in [("3,840 bytes", AUDIO), ("1.4 MB", PICTURE)] {
        let (a, b) = (Pool::new(1 << 30), Pool::new(1 << 30));
        groups.push((
            format!("{what}, released here"),
            vec![
                here(NAMES[0], move || malloc(len)),
                here(NAMES[1], move || loan(&a, len)),
                here(NAMES[2], move || loan_of_host(host, len)),
            ],
        ));
        groups.push((
            format!("{what}, released there"),
            vec![
                there(NAMES[0], len, move || malloc(len)),
                there(NAMES[1], len, move || loan(&b, len)),
                there(NAMES[2], len, move || loan_of_host(host, len)),
            ],
        ));
    }
    groups
}

fn main() {
    let engine = engine();
    let running = Running::start(&engine, &plan(&chain(1)));
    let mut groups = groups(running.host());
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for (name, contenders) in &mut groups {
        let mut bench = criterion.benchmark_group(format!("pool/{name}"));
        for contender in contenders {
            bench.bench_function(contender.name, |b| {
                b.iter_custom(|n| (contender.measure)(n));
            });
        }
        bench.finish();
    }
    criterion.final_summary();
    if table::is_wanted() {
        let rows = groups.iter_mut().map(|(name, contenders)| {
            let outcome = table::compare(contenders);
            let mut row = vec![name.clone()];
            row.extend(NAMES.map(|name| cell(outcome.ns(name), "")));
            row.extend(
                NAMES[1..]
                    .iter()
                    .map(|name| cell(outcome.ratio(name, NAMES[0]), "x")),
            );
            row
        });
        let rows: Vec<_> = rows.collect();
        table::print(
            "ns a buffer, loaned and released, medians of interleaved rounds",
            &[
                "buffer",
                "malloc",
                "pool",
                "host",
                "pool/malloc",
                "host/malloc",
            ],
            &rows,
        );
    }
    drop(groups);
    running.stop();
}
