//! Kubernetes' types of a pod by docs/manifests.schema.json, and pods made of them.

use actors::control_plane_sync::{Manifests, manifests_once};
use actors::workload::DeviceId;
use serde_json::{Map, Value, json};

const SCHEMA: &str = include_str!("../../../docs/manifests.schema.json");
/// The device that manifests are read for.
pub const DEVICE: &str = "cam";

/// From a pod to one of its fields: types, and the names of their fields.
pub type Way = Vec<(String, String)>;

/// Kubernetes' types.
pub struct Types(Map<String, Value>);

impl Types {
    pub fn read() -> Self {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let all = schema["definitions"].as_object().unwrap().clone();
        let core = all.into_iter().filter_map(|(name, definition)| {
            let name = name.strip_prefix("io.k8s.api.core.v1.")?.to_owned();
            Some((name, definition))
        });
        Self(core.collect())
    }

    pub fn fields(&self, kind: &str) -> &Map<String, Value> {
        self.0[kind]["properties"].as_object().unwrap()
    }

    /// Returns the type of what is in a field, if it has fields itself.
    pub fn inner(&self, field: &Value) -> Option<String> {
        let name = reference(field)?;
        self.0.get(&name).filter(|it| it["properties"].is_object()).map(|_| name)
    }

    /// Returns a value of `kind` with no more than it must have.
    fn least(&self, kind: &str) -> Value {
        let required = self.0[kind]["required"].as_array();
        let required = required.into_iter().flatten().filter_map(Value::as_str);
        let mut value = json!({});
        for field in required {
            value[field] = self.sample(kind, field);
        }
        merge(&mut value, companions(kind));
        value
    }

    /// Returns a value for a field that asks for something.
    fn sample(&self, kind: &str, field: &str) -> Value {
        if let Some(value) = particular(kind, field) {
            return value;
        }
        let schema = &self.fields(kind)[field];
        match schema["type"].as_str() {
            Some("array") => json!([self.one(schema, schema["items"]["type"].as_str())]),
            Some("object") => json!({"x": "1"}),
            plain => self.one(schema, plain),
        }
    }

    fn one(&self, schema: &Value, plain: Option<&str>) -> Value {
        match (plain, reference(schema).as_deref(), self.inner(schema)) {
            (_, _, Some(inner)) => self.least(&inner),
            (Some("integer"), _, _) => json!(7),
            (Some("boolean"), _, _) => json!(true),
            (_, Some("Quantity"), _) => json!("1"),
            (_, Some("IntOrString"), _) => json!(80),
            (_, Some("LabelSelector" | "ObjectMeta"), _) => json!({}),
            _ => json!("x"),
        }
    }

    /// Returns a pod that sets the field, and where in it that is.
    pub fn pod(&self, way: &Way) -> (Value, String) {
        let mut pod = self.least("PodSpec");
        let mut pointer = String::new();
        for (index, (kind, field)) in way.iter().enumerate() {
            let place = pod.pointer_mut(&pointer).unwrap();
            let is_last = index + 1 == way.len();
            let schema = &self.fields(kind)[field];
            let is_list = schema["type"] == "array" && !is_last;
            if is_last {
                place[field] = self.sample(kind, field);
            } else if place.get(field).is_none() {
                let inner = self.least(&self.inner(schema).unwrap());
                place[field] = if is_list { json!([inner]) } else { inner };
            }
            complete(place, kind, field);
            pointer.push_str(&format!("/{field}{}", if is_list { "/0" } else { "" }));
        }
        if pointer.contains("volumeMounts") {
            pod["volumes"] = json!([{"name": "main", "emptyDir": {}}]);
        }
        (pod, pointer)
    }
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().unwrap() {
        if into.get(key).is_none() {
            into[key] = value.clone();
        }
    }
}

fn reference(field: &Value) -> Option<String> {
    let reference = field["$ref"].as_str().or_else(|| field["allOf"][0]["$ref"].as_str());
    let reference = reference.or_else(|| field["items"]["$ref"].as_str())?;
    reference.rsplit('.').next().map(str::to_owned)
}

/// What a value of a type needs beside what the schema says.
fn companions(kind: &str) -> Value {
    match kind {
        "Container" => json!({"image": "i:1"}),
        "ContainerPort" => json!({"hostPort": 8080}),
        "ResourceFieldSelector" => json!({"containerName": "main"}),
        "SecretVolumeSource" => json!({"secretName": "login"}),
        _ => json!({}),
    }
}

/// Adds what a field of a value needs beside it.
fn complete(value: &mut Value, kind: &str, field: &str) {
    let handlers = ["exec", "grpc", "httpGet", "tcpSocket"];
    match kind {
        "Probe" if !handlers.contains(&field) => value["exec"] = json!({"command": ["true"]}),
        "Volume" if field == "name" => value["emptyDir"] = json!({}),
        "EnvFromSource" if field == "prefix" => value["configMapRef"] = json!({"name": "settings"}),
        "DownwardAPIVolumeFile" if !field.ends_with("Ref") => {
            value["fieldRef"] = json!({"fieldPath": "metadata.name"});
        }
        _ => {}
    }
}

/// Values that mean something where any other would not.
fn particular(kind: &str, field: &str) -> Option<Value> {
    let value = match (kind, field) {
        ("Container" | "Volume" | "VolumeMount" | "LocalObjectReference", "name") => json!("main"),
        ("ConfigMapVolumeSource" | "ConfigMapProjection" | "ConfigMapKeySelector", "name")
        | ("ConfigMapEnvSource", "name") => json!("settings"),
        ("SecretProjection" | "SecretKeySelector" | "SecretEnvSource", "name")
        | ("SecretVolumeSource", "secretName") => json!("login"),
        ("KeyToPath" | "ConfigMapKeySelector" | "SecretKeySelector", "key") => json!("user"),
        ("PodSpec", "dnsPolicy") => json!("Default"),
        ("PodSpec", "restartPolicy") => json!("OnFailure"),
        ("PodSpec", "preemptionPolicy") => json!("Never"),
        ("PodSpec", "overhead") | ("ResourceRequirements", "limits" | "requests") => {
            json!({"memory": "1Mi"})
        }
        ("PodOS", "name") => json!("linux"),
        ("HostAlias", "ip") | ("ContainerPort", "hostIP") => json!("127.0.0.1"),
        ("ContainerPort", "protocol") => json!("TCP"),
        ("Sysctl", "name") => json!("kernel.shm_rmid_forced"),
        ("Sysctl", "value") => json!("1"),
        ("Container", "image") => json!("i:1"),
        ("Container", "imagePullPolicy") => json!("Always"),
        ("Container", "workingDir") | ("VolumeMount", "mountPath") => json!("/x"),
        ("VolumeMount", "mountPropagation") => json!("HostToContainer"),
        ("HostPathVolumeSource", "path") => json!("/srv/x"),
        ("HostPathVolumeSource", "type") => json!("Directory"),
        ("EmptyDirVolumeSource", "medium") => json!("Memory"),
        ("SecurityContext", "procMount") => json!("Unmasked"),
        ("EnvVar", "valueFrom") => json!({"fieldRef": {"fieldPath": "metadata.name"}}),
        ("ObjectFieldSelector", "fieldPath") => json!("metadata.name"),
        ("ResourceFieldSelector", "resource") => json!("limits.cpu"),
        ("ResourceFieldSelector", "containerName") => json!("main"),
        // More than one success is for readiness alone.
        ("Probe", "successThreshold") => json!(1),
        ("HTTPGetAction", "scheme") => json!("HTTP"),
        ("ExecAction", "command") => json!(["true"]),
        ("LifecycleHandler" | "Probe", "exec") => json!({"command": ["true"]}),
        ("HTTPGetAction" | "TCPSocketAction", "host") => json!("127.0.0.1"),
        ("PodSecurityContext" | "SecurityContext", "windowsOptions") => {
            json!({"hostProcess": true})
        }
        ("Lifecycle", "postStart" | "preStop") => json!({"exec": {"command": ["true"]}}),
        ("Container", "livenessProbe" | "readinessProbe" | "startupProbe") => {
            json!({"exec": {"command": ["true"]}})
        }
        ("Container", "volumeMounts") => json!([{"name": "main", "mountPath": "/x"}]),
        ("PodSpec", "affinity") => json!({"nodeAffinity": {}}),
        ("PodSpec", "initContainers") => json!([{"name": "first", "image": "i:1"}]),
        ("DownwardAPIVolumeSource" | "DownwardAPIProjection", "items") => {
            json!([{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}])
        }
        ("ProjectedVolumeSource", "sources") => json!([{"configMap": {"name": "settings"}}]),
        ("PodSpec", "volumes") => json!([{"name": "main", "emptyDir": {}}]),
        _ => return None,
    };
    Some(value)
}

/// Reads `document` beside the config map and the secret that it may refer to.
pub fn read(document: &Value) -> Manifests {
    let folder = tempfile::tempdir().unwrap();
    let documents = [
        json!({"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"user": "a"}}),
        json!({"kind": "Secret", "metadata": {"name": "login"}, "stringData": {"user": "a"}}),
        document.clone(),
    ];
    let list = json!({"kind": "List", "items": documents});
    std::fs::write(folder.path().join("a.json"), list.to_string()).unwrap();
    manifests_once(folder.path(), &DeviceId::from(DEVICE)).unwrap()
}
