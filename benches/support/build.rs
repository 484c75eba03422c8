//! What a bench has cargo build while it runs: programs that it must not be linked with.

use std::{path::PathBuf, process::Command};

/// Has cargo build what `args` name, with the profile of this program, and returns the folder in which
/// it lies.
pub fn build(args: &[&str]) -> PathBuf {
    // This program lies in `deps`, beside which the folders of the other targets are.
    let this = std::env::current_exe().expect("the system knows this program's path");
    let folder = this.parent().and_then(|deps| deps.parent());
    let folder = folder.expect("a program lies in a folder").to_owned();
    let name = folder.file_name().and_then(|name| name.to_str());
    let profile = match name {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts: it started this program");
    assert!(built.success(), "cargo build {}", args.join(" "));
    folder
}
