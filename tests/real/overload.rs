//! Clients of the listener that mean no good.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use actors::testing::podman::HermeticPodman;

use crate::agent::{Agent, eventually, eventually_or};
use crate::device::Device;
use crate::pods::{device_with_condition, manifest, no_pod, one_container, serving, while_low};

/// Connections of each kind of attack, a hundred in all.
const SLOWLORISES: usize = 40;
const SLOW_READERS: usize = 40;
const ENDLESS_BODIES: usize = 20;
/// Posts of so many names each, a hundred thousand in all.
const NAMES: [usize; 2] = [100, 1_000];
/// Names that the agent keeps.
const MAX_NAMES: usize = 10_000;
/// What the agent may take for all of it, in kB: 16 MiB of bodies, what is read out of them, 10,000
/// metrics, and eight answers that are never read.
const MAX_GROWTH: u64 = 96 * 1024;

/// Returns a line of /proc/PID/status, in kB where it is one of memory.
fn fact(agent: &Agent, name: &str) -> u64 {
    let facts = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = facts.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns the variables that the packaged unit gives the agent: how the C library keeps memory.
fn unit_environment() -> Vec<&'static str> {
    let unit = include_str!("../../packaging/systemd/device-worker-ng.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("Environment="));
    line.expect("the unit sets variables").split(' ').collect()
}

fn open_files(agent: &Agent) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

/// A connection that writes without end and reads nothing.
struct Attacker {
    to: SocketAddr,
    head: &'static str,
    body: &'static [u8],
    stream: Option<TcpStream>,
    head_left: &'static [u8],
}

impl Attacker {
    fn new(to: SocketAddr, head: &'static str, body: &'static [u8]) -> Self {
        Self { to, head, body, stream: None, head_left: head.as_bytes() }
    }

    /// Writes some bytes, as many as the agent takes. A connection that was closed is opened anew.
    fn write(&mut self, at_once: usize) -> u64 {
        let Some(stream) = &mut self.stream else {
            self.stream = TcpStream::connect(self.to).ok();
            let _ = self.stream.as_ref().map(|stream| stream.set_nonblocking(true));
            self.head_left = self.head.as_bytes();
            return 0;
        };
        let left = if self.head_left.is_empty() { self.body } else { self.head_left };
        match stream.write(&left[..at_once.min(left.len())]) {
            Ok(0) => self.stream = None,
            Ok(written) if !self.head_left.is_empty() => self.head_left = &left[written..],
            Ok(written) => return written as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.stream = None,
        }
        0
    }
}

/// Has attackers write until `end`; returns how much came through after the heads.
fn attack(mut attackers: Vec<Attacker>, at_once: usize, end: &AtomicBool) -> u64 {
    let mut written = 0;
    while !end.load(Ordering::Relaxed) {
        written += attackers.iter_mut().map(|attacker| attacker.write(at_once)).sum::<u64>();
        thread::park_timeout(Duration::from_millis(10));
    }
    written
}

/// Posts, again while the agent is too busy to take it, which it says.
fn post_for_sure(agent: &Agent, value: f64) {
    let body = format!(r#"{{"name":"cpu","value":{value}}}"#);
    let taken = || match agent.http("POST", "/metrics", &body)? {
        (204, _) => Some(()),
        (429, _) => None,
        other => panic!("{other:?}"),
    };
    eventually_or("the metric is taken", taken, || agent.tail());
}

/// Posts far more names than the agent keeps; returns how many were taken.
fn flood(agent: &Agent) -> usize {
    let [posts, size] = NAMES;
    let mut taken = 0;
    for post in 0..posts {
        let one = |n: usize| format!(r#"{{"name":"flood_{post}_{n}","value":{n}}}"#);
        let body = format!("[{}]", (0..size).map(one).collect::<Vec<_>>().join(","));
        let answer = || agent.http("POST", "/metrics", &body).filter(|(status, _)| *status != 429);
        match eventually("a flood of names is answered", answer) {
            (204, _) => taken += size,
            (507, reason) => assert!(reason.contains("10000 names"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    taken
}

#[test]
fn a_metric_moves_pods_while_a_hundred_connections_attack_the_listener() {
    const SLOWLORIS: &str = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    const READER: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const ENDLESS: &str =
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n[";

    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    device.apply("device", &device_with_condition("cpu < 50"));
    device.apply("web", &manifest("web", &serving(), while_low()));
    // As on a device: the lines of every read and timer would be most of what is measured.
    device.settings.set("LOG_LEVEL", "info");
    device.settings.through(&[vec!["env"], unit_environment()].concat());
    let agent = device.settings.start();
    agent.post("cpu", 20.0);
    one_container(&podman, "web");
    let (memory, files) = (fact(&agent, "VmRSS"), open_files(&agent));

    let end = AtomicBool::new(false);
    let endless = AtomicU64::new(0);
    let (taken, last) = thread::scope(|scope| {
        let attackers = |count, head, body| {
            (0..count).map(|_| Attacker::new(agent.metrics(), head, body)).collect::<Vec<_>>()
        };
        let [lorises, readers, bodies] = [
            attackers(SLOWLORISES, SLOWLORIS, b"x"),
            attackers(SLOW_READERS, READER, READER.as_bytes()),
            attackers(ENDLESS_BODIES, ENDLESS, &[b' '; 64 * 1024]),
        ];
        scope.spawn(|| attack(lorises, 1, &end));
        scope.spawn(|| attack(readers, usize::MAX, &end));
        scope.spawn(|| endless.store(attack(bodies, usize::MAX, &end), Ordering::Relaxed));
        let _ended = Ended(&end);
        let taken = flood(&agent);
        let mut last = one_container(&podman, "web");
        for _ in 0..3 {
            post_for_sure(&agent, 80.0);
            no_pod(&podman, "web");
            post_for_sure(&agent, 20.0);
            last = one_container(&podman, "web");
        }
        (taken, last)
    });
    let endless = endless.into_inner() / 1024;
    let growth = fact(&agent, "VmHWM").saturating_sub(memory);
    println!("{taken} names taken, {endless} kB of endless bodies, {growth} kB more at the most");
    assert!(taken > 0 && taken <= MAX_NAMES, "{taken}");
    assert!(endless > 1024, "the bodies were sent: {endless} kB");
    assert!(growth < MAX_GROWTH, "{growth} kB");

    // All is well after it.
    eventually("the connections are gone", || (open_files(&agent) <= files + 2).then_some(()));
    agent.wait_for_status("web", "running");
    assert_eq!(one_container(&podman, "web"), last);
    let metrics = agent.status().unwrap()["metrics"].as_array().unwrap().len();
    assert_eq!(metrics, taken + 1, "and cpu");
    assert!(!agent.has_logged(&["actor failed"]), "{}", agent.tail());
}

/// Ends the attacks, also when the test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
