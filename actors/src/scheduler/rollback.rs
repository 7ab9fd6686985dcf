//! The specification that ran well before the present one, in case that one cannot be started. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::job::{Job, key_of};
use super::notices::Notices;
use super::run::Run;
use crate::clock::{Moment, Monotonic};
use crate::messages::ActionKind;
use crate::workload::{
    ContainerEnd, CurrentState, EventReason, RestartPolicy, TargetState, Workload, WorkloadId,
};

/// A new specification has so many attempts to start before the previous one comes back.
const ATTEMPTS: u32 = 3;
/// The new specification is tried again after this, then after twice that, and so on: each attempt
/// interrupts the one that runs well.
const NEXT_TRY: Duration = Duration::from_secs(300);
/// Longest time between two such attempts.
const LAST_TRY: Duration = Duration::from_secs(24 * 60 * 60);
/// A pull that takes longer brings an image over a network, or hangs: the previous specification
/// does not wait for it when no pod runs.
const PULL_PATIENCE: Duration = Duration::from_secs(30);
/// The previous specification is in force for so long at least when images do not come.
const MIN_RULE: Duration = Duration::from_secs(20);

/// What a job can fall back on.
#[derive(Debug, Default)]
pub(super) struct Rollback {
    /// What replaced `previous`.
    successor: Option<WorkloadId>,
    /// Ran well when it was replaced; `None` once its successor ran, or if there was none.
    previous: Option<Arc<Workload>>,
    /// Was configured before in an earlier life of the agent. It counts only if its pod still runs:
    /// else the present one may have run meanwhile, and left data that an older one must not touch.
    former: Option<Arc<Workload>>,
    failed_starts: u32,
    rounds: u32,
    /// The previous one is in force until then.
    until: Option<Monotonic>,
}

impl Rollback {
    /// Notes that a new specification came. `healthy` is the one that ran well until now.
    pub(super) fn replaced(&mut self, successor: &WorkloadId, healthy: Option<Arc<Workload>>) {
        // A scheduler that was reset hears of it once more.
        if self.successor.as_ref() == Some(successor) {
            return;
        }
        // A second change before the first one ever ran still falls back on what ran.
        let previous = healthy.or(self.previous.take()).filter(|it| it.id != *successor);
        let successor = Some(successor.clone());
        *self = Self { successor, previous, ..Self::default() };
    }

    /// Notes what was configured before in an earlier life of the agent.
    pub(super) fn recall(&mut self, former: &Arc<Workload>) {
        self.former = Some(Arc::clone(former));
    }

    /// Returns whether there is something to fall back on that is not in force yet.
    fn is_possible(&self) -> bool {
        self.previous.is_some() && self.until.is_none()
    }

    /// Puts the previous specification in force until then.
    fn fall_back(&mut self, until: Monotonic) {
        self.until = Some(until);
    }

    /// Notes that a pod could not be started; returns whether the previous specification is in
    /// force from now on.
    pub(super) fn start_failed(&mut self, now: Monotonic) -> bool {
        if !self.is_possible() {
            return false;
        }
        self.failed_starts = self.failed_starts.saturating_add(1);
        if self.failed_starts < ATTEMPTS {
            return false;
        }
        let wait = NEXT_TRY.saturating_mul(1 << self.rounds.min(16)).min(LAST_TRY);
        self.rounds = self.rounds.saturating_add(1);
        self.until = Some(now + wait);
        true
    }

    /// Notes that a pod started; if it was the new specification's, there is no way back any more.
    pub(super) fn started(&mut self) {
        if self.until.is_none() {
            (self.previous, self.former) = (None, None);
        }
    }

    /// Ends the rule of the previous specification: the new one has one more attempt.
    fn end(&mut self) {
        self.until = None;
        if self.rounds > 0 {
            self.failed_starts = ATTEMPTS - 1;
        }
    }

    /// Returns the previous specification while it is in force.
    pub(super) fn in_force(&self) -> Option<&Arc<Workload>> {
        self.until.and(self.previous.as_ref())
    }

    /// Returns the specification that can be fallen back on.
    pub(super) fn previous(&self) -> Option<&Arc<Workload>> {
        self.previous.as_ref()
    }

    /// Has the new specification tried again at once, if the previous one is in force.
    pub(super) fn end_soon(&mut self, now: Monotonic) {
        self.until = self.until.map(|until| until.min(now));
    }
}

impl Job {
    /// Falls back, if need be, on the specification of an earlier life whose pod still runs.
    pub(super) fn remember_former(&mut self) {
        let runs = |former: &mut Arc<Workload>| {
            let pod = self.pods.get(&key_of(former));
            pod.is_some_and(|pod| pod.state == CurrentState::Running)
        };
        if let Some(former) = self.rollback.former.take_if(runs) {
            let is_other = self.desired.as_ref().is_some_and(|desired| desired.id != former.id);
            self.rollback.previous =
                self.rollback.previous.take().or(Some(former).filter(|_| is_other));
        }
    }

    /// Lets the previous specification run again, at once: its images are on the device.
    pub(super) fn roll_back(&mut self, notices: &mut Notices) {
        self.run = Run::Idle;
        if let Some(previous) = self.wanted() {
            self.images.came(&previous);
        }
        let cause = self.failure.clone().unwrap_or_default();
        let message = format!("the previous specification is started again: {cause}");
        notices.add(EventReason::RolledBack, &self.name, message);
    }

    /// Returns when the previous specification comes back because the images of the new one do not
    /// come; `None` while a pod runs, which a pull does not disturb.
    pub(super) fn fall_back_at(&self, now: Monotonic) -> Option<Monotonic> {
        let may_start = self.target == TargetState::Running && !self.is_kept;
        if !may_start || !self.rollback.is_possible() || self.is_any_pod_alive() {
            return None;
        }
        if self.rollback.previous().is_some_and(|previous| self.is_over(previous)) {
            return None;
        }
        match &self.in_flight {
            Some(flight) if flight.kind == ActionKind::Pull => Some(flight.sent_at + PULL_PATIENCE),
            Some(_) => None,
            None => self.images.did_not_come(&self.wanted()?).then_some(now),
        }
    }

    /// Returns whether the last run of `workload` ended so that no other follows.
    fn is_over(&self, workload: &Workload) -> bool {
        let pod = self.pods.get(&key_of(workload));
        let Some(CurrentState::Exited { ended }) = pod.map(|pod| &pod.state) else {
            return false;
        };
        match workload.restart_policy {
            RestartPolicy::Always => false,
            RestartPolicy::OnFailure => !ended.iter().any(ContainerEnd::is_failure),
            RestartPolicy::Never => true,
        }
    }

    /// Lets the previous specification run again while the images of the new one do not come.
    pub(super) fn fall_back(&mut self, now: Moment, notices: &mut Notices) {
        let now = now.monotonic;
        if self.fall_back_at(now).is_none_or(|at| at > now) {
            return;
        }
        let next_try = match (&self.in_flight, &self.run) {
            (Some(pull), _) => pull.until,
            (None, Run::Waiting { until }) => *until,
            (None, Run::Idle | Run::Started { .. } | Run::Finished) => now,
        };
        self.give_up_pull();
        let why = || "the images of the new one have not come yet".to_owned();
        self.failure.get_or_insert_with(why);
        self.rollback.fall_back(next_try.max(now + MIN_RULE));
        self.roll_back(notices);
    }

    /// Returns when the new specification is tried again: not during a command, and not while the
    /// previous one waits for its own retry, which would be cut short.
    pub(super) fn rollback_over_at(&self) -> Option<Monotonic> {
        let until = self.rollback.until.filter(|_| self.in_flight.is_none())?;
        match self.run {
            Run::Waiting { until: retry } => Some(until.max(retry)),
            Run::Idle | Run::Started { .. } | Run::Finished => Some(until),
        }
    }

    /// Gives the new specification another attempt when the time for it has come.
    pub(crate) fn end_rollback(&mut self, now: Moment) {
        if self.rollback_over_at().is_some_and(|at| at <= now.monotonic) {
            self.rollback.end();
            self.run = Run::Idle;
            self.upkeep.forget();
            // They are asked for before anything falls back for the want of them again.
            self.images.may_come();
        }
    }
}
