//! What is told of a workload: by the status and its command, to Prometheus, and to the control plane.

use std::fs::File;
use std::process::Command;

use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::{HermeticPodman, IMAGE};
use serde_json::{Value, json};

use crate::agent::{Agent, eventually_or};
use crate::device::{Device, reported, wait_for_event};
use crate::pods::{one_container, sent, serving, serving_after};

/// Returns what `status web` shows.
fn shown(device: &Device) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    command.args(["status", "web", "--config"]).arg(device.path("config.yaml"));
    let output = command.env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `status web` has a line about `what` that holds `words`.
fn wait_for_fact(device: &Device, what: &str, words: &str) {
    let is_told = || {
        let shown = shown(device);
        let is_it = |line: &str| line.starts_with(&format!("{what}  ")) && line.contains(words);
        shown.lines().any(is_it).then_some(())
    };
    eventually_or(&format!("{what}: {words}"), is_told, || shown(device));
}

/// Waits until Prometheus is told a series of this name and these labels, with a value of this kind.
fn wait_for_series(agent: &Agent, series: &str, value: impl Fn(f64) -> bool) {
    let text = || agent.http("GET", "/metrics", "").map(|(_, text)| text).unwrap_or_default();
    let is_told = || {
        let text = text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value(line?.parse().ok()?).then_some(())
    };
    eventually_or(series, is_told, text);
}

/// A workload with this annotation of its proving time, that lives until a file is made.
fn living(pod: Value, proving: &str) -> Value {
    let mut pod = pod;
    pod["containers"][0]["livenessProbe"] = json!({
        "exec": {"command": ["test", "!", "-e", "/dead"]}, "periodSeconds": 1, "failureThreshold": 1,
    });
    let mut web = sent("web", &pod);
    web["annotations"] = json!({"device-worker-ng.proving-seconds": proving});
    web
}

#[test]
fn what_runs_how_it_failed_and_how_its_update_stands_is_told_to_all_who_ask() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![living(serving(), "0")]);
    let agent = device.settings.start();
    let web = one_container(&podman, "web");
    reported(&edge, "web", "running");

    let image = podman.json(&format!("images/{IMAGE}/json"));
    let digest = image["Digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");
    let expected = json!([{"name": "main", "image": IMAGE, "digest": digest}]);
    let runs = || agent.job("web").is_some_and(|job| job["containers"] == expected).then_some(());
    eventually_or("the image and its digest", runs, || format!("{:#?}", agent.job("web")));
    wait_for_fact(&device, "runs", &format!("main: {IMAGE}, {digest}"));
    wait_for_fact(&device, "health", "main ready");
    let series = "device_worker_container_info";
    let labels =
        format!(r#"{{workload="web",container="main",image="{IMAGE}",digest="{digest}"}}"#);
    wait_for_series(&agent, &format!("{series}{labels}"), |value| value == 1.0);
    assert!(agent.job("web").unwrap()["last_failure"].is_null());

    File::create(format!("{}/{}/root/dead", podman.proc(), web.pid)).unwrap();
    reported(&edge, "web", "crashed");
    let why = "container main is failing: livenessProbe: exit code 1";
    wait_for_event(&edge, &["web", why]);
    wait_for_fact(&device, "last failure", why);
    let series = r#"device_worker_last_failure_timestamp_seconds{workload="web"}"#;
    wait_for_series(&agent, series, |at| at > 1.6e9);

    // It runs again, and its last failure is still known.
    reported(&edge, "web", "running");
    edge.set_workloads(vec![living(serving_after("echo two"), "300")]);
    wait_for_fact(&device, "update", " s of 300 s, run 1; web-");
    wait_for_series(&agent, r#"device_worker_update{workload="web",state="proving"}"#, |it| {
        it == 1.0
    });
    wait_for_fact(&device, "last failure", why);
}
