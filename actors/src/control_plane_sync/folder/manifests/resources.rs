//! The resources EdgeDevice and EdgeWorkload as their authors write them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::selector::LabelSelector;
use crate::control_plane_sync::specification::{
    self, DeviceProfileDrafts, Draft, ObjectiveDrafts, ProfileDraft, RetryDraft, Supply, TurnDraft,
    UpdateDraft,
};
use crate::workload::{Objective, Profile, RegistryCredentials, Secret};
use crate::yaml::{AsWritten, OrText};

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
    pub(super) objectives: Vec<Objective>,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            name: String::new(),
            labels: BTreeMap::new(),
            heartbeat_period: specification::heartbeat_period(None),
            hardware_in_heartbeat: false,
            profiles: Vec::new(),
            objectives: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
pub(super) struct EdgeDevice {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    metadata: Option<ObjectMeta>,
    spec: Option<DeviceSpec>,
    status: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
struct DeviceSpec {
    heartbeat: Option<HeartbeatSpec>,
    profiles: Option<DeviceProfileDrafts>,
    protect: Option<ObjectiveDrafts>,
    log_collection: Option<IgnoredAny>,
    metrics: Option<IgnoredAny>,
    mounts: Option<IgnoredAny>,
    os_information: Option<IgnoredAny>,
    request_time: Option<IgnoredAny>,
    storage: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeartbeatSpec {
    period_seconds: Option<Value>,
    hardware_profile: Option<HardwareSpec>,
    profiles: Option<DeviceProfileDrafts>,
}

#[derive(Default, Deserialize)]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
struct HardwareSpec {
    include: Option<bool>,
    scope: Option<IgnoredAny>,
}

impl EdgeDevice {
    /// Returns whether its name is where it does not belong, and read all the same.
    pub(super) fn has_misplaced_name(&self) -> bool {
        let Some(metadata) = &self.metadata else { return false };
        let labels = metadata.labels.as_ref();
        metadata.name.is_none() && labels.is_some_and(|labels| labels.contains_key("name"))
    }

    /// Names what is given and concerns other agents.
    pub(super) fn unused(&self) -> Vec<&'static str> {
        let Some(spec) = &self.spec else { return Vec::new() };
        present(&[
            ("spec.logCollection", spec.log_collection),
            ("spec.metrics", spec.metrics),
            ("spec.mounts", spec.mounts),
            ("spec.osInformation", spec.os_information),
            ("spec.storage", spec.storage),
        ])
    }
}

impl TryFrom<EdgeDevice> for Device {
    type Error = String;

    /// Profiles are accepted under `spec` and, as the README has them, under `spec.heartbeat`.
    /// A name that slipped under the labels is accepted, too.
    fn try_from(source: EdgeDevice) -> Result<Self, String> {
        let metadata = source.metadata.unwrap_or_default();
        let labels = metadata.labels.unwrap_or_default();
        let spec = source.spec.unwrap_or_default();
        let heartbeat = spec.heartbeat.unwrap_or_default();
        let hardware = heartbeat.hardware_profile.unwrap_or_default();
        Ok(Self {
            name: metadata.name.or_else(|| labels.get("name").cloned()).unwrap_or_default(),
            labels,
            heartbeat_period: specification::heartbeat_period(heartbeat.period_seconds.as_ref()),
            hardware_in_heartbeat: hardware.include.unwrap_or_default(),
            profiles: specification::device_profiles(spec.profiles.or(heartbeat.profiles))?,
            objectives: specification::objectives(spec.protect)
                .map_err(|reason| format!("spec.protect: {reason}"))?,
        })
    }
}

/// An EdgeWorkload. `Debug` shows no more than its name: a variable of the pod may be a password.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
pub(super) struct EdgeWorkload {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) metadata: Option<ObjectMeta>,
    spec: WorkloadSpec,
    status: Option<IgnoredAny>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadSpec {
    /// A label selector, or a device's name.
    device_selector: Option<OrText<LabelSelector>>,
    /// A device's name.
    device: Option<String>,
    #[serde(rename = "type", alias = "kind")]
    kind: Option<String>,
    cron: Option<String>,
    rootless: Option<bool>,
    retry: Option<RetryDraft>,
    update: Option<UpdateDraft>,
    priority: Option<AsWritten>,
    min_run_seconds: Option<AsWritten>,
    min_pause_seconds: Option<AsWritten>,
    protected: Option<AsWritten>,
    #[serde(rename = "yield")]
    yields: Option<OrText<Vec<Option<AsWritten>>>>,
    pod: Option<Pod>,
    profiles: Option<Vec<Option<ProfileDraft>>>,
    image_registries: Option<ImageRegistries>,
    data: Option<IgnoredAny>,
    log_collection: Option<IgnoredAny>,
    metrics: Option<IgnoredAny>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
struct Pod {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    metadata: Option<Box<ObjectMeta>>,
    spec: Option<PodSpec>,
    status: Option<IgnoredAny>,
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

impl fmt::Debug for EdgeWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metadata.as_ref().and_then(|metadata| metadata.name.as_ref());
        f.debug_struct("EdgeWorkload").field("name", &name).finish_non_exhaustive()
    }
}

impl EdgeWorkload {
    /// Names what is given and concerns other agents.
    pub(super) fn unused(&self) -> Vec<&'static str> {
        let spec = &self.spec;
        let pod = spec.pod.as_ref().and_then(|pod| pod.metadata.as_deref());
        present(&[
            ("spec.data", spec.data),
            ("spec.logCollection", spec.log_collection),
            ("spec.metrics", spec.metrics),
            ("spec.pod.metadata", pod.filter(|it| says_more(it)).map(|_| IgnoredAny)),
        ])
    }

    /// Returns why the workload is not meant for the device of this name and these labels; none when
    /// it is.
    ///
    /// # Errors
    /// Its selector cannot be understood.
    pub(super) fn foreign(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Option<String>, String> {
        let other = |device: &str| {
            (device != name)
                .then(|| format!("it names device {device:?}, and this one is {name:?}"))
        };
        let device = self.spec.device.as_deref().unwrap_or_default();
        if !device.is_empty() {
            return Ok(other(device));
        }
        match &self.spec.device_selector {
            None => Ok(None),
            Some(OrText::Text(device)) => Ok(other(device)),
            Some(OrText::Fields(selector)) => selector.lacking(labels),
        }
    }

    /// Returns whether its profiles are where they do not belong, and read all the same.
    pub(super) const fn has_misplaced_profiles(&self) -> bool {
        matches!(
            (&self.spec.profiles, &self.spec.device_selector),
            (None, Some(OrText::Fields(LabelSelector { profiles: Some(_), .. })))
        )
    }

    /// Returns the workload as given, but for its namespace.
    ///
    /// # Errors
    /// An annotation for the agent is there with and without the operators' prefix, and differs.
    pub(super) fn draft(self, name: &str) -> Result<Draft, String> {
        let spec = self.spec;
        let misplaced = match spec.device_selector {
            Some(OrText::Fields(selector)) => selector.profiles,
            Some(OrText::Text(_)) | None => None,
        };
        let profiles = spec.profiles.or(misplaced);
        let metadata = self.metadata.unwrap_or_default();
        let pod_own = for_pod(metadata.annotations.as_ref());
        let all = metadata.annotations.unwrap_or_default();
        let (of_pod, pod) = spec.pod.map(|pod| (pod.metadata, pod.spec)).unwrap_or_default();
        let of_pod = of_pod.and_then(|metadata| metadata.annotations).unwrap_or_default();
        let annotations =
            specification::merged_annotations(pod_own, all.into_iter().chain(of_pod))?;
        Ok(Draft {
            name: name.to_owned(),
            namespace: None,
            kind: spec.kind,
            rootless: spec.rootless.unwrap_or_default(),
            pod: pod.unwrap_or_default(),
            labels: for_pod(metadata.labels.as_ref()),
            annotations,
            profiles: profiles.into_iter().flatten().flatten().collect(),
            cron: spec.cron,
            retry: spec.retry,
            update: spec.update,
            turn: TurnDraft {
                priority: spec.priority,
                min_run_seconds: spec.min_run_seconds,
                min_pause_seconds: spec.min_pause_seconds,
                protected: spec.protected,
                yields: spec.yields,
            },
            auth_file: None,
        })
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

fn present(fields: &[(&'static str, Option<IgnoredAny>)]) -> Vec<&'static str> {
    fields.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect()
}

/// Whether there is more in the metadata of an EdgeWorkload's pod than annotations for the agent.
fn says_more(metadata: &ObjectMeta) -> bool {
    let is_ours = |key: &str| {
        let key = key.strip_prefix(POD_PREFIX).unwrap_or(key);
        specification::known_annotations().any(|known| known == key)
    };
    let mut annotations = metadata.annotations.iter().flatten();
    let rest = ObjectMeta { annotations: None, ..metadata.clone() };
    annotations.any(|(key, _)| !is_ours(key)) || rest != ObjectMeta::default()
}

fn for_pod(all: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    all.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix(POD_PREFIX)?.to_owned(), value.clone())))
        .collect()
}
