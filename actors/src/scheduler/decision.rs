//! What is decided about a job, and what that depends on beside the job itself.

use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::cron::clock_trust::ClockTrust;
use super::observed::{PodKey, Runtimes};
use super::queue::StartBudget;
use crate::clock::{Moment, Monotonic};
use crate::messages::ActionKind;
use crate::workload::{Limits, TargetState, Verdicts, WorkloadName};

/// What is decided about a job.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// What is wanted of the workload now, and why.
    pub(crate) target: Target,
    /// The limits in force.
    pub(crate) limits: Limits,
    /// A workload that must be ready before this one starts for the first time, and has not been.
    pub(crate) waits_for: Option<WorkloadName>,
    /// The next cron tick.
    pub(crate) next_tick: Option<DateTime<Utc>>,
    /// What the wall clock must do before a cron tick is known.
    pub(crate) awaited_clock: Option<Rc<str>>,
    /// Whether it was ever ready: once it was, those that wait for it may start.
    pub(crate) was_ready: bool,
    /// What is to be done now.
    pub(crate) step: Step,
    /// When to decide anew though nothing happens.
    pub(crate) next_look: Option<Monotonic>,
}

/// What is wanted of a workload now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// Its pod should run.
    Running,
    /// No verdict yet: leave running pods alone and start nothing. Reported as running.
    AwaitingVerdicts,
    /// It is configured, but should not run now.
    Inactive { why: String },
    /// It is no longer configured.
    #[default]
    Removed,
}

impl Target {
    /// Returns it without its data.
    pub(crate) const fn state(&self) -> TargetState {
        match self {
            Self::Running | Self::AwaitingVerdicts => TargetState::Running,
            Self::Inactive { .. } => TargetState::Inactive,
            Self::Removed => TargetState::Removed,
        }
    }
}

/// What a job does next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Step {
    /// Have the pod's executor do this.
    Act(ActionKind, PodKey),
    /// Wait for a place in the start budget.
    AwaitPlace(ActionKind, PodKey),
    /// Wait again for a pull that was given up: it brings the images that are wanted now.
    ResumePull(PodKey),
    /// Nothing exists and nothing is wanted: the job ends.
    Forget,
    /// Nothing before this moment, unless something happens.
    WaitUntil(Monotonic),
    /// Nothing unless something happens.
    #[default]
    Settled,
}

impl Step {
    /// Returns it if `at` has come, else to wait until then.
    pub(crate) fn not_before(self, at: Monotonic, now: Monotonic) -> Self {
        if at > now { Self::WaitUntil(at) } else { self }
    }
}

/// What asks for a run of a workload now.
#[derive(Debug)]
pub(crate) struct Demand {
    /// Whether its profiles let it run.
    pub(crate) permission: Permission,
    /// The next cron tick.
    pub(crate) next_tick: Option<DateTime<Utc>>,
    /// What the wall clock must do before a cron tick is known.
    pub(crate) awaited_clock: Option<Rc<str>>,
}

/// Whether its profiles let a workload run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// They do, or it names none.
    Granted,
    /// No verdict yet: leave running pods alone and start nothing.
    AwaitingVerdicts,
    /// They do not; says which profile and condition.
    Denied { why: String },
}

/// What a decision depends on beside the job itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    /// The verdicts on the profiles of the configuration; `None` while they are still to come.
    pub(crate) verdicts: Option<&'a Verdicts>,
    pub(crate) runtimes: &'a Runtimes,
    pub(crate) budget: &'a StartBudget,
    /// Whether cron may follow the wall clock.
    pub(crate) clock: &'a ClockTrust,
    /// A newer configuration may exist: what runs stays.
    pub(crate) outdated: bool,
    /// The first of those that must be ready before this one starts, and have not been.
    pub(crate) waits_for: Option<&'a WorkloadName>,
    pub(crate) now: Moment,
}
