//! One workload as its author gave it, checked and turned into a [`Workload`]; the same for the
//! control plane and for manifests.
//!
//! Whatever is wrong with a workload comes back as a reason in plain words. A reason never quotes
//! a value of the specification: it ends in logs and events, and a value may be a secret.

mod annotations;
mod contents;
mod decoding;
mod device;
mod images;
mod names;
mod pod;
mod profiles;
mod references;
mod registries;
mod retry;
mod unread;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;

pub use annotations::known as known_annotations;
use annotations::{Fields, Gates};
pub(crate) use annotations::{TurnDraft, UpdateDraft, has_retry, merged as merged_annotations};
pub(crate) use contents::{BASE64, Contents, Pool, Supply, config_map, decode_secret};
pub(crate) use decoding::json;
pub use device::objectives_of;
pub(crate) use device::{
    DeviceProfileDrafts, ObjectiveDrafts, device_profiles, heartbeat_period, objectives,
};
pub(crate) use profiles::ProfileDraft;
pub(crate) use registries::from_secret as registries_of_secret;
pub(crate) use retry::RetryDraft;
pub(crate) use unread::{
    GatesAs, lost_guard, refusal, told, unknown_annotations, unknown_resources,
};

use crate::workload::{
    Confidential, ExecutorKind, RegistryCredentials, RejectedWorkload, Workload, WorkloadName,
};
use crate::workload_id::{PodIdentity, workload_id};

/// The namespace of a workload that names none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// The name under which a workload is reported whose own could not be read. No workload can have
/// it: it is not a valid name.
pub(crate) const UNNAMED: &str = "(unnamed)";

/// Most bytes that the config maps and secrets of all workloads may come to, counted for each workload
/// that refers to them: all of it is in the workload's identity.
pub(crate) const MAX_CONTENTS: usize = 64 * 1024 * 1024;
/// Longest cron expression, in bytes.
const MAX_CRON: usize = 1_000;

/// A workload as its author gave it. `Debug` shows no more than its name: a variable of the pod may
/// be a password.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) rootless: bool,
    pub(crate) pod: PodSpec,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) profiles: Vec<ProfileDraft>,
    pub(crate) cron: Option<String>,
    pub(crate) retry: Option<RetryDraft>,
    pub(crate) update: Option<UpdateDraft>,
    pub(crate) turn: TurnDraft,
    /// The registries' credentials: the content of a docker `auth.json`.
    pub(crate) auth_file: Option<Confidential<String>>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks `draft` and gives it its identity. Config maps and secrets that the pod refers to are
/// taken from `contents`.
///
/// # Errors
/// The reason, in plain words, why the workload cannot be run as it stands.
pub(crate) fn workload(mut draft: Draft, contents: Contents<'_>) -> Result<Workload, String> {
    let gates = Gates { profiles: draft.profiles, cron: draft.cron, rootless: draft.rootless };
    let fields = Fields { update: draft.update, turn: draft.turn, gates };
    let ours = annotations::take(&mut draft.annotations, fields)?;
    let Gates { profiles, cron, rootless } = ours.gates;
    let retry = retry::only(draft.retry.take(), ours.retry)?;
    for probe in ours.probes {
        let reason = |reason| format!("an annotation with a probe {reason}");
        annotations::apply(probe, &mut draft.pod).map_err(reason)?;
    }
    let cron = filled(cron).map(|cron| cron.trim().to_owned());
    if cron.as_ref().is_some_and(|cron| cron.len() > MAX_CRON) {
        return Err(format!("its cron is longer than {MAX_CRON} bytes"));
    }
    names::check_subdomain("workload name", &draft.name)?;
    let namespace = filled(draft.namespace).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    names::check_label("namespace", &namespace)?;
    let executor = executor(draft.kind.as_deref(), rootless)?;
    pod::check(&draft.pod, executor)?;
    pod::fit(&mut draft.pod);
    let restart_policy = pod::restart_policy(&draft.pod)?;
    let references = references::of_pod(&draft.pod);
    let (config_maps, secrets) = references.contents(&namespace, contents)?;
    let mut registries = references.pull_credentials(&namespace, contents.secrets)?;
    registries.extend(credentials(draft.auth_file.as_ref())?);
    let id = workload_id(&PodIdentity {
        name: &draft.name,
        namespace: &namespace,
        executor,
        pod: &draft.pod,
        labels: &draft.labels,
        annotations: &draft.annotations,
        config_maps: &config_maps,
        secrets: &secrets,
    });
    Ok(Workload {
        id,
        name: WorkloadName::from(draft.name),
        namespace,
        executor,
        pod: draft.pod,
        labels: draft.labels,
        annotations: draft.annotations,
        config_maps,
        secrets,
        registries,
        profiles: profiles::references(profiles)?,
        cron,
        retry,
        restart_policy,
        after: ours.after,
        proving: ours.proving,
        turn: ours.turn,
        gate: ours.gate,
    })
}

/// Returns the workloads and the rejected ones in their canonical order, each name once among the
/// workloads, whatever the order in which they came.
pub(crate) fn each_name_once(
    mut accepted: Vec<Workload>,
    mut rejected: Vec<RejectedWorkload>,
) -> (Vec<Arc<Workload>>, Vec<RejectedWorkload>) {
    let order = |workload: &Workload| {
        let rest = serde_json::to_string(workload).unwrap_or_default();
        (workload.name.clone(), workload.id.clone(), rest)
    };
    accepted.sort_by_cached_key(order);
    let mut workloads: Vec<Arc<Workload>> = Vec::new();
    for workload in accepted {
        match workloads.last() {
            Some(last) if last.name != workload.name => workloads.push(workload.into()),
            None => workloads.push(workload.into()),
            Some(last) if **last == workload => {}
            Some(last) => {
                let reason = format!(
                    "another workload has this name too (namespaces {} and {}); {} runs, give \
                     the other one a name of its own",
                    last.namespace, workload.namespace, last.id
                );
                rejected.push(RejectedWorkload::new(workload.name.as_str(), &reason));
            }
        }
    }
    rejected.sort_by(|a, b| (&a.name, &a.reason).cmp(&(&b.name, &b.reason)));
    rejected.dedup();
    (workloads, rejected)
}

/// Takes what equals one of `others` from there, so that it is in memory once.
pub(crate) fn share(workloads: &mut [Arc<Workload>], others: &[Arc<Workload>]) {
    let others: BTreeMap<_, _> = others.iter().map(|other| (&other.name, other)).collect();
    for workload in workloads {
        if let Some(other) = others.get(&workload.name).filter(|other| ***other == *workload) {
            *workload = Arc::clone(other);
        }
    }
}

fn executor(kind: Option<&str>, rootless: bool) -> Result<ExecutorKind, String> {
    match (kind.unwrap_or_default(), rootless) {
        ("" | "pod", false) => Ok(ExecutorKind::PodmanRootful),
        ("" | "pod", true) => Ok(ExecutorKind::PodmanRootless),
        ("k8s", _) => Ok(ExecutorKind::K8s),
        (unknown, _) => {
            Err(format!("its kind {unknown:?} is unknown; known kinds are \"pod\" and \"k8s\""))
        }
    }
}

fn credentials(
    auth_file: Option<&Confidential<String>>,
) -> Result<BTreeMap<String, RegistryCredentials>, String> {
    match auth_file.map(|text| text.expose().as_str()) {
        Some(text) if !text.trim().is_empty() => registries::from_auth_file(text),
        Some(_) | None => Ok(BTreeMap::new()),
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests;
