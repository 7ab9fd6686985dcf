//! What the status page says about workloads and runtimes. Pure.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::job::Job;
use super::jobs::Jobs;
use super::run::Run;
use super::runtimes::{Runtime, Runtimes};
use super::tally::Tally;
use crate::clock::Moment;
use crate::messages::SchedulerReport;
use crate::workload::{
    ExecutorKind, JobReport, Limits, NextStart, RuntimeReport, RuntimeState, TargetState,
    WorkloadReport,
};

impl Jobs {
    /// Returns all that is known now; notes the statuses on the way.
    pub(super) fn details(&self, tally: &mut Tally, now: Moment) -> SchedulerReport {
        let reports = self.reports(now);
        tally.note(reports.iter(), now.wall);
        let needed: BTreeSet<ExecutorKind> = reports.iter().filter_map(|it| it.executor).collect();
        let details = |job: JobReport| {
            let since = tally.since(&job.workload).unwrap_or(now.wall);
            match self.jobs.get(&job.workload) {
                Some(known) => accepted(job, known, since),
                None => refused(job, since),
            }
        };
        SchedulerReport {
            runtimes: self.runtimes.reports(&needed),
            workloads: reports.into_iter().map(details).collect(),
            commands: tally.commands.clone(),
            failures: tally.failures.clone(),
            damages: self.jobs.values().filter_map(|job| damage(job)).collect(),
            reactions: tally.reactions,
        }
    }
}

/// Returns what keeps a wanted workload from running, if that is damage.
fn damage(job: &Job) -> Option<String> {
    let is_wanted = job.target == TargetState::Running && !job.is_alive();
    let failure = job.failure.as_ref().filter(|_| is_wanted && job.is_damaged)?;
    Some(format!("workload {}: {failure}", job.name))
}

fn accepted(report: JobReport, job: &Job, since: DateTime<Utc>) -> WorkloadReport {
    let pod = job.current_pod();
    let workload = job.effective();
    WorkloadReport {
        target: Some(job.target),
        pod: pod.map(|pod| pod.state.as_str()),
        command: job.in_flight.as_ref().map(|flight| flight.kind.as_str()),
        since,
        started_at: pod.and_then(|pod| pod.started_at),
        next_start_by: report.next_start.map(|_| next_start_by(job)),
        cron: workload.and_then(|workload| workload.cron.clone()),
        limits: job.limits,
        waits_for: job.waits_for.clone().filter(|_| !job.ever_ran),
        profiles: workload.map_or_else(Vec::new, |it| it.profiles.iter().map(Into::into).collect()),
        job: report,
    }
}

fn refused(report: JobReport, since: DateTime<Utc>) -> WorkloadReport {
    WorkloadReport {
        job: report,
        target: None,
        pod: None,
        command: None,
        since,
        started_at: None,
        next_start_by: None,
        cron: None,
        limits: Limits::default(),
        waits_for: None,
        profiles: Vec::new(),
    }
}

fn next_start_by(job: &Job) -> NextStart {
    match (job.target, &job.run) {
        (TargetState::Running, Run::Waiting { .. }) => NextStart::Retry,
        (TargetState::Running | TargetState::Inactive | TargetState::Removed, _) => NextStart::Cron,
    }
}

impl Runtimes {
    /// Returns what is known of each kind, and whether it is among those that are `needed`.
    fn reports(&self, needed: &BTreeSet<ExecutorKind>) -> Vec<RuntimeReport> {
        let report = |executor: ExecutorKind| RuntimeReport {
            executor,
            state: match self.of(executor) {
                Some(Runtime::Unconfigured { .. }) => RuntimeState::Unconfigured,
                Some(Runtime::Available) => RuntimeState::Available,
                Some(Runtime::Slow { .. }) => RuntimeState::Slow,
                Some(Runtime::Unavailable { .. }) => RuntimeState::Unavailable,
                Some(Runtime::Unheard) | None => RuntimeState::Unheard,
            },
            reason: self.obstacle(executor).or_else(|| self.slowness(executor)),
            is_needed: needed.contains(&executor),
        };
        ExecutorKind::ALL.map(report).into()
    }
}
