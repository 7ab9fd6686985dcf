//! What is read of the cluster's objects. To read all of a pod's specification takes a large part of
//! an agent's code, and to keep it the larger part of an object's memory.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde_json::Value;

use super::deployment::hash;

/// A Deployment.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenDeployment {
    /// Its names, labels and ages.
    pub metadata: ObjectMeta,
    /// What it should be.
    #[serde(default)]
    pub spec: SeenSpec,
    /// What it is.
    pub status: Option<DeploymentStatus>,
}

/// What a Deployment should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub struct SeenSpec {
    /// How many pods it has.
    pub replicas: Option<i32>,
    /// Hash of all of it, as the cluster holds it, its defaults filled in.
    pub hash: String,
}

impl From<Value> for SeenSpec {
    fn from(spec: Value) -> Self {
        let replicas = spec.get("replicas").and_then(Value::as_i64);
        Self {
            replicas: replicas.and_then(|count| i32::try_from(count).ok()),
            // The fields of a map are in order of their names.
            hash: hash(without_nothing(spec).to_string().as_bytes()),
        }
    }
}

/// Takes out of maps what is null, at any depth: servers of one version write that where others
/// write nothing.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(map.map(|(key, value)| (key, without_nothing(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nothing).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenPod {
    /// Its names, labels and ages.
    pub metadata: ObjectMeta,
    /// What it is.
    pub status: Option<PodStatus>,
}

/// Lets a client ask for objects of one type and read them as another.
macro_rules! read_as {
    ($seen:ty, $whole:ty) => {
        impl Resource for $seen {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                <$whole>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$whole>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$whole>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$whole>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

read_as!(SeenDeployment, Deployment);
read_as!(SeenPod, Pod);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> Value {
        json!({
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"device-worker-ng/id": "web-1", "app": "web"}},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"creationTimestamp": null, "labels": {"device-worker-ng/id": "web-1"}},
                "spec": {
                    "containers": [{
                        "name": "main", "image": "web:1", "imagePullPolicy": "IfNotPresent",
                        "env": [{"name": "DEVICE_ID", "value": "cam-01"}],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {"limits": {"cpu": "50m", "memory": "64Mi"}},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "securityContext": null,
                    }],
                    "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                    "schedulerName": "default-scheduler", "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                    "imagePullSecrets": [{"name": "web-1.registries"}],
                },
            },
        })
    }

    #[test]
    fn null_and_nothing_and_any_order_of_fields_are_one_specification() {
        let hash = SeenSpec::from(spec()).hash;
        let whole: k8s_openapi::api::apps::v1::DeploymentSpec =
            serde_json::from_value(spec()).unwrap();
        let written = serde_json::to_value(&whole).unwrap();
        assert_ne!(written, spec(), "the type leaves out what is null");
        assert_eq!(SeenSpec::from(written).hash, hash);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(super::hash(text.as_bytes()), hash, "fields stand in order of their names");
        let turned = r#"{"strategy":{"type":"Recreate"},"replicas":2}"#;
        let ordered = r#"{"replicas":2,"strategy":{"type":"Recreate"}}"#;
        let read = |text: &str| serde_json::from_str::<SeenSpec>(text).unwrap();
        assert_eq!(read(turned), read(ordered));
        assert_eq!(read(turned).replicas, Some(2));
    }

    #[test]
    fn whatever_else_differs_is_another_specification() {
        let hash = SeenSpec::from(spec()).hash;
        let other = |change: &dyn Fn(&mut Value)| {
            let mut other = spec();
            change(&mut other);
            SeenSpec::from(other).hash
        };
        for other in [
            other(&|spec| spec["replicas"] = json!(0)),
            other(&|spec| spec["template"]["spec"]["containers"][0]["image"] = json!("web:2")),
            other(&|spec| spec["template"]["spec"]["containers"][0]["env"] = json!([])),
            other(&|spec| spec["template"]["spec"]["nodeName"] = json!("here")),
        ] {
            assert_ne!(other, hash);
        }
    }
}
