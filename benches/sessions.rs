//! What do many sessions cost on one core?
//!
//! Each session is a graph of four nodes that carries a 3,840-byte block of sound every 20 ms: a source
//! that the host's timer calls, two light nodes, a sink. The sessions' blocks are due at times spread
//! evenly over the 20 ms. One thread runs 1, 100 or 10,000 of them: the engine's one worker; a plain
//! loop that calls the same nodes' functions, looking each ms for what is due, or sleeping until the
//! next is; tokio with one worker and a task a session, which does the work of the four nodes.
//!
//! Each measurement is a process of its own, so that memory is its own; the ways take turns. CPU time is
//! the process's, over a window in which nothing else happens. Bytes are what the allocator was asked for
//! while the sessions were started, and what the system gave; the payloads are there before.

mod support;

#[path = "sessions/nodes.rs"]
mod nodes;
#[path = "sessions/ways.rs"]
mod ways;

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use levada_engine::clock;
use nodes::{PERIOD_NS, Schedule, arrived, set_schedule};
use serde::{Deserialize, Serialize};
use support::{
    arrivals::{collect, sleep_until},
    memory::{Counting, live_bytes, resident_bytes},
    table::{self, cell, cpu_time, median},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The argument with which the program measures one way, named by the next two: name and sessions.
const ONE: &str = "--one";
const SESSIONS: [u64; 3] = [1, 100, 10_000];
const ROUNDS: usize = 3;

/// What one process found.
#[derive(Serialize, Deserialize)]
struct Found {
    cpu_ns: f64,
    wall_ns: f64,
    frames: f64,
    /// Of all sessions.
    bytes: f64,
    resident: Option<f64>,
    /// From a block's time to its end in the sink.
    late_p50_ns: f64,
    late_p99_ns: f64,
    /// To add one session to the others, and to remove it.
    came_ns: Option<f64>,
    went_ns: Option<f64>,
}

fn measure(name: &str, sessions: u64) -> Found {
    let short = table::is_short();
    let window = match sessions {
        _ if short => Duration::from_millis(60),
        1 | 100 => Duration::from_secs(1),
        _ => Duration::from_secs(2),
    };
    // All sessions are there when the first block is due.
    let begin_ns = clock::now_ns() + 100_000_000 + sessions as i64 * 50_000;
    set_schedule(Schedule { begin_ns, sessions });
    let mut way = ways::way(name, sessions);
    // Makes the payloads and the histogram, which are not the sessions'.
    drop((nodes::Beat::payloads(), collect(0)));
    let before = (live_bytes(), resident_bytes());
    way.add(sessions);
    let bytes = live_bytes() - before.0;
    sleep_until(begin_ns + 5 * PERIOD_NS);
    let resident = resident_bytes().zip(before.1).map(|(now, then)| now - then);

    collect(0);
    let (frames, cpu, wall) = (arrived(), cpu_time(), Instant::now());
    thread::sleep(window);
    let (frames, cpu, wall) = (arrived() - frames, cpu_time() - cpu, wall.elapsed());
    let late = collect(1);

    let mut moves: Vec<_> = (0..if short { 1 } else { 25 })
        .map_while(|_| way.come_and_go())
        .collect();
    let mut middle = |of: fn(&(Duration, Duration)) -> Duration| {
        moves.sort_by_key(of);
        moves.get(moves.len() / 2).map(|m| of(m).as_nanos() as f64)
    };
    Found {
        cpu_ns: cpu.as_nanos() as f64,
        wall_ns: wall.as_nanos() as f64,
        frames: frames as f64,
        bytes: bytes as f64,
        resident: resident.map(|bytes| bytes as f64),
        late_p50_ns: late.value_at_quantile(0.5) as f64,
        late_p99_ns: late.value_at_quantile(0.99) as f64,
        came_ns: middle(|m| m.0),
        went_ns: middle(|m| m.1),
    }
}

/// Measures in a process of its own.
fn measure_apart(name: &str, sessions: u64) -> Found {
    let this = std::env::current_exe().expect("the system knows this program's path");
    let mut command = Command::new(this);
    command.args([ONE, name, &sessions.to_string()]);
    if table::is_short() {
        command.arg("--test");
    }
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.expect("the system starts this program once more");
    assert!(output.status.success(), "{name}, {sessions} sessions");
    serde_json::from_slice(&output.stdout).expect("the program prints what it found")
}

fn row(name: &str, sessions: u64, rounds: &[Found], raw: &[Found]) -> Vec<String> {
    let of = |get: &dyn Fn(&Found) -> f64| median(rounds.iter().map(get).collect());
    let ratio = rounds
        .iter()
        .zip(raw)
        .map(|(f, raw)| (f.cpu_ns / f.frames) / (raw.cpu_ns / raw.frames));
    let us = |ns: Option<f64>| ns.map_or(f64::NAN, |ns| ns / 1e3);
    let each = sessions as f64;
    vec![
        sessions.to_string(),
        name.to_owned(),
        cell(of(&|f| f.cpu_ns / f.frames / 1e3), ""),
        cell(median(ratio.collect()), "x"),
        cell(of(&|f| f.cpu_ns / f.wall_ns * 100.0), " %"),
        cell(of(&|f| f.bytes / each), ""),
        cell(of(&|f| f.resident.map_or(f64::NAN, |b| b / each)), ""),
        cell(of(&|f| f.late_p50_ns / 1e3), ""),
        cell(of(&|f| f.late_p99_ns / 1e3), ""),
        cell(of(&|f| us(f.came_ns)), ""),
        cell(of(&|f| us(f.went_ns)), ""),
    ]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == ONE) {
        let sessions = args[at + 2].parse().expect("a number of sessions");
        let found = measure(&args[at + 1], sessions);
        println!("{}", serde_json::to_string(&found).expect("plain numbers"));
        return;
    }
    if !table::is_wanted() {
        return;
    }
    let (all, rounds) = if table::is_short() {
        (&SESSIONS[..2], 1)
    } else {
        (&SESSIONS[..], ROUNDS)
    };
    let mut rows = vec![];
    for sessions in all {
        let mut found = ways::NAMES.map(|_| vec![]);
        for _ in 0..rounds {
            for (name, found) in ways::NAMES.iter().zip(&mut found) {
                found.push(measure_apart(name, *sessions));
            }
        }
        for (name, rounds) in ways::NAMES.iter().zip(&found) {
            rows.push(row(name, *sessions, rounds, &found[0]));
        }
    }
    table::print(
        "sessions of four nodes and 50 blocks a second, on one worker thread",
        &[
            "sessions",
            "way",
            "CPU us a frame",
            "to raw",
            "of a core",
            "bytes a session",
            "resident bytes a session",
            "late p50, us",
            "late p99, us",
            "add one, us",
            "remove one, us",
        ],
        &rows,
    );
}
