//! Probes on real podman: what they find, and what becomes of the pod.
//!
//! Each test moves into the network of its podman, which is none of the machine's: pods are reached there.

use std::fs::File;
use std::time::{Duration, Instant};

use actors::testing::podman::HermeticPodman;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::agent::{Agent, eventually, eventually_or};
use crate::device::Device;
use crate::pods::{Container, containers, manifest, one_container, running, serving};

/// Moves this thread, and what it starts from now on, into the network in which the pods of `podman` live.
fn enter_network_of(podman: &HermeticPodman) {
    let network = podman.proc().replace("/root/proc", "/ns/net");
    let network = File::open(network).unwrap();
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network))
        .unwrap();
}

/// A pod whose web server answers with 200 until `then` has run.
fn web_server(then: &str) -> Value {
    let script = format!(
        "mkdir -p /www; echo ok > /www/ok; httpd -p 8080 -h /www; {then}; while :; do sleep 0.1; done"
    );
    running(&format!("trap 'exit 0' TERM; {script}"))
}

fn with_probe(mut pod: Value, field: &str, probe: Value) -> Value {
    pod["containers"][0][field] = probe;
    pod
}

fn health(agent: &Agent, workload: &str) -> String {
    let told = agent.job(workload).map(|job| job["health"].clone()).unwrap_or_default();
    let told = told.as_array().into_iter().flatten();
    let told =
        told.map(|it| format!("{} {}", it["state"].as_str().unwrap_or_default(), it["reason"]));
    told.collect::<Vec<_>>().join(", ")
}

fn wait_for_health(agent: &Agent, workload: &str, state: &str) {
    let told = || health(agent, workload).starts_with(state).then_some(());
    eventually_or(&format!("{workload} is {state}"), told, || agent.tail());
}

fn another_container(podman: &HermeticPodman, workload: &str, than: &Container) -> Container {
    eventually(&format!("another container of {workload}"), || {
        match containers(podman, workload).as_slice() {
            [only] if only.id != than.id => Some(only.clone()),
            _ => None,
        }
    })
}

#[test]
fn a_web_server_that_no_longer_answers_well_is_started_again() {
    let podman = HermeticPodman::rootful();
    enter_network_of(&podman);
    let device = Device::with_manifests().on(&podman);
    let probe = json!({"httpGet": {"port": 8080, "path": "/ok"}, "periodSeconds": 1, "failureThreshold": 2});
    let pod = with_probe(web_server("sleep 4; rm /www/ok"), "livenessProbe", probe);
    device.apply("web", &manifest("web", &pod, json!({})));
    let agent = device.settings.start();
    let first = one_container(&podman, "web");
    wait_for_health(&agent, "web", "ready");
    another_container(&podman, "web", &first);
    agent.wait_for_log(&[
        "WARN",
        "WorkloadFailed",
        "container main is failing: livenessProbe: HTTP 404",
    ]);
    let job = agent.wait_for_status("web", "running");
    assert_eq!(job["restarts"], 1);
}

#[test]
fn a_check_that_passes_leaves_no_line_in_any_journal() {
    let podman = HermeticPodman::rootful();
    enter_network_of(&podman);
    let mut device = Device::with_manifests().on(&podman);
    device.settings.set("LOG_LEVEL", "info");
    let server = "mkdir -p /www; echo ok > /www/ok; httpd -f -vv -p 8080 -h /www 2> /requests &";
    let pod = running(&format!("trap 'exit 0' TERM; {server} while :; do sleep 0.1; done"));
    let get = json!({"httpGet": {"port": 8080, "path": "/ok"}, "periodSeconds": 1});
    let connect = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    let pod = with_probe(with_probe(pod, "livenessProbe", get), "readinessProbe", connect);
    device.apply("web", &manifest("web", &pod, json!({})));
    let agent = device.settings.start();
    let web = one_container(&podman, "web");
    wait_for_health(&agent, "web", "ready");
    agent.wait_for_status("web", "running");
    let checks = || {
        let file = format!("{}/{}/root/requests", podman.proc(), web.pid);
        std::fs::read_to_string(file).unwrap().matches("response:200").count()
    };
    let wait_for_checks = |more: usize| {
        let enough = checks() + more;
        eventually("more checks pass", || (checks() >= enough).then_some(()));
    };
    // What follows from the start is written by then.
    wait_for_checks(3);
    let journals = || (agent.log(), podman.events(), std::fs::read(podman.log()).unwrap());
    let before = journals();
    wait_for_checks(5);
    assert_eq!(journals(), before);
}

#[test]
fn a_command_that_never_ends_is_killed_and_counts_as_failed() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let probe = json!({"exec": {"command": ["sleep", "7777"]}, "periodSeconds": 2, "timeoutSeconds": 1,
        "failureThreshold": 2});
    device
        .apply("web", &manifest("web", &with_probe(serving(), "livenessProbe", probe), json!({})));
    let agent = device.settings.start();
    let first = one_container(&podman, "web");
    let began = Instant::now();
    let second = another_container(&podman, "web", &first);
    agent.wait_for_log(&["WorkloadFailed", "livenessProbe: no answer within 1 s"]);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // One at a time, and none of those that were given up.
    let commands = || {
        let found = std::fs::read_dir(podman.proc()).unwrap().flatten().filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.starts_with(b"sleep\x007777")
        });
        found.count()
    };
    another_container(&podman, "web", &second);
    assert!(commands() <= 1, "{} hang", commands());
}

#[test]
fn a_command_decides_by_its_exit_code_and_its_words_are_told() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let probe = json!({"exec": {"command": ["sh", "-c", "test -e /ready || { echo not yet; exit 3; }"]},
        "periodSeconds": 1});
    let pod = with_probe(serving(), "readinessProbe", probe);
    device.apply("db", &manifest("db", &pod, json!({})));
    let after = json!({"after": "db"});
    let mut web = manifest("web", &serving(), json!({}));
    web["metadata"]["annotations"] = json!({"device-worker-ng/after": after["after"]});
    device.apply("web", &web);
    let agent = device.settings.start();
    let db = one_container(&podman, "db");
    wait_for_health(&agent, "db", "unready \"readinessProbe: exit code 3: not yet\"");
    agent.wait_for_reason(
        "web",
        "waits until db is ready: container main is not ready: readinessProbe: exit code 3",
    );
    assert!(containers(&podman, "web").is_empty());
    // Where podman's own root shows the container.
    let made = File::create(format!("{}/{}/root/ready", podman.proc(), db.pid));
    made.expect("a file in the container");
    wait_for_health(&agent, "db", "ready");
    one_container(&podman, "web");
    assert_eq!(one_container(&podman, "db"), db, "it was never restarted");
}

#[test]
fn a_rootless_pod_is_reached_at_its_host_port() {
    let podman = HermeticPodman::rootless();
    enter_network_of(&podman);
    let device = Device::with_manifests().on_user(&podman);
    let probe = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    let published = |mut pod: Value, host_port: Value| {
        pod["containers"][0]["ports"] = json!([{"containerPort": 8080, "hostPort": host_port}]);
        pod
    };
    let rootless = json!({"rootless": true});
    let web =
        published(with_probe(web_server("true"), "readinessProbe", probe.clone()), json!(18080));
    device.apply("web", &manifest("web", &web, rootless.clone()));
    let hidden = with_probe(web_server("true"), "readinessProbe", probe);
    device.apply("hidden", &manifest("hidden", &hidden, rootless));
    let agent = device.settings.start();
    wait_for_health(&agent, "web", "ready");
    let way_out = "it is not run: the network of a rootless pod cannot be reached from the host; publish port 8080";
    eventually("the event says so", || {
        let status = agent.status()?;
        let told = |event: &&Value| {
            let message = event["message"].as_str().unwrap_or_default();
            event["reason"] == "SpecificationAdjusted" && message.contains(way_out)
        };
        status["events"].as_array()?.iter().find(told).map(drop)
    });
    agent.wait_for_status("hidden", "running");
    assert_eq!(health(&agent, "hidden"), "");
}
