//! A stand-in for podman that takes no time of its own, and notes when which request came.
//!
//! It keeps pods, answers the calls that the agent makes in podman 4.3's shapes and sizes, obeys
//! filters, and reports events. Its processes are this one, so that they exist.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::head;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A pod was created and started.
    Play(String),
    /// A container of the pod was stopped.
    Stop(String),
    /// The pod was removed.
    Remove(String),
    /// Anything that changes nothing.
    Look,
}

impl Call {
    /// Returns whether it is about the workload of that name.
    pub(crate) fn is_of(&self, workload: &str) -> bool {
        match self {
            Self::Play(pod) | Self::Stop(pod) | Self::Remove(pod) => {
                pod.strip_prefix(workload).is_some_and(|rest| rest.starts_with('-'))
            }
            Self::Look => false,
        }
    }
}

/// A request, and when its first byte came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When.
    pub(crate) at: Instant,
    /// What.
    pub(crate) call: Call,
}

/// The service.
pub(crate) struct StandIn {
    shared: Arc<Shared>,
    folder: TempDir,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Pod>,
    next_id: u64,
    seen: Vec<Seen>,
    listeners: Vec<UnixStream>,
}

struct Pod {
    id: String,
    labels: Value,
    containers: Vec<Container>,
}

struct Container {
    id: String,
    name: String,
    runs: bool,
    changed_at: i64,
}

impl StandIn {
    /// Starts the service without any pods.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("dwb").tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("podman.sock")).expect("a socket");
        let shared: Arc<Shared> = Arc::default();
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_thread);
                // A client that hangs up is none of our business.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { shared, folder }
    }

    /// Returns where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("podman.sock")
    }

    /// Returns a folder that lives as long as it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget(&self) {
        self.shared.state().seen.clear();
    }

    /// Returns how many requests came since [`Self::forget`].
    pub(crate) fn requests(&self) -> usize {
        self.shared.state().seen.len()
    }

    /// Returns the first request that is `wanted` since [`Self::forget`]; waits for it.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Call) -> bool) -> Option<Instant> {
        let until = Instant::now() + Duration::from_secs(10);
        let mut state = self.shared.state();
        loop {
            if let Some(seen) = state.seen.iter().find(|seen| wanted(&seen.call)) {
                return Some(seen.at);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let woken = self.shared.news.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
        let mut at = None;
        let (line, body) = loop {
            let length = stream.read(&mut buffer)?;
            at = at.or(Some(Instant::now()));
            if length == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&buffer[..length]);
            if let Some((line, start, length)) = request_head(&bytes)
                && bytes.len() >= start + length
            {
                break (line, bytes.split_off(start));
            }
        };
        let (method, target) = line.split_once(' ').unwrap_or_default();
        let target = target.split_once("/libpod/").map_or(target, |(_, target)| target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "events" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            self.state().listeners.push(stream);
            return Ok(());
        }
        let (call, status, answer) = self.answer(method, path, query, &body);
        let answer = if status == 204 { String::new() } else { answer.to_string() };
        let head = format!("HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n");
        let length = answer.len();
        let head = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n");
        self.note(at, call);
        stream.write_all(head.as_bytes())?;
        stream.write_all(answer.as_bytes())
    }

    fn note(&self, at: Option<Instant>, call: Call) {
        let at = at.unwrap_or_else(Instant::now);
        self.state().seen.push(Seen { at, call });
        self.news.notify_all();
    }

    fn answer(&self, method: &str, path: &str, query: &str, body: &[u8]) -> (Call, u16, Value) {
        let mut state = self.state();
        let parts: Vec<&str> = path.split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["info"]) => (Call::Look, 200, info()),
            ("GET", ["containers", "json"]) => (Call::Look, 200, state.containers(query)),
            ("GET", ["pods", "json"]) => (Call::Look, 200, state.pods(query)),
            ("GET", ["images", ..]) => (Call::Look, 200, json!({"Id": "1".repeat(64)})),
            ("GET", ["containers", _, "json"]) => {
                let detail = json!({"State": {"ExitCode": 0}, "HostConfig": {"Memory": 0}});
                (Call::Look, 200, detail)
            }
            ("POST", ["play", "kube"]) => {
                let manifest: Value = serde_json::from_slice(body).expect("the agent sends JSON");
                let pod = state.play(&manifest);
                (Call::Play(pod), 200, json!({"Pods": [{"ContainerErrors": null}]}))
            }
            ("POST", ["containers", id, "stop"]) => {
                let pod = state.stop(id).unwrap_or_default();
                (Call::Stop(pod), 204, Value::Null)
            }
            ("DELETE", ["pods", name]) => {
                state.remove(name);
                (Call::Remove((*name).to_owned()), 200, json!({"Id": name}))
            }
            (_, _) => (Call::Look, 404, json!({"cause": "no such thing", "message": path})),
        }
    }
}

impl State {
    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("{:064x}", self.next_id)
    }

    fn play(&mut self, manifest: &Value) -> String {
        let pod = manifest["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
        let containers = manifest["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let names = containers.iter().filter_map(|container| container["name"].as_str());
        let names: Vec<_> = names.map(|name| format!("{pod}-{name}")).collect();
        let id = self.id();
        let infra = format!("{}-infra", &id[52..]);
        let containers = names.into_iter().chain([infra]).map(|name| {
            let id = self.id();
            Container { id, name, runs: true, changed_at: now() }
        });
        let containers = containers.collect();
        let labels = manifest["metadata"]["labels"].clone();
        self.pods.insert(pod.clone(), Pod { id, labels, containers });
        self.emit("start", &pod);
        pod
    }

    fn stop(&mut self, id: &str) -> Option<String> {
        let of = |pod: &Pod| pod.containers.iter().any(|container| container.id == id);
        let (name, pod) = self.pods.iter_mut().find(|(_, pod)| of(pod))?;
        for container in pod.containers.iter_mut().filter(|container| container.id == id) {
            (container.runs, container.changed_at) = (false, now());
        }
        let name = name.clone();
        self.emit("died", &name);
        Some(name)
    }

    fn remove(&mut self, name: &str) {
        if self.pods.remove(name).is_some() {
            self.emit("remove", name);
        }
    }

    /// Sends an event to every listener.
    fn emit(&mut self, action: &str, pod: &str) {
        let event = json!({
            "Type": "container", "Action": action, "time": now(), "from": "localhost/busybox:test",
            "Actor": {"ID": "1".repeat(64), "Attributes": {"name": pod}},
        });
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        self.listeners.retain_mut(|stream| stream.write_all(chunk.as_bytes()).is_ok());
    }

    fn containers(&self, query: &str) -> Value {
        let filters = Filters::of(query);
        let pods = self.pods.iter().filter(|(name, pod)| filters.admit(name, &pod.labels));
        pods.flat_map(|(name, pod)| pod.containers.iter().map(|it| row(name, pod, it))).collect()
    }

    fn pods(&self, query: &str) -> Value {
        let filters = Filters::of(query);
        let pods = self.pods.iter().filter(|(name, pod)| filters.admit(name, &pod.labels));
        pods.map(|(name, pod)| {
            let running = pod.containers.iter().filter(|it| it.runs).count();
            let status = match running {
                0 => "Exited",
                some if some < pod.containers.len() => "Degraded",
                _ => "Running",
            };
            json!({"Name": name, "Id": pod.id, "Status": status, "Labels": pod.labels})
        })
        .collect()
    }
}

/// A row of `containers/json`, with all that podman 4.3 says.
fn row(name: &str, pod: &Pod, container: &Container) -> Value {
    let (state, pid) = if container.runs { ("running", std::process::id()) } else { ("exited", 0) };
    json!({
        "AutoRemove": false, "Command": ["/bin/sh", "-c", "sleep infinity"],
        "Created": "2026-11-23T12:00:00.123456789Z", "CreatedAt": "", "Exited": !container.runs,
        "ExitedAt": if container.runs { -62_135_596_800 } else { container.changed_at },
        "ExitCode": 0, "Id": container.id, "Image": "localhost/busybox:test",
        "ImageID": "1".repeat(64), "IsInfra": container.name.ends_with("-infra"),
        "Labels": pod.labels, "Mounts": [], "Names": [container.name],
        "Namespaces": {
            "MNT": "4026532000", "CGROUP": "4026532001", "IPC": "4026532002", "NET": "4026532003",
            "PIDNS": "4026532004", "UTS": "4026532005", "USER": "4026531837",
        },
        "Networks": ["podman"], "Pid": pid, "Pod": pod.id, "PodName": name, "Ports": null,
        "Size": null, "StartedAt": container.changed_at, "State": state, "Status": "",
    })
}

/// The filters of a listing.
struct Filters(Value);

impl Filters {
    fn of(query: &str) -> Self {
        let filters = query.split('&').find_map(|pair| pair.strip_prefix("filters="));
        let filters = filters.map(percent_decoded).unwrap_or_default();
        Self(serde_json::from_str(&filters).unwrap_or(Value::Null))
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0[key].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn admit(&self, name: &str, labels: &Value) -> bool {
        let has_label = |label: &str| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            labels[key].as_str() == Some(value)
        };
        // The agent's patterns are whole names of pods, or how those of their containers begin.
        let is_called = |pattern: &str| {
            let pattern = pattern.trim_start_matches('^').replace("\\.", ".");
            match pattern.strip_suffix('$') {
                Some(whole) => whole == name,
                None => format!("{name}-").starts_with(&pattern),
            }
        };
        self.list("label").all(has_label)
            && (self.list("name").next().is_none() || self.list("name").any(is_called))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().unwrap_or_default()).to_digit(16).unwrap_or(0);
        match byte {
            b'%' => decoded.push(u8::try_from(digit() * 16 + digit()).unwrap_or_default()),
            b'+' => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn info() -> Value {
    json!({"host": {
        "cgroupVersion": "v2", "cgroupControllers": ["cpu", "memory"],
        "security": {"rootless": false}, "slirp4netns": {"executable": ""},
    }})
}

/// Returns the request line without the version, and where the body starts and how long it is.
fn request_head(bytes: &[u8]) -> Option<(String, usize, usize)> {
    // The status that is parsed along with it is the middle word: give it one.
    let end = bytes.windows(2).position(|end| end == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let headers = [b"HTTP/1.1 200 OK", &bytes[end..]].concat();
    let (_, start, length) = head(&headers)?;
    let line = line.rsplit_once(' ')?.0.to_owned();
    Some((line, start - b"HTTP/1.1 200 OK".len() + end, length))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}
