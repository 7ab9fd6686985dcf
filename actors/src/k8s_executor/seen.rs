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
    /// What it shall be.
    #[serde(default)]
    pub spec: SeenSpec,
    /// What it is.
    pub status: Option<DeploymentStatus>,
}

/// What a Deployment shall be.
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
            hash: hash(spec.to_string().as_bytes()),
        }
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
