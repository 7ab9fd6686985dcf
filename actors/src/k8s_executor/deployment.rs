//! A workload as the objects that a cluster shall hold: Deployment, config maps, secrets.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, LocalObjectReference, PodSpec, PodTemplateSpec, Secret,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::references::{Brought, rename};
use crate::pod_manifest::container_limits;
use crate::workload::{self, DeviceId, Limits, RegistryCredentials, Workload, WorkloadId};

/// Value of [`MANAGED_BY_LABEL`], and the field manager of every change.
pub(super) const MANAGER: &str = "device-worker-ng";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Label of every object with the device that it belongs to.
pub(super) const DEVICE_LABEL: &str = "device-worker-ng/device";
/// Label of every object with the workload's id.
pub(super) const ID_LABEL: &str = "device-worker-ng/id";
/// Label and annotation with the workload's name; the label is cut to what a label holds.
pub(super) const WORKLOAD_LABEL: &str = "device-worker-ng/workload";
/// Longest value of a label.
const MAX_LABEL: usize = 63;
/// Bytes of the device's hash that its objects' names carry: 12 hex digits.
const DEVICE_HASH_LEN: usize = 6;
/// Microseconds of CPU time in a period of 100 ms that make a thousandth of a core.
const MICROSECONDS_PER_MILLICORE: u64 = 100;

/// Everything that a cluster shall hold for one workload.
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

/// Returns what the cluster shall hold for `workload`.
pub(super) fn objects(workload: &Workload, limits: Limits, device: &DeviceId) -> Objects {
    let base = object_name(workload, device);
    let own_name = |name: &str| format!("{base}-{name}");
    let pull_secret = pull_secret(workload, device);
    let mut pod = workload.pod.clone();
    rename(&mut pod, &brought(workload), own_name);
    if let Some(name) = pull_secret.as_ref().and_then(|it| it.metadata.name.clone()) {
        let references = pod.image_pull_secrets.get_or_insert_default();
        references.push(LocalObjectReference { name });
    }
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
            .chain(pull_secret)
            .collect(),
    }
}

/// Returns the name of the workload's Deployment, with which the names of all that it brings begin.
/// The id alone would not do: devices of one namespace often run the same specification.
fn object_name(workload: &Workload, device: &DeviceId) -> String {
    let hash = Sha256::digest(device.as_str());
    let digits = hash.iter().take(DEVICE_HASH_LEN).map(|byte| format!("{byte:02x}"));
    format!("{}-{}", workload.id, digits.collect::<String>())
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

fn config_map(map: &workload::ConfigMap, metadata: ObjectMeta) -> ConfigMap {
    let (mut data, mut binary_data) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &map.data {
        match std::str::from_utf8(value) {
            Ok(text) => {
                data.insert(key.clone(), text.to_owned());
            }
            Err(_) => {
                binary_data.insert(key.clone(), ByteString(value.clone()));
            }
        }
    }
    ConfigMap { data: Some(data), binary_data: Some(binary_data), metadata, ..ConfigMap::default() }
}

fn secret(secret: &workload::Secret, metadata: ObjectMeta) -> Secret {
    let data = secret.data.iter();
    let data = data.map(|(key, value)| (key.clone(), ByteString(value.expose().clone())));
    Secret {
        data: Some(data.collect()),
        metadata,
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// Returns the registry credentials of `workload` as the secret that an image pull reads.
fn pull_secret(workload: &Workload, device: &DeviceId) -> Option<Secret> {
    if workload.registries.is_empty() {
        return None;
    }
    let auths: BTreeMap<_, _> = workload
        .registries
        .iter()
        .map(|(registry, credentials)| (registry, auth(credentials)))
        .collect();
    let config = json!({ "auths": auths }).to_string().into_bytes();
    // A dot keeps it apart from the workload's own secrets, whose names follow a dash.
    let metadata =
        metadata(workload, format!("{}.registries", object_name(workload, device)), device);
    Some(Secret {
        data: Some([(".dockerconfigjson".to_owned(), ByteString(config))].into()),
        metadata,
        type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
        ..Secret::default()
    })
}

fn auth(credentials: &RegistryCredentials) -> serde_json::Value {
    use base64::Engine as _;

    let (username, password) = (&credentials.username, credentials.password.expose());
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    json!({ "username": username, "password": password, "auth": auth })
}

#[cfg(test)]
mod tests;
