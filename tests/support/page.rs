//! A page of a [`Browser`](super::browser::Browser): navigation, scripts, waiting, what it said, its picture.
//!
//! Waiting happens inside the page: a script looks at a condition at every animation frame and its promise is the
//! answer, so a test sees a change when the page does. The functions of `page.js` are there in every document as
//! `levadaTest`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::cdp::{Connection, Inbox};

const CALL_LIMIT: Duration = Duration::from_secs(30);
const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// Messages of a page that are kept; the oldest go first.
const KEPT_MESSAGES: usize = 500;
const SCRIPT: &str = include_str!("page.js");

/// An open page. Prints what its console said when the test fails.
pub struct Page {
    name: String,
    connection: Arc<Connection>,
    session: String,
    target: Value,
    journal: Arc<Journal>,
}

/// What a page said and which document it last loaded.
struct Journal {
    messages: Mutex<VecDeque<Entry>>,
    loaded: watch::Sender<String>,
}

/// One message of a page.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `log`, `info`, `warning`, `error`, ..., or `exception`.
    pub level: String,
    pub text: String,
}

impl Page {
    pub(super) async fn open(
        name: &str,
        connection: Arc<Connection>,
        session: String,
        target: Value,
    ) -> Self {
        let journal = Arc::new(Journal {
            messages: Mutex::default(),
            loaded: watch::Sender::new(String::new()),
        });
        connection.register(&session, journal.clone());
        let page = Self {
            name: name.to_owned(),
            connection,
            session,
            target,
            journal,
        };
        page.call("Page.enable", json!({})).await;
        page.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }))
            .await;
        page.call("Runtime.enable", json!({})).await;
        page.call("Log.enable", json!({})).await;
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": SCRIPT }),
        )
        .await;
        page
    }

    /// Goes to `url` and waits until its document and what that names has loaded.
    ///
    /// # Panics
    /// When the page cannot be loaded.
    pub async fn navigate(&self, url: &str) {
        let mut loaded = self.journal.loaded.subscribe();
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        if let Some(error) = answer["errorText"].as_str() {
            panic!("page {}: cannot open {url}: {error}", self.name);
        }
        let loader = answer["loaderId"].as_str().unwrap_or_default().to_owned();
        let wait = loaded.wait_for(|last| *last == loader);
        let waited = tokio::time::timeout(LOAD_LIMIT, wait).await;
        assert!(
            waited.is_ok(),
            "page {}: {url} has not loaded within {LOAD_LIMIT:?}",
            self.name
        );
    }

    /// Evaluates `script`, awaits its promise if it is one, and returns the value as JSON.
    ///
    /// # Errors
    /// What the script threw, or why it could not be run.
    pub async fn try_evaluate(&self, script: &str, limit: Duration) -> Result<Value, String> {
        let params = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self
            .connection
            .call("Runtime.evaluate", params, Some(&self.session), limit)
            .await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(exception_text(details)),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Like [`Self::try_evaluate`], and a failure fails the test.
    pub async fn evaluate(&self, script: &str) -> Value {
        let result = self.try_evaluate(script, CALL_LIMIT).await;
        result.unwrap_or_else(|why| panic!("page {}: {why}, evaluating: {script}", self.name))
    }

    /// Waits until `condition` (an expression, which may be a promise) is true in the page, and returns its value.
    ///
    /// An exception in it counts as "not yet", so that it may name what does not exist at first.
    ///
    /// # Errors
    /// `what` was awaited, for how long, and the last value or exception.
    pub async fn try_wait_for(
        &self,
        what: &str,
        limit: Duration,
        condition: &str,
    ) -> Result<Value, String> {
        let script = format!(
            "levadaTest.waitFor(async () => ({condition}), {})",
            limit.as_millis()
        );
        // The page's own limit comes first; the second one is for a page that does not run any more.
        let answer = self.try_evaluate(&script, limit + CALL_LIMIT).await;
        let mut answer =
            answer.map_err(|why| format!("page {}: waited for {what}: {why}", self.name))?;
        match answer.get("last") {
            Some(last) => Err(format!(
                "page {}: waited {limit:?} for {what}; the last value: {}",
                self.name,
                last.as_str().unwrap_or_default()
            )),
            None => Ok(answer["value"].take()),
        }
    }

    /// Like [`Self::try_wait_for`]; when the time runs out the test fails, and a picture of the page is kept.
    pub async fn wait_for(&self, what: &str, limit: Duration, condition: &str) -> Value {
        match self.try_wait_for(what, limit, condition).await {
            Ok(value) => value,
            Err(why) => {
                let picture = self.keep_picture().await;
                panic!("{why}\n{picture}");
            }
        }
    }

    /// What the page's console said up to now, its uncaught exceptions included.
    pub fn messages(&self) -> Vec<Entry> {
        self.journal.lock().iter().cloned().collect()
    }

    /// The exceptions that nobody caught and the errors on the console.
    pub fn errors(&self) -> Vec<String> {
        let is_error = |entry: &&Entry| matches!(entry.level.as_str(), "exception" | "error");
        self.journal
            .lock()
            .iter()
            .filter(is_error)
            .map(|entry| entry.text.clone())
            .collect()
    }

    /// A picture of the page as PNG.
    ///
    /// # Errors
    /// Why the browser gave none.
    pub async fn screenshot(&self) -> Result<Vec<u8>, String> {
        let params = json!({ "format": "png" });
        let answer = self
            .connection
            .call(
                "Page.captureScreenshot",
                params,
                Some(&self.session),
                CALL_LIMIT,
            )
            .await?;
        BASE64
            .decode(answer["data"].as_str().unwrap_or_default())
            .map_err(|error| error.to_string())
    }

    /// Closes the page as its user would by closing the window.
    pub async fn close(self) {
        let params = json!({ "targetId": self.target });
        let closed = self
            .connection
            .call("Target.closeTarget", params, None, CALL_LIMIT)
            .await;
        closed.unwrap_or_else(|why| panic!("page {}: {why}", self.name));
    }

    async fn keep_picture(&self) -> String {
        let name: String = self
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let test = std::thread::current()
            .name()
            .unwrap_or("test")
            .replace("::", "-");
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.{name}.png"));
        match self
            .screenshot()
            .await
            .and_then(|png| std::fs::write(&path, png).map_err(|error| error.to_string()))
        {
            Ok(()) => format!("a picture of the page: {}", path.display()),
            Err(why) => format!("no picture of the page: {why}"),
        }
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let answer = self
            .connection
            .call(method, params, Some(&self.session), CALL_LIMIT)
            .await;
        answer.unwrap_or_else(|why| panic!("page {}: {why}", self.name))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- console of page {} ---", self.name);
            for entry in self.messages() {
                eprintln!("{}: {}", entry.level, entry.text);
            }
        }
    }
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, level: &str, text: String) {
        let mut messages = self.lock();
        if messages.len() == KEPT_MESSAGES {
            messages.pop_front();
        }
        messages.push_back(Entry {
            level: level.to_owned(),
            text,
        });
    }
}

impl Inbox for Journal {
    fn event(&self, method: &str, params: &Value) {
        match method {
            "Runtime.consoleAPICalled" => {
                let parts = params["args"]
                    .as_array()
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let text = parts
                    .iter()
                    .map(argument_text)
                    .collect::<Vec<_>>()
                    .join(" ");
                self.push(params["type"].as_str().unwrap_or("log"), text);
            }
            "Runtime.exceptionThrown" => {
                self.push("exception", exception_text(&params["exceptionDetails"]))
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let (text, url) = (
                    entry["text"].as_str().unwrap_or(""),
                    entry["url"].as_str().unwrap_or(""),
                );
                self.push(
                    entry["level"].as_str().unwrap_or("log"),
                    format!("{text} {url}"),
                );
            }
            "Page.lifecycleEvent" if params["name"] == "load" => {
                self.loaded
                    .send_replace(params["loaderId"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
}

fn argument_text(argument: &Value) -> String {
    match (&argument["value"], argument["description"].as_str()) {
        (Value::String(text), _) => text.clone(),
        (Value::Null, Some(description)) => description.to_owned(),
        (value, _) => value.to_string(),
    }
}

fn exception_text(details: &Value) -> String {
    let text = details["text"].as_str().unwrap_or("an exception");
    let exception = argument_text(&details["exception"]);
    format!("{text} {exception} (line {})", details["lineNumber"])
}
