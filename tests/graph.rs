//! `levada graph`: what it draws, where it writes it, and what it says when it cannot.
//!
//! The drawings of two examples lie in `tests/graph/`. When they are to change, `LEVADA_REDRAW=1` writes them anew:
//! look at them then, in a browser.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::levada::{root, run_to_end};
use support::program::Output;

/// A plugin may have to be built first.
const LIMIT: Duration = Duration::from_secs(300);

fn draw(arguments: &[&str]) -> Output {
    let mut all = vec!["graph"];
    all.extend(arguments);
    run_to_end(&all, LIMIT)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Draws an example and compares it with what is kept.
fn is_as_kept(example: &str, format: &str) -> String {
    let graph = format!("examples/{example}.toml");
    let output = draw(&[&graph, "--format", format]);
    assert!(output.status.success(), "{}", output.stderr);
    let kept: PathBuf = root().join(format!("tests/graph/{example}.{format}"));
    if std::env::var_os("LEVADA_REDRAW").is_some() {
        std::fs::write(&kept, &output.stdout).expect("the folder is there");
    }
    let expected = std::fs::read_to_string(&kept).unwrap_or_default();
    assert_eq!(
        output.stdout,
        expected,
        "{} differs; LEVADA_REDRAW=1 draws it anew",
        kept.display()
    );
    output.stdout
}

#[test]
fn the_examples_are_drawn_as_they_are_kept() {
    for example in ["tone", "voice", "side-by-side", "transcode"] {
        for format in ["dot", "mermaid", "svg"] {
            is_as_kept(example, format);
        }
    }
}

#[test]
fn every_format_shows_nodes_types_segments_formats_policies_and_why_nodes_were_inserted() {
    for format in ["dot", "mermaid", "svg"] {
        let output = draw(&["examples/voice.toml", "--format", format]);
        assert!(output.status.success(), "{}", output.stderr);
        for shown in [
            "browser",
            "webrtc-source",
            "louder~opus-decoder",
            "louder.in accepts audio/f32 or audio/s16, browser.audio brings audio/opus",
            "2, heavy",
            "5, may wait",
            "audio/f32;rate=48000;channels=1..2",
            "drop-oldest, 8 frames",
        ] {
            assert!(
                output.stdout.contains(shown),
                "{format} lacks {shown}:\n{}",
                output.stdout
            );
        }
        let dashed = output.stdout.matches("dash").count();
        assert!(dashed > 0, "{format} marks nothing");
    }
}

#[test]
fn a_link_that_leads_back_is_drawn_dashed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("round.toml");
    let file = r#"links = [
  "first -> second -> meter",
  { from = "second", to = "first", feedback = true, capacity = 3 },
]
[nodes]
first.type = "resample"
second.type = "resample"
meter.type = "level"
"#;
    std::fs::write(&graph, file).expect("a file in the temporary folder");
    for (format, mark) in [
        ("dot", "style=dashed, constraint=false"),
        ("mermaid", "-.->"),
        ("svg", "class=\"link channel feedback audio\""),
    ] {
        let output = draw(&[text(&graph), "--format", format]);
        assert!(output.status.success(), "{}", output.stderr);
        assert_eq!(output.stdout.matches(mark).count(), 1, "{}", output.stdout);
        assert!(output.stdout.contains("drop-oldest, 3 frames"));
    }
}

#[test]
fn the_output_s_ending_says_the_format_and_stdout_gets_mermaid() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, begins) in [
        ("a.svg", "<svg "),
        ("a.dot", "digraph "),
        ("a.GV", "digraph "),
        ("a.mmd", "---\ntitle: "),
    ] {
        let to = folder.path().join(name);
        let output = draw(&["examples/tone.toml", "-o", text(&to)]);
        assert!(output.status.success(), "{}", output.stderr);
        assert_eq!(output.stdout, "");
        assert!(output.stderr.contains(name), "{}", output.stderr);
        let written = std::fs::read_to_string(&to).expect("it was written");
        assert!(written.starts_with(begins), "{name}: {written}");
    }
    let output = draw(&["examples/tone.toml"]);
    assert!(
        output.stdout.contains("\nflowchart LR\n"),
        "{}",
        output.stdout
    );
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_the_graph_file_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = folder.path().join("no/such/a.svg");
    let output = draw(&["examples/tone.toml", "-o", text(&nowhere)]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    for told in ["no/such/a.svg", "cannot be written", "name a file"] {
        assert!(output.stderr.contains(told), "{}", output.stderr);
    }

    let graph = folder.path().join("mine.toml");
    let file = "links = [\"tone -> meter\"]\n[nodes]\ntone.type = \"test-audio\"\nmeter.type = \"level\"\n";
    std::fs::write(&graph, file).expect("a file in the temporary folder");
    let same = folder.path().join("./mine.toml");
    let output = draw(&[text(&graph), "-o", text(&same), "--format", "svg"]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert!(
        output.stderr.contains("the graph file itself"),
        "{}",
        output.stderr
    );
    assert_eq!(std::fs::read_to_string(&graph).expect("it is there"), file);
}

#[test]
fn a_graph_with_a_mistake_is_not_drawn() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("wrong.toml");
    let to = folder.path().join("wrong.svg");
    let file = "links = [\"tone -> meter\"]\n[nodes]\ntone.type = \"test-audio\"\nmeter.type = \"levle\"\n";
    std::fs::write(&graph, file).expect("a file in the temporary folder");
    let output = draw(&[text(&graph), "-o", text(&to)]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("wrong.toml:4:"), "{}", output.stderr);
    assert!(!to.exists());
}
