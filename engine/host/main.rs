//! The command line of Levada.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged when RUST_LOG says nothing else: what a person at the terminal wants to know.
const QUIET: &str = "warn,levada=info,rtc=error,webrtc=error";

/// Runs graphs of media nodes without copying the media.
#[derive(Parser)]
#[command(name = "levada", version, after_help = HELP, arg_required_else_help = true)]
struct Levada {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Examples:
  levada run examples/echo.toml               a browser's camera through a plugin and back
  levada run examples/tone.toml               a tone through a plugin to a meter, no browser needed
  levada check examples/echo.toml             every problem of a graph, or how it will run
  levada graph examples/mirror.toml -o a.svg  a picture of it
  levada inspect gain.so                      what a plugin offers
  levada run tone.toml --set louder.db=-6     one param changed

RUST_LOG sets what is logged, such as RUST_LOG=info or RUST_LOG=levada_engine=debug.
Exit codes: 0 done, 1 what was asked for failed, as by a mistake in a graph or a value that a param does not take,
2 the command line is wrong.";

#[derive(Subcommand)]
enum Command {
    Run(cli::run::Run),
    Check(cli::check::Check),
    Graph(cli::graph::Graph),
    Inspect(cli::inspect::Inspect),
    Signal(cli::signal::Signal),
}

fn main() -> ExitCode {
    levada::engine::plugin::trial::serve_if_asked();
    log_to_stderr();
    cli::finish(match Levada::parse().command {
        Command::Run(args) => cli::run::run(&args),
        Command::Check(args) => cli::check::check(&args),
        Command::Graph(args) => cli::graph::graph(&args),
        Command::Inspect(args) => cli::inspect::inspect(&args),
        Command::Signal(args) => cli::signal::signal(&args),
    })
}

/// Sets up what is logged. Without the filter by spans and fields that tracing-subscriber offers as well: it
/// brings a library for regular expressions, and ten seconds of the first build.
fn log_to_stderr() {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { QUIET } else { &wanted };
    let (targets, problem) = match wanted.parse() {
        Ok(targets) => (targets, None),
        Err(error) => (quiet(), Some(error)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(|| cli::progress::Stderr);
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .init();
    if let Some(error) = problem {
        tracing::warn!(target: "levada", "RUST_LOG is not understood ({error}); write it as RUST_LOG=info or RUST_LOG=levada_engine=debug");
    }
}

fn quiet() -> Targets {
    QUIET.parse().expect("a constant; a test reads it")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_logged_without_a_word_is_understood() {
        assert!(super::quiet().would_enable("levada::host", &tracing::Level::INFO));
        assert!(!super::quiet().would_enable("rtc::peer", &tracing::Level::WARN));
    }
}
