//! The one decision table: what a job does next. Pure.
//!
//! | target   | what exists                          | step                                   |
//! |----------|--------------------------------------|----------------------------------------|
//! | any      | a command in flight                  | wait for it                            |
//! | Removed  | a pod                                | stop it                                |
//! | Removed  | a pull that runs on                  | wait for its end                       |
//! | Removed  | nothing                              | forget the job                         |
//! | Inactive | its pod, alive or forbidden to lie   | stop it                                |
//! | Inactive | the ended pod of the last cron run   | leave it, its logs may be wanted       |
//! | Inactive | its Deployment with a pod            | suspend it: the cluster keeps it       |
//! | Inactive | its Deployment without one           | leave it, it soon starts again         |
//! | Inactive | a pod of an older specification      | stop it                                |
//! | Running  | its runtime is not there             | wait for it                            |
//! | Running  | another pod, perhaps of a newer spec | wait for the source                    |
//! | Running  | its profiles are not judged yet      | keep what runs, start nothing          |
//! | Running  | its pod runs                         | stop older pods, apply limits, settled |
//! | Running  | its Deployment was changed by others | as limits: write it, once a minute     |
//! | Running  | a retry is not due yet, or finished  | wait                                   |
//! | Running  | its pod is degraded, the retry due   | stop it                                |
//! | Running  | the images are not there yet         | pull                                   |
//! | Running  | its first start waits for others     | wait for them                          |
//! | Running  | an older pod                         | stop it: both may want the same port   |
//! | Running  | an older pod on a silent runtime     | wait for the runtime                   |
//! | Running  | the other podman not heard at start  | wait for it, a minute at most          |
//! | Running  | nothing in its way                   | start                                  |

use std::time::Duration;

use super::job::Job;
use super::run::{PodKey, Run};
use super::runtimes::Runtimes;
use crate::clock::{Moment, Monotonic};
use crate::messages::ActionKind;
use crate::workload::{CurrentState, ExecutorKind, TargetState};

/// An agent that just started waits so long to hear which pods the other podman has: a workload
/// that moved from one to the other may still run there.
const HEARING_TIME: Duration = Duration::from_secs(60);

/// What a job does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Have the pod's executor do this.
    Act(ActionKind, PodKey),
    /// Nothing exists and nothing is wanted: the job ends.
    Forget,
    /// Nothing before this moment, unless something happens.
    WaitUntil(Monotonic),
    /// Nothing unless something happens.
    Settled,
}

impl Step {
    /// Returns what is to be done, if anything.
    pub(super) const fn action(&self) -> Option<ActionKind> {
        match self {
            Self::Act(kind, _) => Some(*kind),
            Self::Forget | Self::WaitUntil(_) | Self::Settled => None,
        }
    }
}

/// Decides what `job` does next.
pub(crate) fn next_step(job: &Job, runtimes: &Runtimes, now: Moment) -> Step {
    if let Some(flight) = &job.in_flight {
        return Step::WaitUntil(flight.until);
    }
    if job.not_before > now.monotonic {
        return Step::WaitUntil(job.not_before);
    }
    match job.target {
        TargetState::Removed => remove(job, runtimes, now),
        TargetState::Inactive => deactivate(job, runtimes, now),
        TargetState::Running => run(job, runtimes, now),
    }
}

fn remove(job: &Job, runtimes: &Runtimes, now: Moment) -> Step {
    if !job.pods.is_empty() {
        return stop_first(job.pods.keys(), runtimes);
    }
    // Configured anew, it shall not have the same images pulled a second time.
    match job.images.behind_until() {
        Some(until) if until > now.monotonic => Step::WaitUntil(until),
        Some(_) | None => Step::Forget,
    }
}

fn deactivate(job: &Job, runtimes: &Runtimes, now: Moment) -> Step {
    let wanted = job.wanted();
    let keep_ended = job.cron.is_some();
    let is_own = |key: &PodKey| Some(key) == wanted.as_ref();
    let in_the_way = job.pods.iter().filter_map(|(key, pod)| {
        let rests = match pod.state {
            CurrentState::Exited { .. } => keep_ended,
            CurrentState::Suspended => true,
            CurrentState::Starting
            | CurrentState::Running
            | CurrentState::Degraded { .. }
            | CurrentState::Incomplete { .. }
            | CurrentState::Crashing { .. }
            | CurrentState::Unknown => false,
        };
        // Another pod may be of a newer specification, which may want it.
        let may_rest = if is_own(key) { rests } else { job.outdated };
        (!may_rest).then_some(key)
    });
    match first_available(in_the_way, runtimes) {
        Some(key) if is_own(key) && key.executor.is_cluster() => {
            let at = job.next_suspension();
            if at > now.monotonic {
                Step::WaitUntil(at)
            } else {
                Step::Act(ActionKind::Suspend, key.clone())
            }
        }
        Some(key) => Step::Act(ActionKind::Stop, key.clone()),
        None => Step::Settled,
    }
}

fn run(job: &Job, runtimes: &Runtimes, now: Moment) -> Step {
    let Some(wanted) = job.wanted() else {
        return Step::Settled;
    };
    if !runtimes.is_available(wanted.executor) {
        return Step::Settled;
    }
    let older = || job.pods.keys().filter(|key| **key != wanted);
    if job.outdated && older().next().is_some() {
        return Step::Settled;
    }
    if job.is_kept {
        let runs = job.is_alive() && !matches!(job.run, Run::Waiting { .. });
        return if runs { keep_up(job, wanted, now) } else { Step::Settled };
    }
    match &job.run {
        Run::Waiting { until } if *until > now.monotonic => return Step::WaitUntil(*until),
        Run::Waiting { .. } if job.is_alive() => return Step::Act(ActionKind::Stop, wanted),
        Run::Finished => return stop_first(older(), runtimes),
        Run::Idle | Run::Started { .. } if job.is_alive() => {
            return if older().next().is_some() {
                stop_first(older(), runtimes)
            } else {
                keep_up(job, wanted, now)
            };
        }
        Run::Idle | Run::Started { .. } | Run::Waiting { .. } => {}
    }
    if !job.images.are_here(&wanted) {
        return Step::Act(ActionKind::Pull, wanted);
    }
    if job.waits_for.is_some() && !job.ever_ran {
        return Step::Settled;
    }
    let hearing = now.monotonic.since_start() < HEARING_TIME && runtimes.has_unheard_podman();
    if hearing && wanted.executor != ExecutorKind::K8s {
        return Step::WaitUntil(Monotonic::from_start(HEARING_TIME));
    }
    if older().next().is_none() {
        return Step::Act(ActionKind::Start, wanted);
    }
    // An older pod whose runtime is silent may still run: two of one workload never do.
    stop_first(older(), runtimes)
}

/// Brings what differs to a pod that runs, when that is due.
fn keep_up(job: &Job, pod: PodKey, now: Moment) -> Step {
    match job.next_limit() {
        Some(at) if at > now.monotonic => Step::WaitUntil(at),
        Some(_) => Step::Act(ActionKind::Limit, pod),
        None => Step::Settled,
    }
}

/// Stops the first of `pods` whose runtime is there.
fn stop_first<'a>(pods: impl Iterator<Item = &'a PodKey>, runtimes: &Runtimes) -> Step {
    first_available(pods, runtimes)
        .map_or(Step::Settled, |key| Step::Act(ActionKind::Stop, key.clone()))
}

/// Returns the first of `pods` whose runtime is there.
fn first_available<'a>(
    mut pods: impl Iterator<Item = &'a PodKey>,
    runtimes: &Runtimes,
) -> Option<&'a PodKey> {
    pods.find(|key| runtimes.is_available(key.executor))
}
