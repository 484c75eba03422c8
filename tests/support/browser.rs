//! A headless Chromium of a test's own: found, started, and ended with the value.
//!
//! Only one browser test runs at a time, in whichever process it is: a browser and a peer that share two cores with
//! another pair show what the machine lacks, not what the code does. A lock on a file in cargo's folder for temporary
//! files sees to that, and the system gives it back when a test process dies.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::cdp::Connection;
use super::page::Page;
use super::program::Program;

/// A browser may need that long to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const CALL_LIMIT: Duration = Duration::from_secs(30);

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    // A machine without a sound card: the audio clock runs on a timer instead of waiting for a device.
    "--disable-audio-output",
    // Containers give /dev/shm 64 MB, which pictures exhaust.
    "--disable-dev-shm-usage",
    // A machine without a network has no other address for a peer to be reached at.
    "--allow-loopback-in-peer-connection",
    // Several pages are open at once, and each has to run as if it were the one in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1280,900",
];

/// A running browser.
pub struct Browser {
    // In the order in which they go: the connection, the process, its profile, and then the turn.
    connection: Arc<Connection>,
    program: Program,
    profile: tempfile::TempDir,
    turn: File,
}

impl Browser {
    /// Starts a browser, or reports that the test is skipped and returns `None` where there is none.
    ///
    /// # Panics
    /// When the browser is there and does not start, and where `CI` is `true` and it is not there.
    pub async fn start() -> Option<Self> {
        let Some(path) = find() else {
            super::skip_or_fail(
                "no Chromium was found",
                "install it (Debian: apt-get install chromium) or name it in LEVADA_CHROMIUM",
            );
            return None;
        };
        let turn = take_turn();
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let mut command = Command::new(&path);
        command
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.path().display()));
        // Whatever else it writes (sockets, settings, caches) goes with its profile.
        for variable in ["TMPDIR", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(variable, profile.path());
        }
        command.arg("about:blank");
        // It complains at length about a desktop that is not there.
        let program = Program::start("chromium", command).show_only(10);
        let url =
            program.wait_for_line("the line \"DevTools listening on\"", START_LIMIT, |line| {
                line.strip_prefix("DevTools listening on ")
                    .map(|url| url.trim().to_owned())
            });
        let connection = tokio::time::timeout(START_LIMIT, Connection::open(&url)).await;
        let connection = connection.expect("Chromium accepts a DevTools connection in time");
        let connection =
            connection.unwrap_or_else(|why| panic!("cannot connect to Chromium: {why}"));
        Some(Self {
            connection: Arc::new(connection),
            program,
            profile,
            turn,
        })
    }

    /// Opens a page in a context of its own (no storage, cache or permission shared with another one).
    pub async fn page(&self, name: &str) -> Page {
        let context = self
            .call(
                "Target.createBrowserContext",
                json!({ "disposeOnDetach": true }),
            )
            .await;
        let context = &context["browserContextId"];
        let target =
            json!({ "url": "about:blank", "browserContextId": context, "newWindow": true });
        let target = self.call("Target.createTarget", target).await["targetId"].clone();
        let attached = self
            .call(
                "Target.attachToTarget",
                json!({ "targetId": target, "flatten": true }),
            )
            .await;
        let session = attached["sessionId"]
            .as_str()
            .expect("Target.attachToTarget gives a session")
            .to_owned();
        Page::open(name, self.connection.clone(), session, target).await
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.connection
            .call(method, params, None, CALL_LIMIT)
            .await
            .unwrap_or_else(|why| panic!("chromium: {why}"))
    }
}

/// Finds Chromium: what `LEVADA_CHROMIUM` names, or one of its usual names on `PATH`.
pub fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LEVADA_CHROMIUM").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(
            is_file(&named),
            "LEVADA_CHROMIUM names {}, which is no file",
            named.display()
        );
        return Some(named);
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| is_file(file))
    })
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file())
}

fn take_turn() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-browser-at-a-time.lock");
    let file = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lock()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file
}
