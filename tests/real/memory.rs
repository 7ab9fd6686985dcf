//! Volumes in memory on real podman.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::eventually;
use crate::device::Device;
use crate::pods::{manifest, no_pod, one_container, running, serving_after, written};

/// A tmpfs as a unit gives it to the agent. It must be there before podman is, whose mounts are its own.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs"];
        assert!(Command::new("mount").args(mount).arg(&path).status().unwrap().success());
        Self(path)
    }

    fn homes(&self, kind: &str) -> usize {
        fs::read_dir(self.0.join(kind).join(".scratch")).map_or(0, |entries| entries.count())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Gives the agent of `device` its runtime directories, of which `memory` is for volumes.
fn give_runtime_directories(device: &mut Device, memory: &Path) {
    let given = format!("RUNTIME_DIRECTORY={}:{}", device.path("run").display(), memory.display());
    device.settings.through(&["env", given.as_str()]);
}

/// Returns a device whose agent has a tmpfs.
fn device_with_tmpfs() -> (Device, Tmpfs) {
    let mut device = Device::with_manifests();
    fs::create_dir(device.path("run")).unwrap();
    let tmpfs = Tmpfs::at(device.path("run-memory"));
    give_runtime_directories(&mut device, &tmpfs.0);
    (device, tmpfs)
}

/// Gives each container of `pod` the volume `cache`, in memory.
fn in_memory(mut pod: Value) -> Value {
    for list in ["initContainers", "containers"] {
        for container in pod[list].as_array_mut().into_iter().flatten() {
            container["volumeMounts"] = json!([{"name": "cache", "mountPath": "/cache"}]);
        }
    }
    pod["volumes"] =
        json!([{"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}]);
    pod
}

#[test]
fn a_volume_in_memory_is_a_tmpfs_that_all_containers_share_and_that_outlives_a_crash() {
    let (device, tmpfs) = device_with_tmpfs();
    let podman = HermeticPodman::rootful();
    let device = device.on(&podman);
    let script = "cat /cache/first; test -e /cache/mark || { touch /cache/mark; exit 1; }; \
                  stat -f -c %T /cache; echo found";
    let mut pod = serving_after(script);
    let mut first = running("echo of the first > /cache/first")["containers"][0].clone();
    first["name"] = json!("first");
    pod["initContainers"] = json!([first]);
    let pod = in_memory(pod);
    device.apply("web", &manifest("web", &pod, json!({"retry": {"periodSeconds": 1}})));
    let agent = device.settings.start();
    eventually("it has crashed once", || {
        let job = agent.job("web")?;
        (job["restarts"] == 1 && job["status"] == "running").then_some(())
    });
    let web = one_container(&podman, "web");
    let told = written(&podman, &web, "found");
    assert!(told.contains("of the first\n") && told.contains("tmpfs"), "{told}");
    assert_eq!(tmpfs.homes("podman_rootful"), 1);
    assert!(!device.path("state/volumes/rootful/.scratch").exists(), "nothing of it is on disk");

    // That all workloads go is not believed at once.
    device.apply("stays", &manifest("stays", &serving_after("true"), json!({})));
    device.withdraw("web");
    no_pod(&podman, "web");
    eventually("nothing of it is left", || (tmpfs.homes("podman_rootful") == 0).then_some(()));
}

#[test]
fn a_rootless_pod_has_a_volume_in_memory_under_an_agent_of_root() {
    let (device, tmpfs) = device_with_tmpfs();
    let podman = HermeticPodman::rootless();
    let device = device.on_user(&podman);
    let pod = in_memory(serving_after("echo mine > /cache/x && stat -f -c %T /cache"));
    device.apply("web", &manifest("web", &pod, json!({"rootless": true})));
    let _agent = device.settings.start();
    let web = one_container(&podman, "web");
    written(&podman, &web, "tmpfs");
    assert_eq!(tmpfs.homes("podman_rootless"), 1);
}

#[test]
fn without_a_tmpfs_the_volume_is_on_disk_and_that_is_said() {
    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    // A directory of that name alone is no place in memory.
    for name in ["run", "run-memory"] {
        fs::create_dir(device.path(name)).unwrap();
    }
    let memory = device.path("run-memory");
    give_runtime_directories(&mut device, &memory);
    let pod = in_memory(serving_after("true"));
    device.apply("web", &manifest("web", &pod, json!({})));
    let agent = device.settings.start();
    agent.wait_for_status("web", "running");
    agent.wait_for_event("SpecificationAdjusted", "volume cache: emptyDir is kept on disk");
    assert_eq!(fs::read_dir(device.path("run-memory")).unwrap().count(), 0);
}

/// Fills the volume `cache` with more than it may hold, and says what it found there before.
const FILLS: &str = "echo found $(ls /cache | wc -l) && head -c 8388608 /dev/zero > /cache/big";

fn is_ended_and_emptied(device: Device, podman: &HermeticPodman, mut spec: Value) {
    let pod = in_memory(serving_after(FILLS));
    spec["retry"] = json!({"periodSeconds": 1});
    device.apply("web", &manifest("web", &pod, spec));
    let agent = device.settings.start();
    agent.wait_for_event("WorkloadFailed", "its sizeLimit is 4194304");
    eventually("it runs again", || {
        let job = agent.job("web")?;
        (job["restarts"].as_u64()? >= 1 && job["status"] == "running").then_some(())
    });
    let web = one_container(podman, "web");
    written(podman, &web, "found 0");
}

#[test]
fn a_volume_in_memory_that_holds_more_than_its_limit_ends_the_run_and_is_emptied() {
    let (device, _tmpfs) = device_with_tmpfs();
    let podman = HermeticPodman::rootful();
    is_ended_and_emptied(device.on(&podman), &podman, json!({}));
}

#[test]
fn so_does_one_on_disk_of_a_rootless_pod() {
    let podman = HermeticPodman::rootless();
    let device = Device::with_manifests().on_user(&podman);
    is_ended_and_emptied(device, &podman, json!({"rootless": true}));
}
