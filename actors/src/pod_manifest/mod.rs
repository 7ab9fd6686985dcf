//! What a runtime is given for a [`Workload`]: a pod that marks itself as ours and that podman
//! runs as Kubernetes would.
//!
//! podman differs from Kubernetes where it hurts: it restarts ended containers at once, asks the
//! registry for images that it has, shares an `emptyDir` between pods that call it the same, hands
//! out the base64 text of a secret. So it is given none of that: environment and volumes are
//! resolved here, to plain values and to folders of the agent's own.

mod containers;
mod context;
mod environment;
pub(crate) mod hooks;
pub(crate) mod host_paths;
mod labels;
mod manifest_error;
pub(crate) mod probes;
pub(crate) mod quantities;
mod resources;
pub(crate) mod volumes;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::workload::{DeviceId, Limits, Workload};
use containers::{all, drop_probes_and_hooks, ignored, keep_host_ports, newer, non_root};
use environment::downward::Downward;
use host_paths::HostView;
use labels::{DEVICE_ID, MAX_VALUE, pod_labels};

pub(crate) use context::{LimitSupport, PodContext, PodmanFacts};
pub use context::{Trail, Trails};
pub(crate) use labels::{
    AGENT, BOOT_ID, CONTAINERS, DEVICE, ID, MANAGED_BY, WORKLOAD, device_id_env, device_label,
};
pub(crate) use manifest_error::ManifestError;
pub(crate) use resources::{ContainerLimits, container_limits};
pub use volumes::{VolumeFile, VolumeFolder};

/// The system that podman runs, by Kubernetes' name.
const LINUX: &str = "linux";
/// Stands for a podman that nothing is known of.
const DESK: PodmanFacts = PodmanFacts { version: None, cpus: 1, memory: 1 << 30 };
/// Longest annotations that travel in a request's address.
const MAX_ANNOTATIONS: usize = 64 * 1024;

/// A pod and what has to be there before podman is given it. Its variables hold the values of
/// secrets: `Debug` shows none.
#[derive(Clone)]
pub(crate) struct PodPlan {
    /// What podman is asked to play.
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

impl fmt::Debug for PodPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodPlan")
            .field("pod", &self.pod.metadata.name)
            .field("folders", &self.folders)
            .field("host_network", &self.host_network)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Returns what podman is given for `workload`.
///
/// # Errors
/// The specification asks for what podman cannot do, or refers to what is not there.
pub(crate) fn podman_pod(
    workload: &Workload,
    context: &PodContext<'_>,
) -> Result<PodPlan, ManifestError> {
    let mut warnings = ignored(&workload.pod);
    let mut spec = workload.pod.clone();
    if spec.containers.is_empty() {
        return Err(ManifestError::NoContainers);
    }
    let mut init_containers = spec.init_containers.iter().flatten();
    if let Some(sidecar) = init_containers.find(|it| it.restart_policy.is_some()) {
        return Err(ManifestError::Sidecar { container: sidecar.name.clone() });
    }
    if let Some(os) = spec.os.take().filter(|os| os.name != LINUX) {
        return Err(ManifestError::System { name: os.name });
    }
    quantities::check(&spec)?;
    newer::check(&spec, context.podman.version, &mut warnings)?;
    non_root::check(&spec, &mut warnings)?;
    warnings.extend(probes::pod_probes(&spec, workload.executor)?.unreachable);
    warnings.extend(hooks::pod_hooks(&spec, workload.executor)?.unreachable);
    let host_network = spec.host_network.unwrap_or(false);
    let count = spec.containers.len();
    host_paths::check(workload, context)?;
    let downward = Downward { workload, device_id: context.device_id, podman: context.podman };
    let folders = volumes::rewrite(downward, context, &mut spec, &mut warnings)?;
    for container in all(&mut spec) {
        environment::resolve(container, downward, &mut warnings)?;
        container.image_pull_policy = Some("Never".to_owned());
        keep_host_ports(container, host_network);
        drop_probes_and_hooks(container, &mut warnings);
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

/// Returns what podman would not be given of `workload` as its author wrote it, in plain words, found
/// without a podman.
///
/// # Errors
/// Why it cannot be given the workload at all, as far as that does not depend on the device's disk.
pub(crate) fn rehearse(workload: &Workload, device_id: &DeviceId) -> Result<Vec<String>, String> {
    let context = PodContext {
        device_id,
        boot_id: "",
        volumes_root: Path::new("/var/lib/device-worker-ng/volumes"),
        memory_root: Some(Path::new("/run/device-worker-ng-memory")),
        limits: Limits::default(),
        support: LimitSupport { cpu: true, memory: true },
        host: HostView::default(),
        podman: DESK,
    };
    podman_pod(workload, &context).map(|plan| plan.warnings).map_err(|error| error.to_string())
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

#[cfg(test)]
mod tests;
