//! The agent's own binary as a process, its log, and its status page.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::secrecy;

/// As much as there is, the libraries that see requests included.
const LOG_LEVEL: &str = "trace,actix_http=trace,actix_server=trace,actix_web=trace,awc=trace,\
                         h2=trace,hyper=trace,hyper_util=trace,kube_client=trace,\
                         kube_runtime=trace,rustls=trace,tower=trace,tower_http=trace";

/// Longest wait for anything that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; panics with `what` after [`PATIENCE`].
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    eventually_or(what, condition, String::new)
}

/// As [`eventually`]; shows `context` when it gives up.
pub fn eventually_or<T>(
    what: &str,
    condition: impl FnMut() -> Option<T>,
    context: impl FnOnce() -> String,
) -> T {
    eventually_within(PATIENCE, what, condition, context)
}

/// As [`eventually_or`]; gives up after `patience`.
pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
    context: impl FnOnce() -> String,
) -> T {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(value) = condition() {
            return value;
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}\n{}", context());
}

/// How to start an agent.
#[derive(Clone)]
pub struct Settings {
    keys: BTreeMap<&'static str, String>,
    through: Vec<String>,
    folder: PathBuf,
    metrics: SocketAddr,
    listeners: Vec<Listener>,
}

/// Returns what a peer received from the agent.
type Listener = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

impl Settings {
    /// Returns settings with a listener, a state folder and logs of their own.
    pub fn new(folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut settings = Self {
            keys: BTreeMap::new(),
            through: Vec::new(),
            folder: folder.to_owned(),
            metrics: free,
            listeners: Vec::new(),
        };
        settings.set("LOG_LEVEL", LOG_LEVEL);
        settings.set("DEVICE_ID", "cam-01");
        settings.set("GRACEFUL_SHUTDOWN", "2s");
        // The machine may have just booted, and have no time service.
        settings.set("CRON_CLOCK", "any");
        settings.listen_at(free);
        settings.set("STATE_DIR", folder.join("state").display().to_string());
        settings.set("PODMAN_SOCKET", folder.join("absent.sock").display().to_string());
        settings.set("RETRY_PERIOD", "2s");
        settings
    }

    /// Lets metrics be taken, and the status asked for, at this address.
    pub fn listen_at(&mut self, address: SocketAddr) -> &mut Self {
        self.metrics = address;
        self.set("METRICS_LISTEN", address.to_string())
    }

    /// Sets a key of the configuration file.
    pub fn set(&mut self, key: &'static str, value: impl Into<String>) -> &mut Self {
        self.keys.insert(key, value.into());
        self
    }

    /// Forgets a key.
    pub fn unset(&mut self, key: &'static str) -> &mut Self {
        self.keys.remove(key);
        self
    }

    /// Runs the agent's command line through another, `setpriv --reuid=…` say.
    pub fn through(&mut self, words: &[impl AsRef<str>]) -> &mut Self {
        self.through.extend(words.iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Adds what a peer receives from the agent to what is searched for secrets.
    pub fn heard_by(&mut self, listener: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.listeners.push(Arc::new(listener));
    }

    /// Writes the configuration file and returns its path.
    pub fn write(&self) -> PathBuf {
        let path = self.folder.join("config.yaml");
        let lines = self.keys.iter().map(|(key, value)| format!("{key}: {value:?}\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        path
    }

    /// Starts the agent.
    pub fn start(&self) -> Agent {
        let config = self.write();
        let binary = env!("CARGO_BIN_EXE_device-worker-ng").to_owned();
        // A test that is killed takes its agent along.
        let mut words = ["setpriv", "--pdeathsig", "KILL"].map(str::to_owned).to_vec();
        words.extend(self.through.clone());
        words.extend([binary, "--config".to_owned(), config.display().to_string()]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("KUBECONFIG")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().unwrap(), true, Arc::clone(&log));
        collect(child.stderr.take().unwrap(), false, Arc::clone(&log));
        Agent {
            child,
            log,
            metrics: self.metrics,
            folder: self.folder.clone(),
            listeners: self.listeners.clone(),
        }
    }
}

/// What an agent wrote.
struct Line {
    text: String,
    /// Whether it is an entry of the log, and whole: one that is killed may leave half of one.
    is_entry: bool,
}

/// Reads lines until the stream ends.
fn collect(stream: impl Read + Send + 'static, is_log: bool, log: Arc<Mutex<Vec<Line>>>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut text = String::new();
        while stream.read_line(&mut text).is_ok_and(|length| length > 0) {
            let is_entry = is_log && text.ends_with('\n');
            let line = Line { text: text.trim_end_matches('\n').to_owned(), is_entry };
            log.lock().unwrap().push(line);
            text.clear();
        }
    });
}

/// A running agent. Dropping it kills it, fails the test when it has shown a secret or logged what
/// docs/logs.md does not know, and shows its log when the test has failed.
pub struct Agent {
    child: Child,
    log: Arc<Mutex<Vec<Line>>>,
    metrics: SocketAddr,
    folder: PathBuf,
    listeners: Vec<Listener>,
}

impl Agent {
    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns where it takes metrics.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// Returns the lines that it wrote.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|line| line.text.clone()).collect()
    }

    /// Returns how many lines of the log hold all `parts`.
    pub fn times_logged(&self, parts: &[&str]) -> usize {
        let holds = |line: &&String| parts.iter().all(|part| line.contains(part));
        self.log().iter().filter(holds).count()
    }

    /// Returns the last lines that it wrote, for a message.
    pub fn tail(&self) -> String {
        let log = self.log();
        log[log.len().saturating_sub(60)..].join("\n")
    }

    /// Returns whether a line of the log holds all `parts`.
    pub fn has_logged(&self, parts: &[&str]) -> bool {
        self.times_logged(parts) > 0
    }

    /// Waits until a line of the log holds all `parts`.
    pub fn wait_for_log(&self, parts: &[&str]) {
        let what = format!("a log line with {parts:?}");
        eventually_or(&what, || self.has_logged(parts).then_some(()), || self.tail());
    }

    /// Waits until an event of its status has that reason and holds `message`.
    pub fn wait_for_event(&self, reason: &str, message: &str) {
        let events = || self.status().map(|status| status["events"].clone()).unwrap_or_default();
        let holds = |event: &Value| {
            let told = event["message"].as_str().unwrap_or_default();
            event["reason"] == reason && told.contains(message)
        };
        let is_told = || events().as_array()?.iter().any(holds).then_some(());
        eventually_or(&format!("{reason} says {message:?}"), is_told, || format!("{:#}", events()));
    }

    /// Asks its listener; returns status and body.
    pub fn http(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.metrics).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let head =
            format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split_whitespace().nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())?;
        Some((status, body))
    }

    /// Posts a metric, waiting for the listener to open.
    pub fn post(&self, name: &str, value: f64) {
        let body = format!(r#"{{"name":"{name}","value":{value}}}"#);
        let answer = || self.http("POST", "/metrics", &body);
        let (status, _) = eventually_or("the listener answers", answer, || self.tail());
        assert_eq!(status, 204);
    }

    /// Returns its status page; each must be as docs/status.md says.
    pub fn status(&self) -> Option<Value> {
        let (_, body) = self.http("GET", "/status", "")?;
        let status = serde_json::from_str(&body).ok()?;
        let faults = actors::testing::status_table::faults(&status);
        assert!(faults.is_empty(), "by docs/status.md: {faults:?}");
        Some(status)
    }

    /// Returns what its status page says of a workload.
    pub fn job(&self, workload: &str) -> Option<Value> {
        let status = self.status()?;
        let jobs = status["workloads"].as_array()?;
        jobs.iter().find(|job| job["workload"] == workload).cloned()
    }

    /// Waits until its status page says that a workload has `status`.
    pub fn wait_for_status(&self, workload: &str, status: &str) -> Value {
        let what = format!("workload {workload} is {status}");
        let reached = || self.job(workload).filter(|job| job["status"] == status);
        eventually_or(&what, reached, || format!("{:?}\n{}", self.job(workload), self.tail()))
    }

    /// Waits until its status page gives a reason for a workload's status that holds `part`.
    pub fn wait_for_reason(&self, workload: &str, part: &str) -> Value {
        let what = format!("workload {workload} has a reason with {part:?}");
        let has_reason = |job: &Value| job["reason"].as_str().is_some_and(|it| it.contains(part));
        let reached = || self.job(workload).filter(has_reason);
        eventually_or(&what, reached, || format!("{:?}\n{}", self.job(workload), self.tail()))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end and returns its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.ended().code()
    }

    /// Waits for its end and returns how it ended.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the agent ends", || self.child.try_wait().unwrap())
    }
}

impl Agent {
    /// Returns the first entry of its log that is not as docs/logs.md says, and why.
    fn odd_entry(&self) -> Option<String> {
        let log = self.log.lock().unwrap();
        let mut entries = log.iter().filter(|line| line.is_entry);
        entries.find_map(|Line { text, .. }| {
            let faults = actors::testing::log_table::faults(text);
            (!faults.is_empty()).then(|| format!("{faults:?}: {text}"))
        })
    }

    /// Returns all that it has sent or logged.
    fn said(&self) -> Vec<String> {
        let mut said = self.log();
        for path in ["/status", "/metrics"] {
            said.extend(self.http("GET", path, "").map(|(_, body)| body));
        }
        said.extend(self.listeners.iter().flat_map(|listener| listener()));
        said
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let failed = thread::panicking();
        if failed {
            eprintln!("the agent's log:\n{}", self.tail());
        }
        let (said, keys) = match failed {
            true => Default::default(),
            false => (self.said(), secrecy::keys_below(&self.folder)),
        };
        let _ = self.child.kill();
        let _ = self.child.wait();
        for text in said {
            if let Some(secret) = secrecy::shown(&text, &keys) {
                panic!("the agent has shown {secret:?}: {text}");
            }
        }
        if !failed && let Some(entry) = self.odd_entry() {
            panic!("by docs/logs.md: {entry}");
        }
    }
}
