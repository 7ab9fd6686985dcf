//! What is wanted of a workload, and what commands for that say. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::super::eligibility::gates::Arrival;
use super::super::observed::{Observed, PodKey};
use super::rollback::Rollback;
use crate::messages::{Action, ActionKind, Subject};
use crate::workload::{
    DEFAULT_GRACE, Limits, ProfileRef, RestartPolicy, Turn, Workload, WorkloadId, WorkloadName,
};

/// What is wanted of a workload.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    /// The configured specification; `None` once the workload is no longer configured.
    pub(crate) desired: Option<Arc<Workload>>,
    /// The specification to fall back on.
    pub(crate) rollback: Rollback,
    /// Time between SIGTERM and SIGKILL for its pods, of whatever specification.
    graces: Vec<(WorkloadId, Duration)>,
    /// When the configured specification came.
    pub(crate) arrival: Arrival,
    /// What its profiles name and the device does not define, as it was last reported.
    pub(crate) undefined: Option<String>,
}

impl Spec {
    /// Returns what stays true of it when every decision is forgotten.
    pub(crate) fn facts(self) -> Self {
        let Self { rollback, graces, arrival, .. } = self;
        Self { rollback, graces, arrival, ..Self::default() }
    }

    /// Takes over the specification that the configuration now has; returns the one before.
    pub(crate) fn replace(
        &mut self,
        workload: &Arc<Workload>,
        observed: &Observed,
    ) -> Option<Arc<Workload>> {
        let has_pod = |id: &WorkloadId| observed.keys().any(|pod| pod.id == *id);
        self.graces.retain(|(id, _)| *id != workload.id && has_pod(id));
        self.graces.push((workload.id.clone(), workload.grace_period()));
        self.desired.replace(Arc::clone(workload))
    }

    /// Returns the specification whose pod should run: the configured one, or the previous one while
    /// that is rolled back to.
    pub(crate) fn effective(&self) -> Option<&Arc<Workload>> {
        let desired = self.desired.as_ref()?;
        Some(self.rollback.in_force().unwrap_or(desired))
    }

    /// Returns the key of the pod that should run, if any should.
    pub(crate) fn wanted(&self) -> Option<PodKey> {
        self.effective().map(|workload| PodKey::of(workload))
    }

    /// Returns the profiles that must allow it.
    pub(crate) fn profiles(&self) -> &[ProfileRef] {
        self.desired.as_ref().map_or(&[], |workload| &workload.profiles)
    }

    /// Returns the profiles that its decisions depend on: those and what must allow an update.
    pub(crate) fn looked_at(&self) -> impl Iterator<Item = &[ProfileRef]> {
        let gates = self.desired.iter().map(|workload| &workload.gate);
        let gates = gates.flat_map(|gate| [&gate.pull_when[..], &gate.replace_when]);
        std::iter::once(self.profiles()).chain(gates)
    }

    /// Returns whether its decisions depend on any.
    pub(crate) fn has_profiles(&self) -> bool {
        self.looked_at().any(|profiles| !profiles.is_empty())
    }

    /// Returns how it shares the device with others.
    pub(crate) fn turn(&self) -> Turn {
        self.desired.as_ref().map_or_else(Turn::default, |workload| workload.turn)
    }

    /// Returns whether a run that ended is followed by another.
    pub(crate) fn restart_policy(&self) -> RestartPolicy {
        self.effective().map_or(RestartPolicy::Never, |workload| {
            // A Deployment knows no other.
            if workload.executor.is_cluster() {
                RestartPolicy::Always
            } else {
                workload.restart_policy
            }
        })
    }

    /// Returns the action of that kind on `pod` of the workload `name`; `None` when it needs a
    /// specification and there is none.
    pub(crate) fn action(
        &self,
        kind: ActionKind,
        name: &WorkloadName,
        pod: &PodKey,
        limits: Limits,
    ) -> Option<Action> {
        let subject = Subject {
            specification: self.effective(),
            limits,
            id: pod.id.clone(),
            workload: name.clone(),
            grace: self.grace(&pod.id),
        };
        Action::new(kind, subject)
    }

    /// Returns the time that a command to `pod` may take.
    pub(crate) fn time_for(&self, kind: ActionKind, pod: &PodKey) -> Duration {
        let has_init_containers = self.effective().is_some_and(|it| it.has_init_containers());
        kind.time_limit(self.grace(&pod.id), has_init_containers)
    }

    /// Returns the time between SIGTERM and SIGKILL for one of its pods; for one of unknown
    /// specification that of the pod that takes its place.
    fn grace(&self, pod: &WorkloadId) -> Duration {
        let known = |pod: &WorkloadId| {
            let mut graces = self.graces.iter();
            graces.find_map(|(id, grace)| (id == pod).then_some(*grace))
        };
        let of_successor = || known(&self.desired.as_ref()?.id);
        known(pod).or_else(of_successor).unwrap_or(DEFAULT_GRACE)
    }
}
