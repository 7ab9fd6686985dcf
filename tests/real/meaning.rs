//! A pod means on podman what it means in Kubernetes: what its containers see, as root's pods and as a
//! user's, equals a table of what Kubernetes' documentation says that they get.

mod files;
mod identity;
mod limits;
mod mounts;
mod surroundings;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use actors::testing::podman::{HermeticPodman, IMAGE};
use serde_json::{Value, json};

use crate::agent::{Agent, PATIENCE, eventually_within};
use crate::device::Device;
use crate::pods::{no_pod, pods};

/// Stands for the pod's name where a container sees that.
const POD: &str = "{pod}";
/// What a container writes when it has looked at everything.
const DONE: &str = "[done]";

/// What podman, from that major version on, does otherwise whatever it is given, and what is seen then.
/// docs/compatibility.md tells each.
const OTHERWISE: [(&str, u64, &str); 3] = [
    ("stdin", 4, "0"),
    ("capabilities: one added for a user", 4, "1"),
    ("readOnlyRootFilesystem: /tmp", 5, "written"),
];

/// What the commands that look have in common.
const TOOLS: &str = r#"value() { eval "echo \"\${$1-unset}\""; }
write() { touch "$1" 2>/dev/null && echo written || echo refused; }
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
capability() { echo $((0x$(status CapEff) >> $1 & 1)); }
"#;

/// What is looked at, the commands that look, and what they print in Kubernetes.
type Row = (&'static str, &'static str, &'static str);

/// A pod, and what its containers see.
struct Case {
    workload: &'static str,
    /// Its specification; its containers are those of `seen`, in that order.
    pod: Value,
    seen: Vec<(&'static str, Vec<Row>)>,
    /// Whether it is one of root's podman only.
    needs_root: bool,
    /// Why podman 4 does not get it.
    refused_by_4: Option<&'static str>,
}

impl Case {
    /// Returns a case whose pod has `containers`: the name, further fields, and what is seen.
    fn of(
        workload: &'static str,
        containers: Vec<(&'static str, Value, &[Row])>,
        pod: Value,
    ) -> Self {
        let mut pod = pod;
        let of_one = |(name, more, rows): &(&str, Value, &[Row])| container(name, more, rows);
        pod["containers"] = containers.iter().map(of_one).collect();
        let seen = containers.into_iter().map(|(name, _, rows)| (name, rows.to_vec())).collect();
        Self { workload, pod, seen, needs_root: false, refused_by_4: None }
    }

    /// Returns the manifest of its pod.
    fn manifest(&self, rootless: bool) -> Value {
        let annotations = json!({"device-worker-ng/rootless": rootless.to_string(),
            "example.com/owner": "team a"});
        json!({"apiVersion": "v1", "kind": "Pod", "spec": self.pod, "metadata": {
            "name": name(self.workload, rootless), "annotations": annotations,
            "labels": {"app": "meaning"}}})
    }

    /// Returns what its containers, which look before `until`, see otherwise than they do in Kubernetes.
    fn differences(
        &self,
        (podman, rootless): (&HermeticPodman, bool),
        agent: &Agent,
        until: Instant,
    ) -> Vec<String> {
        let name = name(self.workload, rootless);
        let is_ours = |pod: &String| pod.starts_with(&format!("{name}-"));
        if let Some(reason) = self.refused_by_4.filter(|_| major(podman) == 4) {
            agent.wait_for_reason(&name, reason);
            return Vec::new();
        }
        let mut differences = Vec::new();
        for (container, rows) in &self.seen {
            let mut log = String::new();
            let mut looked = || {
                let pod = pods(podman)?.into_iter().find(is_ours)?;
                log = podman.logs(&format!("{pod}-{container}"));
                log.contains(DONE).then_some(pod)
            };
            let pod = eventually_within(
                PATIENCE * 2,
                "podman is asked",
                || match looked() {
                    None if Instant::now() < until => None,
                    pod => Some(pod),
                },
                String::new,
            );
            let Some(pod) = pod else {
                let job = agent.job(&name);
                differences.push(format!("{name}, container {container}: {job:?}, {log}"));
                continue;
            };
            let sees = seen(&log);
            for (what, _, gives) in rows {
                let otherwise = |it: &&(&str, u64, &str)| it.0 == *what && it.1 <= major(podman);
                let gives = OTHERWISE.iter().find(otherwise).map_or(*gives, |it| it.2);
                let gives = gives.replace(POD, &pod);
                let sees = sees.get(what);
                if sees != Some(&gives.as_str()) {
                    let place = format!("{name}, container {container}, {what}");
                    differences.push(format!("{place}: sees {sees:?}, Kubernetes gives {gives:?}"));
                }
            }
        }
        differences
    }
}

/// Reads what a container has printed.
fn seen(log: &str) -> BTreeMap<&str, &str> {
    // podman puts a byte before each line, which may be a character.
    let lines = log.lines().filter_map(|line| line.split_once('[')?.1.split_once("] "));
    lines.map(|(what, sees)| (what, sees.trim())).collect()
}

/// Returns the first number of podman's version.
fn major(podman: &HermeticPodman) -> u64 {
    let version = podman.json("version")["Version"].as_str().unwrap().to_owned();
    version.split('.').next().unwrap().parse().unwrap()
}

fn name(workload: &str, rootless: bool) -> String {
    format!("{}-{workload}", if rootless { "user" } else { "root" })
}

/// Returns a container that prints what it sees, a line each, and waits for SIGTERM.
fn container(name: &str, more: &Value, rows: &[Row]) -> Value {
    let look = |(what, look, _): &Row| {
        format!("echo \"[{what}] $( {{ {look}; }} 2>&1 | tr '\\n\\t' '  ' )\"\n")
    };
    let looks: String = rows.iter().map(look).collect();
    let wait = "trap 'exit 0' TERM; sleep infinity & wait";
    let script = format!("{TOOLS}{looks}echo '{DONE}'\n{wait}");
    let mut container = json!({"name": name, "image": IMAGE, "command": ["/bin/sh", "-c", script]});
    let more = more.as_object().unwrap().clone();
    container.as_object_mut().unwrap().extend(more);
    container
}

/// Returns the config maps and the secret that the pods refer to.
fn sources() -> [Value; 3] {
    [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"},
            "data": {"greeting": "hello\n", "level": "debug"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mixed"},
            "data": {"text": "text"}, "binaryData": {"blob": "AP8K"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
            "data": {"user": "YWRt\naW4="}, "stringData": {"password": "pass word"}}),
    ]
}

#[test]
fn what_containers_see_is_what_kubernetes_gives_them() {
    let (root, user) = (HermeticPodman::rootful(), HermeticPodman::rootless());
    let device = Device::with_manifests().on(&root).on_user(&user);
    for source in sources() {
        device.apply(source["metadata"]["name"].as_str().unwrap(), &source);
    }
    let cases: Vec<_> = [
        values::cases(),
        identity::cases(),
        limits::cases(),
        files::cases(),
        mounts::cases(&device),
        surroundings::cases(&device),
    ]
    .into_iter()
    .flatten()
    .collect();
    let all = || {
        cases.iter().flat_map(|case| {
            let kinds = [(false, &root), (true, &user)].into_iter();
            kinds
                .filter(|(rootless, _)| !rootless || !case.needs_root)
                .map(move |kind| (case, kind))
        })
    };
    for (case, (rootless, _)) in all() {
        device.apply(&name(case.workload, rootless), &case.manifest(rootless));
    }
    let agent = device.settings.start();
    let until = Instant::now() + PATIENCE;
    let differences: Vec<_> = all()
        .flat_map(|(case, (rootless, podman))| case.differences((podman, rootless), &agent, until))
        .collect();
    assert!(
        differences.is_empty(),
        "{}\n{}",
        differences.join("\n"),
        agent.status().unwrap()["events"]
    );

    for (rootless, podman) in [(false, &root), (true, &user)] {
        let name = name(surroundings::AT_ONCE, rootless);
        device.withdraw(&name);
        no_pod(podman, &name);
    }
    let noted = fs::read_to_string(device.path("out/log")).unwrap_or_default();
    assert_eq!(noted, "", "a grace period of 0 is SIGKILL at once");
}
