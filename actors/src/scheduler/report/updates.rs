//! What is reported about updates: what one waits for, how it proves itself, and whether it came back. Pure.

use std::fmt;

use crate::clock::Moment;
use crate::scheduler::decision::{Decision, GateWait};
use crate::scheduler::job::{Criterion, Job, State};
use crate::workload::{UpdateReport, UpdateState};

/// Says what the new specification of a job waits for, in plain words.
pub(crate) struct Waiting<'a> {
    pub(crate) job: &'a Job,
    pub(crate) gate: &'a GateWait,
}

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let containers = self.job.spec.desired.iter().flat_map(|it| &it.pod.containers);
        let images: Vec<&str> = containers.filter_map(|it| it.image.as_deref()).collect();
        let what = if self.gate.runs.is_some() { "the update to" } else { "the start of" };
        write!(f, "{what} {} waits: {}", images.join(", "), self.gate.closed.why)
    }
}

/// Returns how the update of a workload stands that waits, or may come back to what was before, or has.
pub(super) fn update(job: &Job, decision: &Decision, now: Moment) -> Option<UpdateReport> {
    let desired = job.spec.desired.as_deref()?;
    let proving_seconds = match Criterion::of(desired) {
        Criterion::Started | Criterion::ExitCode => None,
        Criterion::Ready { time, .. } => Some(time.as_secs()),
    };
    let report = |state, previous| UpdateReport {
        state,
        id: desired.id.clone(),
        previous,
        run: None,
        ready_seconds: None,
        proving_seconds,
        until: None,
        reason: None,
        profiles: Vec::new(),
    };
    if let Some(gate) = decision.gate()
        && let Some(runs) = &gate.runs
    {
        return Some(UpdateReport {
            until: gate.closed.until.map(|until| now.wall_at(until)),
            reason: Some(Waiting { job, gate }.to_string()),
            profiles: gate.profiles(&desired.gate).iter().map(Into::into).collect(),
            ..report(UpdateState::Waiting, runs.id.clone())
        });
    }
    let previous = job.spec.rollback.previous()?.id.clone();
    match job.spec.rollback.state() {
        State::Proved => None,
        State::Proving { failures, trial, .. } => Some(UpdateReport {
            run: Some(failures.saturating_add(1)),
            ready_seconds: trial.ready_for(now.monotonic).map(|it| it.as_secs()),
            ..report(UpdateState::Proving, previous)
        }),
        State::RolledBack { until, cause, .. } => Some(UpdateReport {
            until: Some(now.wall_at(*until)),
            reason: Some(cause.clone()),
            ..report(UpdateState::RolledBack, previous)
        }),
    }
}
