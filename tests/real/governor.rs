//! The device keeps its objectives: it restrains who takes too much, and nobody else.

use std::thread::sleep;
use std::time::{Duration, Instant};

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::{Agent, eventually, eventually_within};
use crate::device::Device;
use crate::pods::{Container, manifest, one_container, running, serving, serving_after};

/// Returns an EdgeDevice that keeps one condition.
fn device_that_keeps(condition: &str) -> Value {
    json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
        "metadata": {"name": "cam-01"},
        "spec": {"protect": [
            {"name": "calm", "keep": condition, "settlingSeconds": 3, "calmSeconds": 5},
        ]},
    })
}

/// Returns the steps that are in force for a workload.
fn restraints(agent: &Agent, workload: &str) -> Vec<String> {
    let job = agent.job(workload).unwrap_or_default();
    let all = job["restraints"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|it| it["step"].as_str().map(str::to_owned)).collect()
}

/// Returns the CPU time of a container, in seconds.
fn cpu_time(podman: &HermeticPodman, container: &Container) -> f64 {
    let stats = podman.json(&format!("containers/stats?stream=false&containers={}", container.id));
    stats["Stats"][0]["CPUNano"].as_f64().unwrap_or_default() / 1e9
}

/// A container that counts, and is seen to.
fn counting(podman: &HermeticPodman, workload: &str) -> impl Fn() -> usize {
    let container = one_container(podman, workload);
    move || podman.logs(&container.id).lines().count()
}

#[test]
fn of_ten_workloads_exactly_the_one_is_throttled_that_takes_the_processor() {
    const WORKLOADS: usize = 10;
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    // Of one processor, in shares: a busy machine leaves a busy loop less than one.
    device.apply("device", &device_that_keeps("pods_cpu < 25%"));
    let names: Vec<_> = (0..WORKLOADS).map(|number| format!("w{number}")).collect();
    let busy_for_a_while =
        "i=0; while [ $(date +%s) -lt $UNTIL ]; do i=$((i+1)); done; while :; do sleep 1; done";
    let until = std::time::SystemTime::now() + Duration::from_secs(90);
    let until = until.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for name in &names {
        // All of one priority, and the guilty one in the middle.
        let pod = match name.as_str() {
            "w6" => running(&busy_for_a_while.replace("$UNTIL", &until.to_string())),
            _ => serving(),
        };
        device.apply(name, &manifest(name, &pod, json!({})));
    }
    let agent = device.settings.start();
    let containers: Vec<_> = names.iter().map(|name| one_container(&podman, name)).collect();
    let total = || containers.iter().map(|it| cpu_time(&podman, it)).sum::<f64>();
    let mut last = (total(), Instant::now());
    let mut measure = || {
        sleep(Duration::from_millis(500));
        let (now, at) = (total(), Instant::now());
        let share = (now - last.0) / at.duration_since(last.1).as_secs_f64() * 100.0;
        last = (now, at);
        let sample = json!({"name": "pods_cpu", "value": share, "unit": "%"}).to_string();
        assert_eq!(agent.http("POST", "/metrics", &sample).map(|it| it.0), Some(204));
        share
    };
    let mut others = 0;
    let mut shares = Vec::new();
    let mut look = |step: &str, is_in_force: bool| {
        let look = || {
            shares.push(measure());
            let all = names.iter().filter(|it| *it != "w6");
            others += all.filter(|it| !restraints(&agent, it).is_empty()).count();
            (restraints(&agent, "w6").iter().any(|it| it == step) == is_in_force).then_some(())
        };
        let what = "the guilty one is restrained, or no longer";
        eventually_within(Duration::from_secs(150), what, look, || agent.tail());
    };
    look("throttle", true);
    agent.wait_for_event("WorkloadRestrained", "throttled for objective calm, pods_cpu < 25%");
    assert!(
        agent.wait_for_status("w6", "running")["reason"].as_str().unwrap().contains("throttled")
    );
    // It holds, and once nothing is at risk any more the processor is given back.
    look("throttle", false);
    assert_eq!(others, 0, "no other was touched");
    let held = shares.iter().filter(|share| **share < 25.0).count();
    assert!(held >= 3, "it was kept while the loop went on: {shares:?}");
    assert!(agent.has_logged(&["WorkloadRestrained", "w6"]));
    for (name, container) in names.iter().zip(&containers) {
        assert_eq!(one_container(&podman, name).id, container.id, "nothing was started anew");
    }
}

#[test]
fn a_frozen_pod_outlives_a_killed_agent_and_is_thawed_by_the_next() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    device.apply("device", &device_that_keeps("pressure < 5"));
    let count = serving_after("(while :; do echo .; sleep 0.1; done) & true");
    device.apply("web", &manifest("web", &count, json!({"yield": ["freeze"]})));
    device.apply("safe", &manifest("safe", &count, json!({"protected": true})));
    let agent = device.settings.start();
    let (lines, safe) = (counting(&podman, "web"), counting(&podman, "safe"));
    let web = one_container(&podman, "web");
    let state = || podman.json(&format!("containers/{}/json", web.id))["State"]["Status"].clone();
    agent.post("pressure", 50.0);
    eventually("it is frozen", || (state() == "paused").then_some(()));
    agent.wait_for_reason("web", "frozen for objective calm");
    let (before, safe_before) = (lines(), safe());
    sleep(Duration::from_secs(1));
    assert_eq!(lines(), before, "it does nothing");
    assert!(safe() > safe_before, "what is protected goes on");

    agent.signal("KILL");
    drop(agent);
    assert_eq!(state(), "paused");
    let agent = device.settings.start();
    eventually("it is thawed", || (state() == "running").then_some(()));
    eventually("it goes on", || (lines() > before).then_some(()));
    assert_eq!(one_container(&podman, "web"), web, "with the same process");

    // The objective is broken again, and then holds.
    agent.post("pressure", 50.0);
    eventually("it is frozen again", || (state() == "paused").then_some(()));
    agent.post("pressure", 1.0);
    eventually("it is thawed", || (state() == "running").then_some(()));
    agent.wait_for_event("RestraintLifted", "no longer frozen: objective calm");
    agent.post("pressure", 50.0);
    eventually("it is frozen once more", || (state() == "paused").then_some(()));
    // What is frozen is removed within its grace period all the same.
    device.withdraw("web");
    crate::pods::no_pod(&podman, "web");
}
