//! Which runtimes the settings give the agent, and why each other one is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use actors::k8s_executor::ClusterAccess;
use actors::podman_executor::ExpectedPeer;
use actors::workload::ExecutorKind;

use crate::config::{Access, Config};

/// One podman service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Podman {
    /// Its socket.
    pub socket: PathBuf,
    /// Whose podman has to listen there.
    pub expected: ExpectedPeer,
    /// Where the agent keeps the volumes of its pods.
    pub volumes_root: PathBuf,
}

/// The runtimes that get an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtimes {
    /// Root's podman.
    pub rootful: Option<Podman>,
    /// The user's podman.
    pub rootless: Option<Podman>,
    /// The cluster.
    pub cluster: Option<ClusterAccess>,
    /// For each of the others: how to get it, in plain words.
    pub unconfigured: BTreeMap<ExecutorKind, String>,
}

/// Decides which runtimes get an executor.
#[must_use]
pub fn runtimes(config: &Config) -> Runtimes {
    let volumes = config.state_dir.join("volumes");
    let rootful = config.may_use_rootful_podman.then(|| Podman {
        socket: config.podman_socket.clone(),
        expected: ExpectedPeer::RootOrOwn,
        volumes_root: volumes.join("rootful"),
    });
    let rootless = config.podman_rootless_socket.clone().map(|socket| Podman {
        expected: user(config.is_root, config.xdg_runtime_dir.as_deref(), &socket),
        socket,
        volumes_root: user_volumes(config),
    });
    let mut unconfigured = BTreeMap::new();
    if rootful.is_none() {
        let way_out = "rootful pods need an agent that runs as root, or PODMAN_SOCKET naming a \
                       socket that it may use; else write rootless: true in the workload";
        unconfigured.insert(ExecutorKind::PodmanRootful, way_out.to_owned());
    }
    if rootless.is_none() {
        let way_out = "rootless pods need XDG_RUNTIME_DIR, the runtime directory of the user who \
                       runs them, /run/user/1000";
        unconfigured.insert(ExecutorKind::PodmanRootless, way_out.to_owned());
    }
    if config.cluster.is_none() {
        let way_out = "k8s workloads need KUBECONFIG, the file with the access to a cluster";
        unconfigured.insert(ExecutorKind::K8s, way_out.to_owned());
    }
    Runtimes { rootful, rootless, cluster: config.cluster.clone(), unconfigured }
}

/// Returns the podman services that `access` names, root's first: their sockets, and who has to listen there.
#[must_use]
pub fn podmans(access: &Access) -> Vec<(ExecutorKind, PathBuf, ExpectedPeer)> {
    let rootful = access.podman_socket.clone();
    let rootful =
        rootful.map(|socket| (ExecutorKind::PodmanRootful, socket, ExpectedPeer::RootOrOwn));
    let rootless = access.podman_rootless_socket.clone().map(|socket| {
        let expected = user(access.is_root, access.xdg_runtime_dir.as_deref(), &socket);
        (ExecutorKind::PodmanRootless, socket, expected)
    });
    rootful.into_iter().chain(rootless).collect()
}

/// Returns who the user is that runs rootless pods: under an agent of root the one who owns the runtime
/// directory, or, where none was named, the folder of the socket.
fn user(is_root: bool, runtime_dir: Option<&Path>, socket: &Path) -> ExpectedPeer {
    let folder = runtime_dir.or_else(|| socket.parent());
    match folder.filter(|_| is_root) {
        Some(folder) => ExpectedPeer::OwnerOf(folder.to_owned()),
        None => ExpectedPeer::Own,
    }
}

/// Returns where the volumes of the user's podman live. Its user cannot look into root's state
/// directory, and root must not write where he could put a link in its way: so they get a directory
/// of root's beside it, through which he may pass, `/var/lib/device-worker-ng-rootless`.
fn user_volumes(config: &Config) -> PathBuf {
    match config.state_dir.file_name().filter(|_| config.is_root) {
        Some(name) => {
            let mut beside = name.to_owned();
            beside.push("-rootless");
            config.state_dir.with_file_name(beside).join("volumes")
        }
        None => config.state_dir.join("volumes").join("rootless"),
    }
}
