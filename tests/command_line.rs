//! The command line: exit codes, what goes to stdout and what to stderr, and messages that help.

mod support;

use std::net::TcpListener;
use std::time::Duration;

use support::levada::{report, root, run_to_end};
use support::program::Output;

/// A plugin may have to be built first.
const BUILD_LIMIT: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(60);

fn fails_with(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        output.stdout,
        output.stderr
    );
    assert_eq!(output.stdout, "", "what went wrong belongs on stderr");
    assert!(!output.stderr.trim().is_empty(), "no reason is given");
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn help_names_every_command_and_an_example() {
    let output = run_to_end(&["--help"], LIMIT);
    assert!(output.status.success());
    let commands = ["run", "check", "graph", "inspect", "signal"];
    for word in commands.into_iter().chain(["examples/echo.toml"]) {
        assert!(
            output.stdout.contains(word),
            "--help does not say {word}:\n{}",
            output.stdout
        );
    }
    for command in commands {
        let output = run_to_end(&[command, "--help"], LIMIT);
        assert!(
            output.status.success() && output.stdout.contains("Usage"),
            "{command}: {}",
            output.stdout
        );
    }
}

#[test]
fn version_is_the_package_s() {
    let output = run_to_end(&["--version"], LIMIT);
    assert!(output.status.success());
    assert_eq!(
        output.stdout.trim(),
        format!("levada {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    for arguments in [
        &["dance"][..],
        &["run"],
        &["run", "examples/tone.toml", "--no-such-flag"],
        &["run", "examples/tone.toml", "--listen", "nowhere"],
        &["run", "examples/tone.toml", "--duration", "soon"],
        &["run", "examples/tone.toml", "--clock", "sundial"],
        &["run", "examples/tone.toml", "--seed", "7"],
        &["run", "examples/tone.toml", "--set", "louder.db"],
        &["check", "examples/tone.toml", "--set", "=6"],
        &["graph", "examples/tone.toml", "--set", "louder=6"],
        &["graph", "examples/tone.toml", "--format", "png"],
        &["graph", "examples/tone.toml", "-o", "tone.png"],
        &["graph", "examples/tone.toml", "-o", "tone"],
    ] {
        let output = run_to_end(arguments, LIMIT);
        fails_with(&output, 2);
        assert!(
            output.stderr.contains("--help"),
            "{arguments:?}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_graph_file_that_is_missing_is_named() {
    for command in ["run", "check", "graph"] {
        let output = run_to_end(&[command, "no/such/graph.toml"], LIMIT);
        fails_with(&output, 1);
        assert!(
            output.stderr.contains("no/such/graph.toml"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn a_graph_with_seven_mistakes_gets_seven_problems() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("mistakes.toml");
    let text = r#"name = "mistakes"
colour = "blue"
links = [
  "tone -> meter",
  "tone.sound -> spare.in",
  "tone.out -> meter.in",
  "tone -> nobody.in",
]

[nodes]
tone = { type = "test-audio", params = { frequency = 5.0 } }
meter = { type = "level", params = { every = "often" } }
spare = { type = "levle" }
"#;
    std::fs::write(&graph, text).expect("a file in the temporary folder");
    let output = run_to_end(&["check", graph.to_str().expect("a plain path")], LIMIT);
    fails_with(&output, 1);
    let places = places(&output.stderr, "mistakes.toml");
    assert_eq!(places.len(), 7, "{places:?}\n{}", output.stderr);
    assert!(output.stderr.contains('^'), "no caret:\n{}", output.stderr);
    assert!(
        output.stderr.contains("\"level\"") || output.stderr.contains("`level`"),
        "{}",
        output.stderr
    );
}

#[test]
fn check_finds_what_nodes_refuse_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("refused.toml");
    let text = r#"links = [
  "tone -> slow -> meter.in",
  "pattern -> stamp -> title -> still",
  "pattern -> tape.video",
]

[nodes]
tone = { type = "test-audio", params = { rate = 44101 } }
slow = { type = "resample", params = { rate = 4000 } }
meter = { type = "level" }
pattern = { type = "test-video" }
stamp = { type = "overlay-image", params = { path = "missing.png" } }
title = { type = "overlay-text", params = { text = "{colour}" } }
still = { type = "snapshot", params = { path = "still.png" } }
tape = { type = "file-sink", params = { path = "missing/tape.y4m" } }
"#;
    std::fs::write(&graph, text).expect("a file in the temporary folder");
    let output = run_to_end(&["check", graph.to_str().expect("a plain path")], LIMIT);
    fails_with(&output, 1);
    let places = places(&output.stderr, "refused.toml");
    let lines: Vec<_> = places.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [8, 9, 12, 13, 14, 15], "{}", output.stderr);
    for told in [
        "44101",
        "4000 Hz",
        "missing.png",
        "{frame}",
        ".jpg",
        "missing",
    ] {
        assert!(
            output.stderr.contains(told),
            "no {told}:\n{}",
            output.stderr
        );
    }

    let text = r#"links = ["a.data -> one.data", "b.data -> other.data"]
[nodes]
a = { type = "webrtc-source" }
b = { type = "webrtc-source" }
one = { type = "webrtc-sink" }
other = { type = "webrtc-sink" }
"#;
    std::fs::write(&graph, text).expect("a file in the temporary folder");
    let output = run_to_end(&["check", graph.to_str().expect("a plain path")], LIMIT);
    fails_with(&output, 1);
    for told in [
        "4:1",
        "\"b\" is a second webrtc-source",
        "6:1",
        "use \"one\"",
    ] {
        assert!(
            output.stderr.contains(told),
            "no {told}:\n{}",
            output.stderr
        );
    }
}

#[test]
fn check_tells_what_a_session_may_take_and_a_limit_refuses_it_in_run_as_well() {
    let output = run_to_end(&["check", "examples/tone.toml"], BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    for told in [
        "a session at worst",
        "16 frames of audio/f32",
        "no node declares latency",
    ] {
        assert!(
            output.stdout.contains(told),
            "no {told}:\n{}",
            output.stdout
        );
    }
    let output = run_to_end(&["check", "examples/tone.toml", "--json"], BUILD_LIMIT);
    let plan = report(&output);
    let carried = plan["links"][0]["formats"][0].as_str();
    assert!(
        carried.is_some_and(|c| c.starts_with("audio/f32")),
        "{plan:#}"
    );
    assert_eq!(plan["inserted"], serde_json::json!([]), "{plan:#}");
    let worst = &plan["worst_case"];
    let parts = worst["parts"].as_array().expect("a list of parts");
    let sum: u64 = parts.iter().filter_map(|part| part["bytes"].as_u64()).sum();
    assert!(sum > 0 && worst["memory"] == sum, "{plan:#}");
    assert_eq!(worst["latency_ns"], 0, "{plan:#}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("limited.toml");
    let text = r#"limits = { memory = "100 KiB" }
links = ["tone -> meter"]
[nodes]
tone.type = "test-audio"
meter.type = "level"
"#;
    std::fs::write(&graph, text).expect("a file in the temporary folder");
    for command in ["check", "run"] {
        let output = run_to_end(&[command, graph.to_str().expect("a plain path")], LIMIT);
        fails_with(&output, 1);
        assert_eq!(places(&output.stderr, "limited.toml"), [(1, 22)]);
        for named in ["100 KiB", "the ring of \"tone.out\"", "raise the limit"] {
            assert!(
                output.stderr.contains(named),
                "{command}: {}",
                output.stderr
            );
        }
    }
}

/// The line and column of each message about `file`.
fn places(stderr: &str, file: &str) -> Vec<(u32, u32)> {
    let mark = format!("{file}:");
    let place = |rest: &str| {
        let mut parts = rest.split(':');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    stderr.split(&mark).skip(1).filter_map(place).collect()
}

#[test]
fn text_that_is_no_toml_gets_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("torn.toml");
    for text in [
        "name = \"x",
        "links = [",
        "\u{feff}\u{0}",
        "[nodes]\n[nodes]\n",
        "nodes = 3",
    ] {
        std::fs::write(&graph, text).expect("a file in the temporary folder");
        let output = run_to_end(&["check", graph.to_str().expect("a plain path")], LIMIT);
        fails_with(&output, 1);
        assert!(
            !places(&output.stderr, "torn.toml").is_empty(),
            "{text:?}:\n{}",
            output.stderr
        );
    }
    std::fs::write(&graph, [0xff, 0xfe, 0x00]).expect("a file in the temporary folder");
    fails_with(
        &run_to_end(&["check", graph.to_str().expect("a plain path")], LIMIT),
        1,
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    for arguments in [
        &["run", "examples/echo.toml", "--listen", &address][..],
        &["signal", "--listen", &address],
    ] {
        let output = run_to_end(arguments, BUILD_LIMIT);
        fails_with(&output, 1);
        let port = address.rsplit(':').next().expect("an address has a port");
        assert!(
            output.stderr.contains(port) && output.stderr.contains("--listen"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn the_tone_runs_through_the_loaded_plugin_without_a_copy_or_a_drop() {
    let output = run_to_end(
        &["run", "examples/tone.toml", "--json", "--duration", "3s"],
        BUILD_LIMIT,
    );
    assert!(output.status.success(), "{}", output.stderr);
    let report = report(&output);
    assert_eq!(report["bytes_copied"], 0, "{report:#}");
    let links = report["links"].as_array().expect("a list of links");
    assert_eq!(links.len(), 2, "test-audio -> gain -> level: {report:#}");
    for link in links {
        assert_eq!(link["dropped"], 0, "{report:#}");
        // 50 blocks of 20 ms a second; the first and the last may fall outside.
        let frames = link["frames"].as_u64().unwrap_or(0);
        assert!(
            (140..=160).contains(&frames),
            "{frames} frames in 3 s: {report:#}"
        );
    }
    let types: Vec<_> = report["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| &node["type"])
        .collect();
    for wanted in ["test-audio", "gain", "level"] {
        assert!(
            types.iter().any(|found| *found == wanted),
            "no {wanted}: {report:#}"
        );
    }
    assert!(
        !output.stderr.contains('\u{1b}'),
        "colour codes in a pipe:\n{}",
        output.stderr
    );
}

#[test]
fn a_run_on_a_virtual_clock_takes_no_time_and_repeats_by_its_seed_to_the_byte() {
    let run = |more: &[&str], limit: Duration| {
        let mut arguments = vec!["run", "examples/tone.toml", "--clock", "virtual", "--json"];
        arguments.extend(["--duration", "2m"]);
        arguments.extend(more);
        let output = run_to_end(&arguments, limit);
        assert!(output.status.success(), "{}", output.stderr);
        output
    };
    let first = run(&[], BUILD_LIMIT);
    let frames = &report(&first)["links"][1]["frames"];
    assert_eq!(*frames, 2 * 60 * 50, "every block of 20 ms");
    let (_, seed) = (first.stderr.split_once("--seed "))
        .unwrap_or_else(|| panic!("no seed to repeat the run with: {}", first.stderr));
    let seed = seed.split_whitespace().next().unwrap_or_default();
    // Two minutes of sound within one of the test's.
    assert_eq!(run(&["--seed", seed], LIMIT).stdout, first.stdout);
}

#[test]
fn a_graph_that_needs_a_network_is_refused_on_a_virtual_clock() {
    let output = run_to_end(
        &["run", "examples/echo.toml", "--clock", "virtual"],
        BUILD_LIMIT,
    );
    fails_with(&output, 1);
    assert!(
        output.stderr.contains("\"browser\"") && output.stderr.contains("real clock"),
        "{}",
        output.stderr
    );
}

#[test]
fn nodes_that_edit_in_place_pass_the_check_for_copies() {
    let arguments = [
        "run",
        "examples/tone.toml",
        "--assert-zero-copy",
        "--duration",
        "500ms",
        "--json",
    ];
    let output = run_to_end(&arguments, BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    let report = report(&output);
    assert_eq!(report["failed"], 0, "{report:#}");
    assert_eq!(report["leaks"], serde_json::json!([]), "{report:#}");
    assert!(
        report["links"][1]["frames"].as_u64() > Some(0),
        "{report:#}"
    );
}

#[test]
fn a_param_can_be_set_and_a_wrong_one_is_refused() {
    let run = |set: &str| {
        let arguments = [
            "run",
            "examples/tone.toml",
            "--duration",
            "100ms",
            "--set",
            set,
        ];
        run_to_end(&arguments, BUILD_LIMIT)
    };
    assert!(run("louder.db=-6").status.success());
    for (wrong, named) in [
        ("nobody.db=1", "nobody"),
        ("louder.bd=1", "db"),
        ("louder.db=loud", "louder.db"),
        ("louder.db=99", "louder.db"),
    ] {
        let output = run(wrong);
        fails_with(&output, 1);
        assert!(
            output.stderr.contains(named),
            "--set {wrong}: {}",
            output.stderr
        );
    }
}

/// A folder with a graph of one link that needs nothing.
fn quiet() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let graph = folder.path().join("quiet.toml");
    let text = "links = [\"tone -> away\"]\n[nodes]\n\
                tone = { type = \"test-audio\" }\naway = { type = \"null\" }\n";
    std::fs::write(&graph, text).expect("a file in the folder");
    let graph = graph.to_str().expect("a plain path").to_owned();
    (folder, graph)
}

#[test]
fn one_link_is_no_links() {
    let (_folder, graph) = quiet();
    let check = run_to_end(&["check", &graph], LIMIT);
    let told = check.stdout;
    assert!(
        told.starts_with("quiet: 2 nodes, 1 link; one session\n"),
        "{told}"
    );
    let drawn = run_to_end(&["graph", &graph], LIMIT).stdout;
    assert!(drawn.contains("2 nodes, 1 link; "), "{drawn}");
}

#[test]
fn a_flag_for_the_web_server_is_told_to_do_nothing_where_there_is_none() {
    let (_folder, graph) = quiet();
    let run = |flags: &[&str]| {
        let virtually = ["run", &graph, "--clock", "virtual", "--duration", "1s"];
        let output = run_to_end(&[&virtually[..], flags].concat(), LIMIT);
        assert!(output.status.success(), "{}", output.stderr);
        output.stderr
    };
    let told = run(&["--listen", "127.0.0.1:0"]);
    let line =
        "levada: --listen does nothing here: quiet has no WebRTC nodes, and so no web server\n";
    assert!(told.contains(line), "{told}");
    assert!(!run(&[]).contains("does nothing"));
}

#[test]
fn inspect_knows_what_was_meant_and_which_plugin_has_it() {
    let refused = |what: &str| {
        let output = run_to_end(&["inspect", what], LIMIT);
        fails_with(&output, 1);
        output.stderr
    };
    assert!(refused("flap").contains("write levada inspect flip"));
    let told = refused("h264-decoder");
    assert!(
        told.contains("of the plugin h264") && told.contains("levada_h264"),
        "{told}"
    );
    assert!(refused("h264-encodr").contains("levada inspect h264-encoder"));
    let told = refused("nothing-like-any-of-them");
    assert!(told.contains("levada inspect lists them all"), "{told}");
    let all = run_to_end(&["inspect"], LIMIT);
    assert!(all.stdout.contains("h264-decoder"), "{}", all.stdout);
    let encoder = run_to_end(&["inspect", "opus-encoder"], LIMIT);
    assert!(encoder.stdout.contains("20 | 10 ms"), "{}", encoder.stdout);
}

#[test]
fn the_plugins_that_inspect_names_have_the_node_types_that_it_says() {
    for plugin in &levada::graph_file::PLUGINS {
        let folder = root().join("plugins").join(plugin.name).join("src");
        let sources = std::fs::read_dir(&folder).expect("the plugin's folder");
        let text: String = sources
            .filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
            .collect();
        for node_type in plugin.types {
            let name = format!("const NAME: &'static str = \"{node_type}\";");
            assert!(text.contains(&name), "{}: {node_type}", plugin.name);
        }
    }
}

/// A folder with the clip, called `film.mp4`, and a graph that plays its sound.
fn film(params: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = root().join("examples/sample.mp4");
    std::fs::copy(clip, folder.path().join("film.mp4")).expect("a file in the folder");
    let text = format!(
        "links = [\"film.audio -> meter\", \"film.video -> away\"]\n\
         [plugins]\naac = {{ path = {:?} }}\n\
         [nodes]\nfilm = {{ type = \"file-source\", params = {{ {params} }} }}\n\
         meter = {{ type = \"level\" }}\naway = {{ type = \"null\" }}\n",
        root().join("plugins/aac")
    );
    let graph = folder.path().join("film.toml");
    std::fs::write(&graph, text).expect("a file in the folder");
    let graph = graph.to_str().expect("a plain path").to_owned();
    (folder, graph)
}

#[test]
fn the_film_for_everybody_is_sent_as_it_is_and_its_sound_as_opus() {
    let output = run_to_end(&["check", "examples/play.toml"], BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    for words in [
        "film.video -> screen.video",
        "video/h264;width=320;height=180",
        "audio/aac;rate=48000;channels=1",
        "aac-decoder",
        "opus-encoder",
    ] {
        assert!(output.stdout.contains(words), "{words}:\n{}", output.stdout);
    }
    assert!(!output.stdout.contains("h264-decoder"), "{}", output.stdout);
}

#[test]
fn a_film_beside_its_graph_plays_through_the_decoder_that_its_sound_needs() {
    let (_folder, graph) = film("path = \"film.mp4\"");
    let output = run_to_end(
        &["run", &graph, "--clock", "virtual", "--json"],
        BUILD_LIMIT,
    );
    assert!(output.status.success(), "{}", output.stderr);
    let report = report(&output);
    assert_eq!(report["failed"], 0, "{report:#}");
    let came = |kind: &str| {
        let mut nodes = report["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["type"] == kind);
        node.and_then(|node| node["frames_in"].as_u64())
    };
    assert_eq!(came("aac-decoder"), Some(188), "{report:#}");
    assert!(came("level") > Some(180), "{report:#}");
    assert_eq!(came("null"), Some(120), "{report:#}");
}

#[test]
fn a_film_that_cannot_be_played_is_told_where_its_node_is_written() {
    let (folder, graph) = film("path = \"flim.mp4\"");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let check = |set: &[&str]| {
        let mut arguments = vec!["check", graph.as_str()];
        arguments.extend(set.iter().flat_map(|set| ["--set", set]));
        let output = run_to_end(&arguments, BUILD_LIMIT);
        fails_with(&output, 1);
        let line = output
            .stderr
            .lines()
            .find(|line| line.contains("film.toml:5:1: "));
        line.unwrap_or_else(|| panic!("no place: {}", output.stderr))
            .to_owned()
    };
    // As it stands: beside the graph.
    assert_eq!(
        check(&[]),
        format!(
            "{graph}:5:1: \"film\" (file-source): \"{}\" cannot be read: No such file or directory (os error 2); \
             correct its path, which in a graph file is relative to that, and else to where the program runs",
            at("flim.mp4")
        )
    );
    // From the command line: where the program runs.
    assert!(check(&["film.path=film.mp4"]).contains("\"film.mp4\" cannot be read: "));
    std::fs::write(at("notes.txt"), "these are no moving pictures").expect("a file in the folder");
    let notes = format!("film.path={}", at("notes.txt"));
    let told = check(&[&notes]);
    // The problem says it all: nothing is logged beside it.
    let output = run_to_end(&["check", &graph, "--set", &notes], BUILD_LIMIT);
    assert!(!output.stderr.contains("INFO"), "{}", output.stderr);
    assert!(
        told.contains("notes.txt\" is no file that file-source knows: it plays MP4, WebM,")
            && told.contains("; turn it into one of them, such as with ffmpeg -i"),
        "{told}"
    );
    let tone = root()
        .join("plugins/files/tests/tone.ogg")
        .display()
        .to_string();
    let told = check(&[&format!("film.path={tone}")]);
    assert!(
        told.ends_with(
            "tone.ogg\" has no pictures that can be played; remove the link from port \"video\", or choose another file"
        ),
        "{told}"
    );
    let clip = std::fs::read(at("film.mp4")).expect("the clip");
    std::fs::write(at("cut.mp4"), &clip[..1000]).expect("a file in the folder");
    let told = check(&[&format!("film.path={}", at("cut.mp4"))]);
    assert!(told.contains("cut.mp4\" at byte "), "{told}");
    // A whole one from the command line plays.
    let set = format!("film.path={}", at("film.mp4"));
    let output = run_to_end(&["check", &graph, "--set", &set], BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    let inspected = run_to_end(&["inspect", "file-source"], LIMIT);
    assert!(
        inspected.stdout.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.starts_with(&["path", "path", "must", "be", "given"])
        }),
        "{}",
        inspected.stdout
    );
}
