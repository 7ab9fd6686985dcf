//! Fields of a pod that podman ignores, by its own table (docs/kubernetes_support.md of podman
//! 5) and its sources. Those that the agent does itself, or takes away with a warning, are not among them.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

/// A field that podman ignores, and the values of it that ask for no more than podman does anyway, as
/// Kubernetes' defaults do.
type Ignored = (&'static str, &'static [&'static str]);

const OF_POD: &[Ignored] = &[
    ("activeDeadlineSeconds", &[]),
    ("affinity", &[]),
    ("automountServiceAccountToken", &["false"]),
    ("ephemeralContainers", &[]),
    ("nodeName", &[]),
    ("nodeSelector", &[]),
    ("overhead", &[]),
    ("preemptionPolicy", &["PreemptLowerPriority"]),
    ("priority", &["0"]),
    ("priorityClassName", &[]),
    ("readinessGates", &[]),
    ("resourceClaims", &[]),
    ("runtimeClassName", &[]),
    ("schedulerName", &["default-scheduler"]),
    ("schedulingGates", &[]),
    ("serviceAccount", &["default"]),
    ("serviceAccountName", &["default"]),
    ("setHostnameAsFQDN", &["false"]),
    ("subdomain", &[]),
    ("tolerations", &[]),
    ("topologySpreadConstraints", &[]),
];
const OF_POD_SECURITY: &[Ignored] = &[
    ("seLinuxChangePolicy", &["MountOption"]),
    ("supplementalGroupsPolicy", &["Merge"]),
    ("windowsOptions", &[]),
];
const OF_CONTAINER: &[Ignored] = &[
    ("resizePolicy", &[]),
    ("restartPolicy", &[]),
    ("stdin", &["false"]),
    ("stdinOnce", &["false"]),
    ("terminationMessagePath", &["/dev/termination-log"]),
    ("terminationMessagePolicy", &["File"]),
    ("volumeDevices", &[]),
];
const OF_CONTAINER_SECURITY: &[Ignored] = &[("windowsOptions", &[])];
/// Profiles: podman has one of its own, as every runtime, and takes no other from a manifest.
const PROFILES: &[&str] = &["appArmorProfile", "seccompProfile"];
const OF_MOUNT: &[Ignored] = &[("recursiveReadOnly", &["Disabled"])];
/// Amounts that podman gives to the kernel.
const AMOUNTS: &[&str] = &["limits.cpu", "limits.memory", "requests.memory"];

/// Returns, in words, the fields of `pod` that podman ignores.
pub(in crate::pod_manifest) fn ignored(pod: &PodSpec) -> Vec<String> {
    let pod = serde_json::to_value(pod).unwrap_or_default();
    let mut found = Found(Vec::new());
    found.add("", Some(&pod), OF_POD);
    found.add_names(&pod);
    let security = pod.get("securityContext");
    found.add("securityContext.", security, OF_POD_SECURITY);
    found.add_profiles("securityContext.", security);
    let list = |key: &str| pod.get(key).and_then(Value::as_array).into_iter().flatten();
    for container in list("initContainers").chain(list("containers")) {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let place = |field: &str| format!("container {name}: {field}");
        found.add(&place(""), Some(container), OF_CONTAINER);
        let security = container.get("securityContext");
        found.add(&place("securityContext."), security, OF_CONTAINER_SECURITY);
        found.add_profiles(&place("securityContext."), security);
        found.add_amounts(&place("resources."), container.get("resources"));
        let mounts = container.get("volumeMounts").and_then(Value::as_array);
        for mount in mounts.into_iter().flatten() {
            found.add(&place("volumeMounts."), Some(mount), OF_MOUNT);
        }
    }
    found.0
}

struct Found(Vec<String>);

impl Found {
    fn say(&mut self, owner: &str, field: &str) {
        self.0.push(format!("{owner}{field} is ignored on podman"));
    }

    fn add(&mut self, owner: &str, value: Option<&Value>, fields: &[Ignored]) {
        for (field, same) in fields {
            let value = value.and_then(|value| value.get(field));
            if value.is_some_and(|value| asks_for_something(value) && !is_one_of(value, same)) {
                self.say(owner, field);
            }
        }
    }

    /// Kubernetes adds to what the device has.
    fn add_names(&mut self, pod: &Value) {
        if pod.get("dnsPolicy").is_some_and(|policy| policy == "None") {
            return;
        }
        for field in ["nameservers", "searches"] {
            let list = pod.get("dnsConfig").and_then(|it| it.get(field));
            if list.is_some_and(asks_for_something) {
                self.0.push(format!(
                    "dnsConfig.{field} takes the place of the device's own on podman, as with dnsPolicy: None"
                ));
            }
        }
    }

    fn add_profiles(&mut self, owner: &str, security: Option<&Value>) {
        for field in PROFILES {
            let kind = security.and_then(|it| it.get(field)?.get("type"));
            if kind.is_some_and(|kind| kind != "RuntimeDefault") {
                self.say(owner, field);
            }
        }
    }

    fn add_amounts(&mut self, owner: &str, resources: Option<&Value>) {
        for list in ["limits", "requests"] {
            let amounts = resources.and_then(|it| it.get(list)?.as_object());
            for resource in amounts.into_iter().flat_map(|amounts| amounts.keys()) {
                let field = format!("{list}.{resource}");
                // One with = is a device; see `newer`.
                if !AMOUNTS.contains(&field.as_str()) && !resource.contains('=') {
                    self.say(owner, &field);
                }
            }
        }
        if resources.and_then(|it| it.get("claims")).is_some_and(asks_for_something) {
            self.say(owner, "claims");
        }
    }
}

/// Whether a field is more than there: empty maps and lists are as good as none.
fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn is_one_of(value: &Value, known: &[&str]) -> bool {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    known.contains(&text.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_podman_makes_nothing_of_is_named_with_its_place() {
        let pod = serde_json::from_value(json!({
            "nodeSelector": {"a": "b"},
            "hostNetwork": true,
            "overhead": {"cpu": "1m"},
            "dnsConfig": {"searches": ["example.com"], "options": [{"name": "edns0"}]},
            "initContainers": [{"name": "first", "image": "i", "volumeDevices": [{"name": "v"}]}],
            "containers": [{
                "name": "app",
                "image": "i",
                "stdin": true,
                "securityContext": {"seccompProfile": {"type": "Unconfined"}, "privileged": true},
                "resources": {"limits": {"cpu": 1, "memory": 1, "example.com/gpu": 1},
                    "requests": {"cpu": 1, "memory": 1}},
                "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "None",
                    "recursiveReadOnly": "Enabled"}],
            }],
        }));
        let expected = [
            "nodeSelector is ignored on podman",
            "overhead is ignored on podman",
            "dnsConfig.searches takes the place of the device's own on podman, as with dnsPolicy: None",
            "container first: volumeDevices is ignored on podman",
            "container app: stdin is ignored on podman",
            "container app: securityContext.seccompProfile is ignored on podman",
            "container app: resources.limits.example.com/gpu is ignored on podman",
            "container app: resources.requests.cpu is ignored on podman",
            "container app: volumeMounts.recursiveReadOnly is ignored on podman",
        ];
        assert_eq!(ignored(&pod.unwrap()), expected);
        assert_eq!(ignored(&PodSpec::default()), [""; 0]);
    }

    #[test]
    fn what_a_cluster_writes_into_every_pod_is_not_named() {
        let pod = serde_json::from_value(json!({
            "affinity": {}, "nodeSelector": {}, "tolerations": [], "priority": 0, "subdomain": "",
            "automountServiceAccountToken": false, "schedulerName": "default-scheduler",
            "serviceAccount": "default", "serviceAccountName": "default",
            "preemptionPolicy": "PreemptLowerPriority", "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true, "terminationGracePeriodSeconds": 30,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "image": "i", "stdin": false, "resources": {},
                "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
        }));
        assert_eq!(ignored(&pod.unwrap()), [""; 0]);
    }
}
