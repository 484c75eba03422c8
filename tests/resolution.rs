//! A browser that changes the size of its pictures while they are on their way: they come back, and are recorded, in
//! that size and in their own colours, by the same session.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::browser::Browser;
use support::levada::{self, Levada};
use support::visitor::Visitor;

/// For pictures of another size to be there on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const SIZES: [(u32, u32); 3] = [(640, 480), (320, 240), (1280, 720)];
/// Of the upper quarters that the page draws: light grey on the left, red on the right.
const GREY: [u8; 3] = [0xe8, 0xe8, 0xe8];
const RED: [u8; 3] = [0xc0, 0x30, 0x20];

/// Lets the page send pictures of a size, and waits until they are back in that size and these colours.
async fn is_seen_at(
    visitor: &Visitor,
    (width, height): (u32, u32),
    left: [u8; 3],
    right: [u8; 3],
    more: &str,
) {
    let page = &visitor.page;
    page.evaluate(&format!("levadaTest.sendQuarters(pc, {width}, {height})"))
        .await;
    let seen = format!(
        "(() => {{ const video = document.getElementById('remote'); \
         const seen = {{ ...levadaTest.quarters(video), more: {more} }}; \
         const near = (one, other) => one.every((value, i) => Math.abs(value - other[i]) <= 8); \
         if (seen.width === {width} && seen.height === {height} && seen.more \
             && near(seen.left, {left:?}) && near(seen.right, {right:?})) return seen; \
         throw JSON.stringify(seen); }})()"
    );
    let what = format!("pictures of {width}x{height}");
    println!("{}", page.wait_for(&what, LIMIT, &seen).await);
}

#[tokio::test]
async fn mirrored_pictures_follow_the_size_of_the_browsers_own_and_keep_their_colours() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let graph = [
        "run",
        "examples/mirror.toml",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ];
    let levada = Levada::serve(&graph);
    let url = format!("{}/?source=pattern&autostart=1", levada.url);
    let visitor = Visitor::arrive(&browser, "sizes", &url).await;
    visitor.is_connected().await;
    visitor.sees_video().await;
    // The time that is written below can be read at every size.
    let marks = "levadaTest.marks(video) !== null";
    for size in SIZES {
        is_seen_at(&visitor, size, RED, GREY, marks).await;
    }
    assert_eq!(
        visitor.page.evaluate("pc.connectionState").await,
        "connected"
    );
    assert_eq!(visitor.page.errors(), Vec::<String>::new());

    let report = levada.stop_with_report();
    assert_eq!(
        (&report["sessions"], &report["failed"]),
        (&1.into(), &0.into())
    );
    for name in [
        "mirror~h264-decoder",
        "mirror",
        "clock",
        "screen~h264-encoder",
    ] {
        let node = node(&report, name);
        let count = |what: &str| node[what].as_u64().expect("a count");
        assert!(count("frames_out") > 60, "{report:#}");
        assert_eq!(
            count("frames_in"),
            count("frames_out") + count("dropped"),
            "{name}: {report:#}"
        );
    }
}

#[tokio::test]
async fn a_recording_plays_at_every_size_that_the_browser_had() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let tape = folder.path().join("tape.mp4");
    let path = format!("tape.path={}", tape.display());
    let graph = ["run", "examples/record.toml", "--listen", "127.0.0.1:0"];
    let levada = Levada::serve(&[&graph[..], &["--json", "--set", &path]].concat());
    let url = format!("{}/?source=pattern", levada.url);
    let visitor = Visitor::arrive(&browser, "record", &url).await;
    let page = &visitor.page;
    page.evaluate("levadaTest.restrict('video', ['video/H264'])")
        .await;
    visitor.press("start").await;
    visitor.is_connected().await;
    visitor.sees_video_for(2).await;
    for size in SIZES {
        is_seen_at(&visitor, size, GREY, RED, "true").await;
        visitor.sees_video_for(2).await;
    }
    let report = levada.stop_with_report();
    let recorded = node(&report, "tape")["frames_in"].as_u64();

    let play = folder.path().join("play.toml");
    let text = "links = [\"tape.video -> screen\", \"tape.audio -> speaker\"]\n[nodes]\n\
         tape = { type = \"file-source\", params = { path = \"tape.mp4\", pace = \"fast\" } }\n\
         screen = { type = \"null\" }\nspeaker = { type = \"null\" }\n";
    std::fs::write(&play, text).expect("the folder is writable");
    let play = play.display().to_string();
    let played = levada::report(&levada::run_to_end(&["run", &play, "--json"], LIMIT));
    let [pictures, packets] =
        ["screen", "speaker"].map(|name| node(&played, name)["frames_in"].as_u64().unwrap_or(0));
    assert_eq!(Some(pictures + packets), recorded, "{played:#}");

    // The browser's own player.
    page.navigate(&format!("file://{}", tape.display())).await;
    page.evaluate(
        "(() => { const video = document.querySelector('video'); const sizes = window.sizes = []; \
         const look = () => { const size = `${video.videoWidth}x${video.videoHeight}`; \
           if (sizes.at(-1) !== size) sizes.push(size); \
           if (!video.ended) video.requestVideoFrameCallback(look); }; \
         video.requestVideoFrameCallback(look); video.muted = true; video.currentTime = 0; video.play(); })()",
    )
    .await;
    let ended = "(() => { const video = document.querySelector('video'); \
         const { totalVideoFrames } = video.getVideoPlaybackQuality(); \
         if (video.ended) return { sizes, totalVideoFrames }; \
         throw JSON.stringify({ sizes, totalVideoFrames, at: video.currentTime, error: video.error?.message }); })()";
    let seen = page
        .wait_for("the end of the recording", LIMIT, ended)
        .await;
    println!("{seen}");
    let sizes: Vec<&str> = seen["sizes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for (width, height) in SIZES {
        assert!(sizes.contains(&&*format!("{width}x{height}")), "{seen}");
    }
}

fn node<'a>(report: &'a Value, name: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let mut found = nodes.iter().filter(|node| node["name"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no node {name}: {report:#}"))
}
