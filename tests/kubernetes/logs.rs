//! `device-worker-ng logs` of a workload on a cluster, with the agent's own rights.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::agent::{Agent, workload};
use crate::cluster::Cluster;
use crate::kubelet::{Kubelet, Log};

const LOGS: [Log; 2] = [
    Log {
        container: "c",
        now: &[
            ("2026-05-01T10:00:00.000000000Z", "started"),
            ("2026-05-01T10:00:01.000000000Z", "serving"),
            ("2026-05-01T10:00:02.000000000Z", "served one"),
        ],
        before: &[
            ("2026-05-01T09:00:00.000000000Z", "started"),
            ("2026-05-01T09:00:09.000000000Z", "the last words"),
        ],
    },
    Log { container: "side", now: &[("2026-05-01T10:00:00.000000000Z", "tick")], before: &[] },
];

/// Runs `logs` with these words; returns its exit code, what it wrote and what it complained of.
fn logs(folder: &std::path::Path, words: &str) -> (Option<i32>, String, String) {
    let output = command(folder, words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn command(folder: &std::path::Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    command.arg("logs").args(words.split(' ')).arg("--config").arg(folder.join("config.yaml"));
    command.env_clear().env("RUNTIME_DIRECTORY", folder.join("run"));
    command
}

/// Writes what `logs` reads of the settings: no podman is there.
fn configure(folder: &std::path::Path, cluster: &Cluster) {
    let settings = json!({
        "DEVICE_ID": "toto", "KUBECONFIG": cluster.agents_kubeconfig(),
        "PODMAN_SOCKET": folder.join("absent.sock"), "STATE_DIR": folder.join("state"),
    });
    std::fs::write(folder.join("config.yaml"), settings.to_string()).unwrap();
}

/// A status as a kubelet writes it of a pod whose containers have these names.
fn status(containers: &[&str]) -> Value {
    let status = |name: &&str| {
        json!({
            "name": name, "image": "nginx", "imageID": "", "restartCount": 1, "ready": true,
            "state": {"running": {"startedAt": "2026-05-01T10:00:00Z"}},
        })
    };
    let statuses: Vec<_> = containers.iter().map(status).collect();
    json!({"status": {"phase": "Running", "containerStatuses": statuses}})
}

#[actix::test]
async fn logs_are_read_through_the_cluster_with_what_was_asked_for() {
    let cluster = Cluster::start().await;
    let kubelet = Kubelet::start(&LOGS);
    cluster.has_kubelet(kubelet.port).await;
    let agent = Agent::start("toto", &cluster);
    let id = "web-0123456789ab";
    let mut web = workload("web", id);
    let mut side = web.pod.containers[0].clone();
    side.name = "side".to_owned();
    side.ports = None;
    web.pod.containers.push(side);
    agent.configure(&[web]);
    let pod = cluster.pod("toto", id).await;
    cluster.bind(&pod).await;
    let written = Patch::Merge(status(&["c", "side"]));
    let params = PatchParams::default();
    cluster.pods().patch_status(&pod.name_any(), &params, &written).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &cluster);
    let read = |words: &str| logs(folder.path(), words);
    for (words, expected, asked) in [
        ("web -c c", "started\nserving\nserved one\n", &["c"][..]),
        ("web -c c --tail 2", "serving\nserved one\n", &["c tailLines=2"]),
        (
            "web -c c --tail 1 --timestamps",
            "2026-05-01T10:00:02.000000000Z served one\n",
            &["c tailLines=1 timestamps=true"],
        ),
        (
            "web -c c --since 2026-05-01T10:00:01Z",
            "serving\nserved one\n",
            &["c sinceTime=2026-05-01T10:00:01Z"],
        ),
        ("web -c c --previous", "started\nthe last words\n", &["c previous=true"]),
        ("web -c c --previous --tail 1", "the last words\n", &["c previous=true tailLines=1"]),
        ("web --tail 1", "[c] served one\n[side] tick\n", &["c tailLines=1", "side tailLines=1"]),
    ] {
        let (code, shown, told) = read(words);
        assert_eq!((code, shown.as_str()), (Some(0), expected), "{words}: {told}");
        assert_eq!(kubelet.asked(), asked, "{words}");
    }
    for (words, code, parts) in [
        ("web -c db", 1, &["workload web has no container db, but these: c, side"][..]),
        ("api", 1, &["workload api has no pod", "these have: web"]),
        (
            "web -c side --previous",
            3,
            &["read the log of container side of Pod edge/", "previous terminated container"],
        ),
    ] {
        let (told_code, _, told) = read(words);
        assert_eq!(told_code, Some(code), "{words}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{words}: {told}");
    }

    kubelet.asked();
    let mut following = command(folder.path(), "web -c c -f --tail 1");
    let mut following = following.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "served one");
    assert!(following.try_wait().unwrap().is_none(), "it waits for more");
    following.kill().unwrap();
    following.wait().unwrap();
    assert_eq!(kubelet.asked(), ["c follow=true tailLines=1"]);
}

#[actix::test]
async fn the_right_to_read_logs_may_be_left_out_and_is_named_then() {
    let cluster = Cluster::start().await;
    cluster.change_rights(Some(("get", "pods/log"))).await;
    let agent = Agent::start("toto", &cluster);
    let id = "web-0123456789ab";
    agent.configure(&[workload("web", id)]);
    let pod = cluster.pod("toto", id).await;
    cluster.runs(&pod).await;
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &cluster);
    let (code, _, told) = logs(folder.path(), "web");
    assert_eq!(code, Some(3), "{told}");
    for part in ["403", "cannot get resource \"pods/log\"", "in the namespace \"edge\""] {
        assert!(told.contains(part), "{told}");
    }
}
