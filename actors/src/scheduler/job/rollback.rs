//! Whether a specification has proved itself, and when the one before it comes back. Pure.
//!
//! `new` replaces `previous`, which proved itself:
//!
//! | what happens                               | what is in force then                                   |
//! |--------------------------------------------|---------------------------------------------------------|
//! | `new` proves itself, see [`Trial`]         | `new`; `previous` is forgotten                          |
//! | a start or a run of `new` fails, third time | `previous` for 5 min, then 10, 20, … up to a day       |
//! | `new` is not ready in time                 | `previous`, likewise, at once                           |
//! | the images of `new` do not come            | `previous` until the pull is tried again, 20 s at least |
//! | that time is over                          | `new` for one attempt                                   |
//! | the images of `new` come after all         | `new`, at once                                          |
//! | the previous one has a cron and `new` none, or vice versa | `new`, whatever happens                   |
//! | the agent is restarted                     | what was; a `new` that failed waits for 5 min           |

use std::sync::Arc;
use std::time::Duration;

use super::super::observed::{Observed, PodKey};
use super::proof::{Criterion, Sight, Trial, Verdict};
use super::run::RunState;
use crate::clock::Monotonic;
use crate::workload::{
    ContainerEnd, CurrentState, Outcome, RestartPolicy, Update, Workload, WorkloadId,
};

/// Failed starts and runs of a new specification before the previous one comes back.
const ATTEMPTS: u32 = 3;
/// Time to the next attempt of the new specification, doubled after each that fails: an attempt
/// interrupts the previous one, which runs well.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);
/// Longest time between two attempts.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the previous specification waits for a pull while no pod runs. A pull that takes longer
/// brings an image over a network, or hangs.
const PULL_PATIENCE: Duration = Duration::from_secs(30);
/// Shortest rollback for want of images.
const MIN_ROLLBACK: Duration = Duration::from_secs(20);

/// What a job can fall back on.
#[derive(Debug, Default)]
pub(crate) struct Rollback {
    /// The configured specification, which all of this is about.
    successor: Option<WorkloadId>,
    state: State,
}

/// How the configured specification stands.
#[derive(Debug, Default)]
pub(crate) enum State {
    /// It has proved itself: there is no way back.
    #[default]
    Proved,
    /// It is in force, and yet to prove itself.
    Proving {
        /// What it replaced; `None` where nothing has proved itself yet.
        previous: Option<Arc<Workload>>,
        /// Starts and runs of it that failed.
        failures: u32,
        /// How often the previous one came back for that.
        rounds: u32,
        trial: Trial,
    },
    /// The previous one is in force.
    RolledBack {
        previous: Arc<Workload>,
        failures: u32,
        /// None, if only images did not come.
        rounds: u32,
        until: Monotonic,
        /// Why.
        cause: String,
    },
}

impl Rollback {
    /// Notes that a new specification came; `update` is what is known of it if it has not proved itself.
    pub(crate) fn replaced(
        &mut self,
        successor: &WorkloadId,
        update: Option<&Update>,
        now: Monotonic,
    ) {
        // A scheduler that was reset is given the same one once more.
        if self.successor.as_ref() == Some(successor) {
            return;
        }
        let state = match update.map(|update| (update.previous.clone(), &update.failure)) {
            None => State::Proved,
            Some((Some(previous), Some(cause))) => State::RolledBack {
                previous,
                failures: 0,
                rounds: 1,
                until: now + RETRY_INTERVAL,
                cause: cause.clone(),
            },
            Some((previous, _)) => {
                State::Proving { previous, failures: 0, rounds: 0, trial: Trial::default() }
            }
        };
        *self = Self { successor: Some(successor.clone()), state };
    }

    /// Gives up a way back to what would run at other times: a service has no ticks, and what runs by the
    /// clock must not run again and again.
    pub(crate) fn keep_kind(&mut self, has_cron: bool) {
        let is_other = |previous: &Arc<Workload>| has_ticks(previous) != has_cron;
        if self.previous().is_some_and(is_other) {
            self.end();
            if let State::Proving { previous, .. } = &mut self.state {
                *previous = None;
            }
        }
    }

    /// Returns how the configured specification stands.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Returns what has become of the configured specification, once that is known.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            State::Proved => Some(Outcome::Proved),
            // That its images have not come says nothing of itself.
            State::Proving { .. } | State::RolledBack { rounds: 0, .. } => None,
            State::RolledBack { cause, .. } => Some(Outcome::Failed { reason: cause.clone() }),
        }
    }

    /// Returns whether the configured specification failed its proof, and the previous one is in force.
    pub(crate) const fn is_disproved(&self) -> bool {
        matches!(self.state, State::RolledBack { rounds: 1.., .. })
    }

    /// Returns the previous specification while it is in force.
    pub(crate) fn in_force(&self) -> Option<&Arc<Workload>> {
        match &self.state {
            State::RolledBack { previous, .. } => Some(previous),
            State::Proved | State::Proving { .. } => None,
        }
    }

    /// Returns whether the previous specification is in force.
    #[cfg(test)]
    pub(crate) fn is_in_force(&self) -> bool {
        self.in_force().is_some()
    }

    /// Returns the specification that can be fallen back on.
    pub(crate) fn previous(&self) -> Option<&Arc<Workload>> {
        match &self.state {
            State::Proved => None,
            State::Proving { previous, .. } => previous.as_ref(),
            State::RolledBack { previous, .. } => Some(previous),
        }
    }

    /// Returns whether the previous specification may come back for want of images: not while a pod
    /// runs, which a pull does not disturb, and not if it ended for good.
    pub(crate) fn may_begin(&self, observed: &Observed, state: RunState) -> bool {
        let State::Proving { previous: Some(previous), .. } = &self.state else { return false };
        !observed.is_any_alive(state.is_started()) && !is_over(previous, observed)
    }

    /// Returns when a pull that was sent then has taken too long for the previous specification to
    /// wait for it.
    pub(crate) fn patience_ends(pull_sent_at: Monotonic) -> Monotonic {
        pull_sent_at + PULL_PATIENCE
    }

    /// Puts the previous specification in force until the images are asked for again.
    pub(crate) fn begin(&mut self, next_pull: Monotonic, cause: &str, now: Monotonic) {
        if let State::Proving { previous: Some(previous), failures, rounds, .. } = &self.state {
            self.state = State::RolledBack {
                previous: Arc::clone(previous),
                failures: *failures,
                rounds: *rounds,
                until: next_pull.max(now + MIN_ROLLBACK),
                cause: cause.to_owned(),
            };
        }
    }

    /// Notes that a start or a run failed; returns whether the previous specification is in force from
    /// now on.
    pub(crate) fn failed(&mut self, cause: &str, now: Monotonic) -> bool {
        let State::Proving { failures, .. } = &mut self.state else { return false };
        *failures = failures.saturating_add(1);
        *failures >= ATTEMPTS && self.go_back(cause, now)
    }

    /// Puts the previous specification in force, if there is one; returns whether there is.
    pub(crate) fn go_back(&mut self, cause: &str, now: Monotonic) -> bool {
        let State::Proving { previous: Some(previous), failures, rounds, .. } = &self.state else {
            return false;
        };
        let wait = RETRY_INTERVAL.saturating_mul(1 << rounds.min(&16)).min(MAX_RETRY_INTERVAL);
        self.state = State::RolledBack {
            previous: Arc::clone(previous),
            failures: *failures,
            rounds: rounds.saturating_add(1),
            until: now + wait,
            cause: cause.to_owned(),
        };
        true
    }

    /// Notes how the pod of the new specification is found; returns what that comes to by now.
    pub(crate) fn seen(
        &mut self,
        sight: Sight,
        criterion: Criterion,
        now: Monotonic,
    ) -> Option<Verdict> {
        let State::Proving { trial, .. } = &mut self.state else { return None };
        *trial = trial.seen(sight, now);
        trial.end(criterion).filter(|(_, at)| *at <= now).map(|(verdict, _)| verdict)
    }

    /// Notes that the new specification has proved itself; returns whether that is news about an update.
    pub(crate) fn proved(&mut self) -> bool {
        let State::Proving { previous, .. } = &self.state else { return false };
        let is_update = previous.is_some();
        self.state = State::Proved;
        is_update
    }

    /// Returns when the trial of the new specification ends, if nothing changes.
    pub(crate) fn trial_ends(&self, criterion: Criterion) -> Option<Monotonic> {
        let State::Proving { trial, .. } = &self.state else { return None };
        trial.end(criterion).map(|(_, at)| at)
    }

    /// Returns when the rollback is over, if no command is in flight then. `has_cron` says that runs come by
    /// the clock: the previous one then has one before the new one is tried again.
    pub(crate) fn over_at(&self, state: RunState, has_cron: bool) -> Option<Monotonic> {
        let State::RolledBack { until, rounds, .. } = self.state else { return None };
        match state {
            // The previous one waits for its own retry, which would be cut short.
            RunState::Waiting { until: retry } => Some(until.max(retry)),
            RunState::Idle | RunState::Started { .. } if has_cron && rounds > 0 => None,
            RunState::Idle | RunState::Started { .. } | RunState::Finished => Some(until),
        }
    }

    /// Has the rollback end at once, if it is for want of images, which are there now.
    pub(crate) fn end_soon(&mut self, now: Monotonic) {
        if let State::RolledBack { until, .. } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// Ends the rollback: the new specification has one more attempt.
    pub(crate) fn end(&mut self) {
        if let State::RolledBack { previous, failures, rounds, .. } = &self.state {
            // Only failures use up attempts: after a rollback for want of images it has them all.
            let failures = if *rounds > 0 { ATTEMPTS - 1 } else { *failures };
            self.state = State::Proving {
                previous: Some(Arc::clone(previous)),
                failures,
                rounds: *rounds,
                trial: Trial::default(),
            };
        }
    }
}

/// Returns whether `workload` runs by the clock, which a cluster ignores.
fn has_ticks(workload: &Workload) -> bool {
    workload.cron.is_some() && !workload.executor.is_cluster()
}

/// Returns whether the last run of `workload` ended so that no other follows.
fn is_over(workload: &Workload, observed: &Observed) -> bool {
    let pod = observed.get(&PodKey::of(workload));
    let Some(CurrentState::Exited { ended }) = pod.map(|pod| &pod.state) else {
        return false;
    };
    match workload.restart_policy {
        RestartPolicy::Always => false,
        RestartPolicy::OnFailure => !ended.iter().any(ContainerEnd::is_failure),
        RestartPolicy::Never => true,
    }
}

#[cfg(test)]
mod tests;
