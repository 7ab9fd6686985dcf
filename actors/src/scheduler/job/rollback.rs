//! The specification that ran well before the present one, and when it comes back. Pure.
//!
//! `new` replaces `previous`, which ran well:
//!
//! | what happens                          | what is in force then                              |
//! |---------------------------------------|----------------------------------------------------|
//! | the pod of `new` runs                 | `new`; `previous` is forgotten                     |
//! | `new` fails to start, third time      | `previous` for 5 min, then 10, 20, … up to a day   |
//! | the images of `new` do not come       | `previous` until the pull is tried again, 20 s at least |
//! | that time is over                     | `new` for one attempt                              |
//! | the images of `new` come after all    | `new`, at once                                     |

use std::sync::Arc;
use std::time::Duration;

use super::super::observed::{Observed, PodKey};
use super::run::RunState;
use crate::clock::Monotonic;
use crate::workload::{ContainerEnd, CurrentState, RestartPolicy, Workload, WorkloadId};

/// Failed starts of a new specification before the previous one comes back.
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
    /// What replaced `previous`.
    successor: Option<WorkloadId>,
    /// Ran well when it was replaced; `None` once its successor ran, or if there was none.
    previous: Option<Arc<Workload>>,
    /// Was configured before the agent was restarted. It counts only if its pod still runs: else the
    /// present one may have run meanwhile, and left data that an older one must not touch.
    former: Option<Arc<Workload>>,
    failed_starts: u32,
    /// How often the previous one came back for failed starts.
    rounds: u32,
    /// The previous one is in force until then.
    until: Option<Monotonic>,
}

impl Rollback {
    /// Notes that a new specification came. `healthy` is the one that ran well until now.
    pub(crate) fn replaced(&mut self, successor: &WorkloadId, healthy: Option<Arc<Workload>>) {
        // A scheduler that was reset is given the same one once more.
        if self.successor.as_ref() == Some(successor) {
            return;
        }
        // After a second change before the first one ever ran, what ran is still the fallback.
        let previous = healthy.or(self.previous.take()).filter(|it| it.id != *successor);
        let successor = Some(successor.clone());
        *self = Self { successor, previous, ..Self::default() };
    }

    /// Notes what was configured before the agent was restarted.
    pub(crate) fn set_former(&mut self, former: &Arc<Workload>) {
        self.former = Some(Arc::clone(former));
    }

    /// Makes the former specification the previous one of `desired`, if its pod still runs.
    pub(crate) fn recall_former(&mut self, desired: Option<&Arc<Workload>>, observed: &Observed) {
        let runs = |former: &mut Arc<Workload>| {
            let pod = observed.get(&PodKey::of(former));
            pod.is_some_and(|pod| pod.state == CurrentState::Running)
        };
        if let Some(former) = self.former.take_if(runs) {
            let is_other = desired.is_some_and(|desired| desired.id != former.id);
            self.previous = self.previous.take().or(Some(former).filter(|_| is_other));
        }
    }

    /// Returns the previous specification while it is in force.
    pub(crate) fn in_force(&self) -> Option<&Arc<Workload>> {
        self.until.and(self.previous.as_ref())
    }

    /// Returns whether the previous specification is in force.
    pub(crate) fn is_in_force(&self) -> bool {
        self.in_force().is_some()
    }

    /// Returns the specification that can be fallen back on.
    pub(crate) fn previous(&self) -> Option<&Arc<Workload>> {
        self.previous.as_ref()
    }

    /// Returns whether there is a specification to fall back on that is not in force yet.
    fn is_possible(&self) -> bool {
        self.previous.is_some() && self.until.is_none()
    }

    /// Returns whether the previous specification may come back for want of images: not while a pod
    /// runs, which a pull does not disturb, and not if it ended for good.
    pub(crate) fn may_begin(&self, observed: &Observed, state: RunState) -> bool {
        self.is_possible()
            && !observed.is_any_alive(state.is_started())
            && !self.previous.as_ref().is_some_and(|previous| is_over(previous, observed))
    }

    /// Returns when a pull that was sent then has taken too long for the previous specification to
    /// wait for it.
    pub(crate) fn patience_ends(pull_sent_at: Monotonic) -> Monotonic {
        pull_sent_at + PULL_PATIENCE
    }

    /// Puts the previous specification in force until the images are asked for again.
    pub(crate) fn begin(&mut self, next_pull: Monotonic, now: Monotonic) {
        self.until = Some(next_pull.max(now + MIN_ROLLBACK));
    }

    /// Notes that a pod could not be started; returns whether the previous specification is in
    /// force from now on.
    pub(crate) fn start_failed(&mut self, now: Monotonic) -> bool {
        if !self.is_possible() {
            return false;
        }
        self.failed_starts = self.failed_starts.saturating_add(1);
        if self.failed_starts < ATTEMPTS {
            return false;
        }
        let wait = RETRY_INTERVAL.saturating_mul(1 << self.rounds.min(16)).min(MAX_RETRY_INTERVAL);
        self.rounds = self.rounds.saturating_add(1);
        self.until = Some(now + wait);
        true
    }

    /// Notes that a pod started; if it was the new specification's, there is no way back any more.
    pub(crate) fn started(&mut self) {
        if self.until.is_none() {
            (self.previous, self.former) = (None, None);
        }
    }

    /// Returns when the rollback is over, if no command is in flight then.
    pub(crate) fn over_at(&self, state: RunState) -> Option<Monotonic> {
        let until = self.until?;
        match state {
            // The previous one waits for its own retry, which would be cut short.
            RunState::Waiting { until: retry } => Some(until.max(retry)),
            RunState::Idle | RunState::Started { .. } | RunState::Finished => Some(until),
        }
    }

    /// Has the rollback end at once, if there is one.
    pub(crate) fn end_soon(&mut self, now: Monotonic) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// Ends the rollback: the new specification has one more attempt.
    pub(crate) fn end(&mut self) {
        self.until = None;
        // Only failed starts use up attempts: after a rollback for want of images it has them all.
        if self.rounds > 0 {
            self.failed_starts = ATTEMPTS - 1;
        }
    }
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
