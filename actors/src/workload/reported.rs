//! What is said about workloads, to the control plane and to people.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ExecutorKind, WorkloadId, WorkloadName};

/// What the scheduler wants for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It shall run.
    Running,
    /// It is configured but shall not run now: its profiles forbid it, or its cron waits.
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
    /// Its status.
    pub status: WorkloadStatus,
    /// Why it is so, in plain words.
    pub reason: Option<String>,
    /// Runs that the agent started again, since the agent started.
    pub restarts: u32,
    /// The next planned start: a retry or a cron run.
    pub next_start: Option<DateTime<Utc>>,
}

/// Severity of an [`Event`], in Kubernetes' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Something happened as it should.
    Normal,
    /// Something needs attention.
    Warn,
}

/// Something that happened once and that the control plane and people should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Severity.
    pub kind: EventKind,
    /// A short word in camel case, `ImagePullFailed`.
    pub reason: &'static str,
    /// The workload that it is about.
    pub workload: Option<WorkloadName>,
    /// What happened, in plain words; at most 1,024 characters reach the control plane.
    pub message: String,
    /// When, by the wall clock.
    pub at: DateTime<Utc>,
}
