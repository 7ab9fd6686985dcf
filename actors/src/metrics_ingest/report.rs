//! What the scrape says: Prometheus text from the answers of peers. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::messages::EvaluatorReport;
use crate::workload::{JobReport, WorkloadStatus};

/// Posts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Posts {
    /// Answered 2xx.
    pub(super) taken: u64,
    /// Answered otherwise.
    pub(super) refused: u64,
}

/// Returns the answer to `GET /metrics`, in the text format 0.0.4 of Prometheus.
pub(super) fn exposition(jobs: &[&JobReport], evaluator: &EvaluatorReport, posts: Posts) -> String {
    let mut text = Exposition::default();
    text.family("device_worker_metric", "gauge", "Last posted value of a device metric.");
    for metric in evaluator.metrics.iter().filter(|metric| !metric.stale) {
        let unit = metric.unit.as_deref().unwrap_or_default();
        text.sample(&[("name", &metric.name), ("unit", unit)], metric.value);
    }
    text.family(
        "device_worker_metric_age_seconds",
        "gauge",
        "Time since a device metric was posted.",
    );
    for metric in &evaluator.metrics {
        text.sample(&[("name", &metric.name)], metric.age.as_secs_f64());
    }
    text.family(
        "device_worker_condition",
        "gauge",
        "Whether a condition of a profile is true (1) or not (0).",
    );
    for report in &evaluator.conditions {
        let labels =
            [("profile", report.profile.as_str()), ("condition", report.condition.as_str())];
        text.sample(&labels, u8::from(report.verdict.is_true()));
    }
    text.family("device_worker_workloads", "gauge", "Workloads by status.");
    for (status, count) in by_status(jobs) {
        text.sample(&[("status", status)], count);
    }
    text.family(
        "device_worker_restarts",
        "gauge",
        "Runs of a workload that the agent started again since it started.",
    );
    for job in jobs {
        text.sample(&[("workload", job.workload.as_str())], job.restarts);
    }
    text.family(
        "device_worker_metric_posts_total",
        "counter",
        "Bodies posted to the agent by what became of them.",
    );
    text.sample(&[("result", "taken")], posts.taken);
    text.sample(&[("result", "refused")], posts.refused);
    text.family(
        "device_worker_metric_samples_total",
        "counter",
        "Samples that the profile evaluator took.",
    );
    text.sample(&[], evaluator.samples_taken);
    text.text
}

fn by_status(jobs: &[&JobReport]) -> BTreeMap<&'static str, usize> {
    let all = [
        WorkloadStatus::Deploying,
        WorkloadStatus::Running,
        WorkloadStatus::Crashed,
        WorkloadStatus::Stopped,
    ];
    let mut counts: BTreeMap<_, _> = all.map(|status| (status.as_str(), 0)).into();
    for job in jobs {
        *counts.entry(job.status.as_str()).or_default() += 1;
    }
    counts
}

/// Prometheus text under construction.
#[derive(Default)]
struct Exposition {
    family: &'static str,
    text: String,
}

impl Exposition {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let family = self.family;
        self.line(format_args!("{family}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Escapes a label's value as the text format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::messages::{ConditionReport, MetricReport};
    use crate::workload::Verdict;

    fn metric(name: &str, unit: Option<&str>, stale: bool) -> MetricReport {
        MetricReport {
            name: name.into(),
            value: 20.5,
            unit: unit.map(Into::into),
            age: Duration::from_millis(1500),
            stale,
        }
    }

    fn job(name: &str, status: WorkloadStatus) -> JobReport {
        JobReport {
            workload: name.into(),
            id: None,
            executor: None,
            status,
            reason: None,
            restarts: 3,
            next_start: None,
        }
    }

    #[test]
    fn the_scrape_is_sound_prometheus_text() {
        let evaluator = EvaluatorReport {
            conditions: vec![ConditionReport {
                profile: "day\n\"1\"".into(),
                condition: "a\\b".into(),
                expression: "x>1".into(),
                verdict: Verdict::True,
                explanation: String::new(),
            }],
            metrics: vec![metric("cpu", Some("%"), false), metric("old", None, true)],
            samples_taken: 9,
        };
        let posts = Posts { taken: 7, refused: 1 };
        let text = exposition(&[&job("web", WorkloadStatus::Running)], &evaluator, posts);
        assert_eq!(
            text,
            r#"# HELP device_worker_metric Last posted value of a device metric.
# TYPE device_worker_metric gauge
device_worker_metric{name="cpu",unit="%"} 20.5
# HELP device_worker_metric_age_seconds Time since a device metric was posted.
# TYPE device_worker_metric_age_seconds gauge
device_worker_metric_age_seconds{name="cpu"} 1.5
device_worker_metric_age_seconds{name="old"} 1.5
# HELP device_worker_condition Whether a condition of a profile is true (1) or not (0).
# TYPE device_worker_condition gauge
device_worker_condition{profile="day\n\"1\"",condition="a\\b"} 1
# HELP device_worker_workloads Workloads by status.
# TYPE device_worker_workloads gauge
device_worker_workloads{status="crashed"} 0
device_worker_workloads{status="deploying"} 0
device_worker_workloads{status="running"} 1
device_worker_workloads{status="stopped"} 0
# HELP device_worker_restarts Runs of a workload that the agent started again since it started.
# TYPE device_worker_restarts gauge
device_worker_restarts{workload="web"} 3
# HELP device_worker_metric_posts_total Bodies posted to the agent by what became of them.
# TYPE device_worker_metric_posts_total counter
device_worker_metric_posts_total{result="taken"} 7
device_worker_metric_posts_total{result="refused"} 1
# HELP device_worker_metric_samples_total Samples that the profile evaluator took.
# TYPE device_worker_metric_samples_total counter
device_worker_metric_samples_total{} 9
"#
        );
    }
}
