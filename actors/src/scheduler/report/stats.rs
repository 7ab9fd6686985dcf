//! What the scheduler has done since the agent started, in numbers. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::latency::Latencies;
use crate::messages::CommandError;
use crate::workload::{ExecutorKind, JobReport, WorkloadName, WorkloadStatus};

/// Counters, and since when each workload has its status. They outlive the actor's restart.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) commands: BTreeMap<(ExecutorKind, &'static str), u64>,
    pub(crate) failures: BTreeMap<(ExecutorKind, &'static str), u64>,
    pub(crate) reactions: Latencies,
    statuses: BTreeMap<WorkloadName, (WorkloadStatus, DateTime<Utc>)>,
}

impl Stats {
    /// Counts a command that was sent; `reaction` is the time since the post that led to it.
    pub(crate) fn sent(
        &mut self,
        executor: ExecutorKind,
        action: &'static str,
        reaction: Option<Duration>,
    ) {
        *self.commands.entry((executor, action)).or_default() += 1;
        if let Some(reaction) = reaction {
            self.reactions.count(reaction);
        }
    }

    /// Counts a command that failed.
    pub(crate) fn failed(&mut self, executor: ExecutorKind, error: &CommandError) {
        *self.failures.entry((executor, cause(error))).or_default() += 1;
    }

    /// Notes the present statuses, and forgets the workloads that are gone.
    pub(crate) fn note<'a>(
        &mut self,
        jobs: impl Iterator<Item = &'a JobReport>,
        now: DateTime<Utc>,
    ) {
        let mut known = std::mem::take(&mut self.statuses);
        for job in jobs {
            let before = known.remove_entry(&job.workload);
            let same = before.filter(|(_, (status, _))| *status == job.status);
            let (name, since) = same.unwrap_or_else(|| (job.workload.clone(), (job.status, now)));
            self.statuses.insert(name, since);
        }
    }

    /// Returns since when a workload has the status that was last noted.
    pub(crate) fn since(&self, workload: &WorkloadName) -> Option<DateTime<Utc>> {
        self.statuses.get(workload).map(|(_, since)| *since)
    }
}

const fn cause(error: &CommandError) -> &'static str {
    match error {
        CommandError::Pull { .. } => "pull",
        CommandError::Start { .. } => "start",
        CommandError::Damaged { .. } => "damaged",
        CommandError::Stop { .. } => "stop",
        CommandError::Freeze { .. } => "freeze",
        CommandError::Unsupported { .. } => "unsupported",
        CommandError::Unavailable { .. } => "unavailable",
        CommandError::Abandoned => "abandoned",
        CommandError::Expired => "expired",
    }
}

#[cfg(test)]
mod tests;
