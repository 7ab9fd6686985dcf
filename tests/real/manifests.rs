//! A device that takes its workloads from a folder of manifests.

use actors::testing::podman::HermeticPodman;
use serde_json::json;

use crate::agent::eventually;
use crate::device::Device;
use crate::pods::{containers, manifest, no_pod, one_container, serving, serving_after, written};

#[test]
fn a_folder_of_manifests_is_followed() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let (_agent, web) = device.start_with_web(&podman);

    device.apply("more", &manifest("more", &serving(), json!({})));
    one_container(&podman, "more");
    assert_eq!(one_container(&podman, "web"), web, "a new file leaves the others alone");

    device.apply("web", &manifest("web", &serving_after("echo changed"), json!({})));
    let changed = eventually("web runs anew", || {
        containers(&podman, "web").into_iter().find(|container| container.pod != web.pod)
    });
    written(&podman, &changed, "changed");

    device.withdraw("web");
    device.withdraw("more");
    no_pod(&podman, "web");
    no_pod(&podman, "more");
}

#[test]
fn a_broken_manifest_leaves_its_last_good_version_in_force() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let (agent, web) = device.start_with_web(&podman);

    device.write("manifests/web.yaml", "kind: EdgeWorkload\nspec: [not closed");
    agent.wait_for_log(&["web.yaml", "last good version"]);
    // What else is in the folder is still followed.
    device.apply("other", &manifest("other", &serving(), json!({})));
    one_container(&podman, "other");
    assert_eq!(one_container(&podman, "web"), web);
    agent.wait_for_status("web", "running");
}
