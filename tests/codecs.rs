//! Peers that have only some codecs: a graph serves them with what they have, or says why not.

mod support;

use std::time::Duration;

use support::browser::Browser;
use support::levada::{Levada, run_to_end};
use support::visitor::Visitor;

async fn at(browser: &Browser, graph: &str, audio: &str, video: &str) -> (Levada, Visitor) {
    let levada = Levada::serve(&["run", graph, "--listen", "127.0.0.1:0", "--json"]);
    let url = format!("{}/?source=pattern", levada.url);
    let visitor = Visitor::arrive(browser, video, &url).await;
    let restrict = format!(
        "levadaTest.restrict('audio', ['audio/{audio}']); levadaTest.restrict('video', ['video/{video}'])"
    );
    visitor.page.evaluate(&restrict).await;
    visitor.press("start").await;
    visitor.is_connected().await;
    (levada, visitor)
}

#[tokio::test]
async fn an_echo_returns_whatever_codecs_the_browser_has() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    for (audio, video) in [("PCMU", "VP8"), ("PCMA", "H264"), ("opus", "VP8")] {
        let (levada, visitor) = at(&browser, "examples/echo.toml", audio, video).await;
        visitor.sees_video_for(2).await;
        visitor.sees_own_picture().await;
        visitor.hears_sound().await;
        for (kind, name) in [("audio", audio), ("video", video)] {
            let codec = visitor
                .page
                .evaluate(&format!("levadaTest.codec(pc, '{kind}')"))
                .await;
            assert_eq!(codec, format!("{kind}/{name}"));
        }
        assert_eq!(visitor.page.errors(), Vec::<String>::new());
        levada.stop_with_report();
    }
}

#[tokio::test]
async fn a_browser_without_the_graphs_codec_is_told_so_and_gets_the_rest() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(&browser, "examples/mirror.toml", "opus", "VP9").await;
    visitor.hears_sound().await;
    let said = "(() => { const log = document.getElementById('log').textContent; \
         if (log.includes('No video: the peer has VP9')) return log; throw log; })()";
    let log = visitor
        .page
        .wait_for("why there is no video", Duration::from_secs(30), said)
        .await;
    let log = log.as_str().unwrap_or_default();
    for part in ["the graph \"mirror\" does H264", "let the peer offer"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let output = levada.stop();
    assert!(output.status.success(), "{}", output.stderr);
    assert!(
        output.stderr.contains("no video: the peer has VP9"),
        "{}",
        output.stderr
    );
}

#[test]
fn check_says_what_a_link_may_carry_as_the_peer_agrees() {
    let check = |graph: &str| {
        let output = run_to_end(&["check", graph], Duration::from_secs(300));
        assert!(output.status.success(), "{}", output.stderr);
        output.stdout
    };
    let pictures = "video/vp8 or video/h264 as the peer agrees";
    let echo = check("examples/echo.toml");
    assert!(echo.contains(pictures), "{echo}");
    // Decoded and encoded, they are one thing; the sound passes as it is.
    let mirror = check("examples/mirror.toml");
    assert!(!mirror.contains(pictures), "{mirror}");
    let line = mirror
        .lines()
        .find(|line| line.contains("browser.audio ->"));
    assert!(
        line.is_some_and(|line| line.contains("or audio/pcmu or audio/pcma as the peer agrees")),
        "{mirror}"
    );
}
