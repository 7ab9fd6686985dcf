//! Hooks of containers on real podman: in which order they run, and what becomes of the pod.

use std::fs;
use std::time::{Duration, Instant};

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::eventually;
use crate::device::Device;
use crate::pods::{containers, manifest, no_pod, one_container, running, serving};

/// A pod that writes down what happens to it into `/out`, a folder of the device called `out`, with
/// hooks that run these scripts. It is given `grace` seconds to end.
fn noting(device: &Device, post_start: Option<&str>, pre_stop: Option<&str>, grace: u32) -> Value {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(device.path("out")).unwrap();
    fs::set_permissions(device.path("out"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut pod = running(
        "trap 'echo term >> /out/log; exit 0' TERM; echo start >> /out/log; while :; do sleep 0.1; done",
    );
    let run = |script: &str| json!({"exec": {"command": ["sh", "-c", script]}});
    pod["containers"][0]["lifecycle"] =
        json!({"postStart": post_start.map(run), "preStop": pre_stop.map(run)});
    pod["containers"][0]["volumeMounts"] = json!([{"name": "out", "mountPath": "/out"}]);
    pod["volumes"] = json!([{"name": "out", "hostPath": {"path": device.path("out")}}]);
    pod["terminationGracePeriodSeconds"] = json!(grace);
    pod
}

fn noted(device: &Device) -> Vec<String> {
    let text = fs::read_to_string(device.path("out/log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Gives the device another workload: that all of them go is not believed at once.
fn with_another(device: &Device, rootless: bool) {
    device.apply("stays", &manifest("stays", &serving(), json!({"rootless": rootless})));
}

/// Waits until the workload has gone after it was withdrawn; returns how long that took.
fn withdrawn(device: &Device, podman: &HermeticPodman, workload: &str) -> Duration {
    let began = Instant::now();
    device.withdraw(workload);
    no_pod(podman, workload);
    began.elapsed()
}

#[test]
fn hooks_run_in_order_around_the_life_of_a_container_and_none_when_the_agent_ends() {
    for podman in [HermeticPodman::rootful(), HermeticPodman::rootless()] {
        let is_rootless = podman.socket().with_file_name("xdg").exists();
        let device = match is_rootless {
            true => Device::with_manifests().on_user(&podman),
            false => Device::with_manifests().on(&podman),
        };
        let pod = noting(
            &device,
            Some("sleep 1; echo post >> /out/log"),
            Some("echo pre >> /out/log; sleep 1; echo drained >> /out/log"),
            10,
        );
        device.apply("web", &manifest("web", &pod, json!({"rootless": is_rootless})));
        with_another(&device, is_rootless);
        let mut agent = device.settings.start();
        let web = one_container(&podman, "web");
        agent.wait_for_status("web", "running");
        assert_eq!(noted(&device), ["start", "post"]);
        agent.signal("TERM");
        assert_eq!(agent.exit_code(), Some(0));

        let agent = device.settings.start();
        agent.wait_for_status("web", "running");
        assert_eq!(one_container(&podman, "web"), web);
        assert_eq!(noted(&device), ["start", "post"], "the pod goes on as if nothing had been");
        let took = withdrawn(&device, &podman, "web");
        assert_eq!(noted(&device), ["start", "post", "pre", "drained", "term"], "{took:?}");
        assert_eq!(agent.times_logged(&["HookFailed"]), 0);
    }
}

#[test]
fn a_post_start_that_fails_ends_the_run_and_its_words_are_told() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let hook = "test -e /out/good || { echo not yet; exit 3; }";
    let pod = noting(&device, Some(hook), Some("echo pre >> /out/log"), 10);
    let retry = json!({"retry": {"backoff": "constant", "periodSeconds": 2}});
    device.apply("web", &manifest("web", &pod, retry));
    let mut missing = noting(&device, None, None, 10);
    missing["containers"][0]["lifecycle"] = json!({"postStart": {"exec": {"command": ["/nope"]}}});
    missing["containers"][0]["command"] = json!(["sleep", "infinity"]);
    device.apply("missing", &manifest("missing", &missing, json!({})));
    let agent = device.settings.start();
    let words = "lifecycle.postStart of container main: exit code 3: not yet";
    agent.wait_for_event("WorkloadFailed", words);
    agent.wait_for_event("WorkloadFailed", "lifecycle.postStart of container main: ");
    agent.wait_for_reason("missing", "/nope");
    eventually("it was ended as any other is", || {
        (noted(&device).get(..3)? == ["start", "pre", "term"]).then_some(())
    });
    fs::write(device.path("out/good"), "").unwrap();
    agent.wait_for_status("web", "running");
    assert_eq!(containers(&podman, "web").len(), 1);
}

#[test]
fn a_pre_stop_that_hangs_or_fails_stops_nothing() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let hangs = noting(&device, None, Some("sleep 7777"), 3);
    device.apply("hangs", &manifest("hangs", &hangs, json!({})));
    with_another(&device, false);
    let agent = device.settings.start();
    one_container(&podman, "hangs");
    agent.wait_for_status("hangs", "running");
    let took = withdrawn(&device, &podman, "hangs");
    assert!((3.0..30.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!(noted(&device), ["start", "term"]);
    let told =
        "lifecycle.preStop of container main: no answer within 3 s; it was stopped all the same";
    agent.wait_for_event("HookFailed", told);

    let fails = noting(&device, None, Some("echo no drain; exit 5"), 10);
    device.apply("fails", &manifest("fails", &fails, json!({})));
    one_container(&podman, "fails");
    agent.wait_for_status("fails", "running");
    withdrawn(&device, &podman, "fails");
    let told = "lifecycle.preStop of container main: exit code 5: no drain";
    agent.wait_for_event("HookFailed", told);
    assert_eq!(noted(&device), ["start", "term"].repeat(2));
}

#[test]
fn a_container_that_crashes_has_no_pre_stop_and_its_neighbour_has() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let mut pod = noting(&device, None, Some("echo pre $ROLE >> /out/log"), 10);
    pod["containers"][0]["env"] = json!([{"name": "ROLE", "value": "steady"}]);
    let mut crashing = pod["containers"][0].clone();
    crashing["name"] = json!("crashing");
    crashing["command"] = json!(["sh", "-c", "until test -e /out/now; do sleep 0.1; done; exit 3"]);
    crashing["env"] = json!([{"name": "ROLE", "value": "crashing"}]);
    pod["containers"].as_array_mut().unwrap().push(crashing);
    let retry = json!({"retry": {"backoff": "constant", "periodSeconds": 1}});
    device.apply("web", &manifest("web", &pod, retry));
    let agent = device.settings.start();
    agent.wait_for_status("web", "running");
    fs::write(device.path("out/now"), "").unwrap();
    eventually("the pod was ended", || noted(&device).contains(&"term".to_owned()).then_some(()));
    fs::remove_file(device.path("out/now")).unwrap();
    agent.wait_for_status("web", "running");
    assert_eq!(noted(&device), ["start", "pre steady", "term", "start"]);
    assert_eq!(agent.times_logged(&["HookFailed"]), 0);
}
