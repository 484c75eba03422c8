//! `examples/transcode.toml`: from file to file, how far it has come, stopped in the middle, and with nowhere to write.

mod support;

use std::{fs, path::Path, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use support::{
    levada::{command, report, root, run_to_end},
    program::Program,
    terminal::{lines, on_terminal},
};

/// A build of the plugin for H.264, and the film.
const LIMIT: Duration = Duration::from_secs(300);
/// For four seconds of film to be over on a busy machine.
const FILM: Duration = Duration::from_secs(60);

const GRAPH: &str = "examples/transcode.toml";

fn node<'a>(report: &'a Value, name: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let found = nodes.iter().find(|node| node["name"] == name);
    found.unwrap_or_else(|| panic!("no node {name}: {report:#}"))
}

fn seconds(report: &Value, name: &str) -> f64 {
    let done = node(report, name)["progress"]["done_seconds"].as_f64();
    done.unwrap_or_else(|| panic!("{name} says not how far it is: {report:#}"))
}

fn is_about(seconds: f64, expected: f64) -> bool {
    (seconds - expected).abs() < 0.05
}

/// Plays `tape` as fast as it goes: pictures, packets of sound, and the length in seconds.
fn play(tape: &Path) -> (u64, u64, f64) {
    let graph = tape.with_file_name("play.toml");
    let text = format!(
        "links = [\"tape.video -> screen\", \"tape.audio -> speaker\"]\n[nodes]\n\
         tape = {{ type = \"file-source\", params = {{ path = {:?}, pace = \"fast\" }} }}\n\
         screen = {{ type = \"null\" }}\nspeaker = {{ type = \"null\" }}\n",
        tape.display().to_string()
    );
    fs::write(&graph, text).expect("the folder is writable");
    let output = run_to_end(&["run", &graph.display().to_string(), "--json"], LIMIT);
    assert!(output.status.success(), "{output:#?}");
    let played = report(&output);
    // What was recorded tells its length before it is played.
    let told = node(&played, "tape")["progress"]["total_seconds"].as_f64();
    assert!(
        is_about(told.unwrap_or(0.0), seconds(&played, "tape")),
        "{played:#}"
    );
    let count = |name| node(&played, name)["frames_in"].as_u64().unwrap_or(0);
    (count("screen"), count("speaker"), seconds(&played, "tape"))
}

#[test]
fn a_film_becomes_another_one_of_the_same_length_with_every_picture_and_all_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let tape = folder.path().join("out.mp4");
    let path = format!("tape.path={}", tape.display());
    let output = run_to_end(&["run", GRAPH, "--set", &path, "--json"], LIMIT);
    assert!(output.status.success(), "{output:#?}");
    let ran = report(&output);
    let film = &node(&ran, "film")["progress"];
    assert!(
        is_about(film["total_seconds"].as_f64().unwrap_or(0.0), 4.0),
        "{ran:#}"
    );
    assert!(is_about(seconds(&ran, "film"), 4.0), "{ran:#}");
    assert!(is_about(seconds(&ran, "tape"), 4.0), "{ran:#}");
    assert_eq!(node(&ran, "large")["frames_in"], 120, "{ran:#}");
    // A person is told both lengths as well.
    let line = |name: &str| {
        let mut lines = output.stderr.lines();
        let line = lines.find(|line| line.trim_start().starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{output:#?}")).to_owned()
    };
    for name in ["film", "tape"] {
        assert!(line(name).ends_with(" s"), "{output:#?}");
    }

    let (pictures, packets, length) = play(&tape);
    let sound = node(&ran, "tape")["frames_in"].as_u64().expect("a number") - 120;
    assert_eq!((pictures, packets), (120, sound));
    assert!(
        sound > 180 && is_about(length, 4.0),
        "{sound} packets, {length} s"
    );
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 2);
}

/// Makes a film of 20 seconds, on a virtual clock: long enough for a busy machine to stop in the middle.
fn make(film: &Path) {
    let graph = film.with_file_name("make.toml");
    let text = format!(
        "links = [\"pattern -> film.video\", \"tone -> film.audio\"]\n\
         [plugins]\nh264 = {{ path = {:?} }}\n[nodes]\n\
         pattern = {{ type = \"test-video\", params = {{ width = 128, height = 72, count = 600 }} }}\n\
         tone = {{ type = \"test-audio\" }}\n\
         film = {{ type = \"file-sink\", params = {{ path = {:?} }} }}\n",
        root().join("plugins/h264").display().to_string(),
        film.display().to_string(),
    );
    fs::write(&graph, text).expect("the folder is writable");
    let graph = graph.display().to_string();
    let clock = ["--clock", "virtual", "--duration", "20s"];
    let output = run_to_end(&[&["run", &graph][..], &clock[..]].concat(), LIMIT);
    assert!(output.status.success(), "{output:#?}");
}

#[test]
fn a_run_that_is_stopped_in_the_middle_says_so_and_leaves_a_file_that_plays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (film, tape) = (
        folder.path().join("film.mp4"),
        folder.path().join("out.mp4"),
    );
    make(&film);
    let path = format!("tape.path={}", tape.display());
    let film = format!("film.path={}", film.display());
    let arguments = [
        "run",
        GRAPH,
        "--set",
        &path,
        "--set",
        &film,
        "--set",
        "film.pace=real",
        "--json",
    ];
    let mut levada = Program::start("levada run", command(arguments));
    let far = levada.wait_for_line("how far it is", LIMIT, |line| {
        line.contains(" x real time").then(|| line.to_owned())
    });
    for words in [" %, ", " s of 20.0 s, ", ", 0:", " left"] {
        assert!(far.contains(words), "{far}");
    }
    levada.signal(Signal::INT);
    let output = levada.wait(FILM);
    assert!(output.status.success(), "{output:#?}");
    assert!(output.stderr.contains("stopped at "), "{output:#?}");
    let ran = report(&output);
    let stopped = seconds(&ran, "film");
    assert!(stopped > 1.0 && stopped < 19.0, "{ran:#}");

    let (pictures, packets, length) = play(&tape);
    assert!(
        (30..570).contains(&pictures) && packets > 40,
        "{pictures} {packets}"
    );
    assert!(
        is_about(length, seconds(&ran, "tape")),
        "{length} s: {ran:#}"
    );
    assert!((length - stopped).abs() < 0.2, "{length} s of {stopped} s");
    assert!(!tape.with_file_name("out.mp4.part").exists());
}

#[test]
fn a_file_that_cannot_be_written_is_told_with_its_path_the_cause_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = format!("{}/no/such/folder/out.mp4", folder.path().display());
    let set = format!("tape.path={path}");
    let output = run_to_end(&["run", GRAPH, "--set", &set], LIMIT);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    for words in [
        "tape",
        &path,
        "there is no folder",
        "make it, or give another path",
    ] {
        assert!(output.stderr.contains(words), "{words}: {output:#?}");
    }
}

/// A second of silence as a WAVE file.
fn silence() -> Vec<u8> {
    const RATE: u32 = 8000;
    let samples = vec![0; RATE as usize * 2];
    let mut file = b"RIFF".to_vec();
    file.extend((36 + samples.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    // PCM, one channel.
    file.extend([1, 0, 1, 0]);
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    // Bytes and bits of a sample.
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(samples);
    file
}

#[test]
fn the_bar_fits_a_terminal_of_any_width_and_ends_full() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("silence.wav"), silence()).expect("the folder is writable");
    let graph = folder.path().join("listen.toml");
    let text = "links = [\"tape.audio -> ear\"]\n[nodes]\near = { type = \"null\" }\n\
                tape = { type = \"file-source\", params = { path = \"silence.wav\" } }\n";
    fs::write(&graph, text).expect("the folder is writable");
    for (columns, words) in [
        (100, "100 %, 1.0 s of 1.0 s, "),
        (80, "100 %, 1.0 s of 1.0 s, "),
        (40, "100 %, "),
        (17, "100 %"),
    ] {
        let run = command(["run", &graph.display().to_string()]);
        let (status, written) = on_terminal(run, columns, FILM);
        assert!(status.success(), "{written}");
        let lines = lines(&written);
        let bars = || lines.iter().filter(|line| line.contains(" %"));
        for bar in bars() {
            let width = bar.trim_end().chars().count();
            assert!(width <= columns.into(), "{columns} columns: {bar:?}");
        }
        let last = bars()
            .next_back()
            .unwrap_or_else(|| panic!("no bar: {written:?}"));
        assert!(last.contains(words), "{columns} columns: {last:?}");
        assert!(!last.contains('░'), "{columns} columns: {last:?}");
    }
}
