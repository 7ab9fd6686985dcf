//! What a job makes of commands that failed for no fault of its workload. Pure.

use std::time::Duration;

use super::job::Job;
use super::notices::Notices;
use super::run::{Doing, InFlight};
use crate::clock::Moment;
use crate::messages::CommandError;
use crate::workload::{CurrentState, ObservedPod};

/// Wait after a command that failed for no fault of the workload.
const RUNTIME_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest such wait, however often it failed in a row.
const MAX_RUNTIME_RETRY_DELAY: Duration = Duration::from_secs(30);
/// After so many in a row people are told: one may be the restart of a service.
const TELLING_OUTCOMES: u32 = 3;
/// Longest wait between attempts to stop a pod that does not stop.
const MAX_STOP_RETRY_DELAY: Duration = Duration::from_secs(30);
impl Job {
    pub(super) fn stop_failed(&mut self, error: &CommandError, now: Moment, notices: &mut Notices) {
        let delay = RUNTIME_RETRY_DELAY
            .saturating_mul(1 << self.failed_stops.min(8))
            .min(MAX_STOP_RETRY_DELAY);
        self.failed_stops = self.failed_stops.saturating_add(1);
        self.not_before = now.monotonic + delay;
        if self.failed_stops == 1 {
            notices.warn("StopFailed", &self.name, error.to_string());
        }
        self.failure = Some(error.to_string());
    }

    /// Gives up a command whose executor let its deadline pass.
    pub(crate) fn expire(&mut self, now: Moment, notices: &mut Notices) {
        if let Some(flight) = self.in_flight.take_if(|flight| flight.until <= now.monotonic) {
            self.outcome_unknown(&flight, &CommandError::Abandoned, now, notices);
        }
    }

    /// The runtime may have done it or not. A pod that may exist counts as one until the runtime
    /// is seen again: it must not run beside another of this workload.
    pub(super) fn outcome_unknown(
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
            notices.warn("RuntimeFailed", &self.name, error.to_string());
        }
        self.failure = Some(error.to_string());
        if flight.doing == Doing::Starting {
            let (id, workload) = (flight.pod.id.clone(), self.name.clone());
            let state = CurrentState::Unknown;
            let pod = ObservedPod { id, workload, state, started_at: None };
            self.pods.entry(flight.pod.clone()).or_insert(pod);
        }
    }
}
