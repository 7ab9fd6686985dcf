//! One job: what is wanted of a workload, what is observed of it, and how its run stands. Pure.

mod answers;
mod drift;
mod images;
mod in_flight;
mod proof;
mod retry;
mod rollback;
mod run;
mod spec;
mod succession;
mod update;

use std::sync::Arc;

use super::cron::Cron;
use super::eligibility::gates::Arrival;
use super::observed::{Observed, PodKey};
use crate::clock::Moment;
use crate::messages::{ActionKind, Evidence};
use crate::workload::{
    ContainerHealth, CurrentState, ObservedPod, RetryPolicy, Update, Workload, WorkloadName,
};

pub(crate) use self::in_flight::{InFlight, given_up_at};
pub(crate) use self::proof::Criterion;
use self::retry::Retry;
pub(crate) use self::rollback::{Rollback, State};
pub(crate) use self::run::{Run, RunEvent, RunState};
pub(crate) use self::spec::Spec;

/// One job. Its name is that of its workload.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: WorkloadName,
    pub(crate) spec: Spec,
    pub(crate) observed: Observed,
    pub(crate) run: Run,
}

impl Job {
    /// Returns a job that wants nothing: it removes what exists of its workload.
    pub(crate) fn orphan(name: WorkloadName, default_retry: RetryPolicy) -> Self {
        Self {
            name,
            spec: Spec::default(),
            observed: Observed::default(),
            run: Run::new(default_retry),
        }
    }

    /// Takes over what stays true of `job` when every decision is forgotten.
    pub(crate) fn take_facts(&mut self, job: Self) {
        self.spec = job.spec.facts();
        self.observed = job.observed;
        self.run.in_flight = job.run.in_flight;
        self.run.images = job.run.images;
        self.run.drift = job.run.drift;
        self.run.last_failure = job.run.last_failure;
        self.run.alive_since = job.run.alive_since;
    }

    /// Takes over the specification that the configuration now has for this workload. `update` is what is known
    /// of it if it has not proved itself.
    pub(crate) fn configure(
        &mut self,
        workload: &Arc<Workload>,
        update: Option<&Update>,
        cron: Cron,
        default_retry: RetryPolicy,
        seed: u64,
        now: Moment,
    ) {
        let old = self.spec.replace(workload, &self.observed);
        let same_pod = old.as_ref().is_some_and(|old| old.id == workload.id);
        // A cluster ignores it.
        let same_cron = old.as_ref().is_some_and(|old| {
            let same_kind = old.executor.is_cluster() == workload.executor.is_cluster();
            same_kind && old.cron == workload.cron
        });
        let new_credentials = old.as_ref().is_some_and(|old| old.registries != workload.registries);
        let same_retry = old.as_ref().is_some_and(|old| old.retry == workload.retry);
        if !same_cron {
            self.run.cron = cron;
            self.run.is_requested = false;
            if !self.run.cron.is_some() {
                self.run.apply(RunEvent::CronRemoved);
            }
        }
        if !same_retry || !same_pod {
            self.run.retry = Retry::new(workload.retry.unwrap_or(default_retry), seed);
            // A wait under way ends when the first of the retry in force would.
            if matches!(self.run.state, RunState::Waiting { .. }) {
                let retry_at = now.monotonic + self.run.retry.next_delay();
                self.run.apply(RunEvent::RetryChanged { retry_at });
            }
        }
        if new_credentials {
            self.run.drift.credentials_changed();
        }
        if let Some(old) = old.as_ref().filter(|old| same_pod && old.profiles != workload.profiles)
        {
            self.run.drift.conditions_changed(old);
        }
        if !same_pod {
            self.replace_pod(workload, update, now);
            // The first specification since the agent's start leaves an adopted pod as it is.
            if old.is_some() {
                self.run.drift.forget();
            }
        }
        self.spec.rollback.keep_kind(self.run.cron.is_some());
    }

    /// Another pod is wanted than before: nothing that is known of the runs of the old one holds
    /// for it.
    fn replace_pod(&mut self, workload: &Workload, update: Option<&Update>, now: Moment) {
        self.spec.rollback.replaced(&workload.id, update, now.monotonic);
        // A scheduler that was reset is given the same one once more.
        if self.spec.arrival.of.as_ref() != Some(&workload.id) {
            let came_at = update.and_then(|update| update.came_at);
            self.spec.arrival = Arrival::new(&workload.id, came_at, now);
        }
        self.run.apply(RunEvent::Renewed);
        let matter = self.spec.desired.iter().chain(self.spec.rollback.previous());
        let matter: Vec<_> = matter.map(|it| PodKey::of(it)).collect();
        self.run.images.keep_only(&matter);
        self.run.ever_ran = false;
        self.run.was_ready = false;
        self.run.failure = None;
        self.run.backoff.end();
        self.run.is_requested = false;
        self.run.give_up_pull();
    }

    /// Notes that the configuration no longer has this workload.
    pub(crate) fn remove(&mut self) {
        self.spec.desired = None;
        self.spec.rollback = Rollback::default();
        self.run.cron = Cron::None;
        self.run.give_up_pull();
        // If its pod outlives this and is wanted again, whatever limits it has then.
        self.run.drift.forget();
    }

    /// Notes that a command was sent.
    pub(crate) fn sent(&mut self, flight: InFlight, now: Moment) {
        self.run.drift.sent(flight.kind.effect(), now.monotonic);
        if flight.kind == ActionKind::Start {
            if self.run.ever_ran {
                self.run.restarts = self.run.restarts.saturating_add(1);
            }
            if self.spec.effective().is_some_and(|workload| workload.has_moving_image()) {
                self.run.images.ask_again(&flight.pod);
            }
        }
        self.run.in_flight = Some(flight);
    }

    /// Returns the pod of the specification in force.
    pub(crate) fn current_pod(&self) -> Option<&ObservedPod> {
        self.spec.wanted().and_then(|key| self.observed.get(&key))
    }

    /// Returns whether the pod of the specification in force is frozen.
    pub(crate) fn is_frozen(&self) -> bool {
        self.current() == Some(&CurrentState::Frozen)
    }

    /// Returns the state of the pod of the specification in force.
    pub(crate) fn current(&self) -> Option<&CurrentState> {
        self.current_pod().map(|pod| &pod.state)
    }

    /// Returns the container that the probes of the pod in force have given up.
    pub(crate) fn failing(&self) -> Option<&ContainerHealth> {
        let pod = self.current_pod().filter(|pod| pod.state == CurrentState::Running)?;
        pod.health.failing()
    }

    /// Returns whether `pod` is a Deployment that comes back if the new specification does not prove itself.
    pub(crate) fn may_come_back(&self, pod: &PodKey) -> bool {
        let previous = self.spec.rollback.previous();
        pod.executor.is_cluster() && previous.is_some_and(|previous| PodKey::of(previous) == *pod)
    }

    /// Returns whether the images of the specification in force may be taken as they are on the device: it has
    /// run here.
    pub(crate) fn may_start_without_pull(&self) -> bool {
        self.run.ever_ran || matches!(self.spec.rollback.state(), State::Proved)
    }

    /// Returns what becomes of the end of the log of `pod` if that is stopped now.
    pub(crate) fn evidence(&self, pod: &PodKey) -> Evidence {
        let is_configured = self.spec.desired.as_ref().is_some_and(|it| PodKey::of(it) == *pod);
        if is_configured && self.spec.rollback.is_disproved() {
            Evidence::Reported
        } else if self.failing().is_some() && self.spec.wanted().as_ref() == Some(pod) {
            Evidence::Kept
        } else {
            Evidence::OfFailure
        }
    }

    /// Returns whether its cron, if it has one, asks for a run that has not ended.
    pub(crate) fn is_requested(&self) -> bool {
        !self.run.cron.is_some() || self.run.is_requested || self.is_alive()
    }

    /// Returns whether containers of the specification in force run.
    pub(crate) fn is_alive(&self) -> bool {
        let is_started = self.run.state.is_started();
        self.spec.wanted().is_some_and(|key| self.observed.is_alive(&key, is_started))
    }

    /// Returns whether containers of any specification run.
    pub(crate) fn is_any_pod_alive(&self) -> bool {
        self.observed.is_any_alive(self.run.state.is_started())
    }
}
