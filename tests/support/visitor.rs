//! A person at the page: opens it, presses its buttons, watches the returned picture, chats.
//!
//! Everything is asserted on the live `RTCPeerConnection` (`window.pc`) and its statistics, or on what the page shows.

use std::time::Duration;

use serde_json::Value;

use super::browser::Browser;
use super::page::Page;

/// Time for a handshake on a busy machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// Time for media to be there and to rise in five seconds in a row, set-backs by a busy machine included.
const MEDIA_LIMIT: Duration = Duration::from_secs(90);
/// Time for pictures to become good, once there are some.
const COLOUR_LIMIT: Duration = Duration::from_secs(30);
/// Time for a message there and back.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// An open page of the product.
pub struct Visitor {
    pub page: Page,
}

impl Visitor {
    /// Opens the page at `url` (its query included) in a browser context of its own.
    pub async fn arrive(browser: &Browser, name: &str, url: &str) -> Self {
        let page = browser.page(name).await;
        page.navigate(url).await;
        Self { page }
    }

    /// Presses the button `id`.
    pub async fn press(&self, id: &str) {
        self.page
            .evaluate(&format!("document.getElementById('{id}').click()"))
            .await;
    }

    /// Waits until the peer connection is connected.
    pub async fn is_connected(&self) {
        self.page
            .wait_for(
                "the connection",
                CONNECT_LIMIT,
                "pc.connectionState === 'connected'",
            )
            .await;
    }

    /// Waits until the status line contains `text`, whatever its case.
    pub async fn reads_status(&self, text: &str) -> String {
        // An exception is "not yet", and shows the last text if the time runs out.
        let script = format!(
            "(() => {{ const text = document.getElementById('status').textContent; \
             if (text.toLowerCase().includes({})) return text; throw text; }})()",
            Value::from(text.to_lowercase())
        );
        let status = self
            .page
            .wait_for(&format!("the status \"{text}\""), CONNECT_LIMIT, &script)
            .await;
        status.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the number of decoded pictures has risen in each of five seconds in a row.
    pub async fn sees_video(&self) -> Value {
        self.sees_video_for(5).await
    }

    /// The same for `seconds` seconds in a row.
    pub async fn sees_video_for(&self, seconds: u32) -> Value {
        let rise = self
            .page
            .wait_for(
                &format!("returned video that rises for {seconds} s"),
                MEDIA_LIMIT,
                &format!(
                    "levadaTest.risingEachSecond(\
                     async () => (await levadaTest.inbound(pc, 'video'))?.framesDecoded, {seconds})"
                ),
            )
            .await;
        // A sixth of the pictures sent: a machine that encodes and decodes them all itself may be slow, not stuck.
        let frames = rise["last"].as_u64().unwrap_or(0) - rise["first"].as_u64().unwrap_or(0);
        assert!(
            frames >= u64::from(seconds) * 5,
            "{frames} pictures in {seconds} s: {rise}"
        );
        rise
    }

    /// Checks that the returned picture is the local one, not black and not another peer's.
    pub async fn sees_own_picture(&self) {
        let alike = "(() => { \
             const [local, remote] = ['local', 'remote'].map((id) => levadaTest.picture(document.getElementById(id))); \
             if (remote.deviation < 5) return 0; \
             return levadaTest.likeness(local, remote) > 0.8 && { local, remote }; })()";
        self.page
            .wait_for("a returned picture like the local one", MEDIA_LIMIT, alike)
            .await;
    }

    /// Checks that the page's test pattern comes back in the colours that it was drawn in: its first bar, which is nearly
    /// white, and its ground, which is nearly black.
    pub async fn sees_the_patterns_own_colours(&self) {
        let same = "(() => { \
             const spots = [[1 / 14, 0.1, [0xe8, 0xe8, 0xe8]], [0.03, 0.9, [0x10, 0x18, 0x1d]]]; \
             const found = spots.map(([x, y]) => levadaTest.spot(document.getElementById('remote'), x, y)); \
             const near = spots.every(([, , drawn], i) => drawn.every((c, k) => Math.abs(c - found[i][k]) <= 8)); \
             if (near) return found; throw JSON.stringify(found); })()";
        self.page
            .wait_for("the pattern's own colours", COLOUR_LIMIT, same)
            .await;
    }

    /// Waits until sound has come back: packets, and energy that rises in them.
    pub async fn hears_sound(&self) {
        let energy = "(async () => { const audio = await levadaTest.inbound(pc, 'audio'); \
                      return audio?.packetsReceived > 50 && audio.totalAudioEnergy > 0 && audio; })()";
        self.page
            .wait_for("returned sound", MEDIA_LIMIT, energy)
            .await;
    }

    /// Sends a text of `length` characters on a new data channel and waits for the same text.
    pub async fn gets_text_back(&self, label: &str, length: usize) {
        let script = format!("levadaTest.echoOfText(pc, '{label}', {length})");
        self.message(&format!("a text of {length} characters"), &script)
            .await;
    }

    /// Sends `length` bytes on a new data channel and waits for the same bytes.
    pub async fn gets_bytes_back(&self, label: &str, length: usize) {
        let script = format!("levadaTest.echoOfBytes(pc, '{label}', {length})");
        self.message(&format!("{length} bytes"), &script).await;
    }

    async fn message(&self, what: &str, script: &str) {
        let limit = MESSAGE_LIMIT.as_millis();
        let script = format!("levadaTest.within({limit}, {script})");
        let answer = self.page.try_evaluate(&script, MESSAGE_LIMIT * 2).await;
        let answer = answer.unwrap_or_else(|why| panic!("{what} came not back: {why}"));
        assert_eq!(answer, true, "{what} came back changed");
    }

    /// Types `text` into the chat and waits until its echo stands in the log.
    pub async fn chats(&self, text: &str) {
        let text = Value::from(text);
        let ready = "!document.getElementById('send').disabled";
        self.page
            .wait_for("the chat's button", CONNECT_LIMIT, ready)
            .await;
        let before = format!("document.getElementById('log').textContent.split({text}).length");
        let before = self.page.evaluate(&before).await;
        let type_it = format!(
            "(() => {{ document.getElementById('message').value = {text}; \
             document.getElementById('send').click(); }})()"
        );
        self.page.evaluate(&type_it).await;
        // Once as sent and once as returned.
        let twice = format!(
            "document.getElementById('log').textContent.split({text}).length >= {before} + 2"
        );
        self.page
            .wait_for(
                &format!("the echo of {text} in the log"),
                MESSAGE_LIMIT,
                &twice,
            )
            .await;
    }
}
