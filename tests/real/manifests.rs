//! A device that takes its workloads from a folder of manifests.

use actors::testing::podman::HermeticPodman;
use serde_json::json;

use crate::agent::eventually;
use crate::device::Device;
use crate::pods::{
    containers, device_with_condition, manifest, no_pod, one_container, running, serving,
    serving_after, written,
};

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

#[test]
fn kubernetes_own_kinds_run_and_annotations_hold_them_back() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    device.apply("device", &device_with_condition("x < 5"));
    let template = |pod| json!({"metadata": {"labels": {"app": "own"}}, "spec": pod});
    let mut job = running("echo done; exit 0");
    job["restartPolicy"] = json!("Never");
    let gate = json!({"device-worker-ng/profiles": "[{name: test, conditions: [low]}]"});
    for (kind, name, annotations, spec) in [
        ("Pod", "web", json!({}), serving()),
        (
            "Deployment",
            "gated",
            gate,
            json!({"selector": {"matchLabels": {"app": "own"}}, "template": template(serving())}),
        ),
        ("Job", "once", json!({}), json!({"backoffLimit": 0, "template": template(job.clone())})),
        (
            "CronJob",
            "resting",
            json!({}),
            json!({"schedule": "* * * * *", "suspend": true,
                "jobTemplate": {"spec": {"template": template(job)}}}),
        ),
        ("Service", "web", json!({}), json!({"ports": [{"port": 80}]})),
    ] {
        let metadata = json!({"name": name, "annotations": annotations});
        let document =
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec});
        device.apply(&format!("{kind}-{name}"), &document);
    }
    let agent = device.settings.start();
    one_container(&podman, "web");
    eventually("the job has ended well", || {
        let list = podman.json("containers/json?all=true");
        list.as_array()?.iter().find_map(|it| {
            let is_it = it["PodName"].as_str()?.starts_with("once-") && it["IsInfra"] != true;
            (is_it && it["State"] == "exited" && it["ExitCode"] == 0).then_some(())
        })
    });
    agent.wait_for_reason("gated", "low");
    assert!(containers(&podman, "gated").is_empty(), "its condition is not known to be true");
    agent.post("x", 1.0);
    one_container(&podman, "gated");
    agent.post("x", 9.0);
    no_pod(&podman, "gated");
    assert_eq!(agent.job("resting"), None);
    let told = |parts: &[&str]| agent.wait_for_log(parts);
    told(&["CronJob", "resting", "is not run: spec.suspend is true"]);
    told(&["Service", "is ignored"]);
}
