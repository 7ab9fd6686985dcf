//! Kubernetes' own kinds as workloads: what `podman kube play` takes, and jobs. Pure.
//!
//! The types list what is known of each kind, so that the rest can be reported; those of k8s-openapi
//! would bring the readers of every status along.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::control_plane_sync::specification::{self, Draft, RetryDraft};
use crate::workload::EventReason;

/// Seconds before the first repetition of a job's run, as Kubernetes has it; each further delay is twice
/// as long.
const FIRST_DELAY: f64 = 10.0;

/// A kind that runs a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainKind {
    Pod,
    Deployment,
    DaemonSet,
    Job,
    CronJob,
}

impl PlainKind {
    /// Every such kind.
    pub(super) const ALL: [Self; 5] =
        [Self::Pod, Self::Deployment, Self::DaemonSet, Self::Job, Self::CronJob];

    /// Returns its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// Returns the keys that lead to the pod.
    pub(super) const fn pod(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &[],
            Self::Deployment | Self::DaemonSet | Self::Job => &["spec", "template"],
            Self::CronJob => &["spec", "jobTemplate", "spec", "template"],
        }
    }
}

/// What a document of such a kind comes to.
pub(super) struct Plain {
    /// The workload.
    pub(super) draft: Draft,
    /// Why it is to rest, if its author wants that.
    pub(super) rests: Option<String>,
    /// Why it cannot be meant, if so.
    pub(super) wrong: Option<String>,
    /// What its author should know.
    pub(super) told: Vec<(EventReason, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
pub(super) struct Resource<S> {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    metadata: Option<ObjectMeta>,
    spec: Option<S>,
    status: Option<IgnoredAny>,
}

/// A pod as others contain it.
#[derive(Default, Deserialize)]
struct Template {
    metadata: Option<ObjectMeta>,
    spec: Option<PodSpec>,
}

/// Of a Deployment or a DaemonSet.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
pub(super) struct SetSpec {
    replicas: Option<i64>,
    template: Option<Template>,
    min_ready_seconds: Option<IgnoredAny>,
    paused: Option<IgnoredAny>,
    progress_deadline_seconds: Option<IgnoredAny>,
    strategy: Option<IgnoredAny>,
    update_strategy: Option<IgnoredAny>,
    // Of no consequence where there is one pod.
    revision_history_limit: Option<IgnoredAny>,
    selector: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
pub(super) struct JobSpec {
    backoff_limit: Option<i64>,
    completions: Option<i64>,
    parallelism: Option<i64>,
    suspend: Option<bool>,
    template: Option<Template>,
    active_deadline_seconds: Option<IgnoredAny>,
    backoff_limit_per_index: Option<IgnoredAny>,
    completion_mode: Option<IgnoredAny>,
    managed_by: Option<IgnoredAny>,
    max_failed_indexes: Option<IgnoredAny>,
    pod_failure_policy: Option<IgnoredAny>,
    pod_replacement_policy: Option<IgnoredAny>,
    success_policy: Option<IgnoredAny>,
    ttl_seconds_after_finished: Option<IgnoredAny>,
    // Of no consequence where there is one pod.
    manual_selector: Option<IgnoredAny>,
    selector: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
pub(super) struct CronJobSpec {
    concurrency_policy: Option<String>,
    job_template: Option<JobTemplate>,
    schedule: Option<String>,
    suspend: Option<bool>,
    time_zone: Option<String>,
    starting_deadline_seconds: Option<IgnoredAny>,
    // Nothing is kept of runs that have ended.
    failed_jobs_history_limit: Option<IgnoredAny>,
    successful_jobs_history_limit: Option<IgnoredAny>,
}

/// A job as a CronJob contains it.
#[derive(Default, Deserialize)]
struct JobTemplate {
    metadata: Option<ObjectMeta>,
    spec: Option<JobSpec>,
}

impl From<Resource<PodSpec>> for Plain {
    fn from(pod: Resource<PodSpec>) -> Self {
        let template = Template { metadata: pod.metadata.clone(), spec: pod.spec };
        Self::of(pod.metadata, None, Some(template))
    }
}

impl From<Resource<SetSpec>> for Plain {
    fn from(set: Resource<SetSpec>) -> Self {
        let spec = set.spec.unwrap_or_default();
        let mut plain = Self::of(set.metadata, None, spec.template);
        plain.times("spec.replicas", spec.replicas);
        plain.unused(&[
            ("spec.minReadySeconds", spec.min_ready_seconds),
            ("spec.paused", spec.paused),
            ("spec.progressDeadlineSeconds", spec.progress_deadline_seconds),
            ("spec.strategy", spec.strategy),
            ("spec.updateStrategy", spec.update_strategy),
        ]);
        plain
    }
}

impl From<Resource<JobSpec>> for Plain {
    fn from(job: Resource<JobSpec>) -> Self {
        let template = JobTemplate { metadata: None, spec: job.spec };
        Self::of_job(job.metadata, template, "spec")
    }
}

impl From<Resource<CronJobSpec>> for Plain {
    fn from(source: Resource<CronJobSpec>) -> Self {
        let spec = source.spec.unwrap_or_default();
        let job = spec.job_template.unwrap_or_default();
        let mut plain = Self::of_job(source.metadata, job, "spec.jobTemplate.spec");
        plain.unused(&[("spec.startingDeadlineSeconds", spec.starting_deadline_seconds)]);
        if let Some(zone) = spec.time_zone {
            plain.adjusted(format!(
                "spec.timeZone {zone:?} is not used: the schedule is one of the device's own time zone"
            ));
        }
        match spec.concurrency_policy.as_deref() {
            None | Some("Forbid") => {}
            Some(policy) => plain.adjusted(format!(
                "spec.concurrencyPolicy {policy:?} is read as Forbid: a tick is skipped while the \
                 previous run has not ended"
            )),
        }
        if spec.suspend == Some(true) {
            plain.rests = Some("spec.suspend is true".to_owned());
        }
        // Without it the job would run at once.
        let schedule = spec.schedule.filter(|schedule| !schedule.trim().is_empty());
        if schedule.is_none() {
            plain.wrong = Some("it has no spec.schedule".to_owned());
        }
        plain.draft.cron = schedule;
        plain
    }
}

impl Plain {
    /// Returns the workload of a pod. Annotations for the agent may be those of the pod, of its job, or
    /// of what contains them.
    fn of(
        metadata: Option<ObjectMeta>,
        job: Option<ObjectMeta>,
        template: Option<Template>,
    ) -> Self {
        let metadata = metadata.unwrap_or_default();
        let template = template.unwrap_or_default();
        let pod = template.metadata.unwrap_or_default();
        let others = [job.and_then(|job| job.annotations), metadata.annotations];
        let others = others.into_iter().flatten().flatten();
        let pod_own = pod.annotations.unwrap_or_default();
        let (annotations, wrong) = match specification::merged_annotations(pod_own, others) {
            Ok(annotations) => (annotations, None),
            Err(reason) => (BTreeMap::new(), Some(reason)),
        };
        let draft = Draft {
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace,
            pod: template.spec.unwrap_or_default(),
            labels: pod.labels.unwrap_or_default(),
            annotations,
            ..Draft::default()
        };
        Self { draft, rests: None, wrong, told: Vec::new() }
    }

    /// Returns the workload of a job, whose fields are below `path`. It runs until it has succeeded.
    fn of_job(metadata: Option<ObjectMeta>, job: JobTemplate, path: &str) -> Self {
        let spec = job.spec.unwrap_or_default();
        let mut plain = Self::of(metadata, job.metadata, spec.template);
        plain.times(&format!("{path}.parallelism"), spec.parallelism);
        plain.times(&format!("{path}.completions"), spec.completions);
        let unused = [
            ("activeDeadlineSeconds", spec.active_deadline_seconds),
            ("backoffLimitPerIndex", spec.backoff_limit_per_index),
            ("completionMode", spec.completion_mode),
            ("managedBy", spec.managed_by),
            ("maxFailedIndexes", spec.max_failed_indexes),
            ("podFailurePolicy", spec.pod_failure_policy),
            ("podReplacementPolicy", spec.pod_replacement_policy),
            ("successPolicy", spec.success_policy),
            ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ];
        let unused = unused.map(|(field, value)| (format!("{path}.{field}"), value));
        plain.unused(&unused);
        if spec.suspend == Some(true) {
            plain.rests = Some(format!("{path}.suspend is true"));
        }
        if let Some(limit) = spec.backoff_limit.filter(|limit| *limit > 0) {
            plain.adjusted(format!(
                "{path}.backoffLimit {limit} is not counted: a failed run is repeated until one succeeds"
            ));
        }
        if plain.draft.pod.restart_policy.as_deref() == Some("Always") {
            let reason =
                format!("{path}.template.spec.restartPolicy is Always; use OnFailure or Never");
            plain.wrong = Some(reason);
        }
        let repeats = spec.backoff_limit != Some(0);
        // Of a job whose pods are never restarted Kubernetes makes another pod.
        let policy = if repeats { "OnFailure" } else { "Never" };
        plain.draft.pod.restart_policy = Some(policy.to_owned());
        if repeats && !specification::has_retry(&plain.draft.annotations) {
            plain.draft.retry = Some(RetryDraft::doubling(FIRST_DELAY));
        }
        plain
    }

    /// Reads how often it is to run at the same time: here it does so once, or not at all.
    fn times(&mut self, path: &str, times: Option<i64>) {
        match times {
            Some(0) => self.rests = Some(format!("{path} is 0")),
            None | Some(1) => {}
            Some(times) => {
                self.adjusted(format!("{path} {times} is read as 1: it runs once on a device"))
            }
        }
    }

    fn adjusted(&mut self, text: String) {
        self.told.push((EventReason::ManifestAdjusted, text));
    }

    fn unused(&mut self, fields: &[(impl AsRef<str>, Option<IgnoredAny>)]) {
        for (field, _) in fields.iter().filter(|(_, value)| value.is_some()) {
            let text = format!("{} is for clusters, and not used", field.as_ref());
            self.told.push((EventReason::ManifestIgnored, text));
        }
    }
}

#[cfg(test)]
mod tests;
