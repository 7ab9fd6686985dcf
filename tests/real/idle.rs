//! An agent that has nothing to do leaves the disk alone: flash wears out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use actors::control_plane_sync::Call;
use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::HermeticPodman;

use crate::agent::{Agent, eventually};
use crate::device::{Device, reported};
use crate::pods::{one_container, sent, serving};

/// Heartbeats, two seconds apart, that an idle agent is watched for.
const HEARTBEATS: usize = 5;

/// Returns the bytes that the agent has had written to any disk.
fn written(agent: &Agent) -> u64 {
    let counters = fs::read_to_string(format!("/proc/{}/io", agent.pid())).unwrap();
    let line = counters.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}

/// Returns every file and folder with its inode and the times of its last changes.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, facts) = (entry.path(), entry.metadata().unwrap());
        if facts.is_dir() {
            found.extend(files(&path));
        }
        found.insert(path, (facts.ino(), facts.ctime(), facts.ctime_nsec()));
    }
    found
}

#[test]
fn an_idle_agent_writes_nothing_to_disk() {
    let (podman, edge) = (HermeticPodman::rootful(), EdgeApi::start());
    let device = Device::of(&edge).on(&podman);
    edge.set_workloads(vec![sent("web", &serving()), sent("cam", &serving())]);
    let agent = device.settings.start();
    for workload in ["web", "cam"] {
        one_container(&podman, workload);
        reported(&edge, workload, "running");
    }
    let heard = |count: usize| {
        let enough = edge.answered(Call::Heartbeat) + count;
        eventually("more heartbeats come", || {
            (edge.answered(Call::Heartbeat) >= enough).then_some(())
        });
    };
    // What the start has yet to write.
    heard(2);
    let state = device.path("state");
    let (bytes, before) = (written(&agent), files(&state));
    assert!(bytes > 0 && before.len() > 3, "it did write: {bytes} bytes, {before:?}");

    heard(HEARTBEATS);
    agent.post("cpu", 20.0);
    heard(1);
    assert_eq!(written(&agent), bytes, "bytes written while nothing changed");
    assert_eq!(files(&state), before);

    // And it would have shown: a change is written.
    edge.set_workloads(vec![sent("web", &serving())]);
    eventually("the change is on the disk", || (files(&state) != before).then_some(()));
    assert!(written(&agent) > bytes);
}
