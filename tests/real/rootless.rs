//! Pods of an unprivileged user, run by root's agent and by the user's own.

use std::os::unix::fs::{MetadataExt as _, chown};

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::device::Device;
use crate::pods::{manifest, no_pod, one_container, serving, serving_after, written};

/// Turns the agent into one of the user who owns `podman`.
fn run_as_user(device: &mut Device, podman: &HermeticPodman) {
    let owner = std::fs::metadata(podman.socket()).unwrap();
    let state = device.path("state");
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(owner.uid()), Some(owner.gid())).unwrap();
    let (user, group) = (format!("--reuid={}", owner.uid()), format!("--regid={}", owner.gid()));
    device.settings.through(&["setpriv", &user, &group, "--clear-groups"]);
    // Naming root's socket would say that this agent may use it.
    device.settings.unset("PODMAN_SOCKET");
}

/// A rootless workload with files from a config map.
fn rootless(name: &str) -> Value {
    let mut pod = serving_after("cat /conf/greeting; echo $DEVICE_ID; echo done");
    pod["containers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
    pod["volumes"] = json!([{"name": "conf", "configMap": {"name": "words"}}]);
    manifest(name, &pod, json!({"rootless": true}))
}

fn words() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"},
        "data": {"greeting": "hello\n"}})
}

fn rootless_pods_live_and_die(device: &Device, podman: &HermeticPodman) {
    device.apply("words", &words());
    device.apply("web", &rootless("web"));
    let agent = device.settings.start();
    let web = one_container(podman, "web");
    let logs = written(podman, &web, "done");
    assert!(logs.contains("hello") && logs.contains("cam-01"), "{logs}");
    let job = agent.wait_for_status("web", "running");
    assert_eq!(job["executor"], "podman_rootless");
    device.withdraw("web");
    no_pod(podman, "web");
}

#[test]
fn the_agent_of_root_runs_pods_of_a_user() {
    let podman = HermeticPodman::rootless();
    rootless_pods_live_and_die(&Device::with_manifests().on_user(&podman), &podman);
}

#[test]
fn the_agent_of_a_user_runs_the_users_pods() {
    let podman = HermeticPodman::rootless();
    let mut device = Device::with_manifests().on_user(&podman);
    run_as_user(&mut device, &podman);
    rootless_pods_live_and_die(&device, &podman);
}

#[test]
fn a_workload_that_needs_root_is_not_run_by_the_agent_of_a_user() {
    let podman = HermeticPodman::rootless();
    let mut device = Device::with_manifests().on_user(&podman);
    run_as_user(&mut device, &podman);
    device.apply("web", &manifest("web", &serving(), json!({})));
    let agent = device.settings.start();
    let job = agent.wait_for_reason("web", "rootless: true");
    assert_ne!(job["status"], "running");
}
