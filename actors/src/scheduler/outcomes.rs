//! What a job makes of the answers to its commands, and of answers that do not come. Pure.

use std::time::Duration;

use super::job::{Job, key_of};
use super::notices::Notices;
use super::run::{InFlight, Run};
use crate::clock::Moment;
use crate::messages::{ActionKind, CommandError, CommandId};
use crate::workload::{CurrentState, EventReason, ObservedPod, TargetState};

/// Wait after a command that failed for no fault of the workload.
const RUNTIME_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest such wait, however often it failed in a row.
const MAX_RUNTIME_RETRY_DELAY: Duration = Duration::from_secs(30);
/// After so many in a row people are told: one may be the restart of a service.
const TELLING_OUTCOMES: u32 = 3;
/// Longest wait between attempts to stop a pod that does not stop.
const MAX_STOP_RETRY_DELAY: Duration = Duration::from_secs(30);

impl Job {
    /// Notes the answer to the command in flight; any other is ignored.
    pub(crate) fn finished(
        &mut self,
        command: CommandId,
        result: Result<(), CommandError>,
        now: Moment,
        notices: &mut Notices,
    ) {
        if let Some(pull) = self.images.ended(command) {
            return self.pulled_behind(&pull, result.is_ok(), now);
        }
        let Some(flight) = self.in_flight.take_if(|flight| flight.command == command) else {
            return;
        };
        match result {
            Err(error) if error.is_transient() => {
                self.outcome_unknown(&flight, &error, now, notices);
            }
            // It says nothing of the specification that came meanwhile.
            _ if self.is_outlived(&flight) => self.unknown_outcomes = 0,
            Ok(()) => {
                self.unknown_outcomes = 0;
                self.succeeded(&flight, now, notices);
            }
            Err(error) => {
                self.unknown_outcomes = 0;
                self.failed(&flight, &error, now, notices);
            }
        }
    }

    /// Returns whether a command was meant for a pod that is no longer wanted, not to stop it.
    fn is_outlived(&self, flight: &InFlight) -> bool {
        match flight.kind {
            ActionKind::Pull | ActionKind::Start | ActionKind::Limit => {
                self.wanted().as_ref() != Some(&flight.pod)
            }
            ActionKind::Stop | ActionKind::Suspend | ActionKind::Halt => false,
        }
    }

    fn succeeded(&mut self, flight: &InFlight, now: Moment, notices: &mut Notices) {
        match flight.kind {
            ActionKind::Pull => self.images.came(&flight.pod),
            ActionKind::Start => self.pod_started(flight, now, notices),
            ActionKind::Limit => self.limited(flight, None, notices),
            // `Ending` takes its answers.
            ActionKind::Halt => {}
            ActionKind::Stop => {
                self.pods.remove(&flight.pod);
                self.pod_stopped(flight, now, notices);
            }
            ActionKind::Suspend => {
                self.pods.entry(flight.pod.clone()).and_modify(|pod| {
                    pod.state = CurrentState::Suspended;
                });
                self.pod_stopped(flight, now, notices);
            }
        }
    }

    fn failed(
        &mut self,
        flight: &InFlight,
        error: &CommandError,
        now: Moment,
        notices: &mut Notices,
    ) {
        if matches!(flight.kind, ActionKind::Pull | ActionKind::Start) {
            self.is_damaged = matches!(error, CommandError::Damaged { .. });
        }
        match flight.kind {
            ActionKind::Pull => {
                self.images.failed(&flight.pod);
                self.run_failed(error.to_string(), now, notices);
            }
            ActionKind::Start => {
                // It may be for the want of an image that somebody else removed.
                self.images.ask_again(&flight.pod);
                self.run_failed(error.to_string(), now, notices);
                if self.rollback.start_failed(now.monotonic) {
                    self.roll_back(notices);
                }
            }
            ActionKind::Limit => self.limited(flight, Some(error), notices),
            ActionKind::Stop | ActionKind::Suspend => self.stop_failed(error, now, notices),
            // `Ending` takes its answers.
            ActionKind::Halt => {}
        }
    }

    /// Notes the answer to a pull that nobody waited for. One that failed is sent again at once, and
    /// then with the delays of every other.
    fn pulled_behind(&mut self, pull: &InFlight, came: bool, now: Moment) {
        if came {
            self.images.came(&pull.pod);
        }
        if self.desired.as_ref().is_some_and(|desired| key_of(desired) == pull.pod) {
            self.rollback.end_soon(now.monotonic);
        }
    }

    fn pod_started(&mut self, flight: &InFlight, now: Moment, notices: &mut Notices) {
        self.run = Run::Started { since: now.monotonic };
        self.ever_ran = true;
        self.is_damaged = false;
        self.upkeep.started(flight.limits);
        self.rollback.started();
        let gap = self.gap_since.take().map_or_else(String::new, |since| {
            let gap = now.monotonic.saturating_since(since);
            format!(", {} ms after its predecessor ended", gap.as_millis())
        });
        let message = format!("pod {} started{gap}", flight.pod.id);
        notices.add(EventReason::WorkloadStarted, &self.name, message);
    }

    fn pod_stopped(&mut self, flight: &InFlight, now: Moment, notices: &mut Notices) {
        self.failed_stops = 0;
        if Some(&flight.pod) != self.wanted().as_ref() {
            self.gap_since = Some(now.monotonic);
        } else if matches!(self.run, Run::Started { .. }) {
            self.run = Run::Idle;
        }
        let because = match self.target {
            TargetState::Inactive => self.inactive_because.as_deref(),
            TargetState::Removed => Some("it is no longer configured"),
            TargetState::Running => None,
        };
        let because = because.map(|because| format!(": {because}")).unwrap_or_default();
        let message = format!("pod {} stopped{because}", flight.pod.id);
        notices.add(EventReason::WorkloadStopped, &self.name, message);
    }

    fn stop_failed(&mut self, error: &CommandError, now: Moment, notices: &mut Notices) {
        let delay = RUNTIME_RETRY_DELAY
            .saturating_mul(1 << self.failed_stops.min(8))
            .min(MAX_STOP_RETRY_DELAY);
        self.failed_stops = self.failed_stops.saturating_add(1);
        self.not_before = now.monotonic + delay;
        let message = error.to_string();
        if self.failed_stops == 1 || self.failure.as_ref() != Some(&message) {
            notices.add(EventReason::StopFailed, &self.name, message.clone());
        }
        self.failure = Some(message);
    }

    /// Gives up a command whose executor let its deadline pass.
    pub(crate) fn expire(&mut self, now: Moment, notices: &mut Notices) {
        if let Some(flight) = self.in_flight.take_if(|flight| flight.until <= now.monotonic) {
            self.outcome_unknown(&flight, &CommandError::Abandoned, now, notices);
        }
    }

    /// The runtime may have done it or not. A pod that may exist counts as one until the runtime
    /// is seen again: it must not run beside another of this workload.
    fn outcome_unknown(
        &mut self,
        flight: &InFlight,
        error: &CommandError,
        now: Moment,
        notices: &mut Notices,
    ) {
        let delay = RUNTIME_RETRY_DELAY.saturating_mul(1 << self.unknown_outcomes.min(8));
        self.unknown_outcomes = self.unknown_outcomes.saturating_add(1);
        self.not_before = now.monotonic + delay.min(MAX_RUNTIME_RETRY_DELAY);
        if self.unknown_outcomes == TELLING_OUTCOMES {
            notices.add(EventReason::RuntimeFailed, &self.name, error.to_string());
        }
        self.failure = Some(error.to_string());
        self.upkeep.not_written(flight.kind);
        if flight.kind == ActionKind::Start {
            let (id, workload) = (flight.pod.id.clone(), self.name.clone());
            let state = CurrentState::Unknown;
            let pod = ObservedPod {
                id,
                workload,
                state,
                started_at: None,
                restarts: 0,
                is_changed: false,
            };
            self.pods.entry(flight.pod.clone()).or_insert_with(|| Box::new(pod));
        }
    }
}
