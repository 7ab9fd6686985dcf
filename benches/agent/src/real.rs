//! The agent beside podman itself, on a real podman.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actors::testing::podman::{HermeticPodman, IMAGE};
use serde_json::{Value, json};

use crate::client::{Connection, sample};
use crate::manifests::{Scenario, name};
use crate::plan::Plan;
use crate::process::{Process, wait_for};
use crate::report::{Outcome, Row, median};

/// Starts at one time, as the agent's default is.
const BUDGET: usize = 4;
/// Between two looks at what a pod does.
const POLL_PERIOD: Duration = Duration::from_millis(5);
/// Longest grace of the pods, in seconds, as the manifests have it.
const GRACE: u32 = 2;

/// What the agent asks podman for beside each pod.
const PLAY: &str =
    "play/kube?start=true&logDriver=k8s-file&logOptions=max-size%3D10mb&network=podman";

/// The pod that podman is given by itself: what the manifests of [`Scenario`] come to.
fn pod(name: &str) -> Vec<u8> {
    let command = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"];
    let container = json!({
        "name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": command,
        "env": [{"name": "NUMBER", "value": "0"}, {"name": "DEVICE_ID", "value": "toto"}],
        "resources": {"limits": {"memory": "64Mi"}},
    });
    let labels = json!({
        "device-worker-ng/boot-id": "df00b742-0cbf-49d3-87d3-1eba500e5e62",
        "device-worker-ng/containers": "1",
        "device-worker-ng/restart-policy": "Always",
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE,
            "containers": [container],
        },
    });
    pod.to_string().into_bytes()
}

fn call(podman: &HermeticPodman, method: &str, path: &str, body: &[u8]) -> u16 {
    let kind = [("Content-Type", "application/json")];
    podman.ask(method, path, &kind, body).expect("podman answers").0
}

fn play(podman: &HermeticPodman, name: &str) {
    let status = call(podman, "POST", PLAY, &pod(name));
    assert_eq!(status, 200, "pod {name} starts");
}

fn remove(podman: &HermeticPodman, name: &str) {
    call(podman, "DELETE", &format!("pods/{name}?force=true&timeout=0"), &[]);
}

/// Stops and removes a pod with the calls that the agent makes.
fn stop(podman: &HermeticPodman, name: &str) {
    let pod = podman.json(&format!("pods/{name}/json"));
    let mut containers = pod["Containers"].as_array().cloned().unwrap_or_default();
    // The one that holds the network ends last, by podman's hand: the others may need it to end well.
    containers.retain(|container| container["Id"] != pod["InfraContainerID"]);
    std::thread::scope(|scope| {
        for id in containers.iter().filter_map(|container| container["Id"].as_str()) {
            scope.spawn(move || {
                let path = format!("containers/{id}/stop?t={GRACE}&timeout={GRACE}");
                call(podman, "POST", &path, &[])
            });
        }
    });
    wait_for("the pod ends", POLL_PERIOD, || {
        let filters = format!("%7B%22name%22%3A%5B%22%5E{name}%24%22%5D%7D");
        let pods = podman.json(&format!("pods/json?filters={filters}"));
        let status = pods[0]["Status"].as_str().unwrap_or_default().to_owned();
        (status != "Running" && status != "Degraded").then_some(())
    });
    remove(podman, name);
}

/// Returns the time from `start` until the container runs.
fn until_running(podman: &HermeticPodman, container: &str, start: Instant) -> f64 {
    wait_for("the container runs", POLL_PERIOD, || {
        let path = format!("containers/{container}/json");
        let (_, body) = podman.ask("GET", &path, &[], &[]).ok()?;
        let detail: Value = serde_json::from_slice(&body).ok()?;
        (detail["State"]["Status"] == "running").then_some(())
    });
    start.elapsed().as_secs_f64()
}

/// Returns the time from `start` until the pod is gone, its network and control group included.
fn until_gone(podman: &HermeticPodman, pod: &str, start: Instant) -> f64 {
    wait_for("the pod is gone", POLL_PERIOD, || {
        let (status, _) = podman.ask("GET", &format!("pods/{pod}/exists"), &[], &[]).ok()?;
        (status == 404).then_some(())
    });
    start.elapsed().as_secs_f64()
}

/// Returns the name of the pod of a workload.
fn pod_of(podman: &HermeticPodman, workload: &str) -> String {
    let pods = podman.json("pods/json");
    let names = pods.as_array().into_iter().flatten().filter_map(|pod| pod["Name"].as_str());
    let mut names = names.filter(|name| name.starts_with(&format!("{workload}-")));
    names.next().expect("the pod is there").to_owned()
}

fn agent_beside(plan: &Plan, podman: &HermeticPodman, folder: &Path, workloads: usize) -> Process {
    Scenario { workloads, conditions: workloads, metrics: workloads, ..Scenario::default() }
        .write(folder);
    Process::agent(&plan.agent, folder, &podman.socket())
}

/// Measures the time from a metric to a pod that runs or is gone, beside podman's own.
pub(crate) fn switch(plan: &Plan) -> Vec<Row> {
    let podman = HermeticPodman::rootful();
    // The first pod makes the bridge of its network and the last one takes it away, which takes a
    // third of a stop: without another one the agent's pod alone would be first and last.
    play(&podman, "neighbour");
    let folder = tempfile::tempdir().expect("a folder");
    let agent = agent_beside(plan, &podman, folder.path(), 1);
    agent.wait_until_running(1);
    let pod = pod_of(&podman, &name(0));
    let container = format!("{pod}-main");
    let mut connection = Connection::open(agent.address).expect("the listener is open");
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..plan.of(20, 2) {
        let start = Instant::now();
        connection.post(&sample("m0", 1000.0)).expect("the metric is taken");
        times[0].push(until_gone(&podman, &pod, start));
        std::thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        connection.post(&sample("m0", 1.0)).expect("the metric is taken");
        times[1].push(until_running(&podman, &container, start));
        std::thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        let watched = std::thread::scope(|scope| {
            scope.spawn(|| play(&podman, "alone"));
            until_running(&podman, "alone-main", start)
        });
        times[3].push(watched);
        std::thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        let watched = std::thread::scope(|scope| {
            scope.spawn(|| stop(&podman, "alone"));
            until_gone(&podman, "alone", start)
        });
        times[2].push(watched);
        std::thread::sleep(Duration::from_millis(500));
    }
    let [stopped, started, stopped_alone, started_alone] = times.map(median);
    vec![Row {
        what: "metric to pod running or stopped",
        target: "podman's own time for the same calls, plus at most 5 %",
        measured: format!(
            "running {started:.3} s beside {started_alone:.3} s; gone {stopped:.3} s beside \
             {stopped_alone:.3} s"
        ),
        outcome: match plan.is_full {
            true => Outcome::of(started <= started_alone * 1.05 && stopped <= stopped_alone * 1.05),
            false => Outcome::Open,
        },
        notes: vec![
            "In turns on one podman, beside a third pod; medians. Both are watched alike, each 5 ms."
                .to_owned(),
        ],
    }]
}

/// Measures the start of many pods beside podman's own time for as many.
pub(crate) fn cold(plan: &Plan) -> Vec<Row> {
    let count = plan.of(50, 4);
    let alone = {
        let podman = HermeticPodman::rootful();
        warm_up(&podman);
        let names: VecDeque<_> = (0..count).map(name).collect();
        let (names, start) = (Mutex::new(names), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..BUDGET {
                scope.spawn(|| {
                    loop {
                        let next = names.lock().expect("no thread panicked").pop_front();
                        let Some(name) = next else { break };
                        play(&podman, &name);
                    }
                });
            }
        });
        start.elapsed().as_secs_f64()
    };
    let podman = HermeticPodman::rootful();
    warm_up(&podman);
    let folder = tempfile::tempdir().expect("a folder");
    let agent = agent_beside(plan, &podman, folder.path(), count);
    // Seldom: the answers come from the same two cores.
    wait_for("all pods run", Duration::from_millis(100), || {
        (agent.running() == count).then_some(())
    });
    let ours = agent.started.elapsed().as_secs_f64();
    vec![Row {
        what: "start of 50 pods from cold, budget 4",
        target: "podman's own time for the same, 4 in parallel, plus at most 5 %",
        measured: format!("{ours:.2} s beside {alone:.2} s"),
        outcome: if plan.is_full { Outcome::of(ours <= alone * 1.05) } else { Outcome::Open },
        notes: vec![format!(
            "{count} pods, each side on a podman of its own that had made one pod before; the \
             agent's time includes its own start."
        )],
    }]
}

/// The first pod takes longer: podman makes the image for its pause container.
fn warm_up(podman: &HermeticPodman) {
    play(podman, "first");
    remove(podman, "first");
}
