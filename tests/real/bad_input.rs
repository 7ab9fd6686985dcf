//! Wrong files, wrong answers, wrong workloads: said clearly, and nothing else suffers.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output};

use actors::control_plane_sync::Call;
use actors::testing::edge_api::{EdgeApi, Fault};
use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::eventually;
use crate::device::{Device, configuration, reported, wait_for_event};
use crate::pods::{
    containers, device_with_condition, manifest, one_container, sent, serving, serving_after,
    while_low,
};

/// Lets the agent end by itself.
fn ends(device: &Device) -> (Option<i32>, String) {
    let config = device.settings.write();
    let binary = env!("CARGO_BIN_EXE_device-worker-ng");
    let mut agent = Command::new("timeout");
    let agent = agent.args(["20", binary, "--config"]).arg(config);
    let Output { status, stderr, .. } = agent.output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn an_unknown_setting_is_a_warning_that_names_the_known_one() {
    let mut device = Device::with_manifests();
    device.settings.set("LOG_LEVL", "debug");
    let agent = device.settings.start();
    agent.wait_for_log(&["WARN", "configuration was doubtful", "LOG_LEVL", "LOG_LEVEL"]);
    agent.wait_for_log(&["agent started"]);
}

#[test]
fn every_wrong_certificate_and_key_is_named_at_once() {
    let (edge, other) = (EdgeApi::start(), EdgeApi::start());
    let device = Device::of(&edge);
    device.write("ca.pem", "no certificate");
    device.write("key.pem", &other.registration_pair().1);
    let (code, said) = ends(&device);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("2 problems"), "{said}");
    for part in
        ["CA_ROOT", "holds no certificate in PEM", "KEY", "does not belong to the certificate"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn swapped_and_absent_files_are_named_at_once() {
    let edge = EdgeApi::start();
    let mut device = Device::of(&edge);
    let (certificate, key) = edge.registration_pair();
    device.write("cert.pem", &key);
    device.write("key.pem", &certificate);
    device.settings.set("CA_ROOT", device.path("absent.pem").display().to_string());
    let (code, said) = ends(&device);
    assert_eq!(code, Some(2), "{said}");
    for part in ["3 problems", "absent.pem", "holds a private key, but no certificate", "KEY"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("PRIVATE KEY-----\nMHc"), "no key is shown: {said}");
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    let (edge, other) = (EdgeApi::start(), EdgeApi::start());
    let device = Device::of(&edge);
    device.write("ca.pem", &other.ca_pem());
    let agent = device.settings.start();
    agent.wait_for_log(&["WARN", "certificate", "CA_ROOT"]);
    assert_eq!(edge.received(), [], "it received nothing");
}

#[test]
fn a_device_of_another_authority_is_refused() {
    let (edge, other) = (EdgeApi::start(), EdgeApi::start());
    let device = Device::of(&edge);
    let (certificate, key) = other.registration_pair();
    device.write("cert.pem", &certificate);
    device.write("key.pem", &key);
    let agent = device.settings.start();
    agent.wait_for_log(&["WARN", "401"]);
    assert_eq!(edge.answered(Call::Enrolment), 0);
}

#[test]
fn rubbish_from_the_server_changes_nothing() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let agent = device.settings.start();
    let web = one_container(&podman, "web");
    reported(&edge, "web", "running");

    for fault in [
        Fault::WrongJson,
        Fault::NullArrays,
        Fault::RandomOrder,
        Fault::ForeignDevice,
        Fault::Huge,
        Fault::CutBody,
        Fault::Cut,
        Fault::Status(500),
    ] {
        let asked = || {
            let all = edge.received();
            all.iter().filter(|it| it.call == Some(Call::Configuration)).count()
        };
        let before = asked();
        edge.fault(Call::Configuration, fault);
        eventually(&format!("{fault:?} is answered"), || (asked() > before).then_some(()));
        edge.heal(Call::Configuration);
        // The question after it shows that the answer was digested; and delays do not add up.
        let before = edge.answered(Call::Configuration);
        eventually(&format!("it asks again after {fault:?}"), || {
            (edge.answered(Call::Configuration) > before).then_some(())
        });
        assert_eq!(containers(&podman, "web"), std::slice::from_ref(&web), "{fault:?}");
    }
    wait_for_event(&edge, &["ConfigurationRefused"]);
    edge.set_workloads(vec![sent("web", &serving()), sent("more", &serving())]);
    one_container(&podman, "more");
    assert_eq!(one_container(&podman, "web"), web);
    assert_eq!(agent.wait_for_status("web", "running")["restarts"], 0);
}

#[test]
fn a_wrong_workload_is_reported_and_the_others_run() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    let with = |name: &str, field: &str, value: Value| {
        let mut workload = sent(name, &serving());
        workload[field] = value;
        workload
    };
    let mut grpc = serving();
    grpc["containers"][0]["readinessProbe"] = json!({"grpc": {"port": 50051}});
    let mut absent = serving();
    absent["containers"][0]["image"] = json!("localhost/absent:1");
    edge.set_configuration(configuration(vec![
        with("broken", "specification", json!("containers: [not closed")),
        with("empty", "specification", json!("{}")),
        with("ansible", "kind", json!("ansible")),
        with("unprofiled", "profiles", json!([{"name": "none", "conditions": []}])),
        with("cluster", "kind", json!("k8s")),
        with("cron", "cron", json!("61 * * * *")),
        sent("absent", &absent),
        sent("grpc", &grpc),
        sent("good", &serving()),
    ]));
    let agent = device.settings.start();

    one_container(&podman, "good");
    for (workload, part) in [
        ("broken", "not a PodSpec"),
        ("empty", "no containers"),
        ("ansible", "ansible"),
        ("unprofiled", "does not define profile none"),
        ("cluster", "KUBECONFIG"),
        ("cron", "61"),
        (
            "grpc",
            "readinessProbe of container main: grpc is not supported on podman; use exec with a client",
        ),
        ("absent", "failed to pull image localhost/absent:1"),
    ] {
        agent.wait_for_reason(workload, part);
        assert_eq!(containers(&podman, workload), [], "{workload}");
        if workload != "unprofiled" {
            wait_for_event(&edge, &[workload, part]);
        }
    }
    reported(&edge, "good", "running");
}

#[test]
fn a_change_for_the_worse_leaves_the_last_good_version_running() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving())]);
    let agent = device.settings.start();
    let web = one_container(&podman, "web");

    let mut broken = sent("web", &serving());
    broken["specification"] = json!("containers: [not closed");
    edge.set_workloads(vec![broken]);
    wait_for_event(&edge, &["web", "not a PodSpec"]);
    agent.wait_for_status("web", "running");
    assert_eq!(one_container(&podman, "web"), web);

    edge.set_workloads(vec![sent("web", &serving_after("echo mended"))]);
    eventually("the mended version runs", || {
        containers(&podman, "web").into_iter().find(|container| container.pod != web.pod)
    });
}

#[test]
fn a_condition_that_does_not_parse_is_never_true() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    device.apply("device", &device_with_condition("cpu < < 50"));
    device.apply("web", &manifest("web", &serving(), while_low()));
    device.apply("free", &manifest("free", &serving(), json!({})));
    let agent = device.settings.start();
    one_container(&podman, "free");
    agent.post("cpu", 20.0);
    agent.wait_for_reason("web", "low failed");
    let status = agent.status().unwrap();
    assert_eq!(status["profiles"][0]["conditions"][0]["verdict"], "failed", "{status}");
    assert_eq!(containers(&podman, "web"), []);

    device.apply("device", &device_with_condition("cpu < 50"));
    one_container(&podman, "web");
}

/// Sends bytes as they are; returns what comes back until the connection ends.
fn raw(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn wrong_metrics_are_refused_with_a_reason() {
    let device = Device::with_manifests();
    device.apply("device", &device_with_condition("cpu < 50"));
    let agent = device.settings.start();
    agent.post("cpu", 20.0);
    let huge =
        format!(r#"[{{"name":"cpu","value":1}},{{"name":"{}","value":1}}]"#, "x".repeat(1 << 20));
    for (body, expected, part) in [
        ("", 400, "empty"),
        ("[]", 400, "nothing was posted"),
        ("20", 400, "expected"),
        ("name=cpu&value=1", 400, "line 1"),
        (r#"{"name":"cpu"}"#, 400, "value"),
        (r#"{"name":"cpu","value":"1"}"#, 400, "a number"),
        (r#"{"name":"cpu","value":NaN}"#, 400, "value"),
        (r#"{"name":"cpu","value":1e999}"#, 400, "out of range"),
        (r#"{"name":"","value":1}"#, 400, "name"),
        (r#"{"name":"cpu","value":1,"ttl":5}"#, 400, "ttl_seconds"),
        (r#"[{"name":"cpu","value":1},{"name":"b","value":null}]"#, 400, "sample 1"),
        (huge.as_str(), 413, ""),
    ] {
        let (status, answer) = agent.http("POST", "/metrics", body).unwrap();
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains(part), "{part}: {answer}");
    }
    for (method, path, expected) in [("PUT", "/metrics", 405), ("POST", "/nowhere", 404)] {
        assert_eq!(agent.http(method, path, "{}").unwrap().0, expected, "{method} {path}");
    }
    // Not even HTTP, and a client that hangs up in the middle of its body.
    raw(agent.metrics(), b"\x00\xff\xfe rubbish\r\n\r\n");
    drop(
        TcpStream::connect(agent.metrics())
            .unwrap()
            .write(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"name\""),
    );

    let status = agent.status().unwrap();
    assert_eq!(status["metrics"][0]["value"], 20.0, "nothing of a bad body is taken: {status}");
    assert_eq!(status["metrics"].as_array().unwrap().len(), 1, "{status}");
    agent.post("cpu", 30.0);
    assert_eq!(agent.status().unwrap()["metrics"][0]["value"], 30.0);
}
