//! The command line of Levada.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
  levada run examples/echo.toml             a browser's camera through a plugin and back
  levada run examples/tone.toml             a tone through a plugin to a meter, no browser needed
  levada check examples/echo.toml           every problem of a graph, or how it will run
  levada graph examples/mirror.toml -o a.svg a picture of it
  levada inspect gain.so                    what a plugin offers
  levada run tone.toml --set tone.db=-6     one param changed

RUST_LOG sets what is logged, such as RUST_LOG=info or RUST_LOG=levada_engine=debug.
Exit codes: 0 done, 1 what was asked for failed, 2 the command line is wrong.";

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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(QUIET));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
    cli::finish(match Levada::parse().command {
        Command::Run(args) => cli::run::run(&args),
        Command::Check(args) => cli::check::check(&args),
        Command::Graph(args) => cli::graph::graph(&args),
        Command::Inspect(args) => cli::inspect::inspect(&args),
        Command::Signal(args) => cli::signal::signal(&args),
    })
}
