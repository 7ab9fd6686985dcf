//! A device of a control plane, from its enrolment to the end of its workloads.

use actors::control_plane_sync::{Call, advice};
use actors::testing::edge_api::{EdgeApi, Fault};
use actors::testing::podman::{HermeticPodman, PrivateRegistry, REGISTRY_PASSWORD};
use serde_json::json;

use crate::agent::eventually;
use crate::device::{A_WHILE, Device, configuration, reported, wait_for_event};
use crate::pods::{
    containers, from_registry, no_pod, one_container, pods, running, sent, serving, serving_after,
    written,
};

#[test]
fn a_new_device_enrols_and_runs_what_it_is_given() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let _agent = device.settings.start();

    reported(&edge, "web", "running");
    one_container(&podman, "web");
    for call in [Call::Enrolment, Call::Registration, Call::Configuration, Call::Control] {
        assert!(edge.answered(call) > 0, "{call:?}");
    }
    assert_eq!(edge.last_heartbeat().unwrap()["status"], "up");
}

#[test]
fn a_changed_workload_is_replaced() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let _agent = device.settings.start();
    let old = one_container(&podman, "web");

    edge.set_workloads(vec![sent("web", &serving_after("echo changed"))]);
    let new =
        eventually("another pod of web runs", || match containers(&podman, "web").as_slice() {
            [only] if only.pod != old.pod => Some(only.clone()),
            _ => None,
        });
    written(&podman, &new, "changed");
    reported(&edge, "web", "running");
    eventually("the old pod is gone", || (!pods(&podman)?.contains(&old.pod)).then_some(()));
}

#[test]
fn a_workload_that_is_no_longer_wanted_goes_and_the_others_stay() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("goes", &serving()), sent("stays", &serving())]);
    let _agent = device.settings.start();
    one_container(&podman, "goes");
    let stays = one_container(&podman, "stays");

    edge.set_workloads(vec![sent("stays", &serving())]);
    no_pod(&podman, "goes");
    assert_eq!(one_container(&podman, "stays"), stays);
    eventually("goes is no longer reported", || {
        edge.workload_status("goes").is_none().then_some(())
    });
}

#[test]
fn an_empty_configuration_is_believed_in_the_end() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let _agent = device.settings.start();
    let web = one_container(&podman, "web");

    let asked = edge.answered(Call::Configuration);
    edge.set_workloads(Vec::new());
    eventually("the empty configuration is asked for twice", || {
        (edge.answered(Call::Configuration) >= asked + 2).then_some(())
    });
    assert_eq!(containers(&podman, "web"), [web], "it is not believed at once");
    no_pod(&podman, "web");
}

#[test]
fn a_crashed_workload_is_reported_and_restarts_after_its_delay() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let agent = device.settings.start();
    let first = one_container(&podman, "web");
    reported(&edge, "web", "running");

    podman.kill_inside(first.pid);
    reported(&edge, "web", "crashed");
    reported(&edge, "web", "running");
    let second = one_container(&podman, "web");
    assert_ne!(second.id, first.id);
    assert_eq!(agent.job("web").unwrap()["restarts"], 1);
    wait_for_event(&edge, &["WorkloadFailed", "web: container main ended with code 137"]);
    wait_for_event(&edge, &["next try in 2s"]);
}

/// As in a recorded answer of the operator.
#[test]
fn secrets_config_maps_and_the_device_id_reach_the_container() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    let mut pod =
        serving_after("echo $GREETING $PASSWORD $DEVICE_ID; cat /conf/app.ini; echo done");
    pod["containers"][0]["env"] = json!([{"name": "PASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "app-secret", "key": "password"}}}]);
    pod["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "app-config"}}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
    pod["volumes"] = json!([{"name": "conf", "configMap": {"name": "app-config"}}]);
    let mut rich = sent("rich", &pod);
    rich["annotations"] = json!({"io.podman.annotations.x": "planted-annotation"});
    rich["configmaps"] = json!([
        "apiVersion: v1\ndata:\n  GREETING: planted-greeting\n  app.ini: |\n    a=planted-file\n    b=2\nkind: ConfigMap\nmetadata:\n  creationTimestamp: null\n  name: app-config\n"
    ]);
    edge.set_configuration(configuration(vec![rich]));
    let _agent = device.settings.start();

    let logs = written(&podman, &one_container(&podman, "rich"), "done");
    assert!(logs.contains("planted-greeting planted-secret cam-01"), "{logs}");
    assert!(logs.contains("a=planted-file\n") && logs.contains("b=2\n"), "{logs}");
}

#[test]
fn a_private_image_needs_the_right_credentials() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let registry = PrivateRegistry::beside(&podman);
    let device = Device::of(&edge).on(&podman);
    let workload = |password| from_registry("private", &serving(), &registry, password);
    edge.set_workloads(vec![workload("planted-wrong")]);
    let agent = device.settings.start();

    agent.wait_for_reason("private", "the registry wants other credentials");
    wait_for_event(&edge, &["WorkloadFailed", "private", "the registry wants other credentials"]);
    assert_eq!(containers(&podman, "private"), []);

    edge.set_workloads(vec![workload(REGISTRY_PASSWORD)]);
    one_container(&podman, "private");
    reported(&edge, "private", "running");
}

#[test]
fn a_finished_workload_is_reported_as_stopped() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    let mut pod = running("sleep 0.5");
    pod["restartPolicy"] = json!("Never");
    edge.set_workloads(vec![sent("once", &pod)]);
    let _agent = device.settings.start();
    reported(&edge, "once", "stopped");
    wait_for_event(&edge, &["WorkloadFinished", "once: container main ended with code 0"]);
}

#[test]
fn a_deleted_device_loses_its_workloads_and_enrols_again() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let _agent = device.settings.start();
    let first = one_container(&podman, "web");
    let enrolled = edge.answered(Call::Registration);

    edge.delete_device("cam-01");
    no_pod(&podman, "web");
    eventually("it registers again", || {
        (edge.answered(Call::Registration) > enrolled).then_some(())
    });
    assert_ne!(one_container(&podman, "web").id, first.id);
}

/// Starts an agent that has no podman: what it is about is the talk with the control plane.
fn without_podman(edge: &EdgeApi) -> Device {
    let mut device = Device::of(edge);
    let nowhere = device.path("nowhere.sock").display().to_string();
    device.settings.set("PODMAN_SOCKET", nowhere);
    device
}

#[test]
fn a_device_whose_edgedevice_was_made_with_kubectl_waits_its_turn_and_enrols_once_it_is_deleted() {
    let edge = EdgeApi::start();
    let device = without_podman(&edge);
    edge.make_device_by_hand("cam-01");
    let agent = device.settings.start();
    agent.wait_for_log(&["DeviceNotEnrolled", advice::MADE_BY_HAND]);
    let lines = agent.log().len();
    // Rounds follow each other after 4 s, 8 s and so on, half of it at random.
    std::thread::park_timeout(A_WHILE * 4);
    let asked = edge.received().len();
    assert!(asked <= 14, "{asked} questions in {:?}", A_WHILE * 4);
    let more = agent.log().iter().skip(lines).filter(|line| line.contains("WARN")).count();
    assert_eq!(more, 0, "each trouble is reported once: {}", agent.tail());

    edge.delete_device("cam-01");
    eventually("it enrols, registers and is configured", || {
        (edge.answered(Call::Configuration) > 0).then_some(())
    });
    agent.wait_for_log(&["device enrolled"]);
    agent.wait_for_log(&["device certificate received"]);
}

#[test]
fn a_configuration_that_the_server_withholds_degrades_the_health_until_it_comes() {
    let edge = EdgeApi::start();
    let device = without_podman(&edge);
    let agent = device.settings.start();
    let health = |state: &'static str, part: &'static str| {
        eventually(&format!("the health is {state}, {part}"), || {
            let status = agent.status()?;
            let reasons = status["health"]["reasons"].to_string();
            (status["health"]["state"] == state && reasons.contains(part)).then_some(status)
        })
    };
    // The period is the server's from then on.
    eventually("the first configuration is in force", || {
        agent.status()?["control_plane"]["configuration"]["age_seconds"].as_u64()
    });
    health("ok", "");
    edge.fault(Call::Configuration, Fault::Status(500));
    let status = health("degraded", advice::MISSING_OBJECT);
    let age = status["control_plane"]["configuration"]["age_seconds"].as_u64().unwrap();
    assert!(age >= 6, "three periods of 2 s: {age}");
    // It works on: only an agent that is down is to be restarted.
    let (code, said) = agent.http("GET", "/healthz", "").unwrap();
    assert!(code == 200 && said.contains("degraded"), "{code} {said}");
    agent.wait_for_log(&["ControlPlaneWithholds", advice::MISSING_OBJECT]);
    edge.heal(Call::Configuration);
    health("ok", "");
}
