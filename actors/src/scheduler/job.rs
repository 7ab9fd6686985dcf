//! One job: what is wanted of a workload, what exists of it, and the command in flight. Pure.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::clockwork::Cron;
use super::images::Images;
use super::retry::Retry;
use super::rollback::Rollback;
use super::run::{InFlight, PodKey, Run};
use super::upkeep::Upkeep;
use crate::clock::{Moment, Monotonic};
use crate::messages::ActionKind;
use crate::workload::{
    CurrentState, Limits, ObservedPod, RetryPolicy, TargetState, Workload, WorkloadId, WorkloadName,
};

/// Time between SIGTERM and SIGKILL for a pod that does not say: podman's default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// One job. Its name is that of its workload.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: WorkloadName,
    /// The specification in force; `None` once the workload is no longer configured.
    pub(crate) desired: Option<Arc<Workload>>,
    /// A newer specification than the one in force may be wanted: what runs stays.
    pub(super) outdated: bool,
    /// Why a newer specification was refused.
    pub(crate) rejected: Option<String>,
    pub(crate) target: TargetState,
    /// Its profiles cannot be judged yet: whatever of it runs goes on, and nothing else starts.
    pub(super) is_kept: bool,
    /// Why the target is not Running.
    pub(crate) inactive_because: Option<String>,
    /// What its profiles name and the device does not define, as it was last told.
    pub(super) undefined: Option<String>,
    pub(crate) limits: Limits,
    /// Whether `limits` are those of conditions whose metrics are there.
    pub(super) limits_are_known: bool,
    pub(super) upkeep: Upkeep,
    /// A workload that must run before this one starts for the first time, and does not yet.
    pub(crate) waits_for: Option<WorkloadName>,
    /// Whether it had run when it was last planned, so that those who wait for it are called once.
    pub(crate) ran_when_planned: bool,
    /// Every pod of this workload that exists, of whatever specification. Boxed, as a map makes
    /// room for eleven and mostly there is one.
    pub(crate) pods: BTreeMap<PodKey, Box<ObservedPod>>,
    pub(crate) in_flight: Option<InFlight>,
    pub(super) images: Images,
    pub(crate) run: Run,
    /// Whether a pod of the specification in force ever ran.
    pub(crate) ever_ran: bool,
    /// The agent starts nothing before this, after a runtime that failed.
    pub(crate) not_before: Monotonic,
    /// Why the last run or command failed.
    pub(crate) failure: Option<String>,
    /// Whether that is for damage in what the runtime has stored.
    pub(super) is_damaged: bool,
    pub(crate) restarts: u32,
    /// Time between SIGTERM and SIGKILL for its pods, of whatever specification.
    graces: Vec<(WorkloadId, Duration)>,
    pub(crate) cron: Cron,
    /// The next cron tick, for people.
    pub(crate) next_tick: Option<DateTime<Utc>>,
    /// What has to come of the wall clock before a tick is known.
    pub(crate) awaited_clock: Option<Rc<str>>,
    /// A cron tick asked for a run that has not ended yet.
    pub(crate) run_requested: bool,
    pub(super) retry: Retry,
    pub(super) failed_stops: u32,
    /// Commands in a row whose outcome is unknown.
    pub(super) unknown_outcomes: u32,
    pub(super) rollback: Rollback,
    /// When the pod of the previous specification ended, while its successor has not started.
    pub(super) gap_since: Option<Monotonic>,
}

impl Job {
    /// Returns a job that wants nothing: it removes what exists of its workload.
    pub(crate) fn orphan(name: WorkloadName, default_retry: RetryPolicy) -> Self {
        Self {
            name,
            desired: None,
            outdated: false,
            rejected: None,
            target: TargetState::Removed,
            is_kept: false,
            inactive_because: None,
            undefined: None,
            limits: Limits::default(),
            limits_are_known: false,
            upkeep: Upkeep::default(),
            waits_for: None,
            ran_when_planned: false,
            pods: BTreeMap::new(),
            in_flight: None,
            images: Images::default(),
            run: Run::Idle,
            ever_ran: false,
            not_before: Monotonic::default(),
            failure: None,
            is_damaged: false,
            restarts: 0,
            graces: Vec::new(),
            cron: Cron::None,
            next_tick: None,
            awaited_clock: None,
            run_requested: false,
            retry: Retry::new(default_retry, 0),
            failed_stops: 0,
            unknown_outcomes: 0,
            rollback: Rollback::default(),
            gap_since: None,
        }
    }

    /// Takes over what stays true of `job` when every decision is forgotten.
    pub(super) fn take_facts(&mut self, job: Self) {
        self.pods = job.pods;
        self.in_flight = job.in_flight;
        self.images = job.images;
        self.rollback = job.rollback;
        self.graces = job.graces;
    }

    /// Takes over the specification that the configuration now has for this workload.
    pub(crate) fn configure(
        &mut self,
        workload: &Arc<Workload>,
        cron: Cron,
        default_retry: RetryPolicy,
        seed: u64,
        now: Moment,
    ) {
        let healthy = self.effective().filter(|_| self.runs_well(now)).cloned();
        let old = self.desired.replace(Arc::clone(workload));
        let is_of_pod = |id: &WorkloadId| self.pods.keys().any(|pod| pod.id == *id);
        self.graces.retain(|(id, _)| *id != workload.id && is_of_pod(id));
        self.graces.push((workload.id.clone(), grace_of(workload)));
        let same_pod = old.as_ref().is_some_and(|old| old.id == workload.id);
        // A cluster ignores it.
        let same_cron = old.as_ref().is_some_and(|old| {
            let same_kind = old.executor.is_cluster() == workload.executor.is_cluster();
            same_kind && old.cron == workload.cron
        });
        let new_credentials = old.as_ref().is_some_and(|old| old.registries != workload.registries);
        let same_retry = old.as_ref().is_some_and(|old| old.retry == workload.retry);
        if !same_cron {
            self.cron = cron;
            self.run_requested = false;
            // Only a tick could have followed, and there is none any more.
            if !self.cron.is_some() && self.run == Run::Finished {
                self.run = Run::Idle;
            }
        }
        if !same_retry || !same_pod {
            self.retry = Retry::new(workload.retry.unwrap_or(default_retry), seed);
            self.shorten_wait(now);
        }
        if new_credentials {
            self.upkeep.credentials_changed();
        }
        if !same_pod {
            self.rollback.replaced(&workload.id, healthy);
            self.run = Run::Idle;
            self.forget_images();
            self.ever_ran = false;
            self.failure = None;
            // The first of this life leaves an adopted pod as it is.
            if old.is_some() {
                self.upkeep.forget();
            }
            self.not_before = Monotonic::default();
            self.run_requested = false;
            self.give_up_pull();
        }
    }

    /// A wait under way ends when the first of the retry in force would.
    fn shorten_wait(&mut self, now: Moment) {
        if let Run::Waiting { until } = &mut self.run {
            *until = (*until).min(now.monotonic + self.retry.next_delay());
        }
    }

    /// Notes that the configuration no longer has this workload.
    pub(crate) fn remove(&mut self) {
        self.desired = None;
        self.rejected = None;
        self.rollback = Rollback::default();
        self.cron = Cron::None;
        self.give_up_pull();
    }

    /// A pull changes no pod, so nobody has to wait for one that is no longer wanted.
    pub(super) fn give_up_pull(&mut self) {
        let pull = self.in_flight.take_if(|flight| flight.kind == ActionKind::Pull);
        if let Some(pull) = pull {
            self.images.leave_behind(pull);
        }
    }

    /// Waits again for a pull that was given up, if it brings the images that are wanted now.
    pub(super) fn take_up_pull(&mut self, now: Moment) -> bool {
        let Some(wanted) = self.wanted() else { return false };
        self.in_flight = self.images.take_up(&wanted, now.monotonic);
        self.in_flight.is_some()
    }

    /// Forgets what is known of the images of specifications that matter no longer.
    fn forget_images(&mut self) {
        let matter = self.desired.iter().chain(self.rollback.previous()).map(|it| key_of(it));
        self.images.keep_only(&matter.collect::<Vec<_>>());
    }

    /// Returns the specification whose pod shall run: the configured one, or the previous one while
    /// that is rolled back to.
    pub(crate) fn effective(&self) -> Option<&Arc<Workload>> {
        let desired = self.desired.as_ref()?;
        Some(self.rollback.in_force().unwrap_or(desired))
    }

    /// Returns the time between SIGTERM and SIGKILL for one of its pods.
    pub(super) fn grace(&self, pod: &WorkloadId) -> Duration {
        let known = |pod: &WorkloadId| {
            let mut graces = self.graces.iter();
            graces.find_map(|(id, grace)| (id == pod).then_some(*grace))
        };
        let of_successor = || known(&self.desired.as_ref()?.id);
        known(pod).or_else(of_successor).unwrap_or(DEFAULT_GRACE)
    }

    /// Returns whether its pod has run for as long as a run must to count as healthy.
    fn runs_well(&self, now: Moment) -> bool {
        match self.run {
            Run::Started { since } => {
                let lived = now.monotonic.saturating_since(since);
                self.is_alive() && lived >= self.retry.healthy_after()
            }
            Run::Idle | Run::Waiting { .. } | Run::Finished => false,
        }
    }

    /// Returns the key of the pod that shall run, if any shall.
    pub(crate) fn wanted(&self) -> Option<PodKey> {
        self.effective().map(|workload| key_of(workload))
    }

    /// Returns the pod of the specification in force.
    pub(crate) fn current_pod(&self) -> Option<&ObservedPod> {
        self.wanted().and_then(|key| self.pods.get(&key)).map(Box::as_ref)
    }

    /// Returns the state of the pod of the specification in force.
    pub(crate) fn current(&self) -> Option<&CurrentState> {
        self.current_pod().map(|pod| &pod.state)
    }

    /// Returns whether containers of the specification in force run.
    pub(crate) fn is_alive(&self) -> bool {
        self.current_pod().is_some_and(|pod| self.lives(pod))
    }

    /// Returns whether containers of any specification run.
    pub(super) fn is_any_pod_alive(&self) -> bool {
        self.pods.values().any(|pod| self.lives(pod))
    }

    fn lives(&self, pod: &ObservedPod) -> bool {
        match &pod.state {
            CurrentState::Starting
            | CurrentState::Running
            | CurrentState::Degraded { .. }
            | CurrentState::Crashing { .. } => true,
            CurrentState::Unknown => matches!(self.run, Run::Started { .. }),
            CurrentState::Exited { .. }
            | CurrentState::Incomplete { .. }
            | CurrentState::Suspended => false,
        }
    }
}

/// Returns the key of the pod of `workload`.
pub(super) fn key_of(workload: &Workload) -> PodKey {
    PodKey { executor: workload.executor, id: workload.id.clone() }
}

/// Returns the pod's `terminationGracePeriodSeconds`.
fn grace_of(workload: &Workload) -> Duration {
    let seconds = workload.pod.termination_grace_period_seconds;
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DEFAULT_GRACE, Duration::from_secs)
}
