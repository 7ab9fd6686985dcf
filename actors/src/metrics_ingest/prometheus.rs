//! The answer to `GET /metrics`, from the reports of the actors. Pure.

use std::collections::BTreeMap;

use self::text_format::{Exposition, Kind};
use super::status::{About, PostCounts, Reports, actors};
use crate::clock::Moment;
use crate::messages::{ControlPlaneReport, EvaluatorReport, SchedulerReport};
use crate::workload::{Health, UpdateState, WorkloadReport, WorkloadStatus};

mod text_format;

/// Returns the answer in Prometheus' text format 0.0.4. What an actor that did not answer would have
/// reported is left out, so that no counter seems to fall.
pub(super) fn exposition(
    about: &About,
    reports: &Reports,
    posts: PostCounts,
    now: Moment,
) -> String {
    let mut text = Exposition::default();
    agent(&mut text, about, reports, now);
    if let Some(report) = &reports.control_plane {
        control_plane(&mut text, report, now);
    }
    if let Some(report) = &reports.scheduler {
        scheduler(&mut text, report);
    }
    if let Some(report) = &reports.evaluator {
        evaluator(&mut text, report);
    }
    text.family(
        "device_worker_metric_posts_total",
        Kind::Counter,
        "Bodies posted to the agent by what became of them.",
    );
    text.sample(&[("result", "taken")], posts.taken);
    text.sample(&[("result", "refused")], posts.refused);
    text.family(
        "device_worker_metric_posts_waiting",
        Kind::Gauge,
        "Posted bodies that wait for the evaluator.",
    );
    text.sample(&[], posts.waiting);
    text.finish()
}

fn agent(text: &mut Exposition, about: &About, reports: &Reports, now: Moment) {
    text.family("device_worker_info", Kind::Gauge, "The agent, always 1.");
    let labels = [("version", about.version), ("device_id", about.device_id.as_str())];
    text.sample(&labels, 1);
    text.family("device_worker_uptime_seconds", Kind::Gauge, "Time since the agent started.");
    text.sample(&[], now.monotonic.since_start().as_secs());
    let rows = actors(about, reports);
    text.family(
        "device_worker_actor_up",
        Kind::Gauge,
        "Whether an actor works (1), or is restarted or silent (0).",
    );
    for row in rows.iter().filter(|row| row.state != "unknown") {
        text.sample(&[("actor", row.name)], u8::from(row.state == "up"));
    }
    if reports.control_plane.is_some() {
        text.family(
            "device_worker_actor_failures_total",
            Kind::Counter,
            "Failures of an actor, each of which led to its restart.",
        );
        for row in &rows {
            text.sample(&[("actor", row.name)], row.failures);
        }
    }
}

fn control_plane(text: &mut Exposition, report: &ControlPlaneReport, now: Moment) {
    text.family(
        "device_worker_control_plane_connected",
        Kind::Gauge,
        "Whether the control plane or the folder answers (1) or not (0).",
    );
    text.sample(&[], u8::from(report.connected_since.is_some()));
    text.family(
        "device_worker_control_plane_requests_total",
        Kind::Counter,
        "Questions to the control plane or the folder, by kind.",
    );
    for (call, calls) in &report.calls {
        text.sample(&[("call", call)], calls.requests);
    }
    text.family(
        "device_worker_control_plane_errors_total",
        Kind::Counter,
        "Those of the questions that failed, by kind.",
    );
    for (call, calls) in &report.calls {
        text.sample(&[("call", call)], calls.errors);
    }
    text.family(
        "device_worker_certificate_remaining_seconds",
        Kind::Gauge,
        "Time until the device's certificate expires, negative after it.",
    );
    if let Some(at) = report.certificate_expires {
        text.sample(&[], (at - now.wall).num_seconds());
    }
}

/// Writes what is done to workloads so that the device keeps its objectives.
fn governed(text: &mut Exposition, report: &SchedulerReport) {
    text.family(
        "device_worker_workload_governed",
        Kind::Gauge,
        "A step by which a workload is restrained for an objective of the device, always 1.",
    );
    for workload in &report.workloads {
        for restraint in &workload.restraints {
            let labels = [
                ("workload", workload.job.workload.as_str()),
                ("step", restraint.step.as_str()),
                ("objective", restraint.objective.as_str()),
            ];
            text.sample(&labels, 1);
        }
    }
    text.family(
        "device_worker_governor_steps_total",
        Kind::Counter,
        "Steps that were taken for objectives of the device.",
    );
    for (step, count) in &report.governed.steps {
        text.sample(&[("step", step.as_str())], count);
    }
    text.family(
        "device_worker_workload_frozen_seconds_total",
        Kind::Counter,
        "Time for which a workload was frozen for objectives of the device.",
    );
    for (workload, frozen) in &report.governed.frozen {
        text.sample(&[("workload", workload.as_str())], frozen.as_secs_f64());
    }
}

fn scheduler(text: &mut Exposition, report: &SchedulerReport) {
    text.family("device_worker_workloads", Kind::Gauge, "Workloads by status.");
    for (status, count) in by_status(&report.workloads) {
        text.sample(&[("status", status)], count);
    }
    text.family(
        "device_worker_container_ready",
        Kind::Gauge,
        "Whether a container that has probes is ready (1) or not (0).",
    );
    for workload in &report.workloads {
        for container in &workload.health.0 {
            let labels = [
                ("workload", workload.job.workload.as_str()),
                ("container", container.container.as_str()),
            ];
            text.sample(&labels, u8::from(container.health == Health::Ready));
        }
    }
    containers(text, &report.workloads);
    text.family(
        "device_worker_update",
        Kind::Gauge,
        "How a specification stands that waits, has yet to prove itself or has failed to, always 1.",
    );
    for workload in &report.workloads {
        if let Some(update) = &workload.update {
            let state = match update.state {
                UpdateState::Waiting => "waiting",
                UpdateState::Proving => "proving",
                UpdateState::RolledBack => "rolled_back",
            };
            let workload = workload.job.workload.as_str();
            text.sample(&[("workload", workload), ("state", state)], 1);
        }
    }
    governed(text, report);
    text.family(
        "device_worker_last_failure_timestamp_seconds",
        Kind::Gauge,
        "When a run of a workload last failed or did not come about, in Unix time.",
    );
    for workload in &report.workloads {
        if let Some(failure) = &workload.last_failure {
            let workload = workload.job.workload.as_str();
            text.sample(&[("workload", workload)], failure.at.timestamp());
        }
    }
    text.family(
        "device_worker_restarts_total",
        Kind::Counter,
        "Runs of a workload that the agent started again.",
    );
    for workload in &report.workloads {
        text.sample(&[("workload", workload.job.workload.as_str())], workload.job.restarts);
    }
    text.family(
        "device_worker_commands_total",
        Kind::Counter,
        "Commands to executors: pull, start, limit, freeze, thaw, stop, suspend, halt.",
    );
    for ((executor, action), count) in &report.commands {
        text.sample(&[("executor", executor.as_str()), ("action", action)], count);
    }
    text.family(
        "device_worker_command_failures_total",
        Kind::Counter,
        "Commands that failed, by cause.",
    );
    for ((executor, cause), count) in &report.failures {
        text.sample(&[("executor", executor.as_str()), ("cause", cause)], count);
    }
    text.family(
        "device_worker_reaction_seconds",
        Kind::Histogram,
        "Time from a post to a command that it led to at once.",
    );
    text.histogram(&report.reactions);
}

fn containers(text: &mut Exposition, workloads: &[WorkloadReport]) {
    text.family("device_worker_container_info", Kind::Gauge, "What a container runs, always 1.");
    for workload in workloads {
        for container in &workload.containers {
            let labels = [
                ("workload", workload.job.workload.as_str()),
                ("container", container.name.as_str()),
                ("image", container.image.as_str()),
                ("digest", container.digest.as_deref().unwrap_or_default()),
            ];
            text.sample(&labels, 1);
        }
    }
}

fn evaluator(text: &mut Exposition, report: &EvaluatorReport) {
    text.family(
        "device_worker_condition",
        Kind::Gauge,
        "Whether a condition of a profile is true (1) or not (0).",
    );
    for it in &report.conditions {
        let labels = [("profile", it.profile.as_str()), ("condition", it.condition.as_str())];
        text.sample(&labels, u8::from(it.verdict.is_true()));
    }
    text.family("device_worker_metric", Kind::Gauge, "Last posted value of a device metric.");
    for metric in report.metrics.iter().filter(|metric| !metric.stale) {
        let unit = metric.unit.as_deref().unwrap_or_default();
        text.sample(&[("name", &metric.name), ("unit", unit)], metric.value);
    }
    text.family(
        "device_worker_metric_age_seconds",
        Kind::Gauge,
        "Time since a device metric was posted.",
    );
    for metric in &report.metrics {
        text.sample(&[("name", &metric.name)], metric.age.as_secs_f64());
    }
    text.family(
        "device_worker_metric_samples_total",
        Kind::Counter,
        "Samples that the profile evaluator took.",
    );
    text.sample(&[], report.samples_taken);
}

fn by_status(workloads: &[WorkloadReport]) -> BTreeMap<&'static str, usize> {
    let all = [
        WorkloadStatus::Deploying,
        WorkloadStatus::Running,
        WorkloadStatus::Crashed,
        WorkloadStatus::Stopped,
    ];
    let mut counts: BTreeMap<_, _> = all.map(|status| (status.as_str(), 0)).into();
    for workload in workloads {
        *counts.entry(workload.job.status.as_str()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
