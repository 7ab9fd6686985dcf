//! A changed workload: the old pod goes late, and comes back where the new one cannot start.

use std::time::Instant;

use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::{HermeticPodman, PrivateRegistry, REGISTRY_PASSWORD};
use serde_json::{Value, json};

use crate::agent::{Agent, eventually, eventually_or};
use crate::device::{Device, reported, wait_for_event};
use crate::pods::{
    Container, containers, from_registry, one_container, pods, sent, serving, serving_after,
};
use crate::trace::{Request, Trace};

/// A device of `edge` whose requests to podman are witnessed.
fn witnessed(podman: &HermeticPodman, edge: &EdgeApi) -> (Device, Trace) {
    let mut device = Device::of(edge);
    let trace = Trace::before(&podman.socket(), &device.path("traced.sock"));
    device.settings.set("PODMAN_SOCKET", trace.socket.display().to_string());
    (device, trace)
}

/// Waits until the one container of a workload is in another pod.
fn successor(podman: &HermeticPodman, workload: &str, old: &Container, agent: &Agent) -> Container {
    let what = format!("another pod of {workload} runs");
    let replaced = || match containers(podman, workload).as_slice() {
        [only] if only.pod != old.pod => Some(only.clone()),
        _ => None,
    };
    eventually_or(&what, replaced, || agent.tail())
}

/// Returns the time between the old pod's end and the new one's start that the agent reports.
fn reported_gap(agent: &Agent, pod: &str) -> u64 {
    let started = format!("pod {pod} started, ");
    let log = agent.log();
    let message = log.iter().find_map(|line| line.split_once(&started)).unwrap().1;
    message.split_once(" ms after its predecessor ended").unwrap().0.parse().unwrap()
}

/// Returns the pod with the host port.
fn at_the_port(mut pod: Value) -> Value {
    pod["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 8088}]);
    pod
}

#[test]
fn successor_at_the_same_host_port_is_pulled_first_and_then_takes_the_place() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let registry = PrivateRegistry::beside(&podman);
    let (device, trace) = witnessed(&podman, &edge);
    let old = sent("web", &at_the_port(serving()));
    edge.set_workloads(vec![old.clone()]);
    let agent = device.settings.start();
    let before = one_container(&podman, "web");
    reported(&edge, "web", "running");

    // The port is taken: no other process can start there.
    edge.set_workloads(vec![old, sent("other", &at_the_port(serving()))]);
    agent.wait_for_reason("other", "a host port is in use");

    let changed = Instant::now();
    let pod = at_the_port(serving());
    edge.set_workloads(vec![from_registry("web", &pod, &registry, REGISTRY_PASSWORD)]);
    let after = successor(&podman, "web", &before, &agent);
    reported(&edge, "web", "running");
    let pulled = trace.since(changed, "/images/pull").remove(0);
    let of_old = |it: &Request| it.line.contains(&before.pod) || it.line.contains(&before.id);
    let stopped = trace.since(changed, "/stop").into_iter().find(of_old).unwrap();
    let played = trace.since(changed, "/play/kube").pop().unwrap();
    assert!(pulled.at < stopped.at, "pulled while the old pod still ran");
    assert!(stopped.at < played.at, "started when the port was free");
    let details = podman.json(&format!("containers/{}/json", after.id));
    assert_eq!(details["State"]["Status"], "running");
    wait_for_event(&edge, &["WorkloadStarted", "ms after its predecessor ended"]);
    println!("gap of a replacement at one host port: {} ms", reported_gap(&agent, &after.pod));
}

#[test]
fn successor_that_cannot_start_three_times_gives_way_to_the_pod_before_it() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let (device, trace) = witnessed(&podman, &edge);
    // It has proved itself as soon as it runs.
    let mut first = sent("web", &serving());
    first["annotations"] = json!({"device-worker-ng.proving-seconds": "0"});
    edge.set_workloads(vec![first]);
    let agent = device.settings.start();
    let old = one_container(&podman, "web");
    reported(&edge, "web", "running");

    let mut broken = serving();
    broken["containers"][0]["command"] = json!(["/nope"]);
    let changed = Instant::now();
    edge.set_workloads(vec![sent("web", &broken)]);
    let job = agent.wait_for_reason("web", "rolled back to the previous specification");
    let back = one_container(&podman, "web");
    assert_eq!(back.pod, old.pod, "the specification that ran before");
    assert_ne!(back.id, old.id);
    let starts = trace.since(changed, "/play/kube").len();
    assert_eq!(starts, 4, "three of the new specification, one of the old");
    assert!(job["reason"].as_str().unwrap().contains("a command is not in its image"), "{job}");
    agent.wait_for_status("web", "running");
    wait_for_event(&edge, &["RolledBack", "web", "the previous specification is started again"]);
    eventually("the status says so to the control plane", || {
        (edge.workload_status("web").as_deref() == Some("running")).then_some(())
    });
    println!("gap of a rollback: {} ms", reported_gap(&agent, &back.pod));

    // A mended specification need not wait.
    edge.set_workloads(vec![sent("web", &serving_after("echo mended"))]);
    let mended = successor(&podman, "web", &old, &agent);
    eventually("the old pod is gone", || (!pods(&podman)?.contains(&old.pod)).then_some(()));
    let job = agent.wait_for_status("web", "running");
    assert!(job["reason"].is_null(), "{job}");
    assert_eq!(one_container(&podman, "web"), mended);
}
