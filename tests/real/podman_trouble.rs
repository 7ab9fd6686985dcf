//! podman's service dies and comes back; its pods do not notice.

use std::thread;

use actors::testing::podman::HermeticPodman;
use serde_json::json;

use crate::device::{A_WHILE, Device};
use crate::pods::{manifest, one_container, serving};

#[test]
fn a_podman_that_is_killed_and_back_at_once_loses_nothing() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let (agent, web) = device.start_with_web(&podman);

    podman.kill_service();
    device.apply("more", &manifest("more", &serving(), json!({})));
    one_container(&podman, "more");
    agent.wait_for_status("more", "running");
    assert_eq!(one_container(&podman, "web"), web);
    assert_eq!(agent.wait_for_status("web", "running")["restarts"], 0);
    let warnings = agent.times_logged(&["WARN"]);
    assert!(warnings <= 2, "{warnings} warnings\n{}", agent.tail());
}

#[test]
fn a_podman_that_stays_away_is_reported_once_and_taken_back() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let (agent, web) = device.start_with_web(&podman);

    podman.shut_down();
    agent.wait_for_log(&["WARN", "runtime did not answer"]);
    device.apply("more", &manifest("more", &serving(), json!({})));
    agent.wait_for_reason("more", "podman");
    thread::sleep(A_WHILE);
    assert_eq!(agent.times_logged(&["WARN"]), 1, "{}", agent.tail());

    podman.restart();
    one_container(&podman, "more");
    agent.wait_for_log(&["runtime answered again"]);
    assert_eq!(one_container(&podman, "web"), web);
    assert_eq!(agent.wait_for_status("web", "running")["restarts"], 0);
}

#[test]
fn a_podman_that_comes_after_the_agent_is_used() {
    let podman = HermeticPodman::rootful();
    podman.shut_down();
    let device = Device::with_manifests().on(&podman);
    device.apply("web", &manifest("web", &serving(), json!({})));
    let agent = device.settings.start();
    agent.wait_for_log(&["WARN", "runtime did not answer"]);
    podman.restart();
    one_container(&podman, "web");
    agent.wait_for_status("web", "running");
}
