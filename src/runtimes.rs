//! Which runtimes the settings give the agent, and what to tell those who want another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use actors::workload::ExecutorKind;

use crate::config::Config;

/// One podman service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Podman {
    /// Its socket.
    pub socket: PathBuf,
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
    pub kubeconfig: Option<PathBuf>,
    /// For each of the others: how to get it, in plain words.
    pub unconfigured: BTreeMap<ExecutorKind, String>,
}

/// Decides which runtimes get an executor.
#[must_use]
pub fn runtimes(config: &Config) -> Runtimes {
    let volumes = config.state_dir.join("volumes");
    let rootful = config.may_use_rootful_podman.then(|| Podman {
        socket: config.podman_socket.clone(),
        volumes_root: volumes.join("rootful"),
    });
    // The user's podman cannot look into the state directory of root.
    let user_volumes = config.xdg_runtime_dir.as_ref().filter(|_| config.is_root).map_or_else(
        || volumes.join("rootless"),
        |runtime_dir| runtime_dir.join("device-worker-ng").join("volumes"),
    );
    let rootless = config
        .podman_rootless_socket
        .clone()
        .map(|socket| Podman { socket, volumes_root: user_volumes });
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
    if config.kubeconfig.is_none() {
        let way_out = "k8s workloads need KUBECONFIG, the file with the access to a cluster";
        unconfigured.insert(ExecutorKind::K8s, way_out.to_owned());
    }
    Runtimes { rootful, rootless, kubeconfig: config.kubeconfig.clone(), unconfigured }
}
