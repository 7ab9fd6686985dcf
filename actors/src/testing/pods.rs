//! What podman and a cluster are given of a workload's pod, to hold the documents to.

use std::path::Path;

use serde_json::Value;

use crate::k8s_executor::objects;
use crate::pod_manifest::host_paths::HostView;
use crate::pod_manifest::{LimitSupport, PodContext, PodmanFacts, podman_pod};
use crate::workload::{DeviceId, Limits, Workload};

/// Returns the specification of the pod that a podman of today is given; an error if it is given none.
///
/// # Errors
/// Why it is given none.
pub fn on_podman(workload: &Workload, device: &DeviceId) -> Result<Value, String> {
    let context = PodContext {
        device_id: device,
        boot_id: "boot",
        volumes_root: Path::new("/volumes"),
        memory_root: None,
        limits: Limits::default(),
        support: LimitSupport { cpu: true, memory: true },
        host: HostView::default(),
        podman: PodmanFacts { version: Some((5, 8)), cpus: 4, memory: 1 << 30 },
    };
    let plan = podman_pod(workload, &context).map_err(|error| error.to_string())?;
    serde_json::to_value(plan.pod.spec).map_err(|error| error.to_string())
}

/// Returns the specification of the pod that a cluster is given.
#[must_use]
pub fn on_cluster(workload: &Workload, device: &DeviceId) -> Value {
    let spec = objects(workload, Limits::default(), device).deployment.spec;
    serde_json::to_value(spec.and_then(|spec| spec.template.spec)).unwrap_or_default()
}
