//! Raw media, as a person sees and hears it: pictures and sound are decoded, changed and encoded on their way through the
//! examples, by codecs that the engine inserts.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::browser::Browser;
use support::levada::{self, Levada};
use support::visitor::Visitor;

/// For media to be there on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

async fn at(browser: &Browser, graph: &str) -> (Levada, Visitor) {
    let levada = Levada::serve(&["run", graph, "--listen", "127.0.0.1:0", "--json"]);
    let url = format!("{}/?source=pattern&autostart=1", levada.url);
    let visitor = Visitor::arrive(browser, graph, &url).await;
    visitor.is_connected().await;
    (levada, visitor)
}

#[tokio::test]
async fn a_browser_sees_itself_mirrored_with_the_time_in_the_picture() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(&browser, "examples/mirror.toml").await;
    visitor.sees_video().await;
    let page = &visitor.page;

    // The upper half: the time is written below it.
    let likenesses = "(() => { \
         const [local, remote] = ['local', 'remote'].map((id) => levadaTest.picture(document.getElementById(id), 0.5)); \
         const mirrored = levadaTest.likeness(levadaTest.mirrored(local), remote); \
         const unchanged = levadaTest.likeness(local, remote); \
         return mirrored > 0.9 && unchanged < 0.5 && { mirrored, unchanged }; })()";
    page.wait_for("a mirrored picture", LIMIT, likenesses).await;

    // The cells under the picture say its time in ms; it goes on as the page's clock does.
    let times = "(async () => { \
         const video = document.getElementById('remote'); \
         const first = levadaTest.marks(video), began = performance.now(); \
         if (first === null) return 'no number can be read'; \
         while (performance.now() < began + 3000) await levadaTest.nextFrame(); \
         const passed = performance.now() - began, last = levadaTest.marks(video); \
         if (last === null) return 'no number can be read any more'; \
         if (Math.abs(last - first - passed) > 1000) return `${first} to ${last} in ${passed} ms`; \
         return { first, last, passed }; })()";
    let is_read = format!(
        "(async () => {{ const found = await {times}; if (found.passed) return found; throw found; }})()"
    );
    page.wait_for("a time that goes on", LIMIT, &is_read).await;

    assert_eq!(page.errors(), Vec::<String>::new());

    let report = levada.stop_with_report();
    for (name, copies) in [
        ("mirror", false),
        ("clock", false),
        ("mirror~h264-decoder", true),
    ] {
        let node = node(&report, name);
        assert!(node["frames_in"].as_u64() > Some(60), "{report:#}");
        assert_eq!(
            node["bytes_copied"].as_u64() > Some(0),
            copies,
            "pictures are edited where they lie, and decoded out of the codec's memory: {report:#}"
        );
    }
}

#[tokio::test]
async fn a_browser_sees_itself_beside_what_the_graph_made_of_it() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(&browser, "examples/side-by-side.toml").await;
    visitor.sees_video().await;
    visitor.hears_sound().await;
    let page = &visitor.page;

    let likenesses = "(() => { \
         const [local, remote] = ['local', 'remote'].map((id) => document.getElementById(id)); \
         const sent = levadaTest.picture(local); \
         const [left, right] = [levadaTest.picture(remote, 1, 0, 0.5), levadaTest.picture(remote, 1, 0.5, 1)]; \
         const found = { \
           size: [left.width, left.height], \
           asSent: levadaTest.likeness(sent, left), \
           mirrored: levadaTest.likeness(levadaTest.mirrored(sent), right), \
           unchanged: levadaTest.likeness(sent, right), \
           colours: [sent.colour, left.colour, right.colour] }; \
         const [of_sent, of_left, of_right] = found.colours; \
         if (found.size[0] === 1280 && found.size[1] === 360 \
           && found.asSent > 0.9 && found.mirrored > 0.9 && found.unchanged < 0.8 \
           && of_left > of_sent * 0.7 && of_left < of_sent * 1.3 && of_right < 6) return found; \
         throw JSON.stringify(found); })()";
    let found = page.wait_for("both pictures", LIMIT, likenesses).await;
    println!("{found}");

    let halves = "(async () => { \
         const found = await levadaTest.halves(document.getElementById('remote'), 4); \
         if (found.left > 15 && found.right > 15 && found.alike > found.looks * 0.95) return found; \
         throw JSON.stringify(found); })()";
    let found = page.wait_for("halves in step", LIMIT, halves).await;
    println!("{found}");
    assert_eq!(page.errors(), Vec::<String>::new());

    let report = levada.stop_with_report();
    for name in ["mirror", "grey", "both"] {
        let node = node(&report, name);
        assert!(node["frames_in"].as_u64() > Some(60), "{report:#}");
    }
    let sound = &node(&report, "screen")["frames_in"];
    assert!(sound.as_u64() > Some(200), "{report:#}");
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let decoders = nodes.iter().filter(|node| node["type"] == "h264-decoder");
    assert_eq!(
        decoders.count(),
        1,
        "both halves are decoded once: {report:#}"
    );
    let opus = nodes.iter().any(|node| node["type"] == "opus-decoder");
    assert!(!opus, "sound passes as it is: {report:#}");
}

#[tokio::test]
async fn a_browser_hears_its_own_sound_six_decibels_louder() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(&browser, "examples/voice.toml").await;
    visitor.hears_sound().await;
    // The tone comes and goes once a second, so whole seconds are compared.
    let louder = "(async () => { \
         const [sent, heard] = await levadaTest.levels(pc, 4); \
         const decibels = 10 * Math.log10(heard / sent); \
         if (Math.abs(decibels - 6) < 0.7) return { decibels }; \
         throw `${decibels} dB`; })()";
    let found = visitor
        .page
        .wait_for("sound that is 6 dB louder", LIMIT, louder)
        .await;
    println!("{found}");
    assert_eq!(visitor.page.errors(), Vec::<String>::new());
    let report = levada.stop_with_report();
    for name in [
        "louder",
        "meter",
        "louder~opus-decoder",
        "screen~opus-encoder",
    ] {
        let node = node(&report, name);
        assert!(node["frames_in"].as_u64() > Some(100), "{report:#}");
    }
}

#[tokio::test]
async fn a_browser_sees_and_hears_a_file() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(&browser, "examples/play.toml").await;
    // Beyond the end of the file, which lasts 4 s and begins anew.
    visitor.sees_video_for(6).await;
    visitor.hears_sound().await;
    let size = "(({ videoWidth, videoHeight }) => `${videoWidth}x${videoHeight}`)(document.getElementById('remote'))";
    assert_eq!(visitor.page.evaluate(size).await, "320x180");
    assert_eq!(visitor.page.errors(), Vec::<String>::new());
    let report = levada.stop_with_report();
    assert_eq!(node(&report, "film")["dropped"], 0, "{report:#}");
}

#[tokio::test]
async fn a_browser_sees_every_picture_of_a_film_whose_pictures_come_out_of_order() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let graph = folder.path().join("play.toml");
    let text = format!(
        "links = [\"film.video -> screen.video\"]\n[plugins]\nh264 = {{ path = {:?} }}\n[nodes]\n\
         film = {{ type = \"file-source\", params = {{ path = {:?}, loop = true }} }}\n\
         screen = {{ type = \"webrtc-sink\" }}\n",
        levada::root().join("plugins/h264"),
        levada::root().join("plugins/files/tests/reordered.mp4")
    );
    std::fs::write(&graph, text).expect("the folder is writable");
    let (levada, visitor) = at(&browser, &graph.display().to_string()).await;
    // It has 25 pictures a second.
    let page = &visitor.page;
    let shown = "(async () => { const video = document.getElementById('remote'); \
         const count = () => video.getVideoPlaybackQuality().totalVideoFrames; \
         const before = count(), began = performance.now(); \
         while (performance.now() < began + 4000) await levadaTest.nextFrame(); \
         return (count() - before) / (performance.now() - began) * 1000 > 20; })()";
    page.wait_for("more than 20 pictures a second", LIMIT, shown)
        .await;
    let report = levada.stop_with_report();
    for name in ["film", "screen~h264-decoder", "screen~h264-encoder"] {
        assert_eq!(node(&report, name)["dropped"], 0, "{report:#}");
    }
}

#[tokio::test]
async fn what_a_browser_sends_is_recorded_into_a_file_that_plays() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let tape = folder.path().join("tape.mp4");
    let path = format!("tape.path={}", tape.display());
    let graph = ["run", "examples/record.toml", "--listen", "127.0.0.1:0"];
    let levada = Levada::serve(&[&graph[..], &["--json", "--set", &path]].concat());
    let url = format!("{}/?source=pattern&autostart=1", levada.url);
    let visitor = Visitor::arrive(&browser, "record", &url).await;
    visitor.is_connected().await;
    visitor.sees_video_for(4).await;
    let report = levada.stop_with_report();
    let recorded = &node(&report, "tape")["frames_in"];
    assert!(recorded.as_u64() > Some(150), "{report:#}");

    let play = folder.path().join("play.toml");
    let text = "links = [\"tape.video -> screen\", \"tape.audio -> speaker\"]\n[nodes]\n\
         tape = { type = \"file-source\", params = { path = \"tape.mp4\", pace = \"fast\" } }\n\
         screen = { type = \"null\" }\nspeaker = { type = \"null\" }\n";
    std::fs::write(&play, text).expect("the folder is writable");
    let play = play.display().to_string();
    let played = levada::report(&levada::run_to_end(&["run", &play, "--json"], LIMIT));
    let [pictures, packets] =
        ["screen", "speaker"].map(|name| node(&played, name)["frames_in"].as_u64().unwrap_or(0));
    assert!(pictures > 60 && packets > 150, "{played:#}");
    assert_eq!(Some(pictures + packets), recorded.as_u64(), "{played:#}");
}

#[test]
fn films_in_vp8_and_av1_are_decoded_for_whoever_takes_raw_pictures() {
    // The plugin of AV1 is built on the way; VP8 needs none.
    const BUILD_LIMIT: Duration = Duration::from_secs(600);
    let folder = tempfile::tempdir().expect("a folder");
    for (codec, pictures) in [("vp8", 40), ("av1", 30)] {
        let plugin = levada::root().join("plugins").join(codec);
        let plugins = match codec {
            "vp8" => String::new(),
            _ => format!("[plugins]\n{codec} = {{ path = {plugin:?} }}\n"),
        };
        let text = format!(
            "links = [\"film.video -> gray -> screen\"]\n{plugins}[nodes]\n\
             film = {{ type = \"file-source\", params = {{ path = {:?}, pace = \"fast\" }} }}\n\
             gray = {{ type = \"grayscale\" }}\nscreen = {{ type = \"null\" }}\n",
            plugin.join("tests/moving.ivf")
        );
        let graph = folder.path().join(format!("{codec}.toml"));
        std::fs::write(&graph, text).expect("the folder is writable");
        let graph = graph.display().to_string();
        let played = levada::run_to_end(&["run", &graph, "--json"], BUILD_LIMIT);
        let report = levada::report(&played);
        assert_eq!(node(&report, "screen")["frames_in"], pictures, "{report:#}");
        let decoder = node(&report, &format!("gray~{codec}-decoder"));
        assert_eq!(decoder["dropped"], 0, "{report:#}");
        // 176x144 in I420.
        assert_eq!(decoder["bytes_copied"], pictures * 38_016, "{report:#}");
    }
}

fn node<'a>(report: &'a Value, name: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let mut found = nodes.iter().filter(|node| node["name"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no node {name}: {report:#}"))
}
