//! What becomes of a job by itself: with time, by its verdicts, by what its pod does. Pure.

use std::rc::Rc;

use chrono::{DateTime, TimeZone, Utc};

use super::super::cron::clock_trust::ClockTrust;
use super::super::decision::{Decision, Demand, Inputs, Permission};
use super::super::eligibility::permission;
use super::super::observed::PodKey;
use super::super::report::events::EventBuffer;
use super::Job;
use super::in_flight::InFlight;
use super::rollback::Rollback;
use super::run::{RunEvent, RunState};
use crate::clock::Moment;
use crate::messages::ActionKind;
use crate::workload::{ContainerEnd, CurrentState, EventReason, RestartPolicy, TargetState};

impl Job {
    /// Brings the job up to date with time, verdicts and pods; what is wanted and done is decided
    /// after that. `last` is the last decision.
    pub(crate) fn update<Z: TimeZone>(
        &mut self,
        last: &Decision,
        inputs: &Inputs<'_>,
        zone: &Z,
        events: &mut EventBuffer,
    ) -> Demand {
        let now = inputs.now;
        self.expire(now, events);
        self.spec.rollback.recall_former(self.spec.desired.as_ref(), &self.observed);
        self.end_rollback(now);
        // After the rollback has ended: a tick asks for a run of the specification in force.
        let (next_tick, awaited_clock) = self.pass_ticks(last, inputs, zone, events);
        // Without verdicts only what runs, or was about to, goes on: nothing starts on a guess.
        let was_running = last.target.state() == TargetState::Running;
        let is_running = was_running && self.is_requested() || self.is_any_pod_alive();
        let permission = permission(self.spec.profiles(), inputs.verdicts, is_running, now);
        if self.spec.desired.is_none() {
            return Demand { permission, next_tick, awaited_clock };
        }
        let is_denied = matches!(permission, Permission::Denied { .. });
        if is_denied {
            // A tick that comes before its verdicts waits for them; one that they deny is lost.
            self.run.is_requested &= inputs.verdicts.is_none();
        }
        let is_wanted = !is_denied && self.is_requested();
        if !is_wanted {
            self.run.give_up_pull();
        }
        if self.spec.wanted().is_some_and(|key| inputs.runtimes.is_available(key.executor)) {
            self.update_run(is_wanted, now, events);
        }
        // Asked once more: a cron run that has just ended leaves nothing to run for.
        if is_denied || !self.is_requested() {
            self.run.gap_since = None;
        } else if permission == Permission::Granted {
            self.fall_back(now, events);
        }
        Demand { permission, next_tick, awaited_clock }
    }

    /// Follows the wall clock as far as it is trusted: a tick that it passed asks for a run. Several
    /// ticks that were passed at once, while the device slept or the thread was busy, ask for one run
    /// together. Returns the next tick, and what the clock must do before one is known.
    fn pass_ticks<Z: TimeZone>(
        &mut self,
        last: &Decision,
        inputs: &Inputs<'_>,
        zone: &Z,
        events: &mut EventBuffer,
    ) -> (Option<DateTime<Utc>>, Option<Rc<str>>) {
        let is_trusted = *inputs.clock == ClockTrust::Trusted;
        let tick = self.run.cron.advance(inputs.now, is_trusted, zone);
        if tick.due.is_some() {
            let starts =
                |flight: &InFlight| matches!(flight.kind, ActionKind::Pull | ActionKind::Start);
            if self.is_alive() || self.run.in_flight.as_ref().is_some_and(starts) {
                let message = "the previous run has not ended".to_owned();
                events.add(EventReason::CronSkipped, &self.name, message);
            } else {
                self.run.is_requested = true;
                self.run.apply(RunEvent::Renewed);
            }
        }
        let awaited = inputs.clock.awaited(inputs.now.wall).filter(|_| tick.waiting_for_clock);
        let is_news = awaited != last.awaited_clock && *inputs.clock != ClockTrust::Unknown;
        if let Some(why) = awaited.as_deref().filter(|_| is_news) {
            events.add(EventReason::CronWaitsForClock, &self.name, why.to_owned());
        }
        (tick.next, awaited)
    }

    /// Updates the run from the observed pod. `is_wanted` says whether it should run.
    fn update_run(&mut self, is_wanted: bool, now: Moment, events: &mut EventBuffer) {
        // The pod is in between: the answer to the command says what became of it.
        if self.run.in_flight.is_some() {
            return;
        }
        // The cron run may have been asked for before the agent was restarted, or before its profile
        // flapped: as long as it runs, its end matters.
        self.run.is_requested |= is_wanted && self.run.cron.is_some() && self.is_alive();
        match self.current().cloned() {
            Some(CurrentState::Running | CurrentState::Starting) => {
                self.note_running(now);
                self.note_change(events);
            }
            Some(CurrentState::Crashing { message }) => {
                self.note_running(now);
                self.note_change(events);
                if self.run.failure.as_ref() != Some(&message) {
                    events.add(EventReason::WorkloadCrashing, &self.name, message.clone());
                    self.run.failure = Some(message);
                }
            }
            Some(CurrentState::Degraded { ended }) => {
                if !self.repeats(&ended) {
                    self.note_running(now);
                } else if is_wanted && self.may_end() {
                    self.run_ended(&ended, now, events);
                }
            }
            Some(CurrentState::Exited { ended }) => {
                // A tick may have come while the pod of the last run still lies there.
                let is_of_last_run = self.run.is_requested && self.run.state == RunState::Idle;
                if is_wanted && self.may_end() && !is_of_last_run {
                    self.run_ended(&ended, now, events);
                }
            }
            Some(CurrentState::Incomplete { message }) => {
                self.run_gone(&message, is_wanted, now, events);
            }
            Some(CurrentState::Suspended) => {
                let message = "the Deployment was scaled to nothing by somebody else";
                self.run_gone(message, is_wanted, now, events);
            }
            None => self.run_gone("the pod was removed by somebody else", is_wanted, now, events),
            Some(CurrentState::Unknown) => {}
        }
    }

    /// Returns whether a run is under way, or the pod is one that ended before the agent knew of it.
    fn may_end(&self) -> bool {
        matches!(self.run.state, RunState::Started { .. } | RunState::Idle)
    }

    fn note_running(&mut self, now: Moment) {
        self.run.ever_ran = true;
        self.spec.rollback.started();
        let lasted = self.run.state.lasted(now.monotonic);
        if lasted.is_some_and(|lasted| lasted >= self.run.retry.healthy_after()) {
            self.run.failure = None;
        }
        self.run.apply(RunEvent::SeenRunning { at: now.monotonic });
    }

    /// Notes whether something else changed the Deployment, and reports it once.
    fn note_change(&mut self, events: &mut EventBuffer) {
        let is_changed = self.current_pod().is_some_and(|pod| pod.is_changed);
        if self.run.drift.note_change(is_changed) {
            let message = "somebody else changed the Deployment: it is put right";
            events.add(EventReason::WorkloadChanged, &self.name, message.to_owned());
        }
    }

    /// Returns whether a run that ended so is followed by another.
    fn repeats(&self, ended: &[ContainerEnd]) -> bool {
        match self.spec.restart_policy() {
            RestartPolicy::Always => !self.run.cron.is_some(),
            RestartPolicy::OnFailure => ended.iter().any(ContainerEnd::is_failure),
            RestartPolicy::Never => false,
        }
    }

    fn run_ended(&mut self, ended: &[ContainerEnd], now: Moment, events: &mut EventBuffer) {
        let message = ended.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.run.ever_ran = true;
        if self.repeats(ended) {
            self.run_failed(message, now, events);
            return;
        }
        let failed = ended.iter().any(ContainerEnd::is_failure);
        if failed {
            events.add(EventReason::WorkloadFailed, &self.name, message.clone());
        } else {
            events.add(EventReason::WorkloadFinished, &self.name, message.clone());
        }
        self.finish(failed.then_some(message));
    }

    /// The pod is missing or unusable. If it should be running, something other than this agent
    /// stopped it.
    fn run_gone(&mut self, message: &str, is_wanted: bool, now: Moment, events: &mut EventBuffer) {
        if !is_wanted {
            self.run.apply(RunEvent::Stopped);
            return;
        }
        if !self.run.state.is_started() {
            return;
        }
        if self.repeats(&[]) || self.spec.restart_policy() == RestartPolicy::OnFailure {
            self.run_failed(message.to_owned(), now, events);
        } else {
            events.add(EventReason::WorkloadFailed, &self.name, message.to_owned());
            self.finish(Some(message.to_owned()));
        }
    }

    /// No run follows this one.
    fn finish(&mut self, failure: Option<String>) {
        self.run.failure = failure;
        self.run.apply(RunEvent::Ended);
        self.run.is_requested = false;
    }

    /// A run ended that is to be repeated, or did not come about.
    pub(crate) fn run_failed(&mut self, message: String, now: Moment, events: &mut EventBuffer) {
        if self.run.cron.is_some() && self.spec.restart_policy() != RestartPolicy::OnFailure {
            events.add(EventReason::WorkloadFailed, &self.name, message.clone());
            self.finish(Some(message));
            return;
        }
        let lasted = self.run.state.lasted(now.monotonic);
        if lasted.is_some_and(|lasted| lasted >= self.run.retry.healthy_after()) {
            self.run.retry.reset();
        }
        let delay = self.run.retry.next_delay();
        self.run.apply(RunEvent::Failed { retry_at: now.monotonic + delay });
        // Reported once for each change: a pod in a crash loop would drown everything else.
        if self.run.failure.as_ref() != Some(&message) {
            events.add(
                EventReason::WorkloadFailed,
                &self.name,
                format!("{message}; next try in {delay:?}"),
            );
            self.run.failure = Some(message);
        }
    }

    /// Lets the previous specification run while the images of the new one do not come: their pull
    /// takes too long, or failed and waits for its retry.
    fn fall_back(&mut self, now: Moment, events: &mut EventBuffer) {
        let now = now.monotonic;
        if !self.spec.rollback.may_begin(&self.observed, self.run.state) {
            return;
        }
        let lacks = |wanted: PodKey| self.run.images.are_missing(&wanted);
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
        self.run.failure.get_or_insert_with(why);
        self.spec.rollback.begin(next_pull, now);
        self.roll_back(events);
    }

    /// Lets the previous specification run again, at once: its images are on the device.
    pub(crate) fn roll_back(&mut self, events: &mut EventBuffer) {
        self.run.apply(RunEvent::Renewed);
        if let Some(previous) = self.spec.wanted() {
            self.run.images.came(&previous);
        }
        let cause = self.run.failure.clone().unwrap_or_default();
        let message = format!("the previous specification is started again: {cause}");
        events.add(EventReason::RolledBack, &self.name, message);
    }

    /// Gives the new specification another attempt when the time for it has come: not during a
    /// command, whose answer would be taken for one about the new specification.
    fn end_rollback(&mut self, now: Moment) {
        let over_at = self.spec.rollback.over_at(self.run.state);
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
