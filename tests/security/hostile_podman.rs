//! A podman service of a user who attacks root's agent: it answers as podman does, but for one thing.
//!
//! It is this test binary once more, as the user `dwtest` in a user namespace of that user's own, with a
//! /proc that holds what the attack plants there. Nothing of it needs a right that a user lacks.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "an attack differs from an honest podman in one place"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::testing::podman::rootless_user;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::eventually;

/// The test as which the service runs.
const ENTRY: &str = "hostile_podman::the_attackers_podman_answers_as_podman_does";
/// Tells that test its socket, its log and its attack.
const ORDER: &str = "DW_HOSTILE_PODMAN";

/// The id of its first container.
pub const CONTAINER: &str = "10a910a910a910a910a910a910a910a910a910a910a910a910a910a910a910a9";
/// As much as it sends where it sends much.
const MUCH: usize = 16 * 1024 * 1024;

/// What the service does otherwise than podman does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Nothing: what is wrong lies in its /proc.
    None,
    /// Lists each container 3,000 times, while the file `oom_score_adj` of its process and `link` beside it
    /// change places.
    Twins,
    /// Lists 4,000 pods with the agent's labels.
    ManyPods,
    /// Lists 16 MB of containers of which it says nothing.
    ManyRows,
    /// Lists nothing but opening brackets.
    Brackets,
    /// Lists a container whose id has 16 MB.
    LongText,
    /// Lists byte by byte.
    Drip,
    /// Sends half of its listing, and nothing more.
    Half,
    /// Sends a head without an end.
    EndlessHead,
    /// Says for ever that it goes on.
    Continue,
    /// Refuses with a body without an end.
    EndlessError,
    /// Sends events as fast as they are taken.
    EventFlood,
    /// Sends an event without an end.
    EndlessEvent,
    /// Answers no pull.
    SilentPull,
    /// Gives its container an id that leads to another call.
    LeadingId,
    /// Gives this process for its container's.
    Process(u32),
    /// Refuses to change limits, and gives this control group for its container's.
    Group(String),
}

/// The service, until it is dropped.
pub struct HostilePodman {
    process: Child,
    folder: TempDir,
}

impl HostilePodman {
    /// Starts the service; `plant` is a shell script that may fill its /proc, which is empty. `$$` is the
    /// service itself: its containers have that process by its word.
    pub fn start(attack: &Attack, plant: &str) -> Self {
        let (uid, gid) = rootless_user();
        let folder = tempfile::Builder::new().prefix("dwh").tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir_all(run.join("podman")).unwrap();
        for (path, mode) in [(folder.path(), 0o755), (&run, 0o700), (&run.join("podman"), 0o700)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for path in [&run, &run.join("podman")] {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
        // The user may not be able to reach it where it is.
        let program = folder.path().join("podman");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let service = Service {
            socket: run.join("podman/podman.sock"),
            requests: run.join("requests"),
            attack: attack.clone(),
            pod: Mutex::default(),
            asked: AtomicUsize::default(),
        };
        let script = format!(
            "set -e; {plant}\n\
             exec \"$0\" --exact {ENTRY} --nocapture"
        );
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--clear-groups"])
            .args([format!("--reuid={uid}"), format!("--regid={gid}")])
            .args(["unshare", "-rm", "sh", "-c", &script])
            .arg(&program)
            .env(ORDER, service.order().to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("setpriv starts");
        let this = Self { process, folder };
        eventually("the attacker listens", || this.socket().exists().then_some(()));
        this
    }

    /// Returns the runtime directory of its user.
    pub fn runtime_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Returns its socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir().join("podman/podman.sock")
    }

    /// Returns the calls that it got: method and target, a line each.
    pub fn requests(&self) -> String {
        fs::read_to_string(self.runtime_dir().join("requests")).unwrap_or_default()
    }
}

impl Drop for HostilePodman {
    fn drop(&mut self) {
        // What its script left running, too.
        let group = Pid::from_child(&self.process);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.process.wait();
    }
}

/// The pod that was played, as far as a listing shows it.
#[derive(Clone)]
struct Played {
    name: String,
    labels: Value,
    containers: Vec<String>,
}

/// The service within its process.
struct Service {
    socket: PathBuf,
    requests: PathBuf,
    attack: Attack,
    pod: Mutex<Option<Played>>,
    /// How often it was asked of itself.
    asked: AtomicUsize,
}

impl Service {
    fn order(&self) -> Value {
        let attack = format!("{:?}", self.attack);
        let (attack, victim) = match &self.attack {
            Attack::Group(group) => ("Group", group.clone()),
            Attack::Process(pid) => ("Process", pid.to_string()),
            _ => (attack.as_str(), String::new()),
        };
        json!({"socket": self.socket, "requests": self.requests, "attack": attack, "victim": victim})
    }

    fn ordered(order: &str) -> Self {
        let order: Value = serde_json::from_str(order).unwrap();
        let text = |key: &str| order[key].as_str().unwrap().to_owned();
        let all = [
            Attack::None,
            Attack::Twins,
            Attack::ManyPods,
            Attack::ManyRows,
            Attack::Brackets,
            Attack::LongText,
            Attack::Drip,
            Attack::Half,
            Attack::EndlessHead,
            Attack::Continue,
            Attack::EndlessError,
            Attack::EventFlood,
            Attack::EndlessEvent,
            Attack::SilentPull,
            Attack::LeadingId,
        ];
        let named = all.into_iter().find(|attack| format!("{attack:?}") == text("attack"));
        Self {
            socket: text("socket").into(),
            requests: text("requests").into(),
            attack: named.unwrap_or_else(|| match text("victim").parse() {
                Ok(pid) => Attack::Process(pid),
                Err(_) => Attack::Group(text("victim")),
            }),
            pod: Mutex::default(),
            asked: AtomicUsize::default(),
        }
    }

    /// Answers for ever.
    fn serve(self) {
        let listener = UnixListener::bind(&self.socket).unwrap();
        if self.attack == Attack::Twins {
            std::thread::spawn(flip);
        }
        let this = Arc::new(self);
        for stream in listener.incoming().flatten() {
            let this = Arc::clone(&this);
            // Whoever hangs up ends the answer.
            std::thread::spawn(move || drop(this.answer(stream)));
        }
    }

    fn answer(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            head.push_str(&line);
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if head.trim().is_empty() {
            return Ok(());
        }
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut log = fs::OpenOptions::new().create(true).append(true).open(&self.requests)?;
        log.write_all(format!("{method} {target}\n").as_bytes())?;
        let path = target.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("/v4.0.0/libpod/").unwrap_or(path);
        match (method, path) {
            ("GET", "info") => send(&mut stream, 200, self.info().to_string().as_bytes()),
            ("GET", "events") => self.events(&mut stream),
            ("GET", "containers/json") => self.list(&mut stream),
            ("GET", "pods/json") => send(&mut stream, 200, b"[]"),
            ("POST", "images/pull") if self.attack == Attack::SilentPull => hang(),
            ("POST", "images/pull") => {
                send(&mut stream, 200, json!({"id": CONTAINER}).to_string().as_bytes())
            }
            ("POST", "play/kube") => {
                *self.pod.lock().unwrap() = Some(played(&body));
                send(&mut stream, 200, b"{\"Pods\":[{}]}")
            }
            ("DELETE", _) => {
                *self.pod.lock().unwrap() = None;
                send(&mut stream, 200, b"{}")
            }
            ("GET", path) if path.starts_with("images/") && self.attack == Attack::SilentPull => {
                send(&mut stream, 404, b"{}")
            }
            ("GET", path) if path.starts_with("images/") => {
                send(&mut stream, 200, json!({"Id": CONTAINER}).to_string().as_bytes())
            }
            ("GET", path) if path.starts_with("containers/") => {
                let group = match &self.attack {
                    Attack::Group(group) => group.as_str(),
                    _ => "",
                };
                let detail = json!({"State": {"CgroupPath": group}});
                send(&mut stream, 200, detail.to_string().as_bytes())
            }
            ("POST", path) if path.ends_with("/update") => {
                send(&mut stream, 500, b"{\"cause\":\"no\",\"message\":\"no\",\"response\":500}")
            }
            ("POST", _) => send(&mut stream, 204, b""),
            (_, _) => send(&mut stream, 404, b"{}"),
        }
    }

    /// Says of itself that it keeps limits, and, once that is believed, that the control groups of this
    /// machine are what they are.
    fn info(&self) -> Value {
        let version = match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => "v2",
            _ if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() => "v2",
            _ => "v1",
        };
        json!({"host": {
            "cgroupVersion": version,
            "cgroupControllers": ["cpu", "memory"],
            "security": {"rootless": true},
            "slirp4netns": {"executable": "/usr/bin/slirp4netns"},
        }})
    }

    fn events(&self, stream: &mut UnixStream) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        match self.attack {
            Attack::EventFlood => {
                let many = b"{\"Action\":\"died\"}\n".repeat(4096);
                loop {
                    stream.write_all(&many)?;
                }
            }
            Attack::EndlessEvent => {
                stream.write_all(b"{\"Action\":\"")?;
                loop {
                    stream.write_all(&[b'x'; 65_536])?;
                }
            }
            _ => hang(),
        }
    }

    fn list(&self, stream: &mut UnixStream) -> std::io::Result<()> {
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        match self.attack {
            Attack::ManyRows => {
                let mut rows = b"[".to_vec();
                rows.extend(b"{},".repeat(MUCH / 3));
                rows.truncate(rows.len() - 1);
                rows.push(b']');
                send(stream, 200, &rows)
            }
            Attack::Brackets => send(stream, 200, &vec![b'['; MUCH]),
            Attack::LongText => {
                let mut rows = b"[{\"Id\":\"".to_vec();
                rows.resize(MUCH, b'x');
                rows.extend(b"\"}]");
                send(stream, 200, &rows)
            }
            Attack::Drip => {
                stream.write_all(head(1000).as_bytes())?;
                loop {
                    stream.write_all(b" ")?;
                    std::thread::park_timeout(Duration::from_millis(100));
                }
            }
            Attack::Half => {
                stream.write_all(head(1000).as_bytes())?;
                stream.write_all(b"[{\"Id\":")?;
                hang()
            }
            Attack::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
                loop {
                    stream.write_all(&[b'x'; 65_536])?;
                }
            }
            Attack::Continue => loop {
                stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000))?;
            },
            Attack::EndlessError => {
                stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\n\r\n{\"cause\":\"")?;
                loop {
                    stream.write_all(&[b'x'; 65_536])?;
                }
            }
            _ => send(stream, 200, json!(self.rows()).to_string().as_bytes()),
        }
    }

    fn rows(&self) -> Vec<Value> {
        let Some(pod) = self.pod.lock().unwrap().clone() else {
            return Vec::new();
        };
        let id = match self.attack {
            Attack::LeadingId => "../../pods/others?force=true&timeout=0#",
            _ => CONTAINER,
        };
        let pid = match self.attack {
            Attack::Process(pid) => pid,
            _ => std::process::id(),
        };
        let row = |pod: &Played, container: &str| {
            json!({
                "Id": id, "Names": [format!("{}-{container}", pod.name)], "State": "running",
                "Pid": pid, "StartedAt": 1_700_000_000, "PodName": pod.name, "Labels": pod.labels,
            })
        };
        let rows = pod.containers.iter().map(|container| row(&pod, container));
        let rows: Vec<_> = rows.collect();
        match self.attack {
            Attack::Twins => rows.iter().cycle().take(3_000 * rows.len()).cloned().collect(),
            Attack::ManyPods => {
                let more = (0..4_000).map(|n| {
                    let mut other = pod.clone();
                    other.name = format!("other-{n:012x}");
                    other.labels["device-worker-ng/id"] = json!(other.name);
                    other.labels["device-worker-ng/workload"] = json!(format!("other{n}"));
                    row(&other, "main")
                });
                rows.into_iter().chain(more).collect()
            }
            _ => rows,
        }
    }
}

fn played(manifest: &[u8]) -> Played {
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let containers = manifest["spec"]["containers"].as_array().unwrap();
    let names = containers.iter().map(|container| container["name"].as_str().unwrap().to_owned());
    Played {
        name: manifest["metadata"]["name"].as_str().unwrap().to_owned(),
        labels: manifest["metadata"]["labels"].clone(),
        containers: names.collect(),
    }
}

fn send(stream: &mut UnixStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n\r\n", body.len());
    let head = if status == 204 { "HTTP/1.1 204 So\r\n\r\n".to_owned() } else { head };
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Lets the file and the link beside it change places, as fast as that goes. The file is a score that nobody
/// set, again and again.
fn flip() {
    let folder = format!("/proc/{}", std::process::id());
    let [file, link] = ["oom_score_adj", "link"].map(|name| Path::new(&folder).join(name));
    let exchange = || renameat_with(CWD, &file, CWD, &link, RenameFlags::EXCHANGE).unwrap();
    loop {
        exchange();
        fs::write(&link, "0\n").unwrap();
        exchange();
    }
}

/// Holds the connection for ever.
fn hang() -> std::io::Result<()> {
    loop {
        std::thread::park();
    }
}

#[test]
fn the_attackers_podman_answers_as_podman_does() {
    if let Ok(order) = std::env::var(ORDER) {
        return Service::ordered(&order).serve();
    }
    let podman = HostilePodman::start(&Attack::None, "");
    let ask = |call: &str, body: &str| {
        let mut stream = UnixStream::connect(podman.socket()).unwrap();
        let length = body.len();
        let head = format!("{call} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(ask("GET /v4.0.0/libpod/containers/json?all=true", ""), "[]");
    let manifest = json!({"metadata": {"name": "web-1", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "main"}]}});
    ask("POST /v4.0.0/libpod/play/kube?start=true", &manifest.to_string());
    let rows: Value =
        serde_json::from_str(&ask("GET /v4.0.0/libpod/containers/json?all=true", "")).unwrap();
    assert_eq!(rows[0]["Names"], json!(["web-1-main"]));
    assert_eq!(rows[0]["Pid"], json!(podman.process.id()));
    assert_eq!(rows[0]["Labels"]["a"], json!("b"));
}
