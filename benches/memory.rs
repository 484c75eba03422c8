//! How much memory does a program take that runs the engine alone?
//!
//! The program is the example `minimal` of `engine/core`: sixteen nodes, with one 1.4 MB picture in
//! flight when it looks. It is a process of its own, so that nothing of a bench is in the figure.

mod support;

use std::process::{Command, Stdio};

use serde::Deserialize;
use support::{
    build::build,
    table::{self, cell, median},
};

const RUNS: usize = 3;

#[derive(Deserialize)]
struct Found {
    nodes: u64,
    picture_bytes: f64,
    anonymous_bytes: f64,
}

/// Runs the program, and reads its last line.
fn run(program: &std::path::Path) -> Found {
    let output = Command::new(program)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo built it");
    assert!(output.status.success(), "{}", program.display());
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).expect("its last line is JSON")
}

fn main() {
    if !table::is_wanted() {
        return;
    }
    if !cfg!(target_os = "linux") {
        println!("memory: skipped, only Linux tells a program what belongs to no file");
        return;
    }
    let folder = build(&["--workspace", "--example", "minimal"]);
    let program = folder.join("examples/minimal");
    let runs = if table::is_short() { 1 } else { RUNS };
    let found: Vec<Found> = (0..runs).map(|_| run(&program)).collect();
    let mb = |bytes: f64| cell(bytes / 1e6, "");
    let row = vec![
        found[0].nodes.to_string(),
        mb(found[0].picture_bytes),
        mb(median(found.iter().map(|f| f.anonymous_bytes).collect())),
    ];
    table::print(
        "resident memory that belongs to no file, MB, of a program that runs the engine alone",
        &["nodes", "picture in flight", "anonymous"],
        &[row],
    );
}
