//! A headless Chromium, driven over the pipe of its DevTools protocol.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::{PATIENCE, eventually_or};

/// Chromium, which Fedora calls chromium-browser, speaks on the file descriptors 3 and 4, and says nothing
/// else.
const ON_PIPE: &str = r#"
chromium=$(command -v chromium || command -v chromium-browser)
exec setpriv --pdeathsig KILL "$chromium" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
const FLAGS: [&str; 8] = [
    "--headless=new",
    // The tests run as root, and the pages are the agent's own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Width in CSS pixels.
    pub width: u32,
    /// `light` or `dark`.
    pub scheme: &'static str,
}

/// A browser with one page. Dropping it ends it.
pub struct Browser {
    child: Child,
    requests: Mutex<(u64, ChildStdin)>,
    answers: Receiver<Value>,
    messages: Arc<Mutex<Vec<Value>>>,
    session: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser and opens an empty page.
    pub fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("dwui").tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", ON_PIPE, "chromium"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (answered, answers) = channel();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&messages);
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let message: Value = serde_json::from_slice(&message).unwrap();
                if message["id"].is_null() {
                    log.lock().unwrap().push(message);
                } else if answered.send(message).is_err() {
                    return;
                }
            }
        });
        let requests = Mutex::new((0, child.stdin.take().unwrap()));
        let mut browser =
            Self { child, requests, answers, messages, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", target);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sends a command and returns its result.
    pub fn call(&self, method: &str, params: Value) -> Value {
        let mut requests = self.requests.lock().unwrap();
        let (id, pipe) = &mut *requests;
        *id += 1;
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        pipe.write_all(format!("{request}\0").as_bytes())
            .unwrap_or_else(|error| panic!("chromium has ended: {error}"));
        loop {
            let answer = self.answers.recv_timeout(PATIENCE);
            let answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
            if answer["id"] == *id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    /// Looks at the page otherwise.
    pub fn view(&self, view: View) {
        let View { width, scheme } = view;
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Returns what a script in the page comes to.
    pub fn eval(&self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let outcome = self.call("Runtime.evaluate", params);
        assert!(outcome["exceptionDetails"].is_null(), "{script}: {outcome}");
        outcome["result"]["value"].clone()
    }

    /// Returns the text of what a selector finds, or nothing.
    pub fn text(&self, selector: &str) -> String {
        let script = format!("document.querySelector({})?.innerText ?? ''", json!(selector));
        self.eval(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the text of what a selector finds has all `parts`.
    pub fn wait_for(&self, selector: &str, parts: &[&str]) {
        let has_all = || {
            let text = self.text(selector);
            parts.iter().all(|part| text.contains(part)).then_some(())
        };
        let context = || self.text("body");
        eventually_or(&format!("{selector} says {parts:?}"), has_all, context);
    }

    /// Returns what the page complained of: exceptions, errors, breaches of its policy.
    pub fn complaints(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        let complaints = messages.iter().filter(|message| {
            let params = &message["params"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => params["type"] != "log",
                Some("Log.entryAdded") => params["entry"]["level"] != "info",
                _ => false,
            }
        });
        complaints.map(ToString::to_string).collect()
    }

    /// Waits for an event of the protocol and takes it.
    pub fn event(&self, method: &str) -> Value {
        let take = || {
            let mut messages = self.messages.lock().unwrap();
            let place = messages.iter().position(|message| message["method"] == method)?;
            Some(messages.remove(place)["params"].take())
        };
        eventually_or(&format!("the browser reports {method}"), take, String::new)
    }

    /// Writes a picture of the page from its top, at most so high.
    pub fn screenshot(&self, path: &Path, width: u32, most: u32) {
        let height = self.eval("document.documentElement.scrollHeight").as_u64().unwrap();
        let clip = json!({
            "x": 0, "y": 0, "width": width, "height": height.min(most.into()), "scale": 1,
        });
        let params = json!({"format": "png", "clip": clip, "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", params);
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            let complaints = self.complaints();
            let first = &complaints[..complaints.len().min(5)];
            eprintln!("the first of {} complaints: {first:#?}", complaints.len());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
