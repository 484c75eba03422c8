//! The three steps of the classic flow: a relay, an application with `run_with_signaling`, and browsers.

mod support;

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use support::browser::Browser;
use support::levada::{Levada, example};
use support::program::Program;
use support::visitor::Visitor;

const LIMIT: Duration = Duration::from_secs(60);

/// Starts the relay and the example beside it, without any `RUST_LOG`.
fn relay_and_application() -> (Levada, Program) {
    let relay = Levada::serve(&["signal", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new(example("webrtc_with_signaling"));
    command.arg(relay.socket_url()).env_remove("RUST_LOG");
    let application = Program::start("webrtc_with_signaling", command).show_only(20);
    (relay, application)
}

#[tokio::test]
async fn the_application_echoes_serves_one_browser_at_a_time_and_then_the_next() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (relay, mut application) = relay_and_application();
    let url = format!("{}/?source=pattern", relay.url);

    let first = Visitor::arrive(&browser, "first", &url).await;
    first.press("start").await;
    first.is_connected().await;
    first.sees_video().await;
    first.sees_own_picture().await;
    first.hears_sound().await;
    first.gets_text_back("text", 100).await;
    first.gets_bytes_back("bytes", 50_000).await;
    for kind in ["audio", "video", "data"] {
        application.wait_for_line(&format!("\"echoing\" with {kind}"), LIMIT, |line| {
            let line = line.to_lowercase();
            (line.contains("info") && line.contains("echoing") && line.contains(kind)).then_some(())
        });
    }

    let second = Visitor::arrive(&browser, "second", &url).await;
    second.press("start").await;
    // The refusal names the room; nothing else that the status says does.
    second.reads_status("room \"main\"").await;
    assert_eq!(
        second
            .page
            .evaluate("document.getElementById('status').dataset.state")
            .await,
        "failed"
    );
    assert_eq!(
        second
            .page
            .evaluate("document.getElementById('start').disabled")
            .await,
        false
    );
    first.sees_video_for(1).await;

    first.press("stop").await;
    first
        .page
        .wait_for(
            "the end of the call",
            LIMIT,
            "!window.pc || pc.connectionState === 'closed'",
        )
        .await;
    let third = Visitor::arrive(&browser, "third", &url).await;
    third.press("start").await;
    third.is_connected().await;
    third.sees_video().await;
    third.gets_text_back("text", 100).await;

    // A browser that vanishes instead of saying goodbye makes room too.
    third.page.close().await;
    let fourth = Visitor::arrive(&browser, "fourth", &url).await;
    fourth.press("start").await;
    fourth.is_connected().await;
    fourth.sees_video_for(2).await;

    application.signal(Signal::INT);
    let output = application.wait(LIMIT);
    assert!(
        output.status.success(),
        "the application ended with {}:\n{}",
        output.status,
        output.stderr
    );
    let output = relay.stop();
    assert!(
        output.status.success(),
        "the relay ended with {}:\n{}",
        output.status,
        output.stderr
    );
}

#[tokio::test]
async fn a_browser_that_comes_before_the_application_is_served_too() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let relay = Levada::serve(&["signal", "--listen", "127.0.0.1:0"]);
    let early = Visitor::arrive(
        &browser,
        "early",
        &format!("{}/?source=pattern&autostart=1", relay.url),
    )
    .await;
    let joined = "(await (await fetch('/health')).json()).peers === 1";
    early
        .page
        .wait_for("its place in the room", LIMIT, joined)
        .await;
    let mut command = Command::new(example("webrtc_with_signaling"));
    command.arg(relay.socket_url());
    let application = Program::start("webrtc_with_signaling", command).show_only(20);
    early.is_connected().await;
    early.sees_video_for(2).await;
    drop(application);
    relay.stop();
}
