//! What a runtime is given for a [`Workload`]: a pod that marks itself as ours and that podman
//! runs as Kubernetes would.
//!
//! podman differs from Kubernetes where it hurts: it restarts ended containers at once, asks the
//! registry for images that it has, shares an `emptyDir` between pods that call it the same, hands
//! out the base64 text of a secret. So it is given none of that: environment and volumes are
//! resolved here, to plain values and to folders of the agent's own.

mod environment;
mod resources;
#[cfg(test)]
mod tests;
pub(crate) mod volumes;

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::workload::{DeviceId, Limits, RestartPolicy, Workload};

pub(crate) use resources::container_limits;
pub(crate) use volumes::VolumeFolder;

/// Names the program that owns an object; its value is [`AGENT`].
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] for everything that is ours.
pub(crate) const AGENT: &str = "device-worker-ng";
/// Carries the hash part of the workload id.
const HASH: &str = "project-flotta.io";
/// Carries the workload id.
pub(crate) const ID: &str = "device-worker-ng/id";
/// Carries the EdgeWorkload's name.
pub(crate) const WORKLOAD: &str = "device-worker-ng/workload";
/// Carries the device's id.
const DEVICE: &str = "device-worker-ng/device";
/// Carries the kernel's boot id at creation: an end from before a reboot completes nothing.
pub(crate) const BOOT_ID: &str = "device-worker-ng/boot-id";
/// Carries the number of containers, so that a pod that lacks some is recognised.
pub(crate) const CONTAINERS: &str = "device-worker-ng/containers";
/// Carries the restart policy that the author wished; the pod itself has `Never`.
const RESTART_POLICY: &str = "device-worker-ng/restart-policy";

/// The variable by which a container learns the device's id.
const DEVICE_ID: &str = "DEVICE_ID";
/// Longest value of a Kubernetes label; podman 4.3 wants annotations as short.
const MAX_VALUE: usize = 63;
/// Longest annotations that travel in a request's address.
const MAX_ANNOTATIONS: usize = 64 * 1024;

/// What the device says about how a pod is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodContext<'a> {
    /// The device's id.
    pub device_id: &'a DeviceId,
    /// The kernel's boot id.
    pub boot_id: &'a str,
    /// The folder below which volumes of ours live.
    pub volumes_root: &'a Path,
    /// Limits in force by condition.
    pub limits: Limits,
    /// Whether the runtime can limit resources: rootless podman on cgroup v1 cannot.
    pub can_limit: bool,
}

/// A pod and what has to be there before podman is given it.
#[derive(Clone, Debug)]
pub(crate) struct PodPlan {
    /// The pod.
    pub pod: Pod,
    /// The folders that it mounts, to be made first.
    pub folders: Vec<VolumeFolder>,
    /// Annotations that are too long for the manifest.
    pub long_annotations: BTreeMap<String, String>,
    /// Whether the pod uses the device's own network.
    pub host_network: bool,
    /// What could not be given as the author wrote it, in plain words.
    pub warnings: Vec<String>,
}

/// Why podman cannot be given a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    /// A pod without containers.
    #[error("the pod has no containers")]
    NoContainers,
    /// A volume of a kind that podman does not know.
    #[error(
        "volume {volume} is of kind {kind}; podman knows emptyDir, configMap, secret, hostPath \
         and persistentVolumeClaim"
    )]
    VolumeKind {
        /// The volume's name.
        volume: String,
        /// The kind as the manifest names it.
        kind: String,
    },
    /// A container mounts what the pod does not declare.
    #[error("container {container} mounts volume {volume}, which the pod does not declare")]
    UndeclaredVolume {
        /// The container's name.
        container: String,
        /// The volume's name.
        volume: String,
    },
    /// A path leads out of its volume.
    #[error("volume {volume} names the path {path}, which must stay within the volume")]
    UnsafePath {
        /// The volume's name.
        volume: String,
        /// The path.
        path: String,
    },
    /// A mount asks for a part of a volume that the agent cannot find.
    #[error("container {container} mounts {path} of volume {volume}, which is not there")]
    SubPath {
        /// The container's name.
        container: String,
        /// The volume's name.
        volume: String,
        /// The path within the volume.
        path: String,
    },
    /// A config map or secret did not come with the workload.
    #[error("{kind} {name} is not part of the configuration")]
    Missing {
        /// `config map` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A config map or secret lacks a key.
    #[error("{kind} {name} has no key {key}")]
    MissingKey {
        /// `config map` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The value of a variable is not text.
    #[error("variable {variable} of container {container} is not text")]
    NotText {
        /// The container's name.
        container: String,
        /// The variable.
        variable: String,
    },
    /// A variable refers to what only a cluster knows.
    #[error("variable {variable} of container {container} asks for {field}, which podman lacks")]
    VariableSource {
        /// The container's name.
        container: String,
        /// The variable.
        variable: String,
        /// The field asked for.
        field: String,
    },
    /// An init container that keeps running.
    #[error("init container {container} has a restartPolicy; podman has no sidecars")]
    Sidecar {
        /// The container's name.
        container: String,
    },
}

/// Returns the labels by which every runtime marks a pod as ours.
pub(crate) fn ownership_labels(
    workload: &Workload,
    device_id: &DeviceId,
) -> BTreeMap<String, String> {
    let id = workload.id.as_str();
    let hash = id.rsplit_once('-').map_or(id, |(_, hash)| hash);
    [
        (MANAGED_BY, AGENT),
        (HASH, hash),
        (ID, id),
        (WORKLOAD, label_value(workload.name.as_str())),
        (DEVICE, label_value(device_id.as_str())),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// Returns the variable by which every container learns the device's id.
pub(crate) fn device_id_env(device_id: &DeviceId) -> EnvVar {
    EnvVar {
        name: DEVICE_ID.to_owned(),
        value: Some(device_id.as_str().to_owned()),
        value_from: None,
    }
}

/// Cuts `text` to what a label may hold.
fn label_value(text: &str) -> &str {
    let end = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= MAX_VALUE)
        .last()
        .unwrap_or(0);
    text.get(..end).unwrap_or_default().trim_end_matches(['-', '.', '_'])
}

/// Returns what podman is given for `workload`.
///
/// # Errors
/// The specification asks for what podman cannot do, or refers to what is not there.
pub(crate) fn podman_pod(
    workload: &Workload,
    context: &PodContext<'_>,
) -> Result<PodPlan, ManifestError> {
    let mut warnings = Vec::new();
    let mut spec = workload.pod.clone();
    if spec.containers.is_empty() {
        return Err(ManifestError::NoContainers);
    }
    let host_network = spec.host_network.unwrap_or(false);
    let count = spec.containers.len();
    let folders = volumes::rewrite(workload, context.volumes_root, &mut spec, &mut warnings)?;
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.is_some() {
            let container = container.name.clone();
            return Err(ManifestError::Sidecar { container });
        }
    }
    for container in containers(&mut spec) {
        let env = environment::resolve(container, workload, context.device_id, &mut warnings)?;
        container.env = Some(env);
        container.env_from = None;
        container.image_pull_policy = Some("Never".to_owned());
        keep_host_ports(container, host_network);
        drop_probes(container, &mut warnings);
    }
    resources::apply(&mut spec, context, count, &mut warnings);
    spec.restart_policy = Some("Never".to_owned());
    spec.image_pull_secrets = None;

    let (annotations, long_annotations) = split_annotations(&workload.annotations, &mut warnings);
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(workload.id.as_str().to_owned()),
            labels: Some(pod_labels(workload, context, count)),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    };
    Ok(PodPlan { pod, folders, long_annotations, host_network, warnings })
}

fn pod_labels(
    workload: &Workload,
    context: &PodContext<'_>,
    containers: usize,
) -> BTreeMap<String, String> {
    let policy = match workload.restart_policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    };
    let mut labels = workload.labels.clone();
    labels.extend(ownership_labels(workload, context.device_id));
    labels.extend([
        // podman has no limit on labels, and the name is what an observation is told by.
        (WORKLOAD.to_owned(), workload.name.as_str().to_owned()),
        (BOOT_ID.to_owned(), context.boot_id.to_owned()),
        (CONTAINERS.to_owned(), containers.to_string()),
        (RESTART_POLICY.to_owned(), policy.to_owned()),
    ]);
    labels
}

/// Every container of the pod, init containers first.
fn containers(spec: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    let init = spec.init_containers.iter_mut().flatten();
    init.chain(spec.containers.iter_mut())
}

/// podman 4.3 publishes every container port, and refuses any beside the host's network.
fn keep_host_ports(container: &mut Container, host_network: bool) {
    if let Some(ports) = &mut container.ports {
        ports.retain(|port| !host_network && port.host_port.is_some());
    }
    container.ports.take_if(|ports| ports.is_empty());
}

/// podman runs probes only under systemd, and then acts on them itself.
fn drop_probes(container: &mut Container, warnings: &mut Vec<String>) {
    let probes = [
        ("livenessProbe", container.liveness_probe.take().is_some()),
        ("readinessProbe", container.readiness_probe.take().is_some()),
        ("startupProbe", container.startup_probe.take().is_some()),
        ("lifecycle", container.lifecycle.take().is_some()),
    ];
    for (probe, _) in probes.into_iter().filter(|(_, present)| *present) {
        let name = &container.name;
        warnings.push(format!("container {name}: {probe} is ignored on podman"));
    }
}

/// Parts annotations into those for the manifest and those that are too long for it.
fn split_annotations(
    annotations: &BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (short, mut long): (BTreeMap<_, _>, BTreeMap<_, _>) =
        annotations.clone().into_iter().partition(|(_, value)| value.len() <= MAX_VALUE);
    let mut size = 0;
    long.retain(|key, value| {
        size += key.len() + value.len();
        let fits = size <= MAX_ANNOTATIONS;
        if !fits {
            warnings.push(format!("annotation {key} is too long for podman"));
        }
        fits
    });
    (short, long)
}
