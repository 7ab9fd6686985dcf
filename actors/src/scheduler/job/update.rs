//! What becomes of a job by itself: with time, by its verdicts, by what its pod does. Pure.

use std::rc::Rc;

use chrono::{DateTime, TimeZone, Utc};

use super::super::cron::clock_trust::ClockTrust;
use super::super::decision::{Decision, Demand, Inputs};
use super::super::eligibility::{Permission, permission};
use super::super::report::events::EventBuffer;
use super::Job;
use super::in_flight::InFlight;
use super::run::{RunEvent, RunState};
use crate::clock::Moment;
use crate::messages::Effect;
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
        self.spec.arrival.look_at_clock(now);
        self.end_rollback(now);
        // After the rollback has ended: a tick asks for a run of the specification in force.
        let (next_tick, awaited_clock) = self.pass_ticks(last, inputs, zone, events);
        // Without verdicts only what runs, or was about to, goes on: nothing starts on a guess.
        let was_running = last.target.state() == TargetState::Running;
        let is_running = was_running && self.is_requested() || self.is_any_pod_alive();
        let permission = permission(self.spec.profiles(), inputs.verdicts, is_running, now);
        let permission = permission.after(inputs.waits).under(inputs.restraint);
        if self.spec.desired.is_none() {
            return Demand { permission, next_tick, awaited_clock };
        }
        let is_denied = matches!(permission, Permission::Denied { .. });
        let is_resting = matches!(permission, Permission::Resting { .. });
        self.note_denial(inputs);
        if is_denied {
            // A tick that comes before its verdicts waits for them; one that they deny is lost.
            // One that the device stops for its objectives comes once that is over.
            let is_held = inputs.restraint.stopped_for.is_some();
            self.run.is_requested &= inputs.verdicts.is_none() || is_held;
        }
        let is_wanted = !is_denied && !is_resting && self.is_requested();
        if !is_wanted {
            self.run.give_up_pull();
        }
        if self.spec.wanted().is_some_and(|key| inputs.runtimes.is_available(key.executor)) {
            self.update_run(is_wanted, inputs, events);
        }
        self.prove(is_wanted, inputs, events);
        // Asked once more: a cron run that has just ended leaves nothing to run for.
        if is_denied || is_resting || !self.is_requested() {
            self.run.gap_since = None;
        } else if permission == Permission::Granted {
            self.fall_back(inputs, events);
        }
        Demand { permission, next_tick, awaited_clock }
    }

    /// Notes which profiles turn it away. What they are is of interest until it runs again.
    fn note_denial(&mut self, inputs: &Inputs<'_>) {
        if inputs.verdicts.is_none() {
            return;
        }
        let denying = &inputs.waits.denying;
        // A stop under way is still their doing, whatever they say by now.
        let stops =
            |flight: &InFlight| matches!(flight.kind.effect(), Effect::Removed | Effect::Suspended);
        let is_stopped = self.run.in_flight.as_ref().is_some_and(stops);
        if !denying.is_empty() || self.is_any_pod_alive() && !is_stopped {
            self.run.turned_away_by.clone_from(denying);
        }
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
            let starts = |flight: &InFlight| flight.kind.is_step_of_start();
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
    fn update_run(&mut self, is_wanted: bool, inputs: &Inputs<'_>, events: &mut EventBuffer) {
        let now = inputs.now;
        // The pod is in between: the answer to the command says what became of it.
        if self.run.in_flight.is_some() {
            return;
        }
        // The cron run may have been asked for before the agent was restarted, or before its profile
        // flapped: as long as it runs, its end matters.
        self.run.is_requested |= is_wanted && self.run.cron.is_some() && self.is_alive();
        match self.current().cloned() {
            Some(CurrentState::Running) if self.failing().is_some() => {
                self.end_unhealthy(is_wanted, inputs, events);
            }
            Some(CurrentState::Running) => {
                self.note_ready();
                self.note_running(now);
                self.note_change(events);
            }
            // It goes on once it is thawed.
            Some(CurrentState::Frozen) => self.note_running(now),
            Some(CurrentState::Starting) => {
                self.note_running(now);
                self.note_change(events);
            }
            Some(CurrentState::Crashing { message }) => {
                self.note_running(now);
                self.note_change(events);
                if self.run.failure.as_ref() != Some(&message) {
                    events.add(EventReason::WorkloadCrashing, &self.name, message.clone());
                    self.run.note_failure(&message, now.wall);
                    self.run.failure = Some(message);
                }
            }
            Some(CurrentState::Degraded { ended }) => {
                if !self.repeats(&ended) {
                    self.note_ready();
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
                let message = "the Deployment was scaled to zero by another user or program";
                self.run_gone(message, is_wanted, now, events);
            }
            None => self.run_gone(
                "the pod was removed by another user or program",
                is_wanted,
                now,
                events,
            ),
            Some(CurrentState::Unknown) => {}
        }
    }

    /// Ends the run of a pod whose probes have given a container up, as if that had ended with a failure.
    fn end_unhealthy(&mut self, is_wanted: bool, inputs: &Inputs<'_>, events: &mut EventBuffer) {
        let now = inputs.now;
        let Some(message) = self.failing().map(ToString::to_string) else { return };
        if !is_wanted || !self.may_end() {
            return;
        }
        self.run.ever_ran = true;
        let is_repeated = self.spec.restart_policy() != RestartPolicy::Never;
        self.run_broke(&message, is_repeated, now, events);
        // Slow as the device's objectives make it, its specification is not to blame.
        if !inputs.restraint.slows_down() {
            self.disprove(&message, now, events);
        }
    }

    /// Returns whether a run is under way, or the pod is one that ended before the agent knew of it.
    fn may_end(&self) -> bool {
        matches!(self.run.state, RunState::Started { .. } | RunState::Idle)
    }

    fn note_ready(&mut self) {
        self.run.was_ready |= self.current_pod().is_some_and(|pod| pod.health.is_ready());
    }

    fn note_running(&mut self, now: Moment) {
        self.run.ever_ran = true;
        self.note_start();
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
            let message = "another user or program changed the Deployment: it is restored";
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
        self.run.was_ready = true;
        let is_repeated = self.repeats(ended);
        if is_repeated || ended.iter().any(ContainerEnd::is_failure) {
            self.run_broke(&message, is_repeated, now, events);
            self.disprove(&message, now, events);
        } else {
            events.add(EventReason::WorkloadFinished, &self.name, message);
            self.finish(None);
            self.proved(events);
        }
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
        let is_repeated =
            self.repeats(&[]) || self.spec.restart_policy() == RestartPolicy::OnFailure;
        self.run_broke(message, is_repeated, now, events);
    }

    /// A run ended otherwise than it should; `is_repeated` says whether another follows.
    fn run_broke(
        &mut self,
        message: &str,
        is_repeated: bool,
        now: Moment,
        events: &mut EventBuffer,
    ) {
        if is_repeated {
            self.run_failed(message.to_owned(), now, events);
        } else {
            events.add(EventReason::WorkloadFailed, &self.name, message.to_owned());
            self.run.note_failure(message, now.wall);
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
        self.run.note_failure(&message, now.wall);
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
}
