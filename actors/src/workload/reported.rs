//! What is reported of workloads, to the control plane and in the status.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ConditionName, ExecutorKind, Limits, PodHealth, ProfileName, ProfileRef, Rung,
    RunningContainer, WorkloadId, WorkloadName,
};

/// What the scheduler wants for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// It should run.
    Running,
    /// It is configured but should not run now: its profiles forbid it, or its cron waits.
    Inactive,
    /// It is no longer configured.
    Removed,
}

/// The status of a workload as the control plane knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadStatus {
    /// No pod yet, or pulling, or waiting for its first run.
    Deploying,
    /// Runs.
    Running,
    /// Ended or degraded, waits for a retry.
    Crashed,
    /// Inactive, or finished by its restart policy.
    Stopped,
}

impl WorkloadStatus {
    /// Returns the protocol's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Crashed => "crashed",
            Self::Stopped => "stopped",
        }
    }
}

/// All that is to be said about one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobReport {
    /// The EdgeWorkload's name.
    pub workload: WorkloadName,
    /// Identity of the specification in force; absent when none could be accepted.
    pub id: Option<WorkloadId>,
    /// Which runtime runs it; absent when the kind is unknown.
    pub executor: Option<ExecutorKind>,
    /// The status in the words of the control plane.
    pub status: WorkloadStatus,
    /// Why it is so, in plain words.
    pub reason: Option<String>,
    /// Runs that the agent started again, since the agent started.
    pub restarts: u32,
    /// The next planned start: a retry or a cron run.
    pub next_start: Option<DateTime<Utc>>,
}

/// What the next planned start of a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NextStart {
    /// A run that failed is tried again.
    Retry,
    /// A tick of its cron.
    Cron,
    /// Its turn to come back, once its profiles allow it again.
    Turn,
}

/// How a specification that is to prove itself stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// It waits for its gate, and what it is to replace runs.
    Waiting,
    /// It runs, or is to run, and what it replaced may come back.
    Proving,
    /// It failed, or its images did not come: what it replaced is in force.
    RolledBack,
}

/// An update of a workload that waits, or may come back to what was before, or has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpdateReport {
    /// How it stands.
    pub state: UpdateState,
    /// Identity of the new specification.
    pub id: WorkloadId,
    /// Identity of the one that it replaced.
    pub previous: WorkloadId,
    /// Which run of the new one it is, while that is in force.
    pub run: Option<u32>,
    /// For how many seconds its pod has been ready without interruption, while it is.
    pub ready_seconds: Option<u64>,
    /// For how many it must be; `None` where the exit code of a run decides.
    pub proving_seconds: Option<u64>,
    /// When the new one is tried again, while the previous one is in force; when it comes at the latest, while
    /// it waits.
    pub until: Option<DateTime<Utc>>,
    /// Why the previous one is in force, or what it waits for.
    pub reason: Option<String>,
    /// The profiles that must all allow it, while it waits.
    pub profiles: Vec<NeededProfile>,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in plain words.
    pub message: String,
}

/// What the status page says about one workload beyond its [`JobReport`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadReport {
    /// What the control plane is sent, too.
    #[serde(flatten)]
    pub job: JobReport,
    /// What the agent wants; absent for one that cannot be run.
    pub target: Option<TargetState>,
    /// How its pod is, `running`; absent when there is none.
    pub pod: Option<&'static str>,
    /// What the probes of its containers have found; empty where there are none.
    pub health: PodHealth,
    /// Its pod's containers that run, and what.
    pub containers: Vec<RunningContainer>,
    /// Its last run that failed or did not come about, since the agent started.
    pub last_failure: Option<LastFailure>,
    /// The command under way, `pull`.
    pub command: Option<&'static str>,
    /// Since when it has its status, as far as this agent knows.
    pub since: DateTime<Utc>,
    /// When the youngest container of its pod started, where the runtime says.
    pub started_at: Option<DateTime<Utc>>,
    /// What its next start is.
    pub next_start_by: Option<NextStart>,
    /// Its cron expression.
    pub cron: Option<String>,
    /// The limits that conditions, and the device's objectives, put on it now.
    pub limits: Limits,
    /// What is done to it so that the device keeps its objectives, in the order in which it came.
    pub restraints: Vec<RestraintReport>,
    /// Who must run before it starts for the first time, and does not yet.
    pub waits_for: Option<WorkloadName>,
    /// The profiles that must allow it.
    pub profiles: Vec<NeededProfile>,
    /// Its update, while that may come back to what was before, or has.
    pub update: Option<UpdateReport>,
}

/// A step by which a workload is restrained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestraintReport {
    /// Which one.
    pub step: Rung,
    /// The objective that it was taken for, a condition of the profile [`PROTECTION`].
    ///
    /// [`PROTECTION`]: super::PROTECTION
    pub objective: ConditionName,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What was done to workloads so that the device keeps its objectives, since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Governed {
    /// How often each step was taken.
    pub steps: BTreeMap<Rung, u64>,
    /// For how long each workload was to be frozen.
    pub frozen: BTreeMap<WorkloadName, Duration>,
}

/// A profile that a workload names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeededProfile {
    /// A profile that the device should define.
    pub name: ProfileName,
    /// The conditions of which one must be true; none means any of the profile.
    pub conditions: Vec<ConditionName>,
}

impl From<&ProfileRef> for NeededProfile {
    fn from(profile: &ProfileRef) -> Self {
        let conditions = profile.conditions.iter().map(|it| it.name.clone()).collect();
        Self { name: profile.name.clone(), conditions }
    }
}

/// Whether a runtime can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeState {
    /// The agent's settings give it none.
    Unconfigured,
    /// It has not been heard of since the agent started.
    Unheard,
    /// It answers.
    Available,
    /// It answers too late to serve well.
    Slow,
    /// It does not answer.
    Unavailable,
}

/// What is known of one runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeReport {
    /// Which one.
    pub executor: ExecutorKind,
    /// Whether it can be used.
    pub state: RuntimeState,
    /// Why it cannot, or not well, in plain words.
    pub reason: Option<String>,
    /// Whether a configured workload needs it.
    pub is_needed: bool,
}
