//! How one specification of a job follows another: the new one proves itself, or the previous one comes back.
//! Pure.

use super::super::decision::Inputs;
use super::super::observed::PodKey;
use super::super::report::events::EventBuffer;
use super::Job;
use super::proof::{Criterion, Sight, Verdict};
use super::rollback::Rollback;
use super::run::{RunEvent, RunState};
use crate::clock::{Moment, Monotonic};
use crate::messages::{ActionKind, Effect};
use crate::workload::{CurrentState, EventReason, RestartPolicy};

impl Job {
    /// Notes how far the new specification has come, and what that comes to. `is_wanted` says whether it
    /// should run.
    pub(crate) fn prove(&mut self, is_wanted: bool, inputs: &Inputs<'_>, events: &mut EventBuffer) {
        let Some(criterion) = self.criterion() else { return };
        // Of a runtime that does not answer nobody knows what it runs.
        let is_known =
            self.spec.wanted().is_some_and(|key| inputs.runtimes.is_available(key.executor));
        let sight = if is_wanted && is_known { self.sight() } else { Sight::Absent };
        // Slow as the device's objectives make it, it is not to blame.
        let is_excused = sight == Sight::Unready && inputs.restraint.slows_down();
        let sight = if is_excused { Sight::Absent } else { sight };
        let now = inputs.now.monotonic;
        match self.spec.rollback.seen(sight, criterion, now) {
            Some(Verdict::Proved) => self.proved(events),
            // Not during a command, whose answer would be taken for one about the previous one.
            Some(Verdict::Late) if self.run.in_flight.is_none() => {
                self.not_ready(criterion, inputs.now, events);
            }
            Some(Verdict::Late) | None => {}
        }
    }

    fn sight(&self) -> Sight {
        let stops = |kind: ActionKind| matches!(kind.effect(), Effect::Removed | Effect::Suspended);
        let wanted = self.spec.wanted();
        let is_stopped = self
            .run
            .in_flight
            .as_ref()
            .is_some_and(|flight| stops(flight.kind) && Some(&flight.pod) == wanted.as_ref());
        let Some(pod) = self.current_pod().filter(|_| self.run.state.is_started() && !is_stopped)
        else {
            return Sight::Absent;
        };
        match pod.state {
            CurrentState::Running | CurrentState::Degraded { .. } if pod.health.is_ready() => {
                Sight::Ready
            }
            CurrentState::Running
            | CurrentState::Degraded { .. }
            | CurrentState::Starting
            | CurrentState::Crashing { .. } => Sight::Unready,
            // The time in which it does nothing proves nothing, and disproves nothing.
            CurrentState::Frozen
            | CurrentState::Exited { .. }
            | CurrentState::Incomplete { .. }
            | CurrentState::Suspended
            | CurrentState::Unknown => Sight::Absent,
        }
    }

    /// Returns when it is known what the trial of the new specification comes to, if nothing changes.
    pub(crate) fn trial_ends(&self) -> Option<Monotonic> {
        self.spec.rollback.trial_ends(self.criterion()?)
    }

    /// Returns what proves the new specification, as its pod is found now.
    fn criterion(&self) -> Option<Criterion> {
        let criterion = self.spec.desired.as_deref().map(Criterion::of)?;
        let is_crashing = matches!(self.current(), Some(CurrentState::Crashing { .. }));
        Some(if is_crashing { criterion.of_one_that_crashes() } else { criterion })
    }

    /// Notes that the pod in force started: some specifications need no more than that.
    pub(crate) fn note_start(&mut self) {
        if self.spec.desired.as_deref().map(Criterion::of) == Some(Criterion::Started) {
            self.spec.rollback.proved();
        }
    }

    /// Notes that the new specification has proved itself, if that is in force.
    pub(crate) fn proved(&mut self, events: &mut EventBuffer) {
        if self.spec.rollback.proved()
            && let Some(desired) = &self.spec.desired
        {
            let message = format!("specification {} has proved itself", desired.id);
            events.add(EventReason::UpdateProved, &self.name, message);
        }
    }

    /// Notes that a run ended or failed which was to prove its specification.
    pub(crate) fn disprove(&mut self, cause: &str, now: Moment, events: &mut EventBuffer) {
        self.note_start();
        // One run and no other: what it left undone, an older specification does not do either.
        let has_one_run =
            self.spec.restart_policy() == RestartPolicy::Never && !self.run.cron.is_some();
        if !has_one_run && self.spec.rollback.failed(cause, now.monotonic) {
            self.roll_back(cause, events);
        }
    }

    fn not_ready(&mut self, criterion: Criterion, now: Moment, events: &mut EventBuffer) {
        let Criterion::Ready { patience, .. } = criterion else { return };
        let unready = self.current_pod().and_then(|pod| pod.health.unready());
        let why = unready.map(|it| format!(": {it}")).unwrap_or_default();
        let cause = format!("the new specification was not ready within {patience:?}{why}");
        if self.spec.rollback.go_back(&cause, now.monotonic) {
            self.run.note_failure(&cause, now.wall);
            self.run.failure = Some(cause.clone());
            self.roll_back(&cause, events);
        }
    }

    /// Lets the previous specification run while the images of the new one do not come: their pull
    /// takes too long, or failed and waits for its retry, or may not be made yet.
    pub(crate) fn fall_back(&mut self, inputs: &Inputs<'_>, events: &mut EventBuffer) {
        let now = inputs.now.monotonic;
        if !self.spec.rollback.may_begin(&self.observed, self.run.state) {
            return;
        }
        let is_gated = inputs.gates.pull.is_some();
        let lacks = |wanted: PodKey| {
            let images = &self.run.images;
            images.are_missing(&wanted) || is_gated && !images.are_present(&wanted)
        };
        let next_pull = match (&self.run.in_flight, self.run.state) {
            // The pull runs on. If it ends during the rollback, so does that; else it is waited for
            // again after it.
            (Some(pull), _) if pull.kind == ActionKind::Pull => {
                if Rollback::patience_ends(pull.sent_at) > now {
                    return;
                }
                pull.until
            }
            (Some(_), _) => return,
            (None, _) if !self.spec.wanted().is_some_and(lacks) => return,
            (None, RunState::Waiting { until }) => until,
            (None, RunState::Idle | RunState::Started { .. } | RunState::Finished) => now,
        };
        self.run.give_up_pull();
        let why = || "the images of the new one have not come yet".to_owned();
        let cause = self.run.failure.get_or_insert_with(why).clone();
        self.spec.rollback.begin(next_pull, &cause, now);
        self.roll_back(&cause, events);
    }

    /// Lets the previous specification run again, at once: its images are on the device.
    pub(crate) fn roll_back(&mut self, cause: &str, events: &mut EventBuffer) {
        self.run.apply(RunEvent::Renewed);
        if let Some(previous) = self.spec.wanted() {
            self.run.images.came(&previous);
        }
        let message = format!("the previous specification is started again: {cause}");
        events.add(EventReason::RolledBack, &self.name, message);
    }

    /// Gives the new specification another attempt when the time for it has come: not during a
    /// command, whose answer would be taken for one about the new specification.
    pub(crate) fn end_rollback(&mut self, now: Moment) {
        let over_at = self.spec.rollback.over_at(self.run.state, self.run.cron.is_some());
        if self.run.in_flight.is_some() || over_at.is_none_or(|at| at > now.monotonic) {
            return;
        }
        self.spec.rollback.end();
        self.run.apply(RunEvent::Renewed);
        self.run.drift.forget();
        // They are asked for before the job falls back for want of them again.
        self.run.images.may_come();
    }
}
