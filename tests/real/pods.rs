//! Pod specifications for the tests, and what podman has made of them.

use actors::testing::podman::{HermeticPodman, IMAGE, PrivateRegistry, REGISTRY_USER};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::agent::{PATIENCE, eventually};
use crate::secrecy::planted;

/// Returns a pod of one container that runs `script` under a shell, with a secret among its
/// arguments and one among its variables.
pub fn running(script: &str) -> Value {
    json!({"containers": [{
        "name": "main", "image": IMAGE,
        "command": ["/bin/sh", "-c", script, planted("argument")],
        "env": [{"name": "PLANTED", "value": planted("variable")}],
    }]})
}

/// Returns a pod that does `first`, then waits for SIGTERM.
pub fn serving_after(first: &str) -> Value {
    running(&format!("trap 'exit 0' TERM; {first}; while :; do sleep 0.1; done"))
}

/// Returns a pod that waits for SIGTERM.
pub fn serving() -> Value {
    serving_after("true")
}

/// Returns a workload as the control plane sends it.
pub fn sent(name: &str, pod: &Value) -> Value {
    json!({
        "kind": "pod", "name": name, "namespace": "default", "profiles": [],
        // JSON is YAML.
        "specification": pod.to_string(),
    })
}

/// Returns a workload whose container has the image of `registry`, and the means to get it.
pub fn from_registry(name: &str, pod: &Value, registry: &PrivateRegistry, password: &str) -> Value {
    let mut pod = pod.clone();
    pod["containers"][0]["image"] = json!(registry.image());
    let auth = STANDARD.encode(format!("{REGISTRY_USER}:{password}"));
    let auth_file = json!({"auths": {registry.address(): {"auth": auth}}}).to_string();
    let mut workload = sent(name, &pod);
    workload["imageRegistries"] = json!({"authFile": auth_file});
    workload
}

/// Returns an EdgeWorkload; `more` are further fields of its spec.
pub fn manifest(name: &str, pod: &Value, more: Value) -> Value {
    let mut spec = json!({"type": "pod", "pod": {"spec": pod}});
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeWorkload",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// Returns an EdgeDevice with one profile, `test`, of one condition, `low`.
pub fn device_with_condition(expression: &str) -> Value {
    json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
        "metadata": {"name": "cam-01"},
        "spec": {"heartbeat": {"periodSeconds": 2, "profiles": [
            {"name": "test", "conditions": [{"name": "low", "expression": expression}]},
        ]}},
    })
}

/// Returns the further fields of a workload that runs while `low` of [`device_with_condition`] is
/// true.
pub fn while_low() -> Value {
    json!({"deviceSelector": {"profiles": [{"name": "test", "conditions": ["low"]}]}})
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// When it started.
    pub started_at: String,
    /// The pod's name.
    pub pod: String,
    /// Its first process, as its podman numbers it.
    pub pid: i64,
}

/// Returns the running containers of a workload's pods.
pub fn containers(podman: &HermeticPodman, workload: &str) -> Vec<Container> {
    let Ok((200, body)) = podman.ask("GET", "containers/json", &[], &[]) else {
        return Vec::new();
    };
    let list: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = list.as_array().into_iter().flatten();
    all.filter(|container| container["State"] == "running" && container["IsInfra"] != true)
        .map(|container| Container {
            id: text(&container["Id"]),
            started_at: container["StartedAt"].to_string(),
            pod: text(&container["PodName"]),
            pid: container["Pid"].as_i64().unwrap_or_default(),
        })
        .filter(|container| {
            container.pod.rsplit_once('-').is_some_and(|(name, _)| name == workload)
        })
        .collect()
}

/// Waits until exactly one container of a workload runs.
pub fn one_container(podman: &HermeticPodman, workload: &str) -> Container {
    eventually(&format!("one container of {workload} runs"), || {
        match containers(podman, workload).as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    })
}

/// Waits until podman has no pod whose name begins with the workload's.
pub fn no_pod(podman: &HermeticPodman, workload: &str) {
    eventually(&format!("no pod of {workload} is there"), || {
        pods(podman)?.iter().all(|pod| !pod.starts_with(&format!("{workload}-"))).then_some(())
    });
}

/// Returns the names of all pods; none while podman does not answer.
pub fn pods(podman: &HermeticPodman) -> Option<Vec<String>> {
    let (status, body) = podman.ask("GET", "pods/json", &[], &[]).ok()?;
    assert_eq!(status, 200);
    let list: Value = serde_json::from_slice(&body).unwrap();
    let pods = list.as_array().into_iter().flatten();
    Some(pods.filter_map(|pod| pod["Name"].as_str().map(str::to_owned)).collect())
}

/// Waits until a container has written `line`; returns all that it wrote.
pub fn written(podman: &HermeticPodman, container: &Container, line: &str) -> String {
    let what = format!("{line:?} is written within {PATIENCE:?}");
    eventually(&what, || Some(podman.logs(&container.id)).filter(|logs| logs.contains(line)))
}
