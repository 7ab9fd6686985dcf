//! Ending all pods because the machine goes down: those first for which others do not wait. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::job::Job;
use super::jobs::Jobs;
use super::run::PodKey;
use crate::clock::{Moment, Monotonic};
use crate::messages::{Action, ActionKind, CommandId, ExecutorCommand};
use crate::workload::{CurrentState, ExecutorKind, ObservedPod, WorkloadName};

/// What the agent ends before itself.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// No command is sent any more, but those that end pods.
    pub(super) is_draining: bool,
    /// Which command ends which pod, and until when that is waited for.
    under_way: BTreeMap<CommandId, (PodKey, Monotonic)>,
    /// Pods that were ended, as well as it went.
    ended: BTreeSet<PodKey>,
}

impl Ending {
    /// Notes the answer to a command; returns whether it was one of these.
    pub(super) fn finished(&mut self, command: CommandId) -> bool {
        let pod = self.under_way.remove(&command).map(|(pod, _)| pod);
        let is_known = pod.is_some();
        self.ended.extend(pod);
        is_known
    }

    /// Gives up what took longer than it may.
    fn expire(&mut self, now: Monotonic) {
        let late = self.under_way.extract_if(.., |_, (_, until)| *until <= now);
        self.ended.extend(late.map(|(_, (pod, _))| pod));
    }

    fn is_ending(&self, pod: &PodKey) -> bool {
        self.under_way.values().any(|(known, _)| known == pod)
    }
}

impl Jobs {
    /// Goes on with what `former` was ending, in its order.
    pub(super) fn go_on_ending(&mut self, former: &mut Self) {
        self.ending = std::mem::take(&mut former.ending);
        if self.ending.is_draining {
            self.dependencies = std::mem::take(&mut former.dependencies);
        }
    }

    /// Returns how many workloads have pods of this machine that may run, and the commands that end those
    /// for which no other waits. Nothing else is planned from here on.
    pub(crate) fn halt(&mut self, now: Moment) -> (usize, Vec<(ExecutorKind, ExecutorCommand)>) {
        self.ending.is_draining = true;
        self.ending.expire(now.monotonic);
        let live: BTreeMap<&WorkloadName, Vec<&PodKey>> = self
            .jobs
            .iter()
            .map(|(name, job)| (name, self.live_pods(job)))
            .filter(|(_, pods)| !pods.is_empty())
            .collect();
        let mut commands = Vec::new();
        for (name, pods) in &live {
            if self.is_waited_for(name, &live) {
                continue;
            }
            let Some(job) = self.jobs.get(*name) else { continue };
            for pod in pods.iter().filter(|pod| !self.ending.is_ending(pod)) {
                let deadline = now.monotonic + job.time_for(ActionKind::Halt, pod);
                let action = job.action(ActionKind::Halt, pod);
                commands.extend(action.map(|action| ((*pod).clone(), deadline, action)));
            }
        }
        let left = live.len();
        let command = |(pod, deadline, action): (PodKey, Monotonic, Action)| {
            let id = CommandId(self.next_command);
            self.next_command += 1;
            let executor = pod.executor;
            self.ending.under_way.insert(id, (pod, deadline));
            (executor, ExecutorCommand { id, deadline, action })
        };
        let commands = commands.into_iter().map(command).collect();
        (left, commands)
    }

    fn live_pods<'a>(&self, job: &'a Job) -> Vec<&'a PodKey> {
        let is_live = |key: &PodKey, pod: &ObservedPod| {
            !key.executor.is_cluster() && may_run(&pod.state) && !self.ending.ended.contains(key)
        };
        job.pods.iter().filter(|(key, pod)| is_live(key, pod)).map(|(key, _)| key).collect()
    }

    /// Returns whether a workload that may still run started after `name`, or after one that did.
    fn is_waited_for(
        &self,
        name: &WorkloadName,
        live: &BTreeMap<&WorkloadName, Vec<&PodKey>>,
    ) -> bool {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = self.dependencies.waiting_for(name).iter().collect();
        while let Some(waiting) = next.pop() {
            if live.contains_key(waiting) {
                return true;
            }
            if seen.insert(waiting) {
                next.extend(self.dependencies.waiting_for(waiting));
            }
        }
        false
    }
}

const fn may_run(state: &CurrentState) -> bool {
    match state {
        CurrentState::Starting
        | CurrentState::Running
        | CurrentState::Degraded { .. }
        | CurrentState::Crashing { .. }
        | CurrentState::Unknown => true,
        CurrentState::Exited { .. } | CurrentState::Incomplete { .. } | CurrentState::Suspended => {
            false
        }
    }
}
