//! A plugin of one's own, made as the documentation says: inside the workspace by the README, beside the checkout by
//! `docs/write-a-plugin.md`.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::levada::{command, report, root, run_to_end};
use support::program::Program;

/// The copy is built from nothing: the kit and what that needs.
const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// Copies the repository, without what git and cargo made.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    let entries =
        std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a folder of the repository");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("the type of an entry");
        let is_made = [".git", "target", "node_modules"]
            .iter()
            .any(|name| entry.file_name() == *name);
        if kind.is_dir() && !is_made {
            copy(&path, &target);
        } else if kind.is_file() {
            std::fs::copy(&path, &target)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// The first listing of `page` in `language` that contains `mark`.
fn listing(page: &str, language: &str, mark: &str) -> String {
    let listings = support::markdown::fences(&root().join(page), language);
    let listing = listings.into_iter().find(|listing| listing.contains(mark));
    listing.unwrap_or_else(|| panic!("{page} has no listing in {language} with {mark}"))
}

/// Where these plugins are built. Cargo tells the members of two copies of a workspace apart by nothing, so they must
/// not share a folder with the workspace itself.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-plugin")
}

/// Runs `graph` in `folder` for a second and gives the report and the node of the type `node_type`.
fn run_for_a_second(folder: &Path, graph: &str, node_type: &str) -> (Value, Value) {
    let mut run = command(["run", graph, "--duration", "1s", "--json"]);
    run.current_dir(folder).env("CARGO_TARGET_DIR", target());
    let output = Program::start(&format!("levada run {graph}"), run).wait(BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    let report = report(&output);
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let node = nodes
        .iter()
        .find(|node| node["type"] == node_type)
        .expect("the node of the plugin")
        .clone();
    assert!(node["frames_in"].as_u64() >= Some(40), "{report:#}");
    assert_eq!(report["bytes_copied"], 0, "{report:#}");
    (report, node)
}

#[test]
fn a_copy_of_gain_with_the_node_of_the_readme_runs_in_a_graph() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let repository = folder.path();
    copy(root(), repository);
    let plugin = repository.join("plugins/mute");
    copy(&repository.join("plugins/gain"), &plugin);
    let manifest =
        std::fs::read_to_string(plugin.join("Cargo.toml")).expect("the manifest of gain");
    let renamed: String = manifest
        .lines()
        .map(|line| {
            if line.starts_with("name = ") {
                "name = \"mute\"\n".into()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    std::fs::write(plugin.join("Cargo.toml"), renamed).expect("the manifest of the copy");
    std::fs::write(
        plugin.join("src/lib.rs"),
        listing("README.md", "rust", "export_plugin!"),
    )
    .expect("the source of the copy");
    let graph = repository.join("examples/mute.toml");
    let text = r#"
links = ["tone -> silence -> meter"]
[plugins]
mute = { path = "../plugins/mute" }
[nodes]
tone = { type = "test-audio" }
silence = { type = "mute" }
meter = { type = "level" }
"#;
    std::fs::write(&graph, text).expect("a graph in the copy");

    let (report, mute) = run_for_a_second(repository, "examples/mute.toml", "mute");
    assert_eq!(mute["frames_in"], mute["frames_out"], "{report:#}");
}

#[test]
fn the_plugin_of_the_page_for_authors_is_tested_runs_and_is_inspected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let page = "docs/write-a-plugin.md";
    std::os::unix::fs::symlink(root(), folder.path().join("levada"))
        .expect("a link to the checkout");
    let plugin = folder.path().join("my-plugin");
    std::fs::create_dir_all(plugin.join("src")).expect("a folder for the crate");
    std::fs::create_dir_all(folder.path().join("graphs")).expect("a folder for the graph");
    std::fs::write(
        plugin.join("Cargo.toml"),
        listing(page, "toml", "[package]"),
    )
    .expect("the manifest");
    let source =
        listing(page, "rust", "export_plugin!(Half)") + &listing(page, "rust,ignore", "Harness");
    std::fs::write(plugin.join("src/lib.rs"), source).expect("the source");
    std::fs::write(
        folder.path().join("graphs/try.toml"),
        listing(page, "toml", "mine = "),
    )
    .expect("the graph");

    let mut test = Command::new(env!("CARGO"));
    test.arg("test")
        .current_dir(&plugin)
        .env("CARGO_TARGET_DIR", target());
    let output = Program::start("cargo test of the plugin", test).wait(BUILD_LIMIT);
    assert!(
        output.status.success() && output.stdout.contains("1 passed"),
        "{}{}",
        output.stdout,
        output.stderr
    );

    let (report, half) = run_for_a_second(folder.path(), "graphs/try.toml", "half");
    let (came, went) = (half["frames_in"].as_u64(), half["frames_out"].as_u64());
    assert_eq!(
        came.map(|came| came / 2),
        went,
        "every second frame: {report:#}"
    );

    let library = target().join("debug").join(format!(
        "{}my_plugin{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    let output = run_to_end(
        &["inspect", library.to_str().expect("a plain path")],
        BUILD_LIMIT,
    );
    assert!(output.status.success(), "{}", output.stderr);
    assert!(
        output
            .stdout
            .contains("half: Lets every second frame through"),
        "{}",
        output.stdout
    );
}

/// Copies every payload and does not say so.
const COPYCAT: &str = r#"
use levada_plugin::prelude::*;
struct Copycat;
impl Node for Copycat {
    const NAME: &'static str = "copycat";
    const SUMMARY: &'static str = "Copies in silence";
    const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];
    fn create(_config: &Config) -> Result<Self> { Ok(Copycat) }
    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            let mut copy = ctx.loan(frame.payload().len())?;
            copy.as_mut_slice().copy_from_slice(frame.payload());
            frame.set_payload(copy);
        }
        Ok(())
    }
}
levada_plugin::export_plugin!(Copycat);
"#;

#[test]
fn a_plugin_that_copies_in_silence_fails_a_run_without_copies() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(root(), folder.path().join("levada"))
        .expect("a link to the checkout");
    let plugin = folder.path().join("copycat");
    std::fs::create_dir_all(plugin.join("src")).expect("a folder for the crate");
    let manifest = listing("docs/write-a-plugin.md", "toml", "[package]");
    std::fs::write(
        plugin.join("Cargo.toml"),
        manifest.replace("my-plugin", "copycat"),
    )
    .expect("the manifest");
    std::fs::write(plugin.join("src/lib.rs"), COPYCAT).expect("the source");
    let graph = r#"
links = ["tone -> cat -> meter"]
[plugins]
copycat = { path = "copycat" }
[nodes]
tone = { type = "test-audio" }
cat = { type = "copycat" }
meter = { type = "level" }
"#;
    std::fs::write(folder.path().join("copy.toml"), graph).expect("the graph");
    let run = |arguments: &[&str]| {
        let arguments = ["run", "copy.toml", "--duration", "1s"]
            .iter()
            .chain(arguments);
        let mut run = command(arguments);
        run.current_dir(folder.path())
            .env("CARGO_TARGET_DIR", target());
        Program::start("levada run copy.toml", run).wait(BUILD_LIMIT)
    };
    let output = run(&["--assert-zero-copy"]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    for part in [
        "node \"cat\"",
        "type copycat",
        "link \"cat.out -> meter.in\"",
        "Host::copied",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert!(run(&[]).status.success(), "nobody looks unless asked");
}
