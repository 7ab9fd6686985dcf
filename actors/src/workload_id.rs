//! Identity of a workload's specification: its name and a hash over a canonical form.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::workload::{ConfigMap, ExecutorKind, Secret, WorkloadId};
use std::collections::BTreeMap;

/// Longest name kept in front of the hash: `-` and 12 digits follow, and 63 is the limit of a host
/// name, which a pod's name becomes.
const MAX_NAME: usize = 50;

/// Everything about a workload whose change means another pod. Profiles, cron, retry and registry
/// credentials are not here: they change what the scheduler does with the pod, not the pod.
pub struct PodIdentity<'a> {
    /// The EdgeWorkload's name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its runtime.
    pub executor: ExecutorKind,
    /// The pod as written.
    pub pod: &'a PodSpec,
    /// Labels for the pod.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations for the pod.
    pub annotations: &'a BTreeMap<String, String>,
    /// Config maps that the pod refers to, in any order.
    pub config_maps: &'a [ConfigMap],
    /// Secrets that the pod refers to, in any order.
    pub secrets: &'a [Secret],
}

/// Returns the id of a specification: equal for specifications that mean the same.
#[must_use]
pub fn workload_id(identity: &PodIdentity<'_>) -> WorkloadId {
    let canonical = canonical_form(identity);
    let digest = Sha256::digest(canonical.to_string().as_bytes());
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    // A dot would end the host name; the hash tells such names apart.
    let name: String = identity.name.replace('.', "-").chars().take(MAX_NAME).collect();
    WorkloadId::from(format!("{}-{hash}", name.trim_end_matches('-')))
}

fn canonical_form(identity: &PodIdentity<'_>) -> Value {
    let mut pod = serde_json::to_value(identity.pod).unwrap_or(Value::Null);
    fill_defaults(&mut pod);
    sort_by_name(&mut pod, "volumes");
    sort_by_name(&mut pod, "imagePullSecrets");
    let mut config_maps: Vec<_> = identity.config_maps.iter().collect();
    config_maps.sort_by(|a, b| a.name.cmp(&b.name));
    let mut secrets: Vec<_> = identity.secrets.iter().collect();
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    let mut form = json!({
        "name": identity.name,
        "namespace": identity.namespace,
        "executor": identity.executor,
        "pod": pod,
        "labels": identity.labels,
        "annotations": identity.annotations,
        "configMaps": config_maps,
        "secrets": secrets,
    });
    prune(&mut form);
    form
}

/// Fills in what Kubernetes assumes where the author said nothing.
fn fill_defaults(pod: &mut Value) {
    let Some(pod) = pod.as_object_mut() else {
        return;
    };
    pod.entry("restartPolicy").or_insert_with(|| json!("Always"));
    for list in ["containers", "initContainers"] {
        let Some(containers) = pod.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        for port in containers
            .iter_mut()
            .filter_map(|container| container.get_mut("ports"))
            .filter_map(Value::as_array_mut)
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            port.entry("protocol").or_insert_with(|| json!("TCP"));
        }
    }
}

fn sort_by_name(pod: &mut Value, list: &str) {
    if let Some(items) = pod.get_mut(list).and_then(Value::as_array_mut) {
        items.sort_by(|a, b| name_of(a).cmp(name_of(b)));
    }
}

fn name_of(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Removes nulls, empty maps and empty lists: absent and empty mean the same in a manifest.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|_, item| !is_empty(item));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pod: &str) -> WorkloadId {
        let pod: PodSpec = serde_json::from_str(pod).unwrap();
        workload_id(&PodIdentity {
            name: "web",
            namespace: "default",
            executor: ExecutorKind::PodmanRootful,
            pod: &pod,
            labels: &BTreeMap::new(),
            annotations: &BTreeMap::new(),
            config_maps: &[],
            secrets: &[],
        })
    }

    #[test]
    fn specifications_that_mean_the_same_have_one_id() {
        let short = r#"{"containers":[{"name":"a","image":"i","ports":[{"containerPort":1}]}],
            "volumes":[{"name":"x","hostPath":{"path":"/x"}},{"name":"y","hostPath":{"path":"/y"}}]}"#;
        let long = r#"{"restartPolicy":"Always","containers":[{"image":"i","name":"a","resources":{},
            "env":[],"ports":[{"protocol":"TCP","containerPort":1}]}],
            "volumes":[{"name":"y","hostPath":{"path":"/y"}},{"name":"x","hostPath":{"path":"/x"}}]}"#;
        assert_eq!(id(short), id(long));
    }

    #[test]
    fn another_image_is_another_id() {
        let pod = |image| format!(r#"{{"containers":[{{"name":"a","image":"{image}"}}]}}"#);
        assert_ne!(id(&pod("i:1")), id(&pod("i:2")));
    }

    #[test]
    fn order_of_secrets_does_not_matter_and_their_content_does() {
        let secret = |name: &str, value: &str| Secret {
            name: name.to_owned(),
            data: [("key".to_owned(), crate::workload::Confidential::new(value.into()))].into(),
        };
        let pod = PodSpec::default();
        let id = |secrets: &[Secret]| {
            workload_id(&PodIdentity {
                name: "web",
                namespace: "default",
                executor: ExecutorKind::K8s,
                pod: &pod,
                labels: &BTreeMap::new(),
                annotations: &BTreeMap::new(),
                config_maps: &[],
                secrets,
            })
        };
        let (a, b) = (secret("a", "1"), secret("b", "2"));
        assert_eq!(id(&[a.clone(), b.clone()]), id(&[b.clone(), a]));
        assert_ne!(id(&[secret("a", "1"), b.clone()]), id(&[secret("a", "3"), b]));
    }

    #[test]
    fn a_name_with_dots_still_fits_a_host_name() {
        let of = |name: &str| {
            let (pod, none) = (PodSpec::default(), BTreeMap::new());
            let (namespace, executor) = ("default", ExecutorKind::PodmanRootful);
            let (labels, annotations) = (&none, &none);
            let (config_maps, secrets) = (&[], &[]);
            let pod = &pod;
            workload_id(&PodIdentity {
                name,
                namespace,
                executor,
                pod,
                labels,
                annotations,
                config_maps,
                secrets,
            })
        };
        assert!(of("a.b").as_str().starts_with("a-b-"), "{}", of("a.b"));
        assert_ne!(of("a.b"), of("a-b"));
    }

    #[test]
    fn a_long_name_still_fits_a_host_name() {
        let pod = PodSpec::default();
        let id = workload_id(&PodIdentity {
            name: &"n".repeat(253),
            namespace: "default",
            executor: ExecutorKind::PodmanRootful,
            pod: &pod,
            labels: &BTreeMap::new(),
            annotations: &BTreeMap::new(),
            config_maps: &[],
            secrets: &[],
        });
        assert_eq!(id.as_str().len(), 63);
    }
}
