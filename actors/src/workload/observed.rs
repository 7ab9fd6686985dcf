//! What executors see.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{PodHealth, WorkloadId, WorkloadName};

/// How one container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEnd {
    /// The container's name in the pod specification.
    pub container: String,
    /// Its exit code; -1 when the runtime does not know it.
    pub exit_code: i32,
    /// Killed for want of memory.
    pub oom_killed: bool,
    /// What the runtime says about it, if anything.
    pub message: Option<String>,
}

impl ContainerEnd {
    /// Returns whether the container ended as a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.exit_code != 0 || self.oom_killed
    }
}

impl fmt::Display for ContainerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} ended with code {}", self.container, self.exit_code)?;
        if self.oom_killed {
            f.write_str(" (out of memory)")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

/// What an executor sees of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrentState {
    /// The pod exists and is on its way, without our help: a Deployment that makes progress.
    Starting,
    /// Every container runs.
    Running,
    /// The kernel's freezer halts its processes: they keep their memory and their connections. What else is
    /// known of its containers shows once it is thawed.
    Frozen,
    /// Some containers ended, others run.
    Degraded {
        /// Those that ended.
        ended: Vec<ContainerEnd>,
    },
    /// Every container ended.
    Exited {
        /// All of them.
        ended: Vec<ContainerEnd>,
    },
    /// The pod is a leftover that will not run by itself: half created, or from before a reboot.
    Incomplete {
        /// What was seen.
        message: String,
    },
    /// It is kept without a running container, on purpose: a Deployment scaled to zero.
    Suspended,
    /// The cluster itself retries a pod that fails (CrashLoopBackOff, ImagePullBackOff).
    Crashing {
        /// Reason and message as the cluster gives them.
        message: String,
    },
    /// The runtime gives no clear answer about it.
    Unknown,
}

impl CurrentState {
    /// Returns its name as it is shown.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Degraded { .. } => "degraded",
            Self::Exited { .. } => "exited",
            Self::Incomplete { .. } => "incomplete",
            Self::Suspended => "suspended",
            Self::Crashing { .. } => "crashing",
            Self::Unknown => "unknown",
        }
    }
}

/// A pod (or Deployment) of ours that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Which specification it runs.
    pub id: WorkloadId,
    /// Of which workload.
    pub workload: WorkloadName,
    /// What its containers come to.
    pub state: CurrentState,
    /// When its youngest container started, by the wall clock, where the runtime says.
    pub started_at: Option<DateTime<Utc>>,
    /// Restarts of its containers that the runtime made by itself: none where the agent makes them.
    pub restarts: u32,
    /// What makes it was modified outside the agent since the agent wrote it.
    pub is_changed: bool,
    /// What the probes of its containers have found, where the agent runs them.
    pub health: PodHealth,
    /// Its containers that run, in order of name.
    pub containers: Vec<RunningContainer>,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningContainer {
    /// Its name in the pod specification.
    pub name: String,
    /// Its image by the name that the runtime gives it.
    pub image: String,
    /// The digest of that image, `sha256:…`: a name may be another image tomorrow. `None` where it is not known.
    pub digest: Option<String>,
}

/// Resource limits in force by condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Microseconds of CPU time in each period of 100 ms; `None` is no limit of ours.
    pub cpu: Option<u64>,
    /// Bytes of memory; `None` is no limit of ours.
    pub memory: Option<u64>,
    /// The kernel takes memory back from it: cgroup v2's `memory.high`.
    pub squeezed: bool,
}
