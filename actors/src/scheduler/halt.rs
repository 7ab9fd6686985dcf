//! Ending all pods because the machine goes down: those first for which others do not wait. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::dependencies::Dependencies;
use super::job::Job;
use super::observed::PodKey;
use crate::clock::{Moment, Monotonic};
use crate::messages::{Action, ActionKind, CommandId};
use crate::workload::{Limits, WorkloadName};

/// How far the agent, and with it the machine, has come to its end.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    /// No command is sent any more, but those that halt pods.
    pub(crate) is_draining: bool,
    /// Which command halts which pod, and until when that is waited for.
    under_way: BTreeMap<CommandId, (PodKey, Monotonic)>,
    /// Pods whose containers were ended, or could not be.
    halted: BTreeSet<PodKey>,
}

/// A pod to be halted.
#[derive(Debug)]
pub(crate) struct Halt {
    pub(crate) pod: PodKey,
    pub(crate) deadline: Monotonic,
    pub(crate) action: Action,
}

impl Shutdown {
    /// Returns how many of `jobs` have pods of this machine that may run, and the pods to be halted
    /// now: of those, the ones that no other waits for.
    pub(crate) fn next<'a>(
        &mut self,
        jobs: impl Iterator<Item = (&'a WorkloadName, &'a Job)>,
        dependencies: &Dependencies,
        now: Moment,
    ) -> (usize, Vec<Halt>) {
        let late = self.under_way.extract_if(.., |_, (_, until)| *until <= now.monotonic);
        self.halted.extend(late.map(|(_, (pod, _))| pod));
        let live: BTreeMap<_, (&Job, Vec<&PodKey>)> = jobs
            .map(|(name, job)| (name, (job, self.live_pods(job))))
            .filter(|(_, (_, pods))| !pods.is_empty())
            .collect();
        let mut halts = Vec::new();
        for (name, (job, pods)) in &live {
            if is_waited_for(name, dependencies, |waiting| live.contains_key(waiting)) {
                continue;
            }
            for pod in pods.iter().copied().filter(|pod| !self.is_under_way(pod)) {
                let deadline = now.monotonic + job.spec.time_for(ActionKind::Halt, pod);
                let action = job.spec.action(ActionKind::Halt, name, pod, Limits::default());
                halts.extend(action.map(|action| Halt { pod: pod.clone(), deadline, action }));
            }
        }
        (live.len(), halts)
    }

    /// Notes that a command to halt `pod` was sent.
    pub(crate) fn sent(&mut self, command: CommandId, pod: PodKey, deadline: Monotonic) {
        self.under_way.insert(command, (pod, deadline));
    }

    /// Notes the answer to a command; returns whether it was one of these.
    pub(crate) fn finished(&mut self, command: CommandId) -> bool {
        let pod = self.under_way.remove(&command).map(|(pod, _)| pod);
        let is_known = pod.is_some();
        self.halted.extend(pod);
        is_known
    }

    fn is_under_way(&self, pod: &PodKey) -> bool {
        self.under_way.values().any(|(known, _)| known == pod)
    }

    fn live_pods<'a>(&self, job: &'a Job) -> Vec<&'a PodKey> {
        let is_live = |pod: &&PodKey| {
            !pod.executor.is_cluster() && job.observed.may_run(pod) && !self.halted.contains(*pod)
        };
        job.observed.keys().filter(is_live).collect()
    }
}

/// Returns whether a workload that may still run started after `name`, or after one that did.
fn is_waited_for(
    name: &WorkloadName,
    dependencies: &Dependencies,
    is_live: impl Fn(&WorkloadName) -> bool,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut next: Vec<_> = dependencies.waiting_for(name).iter().collect();
    while let Some(waiting) = next.pop() {
        if is_live(waiting) {
            return true;
        }
        if seen.insert(waiting) {
            next.extend(dependencies.waiting_for(waiting));
        }
    }
    false
}
