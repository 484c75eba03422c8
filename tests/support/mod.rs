//! What the end-to-end tests share: a browser, the programs under test, and their time-outs.
//!
//! A test drives three kinds of process: Chromium through [`browser::Browser`] and [`page::Page`], the `levada`
//! program through [`levada::Levada`], and any other program through [`program::Program`]. Each of them ends with the
//! value that stands for it, by its process id, and prints what it had to say when the test fails.
//!
//! What must hold: nothing here waits without a limit, and every limit that runs out names what was awaited.

// Each file in `tests/` is a crate of its own and uses its part of this module only.
#![allow(dead_code)]

pub mod browser;
pub mod cdp;
pub mod http;
pub mod levada;
pub mod markdown;
pub mod page;
pub mod program;
pub mod terminal;
pub mod visitor;

use std::io::Write;

/// Says whether this run may leave a test out: not where `CI` is `true`.
pub fn must_run() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Reports that the running test is left out because `missing` is not there, and how to get it.
///
/// The line goes past the test harness's capture, which would hide it from a passing run.
///
/// # Panics
/// Where `CI` is `true`: there every test has to run.
pub fn skip_or_fail(missing: &str, remedy: &str) {
    let test = std::thread::current()
        .name()
        .unwrap_or("this test")
        .to_owned();
    let message = format!("{test}: skipped, because {missing}; {remedy}");
    assert!(
        !must_run(),
        "{message} (CI is set to true: no test may be skipped)"
    );
    // A closed stderr is no reason to fail a test that does not run.
    let _ = writeln!(std::io::stderr(), "\n{message}");
}
