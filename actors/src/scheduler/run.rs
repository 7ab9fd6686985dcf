//! How the runs of a job stand, and the command in flight. Pure.

use crate::clock::Monotonic;
use crate::messages::{ActionKind, CommandId};
use crate::workload::{ExecutorKind, Limits, WorkloadId};

/// Where a pod is and which specification it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodKey {
    pub(crate) executor: ExecutorKind,
    pub(crate) id: WorkloadId,
}

/// The command in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) command: CommandId,
    pub(crate) kind: ActionKind,
    pub(crate) pod: PodKey,
    /// The limits that it brings about; none for those that touch no limits.
    pub(crate) limits: Limits,
    pub(crate) sent_at: Monotonic,
    /// When the job gives the command up.
    pub(crate) until: Monotonic,
}

/// How the runs of the specification in force stand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Run {
    /// Entered when the specification is adopted and when a healthy pod was stopped on purpose:
    /// the pod may start at once.
    Idle,
    /// Entered when the pod was started, or found running.
    Started { since: Monotonic },
    /// Entered when a run failed, or ended and shall be repeated: the next one is due then.
    Waiting { until: Monotonic },
    /// Entered when a run ended that shall not be repeated.
    Finished,
}
