//! Posted metrics stop and start pods.

use std::process::Command;
use std::time::{Duration, Instant};

use actors::testing::podman::HermeticPodman;

use crate::agent::{Agent, eventually_or};
use crate::device::Device;
use crate::pods::{device_with_condition, manifest, no_pod, one_container, serving, while_low};
use crate::trace::{Request, Trace};

/// A device whose workload `web` runs while `cpu` is under 50.
fn camera(podman: &HermeticPodman) -> Device {
    let device = Device::with_manifests().on(podman);
    device.apply("device", &device_with_condition("cpu < 50 || cpu == nil"));
    device.apply("web", &manifest("web", &serving(), while_low()));
    device
}

#[test]
fn a_metric_stops_a_pod_and_another_starts_it() {
    let podman = HermeticPodman::rootful();
    let device = camera(&podman);
    let agent = device.settings.start();
    let first = one_container(&podman, "web");

    agent.post("cpu", 80.0);
    no_pod(&podman, "web");
    let job = agent.wait_for_status("web", "stopped");
    assert!(job["reason"].as_str().unwrap().contains("low is false"), "{job}");

    agent.post("cpu", 20.0);
    assert_ne!(one_container(&podman, "web").id, first.id);
    agent.wait_for_status("web", "running");
}

/// Runs the command of the README in the network of the agent.
fn curl(agent: &Agent, body: &str) -> String {
    let pid = agent.pid().to_string();
    let words = ["-X", "POST", "-H", "Content-Type: application/json", "-v", "-d", body];
    let output = Command::new("nsenter")
        .args(["-t", &pid, "-n", "curl"])
        .args(words)
        .arg("http://localhost:8080/metrics")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_curl_of_the_readme_works_on_the_default_port() {
    let podman = HermeticPodman::rootful();
    let mut device = camera(&podman);
    device.apply("device", &device_with_condition("cpu < 20"));
    device.settings.unset("METRICS_LISTEN");
    // A network of its own: the port may be taken on this machine.
    let own_network = ["unshare", "--net", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh"];
    device.settings.through(&own_network);
    let agent = device.settings.start();
    agent.wait_for_log(&["listener opened", "127.0.0.1:8080"]);

    let answer = curl(&agent, r#"{"value":19,"name":"cpu"}"#);
    assert!(answer.contains("HTTP/1.1 204"), "{answer}");
    one_container(&podman, "web");
    let answer = curl(&agent, r#"{"value":20,"name":"cpu"}"#);
    assert!(answer.contains("HTTP/1.1 204"), "{answer}");
    no_pod(&podman, "web");
}

/// Waits for the first request since `start` whose line has this part.
fn asked(trace: &Trace, start: Instant, part: &str, agent: &Agent) -> Request {
    let find = || trace.since(start, part).into_iter().next();
    eventually_or(&format!("podman is asked for {part}"), find, || agent.tail())
}

/// The posted sample itself must make the request: no timer of the agent fires within the limit.
#[test]
fn a_metric_reaches_podman_at_once() {
    const TOGGLES: usize = 20;
    const LIMIT: Duration = Duration::from_secs(5);

    let podman = HermeticPodman::rootful();
    let mut device = camera(&podman);
    let trace = Trace::before(&podman.socket(), &device.path("traced.sock"));
    device.settings.set("PODMAN_SOCKET", trace.socket.display().to_string());
    // No heartbeat falls into the measurement either.
    let mut configuration = device_with_condition("cpu < 50 || cpu == nil");
    configuration["spec"]["heartbeat"]["periodSeconds"] = 3600.into();
    device.apply("device", &configuration);
    let agent = device.settings.start();

    let (mut stops, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..TOGGLES {
        agent.wait_for_status("web", "running");
        let posted = Instant::now();
        agent.post("cpu", 80.0);
        let stop = asked(&trace, posted, "/stop", &agent);
        stops.push(stop.at.duration_since(posted));
        agent.wait_for_status("web", "stopped");
        no_pod(&podman, "web");
        let posted = Instant::now();
        agent.post("cpu", 20.0);
        let start = asked(&trace, posted, "/play/kube", &agent);
        starts.push(start.at.duration_since(posted));
    }
    for (what, mut latencies) in [("stop", stops), ("start", starts)] {
        latencies.sort();
        let (median, max) = (latencies[TOGGLES / 2], latencies[TOGGLES - 1]);
        println!("posted metric to {what} request: median {median:?}, max {max:?} of {TOGGLES}");
        assert!(max < LIMIT, "{what}: {latencies:?}");
    }
}
