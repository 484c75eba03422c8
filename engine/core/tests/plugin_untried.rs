//! A program that does not serve as a trial child. Its own file, because serving is for a whole
//! process.

mod plugin_support;

use levada_engine::plugin::{LoadError, load, trial};

#[test]
fn a_host_that_never_offered_to_serve_refuses_an_unseen_plugin() {
    trial::remember_in(None);
    let folder = plugin_support::folder();
    let path = plugin_support::gain(folder.path());
    let error = load(&path, &plugin_support::HOST).expect_err("nobody can try it");
    assert!(matches!(error, LoadError::NoTrial { .. }));
    assert!(
        error
            .to_string()
            .contains("trial::serve_if_asked() first thing in main"),
        "{error}"
    );
}
