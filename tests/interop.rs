//! An independent implementation of WebRTC, aiortc, as the peer: it offers, and gets back what it sends.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::levada::{Levada, root};
use support::program::Program;

/// A Python that has aiortc: what `LEVADA_PYTHON` names, or `python3`.
fn python_with_aiortc() -> Option<PathBuf> {
    let named = std::env::var_os("LEVADA_PYTHON").filter(|named| !named.is_empty());
    let python = named.map_or_else(|| "python3".into(), PathBuf::from);
    let mut command = Command::new(&python);
    command
        .args(["-c", "import aiortc"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    support::skip_or_fail(
        &format!("{} has no aiortc", python.display()),
        "make a virtual environment, install tests/interop/requirements.txt into it, \
         and name its Python in LEVADA_PYTHON",
    );
    None
}

fn aiortc_gets_its_media_back(video: &str, audio: &str) {
    let Some(python) = python_with_aiortc() else {
        return;
    };
    let levada = Levada::serve(&[
        "run",
        "examples/echo.toml",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let mut client = Command::new(python);
    client
        .arg(root().join("tests/interop/echo_client.py"))
        .args([&levada.url, video, audio]);
    let output = Program::start("the aiortc client", client).wait(Duration::from_secs(300));
    assert!(
        output.status.success(),
        "the client ended with {}:\n{}",
        output.status,
        output.stderr
    );
    let report = levada.stop_with_report();
    let links = report["links"].as_array().expect("a list of links");
    assert!(
        links.iter().all(|link| link["frames"].as_u64() > Some(0)),
        "a link without frames: {report:#}"
    );
}

#[test]
fn aiortc_gets_its_sound_its_vp8_video_and_its_messages_back() {
    aiortc_gets_its_media_back("VP8", "opus");
}

#[test]
fn aiortc_gets_its_sound_its_h264_video_and_its_messages_back() {
    aiortc_gets_its_media_back("H264", "opus");
}

#[test]
fn aiortc_that_has_only_g711_and_vp8_gets_its_media_back() {
    aiortc_gets_its_media_back("VP8", "PCMU");
}
