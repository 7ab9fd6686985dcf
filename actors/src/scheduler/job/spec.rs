//! What is wanted of a workload, and what commands for that say. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::super::observed::{Observed, PodKey};
use super::rollback::Rollback;
use crate::messages::{Action, ActionKind};
use crate::workload::{Limits, ProfileRef, RestartPolicy, Workload, WorkloadId, WorkloadName};

/// Time between SIGTERM and SIGKILL for a pod that does not say: podman's default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// Time for the images of one workload to arrive.
const PULL_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// Time for a pod to be created and started.
const START_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// The same where init containers run in it, which may migrate a database.
const INIT_DEADLINE: Duration = Duration::from_secs(60 * 60);
/// Time for limits to be applied to a running pod.
const LIMIT_DEADLINE: Duration = Duration::from_secs(60);
/// Time for a pod to be stopped and removed, beyond its grace period.
const STOP_MARGIN: Duration = Duration::from_secs(40);
/// Time for the containers of a pod to end while the machine goes down, beyond its grace period.
const HALT_MARGIN: Duration = Duration::from_secs(10);

/// What is wanted of a workload.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    /// The configured specification; `None` once the workload is no longer configured.
    pub(crate) desired: Option<Arc<Workload>>,
    /// The specification to fall back on.
    pub(crate) rollback: Rollback,
    /// Time between SIGTERM and SIGKILL for its pods, of whatever specification.
    graces: Vec<(WorkloadId, Duration)>,
    /// What its profiles name and the device does not define, as it was last reported.
    pub(crate) undefined: Option<String>,
}

impl Spec {
    /// Returns what stays true of it when every decision is forgotten.
    pub(crate) fn facts(self) -> Self {
        Self { rollback: self.rollback, graces: self.graces, ..Self::default() }
    }

    /// Takes over the specification that the configuration now has; returns the one before.
    pub(crate) fn replace(
        &mut self,
        workload: &Arc<Workload>,
        observed: &Observed,
    ) -> Option<Arc<Workload>> {
        let has_pod = |id: &WorkloadId| observed.keys().any(|pod| pod.id == *id);
        self.graces.retain(|(id, _)| *id != workload.id && has_pod(id));
        self.graces.push((workload.id.clone(), grace_of(workload)));
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
        let workload = || self.effective().map(Arc::clone);
        let (id, name, grace) = (pod.id.clone(), name.clone(), self.grace(&pod.id));
        Some(match kind {
            ActionKind::Pull => Action::Pull { workload: workload()? },
            ActionKind::Start => Action::Start { workload: workload()?, limits },
            ActionKind::Limit => Action::Limit { workload: workload()?, limits },
            ActionKind::Stop => Action::Stop { id, workload: name, grace },
            ActionKind::Suspend => Action::Suspend { id, workload: name, grace },
            ActionKind::Halt => Action::Halt { id, workload: name, grace },
        })
    }

    /// Returns the time that a command to `pod` may take.
    pub(crate) fn time_for(&self, kind: ActionKind, pod: &PodKey) -> Duration {
        match kind {
            ActionKind::Pull => PULL_DEADLINE,
            ActionKind::Start if self.effective().is_some_and(|it| it.has_init_containers()) => {
                INIT_DEADLINE
            }
            ActionKind::Start => START_DEADLINE,
            ActionKind::Limit => LIMIT_DEADLINE,
            ActionKind::Stop | ActionKind::Suspend => self.grace(&pod.id) + STOP_MARGIN,
            ActionKind::Halt => self.grace(&pod.id) + HALT_MARGIN,
        }
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

/// Returns the pod's `terminationGracePeriodSeconds`.
fn grace_of(workload: &Workload) -> Duration {
    let seconds = workload.pod.termination_grace_period_seconds;
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DEFAULT_GRACE, Duration::from_secs)
}
