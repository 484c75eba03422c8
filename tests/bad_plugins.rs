//! Files that are no plugin, or were one before something happened to them: one clear sentence, and the host lives.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::levada::{command, root, run_to_end};
use support::program::{Output, Program};

const LIMIT: Duration = Duration::from_secs(60);
const BUILD_LIMIT: Duration = Duration::from_secs(300);

/// The library of the plugin `gain`, built by cargo as its author would.
fn good_library() -> Vec<u8> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--package",
            "levada-gain",
            "--message-format",
            "json",
        ])
        .current_dir(root());
    let output = Program::start("cargo build", cargo).wait(BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    let messages = output
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let files = messages
        .filter(|message| {
            message["target"]["name"] == "levada_gain" || message["target"]["name"] == "levada-gain"
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let library = files
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "so" || extension == "dylib")
        });
    let library = library.expect("levada-gain is a dynamic library");
    std::fs::read(&library).unwrap_or_else(|error| panic!("{}: {error}", library.display()))
}

/// A folder with a graph that loads `plugin.so` beside it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let graph = r#"
name = "bench"
links = ["tone -> louder -> meter"]
[plugins]
gain = { lib = "plugin.so" }
[nodes]
tone = { type = "test-audio" }
louder = { type = "gain", params = { db = 1.0 } }
meter = { type = "level" }
"#;
        std::fs::write(folder.path().join("graph.toml"), graph)
            .expect("a file in the temporary folder");
        Self { folder }
    }

    fn plugin(&self) -> PathBuf {
        self.folder.path().join("plugin.so")
    }

    fn check(&self, library: &[u8]) -> Output {
        // A new file each time, as a library that is replaced under a running program would be another test.
        let _ = std::fs::remove_file(self.plugin());
        std::fs::write(self.plugin(), library).expect("a file in the temporary folder");
        self.check_what_is_there()
    }

    fn check_what_is_there(&self) -> Output {
        let graph = self.folder.path().join("graph.toml");
        Program::start("levada check", command([Path::new("check"), &graph])).wait(LIMIT)
    }
}

/// The host ended by itself, and either took the file or refused it with one sentence that names it.
fn is_judged(output: &Output, what: &str) -> bool {
    assert_eq!(
        output.status.signal(),
        None,
        "{what}: the host was killed:\n{}",
        output.stderr
    );
    // What the child process said, its panic included, is quoted inside a line.
    let panicked = output
        .stderr
        .lines()
        .any(|line| line.starts_with("thread '"));
    assert!(!panicked, "{what}: the host panicked:\n{}", output.stderr);
    match output.status.code() {
        Some(0) => true,
        Some(1) => {
            // A flip can leave a valid plugin with another name or param; then the graph does not fit it.
            let is_about_the_graph = output.stderr.contains("graph.toml:");
            assert!(
                output.stderr.contains("plugin.so") || is_about_the_graph,
                "{what}: the file is not named:\n{}",
                output.stderr
            );
            false
        }
        other => panic!("{what}: exit code {other:?}:\n{}", output.stderr),
    }
}

fn is_refused(output: &Output, what: &str) {
    assert!(
        !is_judged(output, what),
        "{what} was taken for a plugin:\n{}",
        output.stdout
    );
    assert!(
        output.stderr.contains("plugin.so"),
        "{what}: the file is not named:\n{}",
        output.stderr
    );
    assert_eq!(
        output.stdout, "",
        "{what}: what went wrong belongs on stderr"
    );
    assert!(
        output.stderr.len() < 2_000,
        "{what}: {} bytes instead of a sentence",
        output.stderr.len()
    );
}

#[test]
fn the_library_as_it_was_built_is_taken() {
    let output = Bench::new().check(&good_library());
    assert!(is_judged(&output, "the good library"), "{}", output.stderr);
}

#[test]
fn what_was_never_a_library_is_refused() {
    let bench = Bench::new();
    is_refused(&bench.check_what_is_there(), "a missing file");
    is_refused(&bench.check(b""), "an empty file");
    is_refused(&bench.check(b"#!/bin/sh\necho hello\n"), "text");
    is_refused(&bench.check(&[0; 100_000]), "zeros");
    is_refused(&bench.check(b"\x7fELF"), "four bytes of ELF");
    is_refused(&bench.check(b"!<arch>\n"), "an archive");
    std::fs::remove_file(bench.plugin()).expect("the last file");
    std::fs::create_dir(bench.plugin()).expect("a folder in the temporary folder");
    is_refused(&bench.check_what_is_there(), "a folder");
}

#[test]
fn a_library_without_an_entry_is_refused() {
    let bench = Bench::new();
    let source = bench.folder.path().join("other.c");
    std::fs::write(&source, "int answer(void) { return 42; }\n")
        .expect("a file in the temporary folder");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(bench.plugin())
        .arg(&source);
    assert!(Program::start("cc", compiler).wait(LIMIT).status.success());
    is_refused(&bench.check_what_is_there(), "a library of something else");
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_of_another_machine_is_refused() {
    let (bench, good) = (Bench::new(), good_library());
    // ELF: byte 4 is the class, byte 5 the byte order, bytes 18 and 19 the machine.
    for (place, value, what) in [
        (4, 1, "32 bits"),
        (5, 2, "big-endian"),
        (18, 0xf3, "RISC-V"),
        (18, 8, "MIPS"),
    ] {
        let mut library = good.clone();
        library[place] = value;
        is_refused(&bench.check(&library), what);
    }
}

#[test]
fn a_truncated_library_is_refused_wherever_it_ends() {
    let (bench, good) = (Bench::new(), good_library());
    let headers = [
        1, 4, 15, 16, 17, 32, 52, 63, 64, 65, 120, 512, 4_095, 4_096, 4_097,
    ];
    let steps = (1..40).map(|step| good.len() / 40 * step);
    let ends = [2, 1_000, 4_096].map(|missing| good.len() - missing);
    for length in headers.into_iter().chain(steps).chain(ends) {
        is_refused(
            &bench.check(&good[..length]),
            &format!("the first {length} of {} bytes", good.len()),
        );
    }
}

/// A flipped bit may leave a library that works; whatever it does must not reach the host.
#[test]
fn flipped_bits_in_the_headers_never_kill_the_host() {
    let (bench, good) = (Bench::new(), good_library());
    let mut refused = 0;
    let mut flip = |byte: usize, bit: u8| {
        let mut library = good.clone();
        library[byte] ^= 1 << bit;
        refused += u32::from(!is_judged(
            &bench.check(&library),
            &format!("bit {bit} of byte {byte}"),
        ));
    };
    // The file header: each byte, one bit, the bits in turn. The magic number is four bytes of it.
    (0..64).for_each(|byte| flip(byte, byte as u8 % 8));
    // The program headers behind it: all fields of twelve segments.
    (64..64 + 12 * 56)
        .step_by(5)
        .for_each(|byte| flip(byte, (byte / 5) as u8 % 8));
    // Symbol and string tables, hashes and relocations lie in the first pages, the section headers at the end.
    let mut place = 0x2545_f491_usize;
    for round in 0..60 {
        place = place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (from, span) = if round % 3 == 0 {
            (good.len() - 2_048, 2_048)
        } else {
            (736, 16_384)
        };
        flip(from + (place >> 33) % span, (round % 8) as u8);
    }
    assert!(
        refused >= 4,
        "the magic number has four bytes, and only {refused} files were refused"
    );
}

#[test]
fn inspect_refuses_what_is_no_plugin_too() {
    let bench = Bench::new();
    std::fs::write(bench.plugin(), "text").expect("a file in the temporary folder");
    let path = bench.plugin();
    is_refused(
        &run_to_end(&["inspect", path.to_str().expect("a plain path")], LIMIT),
        "text",
    );
}
