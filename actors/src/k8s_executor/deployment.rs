//! A workload as the objects that are applied to a cluster: Deployment, config maps, secrets.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, LocalObjectReference, PodSpec, PodTemplateSpec, Secret,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use sha2::{Digest as _, Sha256};

use super::contents::{config_map, pull_secret, secret};
use super::references::{Brought, rename};
use crate::pod_manifest::container_limits;
use crate::workload::{DeviceId, Limits, Workload, WorkloadId};

/// Value of [`MANAGED_BY_LABEL`], and the field manager of every change.
pub(super) const MANAGER: &str = "device-worker-ng";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Label of every object with the device that it belongs to.
pub(super) const DEVICE_LABEL: &str = "device-worker-ng/device";
/// Label of every object with the workload's id.
pub(super) const ID_LABEL: &str = "device-worker-ng/id";
/// Label and annotation with the workload's name; the label is cut to what a label holds.
pub(super) const WORKLOAD_LABEL: &str = "device-worker-ng/workload";
/// Label of a Deployment with the hash of its `spec` when the agent last wrote it: another one is a
/// change from outside the agent. The generation would not do, as it counts changed annotations, the
/// cluster's own among them; nor an annotation.
pub(crate) const WRITTEN_LABEL: &str = "device-worker-ng/written";
/// Longest name of an object.
const MAX_NAME: usize = 253;
/// Longest value of a label.
const MAX_LABEL: usize = 63;
/// Bytes of a hash that names and labels carry: 12 hex digits.
const HASH_LEN: usize = 6;
/// Microseconds of CPU time in a period of 100 ms that make a thousandth of a core.
const MICROSECONDS_PER_MILLICORE: u64 = 100;

/// Everything that is applied to a cluster for one workload.
#[derive(Clone, PartialEq)]
pub struct Objects {
    /// Which specification.
    pub id: WorkloadId,
    /// Where all of them live.
    pub namespace: String,
    /// The Deployment; see `object_name`.
    pub deployment: Deployment,
    /// The workload's config maps, by names of ours.
    pub config_maps: Vec<ConfigMap>,
    /// The workload's secrets and its registry credentials, by names of ours.
    pub secrets: Vec<Secret>,
}

impl fmt::Debug for Objects {
    /// Names them only: what they hold is confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({}/{})", self.namespace, self.id)
    }
}

/// Returns the selector of everything on the cluster that belongs to `device`.
pub(super) fn device_selector(device: &DeviceId) -> String {
    format!("{MANAGED_BY_LABEL}={MANAGER},{DEVICE_LABEL}={device}")
}

/// Returns the selector of everything that belongs to one specification on `device`.
pub(super) fn workload_selector(device: &DeviceId, id: &WorkloadId) -> String {
    format!("{},{ID_LABEL}={id}", device_selector(device))
}

/// Returns the objects for `workload`.
pub(crate) fn objects(workload: &Workload, limits: Limits, device: &DeviceId) -> Objects {
    let base = object_name(workload, device);
    let own_name = |name: &str| content_name(&base, name);
    // Also without credentials: to name it only then would restart the pod when the first come or the
    // last go, and these would stay on the cluster. A dot keeps it apart from the workload's own
    // secrets, whose names follow a dash.
    let registries = format!("{base}.registries");
    let mut pod = workload.pod.clone();
    rename(&mut pod, &brought(workload), own_name);
    let pull_secrets = pod.image_pull_secrets.get_or_insert_default();
    pull_secrets.push(LocalObjectReference { name: registries.clone() });
    add_device_id(&mut pod, device);
    share_limits(&mut pod, workload, limits);
    // A Deployment knows no other; the cluster restarts its pods itself.
    pod.restart_policy = Some("Always".to_owned());

    let config_maps = workload.config_maps.iter();
    let secrets = workload.secrets.iter();
    Objects {
        id: workload.id.clone(),
        namespace: workload.namespace.clone(),
        deployment: deployment(workload, pod, device),
        config_maps: config_maps
            .map(|map| config_map(map, metadata(workload, own_name(&map.name), device)))
            .collect(),
        secrets: secrets
            .map(|one| secret(one, metadata(workload, own_name(&one.name), device)))
            .chain([pull_secret(&workload.registries, metadata(workload, registries, device))])
            .collect(),
    }
}

/// Returns the name of the workload's Deployment, with which the names of all that it brings begin.
/// The id alone would not do: devices of one namespace often run the same specification.
fn object_name(workload: &Workload, device: &DeviceId) -> String {
    format!("{}-{}", workload.id, hash(device.as_str().as_bytes()))
}

/// Returns the name of what a workload brings as `name`; too long, its end becomes a hash of the whole.
fn content_name(base: &str, name: &str) -> String {
    let whole = format!("{base}-{name}");
    if whole.len() <= MAX_NAME {
        return whole;
    }
    let hash = hash(name.as_bytes());
    let begin = &whole[..whole.floor_char_boundary(MAX_NAME - hash.len() - 1)];
    format!("{}-{hash}", begin.trim_end_matches(|last: char| !last.is_ascii_alphanumeric()))
}

/// Returns a hash that names and labels can carry.
pub(super) fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().take(HASH_LEN).map(|byte| format!("{byte:02x}")).collect()
}

fn brought(workload: &Workload) -> Brought<'_> {
    let config_maps = workload.config_maps.iter();
    let secrets = workload.secrets.iter();
    Brought {
        config_maps: config_maps.map(|map| map.name.as_str()).collect(),
        secrets: secrets.map(|secret| secret.name.as_str()).collect(),
    }
}

fn deployment(workload: &Workload, pod: PodSpec, device: &DeviceId) -> Deployment {
    let id = workload.id.as_str();
    let selector = BTreeMap::from([
        (DEVICE_LABEL.to_owned(), device.to_string()),
        (ID_LABEL.to_owned(), id.to_owned()),
    ]);
    let mut template = ObjectMeta {
        labels: Some(workload.labels.clone()),
        annotations: Some(workload.annotations.clone()),
        ..ObjectMeta::default()
    };
    let ours = metadata(workload, object_name(workload, device), device);
    merge(&mut template.labels, ours.labels.as_ref());
    merge(&mut template.annotations, ours.annotations.as_ref());
    Deployment {
        metadata: ours,
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            // Old and new pod may want the same port or volume of the node.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            }),
            template: PodTemplateSpec { metadata: Some(template), spec: Some(pod) },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn merge(into: &mut Option<BTreeMap<String, String>>, ours: Option<&BTreeMap<String, String>>) {
    let into = into.get_or_insert_default();
    into.extend(ours.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
}

fn metadata(workload: &Workload, name: String, device: &DeviceId) -> ObjectMeta {
    let workload_name = workload.name.as_str();
    let labels = [
        (MANAGED_BY_LABEL, MANAGER),
        (DEVICE_LABEL, device.as_str()),
        (WORKLOAD_LABEL, label_value(workload_name)),
        (ID_LABEL, workload.id.as_str()),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let annotations = [(WORKLOAD_LABEL.to_owned(), workload_name.to_owned())];
    ObjectMeta {
        name: Some(name),
        namespace: Some(workload.namespace.clone()),
        labels: Some(labels.into()),
        annotations: Some(annotations.into()),
        ..ObjectMeta::default()
    }
}

/// Cuts a name, which may have 253 characters, to what a label may hold.
fn label_value(name: &str) -> &str {
    let end = name.floor_char_boundary(MAX_LABEL);
    name[..end].trim_end_matches(|last: char| !last.is_ascii_alphanumeric())
}

fn add_device_id(pod: &mut PodSpec, device: &DeviceId) {
    let init = pod.init_containers.iter_mut().flatten();
    for container in init.chain(&mut pod.containers) {
        let env = container.env.get_or_insert_default();
        env.retain(|variable| variable.name != "DEVICE_ID");
        env.push(EnvVar {
            name: "DEVICE_ID".to_owned(),
            value: Some(device.to_string()),
            value_from: None,
        });
    }
}

/// Limits the pod by giving each container an equal share: a cluster limits containers only. What
/// the specification limits more narrowly itself stays as it is.
fn share_limits(pod: &mut PodSpec, workload: &Workload, limits: Limits) {
    let own = container_limits(workload, Limits::default());
    let narrowed = container_limits(workload, limits);
    for (container, (own, narrowed)) in pod.containers.iter_mut().zip(own.iter().zip(&narrowed)) {
        if let Some(microseconds) = narrowed.cpu.filter(|_| narrowed.cpu != own.cpu) {
            let millicores = (microseconds / MICROSECONDS_PER_MILLICORE).max(1);
            limit(container, "cpu", format!("{millicores}m"));
        }
        if let Some(bytes) = narrowed.memory.filter(|_| narrowed.memory != own.memory) {
            limit(container, "memory", bytes.to_string());
        }
    }
}

fn limit(container: &mut Container, resource: &str, share: String) {
    let resources = container.resources.get_or_insert_default();
    let limits = resources.limits.get_or_insert_default();
    limits.insert(resource.to_owned(), Quantity(share));
    // A request above its limit is refused; without one, the cluster takes the limit for it.
    if let Some(requests) = &mut resources.requests {
        requests.remove(resource);
    }
}

#[cfg(test)]
mod tests;
