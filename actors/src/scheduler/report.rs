//! What is reported about workloads and runtimes: in heartbeats and on the status page. Pure.

pub(super) mod events;
pub(super) mod stats;
pub(super) mod updates;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::decision::{Decision, Target};
use super::job::{Job, RunState, Spec, State};
use super::observed::{Runtime, Runtimes};

use super::table::{Entry, JobTable};
use crate::clock::Moment;
use crate::messages::SchedulerReport;
use crate::workload::{
    CurrentState, ExecutorKind, Health, JobReport, Limits, NextStart, ObservedPod, Outcome,
    PodHealth, RuntimeReport, RuntimeState, TargetState, WorkloadId, WorkloadName, WorkloadReport,
    WorkloadStatus,
};
use stats::Stats;
use updates::{Waiting, update};

impl JobTable {
    /// Returns the reports on all workloads, in order of name.
    pub(crate) fn reports(&self, now: Moment) -> Vec<JobReport> {
        let mut reports: BTreeMap<&WorkloadName, JobReport> =
            self.rejected.iter().map(|(name, reason)| (name, rejected(name, reason))).collect();
        for (name, entry) in &self.jobs {
            let refused = self.rejected.get(name);
            let (job, decision) = (&entry.job, &entry.decision);
            let awaited = decision.waits_for.as_ref().and_then(|other| self.jobs.get(other));
            let awaited = awaited.and_then(|entry| entry.job.current_pod());
            let report = report(job, decision, refused, awaited, &self.runtimes, now);
            if let Some(mut report) = report {
                if let Some(why) = self.restrained_because(name) {
                    report.reason = Some(match report.reason {
                        Some(reason) => format!("{reason}; {why}"),
                        None => why,
                    });
                }
                reports.insert(name, report);
            }
        }
        reports.into_values().collect()
    }

    /// Returns the runtimes that a workload needs and that do not answer, or too late.
    pub(crate) fn silent_runtimes(&self) -> BTreeSet<ExecutorKind> {
        let wanted = self.jobs.values().filter_map(|entry| entry.job.spec.desired.as_ref());
        let needed = wanted.map(|workload| workload.executor);
        needed.filter(|kind| self.runtimes.is_unresponsive(*kind)).collect()
    }

    /// Returns what has become of the configured specifications, as far as that is known.
    pub(crate) fn outcomes(&self) -> BTreeMap<WorkloadId, Outcome> {
        let outcome = |entry: &Entry| {
            let Spec { desired, rollback, .. } = &entry.job.spec;
            Some((desired.as_ref()?.id.clone(), rollback.outcome()?))
        };
        self.jobs.values().filter_map(|entry| outcome(entry)).collect()
    }

    /// Returns all that is known now; notes the statuses on the way.
    pub(crate) fn details(&self, stats: &mut Stats, now: Moment) -> SchedulerReport {
        let reports = self.reports(now);
        stats.note(reports.iter(), now.wall);
        let needed: BTreeSet<ExecutorKind> = reports.iter().filter_map(|it| it.executor).collect();
        let details = |job: JobReport| {
            let since = stats.since(&job.workload).unwrap_or(now.wall);
            match self.jobs.get(&job.workload) {
                Some(known) => {
                    let restraints = self.restraints(&job.workload, now);
                    let report = accepted(job, &known.job, &known.decision, since, now);
                    WorkloadReport { restraints, ..report }
                }
                None => refused(job, since),
            }
        };
        SchedulerReport {
            runtimes: self.runtimes.reports(&needed),
            workloads: reports.into_iter().map(details).collect(),
            commands: stats.commands.clone(),
            failures: stats.failures.clone(),
            damages: self.jobs.values().filter_map(|entry| damage(entry)).collect(),
            governed: self.governor.governed(now.monotonic),
            reactions: stats.reactions,
        }
    }
}

/// Returns what keeps a wanted workload from running, if that is damage.
fn damage(entry: &Entry) -> Option<String> {
    let Entry { job, decision } = entry;
    let is_wanted = decision.target.state() == TargetState::Running && !job.is_alive();
    let failure = job.run.failure.as_ref().filter(|_| is_wanted && job.run.is_damaged)?;
    Some(format!("workload {}: {failure}", job.name))
}

/// Returns the report on a job; none for one that is only being removed.
/// `refused` says why a newer specification of it was. `awaited` is the pod of the workload that it waits for.
fn report(
    job: &Job,
    decision: &Decision,
    refused: Option<&String>,
    awaited: Option<&ObservedPod>,
    runtimes: &Runtimes,
    now: Moment,
) -> Option<JobReport> {
    let workload = job.spec.effective()?;
    let target = decision.target.state();
    let (mut status, mut reason) = status(job, &decision.target);
    if status != WorkloadStatus::Running && target == TargetState::Running {
        reason = runtimes.obstacle(workload.executor).or(reason);
    }
    if status == WorkloadStatus::Deploying
        && target == TargetState::Running
        && let Some(slow) = runtimes.slowness(workload.executor)
    {
        reason = Some(reason.map_or(slow.clone(), |reason| format!("{reason}; {slow}")));
    }
    if let Some(other) = &decision.waits_for
        && status == WorkloadStatus::Deploying
    {
        reason = reason.or_else(|| Some(waits_until(other, awaited)));
    }
    if let Some(gate) = decision.gate() {
        // What it is to replace runs meanwhile.
        if gate.runs.is_some() {
            status = WorkloadStatus::Running;
        }
        reason = Some(Waiting { job, gate }.to_string());
    }
    if let Target::Yielding { why } = &decision.target {
        reason = Some(reason.map_or_else(|| why.clone(), |reason| format!("{reason}; {why}")));
    }
    if let State::RolledBack { cause, .. } = job.spec.rollback.state() {
        reason = Some(format!("rolled back to the previous specification: {cause}"));
    }
    if let Some(rejected) = refused {
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
        restarts: job.run.restarts.saturating_add(by_runtime),
        next_start: next_start(job, decision, now).map(|(at, _)| at),
    })
}

/// Says what a workload waits for: that `other` runs, or what the probes of its pod want.
fn waits_until(other: &WorkloadName, awaited: Option<&ObservedPod>) -> String {
    match awaited.and_then(|pod| pod.health.unready()) {
        Some(unready) => format!("waits until {other} is ready: {unready}"),
        None => format!("waits until {other} runs"),
    }
}

/// Returns the report on a workload that cannot be run at all.
fn rejected(name: &WorkloadName, reason: &str) -> JobReport {
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

fn status(job: &Job, target: &Target) -> (WorkloadStatus, Option<String>) {
    let never_seen_to_run = target.state() == TargetState::Running && !job.is_alive();
    match job.current() {
        // A start that was given up half-way, say.
        Some(CurrentState::Unknown) if never_seen_to_run => without_pod(job, target),
        Some(CurrentState::Running) => by_health(job),
        Some(CurrentState::Frozen) => (WorkloadStatus::Running, Some("frozen".to_owned())),
        Some(CurrentState::Unknown) => (WorkloadStatus::Running, None),
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
        | None => without_pod(job, target),
    }
}

/// Returns the status of a job whose pod runs, by what its probes say.
fn by_health(job: &Job) -> (WorkloadStatus, Option<String>) {
    let unready = job.current_pod().and_then(|pod| pod.health.unready());
    let status = match unready.map(|it| &it.health) {
        Some(Health::Failing { .. }) => WorkloadStatus::Crashed,
        Some(Health::Starting { .. }) => WorkloadStatus::Deploying,
        // It serves nobody, but it runs.
        Some(Health::NotReady { .. } | Health::Ready) | None => WorkloadStatus::Running,
    };
    (status, unready.map(ToString::to_string))
}

fn without_pod(job: &Job, target: &Target) -> (WorkloadStatus, Option<String>) {
    let first_cron_run = job.run.cron.is_some() && !job.run.ever_ran;
    // A run was due and did not come about.
    let never_started =
        first_cron_run && job.run.state == RunState::Finished && job.run.failure.is_some();
    match target {
        Target::Inactive { why } if never_started => {
            (WorkloadStatus::Crashed, Some(why_inactive(job, why)))
        }
        Target::Inactive { why } if first_cron_run => {
            (WorkloadStatus::Deploying, Some(why.clone()))
        }
        Target::Inactive { why } => (WorkloadStatus::Stopped, Some(why_inactive(job, why))),
        Target::Removed => (WorkloadStatus::Stopped, None),
        Target::Running | Target::AwaitingVerdicts | Target::Yielding { .. } => {
            let status = match job.run.state {
                RunState::Finished => WorkloadStatus::Stopped,
                RunState::Waiting { .. } if job.run.ever_ran => WorkloadStatus::Crashed,
                RunState::Idle | RunState::Started { .. } | RunState::Waiting { .. } => {
                    WorkloadStatus::Deploying
                }
            };
            (status, job.run.failure.clone().or_else(|| progress(job)))
        }
    }
}

/// Returns why the workload is not running, preceded by its last failure if any.
fn why_inactive(job: &Job, why: &str) -> String {
    match (job.run.state, &job.run.failure) {
        (RunState::Finished, Some(failure)) => format!("{failure}; {why}"),
        _ => why.to_owned(),
    }
}

fn progress(job: &Job) -> Option<String> {
    Some(job.run.in_flight.as_ref()?.kind.progress().to_owned())
}

/// Returns the next start that is planned, and what it is.
fn next_start(job: &Job, decision: &Decision, now: Moment) -> Option<(DateTime<Utc>, NextStart)> {
    let turn = decision.turn_comes.map(|at| (now.wall_at(at), NextStart::Turn));
    let tick = decision.next_tick.map(|tick| (tick, NextStart::Cron));
    match (decision.target.state(), job.run.state) {
        (TargetState::Running, RunState::Waiting { until }) => {
            Some((now.wall_at(until), NextStart::Retry))
        }
        (TargetState::Running, _) => tick,
        // One that runs by the clock waits for that as well.
        (TargetState::Inactive, _) => tick.or(turn),
        (TargetState::Removed, _) => None,
    }
}

fn accepted(
    report: JobReport,
    job: &Job,
    decision: &Decision,
    since: DateTime<Utc>,
    now: Moment,
) -> WorkloadReport {
    let waits = decision.gate().and_then(|gate| gate.runs.as_ref());
    let pod = waits.and_then(|runs| job.observed.get(runs)).or_else(|| job.current_pod());
    let workload = job.spec.effective();
    WorkloadReport {
        target: Some(decision.target.state()),
        pod: pod.map(|pod| pod.state.as_str()),
        health: pod.map(|pod| pod.health.clone()).unwrap_or_default(),
        containers: pod.map(|pod| pod.containers.clone()).unwrap_or_default(),
        last_failure: job.run.last_failure.clone(),
        command: job.run.in_flight.as_ref().map(|flight| flight.kind.as_str()),
        since,
        started_at: pod.and_then(|pod| pod.started_at),
        next_start_by: next_start(job, decision, now).map(|(_, what)| what),
        cron: workload.and_then(|workload| workload.cron.clone()),
        limits: decision.limits,
        restraints: Vec::new(),
        waits_for: decision.waits_for.clone().filter(|_| !job.run.ever_ran),
        profiles: workload.map_or_else(Vec::new, |it| it.profiles.iter().map(Into::into).collect()),
        update: update(job, decision, now),
        job: report,
    }
}

fn refused(report: JobReport, since: DateTime<Utc>) -> WorkloadReport {
    WorkloadReport {
        job: report,
        target: None,
        pod: None,
        health: PodHealth::default(),
        containers: Vec::new(),
        last_failure: None,
        command: None,
        since,
        started_at: None,
        next_start_by: None,
        cron: None,
        limits: Limits::default(),
        restraints: Vec::new(),
        waits_for: None,
        profiles: Vec::new(),
        update: None,
    }
}

impl Runtimes {
    /// Returns what is known of each kind, and whether it is among those that are `needed`.
    fn reports(&self, needed: &BTreeSet<ExecutorKind>) -> Vec<RuntimeReport> {
        let report = |executor: ExecutorKind| RuntimeReport {
            executor,
            state: match self.get(executor) {
                Some(Runtime::Unconfigured { .. }) => RuntimeState::Unconfigured,
                Some(Runtime::Available) => RuntimeState::Available,
                Some(Runtime::Slow { .. }) => RuntimeState::Slow,
                Some(Runtime::Unavailable { .. }) => RuntimeState::Unavailable,
                Some(Runtime::Unknown) | None => RuntimeState::Unheard,
            },
            reason: self.obstacle(executor).or_else(|| self.slowness(executor)),
            is_needed: needed.contains(&executor),
        };
        ExecutorKind::ALL.map(report).into()
    }
}
