//! The main job, as a person sees it: camera and microphone go through `examples/echo.toml` and come back.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::browser::Browser;
use support::levada::Levada;
use support::visitor::Visitor;

const ECHO: &[&str] = &[
    "run",
    "examples/echo.toml",
    "--listen",
    "127.0.0.1:0",
    "--json",
];

#[tokio::test]
async fn camera_microphone_and_messages_come_back() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let levada = Levada::serve(ECHO);
    let visitor = Visitor::arrive(&browser, "camera", &levada.url).await;
    visitor.press("start").await;
    visitor.is_connected().await;
    visitor.sees_video().await;
    visitor.sees_own_picture().await;
    visitor.hears_sound().await;
    visitor.chats("good morning").await;
    visitor.gets_text_back("text", 5_000).await;
    visitor.gets_bytes_back("bytes", 50_000).await;
    assert_eq!(visitor.page.errors(), Vec::<String>::new());

    let report = levada.stop_with_report();
    assert_everything_travelled(&report);
    assert!(
        report["bytes_copied"].as_u64() > Some(0),
        "encoded video is put together once: {report:#}"
    );
}

#[tokio::test]
async fn a_drawn_pattern_and_a_tone_stand_in_for_a_missing_camera() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let levada = Levada::serve(ECHO);
    let visitor = Visitor::arrive(
        &browser,
        "pattern",
        &format!("{}/?source=pattern&autostart=1", levada.url),
    )
    .await;
    visitor.is_connected().await;
    visitor.sees_video().await;
    visitor.sees_own_picture().await;
    visitor.sees_the_patterns_own_colours().await;
    visitor.hears_sound().await;
    visitor.gets_text_back("text", 10).await;
    assert_everything_travelled(&levada.stop_with_report());
}

#[tokio::test]
async fn video_recovers_from_a_burst_of_lost_packets() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let loss = (
        "LEVADA_TEST_LOSS",
        "seed=7,per-thousand=300,after=3s,for=2s",
    );
    let levada = Levada::serve_with(ECHO, &[loss]);
    let visitor = Visitor::arrive(
        &browser,
        "loss",
        &format!("{}/?source=pattern&autostart=1", levada.url),
    )
    .await;
    visitor.is_connected().await;
    let page = &visitor.page;
    page.wait_for(
        "signs of the lost packets",
        Duration::from_secs(30),
        "await levadaTest.signsOfLoss(pc) > 5",
    )
    .await;
    // Five seconds in a row reach well beyond the two of the burst.
    visitor.sees_video().await;
    visitor.sees_own_picture().await;
    visitor.gets_bytes_back("after", 50_000).await;
    levada.stop_with_report();
}

#[tokio::test]
async fn two_browsers_at_once_have_a_session_each() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let levada = Levada::serve(ECHO);
    let url = format!("{}/?source=pattern&autostart=1", levada.url);
    let first = Visitor::arrive(&browser, "first", &url).await;
    let second = Visitor::arrive(&browser, "second", &url).await;
    first.is_connected().await;
    second.is_connected().await;
    first.sees_video().await;
    second.sees_video().await;
    first.chats("only for the first").await;
    second.chats("only for the second").await;
    let log = second
        .page
        .evaluate("document.getElementById('log').textContent")
        .await;
    assert!(
        !log.as_str()
            .unwrap_or_default()
            .contains("only for the first"),
        "{log}"
    );

    // One leaves without a word; the other does not notice.
    first.page.close().await;
    second.sees_video().await;
    second.gets_bytes_back("alone", 50_000).await;
    assert_everything_travelled(&levada.stop_with_report());
}

#[tokio::test]
async fn packets_pass_without_a_copy() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let levada = Levada::serve(&[ECHO, &["--set", "browser.mode=packets"]].concat());
    let url = format!("{}/?source=pattern&autostart=1", levada.url);
    let visitor = Visitor::arrive(&browser, "packets", &url).await;
    visitor.is_connected().await;
    visitor.sees_video().await;
    visitor.sees_own_picture().await;
    visitor.hears_sound().await;
    visitor.gets_bytes_back("bytes", 50_000).await;
    let report = levada.stop_with_report();
    assert_everything_travelled(&report);
    assert_eq!(report["bytes_copied"], 0, "{report:#}");
}

#[tokio::test]
async fn a_visitor_may_stop_start_again_reload_and_outlive_the_program() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let levada = Levada::serve(ECHO);
    let url = format!("{}/?source=pattern", levada.url);
    let visitor = Visitor::arrive(&browser, "returning", &url).await;
    for _ in 0..2 {
        visitor.press("start").await;
        visitor.is_connected().await;
        visitor.sees_video_for(2).await;
        visitor.press("stop").await;
        visitor.reads_status("stopped").await;
    }
    visitor.press("start").await;
    visitor.is_connected().await;
    visitor.page.navigate(&format!("{url}&autostart=1")).await;
    visitor.is_connected().await;
    visitor.sees_video_for(2).await;
    visitor.chats("here again").await;

    // The page stays when the program ends, and is there again when the program is.
    let address = format!("127.0.0.1:{}", levada.port());
    let report = levada.stop_with_report();
    assert_eq!(report["sessions"], 4, "{report:#}");
    visitor.reads_status("the server is away").await;
    assert_eq!(visitor.page.evaluate("window.pc").await, Value::Null);
    let levada = Levada::serve(&["run", "examples/echo.toml", "--listen", &address, "--json"]);
    visitor.is_connected().await;
    visitor.sees_video_for(2).await;
    levada.stop_with_report();
}

/// Every link of the report carried frames and dropped none, and every node saw some.
fn assert_everything_travelled(report: &Value) {
    let (nodes, links) = (list(report, "nodes"), list(report, "links"));
    assert!(!nodes.is_empty() && !links.is_empty(), "{report:#}");
    for node in nodes {
        assert!(
            node["name"].is_string() && node["type"].is_string(),
            "{node:#}"
        );
        let frames = node["frames_in"].as_u64().zip(node["frames_out"].as_u64());
        assert!(
            frames.is_some_and(|(came, went)| came + went > 0),
            "a node without frames: {report:#}"
        );
    }
    for link in links {
        assert!(
            link["from"].is_string() && link["to"].is_string(),
            "{link:#}"
        );
        assert!(
            link["frames"].as_u64() > Some(0),
            "a link without frames: {report:#}"
        );
        assert_eq!(link["dropped"], 0, "{report:#}");
    }
}

fn list<'a>(report: &'a Value, key: &str) -> &'a [Value] {
    report[key]
        .as_array()
        .unwrap_or_else(|| panic!("the report has no list \"{key}\": {report:#}"))
}
