//! A plugin of one's own, made as the README says: copy `plugins/gain`, put a node into it, name it in a graph.

mod support;

use std::path::Path;
use std::time::Duration;

use support::levada::{command, report, root};
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

/// The node of the README: its fence of Rust code with an `export_plugin!`.
fn node_of_the_readme() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let fences = readme
        .split("```rust")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"));
    let code = fences.map(|(code, _)| code.split_once('\n').map_or("", |(_, code)| code));
    let mut nodes = code.filter(|code| code.contains("export_plugin!"));
    nodes.next().expect("the README shows a node").to_owned()
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
    std::fs::write(plugin.join("src/lib.rs"), node_of_the_readme())
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

    let mut run = command([Path::new("run"), &graph]);
    run.args(["--duration", "1s", "--json"])
        .current_dir(repository);
    // Cargo tells the members of two copies of a workspace apart by nothing: they must not share a target folder.
    run.env(
        "CARGO_TARGET_DIR",
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-plugin"),
    );
    let output = Program::start("levada run mute.toml", run).wait(BUILD_LIMIT);
    assert!(output.status.success(), "{}", output.stderr);
    let report = report(&output);
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let mute = nodes
        .iter()
        .find(|node| node["type"] == "mute")
        .expect("the node of the plugin");
    assert!(mute["frames_in"].as_u64() >= Some(40), "{report:#}");
    assert_eq!(mute["frames_in"], mute["frames_out"], "{report:#}");
    assert_eq!(report["bytes_copied"], 0, "{report:#}");
}
