//! What an executor is asked to do, and what the scheduler knows of each kind of it.

use std::sync::Arc;
use std::time::Duration;

use crate::workload::{Limits, Workload, WorkloadId, WorkloadName};

/// Time for the images of one workload to arrive.
const PULL_TIME: Duration = Duration::from_secs(15 * 60);
/// Time for a pod to be created and started.
const START_TIME: Duration = Duration::from_secs(5 * 60);
/// The same where init containers run in it, which may migrate a database.
const INIT_TIME: Duration = Duration::from_secs(60 * 60);
/// Time for limits to be applied to a running pod.
const LIMIT_TIME: Duration = Duration::from_secs(60);
/// Time for the containers of a pod to be frozen or thawed.
const FREEZE_TIME: Duration = Duration::from_secs(60);
/// Time for a pod to be stopped and removed, beyond its grace period.
const STOP_MARGIN: Duration = Duration::from_secs(40);
/// Time for the containers of a pod to end while the machine goes down, beyond its grace period: a hook
/// that hangs is given up some seconds after that, and SIGTERM follows.
const HALT_MARGIN: Duration = Duration::from_secs(20);

/// What an executor is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Bring every image of the workload to the device, by its pull policy. Changes no pod.
    Pull {
        /// The workload.
        workload: Arc<Workload>,
    },
    /// Create and start the workload's pod, replacing an ended or incomplete one of the same id.
    /// A pod of that id that already runs is left alone, one that is frozen is thawed: success.
    /// What it makes is not squeezed: it holds nothing yet that could be taken back.
    Start {
        /// The workload.
        workload: Arc<Workload>,
        /// Limits in force.
        limits: Limits,
    },
    /// Bring limits to the workload's pod that runs. Where the runtime can do that, nothing is
    /// restarted. One that cannot be squeezed gets the other limits all the same, and the command fails with
    /// [`CommandError::Unsupported`](crate::messages::CommandError::Unsupported). On a cluster all that makes the pod is written anew, credentials and what something
    /// else changed among it, and other limits restart the pod.
    Limit {
        /// The workload.
        workload: Arc<Workload>,
        /// Limits in force.
        limits: Limits,
    },
    /// Halt the processes of the pod's containers until they are thawed: they keep their memory and their
    /// connections, and get no processor. All of them or none.
    Freeze {
        /// The pod.
        id: WorkloadId,
        /// Of which workload.
        workload: WorkloadName,
    },
    /// Let what is frozen of the pod go on. A pod that is absent or not frozen is a success.
    Thaw {
        /// The pod.
        id: WorkloadId,
        /// Of which workload.
        workload: WorkloadName,
    },
    /// Stop the pod and remove it with its volumes. A pod that is absent is a success.
    Stop {
        /// The pod.
        id: WorkloadId,
        /// Of which workload.
        workload: WorkloadName,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
        /// What becomes of the end of its log.
        evidence: Evidence,
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

/// What becomes of the end of a pod's log when the pod is removed. An executor that keeps none ignores
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// It is kept if a container ended with a failure.
    #[default]
    OfFailure,
    /// It is kept: the run has failed, by its probes or otherwise.
    Kept,
    /// It is kept, and an event has its last lines: the specification failed its proof.
    Reported,
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
    /// [`Action::Freeze`].
    Freeze,
    /// [`Action::Thaw`].
    Thaw,
    /// [`Action::Stop`].
    Stop,
    /// [`Action::Suspend`].
    Suspend,
    /// [`Action::Halt`].
    Halt,
}

/// What an action that succeeds has made of its pod. The scheduler chooses actions by their kind, and
/// takes note of them by their effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its images are on the device.
    ImagesPresent,
    /// It runs.
    Started,
    /// It runs with the limits and credentials that it lacked.
    Updated,
    /// Its processes are halted.
    Frozen,
    /// They go on.
    Thawed,
    /// It is gone.
    Removed,
    /// It is gone, and what makes it is kept.
    Suspended,
    /// Nothing that a later decision rests on.
    None,
}

impl ActionKind {
    /// Returns the name used in logs, metrics and on the status page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Start => "start",
            Self::Limit => "limit",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Stop => "stop",
            Self::Suspend => "suspend",
            Self::Halt => "halt",
        }
    }

    /// Returns what the status of a workload says while the action is in flight.
    pub(crate) const fn progress(self) -> &'static str {
        match self {
            Self::Pull => "pulling images",
            Self::Start => "starting the pod",
            Self::Limit => "applying limits",
            Self::Freeze => "freezing the pod",
            Self::Thaw => "thawing the pod",
            Self::Stop => "stopping the previous pod",
            Self::Suspend | Self::Halt => "stopping the pod",
        }
    }

    /// Returns what it makes of its pod.
    #[must_use]
    pub const fn effect(self) -> Effect {
        match self {
            Self::Pull => Effect::ImagesPresent,
            Self::Start => Effect::Started,
            Self::Limit => Effect::Updated,
            Self::Freeze => Effect::Frozen,
            Self::Thaw => Effect::Thawed,
            Self::Stop => Effect::Removed,
            Self::Suspend => Effect::Suspended,
            // The machine goes down, and nothing is decided after it.
            Self::Halt => Effect::None,
        }
    }

    /// Returns whether it is a step of a start: those take a place in the start budget.
    pub(crate) const fn is_step_of_start(self) -> bool {
        matches!(self.effect(), Effect::ImagesPresent | Effect::Started)
    }

    /// Returns whether it is of use only while its pod is the one that should run: its answer says
    /// nothing of another.
    pub(crate) const fn is_for_wanted_pod(self) -> bool {
        self.is_step_of_start() || matches!(self.effect(), Effect::Updated)
    }

    /// Returns the time that it may take on a pod with this grace period.
    pub(crate) fn time_limit(self, grace: Duration, has_init_containers: bool) -> Duration {
        match self {
            Self::Pull => PULL_TIME,
            Self::Start if has_init_containers => INIT_TIME,
            Self::Start => START_TIME,
            Self::Limit => LIMIT_TIME,
            Self::Freeze | Self::Thaw => FREEZE_TIME,
            Self::Stop | Self::Suspend => grace + STOP_MARGIN,
            Self::Halt => grace + HALT_MARGIN,
        }
    }
}

/// What an action can be about: a pod of a workload.
pub(crate) struct Subject<'a> {
    /// What the pod is made from; `None` once the workload is no longer configured.
    pub(crate) specification: Option<&'a Arc<Workload>>,
    /// Limits in force.
    pub(crate) limits: Limits,
    /// The pod.
    pub(crate) id: WorkloadId,
    /// Of which workload.
    pub(crate) workload: WorkloadName,
    /// Time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
}

impl Action {
    /// Returns the action of this kind on `subject`; `None` when it needs a specification and there is
    /// none.
    pub(crate) fn new(kind: ActionKind, subject: Subject<'_>) -> Option<Self> {
        let Subject { specification, limits, id, workload: name, grace } = subject;
        let workload = || specification.map(Arc::clone);
        Some(match kind {
            ActionKind::Pull => Self::Pull { workload: workload()? },
            ActionKind::Start => Self::Start { workload: workload()?, limits },
            ActionKind::Limit => Self::Limit { workload: workload()?, limits },
            ActionKind::Freeze => Self::Freeze { id, workload: name },
            ActionKind::Thaw => Self::Thaw { id, workload: name },
            ActionKind::Stop => {
                Self::Stop { id, workload: name, grace, evidence: Evidence::default() }
            }
            ActionKind::Suspend => Self::Suspend { id, workload: name, grace },
            ActionKind::Halt => Self::Halt { id, workload: name, grace },
        })
    }

    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Pull { .. } => ActionKind::Pull,
            Self::Start { .. } => ActionKind::Start,
            Self::Limit { .. } => ActionKind::Limit,
            Self::Freeze { .. } => ActionKind::Freeze,
            Self::Thaw { .. } => ActionKind::Thaw,
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
            Self::Freeze { id, .. }
            | Self::Thaw { id, .. }
            | Self::Stop { id, .. }
            | Self::Suspend { id, .. }
            | Self::Halt { id, .. } => id,
        }
    }

    /// Returns the name of the workload that the action is about.
    #[must_use]
    pub fn workload_name(&self) -> &WorkloadName {
        match self {
            Self::Pull { workload }
            | Self::Start { workload, .. }
            | Self::Limit { workload, .. } => &workload.name,
            Self::Freeze { workload, .. }
            | Self::Thaw { workload, .. }
            | Self::Stop { workload, .. }
            | Self::Suspend { workload, .. }
            | Self::Halt { workload, .. } => workload,
        }
    }
}
