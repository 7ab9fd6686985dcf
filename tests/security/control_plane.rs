//! A control plane that is not itself any more, with a valid certificate; and manifests as bad.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use actors::control_plane_sync::Call;
use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::HermeticPodman;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::agent::{Agent, eventually, eventually_within};
use crate::device::{Device, configuration};
use crate::pods::{Container, containers, one_container, sent, serving};

/// `/healthz` answers within this time, whatever is read beside.
const IN_TIME: Duration = Duration::from_secs(1);
/// Workloads that come with 10 MB of secrets, and how long the actors may need to take them over: the
/// tests' agent is built without optimisation.
const MANY: usize = 3_000;
const TAKEN_OVER: Duration = Duration::from_secs(3);
/// Most memory, in kB, for an answer of 14 MB.
const MAX_MEMORY: u64 = 300 * 1024;

/// Asks `/healthz` again and again, and remembers the longest time that an answer took.
struct Pulse {
    end: Arc<AtomicBool>,
    slowest: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    fn of(agent: &Agent) -> Self {
        let (end, slowest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, longest, at) = (Arc::clone(&end), Arc::clone(&slowest), agent.metrics());
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                ask_health(at);
                let took = u64::try_from(start.elapsed().as_millis()).unwrap();
                longest.fetch_max(took, Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(20));
            }
        });
        Self { end, slowest, thread: Some(thread) }
    }

    /// Returns the longest time since the last call.
    fn slowest(&self) -> Duration {
        Duration::from_millis(self.slowest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Waits for an answer, for as long as it takes.
fn ask_health(at: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect(at) else { return };
    let _ =
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
}

/// A device whose agent runs `web`, and is not slowed down by a log of all that its libraries do.
fn with_web(podman: &HermeticPodman, edge: &EdgeApi) -> (Device, Agent, Container) {
    let mut device = Device::of(edge).on(podman);
    device.settings.set("LOG_LEVEL", "info");
    edge.set_workloads(vec![sent("web", &serving())]);
    let agent = device.settings.start();
    let web = one_container(podman, "web");
    agent.wait_for_status("web", "running");
    (device, agent, web)
}

/// Waits until the agent has asked for its configuration so many times more.
fn asks_again(edge: &EdgeApi, times: usize) {
    let asked = || {
        let all = edge.received();
        all.iter().filter(|it| it.call == Some(Call::Configuration)).count()
    };
    let before = asked();
    eventually_within(
        Duration::from_secs(120),
        "the configuration is asked for again",
        || (asked() >= before + times).then_some(()),
        String::new,
    );
}

fn workload(name: &str, specification: &str) -> Value {
    json!({"name": name, "specification": specification})
}

/// Texts that a YAML parser may take minutes to hours for, and what is said of them.
fn hard_to_read() -> Vec<(String, &'static str)> {
    let quotes = |count: usize| "{\"}\": ".repeat(count);
    let open = "recursion limit exceeded";
    let empty = "has no containers";
    vec![
        (quotes(30_000), open),
        (quotes(600_000), open),
        (format!("a: \"x{}{}\"", " ".repeat(1_500_000), "y ".repeat(1_000_000)), empty),
        (format!("a: |\n x{}{}", "\n".repeat(1_500_000), " y\n".repeat(600_000)), empty),
        (format!("{}---\na: 1\n", "%TAG !a! b\n".repeat(300_000)), "not a PodSpec"),
        (format!("containers: [{}]", "{},".repeat(1_000_000)), "keys and values"),
    ]
}

#[test]
fn a_specification_that_is_hard_to_read_holds_up_nobody() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let (_device, agent, mut web) = with_web(&podman, &edge);
    let pulse = Pulse::of(&agent);
    for (number, (text, words)) in hard_to_read().into_iter().enumerate() {
        let name = format!("bad{number}");
        edge.set_configuration(configuration(vec![
            sent("web", &serving()),
            workload(&name, &text),
        ]));
        // What was running is looked after meanwhile.
        podman.kill_inside(web.pid);
        agent.wait_for_reason(&name, words);
        web = eventually("web runs again", || match containers(&podman, "web").as_slice() {
            [only] if only.started_at != web.started_at => Some(only.clone()),
            _ => None,
        });
        let slowest = pulse.slowest();
        assert!(slowest < IN_TIME, "{words}: /healthz took {slowest:?}");
    }
}

#[test]
fn an_answer_that_is_too_much_only_as_a_whole_is_refused_and_what_runs_stays() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let (_device, agent, web) = with_web(&podman, &edge);
    let pulse = Pulse::of(&agent);
    let long = format!("containers: [{{name: a, image: i, args: [{}]}}]", "a,".repeat(9_000));
    let specifications =
        (0..300).map(|number| workload(&format!("w{number}"), &long)).collect::<Vec<_>>();
    let expression = "a > 1 && ".repeat(7_000) + "a > 1";
    let conditions: Vec<_> = (0..200)
        .map(|number| json!({"name": format!("c{number}"), "expression": expression}))
        .collect();
    let mut conditioned = configuration(vec![sent("web", &serving())]);
    conditioned["configuration"]["profiles"] = json!([{"name": "p", "conditions": conditions}]);
    for (answer, words) in [
        (configuration(specifications), "too many values or aliases"),
        (configuration((0..5_001).map(|_| json!({})).collect()), "it holds 5001 workloads"),
        (conditioned, "the profiles have 200 conditions"),
    ] {
        edge.set_configuration(answer);
        agent.wait_for_log(&["WARN", "ConfigurationRefused", words]);
        let slowest = pulse.slowest();
        assert!(slowest < IN_TIME, "{words}: /healthz took {slowest:?}");
    }
    assert_eq!(containers(&podman, "web"), [web]);
}

/// CPU time that the agent has used, and the most memory in kB.
fn used(agent: &Agent) -> (Duration, u64) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", agent.pid())).unwrap();
    let stat = read("stat");
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 =
        after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    let status = read("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.split_whitespace().next().unwrap().parse().unwrap();
    (Duration::from_millis(ticks * 10), peak)
}

#[test]
fn many_secrets_and_many_workloads_are_taken_over_beside_all_else() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let (_device, agent, web) = with_web(&podman, &edge);
    let pulse = Pulse::of(&agent);
    // They never start: what is measured is the answer, not podman.
    let tiny = |number| {
        let mut tiny = workload(&format!("w{number:04}"), "containers: [{name: a, image: i}]");
        tiny["cron"] = json!("0 0 1 1 *");
        tiny
    };
    let mut workloads: Vec<_> = (0..MANY).map(tiny).collect();
    workloads.push(sent("web", &serving()));
    let mut answer = configuration(workloads);
    let data = json!({"K": STANDARD.encode(vec![b'x'; 256 * 1024])}).to_string();
    let secrets = answer["secrets"].as_array_mut().unwrap();
    secrets.extend((0..40).map(|number| json!({"name": format!("s{number}"), "data": data})));
    let (before, _) = used(&agent);
    edge.set_configuration(answer);
    agent.wait_for_status(&format!("w{:04}", MANY - 1), "deploying");
    asks_again(&edge, 1);
    let slowest = pulse.slowest();
    assert!(slowest < TAKEN_OVER, "/healthz took {slowest:?}");
    let (adopted, peak) = used(&agent);
    assert!(peak < MAX_MEMORY, "{peak} kB");

    // The same again is little more than its bytes.
    asks_again(&edge, 5);
    let slowest = pulse.slowest();
    assert!(slowest < IN_TIME, "/healthz took {slowest:?}");
    let (again, first) = ((used(&agent).0 - adopted) / 5, adopted - before);
    assert!(again < first, "{first:?} at first, {again:?} each time after it");
    assert_eq!(containers(&podman, "web"), [web]);
}

#[test]
fn check_ends_within_seconds_on_a_manifest_that_is_hard_to_read() {
    let device = Device::with_manifests();
    let crons = "- cron: */1 * * * *\n".repeat(100_000);
    let texts = hard_to_read().into_iter().map(|(text, words)| match words {
        "has no containers" => (text, "it has no kind".to_owned()),
        "not a PodSpec" => (text, "it is not YAML".to_owned()),
        words => (text, words.to_owned()),
    });
    // A file may be 4 MB long.
    let texts = texts.filter(|(text, _)| text.len() < 4_000_000 && !text.starts_with("containers"));
    for (text, words) in texts.chain([(crons, "quote it".to_owned())]) {
        device.write("manifests/a.yaml", &text);
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"))
            .args(["check", "--config", &device.settings.write().display().to_string()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let took = start.elapsed();
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        assert_eq!(child.status.code(), Some(2), "{said}");
        assert!(said.contains("a.yaml: ") && said.contains(&words), "{said}");
        assert!(took < Duration::from_secs(30), "{words}: {took:?}");
    }
}
