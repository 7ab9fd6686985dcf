//! The configuration of a device as the control plane sends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{self, PodSpec};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{WireError, shape, shown};
use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::specification::{
    self, Contents, DeviceProfileDrafts, Draft, GatesAs, ObjectiveDrafts, Pool, ProfileDraft,
    RetryDraft, Supply, UNNAMED,
};
use crate::workload::{
    Confidential, ConfigMap, Configuration, DeviceId, EventReason, Objective, Profile,
    RejectedWorkload, Secret, Updates, Workload,
};
use crate::yaml::{self, Budget, YamlError};

/// Most workloads of an answer; a device that runs a thousand is a large one.
const MAX_WORKLOADS: usize = 5_000;

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

/// Reads the content of the answer to a request for the device's configuration. A workload that
/// cannot be run is among the rejected ones and spoils nothing else. What equals something of the
/// workloads `in_force` is that very thing, so that it is in memory once.
///
/// # Errors
/// The answer is not the configuration of `device_id`, or too much to be one.
pub(super) fn configuration(
    mut content: Map<String, Value>,
    version: Option<String>,
    device_id: &DeviceId,
    in_force: &[Arc<Workload>],
) -> Result<(Configuration, Vec<Diagnostic>), WireError> {
    let found = content.get("device_id").and_then(Value::as_str);
    if found != Some(device_id.as_str()) {
        return Err(WireError::OtherDevice {
            expected: device_id.clone(),
            found: shown(found.unwrap_or_default()),
        });
    }
    let mut reader = Reader::new(in_force);
    for value in list(content.remove("secrets"), "secrets")? {
        reader.secret(&value);
    }
    let workloads = list(content.remove("workloads"), "workloads")?;
    if workloads.len() > MAX_WORKLOADS {
        return Err(WireError::TooManyWorkloads { found: workloads.len(), limit: MAX_WORKLOADS });
    }
    let mut accepted = Vec::new();
    let mut rejected = Vec::new();
    for value in workloads {
        let name = value.get("name").and_then(Value::as_str);
        let name = name.unwrap_or(UNNAMED).to_owned();
        match reader.workload(value) {
            Ok(workload) => accepted.push(workload),
            Err(reason) => rejected.push(RejectedWorkload::new(&name, &reason)),
        }
        reader.check_total()?;
    }
    let (mut workloads, rejected) = specification::each_name_once(accepted, rejected);
    specification::share(&mut workloads, in_force);
    let settings = content.get("configuration").unwrap_or(&Value::Null);
    let configuration = Configuration {
        version,
        heartbeat_period: specification::heartbeat_period(
            settings.pointer("/heartbeat/period_seconds"),
        ),
        hardware_in_heartbeat: settings
            .pointer("/heartbeat/hardware_profile/include")
            .and_then(Value::as_bool)
            .unwrap_or_default(),
        profiles: device_profiles(settings.get("profiles")).map_err(shape)?,
        objectives: reader.objectives(settings.get("protect")),
        workloads,
        rejected,
        updates: Updates::default(),
    };
    Ok((configuration, reader.diagnostics))
}

fn device_profiles(value: Option<&Value>) -> Result<Vec<Profile>, String> {
    let drafts =
        specification::json::<Option<DeviceProfileDrafts>>(value.cloned().unwrap_or_default())
            .map_err(|reason| format!("the list of profiles: {reason}"))?;
    specification::device_profiles(drafts)
}

/// Returns the elements of a list that may be absent or null, and may hold nulls.
fn list(value: Option<Value>, field: &str) -> Result<Vec<Value>, WireError> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.into_iter().filter(|it| !it.is_null()).collect()),
        Some(_) => Err(shape(format!("{field} is not a list"))),
    }
}

/// Reads workloads and what they share.
struct Reader {
    secrets: Supply<Secret>,
    known_maps: Pool<ConfigMap>,
    known_secrets: Pool<Secret>,
    budget: Budget,
    /// Bytes of config maps and secrets that may still come.
    contents_left: Option<usize>,
    /// What the author should know.
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn new(in_force: &[Arc<Workload>]) -> Self {
        Self {
            secrets: Supply::default(),
            known_maps: Pool::of(in_force.iter().flat_map(|workload| &workload.config_maps)),
            known_secrets: Pool::of(in_force.iter().flat_map(|workload| &workload.secrets)),
            budget: Budget::of_answer(),
            contents_left: Some(specification::MAX_CONTENTS),
            diagnostics: Vec::new(),
        }
    }

    /// Reads a secret; one without a name cannot be referred to and is left out.
    fn secret(&mut self, value: &Value) {
        let Some(name) = value.get("name").and_then(Value::as_str) else { return };
        let data = value.get("data").unwrap_or(&Value::Null);
        let secret = specification::decode_secret(name, data).map(Arc::new);
        let secret = secret.map(|secret| self.known_secrets.share(secret));
        self.secrets.add(None, name.to_owned(), secret);
    }

    fn workload(&mut self, value: Value) -> Result<Workload, String> {
        let wire: WireWorkload = specification::json(value)?;
        let text = wire.specification.as_deref().unwrap_or_default();
        let pod = self.pod(text, wire.name.as_deref().unwrap_or_default()).map_err(|error| {
            format!(
                "its specification is not a PodSpec: {error}; correct spec.pod.spec of the EdgeWorkload"
            )
        })?;
        let config_maps = self.config_maps(wire.configmaps)?;
        let contents = Contents { config_maps: &config_maps, secrets: &self.secrets };
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
            update: None,
            turn: specification::TurnDraft::default(),
            auth_file: wire.image_registries.and_then(|registries| registries.auth_file),
        };
        let workload = specification::workload(draft, contents)?;
        let size = workload.contents_size();
        self.contents_left = self.contents_left.and_then(|left| left.checked_sub(size));
        Ok(workload)
    }

    /// Reads a pod's specification. Unknown keys in it are reported but reject nothing: the server
    /// prunes and validates what it accepts.
    fn pod(&mut self, text: &str, workload: &str) -> Result<PodSpec, YamlError> {
        let document = yaml::only(text, &mut self.budget)?;
        let (pod, mut unread) = document.read()?;
        unread.extend(specification::unknown_resources(document.root(), ""));
        for key in &unread {
            let (reason, text) = specification::told(key, GatesAs::Fields);
            let place = format!("workload {workload}: spec.pod.spec");
            self.diagnostics.push(Diagnostic::new(reason, &place, &text).about(workload));
        }
        Ok(pod)
    }

    fn config_maps(
        &mut self,
        documents: Option<Vec<Option<String>>>,
    ) -> Result<Supply<ConfigMap>, String> {
        let mut config_maps = Supply::default();
        for (index, document) in documents.into_iter().flatten().flatten().enumerate() {
            let number = index.saturating_add(1);
            let config_map = yaml::only(&document, &mut self.budget);
            let config_map = config_map.and_then(|document| document.read::<v1::ConfigMap>());
            let (config_map, _) = config_map.map_err(|error| {
                format!("its config map number {number} is not a ConfigMap: {error}")
            })?;
            let config_map = specification::config_map(config_map)
                .ok_or_else(|| format!("its config map number {number} has no name"))?;
            let name = config_map.name.clone();
            let config_map = self.known_maps.share(Arc::new(config_map));
            config_maps.add(None, name, Ok(config_map));
        }
        Ok(config_maps)
    }

    /// Reads what the device is to keep. Workloads run without, and so a mistake there refuses nothing.
    fn objectives(&mut self, value: Option<&Value>) -> Vec<Objective> {
        let value = value.cloned().unwrap_or_default();
        let drafts = specification::json::<Option<ObjectiveDrafts>>(value);
        let objectives = drafts.and_then(specification::objectives);
        objectives.unwrap_or_else(|reason| {
            let reason = format!("{reason}; the device keeps no objective of it");
            let place = "the list of objectives, protect";
            self.diagnostics.push(Diagnostic::new(EventReason::ConditionFailed, place, &reason));
            Vec::new()
        })
    }

    /// Checks what the workloads come to together: none of them is to blame.
    fn check_total(&self) -> Result<(), WireError> {
        if self.budget.is_overdrawn() {
            let what = "values or aliases in the YAML texts of all workloads";
            return Err(WireError::TooMuch { what });
        }
        if self.contents_left.is_none() {
            return Err(WireError::TooLarge { limit: specification::MAX_CONTENTS });
        }
        Ok(())
    }
}
