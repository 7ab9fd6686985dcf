//! The specification that ran well before the present one, in case that one cannot be started. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::job::Job;
use super::notices::Notices;
use super::run::Run;
use crate::clock::{Moment, Monotonic};
use crate::workload::Workload;

/// A new specification has so many attempts to start before the previous one comes back.
const ATTEMPTS: u32 = 3;
/// The new specification is tried again after this, then after twice that, and so on: each attempt
/// interrupts the one that runs well.
const NEXT_TRY: Duration = Duration::from_secs(300);
/// Longest time between two such attempts.
const LAST_TRY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a job can fall back on.
#[derive(Debug, Default)]
pub(super) struct Rollback {
    /// Ran well when it was replaced; `None` once its successor ran, or if there was none.
    previous: Option<Arc<Workload>>,
    failed_starts: u32,
    rounds: u32,
    /// The previous one is in force until then.
    until: Option<Monotonic>,
}

impl Rollback {
    /// Notes that a new specification came. `healthy` is the one that ran well until now.
    pub(super) fn replaced(&mut self, healthy: Option<Arc<Workload>>) {
        // A second change before the first one ever ran still falls back on what ran.
        let previous = healthy.or(self.previous.take());
        *self = Self { previous, failed_starts: 0, rounds: 0, until: None };
    }

    /// Notes that a pod could not be started; returns whether the previous specification is in
    /// force from now on.
    pub(super) fn start_failed(&mut self, now: Monotonic) -> bool {
        if self.previous.is_none() || self.until.is_some() {
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
            self.previous = None;
        }
    }

    /// Ends the rule of the previous specification when its time is over: the new one has one more
    /// attempt. Returns whether that is now.
    pub(super) fn ends(&mut self, now: Monotonic) -> bool {
        let ended = self.until.take_if(|until| *until <= now).is_some();
        if ended {
            self.failed_starts = ATTEMPTS - 1;
        }
        ended
    }

    /// Returns the previous specification while it is in force.
    pub(super) fn in_force(&self) -> Option<&Arc<Workload>> {
        self.until.and(self.previous.as_ref())
    }

    /// Returns when the new specification is tried again.
    pub(super) fn until(&self) -> Option<Monotonic> {
        self.until
    }
}

impl Job {
    /// Lets the previous specification run again, at once: its images are on the device.
    pub(super) fn roll_back(&mut self, notices: &mut Notices) {
        self.run = Run::Idle;
        self.pulled = true;
        let cause = self.failure.clone().unwrap_or_default();
        let message = format!("the previous specification is started again: {cause}");
        notices.warn("RolledBack", &self.name, message);
    }

    /// Gives the new specification another attempt when the time for it has come.
    pub(crate) fn end_rollback(&mut self, now: Moment) {
        if self.in_flight.is_none() && self.rollback.ends(now.monotonic) {
            self.run = Run::Idle;
            self.pulled = false;
            self.upkeep.forget();
        }
    }
}
