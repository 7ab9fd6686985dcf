//! A container nests folders deeper than any path is long, or fills its volume with files: the
//! agent neither dies of it nor leaves it behind, and other workloads do not wait for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, eventually_or};
use crate::pods::{manifest, one_container, serving};
use crate::stage::{AND_STAY, Stage, Whose, container};

/// A path holds so many folders of one letter.
const CHUNK: usize = 2000;

/// Returns a script that nests folders `depth` deep in the current folder, by moving what it has
/// to the bottom of a new chain again and again.
fn nesting(depth: usize) -> String {
    let chain = vec!["d"; CHUNK - 1].join("/");
    let rounds = depth.div_ceil(CHUNK);
    format!(
        "mkdir -p a; n=0; while [ $n -lt {rounds} ]; do \
         mkdir -p o/{chain} && mv a o/{chain}/d && mv o a || exit 9; n=$((n+1)); done"
    )
}

/// Makes such a tree on the host.
fn nest(folder: &Path, depth: usize) {
    fs::create_dir_all(folder).unwrap();
    let made = Command::new("sh").args(["-c", &nesting(depth)]).current_dir(folder).status();
    assert!(made.unwrap().success());
}

/// Returns a pod whose container does `script` in an `emptyDir`.
fn scratching(script: &str) -> Value {
    let mounts = json!([{"name": "shared", "mountPath": "/s"}]);
    json!({
        "containers": [container("main", &format!("cd /s && {script}"), mounts)],
        "volumes": [{"name": "shared", "emptyDir": {}}],
    })
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn nothing_stays(stage: &Stage, agent: &Agent) {
    let volumes = stage.volumes();
    let empty = || names_in(&volumes).is_empty().then_some(());
    eventually_or("all volumes are removed", empty, || {
        format!("{:?}\n{}", names_in(&volumes), agent.tail())
    });
    assert!(agent.status().is_some(), "the agent lives: {}", agent.tail());
    assert!(!agent.has_logged(&["volumes were not removed"]), "{}", agent.tail());
}

fn removed_with_its_workload(whose: Whose) {
    let stage = Stage::in_memory(whose);
    let script = format!("{} && echo try >>/log/tries{AND_STAY}", nesting(60_000));
    stage.apply("web", &scratching(&script));
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 1, &[]);
    stage.device.withdraw("web");
    nothing_stays(&stage, &agent);
}

#[test]
fn folders_nested_60000_deep_go_with_their_workload() {
    removed_with_its_workload(Whose::Root);
}

#[test]
fn folders_of_a_user_nested_60000_deep_go_with_their_workload() {
    removed_with_its_workload(Whose::User);
}

#[test]
fn an_agent_that_finds_folders_nested_60000_deep_starts_and_removes_them() {
    let stage = Stage::in_memory(Whose::Root);
    nest(&stage.volumes().join("old-0123456789ab/data"), 60_000);
    nest(&stage.volumes().join(".left-0-older-0123456789ab/data"), 60_000);
    stage.device.apply("web", &manifest("web", &serving(), json!({})));
    let agent = stage.device.settings.start();
    one_container(&stage.podman, "web");
    nothing_stays(&stage, &agent);
}

fn ten_restarts_leave_nothing(whose: Whose) {
    let mut stage = Stage::of(whose);
    // As many as systemd gives a service.
    stage.device.settings.through(&["prlimit", "--nofile=1024:1024"]);
    let script = format!(
        "test -e a || {{ {} && head -c 1000000 /dev/zero >ballast && mv ballast a/d/d/d; }}; \
         echo try >>/log/tries; exit 1",
        nesting(2_000)
    );
    stage.apply("web", &scratching(&script));
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 10, &[]);
    let left = names_in(&stage.volumes());
    assert!(left.len() <= 3, "{left:?}");
    stage.device.withdraw("web");
    nothing_stays(&stage, &agent);
}

#[test]
fn ten_restarts_with_a_deep_tree_leave_nothing() {
    ten_restarts_leave_nothing(Whose::Root);
}

#[test]
fn ten_restarts_of_a_users_pod_with_a_deep_tree_leave_nothing() {
    ten_restarts_leave_nothing(Whose::User);
}

/// A folder that its own owner cannot enter any more, under an agent that is not root.
#[test]
fn a_users_own_agent_removes_folders_that_were_shut() {
    let stage = Stage::of(Whose::UserAlone);
    let script = "mkdir -p shut/in/ner read/only && echo x >read/only/file && \
                  chmod 0 shut/in shut && chmod 0500 read/only read; \
                  echo try >>/log/tries; exit 1";
    stage.apply("web", &scratching(script));
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 3, &[]);
    stage.device.withdraw("web");
    nothing_stays(&stage, &agent);
}

#[test]
fn what_stays_of_volumes_is_said_once_and_removed_when_it_can_be() {
    let stage = Stage::of(Whose::Root);
    let left = stage.volumes().join(".left-0-old-0123456789ab");
    let mounted = left.join("data/mounted");
    fs::create_dir_all(&mounted).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mounted).status();
    assert!(mount.unwrap().success());
    let agent = stage.device.settings.start();
    stage.device.apply("web", &manifest("web", &serving(), json!({})));
    one_container(&stage.podman, "web");
    let expected =
        ["WARN", "volumes were not removed", ".left-0-old", "data/mounted", "is mounted there"];
    agent.wait_for_log(&expected);
    stage.device.apply("more", &manifest("more", &serving(), json!({})));
    one_container(&stage.podman, "more");
    assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    stage.device.apply("last", &manifest("last", &serving(), json!({})));
    agent.wait_for_log(&["INFO", "volumes that stayed were removed", ".left-0-old"]);
    assert_eq!(agent.times_logged(&expected), 1);
    assert!(!left.exists());
}
