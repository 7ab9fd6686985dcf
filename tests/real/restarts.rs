//! The agent ends and comes back; its pods do not notice.

use actors::control_plane_sync::Call;
use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::HermeticPodman;
use serde_json::json;

use crate::agent::{Agent, eventually};
use crate::device::{Device, reported};
use crate::gate::Gate;
use crate::pods::{
    device_with_condition, manifest, no_pod, one_container, sent, serving, serving_after,
    while_low, written,
};

fn stopped(agent: &mut Agent) {
    agent.signal("TERM");
    assert_eq!(agent.exit_code(), Some(0), "{}", agent.tail());
    assert!(agent.has_logged(&["agent stopped"]));
}

fn killed(agent: &mut Agent) {
    agent.signal("KILL");
    assert_eq!(agent.exit_code(), None);
}

fn pods_outlive_an_agent_that_is(ended: fn(&mut Agent)) {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    device.apply("web", &manifest("web", &serving(), json!({})));
    let mut agent = device.settings.start();
    let web = one_container(&podman, "web");
    ended(&mut agent);
    assert_eq!(one_container(&podman, "web"), web);

    device.apply("more", &manifest("more", &serving(), json!({})));
    let agent = device.settings.start();
    one_container(&podman, "more");
    let job = agent.wait_for_status("web", "running");
    assert_eq!(job["restarts"], 0);
    assert_eq!(one_container(&podman, "web"), web, "adopted as it runs");
}

#[test]
fn pods_outlive_a_stopped_agent_and_are_adopted() {
    pods_outlive_an_agent_that_is(stopped);
}

#[test]
fn pods_outlive_a_killed_agent_and_are_adopted() {
    pods_outlive_an_agent_that_is(killed);
}

#[test]
fn another_device_id_takes_no_pod_and_says_which_are_left_and_how_they_go() {
    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    device.apply("web", &manifest("web", &serving(), json!({})));
    let mut agent = device.settings.start();
    let web = one_container(&podman, "web");
    stopped(&mut agent);

    device.settings.set("DEVICE_ID", "cam-02");
    let agent = device.settings.start();
    let filter = "--filter label=device-worker-ng/device=cam-01";
    agent.wait_for_log(&["INFO", "pods of another device were found", "cam-01", filter]);
    agent.wait_for_reason("web", filter);
    assert_eq!(one_container(&podman, "web"), web);
    assert_eq!(agent.times_logged(&["pods of another device were found"]), 1);

    let gone = podman.ask("DELETE", &format!("pods/{}?force=true", web.pod), &[], &[]).unwrap();
    assert_eq!(gone.0, 200);
    agent.wait_for_status("web", "running");
}

#[test]
fn what_a_container_wrote_into_its_empty_dir_is_there_after_it_crashed() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    // The first run leaves a file and crashes; the next one finds it.
    let mut pod = serving_after("test -e /data/mark || { touch /data/mark; exit 1; }; echo found");
    pod["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    pod["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    device.apply("web", &manifest("web", &pod, json!({})));
    let mut agent = device.settings.start();
    let web = one_container(&podman, "web");
    written(&podman, &web, "found");
    let job = agent.wait_for_status("web", "running");
    assert_eq!(job["restarts"], 1);
    stopped(&mut agent);

    // Another specification begins with nothing.
    let mut other = pod.clone();
    other["containers"][0]["env"] = json!([{"name": "VERSION", "value": "2"}]);
    device.apply("web", &manifest("web", &other, json!({})));
    let agent = device.settings.start();
    eventually("the other one has crashed once and found its own file", || {
        let job = agent.job("web")?;
        (job["restarts"] == 1 && job["status"] == "running").then_some(())
    });
}

fn a_metric_of_the_former_life_is_not_missed_at_once(ended: fn(&mut Agent)) {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    device.apply("device", &device_with_condition("cpu < 50"));
    device.apply("web", &manifest("web", &serving(), while_low()));
    let mut agent = device.settings.start();
    agent.post("cpu", 20.0);
    let web = one_container(&podman, "web");
    ended(&mut agent);

    device.apply("more", &manifest("more", &serving(), json!({})));
    let agent = device.settings.start();
    one_container(&podman, "more");
    let status = agent.status().unwrap();
    assert_eq!(status["profiles"][0]["conditions"][0]["verdict"], "unknown", "{status}");
    assert_eq!(one_container(&podman, "web"), web, "nothing has asked it to stop");

    agent.post("cpu", 80.0);
    no_pod(&podman, "web");
}

#[test]
fn a_pod_behind_a_profile_outlives_a_stopped_agent_until_its_metric_forbids_it() {
    a_metric_of_the_former_life_is_not_missed_at_once(stopped);
}

#[test]
fn a_pod_behind_a_profile_outlives_a_killed_agent_until_its_metric_forbids_it() {
    a_metric_of_the_former_life_is_not_missed_at_once(killed);
}

#[test]
fn the_stored_configuration_is_applied_without_a_server() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let gate = Gate::before(&edge);
    let mut device = Device::of(&edge).on(&podman);
    device.settings.set("SERVER", gate.url());
    edge.set_workloads(vec![sent("web", &serving())]);
    let mut agent = device.settings.start();
    let first = one_container(&podman, "web");
    reported(&edge, "web", "running");
    stopped(&mut agent);

    // A boot without network: neither the pod nor the server is there.
    let (status, _) =
        podman.ask("DELETE", &format!("pods/{}?force=true", first.pod), &[], &[]).unwrap();
    assert_eq!(status, 200);
    gate.close();
    let agent = device.settings.start();
    let second = one_container(&podman, "web");
    assert_eq!(second.pod, first.pod, "the same specification");
    gate.wait_for_refused(3);
    assert_eq!(agent.times_logged(&["WARN", "no usable answer", "configuration"]), 1);

    let before = edge.answered(Call::Heartbeat);
    gate.open();
    eventually("heartbeats arrive again", || {
        (edge.answered(Call::Heartbeat) > before).then_some(())
    });
    assert_eq!(one_container(&podman, "web"), second);
}

#[test]
fn a_second_agent_on_the_same_state_refuses_to_start_and_the_first_goes_on() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let (mut first, web) = device.start_with_web(&podman);

    let mut second = device.settings.start();
    assert_eq!(second.exit_code(), Some(1));
    let holder = format!("another device-worker-ng (process {}) uses", first.pid());
    assert!(second.has_logged(&[&holder, "STATE_DIR"]), "{}", second.tail());
    first.wait_for_status("web", "running");
    assert_eq!(one_container(&podman, "web"), web);

    killed(&mut first);
    let third = device.settings.start();
    third.wait_for_status("web", "running");
    assert_eq!(one_container(&podman, "web"), web, "a killed agent leaves no lock behind");
}

#[test]
fn a_state_directory_that_became_read_only_stops_no_workload_and_is_said() {
    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    device.apply("web", &manifest("web", &serving(), json!({})));
    std::fs::create_dir(device.path("state")).unwrap();
    let state = device.path("state").display().to_string();
    // A mount of the agent's own.
    let script = "mount -t tmpfs -o ro tmpfs \"$0\" && exec \"$@\"";
    device.settings.through(&["unshare", "--mount", "sh", "-c", script, &state]);
    let agent = device.settings.start();
    agent.wait_for_log(&["WARN", "STATE_DIR", "Read-only file system", "the agent runs"]);
    one_container(&podman, "web");
    agent.wait_for_status("web", "running");
    device.apply("more", &manifest("more", &serving(), json!({})));
    one_container(&podman, "more");
}
