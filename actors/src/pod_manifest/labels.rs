//! The marks by which a pod is known as ours, and by which it says whose container it is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVar;

use super::PodContext;
use crate::workload::{DeviceId, RestartPolicy, Workload};

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
/// Carries the device's id, as [`device_label`] cuts it.
pub(crate) const DEVICE: &str = "device-worker-ng/device";
/// Carries the kernel's boot id at creation: an end from before a reboot completes nothing.
pub(crate) const BOOT_ID: &str = "device-worker-ng/boot-id";
/// Carries the number of containers, so that a pod that lacks some is recognised.
pub(crate) const CONTAINERS: &str = "device-worker-ng/containers";
/// Carries the restart policy that the author wished; the pod itself has `Never`.
const RESTART_POLICY: &str = "device-worker-ng/restart-policy";

/// The variable by which a container learns the device's id.
pub(super) const DEVICE_ID: &str = "DEVICE_ID";
/// Longest value of a Kubernetes label; podman 4.3 wants annotations as short.
pub(super) const MAX_VALUE: usize = 63;

/// Returns the labels by which every runtime marks a pod as ours.
fn ownership_labels(workload: &Workload, device_id: &DeviceId) -> BTreeMap<String, String> {
    let id = workload.id.as_str();
    let hash = id.rsplit_once('-').map_or(id, |(_, hash)| hash);
    [
        (MANAGED_BY, AGENT),
        (HASH, hash),
        (ID, id),
        (WORKLOAD, label_value(workload.name.as_str())),
        (DEVICE, device_label(device_id)),
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

/// Returns the value of [`DEVICE`] on pods of this device.
pub(crate) fn device_label(device_id: &DeviceId) -> &str {
    label_value(device_id.as_str())
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

/// Returns the labels of a pod on podman.
pub(super) fn pod_labels(
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
        // podman has no limit on labels, and observations are matched by the name.
        (WORKLOAD.to_owned(), workload.name.as_str().to_owned()),
        (BOOT_ID.to_owned(), context.boot_id.to_owned()),
        (CONTAINERS.to_owned(), containers.to_string()),
        (RESTART_POLICY.to_owned(), policy.to_owned()),
    ]);
    labels
}
