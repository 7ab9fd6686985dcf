//! The pods of other specifications that a new one is to replace, and the gate that protects them. Pure.

use crate::scheduler::decision::Inputs;
use crate::scheduler::eligibility::gates::{Closed, Gate};
use crate::scheduler::job::Job;
use crate::scheduler::observed::PodKey;
use crate::workload::{ContainerEnd, CurrentState};

/// Returns the pods of other specifications than that of `wanted`, without those that wait at zero
/// replicas until the new one has proved itself.
pub(super) fn older_pods<'a>(job: &'a Job, wanted: &PodKey) -> impl Iterator<Item = &'a PodKey> {
    let waits = |key: &PodKey, state: &CurrentState| {
        *state == CurrentState::Suspended && job.may_come_back(key)
    };
    let others =
        job.observed.iter().filter(move |(key, pod)| *key != wanted && !waits(key, &pod.state));
    others.map(|(key, _)| key)
}

/// Returns the gate of the new specification if it is closed. The one before it comes back whenever it has
/// to.
pub(super) fn closed_gate<'a>(job: &Job, gate: Gate, inputs: &Inputs<'a>) -> Option<&'a Closed> {
    let closed = match gate {
        Gate::Pull => inputs.gates.pull.as_ref(),
        Gate::Replace => inputs.gates.replace.as_ref(),
    };
    closed.filter(|_| job.spec.rollback.in_force().is_none())
}

/// Returns a pod of another specification that works, as far as is known: the gate of a new one protects
/// its work.
pub(super) fn older_that_works<'a>(job: &'a Job, wanted: &PodKey) -> Option<&'a PodKey> {
    older_pods(job, wanted).find(|key| {
        job.observed.get(key).is_some_and(|pod| {
            let runs = match &pod.state {
                CurrentState::Starting
                | CurrentState::Running
                | CurrentState::Frozen
                | CurrentState::Unknown => true,
                CurrentState::Degraded { ended } => !ended.iter().any(ContainerEnd::is_failure),
                CurrentState::Exited { .. }
                | CurrentState::Incomplete { .. }
                | CurrentState::Suspended
                | CurrentState::Crashing { .. } => false,
            };
            runs && pod.health.failing().is_none()
        })
    })
}
