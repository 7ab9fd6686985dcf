//! What a workload brings beside its pod, as objects of a cluster: config maps and secrets. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::workload::{self, RegistryCredentials};

/// Returns a config map as it is applied to the cluster.
pub(super) fn config_map(map: &workload::ConfigMap, metadata: ObjectMeta) -> ConfigMap {
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

/// Returns a secret as it is applied to the cluster.
pub(super) fn secret(secret: &workload::Secret, metadata: ObjectMeta) -> Secret {
    let data = secret.data.iter();
    let data = data.map(|(key, value)| (key.clone(), ByteString(value.expose().clone())));
    Secret {
        data: Some(data.collect()),
        metadata,
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// Returns registry credentials as the secret that an image pull reads.
pub(super) fn pull_secret(
    registries: &BTreeMap<String, RegistryCredentials>,
    metadata: ObjectMeta,
) -> Secret {
    let auths: BTreeMap<_, _> =
        registries.iter().map(|(registry, credentials)| (registry, auth(credentials))).collect();
    let config = json!({ "auths": auths }).to_string().into_bytes();
    Secret {
        data: Some([(".dockerconfigjson".to_owned(), ByteString(config))].into()),
        metadata,
        type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
        ..Secret::default()
    }
}

fn auth(credentials: &RegistryCredentials) -> serde_json::Value {
    use base64::Engine as _;

    let (username, password) = (&credentials.username, credentials.password.expose());
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    json!({ "username": username, "password": password, "auth": auth })
}
