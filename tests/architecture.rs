//! The rules of `docs/architecture.md` that a reading of the files can keep.

#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/source.rs"]
mod source;

use std::{collections::BTreeSet, fs};

use crates::{crates, manifest, table};
use source::{Source, all_sources, code_lines, root, sources, words};

/// Where `unsafe` may be written. The page says why.
const UNSAFE: [&str; 14] = [
    "abi/src/",
    "abi/sdk/src/",
    "engine/core/src/frame/pool/",
    "engine/core/src/log.rs",
    "engine/core/src/plugin/",
    "engine/core/src/scheduler/task.rs",
    "engine/core/src/services.rs",
    "engine/core/src/session/",
    // What models under loom stand on; no other build has it.
    "engine/core/src/sync/model.rs",
    // Calls of the codec's library that its safe binding lacks.
    "plugins/h264/src/codec.rs",
    // Vector instructions of x86.
    "plugins/video/src/pixels/avx2.rs",
    // Calls of libvpx, which has no safe binding.
    "plugins/vp8/src/encoder/vpx.rs",
    // They act as plugins and hosts do.
    "engine/core/tests/plugin_files.rs",
    "engine/core/tests/plugin_support/",
];

/// Most lines of code of a file, without its tests, comments and empty lines.
const MAX_LINES: usize = 600;

/// What may be without a bound of its own, and what bounds it.
const BOUNDED_OTHERWISE: [(&str, &str); 3] = [
    (
        "engine/core/src/scheduler/crew.rs",
        "Injector: a segment is in the queue at most once, by the state of its task",
    ),
    (
        "engine/core/src/sync.rs",
        "Injector: only its name, for the crew",
    ),
    (
        "engine/core/src/sync/model.rs",
        "Injector: what the crew's stands for in a model, which pushes two items",
    ),
];

fn page() -> String {
    fs::read_to_string(root().join("docs/architecture.md")).expect("the page is there")
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

// Who depends on whom.

#[test]
fn crates_depend_downwards_only() {
    let crates = crates();
    let mut wrong = Vec::new();
    for it in &crates {
        let allowed: &[&str] = match it.folder.as_str() {
            // The host puts everything together.
            "" => continue,
            "abi" | "signaling" => &[],
            "abi/sdk" => &["levada-abi"],
            // The kit is for the plugins of its tests.
            "engine/core" => &["levada-abi", "levada-plugin"],
            _ => &["levada-abi", "levada-plugin"],
        };
        for on in &it.local {
            let is_plugin = |of: &str| {
                crates
                    .iter()
                    .any(|c| c.name == of && c.folder.starts_with("plugins/"))
            };
            let both_plugins = it.folder.starts_with("plugins/") && is_plugin(on);
            if !allowed.contains(&on.as_str()) && !both_plugins {
                wrong.push(format!("{} depends on {on}", it.name));
            }
        }
    }
    none(
        "a crate depends on one that stands above or beside it",
        &wrong,
    );
    let engine = crates
        .iter()
        .find(|c| c.folder == "engine/core")
        .expect("there is an engine");
    assert!(
        engine.local.iter().any(|on| on == "levada-abi"),
        "nothing was found by this reading"
    );
}

#[test]
fn the_engine_needs_the_plugin_kit_for_its_tests_only() {
    let manifest = manifest("engine/core");
    let needed = table(&manifest, "dependencies").expect("it has dependencies");
    assert!(!needed.contains_key("levada-plugin"));
}

#[test]
fn the_engine_names_no_plugin_no_webrtc_no_signaling_and_no_runtime() {
    let plugins: Vec<String> = crates()
        .iter()
        .filter(|c| c.folder.starts_with("plugins/"))
        .map(|c| c.name.replace('-', "_"))
        .collect();
    let mut wrong = Vec::new();
    for source in sources("engine/core/src") {
        for (line, word) in words(&source.code) {
            let lower = word.to_lowercase();
            if plugins.contains(&lower)
                || ["webrtc", "rtc", "tokio", "signaling"]
                    .iter()
                    .any(|w| lower.split('_').any(|part| part == *w))
            {
                wrong.push(format!("{}:{line}: {word}", source.path));
            }
        }
    }
    none("engine/core is for graphs of any kind, and names", &wrong);
}

// What reads no clock and does no I/O.

#[test]
fn graphs_and_rooms_do_no_io_and_read_no_clock() {
    const OUTSIDE: [&str; 11] = [
        "fs",
        "net",
        "env",
        "process",
        "thread",
        "Instant",
        "SystemTime",
        "clock",
        "now_ns",
        "tokio",
        "rand",
    ];
    let pure = [
        "engine/core/src/graph",
        "signaling/src/room.rs",
        "signaling/src/room",
    ];
    let mut wrong = Vec::new();
    for source in pure.into_iter().flat_map(sources) {
        for (line, word) in words(&source.code) {
            if OUTSIDE.contains(&word) {
                wrong.push(format!("{}:{line}: {word}", source.path));
            }
        }
    }
    none(
        "time, loss and files are inputs of these modules, which use",
        &wrong,
    );
}

// Unsafe code.

fn may_be_unsafe(source: &Source) -> bool {
    UNSAFE.iter().any(|place| source.path.starts_with(place))
}

#[test]
fn unsafe_code_stays_where_the_page_says() {
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|s| !may_be_unsafe(s)) {
        for (line, _) in words(&source.code_and_tests).filter(|w| w.1 == "unsafe") {
            wrong.push(format!("{}:{line}", source.path));
        }
    }
    none(
        "unsafe code outside the places of docs/architecture.md",
        &wrong,
    );
    let page = page();
    for place in UNSAFE {
        assert!(
            page.contains(&format!("`{place}`")),
            "docs/architecture.md does not name {place}"
        );
        let is_used = |s: &Source| words(&s.code_and_tests).any(|w| w.1 == "unsafe");
        assert!(
            sources(place).iter().any(is_used),
            "{place} needs no unsafe code any more"
        );
    }
}

#[test]
fn crates_without_unsafe_code_forbid_it() {
    for path in [
        "engine/host/lib.rs",
        "engine/host/main.rs",
        "signaling/src/lib.rs",
        "plugins/basic/src/lib.rs",
        "plugins/files/src/lib.rs",
        "plugins/opus/src/lib.rs",
        "plugins/webrtc/src/lib.rs",
    ] {
        let text = fs::read_to_string(root().join(path)).expect("the file is there");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{path}");
    }
}

// Bounds.

/// Whether a channel is made here that takes any number of messages.
fn is_unbounded(line: &str, uses_std_channels: bool) -> bool {
    if words(line).any(|(_, w)| w.starts_with("unbounded") || ["SegQueue", "Injector"].contains(&w))
    {
        return true;
    }
    // `channel()` and `channel::<T>()` of std::sync::mpsc; those of tokio are given their bound.
    let mut rest = line;
    while let Some(at) = rest.find("channel") {
        let (before, after) = rest.split_at(at);
        rest = &after["channel".len()..];
        let call = match rest.strip_prefix("::<") {
            Some(generic) => generic.split_once(">(").map_or("", |(_, call)| call),
            None => rest.strip_prefix('(').unwrap_or(""),
        };
        let of_one = ["oneshot::", "watch::", "broadcast::"]
            .iter()
            .any(|of| before.ends_with(of));
        let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let is_call = call.starts_with(')') && is_word && !of_one;
        if is_call && (uses_std_channels || before.ends_with("mpsc::")) {
            return true;
        }
    }
    false
}

#[test]
fn no_queue_is_without_a_bound() {
    let mut wrong = Vec::new();
    let mut excused = Vec::new();
    for source in all_sources().iter().filter(|s| !s.is_test()) {
        let uses_std_channels = source.code.contains("sync::mpsc") || source.code.contains("mpsc,");
        for (index, line) in source.code.lines().enumerate() {
            if line.trim_start().starts_with("use ") || !is_unbounded(line, uses_std_channels) {
                continue;
            }
            match BOUNDED_OTHERWISE
                .iter()
                .find(|(path, _)| *path == source.path)
            {
                Some((path, _)) => excused.push(*path),
                None => wrong.push(format!("{}:{}: {}", source.path, index + 1, line.trim())),
            }
        }
    }
    none("queues without a bound", &wrong);
    for (path, why) in BOUNDED_OTHERWISE {
        assert!(
            excused.contains(&path),
            "{path} needs no excuse any more ({why})"
        );
    }
}

#[test]
fn an_unbounded_channel_is_recognised() {
    for line in [
        "let (a, b) = mpsc::channel();",
        "let (a, b) = std::sync::mpsc::channel::<(u8, Vec<u8>)>();",
        "let (a, b) = tokio::sync::mpsc::unbounded_channel();",
        "let (a, b) = crossbeam::channel::unbounded::<u8>();",
        "queue: SegQueue<u8>,",
    ] {
        assert!(is_unbounded(line, false), "{line}");
    }
    assert!(is_unbounded("let (a, b) = channel();", true));
    for line in [
        "let (a, b) = mpsc::channel(1);",
        "let (a, b) = mpsc::channel::<u8>(1);",
        "let (a, b) = sync_channel::<u8>(0);",
        "let (a, b) = oneshot::channel();",
        "self.channel()",
        "fn data_channel() {}",
    ] {
        assert!(!is_unbounded(line, true), "{line}");
    }
}

/// The table of bounds on the page: each number is what its constant, or default, says in the code.
#[test]
fn the_bounds_on_the_page_are_those_of_the_code() {
    let page = page();
    let mut rows = 0;
    for row in page
        .lines()
        .filter(|l| l.starts_with("| ") && l.contains("` in `"))
    {
        rows += 1;
        let quoted: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let [.., value, name, path] = quoted[..] else {
            panic!("a row says `value`, `NAME` in `path`: {row}");
        };
        let text =
            fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{row}\n{path}: {e}"));
        let says_so = text.lines().any(|line| {
            let line = line.trim();
            words(line).any(|(_, word)| word == name)
                && [
                    format!("= {value};"),
                    format!(": {value},"),
                    format!("({value})"),
                ]
                .iter()
                .any(|end| line.ends_with(end.as_str()))
        });
        assert!(says_so, "{path} does not say that {name} is {value}");
    }
    assert!(rows >= 30, "only {rows} rows were read");
}

// Benches.

/// A bench that the page does not know is one whose question nobody reads; one that the manifest does not know is run
/// by the harness for tests, and measures nothing.
#[test]
fn every_bench_has_a_question_on_its_page_and_no_harness() {
    let folder = fs::read_dir(root().join("benches")).expect("the folder is there");
    let files = folder.filter_map(|entry| {
        let name = entry
            .expect("it can be read")
            .file_name()
            .into_string()
            .ok()?;
        name.strip_suffix(".rs").map(str::to_owned)
    });
    let files: BTreeSet<String> = files.collect();
    let page = fs::read_to_string(root().join("benches/README.md")).expect("the page is there");
    // The first table: `name`, question, what it is compared with.
    let asked = page.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        rest.contains('?').then(|| name.to_owned())
    });
    assert_eq!(
        files,
        asked.collect(),
        "benches/ and the questions on its page"
    );

    let manifest = manifest("");
    let benches = manifest["bench"].as_array().expect("benches are declared");
    let declared = benches.iter().filter_map(|bench| {
        let runs_itself = bench.get("harness").and_then(toml::Value::as_bool) == Some(false);
        let name = bench["name"].as_str().expect("a bench has a name");
        runs_itself.then(|| name.to_owned())
    });
    assert_eq!(
        files,
        declared.collect(),
        "benches/ and [[bench]] with harness = false"
    );
}

// Sizes.

#[test]
fn files_are_short_enough_to_read() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let lines = code_lines(&source.code);
        if lines > MAX_LINES {
            wrong.push(format!("{}: {lines} lines of code", source.path));
        }
    }
    none(
        &format!("more than {MAX_LINES} lines of code; split by concept"),
        &wrong,
    );
}
