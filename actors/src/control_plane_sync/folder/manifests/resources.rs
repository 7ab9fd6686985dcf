//! The resources EdgeDevice and EdgeWorkload as their authors write them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize;
use serde_json::Value;

use super::selector::LabelSelector;
use crate::control_plane_sync::specification::{self, Draft, ProfileDraft, RetryDraft, Supply};
use crate::workload::{Profile, RegistryCredentials, Secret};

/// Keys of labels and annotations that begin so are meant for the pod, without it.
const POD_PREFIX: &str = "podman/";

/// What an EdgeDevice says about the device.
#[derive(Clone, Debug)]
pub(super) struct Device {
    /// Empty when its author forgot it.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) heartbeat_period: Duration,
    pub(super) hardware_in_heartbeat: bool,
    pub(super) profiles: Vec<Profile>,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            name: String::new(),
            labels: BTreeMap::new(),
            heartbeat_period: specification::heartbeat_period(None),
            hardware_in_heartbeat: false,
            profiles: Vec::new(),
        }
    }
}

#[derive(Clone, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub(super) struct EdgeDevice {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
}

impl TryFrom<EdgeDevice> for Device {
    type Error = String;

    /// Profiles are accepted under `spec` and, as the README has them, under `spec.heartbeat`.
    /// A name that slipped under the labels is accepted, too.
    fn try_from(source: EdgeDevice) -> Result<Self, String> {
        let labels = source.metadata.labels.unwrap_or_default();
        let heartbeat = |field: &str| source.spec.get("heartbeat").and_then(|h| h.get(field));
        let profiles = source.spec.get("profiles").filter(|list| !list.is_null());
        Ok(Self {
            name: source.metadata.name.or_else(|| labels.get("name").cloned()).unwrap_or_default(),
            labels,
            heartbeat_period: specification::heartbeat_period(heartbeat("periodSeconds")),
            hardware_in_heartbeat: heartbeat("hardwareProfile")
                .and_then(|profile| profile.get("include"))
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            profiles: specification::device_profiles(profiles.or_else(|| heartbeat("profiles")))?,
        })
    }
}

/// An EdgeWorkload. Fields that concern other agents (`data`, `metrics`, …) are ignored.
/// `Debug` shows no more than its name: a variable of the pod may be a password.
#[derive(Clone, Deserialize)]
pub(super) struct EdgeWorkload {
    #[serde(default)]
    pub(super) metadata: Metadata,
    spec: WorkloadSpec,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadSpec {
    /// A label selector, or a device's name.
    device_selector: Option<Value>,
    /// A device's name.
    device: Option<String>,
    #[serde(rename = "type", alias = "kind")]
    kind: Option<String>,
    cron: Option<String>,
    rootless: Option<bool>,
    retry: Option<RetryDraft>,
    pod: Option<Pod>,
    profiles: Option<Vec<Option<ProfileDraft>>>,
    image_registries: Option<ImageRegistries>,
}

#[derive(Clone, Deserialize)]
struct Pod {
    spec: Option<PodSpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageRegistries {
    secret_ref: Option<NameRef>,
}

#[derive(Clone, Debug, Deserialize)]
struct NameRef {
    name: String,
}

/// The README puts profiles beside the labels.
#[derive(Default, Deserialize)]
struct MisplacedProfiles {
    profiles: Option<Vec<Option<ProfileDraft>>>,
}

impl fmt::Debug for EdgeWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeWorkload").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

impl EdgeWorkload {
    /// Returns whether the workload is meant for the device of this name and these labels.
    ///
    /// # Errors
    /// Its selector cannot be understood.
    pub(super) fn selects(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<bool, String> {
        let device = self.spec.device.as_deref().unwrap_or_default();
        if !device.is_empty() {
            return Ok(device == name);
        }
        match &self.spec.device_selector {
            None | Some(Value::Null) => Ok(true),
            Some(Value::String(device)) => Ok(device == name),
            Some(selector) => specification::json::<LabelSelector>(selector.clone())
                .map_err(|reason| format!("its deviceSelector: {reason}"))?
                .matches(labels),
        }
    }

    /// Returns the workload as given, but for its namespace.
    ///
    /// # Errors
    /// A part of it has the wrong shape.
    pub(super) fn draft(self, name: &str) -> Result<Draft, String> {
        let misplaced = match &self.spec.profiles {
            Some(_) => None,
            None => self.misplaced_profiles()?,
        };
        let spec = self.spec;
        let profiles = spec.profiles.or(misplaced);
        let mut annotations = for_pod(self.metadata.annotations.as_ref());
        let ours = self.metadata.annotations.into_iter().flatten();
        annotations.extend(ours.filter(|(key, _)| specification::is_for_agent(key)));
        Ok(Draft {
            name: name.to_owned(),
            namespace: None,
            kind: spec.kind,
            rootless: spec.rootless.unwrap_or_default(),
            pod: spec.pod.and_then(|pod| pod.spec).unwrap_or_default(),
            labels: for_pod(self.metadata.labels.as_ref()),
            annotations,
            profiles: profiles.into_iter().flatten().flatten().collect(),
            cron: spec.cron,
            retry: spec.retry,
            auth_file: None,
        })
    }

    fn misplaced_profiles(&self) -> Result<Option<Vec<Option<ProfileDraft>>>, String> {
        match &self.spec.device_selector {
            Some(selector @ Value::Object(_)) => {
                let found: MisplacedProfiles = specification::json(selector.clone())
                    .map_err(|reason| format!("its profiles: {reason}"))?;
                Ok(found.profiles)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Returns the registry credentials that the workload refers to.
    ///
    /// # Errors
    /// Their secret is missing or cannot be read.
    pub(super) fn registries(
        &self,
        namespace: &str,
        secrets: &Supply<Secret>,
    ) -> Result<BTreeMap<String, RegistryCredentials>, String> {
        let registries = self.spec.image_registries.as_ref();
        let Some(secret) = registries.and_then(|registries| registries.secret_ref.as_ref()) else {
            return Ok(BTreeMap::new());
        };
        match secrets.find(namespace, &secret.name) {
            Some(Ok(secret)) => specification::registries_of_secret(secret),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!(
                "its imageRegistries name secret {:?}, which no file holds",
                secret.name
            )),
        }
    }
}

fn for_pod(all: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    all.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix(POD_PREFIX)?.to_owned(), value.clone())))
        .collect()
}
