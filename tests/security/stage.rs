//! Where attacks take place: a device, its podman, and what is on the host for nobody in a container.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use actors::testing::podman::{HermeticPodman, IMAGE};
use serde_json::{Value, json};

use crate::agent::{Agent, eventually_within};
use crate::device::Device;
use crate::pods::manifest;

/// What a container must never read.
pub const TREASURE: &str = "treasure of the host";
/// What a container must never leave outside its volumes.
const STOLEN: &str = "stolen";
/// The agent's folders.
const STATES: [&str; 2] = ["state", "state-rootless"];
/// Longest wait for several runs of a pod.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Whose podman runs the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Root's.
    Root,
    /// That of a user, used by root's agent.
    User,
    /// That of a user, used by the user's own agent.
    UserAlone,
}

/// A device with a folder that only the owner of its podman may enter.
pub struct Stage {
    /// The podman.
    pub podman: HermeticPodman,
    /// The device.
    pub device: Device,
    whose: Whose,
}

impl Stage {
    /// Sets the stage.
    pub fn of(whose: Whose) -> Self {
        Self::on(Device::with_manifests(), whose)
    }

    /// Sets the stage, with the agent's state in memory: disks take their time for each folder.
    pub fn in_memory(whose: Whose) -> Self {
        let device = Device::with_manifests();
        for state in STATES {
            std::fs::create_dir(device.path(state)).unwrap();
            let mode = if state == STATES[0] { "mode=0700" } else { "mode=0711" };
            let mut mount = Command::new("mount");
            let mount = mount.args(["-t", "tmpfs", "-o", mode, "tmpfs"]).arg(device.path(state));
            assert!(mount.status().unwrap().success());
        }
        // Afterwards, so that it sees the mounts.
        Self::on(device, whose)
    }

    fn on(mut device: Device, whose: Whose) -> Self {
        let podman = match whose {
            Whose::Root => {
                let podman = HermeticPodman::rootful();
                device = device.on(&podman);
                podman
            }
            Whose::User | Whose::UserAlone => {
                let podman = HermeticPodman::rootless();
                device = device.on_user(&podman);
                podman
            }
        };
        let mut stage = Self { podman, device, whose };
        std::fs::create_dir(stage.host_only()).unwrap();
        stage.device.write("host-only/treasure", TREASURE);
        stage.shut("host-only/treasure", 0o600);
        stage.shut("host-only", 0o700);
        std::fs::create_dir(stage.device.path("log")).unwrap();
        stage.shut("log", 0o777);
        if whose == Whose::UserAlone {
            stage.be_the_user();
        }
        stage
    }

    /// Turns the agent into one of the podman's owner.
    fn be_the_user(&mut self) {
        std::fs::create_dir(self.device.path(STATES[0])).unwrap();
        self.shut(STATES[0], 0o700);
        let owner = std::fs::metadata(self.podman.socket()).unwrap();
        let (user, group) = (owner.uid(), owner.gid());
        let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
        self.device.settings.through(&["setpriv", &user, &group, "--clear-groups"]);
        // Naming root's socket would say that this agent may use it.
        self.device.settings.unset("PODMAN_SOCKET");
    }

    /// Makes something in the device's folder the property of the owner of the podman.
    pub fn shut(&self, name: &str, mode: u32) {
        let path = self.device.path(name);
        let owner = std::fs::metadata(self.podman.socket()).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Returns the folder that no container may get at.
    pub fn host_only(&self) -> PathBuf {
        self.device.path("host-only")
    }

    /// Returns the folder with the volumes of a workload's pod, and its name.
    pub fn volumes(&self) -> PathBuf {
        self.device.path(match self.whose {
            Whose::Root => "state/volumes/rootful",
            Whose::User => "state-rootless/volumes",
            Whose::UserAlone => "state/volumes/rootless",
        })
    }

    /// Gives the agent a workload; the pod's containers also get the folder `log` as `/log`.
    pub fn apply(&self, name: &str, pod: &Value) {
        let mut pod = pod.clone();
        let log = json!({"name": "log", "hostPath": {"path": self.device.path("log")}});
        pod["volumes"].as_array_mut().unwrap().push(log);
        for list in ["initContainers", "containers"] {
            for container in pod[list].as_array_mut().into_iter().flatten() {
                container["image"] = json!(IMAGE);
                let mounts = container["volumeMounts"].as_array_mut().unwrap();
                mounts.push(json!({"name": "log", "mountPath": "/log"}));
            }
        }
        let more = json!({"rootless": self.whose != Whose::Root});
        self.device.apply(name, &manifest(name, &pod, more));
    }

    /// Returns what containers have written to a file in `/log`.
    pub fn logged(&self, file: &str) -> String {
        std::fs::read_to_string(self.device.path("log").join(file)).unwrap_or_default()
    }

    /// Waits until containers have tried so often, or the agent gives a reason with all `parts` for
    /// not running the workload. Returns whether it was a reason.
    pub fn tried_or_refused(&self, agent: &Agent, times: usize, parts: &[&str]) -> bool {
        let done = || {
            let reason = agent.job("web")?["reason"].as_str().unwrap_or_default().to_owned();
            if !parts.is_empty() && parts.iter().all(|part| reason.contains(part)) {
                return Some(true);
            }
            (self.logged("tries").lines().count() >= times).then_some(false)
        };
        let what = format!("{times} tries, or a refusal with {parts:?}");
        eventually_within(PATIENCE, &what, done, || {
            format!("{:?} {:?}\n{}", agent.job("web"), self.logged("tries"), agent.tail())
        })
    }

    /// Checks that no container has seen or touched what is for none.
    pub fn assert_untouched(&self) {
        let seen = self.logged("seen");
        assert!(!seen.contains(TREASURE), "a container has read the host's file: {seen}");
        let treasure = std::fs::read_to_string(self.host_only().join("treasure")).unwrap();
        assert_eq!(treasure, TREASURE, "a container has written to the host's file");
        let stolen = self.host_only().join(STOLEN);
        assert!(!stolen.exists(), "a container has made a file on the host");
    }
}

impl Drop for Stage {
    /// What a failed test leaves may be deeper than the standard library removes.
    fn drop(&mut self) {
        for state in STATES.map(|state| self.device.path(state)) {
            let _ = Command::new("umount").arg("-l").arg(&state).stderr(Stdio::null()).status();
            let _ = Command::new("rm").arg("-rf").arg(&state).status();
        }
    }
}

/// Returns a container that runs `script` under a shell with these mounts.
pub fn container(name: &str, script: &str, mounts: Value) -> Value {
    json!({"name": name, "command": ["/bin/sh", "-c", script], "volumeMounts": mounts})
}

/// Returns the script of a container that takes what it gets at in `folder`.
pub fn looting(folder: &str) -> String {
    format!(
        "cat {folder}/treasure >>/log/seen 2>&1; \
         cat {folder}{host}/treasure >>/log/seen 2>&1; \
         echo gone >{folder}/{STOLEN}; echo try >>/log/tries",
        host = "/tmp/dwa*/host-only",
    )
}

/// Ends a script so that its container goes on for ever.
pub const AND_STAY: &str = "; while :; do sleep 0.2; done";
