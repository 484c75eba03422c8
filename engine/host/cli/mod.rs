//! The commands of `levada`.

pub mod check;
pub mod graph;
pub mod inspect;
pub mod progress;
pub mod run;
pub mod signal;
mod virtual_run;

use std::{io::Write, path::Path, process::ExitCode};

use levada::{
    engine::graph::{Problem, SetParam},
    graph_file::{self, GraphFile},
};
use serde::Serialize;

/// How a command ended.
pub type Outcome = Result<(), Failure>;

/// What was asked for failed; the reason has been, or is to be, printed on stderr.
pub struct Failure(String);

impl Failure {
    pub fn new(reason: impl ToString) -> Failure {
        Failure(reason.to_string())
    }
}

/// Prints a failure and gives the exit code: 0 done, 1 failed.
pub fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(reason)) => {
            say(&reason);
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for a person on stderr; a closed stderr is no reason to end.
pub fn say(line: &str) {
    // In one piece, so that nobody else's words come between.
    let line = format!("{}\n", line.trim_end());
    let _ = progress::Stderr.write_all(line.as_bytes());
}

/// Prints the result on stdout.
pub fn print(text: &str) -> Outcome {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|e| Failure(format!("levada: stdout: {e}")))
}

/// Prints the result as one JSON document on stdout.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Failure(format!("levada: JSON: {e}")))?;
    print(&(text + "\n"))
}

/// Takes the value of a `--set`. What node, param and value there may be the graph says; a text that names none is wrong
/// usage.
pub fn set_param(text: &str) -> Result<SetParam, &'static str> {
    let set = SetParam::new(text);
    match set.parts() {
        Some(_) => Ok(set),
        None => Err("this is not node.param=value; write it as --set louder.db=6"),
    }
}

/// Reads and plans a graph file. With `json` the problems go to stdout as a list, else to stderr.
pub fn load(graph: &Path, set: &[SetParam], json: bool) -> Result<GraphFile, Failure> {
    let loaded = graph_file::load(graph, set).map_err(|problems| {
        if json {
            let list: Vec<&Problem> = problems.as_slice().iter().collect();
            if let Err(failure) = print_json(&serde_json::json!({ "problems": list })) {
                return failure;
            }
        }
        Failure::new(problems)
    })?;
    for notice in &loaded.notices {
        say(&format!("levada: {notice}"));
    }
    Ok(loaded)
}
