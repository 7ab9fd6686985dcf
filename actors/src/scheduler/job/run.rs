//! How the run of a job stands: its state, the command in flight, the images. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::cron::Cron;
use super::super::observed::PodKey;
use super::drift::Drift;
use super::images::Images;
use super::in_flight::InFlight;
use super::retry::Retry;
use crate::clock::Monotonic;
use crate::messages::ActionKind;
use crate::workload::{LastFailure, ProfileName, RetryPolicy};

/// Wait after a command that failed for no fault of the workload, doubled after each in a row.
const RUNTIME_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest such wait.
const MAX_RUNTIME_RETRY_DELAY: Duration = Duration::from_secs(30);

/// How the runs of the specification in force stand.
///
/// | event \ state           | Idle     | Started  | Waiting     | Finished |
/// |-------------------------|----------|----------|-------------|----------|
/// | `Renewed`               | Idle     | Idle     | Idle        | Idle     |
/// | `CronRemoved`           | Idle     | Started  | Waiting     | Idle     |
/// | `SeenRunning`           | Started  | Started  | Started     | Started  |
/// | `StartSucceeded`        | Started  | anew     | Started     | Started  |
/// | `Stopped`               | Idle     | Idle     | Waiting     | Finished |
/// | `Failed`                | Waiting  | Waiting  | Waiting     | Waiting  |
/// | `Ended`                 | Finished | Finished | Finished    | Finished |
/// | `RetryChanged`          | Idle     | Started  | the shorter | Finished |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum RunState {
    /// The pod may start at once.
    #[default]
    Idle,
    /// The pod was started, or found running.
    Started { since: Monotonic },
    /// A run failed, or ended and is to be repeated: the next one is due then.
    Waiting { until: Monotonic },
    /// A run ended that is not to be repeated.
    Finished,
}

/// What changes a [`RunState`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunEvent {
    /// Another specification is in force, or a cron tick asks for another run.
    Renewed,
    /// The workload has no cron any more: what ended runs again.
    CronRemoved,
    /// The pod was observed to run.
    SeenRunning { at: Monotonic },
    /// A command started the pod.
    StartSucceeded { at: Monotonic },
    /// The pod was stopped on purpose.
    Stopped,
    /// The run failed, or ended and is to be repeated.
    Failed { retry_at: Monotonic },
    /// The run ended for good.
    Ended,
    /// The retry policy changed; the first delay of the new one would end then.
    RetryChanged { retry_at: Monotonic },
}

impl RunState {
    /// Returns the state after `event`: all transitions are here.
    #[must_use]
    pub(crate) fn apply(self, event: RunEvent) -> Self {
        match (event, self) {
            (RunEvent::Renewed, _)
            | (RunEvent::CronRemoved, Self::Finished)
            | (RunEvent::Stopped, Self::Started { .. }) => Self::Idle,
            // A run lasts since it was first seen, however often it is seen.
            (RunEvent::SeenRunning { .. }, Self::Started { since }) => Self::Started { since },
            (RunEvent::SeenRunning { at } | RunEvent::StartSucceeded { at }, _) => {
                Self::Started { since: at }
            }
            (RunEvent::Failed { retry_at }, _) => Self::Waiting { until: retry_at },
            (RunEvent::Ended, _) => Self::Finished,
            (RunEvent::RetryChanged { retry_at }, Self::Waiting { until }) => {
                Self::Waiting { until: until.min(retry_at) }
            }
            (RunEvent::CronRemoved | RunEvent::Stopped | RunEvent::RetryChanged { .. }, state) => {
                state
            }
        }
    }

    /// Returns whether the pod was started, or found running.
    pub(crate) const fn is_started(self) -> bool {
        matches!(self, Self::Started { .. })
    }

    /// Returns how long the run has lasted; `None` when there is none.
    pub(crate) fn lasted(self, now: Monotonic) -> Option<Duration> {
        match self {
            Self::Started { since } => Some(now.saturating_since(since)),
            Self::Idle | Self::Waiting { .. } | Self::Finished => None,
        }
    }
}

/// How the run stands.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) state: RunState,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) images: Images,
    pub(crate) cron: Cron,
    /// A cron tick asked for a run that has not ended yet.
    pub(crate) is_requested: bool,
    /// Whether a pod of the specification in force ever ran.
    pub(crate) ever_ran: bool,
    /// Whether one was ever ready, or ended as it should: those that wait for it may start.
    pub(crate) was_ready: bool,
    /// Why the last run or command failed.
    pub(crate) failure: Option<String>,
    /// How a run failed last, whatever came after it.
    pub(crate) last_failure: Option<LastFailure>,
    /// Whether that is for damage in what the runtime has stored.
    pub(crate) is_damaged: bool,
    /// Starts since the first, by the agent.
    pub(crate) restarts: u32,
    pub(crate) retry: Retry,
    pub(crate) backoff: Backoff,
    pub(crate) drift: Drift,
    /// When the pod of the previous specification ended, while its successor has not started.
    pub(crate) gap_since: Option<Monotonic>,
    /// Since when containers of it run, of whatever specification.
    pub(crate) alive_since: Option<Monotonic>,
    /// The profiles that turned it away, until it runs again.
    pub(crate) turned_away_by: Vec<ProfileName>,
    /// Until when it rests after they stopped it.
    pub(crate) rests_until: Option<Monotonic>,
}

impl Run {
    pub(crate) fn new(retry: RetryPolicy) -> Self {
        Self {
            state: RunState::Idle,
            in_flight: None,
            images: Images::default(),
            cron: Cron::None,
            is_requested: false,
            ever_ran: false,
            was_ready: false,
            failure: None,
            last_failure: None,
            is_damaged: false,
            restarts: 0,
            retry: Retry::new(retry, 0),
            backoff: Backoff::default(),
            drift: Drift::default(),
            gap_since: None,
            alive_since: None,
            turned_away_by: Vec::new(),
            rests_until: None,
        }
    }

    pub(crate) fn apply(&mut self, event: RunEvent) {
        self.state = self.state.apply(event);
    }

    /// Notes that a run failed, or did not come about.
    pub(crate) fn note_failure(&mut self, message: &str, at: DateTime<Utc>) {
        self.last_failure = Some(LastFailure { at, message: message.to_owned() });
    }

    /// Gives up a pull in flight. It changes no pod, so nothing has to wait for one that is no
    /// longer wanted.
    pub(crate) fn give_up_pull(&mut self) {
        if let Some(pull) = self.in_flight.take_if(|flight| flight.kind == ActionKind::Pull) {
            self.images.leave_behind(pull);
        }
    }

    /// Waits again for the pull of the images of `pod` that was given up.
    pub(crate) fn resume_pull(&mut self, pod: &PodKey) {
        self.in_flight = self.images.take_up(pod);
    }
}

/// Until when nothing is sent, after commands that a runtime failed.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    pub(crate) until: Monotonic,
    /// Commands in a row whose outcome is unknown.
    unknown_outcomes: u32,
    failed_stops: u32,
    /// Commands in a row to freeze or to thaw.
    failed_freezes: u32,
}

impl Backoff {
    /// Notes that a command was answered, well or not.
    pub(crate) fn answered(&mut self) {
        self.unknown_outcomes = 0;
    }

    /// Notes that a pod was stopped, frozen or thawed.
    pub(crate) fn changed(&mut self) {
        (self.failed_stops, self.failed_freezes) = (0, 0);
    }

    /// Notes that the outcome of a command is unknown; returns how many were in a row.
    pub(crate) fn outcome_unknown(&mut self, now: Monotonic) -> u32 {
        self.until = now + delay(self.unknown_outcomes);
        self.unknown_outcomes = self.unknown_outcomes.saturating_add(1);
        self.unknown_outcomes
    }

    /// Notes that a pod could not be stopped; returns how many times in a row.
    pub(crate) fn stop_failed(&mut self, now: Monotonic) -> u32 {
        self.until = now + delay(self.failed_stops);
        self.failed_stops = self.failed_stops.saturating_add(1);
        self.failed_stops
    }

    /// Notes that a pod could not be frozen, or thawed; returns how many times in a row.
    pub(crate) fn freeze_failed(&mut self, now: Monotonic) -> u32 {
        self.until = now + delay(self.failed_freezes);
        self.failed_freezes = self.failed_freezes.saturating_add(1);
        self.failed_freezes
    }

    /// Returns whether the last command to freeze or to thaw failed.
    pub(crate) const fn has_failed_to_thaw(&self) -> bool {
        self.failed_freezes > 0
    }

    /// Returns whether the last command was not carried out, as far as is known; one to freeze or to thaw aside.
    pub(crate) const fn is_failing(&self) -> bool {
        self.failed_stops > 0 || self.unknown_outcomes > 0
    }

    /// Lets commands be sent at once.
    pub(crate) fn end(&mut self) {
        self.until = Monotonic::default();
    }
}

fn delay(failures: u32) -> Duration {
    RUNTIME_RETRY_DELAY.saturating_mul(1 << failures.min(8)).min(MAX_RUNTIME_RETRY_DELAY)
}

#[cfg(test)]
mod tests;
