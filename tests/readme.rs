//! The documentation's promises: each command in it is run as it stands, and what it shows is what there is.
//!
//! A command in a fence marked `sh` is run with the binaries of this build instead of building a release first. One
//! that this file does not know fails the test, so that no command is printed that nobody has tried.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use support::http::request;
use support::levada::{Levada, example, root, run_to_end};
use support::markdown::fences;
use support::program::Program;
use tokio_tungstenite::tungstenite::Message;

const BUILD_LIMIT: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(60);

/// The README, CONTRIBUTING and the pages in `docs`.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).expect("the folder docs");
    let docs = docs.map(|entry| entry.expect("an entry of docs").path());
    let mut pages: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
        .collect();
    pages.extend([root().join("README.md"), root().join("CONTRIBUTING.md")]);
    pages
}

/// The commands of a fence: comments left out, lines that end in a backslash joined.
fn commands(fence: &str) -> Vec<Vec<String>> {
    let joined = fence.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(|line| line.split(" #").next().unwrap_or_default().trim());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// What a command of the documentation is to this test.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    /// The program with these arguments.
    Levada(&'a [String]),
    /// The example of this name, which ends by itself.
    Ends(&'a str),
    /// The example of this name, which waits for a peer.
    Example(&'a str),
    /// The checks that developers and CI run, of which this test is a part.
    Checks,
}

fn step(words: &[String]) -> Option<Step<'_>> {
    let texts: Vec<_> = words.iter().map(String::as_str).collect();
    match texts.as_slice() {
        ["cargo", "run", "--release", "--", ..] => Some(Step::Levada(&words[4..])),
        ["levada", ..] => Some(Step::Levada(&words[1..])),
        ["cargo", "run", "--release", "--example", name @ "closure"] => Some(Step::Ends(name)),
        ["cargo", "run", "--release", "--example", name] => Some(Step::Example(name)),
        [
            "cargo",
            "build" | "fmt" | "clippy" | "test" | "nextest" | "bench" | "doc",
            ..,
        ]
        | [".ci/run"] => Some(Step::Checks),
        _ => None,
    }
}

#[test]
fn every_command_of_the_documentation_does_what_it_should() {
    let mut tried = 0;
    for page in pages() {
        for words in fences(&page, "sh").iter().flat_map(|fence| commands(fence)) {
            let place = format!("{}: {}", page.display(), words.join(" "));
            match step(&words) {
                Some(Step::Levada(arguments)) => runs(&place, arguments),
                Some(Step::Ends(name)) => ends(&place, name),
                Some(Step::Example(name)) => joins_a_relay(&place, name),
                Some(Step::Checks) => {}
                None => panic!(
                    "{place}: nobody has tried this command; teach tests/readme.rs to run it"
                ),
            }
            tried += 1;
        }
    }
    assert!(tried >= 4, "only {tried} commands were found");
}

/// Runs `levada` to its end, or, if it serves, until its page has come, and then ends it by Ctrl-C.
fn runs(place: &str, arguments: &[String]) {
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ends = arguments.contains(&"--duration") || !matches!(arguments[0], "run" | "signal");
    if ends {
        let output = run_to_end(&arguments, BUILD_LIMIT);
        assert!(output.status.success(), "{place}: {}", output.stderr);
        return;
    }
    if !arguments.contains(&"--listen") {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    let levada = Levada::serve(&arguments);
    let page = request(levada.port(), "GET", "/", "", b"");
    assert_eq!(page.status, 200, "{place}");
    assert!(
        page.body.contains("<title>Levada"),
        "{place}: {}",
        page.body
    );
    let output = levada.stop();
    assert!(output.status.success(), "{place}: {}", output.stderr);
}

/// Runs the example to its end, where what it writes is in nobody's way.
fn ends(place: &str, name: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(example(name));
    command.current_dir(folder.path());
    let output = Program::start(name, command).wait(BUILD_LIMIT);
    assert!(output.status.success(), "{place}: {}", output.stderr);
    assert!(folder.path().join("negative.mp4").is_file(), "{place}");
}

/// Starts the example beside a relay and waits until it meets a peer there.
fn joins_a_relay(place: &str, name: &str) {
    let relay = Levada::serve(&["signal", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new(example(name));
    command.arg(relay.socket_url());
    let _application = Program::start(name, command).show_only(20);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = relay.socket_url();
    let met = runtime.block_on(async { tokio::time::timeout(LIMIT, meet(&url)).await });
    assert!(met.is_ok(), "{place}: no peer has come within {LIMIT:?}");
}

/// Joins and waits for the other one: it is there already, or it comes and offers.
async fn meet(url: &str) {
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a WebSocket");
    socket
        .send(Message::text(r#"{"type":"join"}"#))
        .await
        .expect("an open WebSocket");
    loop {
        let message = socket
            .next()
            .await
            .expect("the relay stays")
            .expect("an open WebSocket");
        let Message::Text(text) = message else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).expect("the relay speaks JSON");
        if message["peers"] == 1 || message["type"] == "offer" {
            return;
        }
    }
}

#[test]
fn the_ports_of_the_readme_are_the_default_ones() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    for (command, address) in [("run", "127.0.0.1:8080"), ("signal", "127.0.0.1:8765")] {
        assert!(
            readme.contains(&format!("http://{address}")),
            "the README does not name {address}"
        );
        let help = run_to_end(&[command, "--help"], LIMIT).stdout;
        assert!(
            help.contains(&format!("[default: {address}]")),
            "{command}: {help}"
        );
    }
}

#[test]
fn the_graph_of_the_readme_is_the_one_it_runs() {
    let meaning = |text: &str| {
        text.parse::<toml::Table>()
            .unwrap_or_else(|error| panic!("{error}:\n{text}"))
    };
    let file =
        std::fs::read_to_string(root().join("examples/echo.toml")).expect("examples/echo.toml");
    let shown = fences(&root().join("README.md"), "toml");
    assert!(
        shown.iter().any(|shown| meaning(shown) == meaning(&file)),
        "the README shows another graph:\n{shown:?}"
    );
}

#[test]
fn fences_and_commands_are_read_as_a_person_reads_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let page = folder.path().join("page.md");
    let text = "```toml\na = 1\n```\n  ```sh\n# a comment\ncargo run --release -- \\\n  check g.toml # why\n\n```\n";
    std::fs::write(&page, text).expect("a file in the temporary folder");
    let found: Vec<_> = fences(&page, "sh")
        .iter()
        .flat_map(|fence| commands(fence))
        .collect();
    assert_eq!(
        found,
        [["cargo", "run", "--release", "--", "check", "g.toml"]]
    );
    assert_eq!(
        step(&found[0]),
        Some(Step::Levada(&["check".to_owned(), "g.toml".to_owned()]))
    );
    assert_eq!(step(&["rm".to_owned()]), None);
}
