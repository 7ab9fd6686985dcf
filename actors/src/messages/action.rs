//! What an executor is asked to do.

use std::sync::Arc;
use std::time::Duration;

use crate::workload::{Limits, Workload, WorkloadId, WorkloadName};

/// What an executor is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Bring every image of the workload to the device, by its pull policy. Changes no pod.
    Pull {
        /// The workload.
        workload: Arc<Workload>,
    },
    /// Create and start the workload's pod, replacing an ended or incomplete one of the same id.
    /// A pod of that id that already runs is left alone: success.
    Start {
        /// The workload.
        workload: Arc<Workload>,
        /// Limits in force.
        limits: Limits,
    },
    /// Bring limits to the workload's pod that runs. Where the runtime can do that, nothing is
    /// restarted. On a cluster all that makes the pod is written anew, credentials and what something
    /// else changed among it, and other limits restart the pod.
    Limit {
        /// The workload.
        workload: Arc<Workload>,
        /// Limits in force.
        limits: Limits,
    },
    /// Stop the pod and remove it with its volumes. A pod that is absent is a success.
    Stop {
        /// The pod.
        id: WorkloadId,
        /// Of which workload.
        workload: WorkloadName,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
    },
    /// End the pod and keep what makes it, so that it soon starts again. A runtime that can't does
    /// as for [`Self::Stop`].
    Suspend {
        /// The pod.
        id: WorkloadId,
        /// Of which workload.
        workload: WorkloadName,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
    },
    /// End the containers of the pod, in their grace period, and leave all else of it: the machine goes
    /// down. A cluster's pods are not of this machine, and stay.
    Halt {
        /// The pod.
        id: WorkloadId,
        /// Of which workload.
        workload: WorkloadName,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
    },
}

/// An [`Action`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// [`Action::Pull`].
    Pull,
    /// [`Action::Start`].
    Start,
    /// [`Action::Limit`].
    Limit,
    /// [`Action::Stop`].
    Stop,
    /// [`Action::Suspend`].
    Suspend,
    /// [`Action::Halt`].
    Halt,
}

impl ActionKind {
    /// Returns the name used in logs, metrics and on the status page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Start => "start",
            Self::Limit => "limit",
            Self::Stop => "stop",
            Self::Suspend => "suspend",
            Self::Halt => "halt",
        }
    }
}

impl Action {
    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Pull { .. } => ActionKind::Pull,
            Self::Start { .. } => ActionKind::Start,
            Self::Limit { .. } => ActionKind::Limit,
            Self::Stop { .. } => ActionKind::Stop,
            Self::Suspend { .. } => ActionKind::Suspend,
            Self::Halt { .. } => ActionKind::Halt,
        }
    }

    /// Returns the name of its kind.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Returns the id of the pod that the action is about.
    #[must_use]
    pub fn workload_id(&self) -> &WorkloadId {
        match self {
            Self::Pull { workload }
            | Self::Start { workload, .. }
            | Self::Limit { workload, .. } => &workload.id,
            Self::Stop { id, .. } | Self::Suspend { id, .. } | Self::Halt { id, .. } => id,
        }
    }

    /// Returns the name of the workload that the action is about.
    #[must_use]
    pub fn workload_name(&self) -> &WorkloadName {
        match self {
            Self::Pull { workload }
            | Self::Start { workload, .. }
            | Self::Limit { workload, .. } => &workload.name,
            Self::Stop { workload, .. }
            | Self::Suspend { workload, .. }
            | Self::Halt { workload, .. } => workload,
        }
    }
}
