//! Every message between actors, grouped by sender.
//!
//! An event carries a whole fact, is idempotent, and is sent again each period, so that a lost
//! one costs a period and nothing else. A command is answered by [`CommandFinished`], whatever
//! becomes of the executor that received it. Nobody awaits a peer's answer, but for the three
//! queries of the status page, the acceptance of posted metrics, and the wiring when it stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Message, MessageResponse, Recipient};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use crate::clock::{Moment, Monotonic};
use crate::latency::Latencies;
use crate::workload::{
    Event, ExecutorKind, JobReport, Limits, ObservedPod, Profile, RejectedWorkload, RuntimeReport,
    Sample, Verdicts, Workload, WorkloadId, WorkloadName, WorkloadReport,
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
/// disk, on each change, and each period: all workloads that shall exist.
#[derive(Clone, Debug, Default, PartialEq, Message)]
#[rtype(result = "()")]
pub struct WorkloadsConfigured {
    /// All of them, each name once.
    pub workloads: Vec<Arc<Workload>>,
    /// Those that cannot be run, to be reported.
    pub rejected: Vec<RejectedWorkload>,
    /// The profiles that they may name: they are judged by verdicts on these and no others.
    pub profiles: Arc<[Profile]>,
    /// Workloads of the configuration before this one, as far as the disk knows it: what to fall back
    /// on if an agent that was restarted finds their pods where others should run.
    pub former: Vec<Arc<Workload>>,
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
        /// The bound.
        limit: usize,
    },
}

// ---- ProfileEvaluator -----------------------------------------------------------------------

/// ProfileEvaluator → Scheduler, when a verdict changes and each time that profiles are
/// configured: all verdicts.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ProfilesEvaluated {
    /// All verdicts.
    pub verdicts: Verdicts,
    /// What they are verdicts on.
    pub profiles: Arc<[Profile]>,
    /// When the post was taken that changed one; `None` when no post did.
    pub posted_at: Option<Monotonic>,
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

/// What an executor shall do.
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
    /// restarted. On a cluster all that makes the pod is written anew, credentials and what somebody
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

/// Scheduler → ControlPlaneSync, when a report changed, and each period: the reports on all
/// workloads.
#[derive(Clone, Debug, Default, PartialEq, Message)]
#[rtype(result = "()")]
pub struct JobsReported {
    /// In order of name.
    pub jobs: Arc<[JobReport]>,
    /// The runtimes that a workload needs and that do not answer, or too late to serve well.
    pub silent_runtimes: BTreeSet<ExecutorKind>,
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
    /// Why the runtime serves nobody well though it answers: too late.
    pub slow: Option<String>,
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
    /// Which executor.
    pub executor: ExecutorKind,
    /// Which command.
    pub id: CommandId,
    /// Of which workload.
    pub workload: WorkloadName,
    /// When it ended: listings from before then say nothing of the workload.
    pub finished_at: Moment,
    /// How it ended.
    pub result: Result<(), CommandError>,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An image could not be brought to the device.
    #[error("failed to pull image {image}: {message}")]
    Pull {
        /// The image as the specification names it.
        image: String,
        /// What the runtime said.
        message: String,
    },
    /// The pod could not be created or did not start. What was created has been removed, or makes no
    /// pod: a cluster keeps a Deployment without replica.
    #[error("failed to start the pod: {message}")]
    Start {
        /// What the runtime said.
        message: String,
    },
    /// What the runtime has stored is damaged. Nothing of the pod is left.
    #[error("the pod does not start: {message}")]
    Damaged {
        /// What is damaged, what is done about it, and the way out.
        message: String,
    },
    /// The pod could not be stopped or removed.
    #[error("failed to stop the pod: {message}")]
    Stop {
        /// What the runtime said.
        message: String,
    },
    /// The specification asks for what this runtime cannot do.
    #[error("the specification cannot be run here: {message}")]
    Unsupported {
        /// What, and the way out.
        message: String,
    },
    /// The runtime did not answer: not the workload's fault.
    #[error("the runtime did not answer: {message}")]
    Unavailable {
        /// What was tried and what came back.
        message: String,
    },
    /// The executor died or hung; what it did so far is unknown.
    #[error("the executor was restarted while it worked on it")]
    Abandoned,
    /// The executor came to the command after its deadline and did nothing.
    #[error("the command waited past its deadline")]
    Expired,
}

impl CommandError {
    /// Returns whether it says nothing of the workload: the runtime or the executor failed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Abandoned | Self::Expired => true,
            Self::Pull { .. }
            | Self::Start { .. }
            | Self::Damaged { .. }
            | Self::Stop { .. }
            | Self::Unsupported { .. } => false,
        }
    }
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
    /// How it is.
    pub health: ActorHealth,
}

/// Whether a supervised actor works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorHealth {
    /// It handles messages.
    Up,
    /// It failed and waits for its restart.
    Restarting {
        /// What ended it.
        cause: String,
        /// Failures in a row.
        failures: u32,
    },
}

// ---- queries of the status page -------------------------------------------------------------

/// MetricsIngest → Scheduler: workloads and runtimes, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "SchedulerReport")]
pub struct GetJobs;

/// The answer to [`GetJobs`].
#[derive(Clone, Debug, Default, PartialEq, MessageResponse)]
pub struct SchedulerReport {
    /// Every kind of runtime.
    pub runtimes: Vec<RuntimeReport>,
    /// Every workload, in order of name.
    pub workloads: Vec<WorkloadReport>,
    /// Commands sent since the agent started, by executor and action.
    pub commands: BTreeMap<(ExecutorKind, &'static str), u64>,
    /// Commands that failed, by executor and cause.
    pub failures: BTreeMap<(ExecutorKind, &'static str), u64>,
    /// What wanted workloads cannot run for, as what the runtime has stored is damaged.
    pub damages: Vec<String>,
    /// Time from a post to the commands that it led to at once.
    pub reactions: Latencies,
}

/// MetricsIngest → ControlPlaneSync: how the control plane and the actors do, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "ControlPlaneReport")]
pub struct GetControlPlane;

/// The answer to [`GetControlPlane`].
#[derive(Clone, Debug, Default, PartialEq, MessageResponse)]
pub struct ControlPlaneReport {
    /// How far the device is with its control plane, `registered`; `None` over a folder.
    pub stage: Option<&'static str>,
    /// Since when every question got some answer; `None` while there is none.
    pub connected_since: Option<DateTime<Utc>>,
    /// When a heartbeat was last taken.
    pub last_heartbeat: Option<DateTime<Utc>>,
    /// Whether a configuration is in force.
    pub is_configured: bool,
    /// The server's version of it.
    pub configuration_version: Option<String>,
    /// When it was last received; `None` while only the one on the disk is known.
    pub configuration_received: Option<DateTime<Utc>>,
    /// When the one on the disk was written, while it is the only one that is known.
    pub configuration_stored: Option<DateTime<Utc>>,
    /// Time since it was received, or else written; `None` where the clock does not tell.
    pub configuration_age: Option<Duration>,
    /// When it last changed, in the life of this agent.
    pub configuration_changed: Option<DateTime<Utc>>,
    /// The last question that failed.
    pub last_error: Option<CallError>,
    /// What the control plane has not given for three periods or more, with the way out.
    pub missing: Vec<String>,
    /// What is wrong with the source, in plain words.
    pub problems: Vec<String>,
    /// Until when the device's certificate holds.
    pub certificate_expires: Option<DateTime<Utc>>,
    /// Questions asked since the agent started, by kind.
    pub calls: BTreeMap<&'static str, Calls>,
    /// Every actor of which a change was told.
    pub actors: BTreeMap<&'static str, ActorReport>,
    /// The last events, oldest first.
    pub events: Vec<Event>,
}

/// A question that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallError {
    /// When, by the wall clock.
    pub at: DateTime<Utc>,
    /// Why, in plain words.
    pub message: String,
}

/// Questions of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many were answered, well or not, or given up.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
}

/// How one actor does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorReport {
    /// How it is.
    pub health: ActorHealth,
    /// Since when, by the wall clock.
    pub since: DateTime<Utc>,
    /// How often it failed since the agent started.
    pub failures: u64,
}

/// MetricsIngest → ProfileEvaluator: profiles and metrics, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "EvaluatorReport")]
pub struct GetProfiles;

/// The answer to [`GetProfiles`].
#[derive(Clone, Debug, PartialEq, MessageResponse)]
pub struct EvaluatorReport {
    /// Every condition with its verdict.
    pub conditions: Vec<ConditionReport>,
    /// Every metric with its last value.
    pub metrics: Vec<MetricReport>,
    /// Samples taken since the agent started.
    pub samples_taken: u64,
}

/// One condition as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionReport {
    /// The profile's name.
    pub profile: String,
    /// The condition's name.
    pub condition: String,
    /// The expression as written.
    pub expression: String,
    /// Its verdict.
    pub verdict: crate::workload::Verdict,
    /// Why, in plain words.
    pub explanation: String,
}

/// One metric as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReport {
    /// Its name.
    pub name: String,
    /// Its last value.
    pub value: f64,
    /// The unit that its sender gave.
    pub unit: Option<String>,
    /// Time since it was posted.
    pub age: Duration,
    /// Whether its time to live has passed, so that it counts as nil.
    pub stale: bool,
}
