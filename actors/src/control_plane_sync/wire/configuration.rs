//! The configuration of a device as the control plane sends it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{WireError, envelope, expect_word, shape, shown};
use crate::control_plane_sync::specification::{
    self, Contents, Draft, ProfileDraft, RetryDraft, UNNAMED,
};
use crate::workload::{Confidential, Configuration, DeviceId, RejectedWorkload, Workload};
use crate::yaml;

/// Any field may be absent or null.
#[derive(Deserialize)]
struct WireWorkload {
    name: Option<String>,
    namespace: Option<String>,
    kind: Option<String>,
    specification: Option<String>,
    rootless: Option<bool>,
    cron: Option<String>,
    retry: Option<RetryDraft>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    configmaps: Option<Vec<Option<String>>>,
    profiles: Option<Vec<Option<ProfileDraft>>>,
    #[serde(rename = "imageRegistries")]
    image_registries: Option<ImageRegistries>,
}

#[derive(Deserialize)]
struct ImageRegistries {
    #[serde(rename = "authFile")]
    auth_file: Option<Confidential<String>>,
}

/// Reads the answer to a request for the device's configuration. A workload that cannot be run is
/// among the rejected ones and spoils nothing else.
///
/// # Errors
/// The answer is not the configuration of `device_id`.
pub(crate) fn configuration(body: &[u8], device_id: &DeviceId) -> Result<Configuration, WireError> {
    let envelope = envelope(body, "data")?;
    expect_word(&envelope, "directive", "device")?;
    let content = match envelope.get("content") {
        Some(Value::Object(content)) => content,
        Some(_) | None => return Err(shape("content is not an object")),
    };
    let found = content.get("device_id").and_then(Value::as_str);
    if found != Some(device_id.as_str()) {
        return Err(WireError::OtherDevice {
            expected: device_id.clone(),
            found: shown(found.unwrap_or_default()),
        });
    }
    let settings = content.get("configuration").unwrap_or(&Value::Null);
    let secrets = list(content, "secrets")?;
    let secrets = secrets.into_iter().filter_map(secret).collect();
    let mut accepted = Vec::new();
    let mut rejected = Vec::new();
    for value in list(content, "workloads")? {
        let name = value.get("name").and_then(Value::as_str);
        let name = name.unwrap_or(UNNAMED);
        match workload(value, &secrets) {
            Ok(workload) => accepted.push(workload),
            Err(reason) => rejected.push(RejectedWorkload::new(name, &reason)),
        }
    }
    let (workloads, rejected) = specification::each_name_once(accepted, rejected);
    Ok(Configuration {
        version: version(content.get("version")),
        heartbeat_period: specification::heartbeat_period(
            settings.pointer("/heartbeat/period_seconds"),
        ),
        hardware_in_heartbeat: settings
            .pointer("/heartbeat/hardware_profile/include")
            .and_then(Value::as_bool)
            .unwrap_or_default(),
        profiles: specification::device_profiles(settings.get("profiles")).map_err(shape)?,
        workloads,
        rejected,
    })
}

fn list<'a>(content: &'a Map<String, Value>, field: &str) -> Result<Vec<&'a Value>, WireError> {
    specification::elements(content.get(field), field).map_err(shape)
}

fn version(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) | None => None,
    }
}

type Secrets = BTreeMap<String, Result<crate::workload::Secret, String>>;

/// One without a name cannot be referred to and is left out.
fn secret(value: &Value) -> Option<(String, Result<crate::workload::Secret, String>)> {
    let name = value.get("name")?.as_str()?.to_owned();
    let data = value.get("data").unwrap_or(&Value::Null);
    let secret = specification::decode_secret(&name, data);
    Some((name, secret))
}

fn workload(value: &Value, secrets: &Secrets) -> Result<Workload, String> {
    let wire: WireWorkload = specification::json(value.clone())?;
    let pod =
        yaml::from_str(wire.specification.as_deref().unwrap_or_default()).map_err(|error| {
            format!(
                "its specification is not a PodSpec: {}; correct spec.pod.spec of the EdgeWorkload",
                specification::yaml_reason(&error)
            )
        })?;
    let contents =
        Contents { config_maps: config_maps(wire.configmaps)?, secrets: secrets.clone() };
    let draft = Draft {
        name: wire.name.unwrap_or_default(),
        namespace: wire.namespace,
        kind: wire.kind,
        rootless: wire.rootless.unwrap_or_default(),
        pod,
        labels: wire.labels.unwrap_or_default(),
        annotations: wire.annotations.unwrap_or_default(),
        profiles: wire.profiles.into_iter().flatten().flatten().collect(),
        cron: wire.cron,
        retry: wire.retry,
        auth_file: wire.image_registries.and_then(|registries| registries.auth_file),
    };
    specification::workload(draft, &contents)
}

fn config_maps(
    documents: Option<Vec<Option<String>>>,
) -> Result<BTreeMap<String, Result<crate::workload::ConfigMap, String>>, String> {
    let mut config_maps = BTreeMap::new();
    for (index, document) in documents.into_iter().flatten().flatten().enumerate() {
        let number = index.saturating_add(1);
        let config_map: v1::ConfigMap = yaml::from_str(&document).map_err(|error| {
            let reason = specification::yaml_reason(&error);
            format!("its config map number {number} is not a ConfigMap: {reason}")
        })?;
        let config_map = specification::config_map(config_map)
            .ok_or_else(|| format!("its config map number {number} has no name"))?;
        config_maps.insert(config_map.name.clone(), Ok(config_map));
    }
    Ok(config_maps)
}
