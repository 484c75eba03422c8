//! The `levada` program under test: started with arguments, found by the address it prints, ended as a person would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::program::{Output, Program};

/// Time to print the address, the build of a graph's plugins included: on a cold cache that is a build of the SDK.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Time to end after Ctrl-C: sessions say goodbye, nodes drain.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The command of the `levada` program, run in the root of the repository, quiet about nothing by the environment.
pub fn command<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levada"));
    command
        .args(arguments)
        .current_dir(root())
        .env_remove("RUST_LOG");
    command
}

/// Runs `levada` with `arguments` to its end.
///
/// # Panics
/// When it has not ended after `limit`.
pub fn run_to_end(arguments: &[&str], limit: Duration) -> Output {
    Program::start(
        &format!("levada {}", arguments.join(" ")),
        command(arguments),
    )
    .wait(limit)
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The executable of the example `name`, which `cargo test` builds beside the test's own.
///
/// # Panics
/// When it is not there: it was not built.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    // target/debug/deps/this-test -> target/debug/examples/name
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("a test lies in target/PROFILE/deps");
    let path = profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.is_file(),
        "{} is missing: cargo build --example {name}",
        path.display()
    );
    path
}

/// A `levada` that serves: `run` with WebRTC nodes, or `signal`.
pub struct Levada {
    program: Program,
    /// The address it printed, without a slash at the end.
    pub url: String,
}

impl Levada {
    /// Starts `levada` with `arguments` and waits for its address.
    pub fn serve(arguments: &[&str]) -> Self {
        Self::serve_with(arguments, &[])
    }

    /// The same, with environment variables.
    pub fn serve_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(arguments);
        command.envs(environment.iter().copied());
        let program = Program::start(&format!("levada {}", arguments.join(" ")), command);
        let url = program.wait_for_line("the address it serves", START_LIMIT, address_in);
        Self { program, url }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let port = self
            .url
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("{} has no port", self.url))
    }

    /// The address of its WebSocket.
    pub fn socket_url(&self) -> String {
        format!("{}/ws", self.url.replacen("http", "ws", 1))
    }

    /// The program itself.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Presses Ctrl-C and waits for the end.
    pub fn stop(mut self) -> Output {
        self.program.signal(Signal::INT);
        self.program.wait(STOP_LIMIT)
    }

    /// Presses Ctrl-C and reads the report, which must be all there is on stdout.
    ///
    /// # Panics
    /// When it fails, or stdout is not one JSON object.
    pub fn stop_with_report(self) -> Value {
        let output = self.stop();
        assert!(
            output.status.success(),
            "levada ended with {}:\n{}",
            output.status,
            output.stderr
        );
        report(&output)
    }
}

/// The JSON report of a run with `--json`.
///
/// # Panics
/// When stdout is not one JSON object.
pub fn report(output: &Output) -> Value {
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| {
        panic!("stdout is not one JSON report: {error}:\n{}", output.stdout)
    });
    assert!(report.is_object(), "the report is no object: {report}");
    report
}

/// The first address of this machine that `line` names: scheme, host and port.
fn address_in(line: &str) -> Option<String> {
    let start = line.find("http://127.0.0.1:")?;
    let rest = &line[start..];
    let port = &rest["http://127.0.0.1:".len()..];
    let digits = port
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(port.len());
    (digits > 0).then(|| rest[..rest.len() - port.len() + digits].to_owned())
}
