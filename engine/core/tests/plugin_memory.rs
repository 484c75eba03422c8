//! What passed its trial is remembered. Its own file, because where and how trials run is settled for
//! a whole process.

mod plugin_support;

use std::fs;

use levada_engine::plugin::{LoadError, load, trial};
use plugin_support::HOST;

/// What trial children of this program run.
#[test]
fn trial_child() {
    trial::serve_if_asked();
}

#[test]
fn a_passed_trial_is_remembered_for_the_content() {
    let folder = plugin_support::folder();
    let memory = folder.path().join("made/on/demand");
    let path = plugin_support::gain(folder.path());
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    trial::remember_in(Some(memory.clone()));
    load(&path, &HOST).expect("gain loads");
    assert_eq!(fs::read_dir(&memory).expect("it was made").count(), 1);

    // From here on every trial fails, because the test runner refuses its arguments.
    trial::serve_by_arguments(["--no-such-argument"]);
    let copy = folder.path().join("copy.so");
    fs::copy(&path, &copy).expect("the folder can be written");
    load(&copy, &HOST).expect("the content has passed before");
    let mut bytes = fs::read(&path).expect("it was built");
    bytes.push(0);
    let longer = folder.path().join("longer.so");
    fs::write(&longer, bytes).expect("the folder can be written");
    let error = load(&longer, &HOST).expect_err("other content has not");
    assert!(matches!(error, LoadError::Exited { .. }), "{error}");
    assert_eq!(fs::read_dir(&memory).expect("it is there").count(), 1);

    // A folder that cannot be made is no error.
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    trial::remember_in(Some(copy.join("no/folder")));
    load(&longer, &HOST).expect("it is tried, and passes");
}
