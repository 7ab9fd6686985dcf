//! What answers to commands, and answers that do not come, mean for a job. Pure.

use super::super::decision::Target;
use super::super::observed::PodKey;
use super::super::report::events::EventBuffer;
use super::Job;
use super::in_flight::InFlight;
use super::run::RunEvent;
use crate::clock::Moment;
use crate::messages::{CommandError, CommandId, Effect};
use crate::workload::{EventReason, ExecutorKind};

/// Consecutive unknown outcomes before an event is emitted: one may be the restart of a service.
const REPORT_AFTER_FAILURES: u32 = 3;

impl Job {
    /// Notes the answer to the command in flight; any other is ignored. `target` is what was last
    /// wanted.
    pub(crate) fn finished(
        &mut self,
        command: CommandId,
        result: Result<(), CommandError>,
        target: &Target,
        now: Moment,
        events: &mut EventBuffer,
    ) {
        if let Some(pull) = self.run.images.ended(command) {
            return self.given_up_pull_ended(&pull, result.is_ok(), now);
        }
        let Some(flight) = self.run.in_flight.take_if(|flight| flight.command == command) else {
            return;
        };
        let error = match result {
            Err(error) if error.is_transient() => {
                return self.outcome_unknown(&flight, &error, now, events);
            }
            result => result.err(),
        };
        self.run.backoff.answered();
        // The answer says nothing of a specification that came meanwhile, but that a pod is in its way.
        if self.is_outlived(&flight) {
            if error.is_none() && flight.kind.effect() == Effect::Started {
                self.observed.may_exist(&flight.pod, &self.name);
            }
            return;
        }
        match error {
            None => self.succeeded(&flight, target, now, events),
            Some(error) => self.failed(&flight, &error, now, events),
        }
    }

    /// Returns whether a command was meant for a pod that is no longer wanted, not to stop it.
    fn is_outlived(&self, flight: &InFlight) -> bool {
        flight.kind.is_for_wanted_pod() && self.spec.wanted().as_ref() != Some(&flight.pod)
    }

    fn succeeded(
        &mut self,
        flight: &InFlight,
        target: &Target,
        now: Moment,
        events: &mut EventBuffer,
    ) {
        match flight.kind.effect() {
            Effect::ImagesPresent => self.run.images.came(&flight.pod),
            Effect::Started => {
                // A podman that did not list in time has not shown it.
                self.observed.may_exist(&flight.pod, &self.name);
                self.pod_started(flight, now, events);
            }
            Effect::Updated => self.limited(flight, None, events),
            Effect::Frozen => {
                self.run.backoff.changed();
                self.observed.frozen(&flight.pod);
            }
            Effect::Thawed => {
                self.run.backoff.changed();
                self.observed.thawed(&flight.pod);
            }
            Effect::Removed => {
                self.observed.removed(&flight.pod);
                self.pod_stopped(flight, target, now, events);
            }
            Effect::Suspended => {
                self.observed.suspended(&flight.pod);
                self.pod_stopped(flight, target, now, events);
            }
            Effect::None => {}
        }
    }

    fn failed(
        &mut self,
        flight: &InFlight,
        error: &CommandError,
        now: Moment,
        events: &mut EventBuffer,
    ) {
        if flight.kind.is_step_of_start() {
            self.run.is_damaged = matches!(error, CommandError::Damaged { .. });
        }
        match flight.kind.effect() {
            Effect::ImagesPresent => {
                self.run.images.failed(&flight.pod);
                self.run_failed(error.to_string(), now, events);
            }
            Effect::Started => {
                // Perhaps for want of an image that something else removed.
                self.run.images.ask_again(&flight.pod);
                let message = error.to_string();
                self.run_failed(message.clone(), now, events);
                if self.spec.rollback.failed(&message, now.monotonic) {
                    self.roll_back(&message, events);
                }
            }
            // The governor reports that the pod cannot be squeezed; its other limits are in force.
            Effect::Updated => {
                let is_impossible = matches!(error, CommandError::Unsupported { .. });
                let told = (!is_impossible || !flight.limits.squeezed).then_some(error);
                self.limited(flight, told, events);
            }
            Effect::Frozen if matches!(error, CommandError::Unsupported { .. }) => {}
            Effect::Frozen | Effect::Thawed => self.restraint_failed(error, now, events),
            Effect::Removed | Effect::Suspended => {
                self.note_cut_short(flight);
                self.stop_failed(error, now, events);
            }
            Effect::None => {}
        }
    }

    /// Notes the answer to a pull that was given up. One that failed is sent again at once, and then
    /// with the delays of every other.
    fn given_up_pull_ended(&mut self, pull: &InFlight, came: bool, now: Moment) {
        if came {
            self.run.images.came(&pull.pod);
        }
        if self.spec.desired.as_ref().is_some_and(|desired| PodKey::of(desired) == pull.pod) {
            self.spec.rollback.end_soon(now.monotonic);
        }
    }

    fn pod_started(&mut self, flight: &InFlight, now: Moment, events: &mut EventBuffer) {
        self.run.apply(RunEvent::StartSucceeded { at: now.monotonic });
        self.run.ever_ran = true;
        // Where a probe says when it is ready, the next observation does; of a cluster's pod the cluster.
        self.run.was_ready |= self.spec.effective().is_some_and(|it| it.is_ready_once_started());
        self.run.is_damaged = false;
        self.run.drift.started(flight.limits);
        self.note_start();
        let gap = self.run.gap_since.take().map_or_else(String::new, |since| {
            let gap = now.monotonic.saturating_since(since);
            format!(", {} ms after its predecessor ended", gap.as_millis())
        });
        let message = format!("pod {} started{gap}", flight.pod.id);
        events.add(EventReason::WorkloadStarted, &self.name, message);
    }

    fn pod_stopped(
        &mut self,
        flight: &InFlight,
        target: &Target,
        now: Moment,
        events: &mut EventBuffer,
    ) {
        self.run.backoff.changed();
        if Some(&flight.pod) == self.spec.wanted().as_ref() {
            self.run.apply(RunEvent::Stopped);
        } else {
            self.run.gap_since = Some(now.monotonic);
        }
        let because = match target {
            Target::Inactive { why } => Some(why.as_str()),
            Target::Removed => Some("it is no longer configured"),
            Target::Running | Target::AwaitingVerdicts | Target::Yielding { .. } => None,
        };
        let because = because.map(|because| format!(": {because}")).unwrap_or_default();
        let message = format!("pod {} stopped{because}", flight.pod.id);
        events.add(EventReason::WorkloadStopped, &self.name, message);
    }

    /// Notes that a stop did not come to its end. What it has ended of the pod is no end of the run: wanted
    /// again, the pod runs again, also one that is to run once.
    fn note_cut_short(&mut self, flight: &InFlight) {
        let is_wanted = || Some(&flight.pod) == self.spec.wanted().as_ref();
        if matches!(flight.kind.effect(), Effect::Removed | Effect::Suspended) && is_wanted() {
            self.run.apply(RunEvent::Stopped);
        }
    }

    fn stop_failed(&mut self, error: &CommandError, now: Moment, events: &mut EventBuffer) {
        let message = error.to_string();
        let is_first = self.run.backoff.stop_failed(now.monotonic) == 1;
        if is_first || self.run.failure.as_ref() != Some(&message) {
            events.add(EventReason::StopFailed, &self.name, message.clone());
        }
        self.run.failure = Some(message);
    }

    /// Notes that the pod could not be frozen or thawed. That is no failure of its run.
    fn restraint_failed(&mut self, error: &CommandError, now: Moment, events: &mut EventBuffer) {
        if self.run.backoff.freeze_failed(now.monotonic) == 1 {
            events.add(EventReason::RuntimeFailed, &self.name, error.to_string());
        }
    }

    fn limited(
        &mut self,
        flight: &InFlight,
        error: Option<&CommandError>,
        events: &mut EventBuffer,
    ) {
        let is_cluster = flight.pod.executor.is_cluster();
        if let Some(message) = self.run.drift.limited(flight.limits, is_cluster, error) {
            events.add(EventReason::LimitNotApplied, &self.name, message);
        }
    }

    /// Returns the executor of a command that let its deadline pass, so that it is given up.
    pub(crate) fn overdue(&self, now: Moment) -> Option<ExecutorKind> {
        let flight = self.run.in_flight.as_ref()?;
        (flight.until <= now.monotonic).then_some(flight.pod.executor)
    }

    /// Gives up a command whose executor let its deadline pass.
    pub(crate) fn expire(&mut self, now: Moment, events: &mut EventBuffer) {
        let in_flight = &mut self.run.in_flight;
        if let Some(flight) = in_flight.take_if(|flight| flight.until <= now.monotonic) {
            self.outcome_unknown(&flight, &CommandError::Abandoned, now, events);
        }
    }

    /// The runtime may have done it or not. A pod that may exist counts as one until its runtime is
    /// listed again: it must not run beside another of this workload.
    fn outcome_unknown(
        &mut self,
        flight: &InFlight,
        error: &CommandError,
        now: Moment,
        events: &mut EventBuffer,
    ) {
        if self.run.backoff.outcome_unknown(now.monotonic) == REPORT_AFTER_FAILURES {
            events.add(EventReason::RuntimeFailed, &self.name, error.to_string());
        }
        self.run.failure = Some(error.to_string());
        self.run.drift.not_written(flight.kind.effect());
        self.note_cut_short(flight);
        if flight.kind.effect() == Effect::Started {
            self.observed.may_exist(&flight.pod, &self.name);
        }
    }
}
