//! Every message between actors, grouped by sender.
//!
//! An event carries a whole fact, is idempotent, and is sent again each period, so that a lost
//! one costs a period and nothing else. A command is answered by [`CommandFinished`], whatever
//! becomes of the executor that received it. No actor awaits another's answer, but for the three
//! queries of the status page, the acceptance of posted metrics, and the wiring when it stops.

mod action;
mod command_error;
mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Message, Recipient};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use crate::clock::{Moment, Monotonic};
use crate::workload::{
    ConditionName, Event, ExecutorKind, JobReport, Objective, ObservedPod, Outcome, Profile,
    RejectedWorkload, Sample, Updates, Verdicts, Workload, WorkloadId, WorkloadName,
};

pub(crate) use action::Subject;
pub use action::{Action, ActionKind, Effect, Evidence};
pub use command_error::CommandError;
pub use reports::{
    ActorHealth, ActorReport, CallError, Calls, ConditionReport, ControlPlaneReport,
    EvaluatorReport, MetricReport, SchedulerReport,
};

/// Sends `message` without waiting. The one way to send: a closed mailbox is noticed.
pub fn tell<M>(recipient: &Recipient<M>, message: M)
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    #[allow(clippy::disallowed_methods, reason = "this is the one place that sends")]
    if recipient.connected() {
        recipient.do_send(message);
    } else {
        warn!(kind = std::any::type_name::<M>(), "message had no receiver");
    }
}

// ---- ControlPlaneSync -----------------------------------------------------------------------

/// ControlPlaneSync → PodmanExecutor, which looks after images, and Scheduler; at start from the
/// disk, on each change, and each period: all workloads that should exist.
#[derive(Clone, Debug, Default, PartialEq, Message)]
#[rtype(result = "()")]
pub struct WorkloadsConfigured {
    /// All of them, each name once.
    pub workloads: Vec<Arc<Workload>>,
    /// Those that cannot be run, to be reported.
    pub rejected: Vec<RejectedWorkload>,
    /// The profiles that they may name: they are judged by verdicts on these and no others.
    pub profiles: Arc<[Profile]>,
    /// What the device is to keep by restraining them; evaluated as the profile [`PROTECTION`].
    ///
    /// [`PROTECTION`]: crate::workload::PROTECTION
    pub objectives: Arc<[Objective]>,
    /// Those of the workloads that have not proved themselves, and what comes back if they do not.
    pub updates: Updates,
    /// A newer configuration was on the disk and is damaged: until the source is heard, nothing
    /// that exists is removed because this one does not know it.
    pub is_outdated: bool,
}

/// ControlPlaneSync → ProfileEvaluator, together with [`WorkloadsConfigured`]:
/// all profiles of the device.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ProfilesConfigured {
    /// All of them, each name once.
    pub profiles: Arc<[Profile]>,
}

// ---- MetricsIngest --------------------------------------------------------------------------

/// MetricsIngest → ProfileEvaluator, for each posted body. Answered, because its sender must
/// hear whether the samples were taken: all of them or none. One whose sender has stopped waiting is
/// dropped unread, so what was answered with an error is never taken later.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), MetricsRefused>")]
pub struct MetricsReceived {
    /// The samples of one body, in its order.
    pub samples: Vec<Sample>,
    /// What bounds the messages in the mailbox: given back once this one is handled or dropped, not
    /// when its sender stops waiting.
    pub permits: Vec<OwnedSemaphorePermit>,
}

/// Why the samples of one body were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsRefused {
    /// The agent knows as many metric names as it may.
    #[error("metric {name} is one more than the {limit} names that the agent keeps")]
    TooManyNames {
        /// The first name over the bound.
        name: String,
        /// The most names that it keeps.
        limit: usize,
    },
}

// ---- ProfileEvaluator -----------------------------------------------------------------------

/// ProfileEvaluator → Scheduler, when a verdict changes, each time that profiles are configured, and within
/// a second after a metric of an objective that is broken was posted: all verdicts.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ProfilesEvaluated {
    /// All verdicts.
    pub verdicts: Verdicts,
    /// What they are verdicts on.
    pub profiles: Arc<[Profile]>,
    /// How far each objective that is broken is from holding.
    pub shortfalls: BTreeMap<ConditionName, Shortfall>,
    /// When the post was taken that changed one; `None` when no post did.
    pub posted_at: Option<Monotonic>,
}

/// How far a condition that is false is from being true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    /// As a share of its threshold; 0 while it has only yet to hold for its time.
    pub by: f64,
    /// All its metrics that are known were posted then or later.
    pub measured_at: Monotonic,
}

// ---- Scheduler ------------------------------------------------------------------------------

/// Identifies one command for good; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Scheduler → executor: one thing to do for one workload. Answered by one [`CommandFinished`].
/// At most one is in flight for each workload.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ExecutorCommand {
    /// Its identity.
    pub id: CommandId,
    /// An executor that comes to it later answers [`CommandError::Expired`] and does nothing.
    pub deadline: Monotonic,
    /// What to do.
    pub action: Action,
}

/// Scheduler → ProfileEvaluator, once the wall clock may be followed, and each period from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ClockTrusted;

/// Scheduler → PodmanExecutor, while an objective of the device is broken: what its pods use. Answered by
/// [`UsageObserved`], if podman answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct UsageWanted;

/// Scheduler → ControlPlaneSync, when a report changed, and each period: the reports on all
/// workloads.
#[derive(Clone, Debug, Default, PartialEq, Message)]
#[rtype(result = "()")]
pub struct JobsReported {
    /// In order of name.
    pub jobs: Arc<[JobReport]>,
    /// The runtimes that a workload needs and that do not answer, or too late to serve well.
    pub silent_runtimes: BTreeSet<ExecutorKind>,
    /// What has become of the configured specifications; those that are yet to prove themselves are not in it.
    pub outcomes: BTreeMap<WorkloadId, Outcome>,
}

// ---- PodmanExecutor, K8sExecutor ------------------------------------------------------------
//
// Listings and answers are ordered by when their runtime was asked, not by when they arrive. An
// executor that knows what a command made of its pod sends that as `WorkloadsObserved` before the
// command's `CommandFinished`, so that the next decision rests on it. A listing that was begun before
// a command ended may arrive after the answer and show the pods as they were before: the scheduler
// ignores one whose `observed_at` is earlier than the `finished_at` of a workload's last command, for
// that workload and that executor alone. The next listing holds for it again.

/// Executor → Scheduler, after each burst of runtime events, after each command, and each period:
/// every pod of ours that exists. One that is absent from it does not exist.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct WorkloadsObserved {
    /// Which executor saw it.
    pub executor: ExecutorKind,
    /// When the runtime was asked. It says nothing of a workload whose command ended later.
    pub observed_at: Moment,
    /// The pods, or why the runtime could not be asked.
    pub pods: Result<Vec<ObservedPod>, RuntimeUnavailable>,
    /// Why the runtime does not serve well although it answers: too late.
    pub slow: Option<String>,
}

/// PodmanExecutor → Scheduler, when it was asked: what its pods that run use of the device.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct UsageObserved {
    /// Which executor saw it.
    pub executor: ExecutorKind,
    /// When podman was asked.
    pub observed_at: Moment,
    /// By pod.
    pub pods: BTreeMap<WorkloadId, PodUsage>,
}

/// What a pod uses of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodUsage {
    /// CPU time since its containers started.
    pub cpu: Duration,
    /// Bytes of memory.
    pub memory: u64,
}

/// The runtime does not answer, or not sensibly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeUnavailable {
    /// What was tried and what came back, in plain words.
    pub message: String,
}

/// Executor → Scheduler: the answer to one [`ExecutorCommand`].
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct CommandFinished {
    /// The executor that answers.
    pub executor: ExecutorKind,
    /// The command that is answered.
    pub id: CommandId,
    /// The workload that the command was about.
    pub workload: WorkloadName,
    /// When it ended: listings from before then say nothing of the workload.
    pub finished_at: Moment,
    /// Success, or why the command failed.
    pub result: Result<(), CommandError>,
}

// ---- any actor ------------------------------------------------------------------------------

/// Any actor → ControlPlaneSync: something happened once. The exception to "whole facts"; the
/// last 200 are kept until a heartbeat has taken them.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct EventRecorded {
    /// What happened.
    pub event: Event,
}

// ---- the wiring -----------------------------------------------------------------------------

/// The wiring → ControlPlaneSync, at SIGHUP: read the configuration now, not at the next period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ConfigurationWanted;

/// The wiring → Scheduler, when the agent stops: send no more commands. Answers how many are in
/// flight; the pods are left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "usize")]
pub struct Drain;

/// The wiring → Scheduler, again and again when the machine goes down: end all pods, those first for which
/// others do not wait, and send nothing else. Answers how many workloads still have some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "usize")]
pub struct HaltPods;

// ---- Supervisor -----------------------------------------------------------------------------

/// Supervisor → ControlPlaneSync, on each change: whether an actor works.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ActorHealthChanged {
    /// The actor's name, `podman_rootful`.
    pub actor: &'static str,
    /// Whether it runs, or waits for its restart.
    pub health: ActorHealth,
}

// ---- queries of the status page -------------------------------------------------------------

/// MetricsIngest → Scheduler: workloads and runtimes, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "SchedulerReport")]
pub struct GetJobs;

/// MetricsIngest → ControlPlaneSync: how the control plane and the actors do, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "ControlPlaneReport")]
pub struct GetControlPlane;

/// MetricsIngest → ProfileEvaluator: profiles and metrics, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "EvaluatorReport")]
pub struct GetProfiles;
