//! Identity of a workload's specification: its name and a hash over a canonical form.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;
use serde::Serialize;
use serde_json::{Value, json};

use crate::digest;
use crate::workload::{ConfigMap, ExecutorKind, Secret, WorkloadId};

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
    pub config_maps: &'a [Arc<ConfigMap>],
    /// Secrets that the pod refers to, in any order.
    pub secrets: &'a [Arc<Secret>],
}

/// Returns the id of a specification: equal for specifications that mean the same.
#[must_use]
pub fn workload_id(identity: &PodIdentity<'_>) -> WorkloadId {
    // Every key is a text, so there is a digest. Contents of megabytes are never there as JSON.
    let digest = digest::of_json(&Canonical::of(identity)).unwrap_or_default();
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    // A dot would end the host name; the hash distinguishes such names.
    let name: String = identity.name.replace('.', "-").chars().take(MAX_NAME).collect();
    WorkloadId::from(format!("{}-{hash}", name.trim_end_matches('-')))
}

/// What is hashed: an object with its keys in order, without what is empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Canonical<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    config_maps: Vec<Brought<'a>>,
    executor: ExecutorKind,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    name: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    pod: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Brought<'a>>,
}

/// A config map or a secret.
#[derive(Serialize)]
struct Brought<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    data: BTreeMap<&'a str, &'a [u8]>,
    name: &'a str,
}

impl<'a> Brought<'a> {
    fn new(name: &'a str, data: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> Self {
        let data = data.filter(|(_, value)| !value.is_empty());
        Self { data: data.map(|(key, value)| (key.as_str(), value.as_slice())).collect(), name }
    }
}

impl<'a> Canonical<'a> {
    fn of(identity: &PodIdentity<'a>) -> Self {
        let mut pod = serde_json::to_value(identity.pod).unwrap_or(Value::Null);
        fill_defaults(&mut pod);
        sort_by_name(&mut pod, "volumes");
        sort_by_name(&mut pod, "imagePullSecrets");
        prune(&mut pod);
        let maps = identity.config_maps.iter();
        let mut config_maps: Vec<_> =
            maps.map(|map| Brought::new(&map.name, map.data.iter())).collect();
        config_maps.sort_by_key(|map| map.name);
        let secrets = identity.secrets.iter();
        let mut secrets: Vec<_> = secrets
            .map(|secret| {
                let data = secret.data.iter().map(|(key, value)| (key, value.expose()));
                Brought::new(&secret.name, data)
            })
            .collect();
        secrets.sort_by_key(|secret| secret.name);
        Self {
            annotations: identity.annotations,
            config_maps,
            executor: identity.executor,
            labels: identity.labels,
            name: identity.name,
            namespace: identity.namespace,
            pod,
            secrets,
        }
    }
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
    use crate::workload::Confidential;

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

    /// The ids of pods that run must stay through an upgrade: this is how they were made first.
    fn first_form(identity: &PodIdentity<'_>) -> String {
        let mut pod = serde_json::to_value(identity.pod).unwrap();
        fill_defaults(&mut pod);
        sort_by_name(&mut pod, "volumes");
        sort_by_name(&mut pod, "imagePullSecrets");
        let mut form = json!({
            "name": identity.name,
            "namespace": identity.namespace,
            "executor": identity.executor,
            "pod": pod,
            "labels": identity.labels,
            "annotations": identity.annotations,
            "configMaps": identity.config_maps,
            "secrets": identity.secrets,
        });
        prune(&mut form);
        form.to_string()
    }

    #[test]
    fn what_is_hashed_is_what_always_was() {
        let pod: PodSpec =
            serde_json::from_str(r#"{"containers":[{"name":"a","image":"i","env":[]}]}"#).unwrap();
        let empty = BTreeMap::new();
        let labels = BTreeMap::from([("ä\"".to_owned(), String::new())]);
        let data = [("a", "\0\u{ff}x"), ("b", ""), ("\n", "y")];
        let map = |name: &str, count: usize| {
            let entries = data.iter().take(count);
            let data = entries.map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
            Arc::new(ConfigMap { name: name.to_owned(), data: data.collect() })
        };
        let secret = |name: &str, count: usize| {
            let data = map(name, count).data.clone().into_iter();
            let data = data.map(|(key, value)| (key, Confidential::new(value)));
            Arc::new(Secret { name: name.to_owned(), data: data.collect() })
        };
        let maps = [map("a", 0), map("b", 1), map("c", 3)];
        let secrets = [secret("", 2), secret("s", 3)];
        for (labels, annotations, config_maps, secrets) in [
            (&empty, &empty, &[][..], &[][..]),
            (&labels, &empty, &maps[..1], &[][..]),
            (&empty, &labels, &maps[..], &secrets[..]),
        ] {
            let (name, namespace, executor) = ("web", "default", ExecutorKind::PodmanRootless);
            let pod = &pod;
            let identity = PodIdentity {
                name,
                namespace,
                executor,
                pod,
                labels,
                annotations,
                config_maps,
                secrets,
            };
            let form = serde_json::to_string(&Canonical::of(&identity)).unwrap();
            assert_eq!(form, first_form(&identity));
            let digest = digest::of_bytes(form.as_bytes());
            let hash: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(workload_id(&identity).as_str(), format!("web-{hash}"));
        }
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
        let secret = |name: &str, value: &str| {
            let data = [("key".to_owned(), Confidential::new(value.into()))].into();
            Arc::new(Secret { name: name.to_owned(), data })
        };
        let pod = PodSpec::default();
        let id = |secrets: &[Arc<Secret>]| {
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
