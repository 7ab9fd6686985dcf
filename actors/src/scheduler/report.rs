//! What is said about a job. Pure.

use chrono::{DateTime, SubsecRound as _, Utc};

use super::job::Job;
use super::run::Run;
use super::runtimes::Runtimes;
use crate::clock::{Moment, Monotonic};
use crate::messages::ActionKind;
use crate::workload::{CurrentState, JobReport, TargetState, WorkloadName, WorkloadStatus};

/// Returns the report on a job; none for one that is only being removed.
pub(crate) fn report(job: &Job, runtimes: &Runtimes, now: Moment) -> Option<JobReport> {
    let workload = job.effective()?;
    let (status, mut reason) = status(job);
    if status != WorkloadStatus::Running && job.target == TargetState::Running {
        reason = runtimes.obstacle(workload.executor).or(reason);
    }
    if status == WorkloadStatus::Deploying
        && job.target == TargetState::Running
        && let Some(slow) = runtimes.slowness(workload.executor)
    {
        reason = Some(reason.map_or(slow.clone(), |reason| format!("{reason}; {slow}")));
    }
    if let Some(other) = &job.waits_for
        && status == WorkloadStatus::Deploying
    {
        reason = reason.or_else(|| Some(format!("waits until {other} runs")));
    }
    if job.rollback.in_force().is_some() {
        let cause = job.failure.as_deref().unwrap_or("the new specification did not start");
        reason = Some(format!("rolled back to the previous specification: {cause}"));
    }
    if let Some(rejected) = &job.rejected {
        let kept = "the last good specification is kept, the new one was refused";
        reason = Some(format!("{kept}: {rejected}"));
    }
    let by_runtime = job.current_pod().map_or(0, |pod| pod.restarts);
    Some(JobReport {
        workload: job.name.clone(),
        id: Some(workload.id.clone()),
        executor: Some(workload.executor),
        status,
        reason,
        restarts: job.restarts.saturating_add(by_runtime),
        next_start: next_start(job, now),
    })
}

/// Returns the report on a workload that cannot be run at all.
pub(crate) fn rejected(name: &WorkloadName, reason: &str) -> JobReport {
    JobReport {
        workload: name.clone(),
        id: None,
        executor: None,
        status: WorkloadStatus::Crashed,
        reason: Some(reason.to_owned()),
        restarts: 0,
        next_start: None,
    }
}

fn status(job: &Job) -> (WorkloadStatus, Option<String>) {
    let never_seen_to_run = job.target == TargetState::Running && !job.is_alive();
    match job.current() {
        // A start that was given up half-way, say.
        Some(CurrentState::Unknown) if never_seen_to_run => without_pod(job),
        Some(CurrentState::Running | CurrentState::Unknown) => (WorkloadStatus::Running, None),
        Some(CurrentState::Starting) => (WorkloadStatus::Deploying, None),
        Some(CurrentState::Degraded { ended }) => {
            let ended: Vec<_> = ended.iter().map(ToString::to_string).collect();
            (WorkloadStatus::Crashed, Some(ended.join("; ")))
        }
        Some(CurrentState::Crashing { message }) => {
            (WorkloadStatus::Crashed, Some(message.clone()))
        }
        Some(
            CurrentState::Exited { .. } | CurrentState::Incomplete { .. } | CurrentState::Suspended,
        )
        | None => without_pod(job),
    }
}

fn without_pod(job: &Job) -> (WorkloadStatus, Option<String>) {
    let first_cron_run = job.cron.is_some() && !job.ever_ran;
    // A run was due and did not come about.
    let never_started = first_cron_run && job.run == Run::Finished && job.failure.is_some();
    match job.target {
        TargetState::Inactive if never_started => (WorkloadStatus::Crashed, why_inactive(job)),
        TargetState::Inactive if first_cron_run => {
            (WorkloadStatus::Deploying, job.inactive_because.clone())
        }
        TargetState::Inactive => (WorkloadStatus::Stopped, why_inactive(job)),
        TargetState::Removed => (WorkloadStatus::Stopped, None),
        TargetState::Running => {
            let status = match job.run {
                Run::Finished => WorkloadStatus::Stopped,
                Run::Waiting { .. } if job.ever_ran => WorkloadStatus::Crashed,
                Run::Idle | Run::Started { .. } | Run::Waiting { .. } => WorkloadStatus::Deploying,
            };
            (status, job.failure.clone().or_else(|| progress(job)))
        }
    }
}

/// Returns why it does not run now, and first how its last run ended if that was badly.
fn why_inactive(job: &Job) -> Option<String> {
    let because = job.inactive_because.clone();
    match (&job.run, &job.failure) {
        (Run::Finished, Some(failure)) => because.map(|because| format!("{failure}; {because}")),
        _ => because,
    }
}

fn progress(job: &Job) -> Option<String> {
    let text = match job.in_flight.as_ref()?.kind {
        ActionKind::Pull => "pulling images",
        ActionKind::Start => "starting the pod",
        ActionKind::Limit => "applying limits",
        ActionKind::Stop => "stopping the previous pod",
        ActionKind::Suspend | ActionKind::Halt => "stopping the pod",
    };
    Some(text.to_owned())
}

fn next_start(job: &Job, now: Moment) -> Option<DateTime<Utc>> {
    match (job.target, &job.run) {
        (TargetState::Running, Run::Waiting { until }) => Some(wall_at(*until, now)),
        (TargetState::Running | TargetState::Inactive, _) => job.next_tick,
        (TargetState::Removed, _) => None,
    }
}

/// Returns the wall time of a monotonic moment, as the clocks stand now, to the second: the two are
/// never read at one instant, and a difference would count as news.
fn wall_at(at: Monotonic, now: Moment) -> DateTime<Utc> {
    let wall = now.after(at.saturating_since(now.monotonic)).wall;
    wall.round_subsecs(0)
}
