//! What is decided about a job, and what that depends on beside the job itself.

use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::cron::clock_trust::ClockTrust;
use super::eligibility::Permission;
use super::eligibility::gates::{Closed, Gate, Gates};
use super::eligibility::turns::Waits;
use super::governor::restraint::Restraint;
use super::observed::{PodKey, Runtimes};
use super::queue::StartBudget;
use crate::clock::{Moment, Monotonic};
use crate::messages::ActionKind;
use crate::workload::{Limits, ProfileRef, TargetState, UpdateGate, Verdicts, WorkloadName};

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
    /// Whether containers of it run.
    pub(crate) is_alive: bool,
    /// Since when it waits for its turn to be stopped, or to start again.
    pub(crate) awaits_turn_since: Option<Monotonic>,
    /// When that comes, if that is known.
    pub(crate) turn_comes: Option<Monotonic>,
    /// Whether others may wait for it to go.
    pub(crate) is_going: bool,
    /// What is to be done now.
    pub(crate) step: Step,
    /// When to decide anew though nothing happens.
    pub(crate) next_look: Option<Monotonic>,
}

impl Decision {
    /// Returns whether those that wait for the workload may start: it was ever ready, or what it is to replace
    /// runs.
    pub(crate) fn is_ready_for_others(&self) -> bool {
        self.was_ready || self.gate().is_some_and(|gate| gate.runs.is_some())
    }

    /// Returns the gate that the new specification waits for, if it does.
    pub(crate) const fn gate(&self) -> Option<&GateWait> {
        match &self.step {
            Step::AwaitGate(gate) => Some(gate),
            Step::Act(..)
            | Step::AwaitPlace(..)
            | Step::ResumePull(_)
            | Step::Forget
            | Step::WaitUntil(_)
            | Step::Settled => None,
        }
    }
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
    /// Its profiles stop it, but not yet: leave what runs alone and start nothing. Reported as running.
    Yielding { why: String },
    /// It is no longer configured.
    #[default]
    Removed,
}

impl Target {
    /// Returns it without its data.
    pub(crate) const fn state(&self) -> TargetState {
        match self {
            Self::Running | Self::AwaitingVerdicts | Self::Yielding { .. } => TargetState::Running,
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
    /// Wait for a gate of a new specification to open.
    AwaitGate(GateWait),
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

/// What a new specification waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateWait {
    pub(crate) gate: Gate,
    pub(crate) closed: Closed,
    /// The pod that runs meanwhile, if one does.
    pub(crate) runs: Option<PodKey>,
}

impl GateWait {
    /// Returns the profiles that must allow it.
    pub(crate) fn profiles<'a>(&self, gate: &'a UpdateGate) -> &'a [ProfileRef] {
        match self.gate {
            Gate::Pull => &gate.pull_when,
            Gate::Replace => &gate.replace_when,
        }
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
    /// What it waits for before it follows its verdicts.
    pub(crate) waits: &'a Waits,
    /// Since when it has done so, as was last decided.
    pub(crate) awaits_turn_since: Option<Monotonic>,
    /// The time between two steps where workloads of several priorities go or come back.
    pub(crate) settling: Duration,
    /// The gates of the configured specification that are closed.
    pub(crate) gates: &'a Gates,
    /// What is taken from it for the objectives of the device.
    pub(crate) restraint: &'a Restraint,
    pub(crate) now: Moment,
}
