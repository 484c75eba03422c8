//! The browser harness itself: a test that trusts it must be able to fail.

mod support;

use std::time::Duration;

use support::browser::Browser;

const SECOND: Duration = Duration::from_secs(1);

/// Two peer connections in one page: a moving canvas and a tone travel from `sender` to `pc`.
///
/// The element is not muted: Chromium counts no audio energy for what nobody could hear.
const LOOP_PAGE: &str = r#"data:text/html,<video id=remote autoplay playsinline></video><script>
(async () => {
  const canvas = document.createElement("canvas"); [canvas.width, canvas.height] = [320, 180];
  const draw = canvas.getContext("2d"); let x = 0;
  setInterval(() => { draw.fillStyle = "white"; draw.fillRect(0, 0, 320, 180);
    draw.fillStyle = "black"; draw.fillRect(x = (x + 4) % 320, 0, 80, 180); }, 33);
  const audio = new AudioContext(), tone = audio.createOscillator(), out = audio.createMediaStreamDestination();
  tone.connect(out); tone.start();
  const sender = new RTCPeerConnection(), pc = window.pc = new RTCPeerConnection();
  for (const [from, to] of [[sender, pc], [pc, sender]])
    from.onicecandidate = ({ candidate }) => to.addIceCandidate(candidate);
  const stream = new MediaStream(); document.getElementById("remote").srcObject = stream;
  pc.ontrack = ({ track }) => stream.addTrack(track);
  for (const track of [...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]) sender.addTrack(track);
  await sender.setLocalDescription(); await pc.setRemoteDescription(sender.localDescription);
  await pc.setLocalDescription(); await sender.setRemoteDescription(pc.localDescription);
})();
</script>"#;

#[tokio::test]
async fn media_between_two_peers_of_one_page_are_seen_to_rise() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let page = browser.page("loop").await;
    page.navigate(&LOOP_PAGE.replace('\n', " ")).await;
    let decoded = "levadaTest.risingEachSecond(async () => (await levadaTest.inbound(pc, 'video'))?.framesDecoded, 3)";
    let rise = page
        .wait_for("video to rise over 3 s", 30 * SECOND, decoded)
        .await;
    assert!(
        rise["last"].as_u64() >= rise["first"].as_u64().map(|first| first + 30),
        "{rise}"
    );
    page.wait_for(
        "sound",
        10 * SECOND,
        "(await levadaTest.inbound(pc, 'audio')).totalAudioEnergy > 0",
    )
    .await;
    let picture = page
        .evaluate("levadaTest.picture(document.getElementById('remote'))")
        .await;
    assert_eq!(picture["width"], 320);
    assert!(
        picture["deviation"].as_f64() > Some(40.0),
        "a black bar on white has contrast: {picture}"
    );
    let png = page.screenshot().await.expect("a picture of the page");
    assert!(png.starts_with(b"\x89PNG"));
    assert_eq!(page.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_value_that_stands_still_is_not_seen_to_rise() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let page = browser.page("still").await;
    page.navigate("data:text/html,<p>still").await;
    let why = page
        .try_evaluate(
            "Promise.race([levadaTest.risingEachSecond(async () => 5, 1), \
             new Promise((_, fail) => setTimeout(() => fail('nothing rose'), 3500))])",
            10 * SECOND,
        )
        .await
        .expect_err("5 does not rise");
    assert!(why.contains("nothing rose"), "{why}");
}

#[tokio::test]
async fn a_wait_that_fails_names_what_was_awaited_and_the_last_value() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let page = browser.page("waiting").await;
    page.navigate("data:text/html,<p>nothing").await;
    let why = page
        .try_wait_for(
            "a button",
            SECOND,
            "document.querySelector('button')?.id ?? 0",
        )
        .await;
    let why = why.expect_err("there is no button");
    assert!(
        why.contains("page waiting") && why.contains("a button") && why.contains("last value: 0"),
        "{why}"
    );
    let why = page
        .try_wait_for("an object", SECOND, "missing.value")
        .await
        .expect_err("missing is not defined");
    assert!(why.contains("missing is not defined"), "{why}");
}

#[tokio::test]
async fn what_a_page_says_and_throws_is_collected() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let page = browser.page("talking").await;
    page.navigate("data:text/html,<script>console.log('hello', 7); setTimeout(() => { throw Error('oh') })</script>")
        .await;
    // The exception comes in a task of its own; the animation frames after it come later.
    page.evaluate("levadaTest.nextFrame().then(() => levadaTest.nextFrame())")
        .await;
    let messages = page.messages();
    assert!(
        messages
            .iter()
            .any(|entry| entry.level == "log" && entry.text == "hello 7"),
        "{messages:?}"
    );
    assert!(
        page.errors().iter().any(|text| text.contains("Error: oh")),
        "{messages:?}"
    );
    let why = page
        .try_evaluate("Promise.reject(Error('no'))", SECOND)
        .await
        .expect_err("a rejected promise");
    assert!(why.contains("no"), "{why}");
}

#[tokio::test]
async fn pages_of_one_browser_share_nothing() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (first, second) = (browser.page("first").await, browser.page("second").await);
    for page in [&first, &second] {
        page.navigate("data:text/html,<p>page").await;
    }
    first.evaluate("window.mark = 1").await;
    assert_eq!(second.evaluate("window.mark === undefined").await, true);
    first.close().await;
    assert_eq!(second.evaluate("1 + 1").await, 2);
}
