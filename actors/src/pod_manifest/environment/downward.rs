//! What a pod says of itself to its containers (Kubernetes' downward API), as far as it is known before
//! the pod is made.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{PodSpec, ResourceFieldSelector, ResourceRequirements};

use crate::pod_manifest::context::PodmanFacts;
use crate::pod_manifest::quantities;
use crate::workload::{DeviceId, Workload};

/// The service account of a pod that names none.
const SERVICE_ACCOUNT: &str = "default";

/// What is known of a pod before it is made.
#[derive(Clone, Copy)]
pub(in crate::pod_manifest) struct Downward<'a> {
    pub(in crate::pod_manifest) workload: &'a Workload,
    pub(in crate::pod_manifest) device_id: &'a DeviceId,
    /// The machine's size is the limit of a container that has none.
    pub(in crate::pod_manifest) podman: PodmanFacts,
}

impl Downward<'_> {
    /// Returns the value of a field as a variable holds it; `None` when it is not known.
    pub(in crate::pod_manifest) fn variable(&self, path: &str) -> Option<String> {
        let keyed = |map: &BTreeMap<String, String>, prefix: &str| {
            let key = path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
            Some(map.get(key).cloned().unwrap_or_default())
        };
        let Workload { id, namespace, pod, labels, annotations, .. } = self.workload;
        match path {
            "metadata.name" => Some(id.as_str().to_owned()),
            "metadata.namespace" => Some(namespace.clone()),
            "spec.nodeName" => Some(self.device_id.as_str().to_owned()),
            "spec.serviceAccountName" => Some(service_account(pod).to_owned()),
            _ => keyed(labels, "metadata.labels")
                .or_else(|| keyed(annotations, "metadata.annotations")),
        }
    }

    /// Returns the value of a field as a file holds it; `None` when it is not known.
    pub(in crate::pod_manifest) fn file(&self, path: &str) -> Option<String> {
        match path {
            "metadata.labels" => Some(listed(&self.workload.labels)),
            "metadata.annotations" => Some(listed(&self.workload.annotations)),
            _ => self.variable(path),
        }
    }

    /// Returns an amount of a container's resources, by default of the container `own`, in whole divisors,
    /// rounded up; `None` when there is no such container, or the amount is not known. As on Kubernetes it is
    /// what the author wrote, whatever a condition allows.
    pub(in crate::pod_manifest) fn resource(
        &self,
        selector: &ResourceFieldSelector,
        own: &str,
    ) -> Option<String> {
        let wanted = selector.container_name.as_deref().filter(|name| !name.is_empty());
        let pod = &self.workload.pod;
        let mut containers = pod.init_containers.iter().flatten().chain(&pod.containers);
        let container = containers.find(|it| it.name == wanted.unwrap_or(own))?;
        let resources = container.resources.as_ref();
        let (list, resource) = selector.resource.split_once('.')?;
        let limit = amount(resources, "limits", resource);
        let amount = match list {
            "limits" => limit.or_else(|| self.capacity(resource))?,
            "requests" if capacity_is_known(resource) => {
                amount(resources, list, resource).or(limit).unwrap_or(0)
            }
            "requests" => amount(resources, list, resource).or(limit)?,
            _ => return None,
        };
        let divisor = selector.divisor.as_ref().and_then(|it| quantities::read(resource, it).ok());
        let one = if resource == "cpu" { 1_000 } else { 1 };
        let divisor = divisor.filter(|divisor| *divisor > 0).unwrap_or(one);
        Some(amount.div_ceil(divisor).to_string())
    }

    /// Returns what the machine has of a resource.
    fn capacity(&self, resource: &str) -> Option<u64> {
        let amount = match resource {
            "cpu" => self.podman.cpus.saturating_mul(1_000),
            "memory" => self.podman.memory,
            _ => 0,
        };
        Some(amount).filter(|amount| *amount > 0)
    }
}

fn capacity_is_known(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory")
}

/// Returns the amount of `resource` in `limits` or `requests`; nothing of it is none.
fn amount(resources: Option<&ResourceRequirements>, list: &str, resource: &str) -> Option<u64> {
    let amounts = match list {
        "limits" => resources?.limits.as_ref(),
        _ => resources?.requests.as_ref(),
    };
    let amount = quantities::read(resource, amounts?.get(resource)?).ok();
    amount.filter(|amount| *amount > 0)
}

fn service_account(pod: &PodSpec) -> &str {
    let names = [&pod.service_account_name, &pod.service_account];
    let mut names = names.into_iter().filter_map(|name| name.as_deref());
    names.find(|name| !name.is_empty()).unwrap_or(SERVICE_ACCOUNT)
}

/// Returns a map as Kubernetes writes it into a file: `key="value"`, a line each.
fn listed(map: &BTreeMap<String, String>) -> String {
    let mut lines = Vec::new();
    for (key, value) in map {
        let mut line = format!("{key}=\"");
        for c in value.chars() {
            match c {
                '"' | '\\' => line.extend(['\\', c]),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                // Writing to a string cannot fail.
                c if c.is_ascii_control() => drop(write!(line, "\\x{:02x}", u32::from(c))),
                c => line.push(c),
            }
        }
        line.push('"');
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload() -> Workload {
        serde_json::from_value(json!({
            "id": "web-1", "name": "web", "namespace": "default", "executor": "podman_rootful",
            "labels": {"app": "x", "b": "two \"words\"\nand\\"},
            "pod": {"containers": [
                {"name": "a", "resources": {"limits": {"memory": "128Mi", "cpu": "500m"}}},
                {"name": "b", "resources": {"requests": {"memory": "1k", "hugepages-2Mi": "4Mi"}}},
            ]},
        }))
        .unwrap()
    }

    fn asked(selector: serde_json::Value) -> Option<String> {
        let (workload, device_id) = (workload(), DeviceId::from("cam"));
        let podman = PodmanFacts { version: None, cpus: 4, memory: 1 << 30 };
        let downward = Downward { workload: &workload, device_id: &device_id, podman };
        downward.resource(&serde_json::from_value(selector).unwrap(), "a")
    }

    #[test]
    fn amounts_are_in_whole_divisors_rounded_up() {
        for (resource, divisor, expected) in [
            ("limits.memory", "1Mi", Some("128")),
            ("limits.memory", "1", Some("134217728")),
            ("limits.memory", "0", Some("134217728")),
            ("limits.memory", "1M", Some("135")),
            ("limits.memory", "1Gi", Some("1")),
            ("limits.cpu", "1", Some("1")),
            ("limits.cpu", "1m", Some("500")),
            // What is not asked for is as much as is allowed.
            ("requests.cpu", "1m", Some("500")),
            ("limits.ephemeral-storage", "1", None),
            ("cpu", "1", None),
            ("limit.cpu", "1", None),
        ] {
            let selector = json!({"resource": resource, "divisor": divisor});
            assert_eq!(asked(selector).as_deref(), expected, "{resource} {divisor}");
        }
        assert_eq!(asked(json!({"resource": "limits.cpu"})).as_deref(), Some("1"));
    }

    #[test]
    fn without_a_limit_it_is_the_machine_s_size() {
        for (resource, expected) in [
            ("limits.cpu", Some("4")),
            ("limits.memory", Some("1073741824")),
            ("requests.memory", Some("1000")),
            ("requests.cpu", Some("0")),
            ("requests.hugepages-2Mi", Some("4194304")),
            ("requests.ephemeral-storage", None),
        ] {
            let selector = json!({"resource": resource, "containerName": "b"});
            assert_eq!(asked(selector).as_deref(), expected, "{resource}");
        }
        assert_eq!(asked(json!({"resource": "limits.cpu", "containerName": "no"})), None);
    }

    #[test]
    fn a_map_in_a_file_is_quoted() {
        assert_eq!(listed(&workload().labels), "app=\"x\"\nb=\"two \\\"words\\\"\\nand\\\\\"");
    }
}
