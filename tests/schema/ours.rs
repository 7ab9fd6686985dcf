//! The schema of the agent's own kinds, and the choice of a schema by a document's `kind`.

use actors::control_plane_sync::known_annotations;
use serde_json::{Value, json};

/// The pod's specification among the definitions.
const POD_SPEC: &str = "#/definitions/io.k8s.api.core.v1.PodSpec";
/// Metadata among the definitions.
const METADATA: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Returns a definition that permits no other properties than these.
fn object(description: &str, properties: Value, required: &[&str]) -> Value {
    json!({
        "description": description, "type": "object", "properties": properties,
        "required": required, "additionalProperties": false,
    })
}

/// Returns what may look like a number or a boolean and is a text.
fn text(description: &str) -> Value {
    json!({"description": description, "type": ["string", "number", "boolean"]})
}

fn seconds(description: &str) -> Value {
    let description = format!("{description}, in seconds or with units: 90, 90s, 1h30m");
    json!({"description": description, "type": ["number", "string"]})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// Returns the head of a document of a kind of ours.
fn document(description: &str, spec: &str) -> Value {
    let properties = json!({
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "metadata": {"$ref": METADATA}, "spec": reference(spec), "status": {},
    });
    object(description, properties, &["kind", "metadata", "spec"])
}

/// Returns every definition of ours by its name.
pub fn definitions() -> Vec<(&'static str, Value)> {
    [device(), workload(), contents()].concat()
}

fn device() -> Vec<(&'static str, Value)> {
    let other = json!({"description": "For other agents; not used"});
    let condition = object(
        "A condition over posted metrics",
        json!({
            "name": text("How workloads refer to it"),
            "expression": text("When it is true, such as cpu < 50% || cpu == nil"),
        }),
        &["name", "expression"],
    );
    let profile = object(
        "A named list of conditions",
        json!({
            "name": text("How workloads refer to it"),
            "conditions": list(reference("DeviceCondition")),
        }),
        &["name"],
    );
    let heartbeat = object(
        "The periodic report to the control plane",
        json!({
            "periodSeconds": seconds("Time from one heartbeat to the next"),
            "hardwareProfile": object(
                "What heartbeats say of the hardware",
                json!({"include": {"type": "boolean"}, "scope": {}}),
                &[],
            ),
            "profiles": list(reference("DeviceProfile")),
        }),
        &[],
    );
    let objective = object(
        "What the device keeps by restraining workloads",
        json!({
            "name": text("Unique on the device"),
            "keep": text("A condition, psi_mem_full < 5%"),
            "settlingSeconds": seconds("Time after a step until its effect is judged"),
            "calmSeconds": seconds("For how long it must hold before a step is taken back"),
        }),
        &["keep"],
    );
    let spec = object(
        "What the device is to do",
        json!({
            "protect": list(json!({"anyOf": [{"type": "string"}, objective]})),
            "heartbeat": heartbeat, "profiles": list(reference("DeviceProfile")),
            "logCollection": other, "metrics": other, "mounts": other, "osInformation": other,
            "requestTime": other, "storage": other,
        }),
        &[],
    );
    vec![
        (
            "EdgeDevice",
            document(
                "A device: its labels, by which workloads choose it, and its profiles",
                "EdgeDeviceSpec",
            ),
        ),
        ("EdgeDeviceSpec", spec),
        ("DeviceProfile", profile),
        ("DeviceCondition", condition),
    ]
}

fn workload() -> Vec<(&'static str, Value)> {
    let other = json!({"description": "For other agents; not used"});
    let selector = object(
        "Labels that the device must have",
        json!({
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
            "matchExpressions": list(object(
                "What a label must be",
                json!({
                    "key": {"type": "string"},
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": list(json!({"type": "string"})),
                }),
                &["key", "operator"],
            )),
        }),
        &[],
    );
    let limit =
        |description: &str| json!({"description": description, "type": ["number", "string"]});
    let condition = object(
        "A condition, and what the pod may use while it is true",
        json!({
            "name": text("A condition of the device's profile"),
            "cpu": limit("Microseconds of CPU time in 100 ms, or cores: 50000, 500m, 0.5"),
            "memory": limit("Bytes: 64Mi"),
        }),
        &["name"],
    );
    let profile = object(
        "The workload runs while one of these conditions is true",
        json!({
            "name": text("A profile of the device"),
            "conditions": list(json!({"anyOf": [text("A condition of the device's profile"), reference("Condition")]})),
        }),
        &["name"],
    );
    let pod = object(
        "The pod",
        json!({
            "apiVersion": {}, "kind": {}, "metadata": {}, "status": {}, "spec": {"$ref": POD_SPEC},
        }),
        &["spec"],
    );
    let registries = object(
        "Credentials of registries",
        json!({"secretRef": object(
            "A Secret of type kubernetes.io/dockerconfigjson",
            json!({"name": {"type": "string"}}),
            &["name"],
        )}),
        &[],
    );
    let spec = object(
        "What is to run, where and when",
        json!({
            "deviceSelector": {"description": "For which devices: by their labels, or the name of one", "anyOf": [{"type": "string"}, reference("DeviceSelector")]},
            "device": {"description": "For the device of this name", "type": "string"},
            "type": {"description": "A podman pod, or a Deployment on a cluster", "enum": ["pod", "k8s"]},
            "cron": {"description": "When it runs, once at each tick: five fields in local time, or @daily and the like", "type": "string"},
            "rootless": {"description": "The user's podman runs it, not root's", "type": "boolean"},
            "retry": reference("Retry"),
            "update": object(
                "How a changed specification replaces the one before",
                json!({
                    "provingSeconds": seconds("For how long it must prove itself"),
                    "pullWhen": list(reference("Profile")),
                    "replaceWhen": list(reference("Profile")),
                    "deadlineSeconds": seconds("How long it waits for either at most"),
                }),
                &[],
            ),
            "profiles": list(reference("Profile")),
            "priority": {"description": "Where a condition turns several away, those of a lower one go first", "type": "integer", "minimum": -1_000_000_000, "maximum": 1_000_000_000},
            "minRunSeconds": seconds("For how long it runs at least before a condition stops it"),
            "minPauseSeconds": seconds("For how long it rests at least once a condition has stopped it"),
            "protected": {"description": "It is never restrained for an objective of the device", "type": "boolean"},
            "yield": {
                "description": "How it may be restrained for an objective of the device",
                "anyOf": [
                    {"type": "array", "items": {"enum": ["throttle", "squeeze", "freeze", "stop"]}},
                    {"type": "string"},
                ],
            },
            "imageRegistries": registries,
            "pod": pod,
            "data": other, "logCollection": other, "metrics": other,
        }),
        &["pod"],
    );
    vec![
        (
            "EdgeWorkload",
            document(
                "A workload: a pod, for which devices it is, and what holds it back",
                "EdgeWorkloadSpec",
            ),
        ),
        ("EdgeWorkloadSpec", spec),
        ("DeviceSelector", selector),
        ("Profile", profile),
        ("Condition", condition),
        ("Retry", retry()),
    ]
}

fn retry() -> Value {
    let period = seconds("The delay");
    let initial = seconds("The first delay");
    let number = |description: &str| json!({"description": description, "type": "number"});
    let multiplier = number("The factor from one delay to the next, 1 to 100");
    let randomization = number("The share by which a delay varies at random, 0 to 1");
    object(
        "When it is started again after its pod ended",
        json!({
            "backoff": {"enum": ["constant", "exponential"]},
            "periodSeconds": period,
            "initialIntervalSeconds": initial,
            "multiplier": multiplier,
            "randomizationFactor": randomization,
            "constantBackoff": object("Always the same delay", json!({"periodSeconds": period}), &[]),
            "exponentialBackoff": object(
                "Delays that grow",
                json!({
                    "initialIntervalSeconds": initial, "multiplier": multiplier,
                    "randomizationFactor": randomization,
                }),
                &[],
            ),
        }),
        &[],
    )
}

/// Config maps and secrets: what is read of Kubernetes' own, which has no more.
fn contents() -> Vec<(&'static str, Value)> {
    let texts = |description: &str| json!({"description": description, "type": "object", "additionalProperties": {"type": "string"}});
    let kind = |description: &str, fields: Value| {
        let mut properties = json!({
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "metadata": {"$ref": METADATA}, "immutable": {"type": "boolean"},
        });
        let fields = fields.as_object().unwrap().clone();
        properties.as_object_mut().unwrap().extend(fields);
        object(description, properties, &["kind", "metadata"])
    };
    vec![
        (
            "ConfigMap",
            kind(
                "Texts and files for workloads",
                json!({"data": texts("Texts"), "binaryData": texts("Files, in base64")}),
            ),
        ),
        (
            "Secret",
            kind(
                "Secret texts and files for workloads",
                json!({
                    "data": texts("In base64"), "stringData": texts("As they are"),
                    "type": {"type": "string"},
                }),
            ),
        ),
        (
            "List",
            object(
                "Several documents in one",
                json!({
                    "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {},
                    "items": list(json!({"$ref": "#"})),
                }),
                &["kind", "items"],
            ),
        ),
    ]
}

/// Returns what the names of annotations may be: none that is meant for the agent and that it does not
/// know.
pub fn names_of_annotations() -> Value {
    let known = known_annotations().flat_map(|key| [key.to_owned(), format!("podman/{key}")]);
    let known: Vec<String> = known.collect();
    json!({"anyOf": [
        {"enum": known},
        {"not": {"pattern": "^(podman/)?device-worker-ng[./]"}},
    ]})
}

/// Returns the whole: `kinds` are those of documents with the names of their definitions.
pub fn whole(kinds: &[(&str, String)], definitions: &serde_json::Map<String, Value>) -> Value {
    let names: Vec<_> = kinds.iter().map(|(kind, _)| kind).collect();
    let cases = kinds.iter().map(|(kind, definition)| {
        json!({
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": reference(definition),
        })
    });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Manifests of device-worker-ng",
        "description": "A document of a folder of manifests; `device-worker-ng check` knows what a schema cannot tell",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": names}},
        "allOf": cases.collect::<Vec<_>>(),
        "definitions": definitions,
    })
}
