//! The evidence of a failure: what a failed run wrote last, kept before its pod is removed.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::messages::Evidence;
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::disk::kept_logs::{KeptLog, KeptRun};
use crate::podman_executor::libpod::api::PodmanApi as _;
use crate::podman_executor::libpod::types::{ContainerRow, container_name};
use crate::podman_executor::pod_state::{Phase, phase, workload_name};
use crate::workload::WorkloadId;

/// What a removal is held up by for the logs, at most.
const TIME: Duration = Duration::from_secs(2);
/// The most that is kept of one container's log, in bytes.
const MAX_LOG: usize = 64 * 1024;
/// The most containers whose logs are kept of one pod.
const MAX_CONTAINERS: usize = 32;
/// Lines of one container in an event.
const REPORTED_LINES: usize = 5;
/// The longest text of all lines in an event, in characters.
const MAX_REPORTED_TEXT: usize = 900;
/// The most containers whose lines an event has.
const MAX_REPORTED: usize = 3;

/// Keeps the ends of the logs of the pod `id` if its run has failed: soon the pod is removed, and its
/// logs with it. `rows` are all its containers, before the agent has stopped any. Returns the last lines
/// if they are to be reported. Never fails: a pod is removed without evidence rather than not at all.
pub(crate) async fn keep_evidence(
    context: &PodmanContext,
    id: &WorkloadId,
    rows: &[ContainerRow],
    evidence: Evidence,
) -> Option<String> {
    let is_asked_for = match evidence {
        Evidence::OfFailure => context.keeps_logs() && has_failed(rows),
        Evidence::Kept => context.keeps_logs(),
        Evidence::Reported => true,
    };
    if !is_asked_for {
        return None;
    }
    let first = rows.first()?;
    let mut last_lines = None;
    let keeping = async {
        let logs = rows.iter().take(MAX_CONTAINERS).map(|row| log_of(context, row));
        let containers: Vec<_> = join_all(logs).await.into_iter().flatten().collect();
        if containers.is_empty() {
            return Err("podman gives none of them".to_owned());
        }
        if evidence == Evidence::Reported {
            last_lines = end_of(&containers);
        }
        if !context.keeps_logs() {
            return Ok(());
        }
        let kept_at = context.clock.now().wall;
        let workload = workload_name(&first.labels, id.as_str()).to_string();
        let id = id.to_string();
        context.keep_logs(KeptRun { workload, id, kept_at, containers }).await
    };
    let kept = timeout(TIME, keeping).await;
    let kept = kept.unwrap_or_else(|_| Err(format!("it took longer than {} s", TIME.as_secs())));
    if let Err(error) = kept {
        warn!(job_id = id.as_str(), error, "logs of a failed run were not kept");
    }
    last_lines
}

/// Returns the last lines of the containers that ended with a failure; where none did, those of all.
fn end_of(containers: &[KeptLog]) -> Option<String> {
    let failed = |log: &&KeptLog| log.exit_code.is_some_and(|code| code != 0);
    let has_failed = containers.iter().any(|log| failed(&log));
    let logs = containers.iter().filter(|log| !has_failed || failed(log));
    let ends: Vec<_> = logs.filter_map(|log| Some((&log.name, last_lines(&log.log)?))).collect();
    let ends = &ends[..ends.len().min(MAX_REPORTED)];
    // An event has so much room, and what was written last is worth most.
    let lines: usize = ends.iter().map(|(_, lines)| lines.len()).sum();
    let longest = MAX_REPORTED_TEXT / lines.max(1);
    let cut = |line: &&str| line.chars().take(longest).collect::<String>();
    let shown = |(name, lines): &(&String, Vec<&str>)| {
        format!("{name}: {}", lines.iter().map(cut).collect::<Vec<_>>().join(" | "))
    };
    (!ends.is_empty()).then(|| ends.iter().map(shown).collect::<Vec<_>>().join("; "))
}

/// Returns the last lines of a log that are not blank, without the times before them; `None` if there
/// are none.
fn last_lines(log: &str) -> Option<Vec<&str>> {
    let words = |line| str::split_once(line, ' ').map(|(_time, words)| words.trim());
    let lines = log.lines().rev().filter_map(words).filter(|words| !words.is_empty());
    let mut lines: Vec<_> = lines.take(REPORTED_LINES).collect();
    lines.reverse();
    (!lines.is_empty()).then_some(lines)
}

/// Returns whether the containers of a pod say that its run failed. One that was killed for want of memory
/// has an exit code, too.
fn has_failed(rows: &[ContainerRow]) -> bool {
    rows.iter().any(|row| phase(row) == Phase::Ended && row.exit_code != 0)
}

async fn log_of(context: &PodmanContext, row: &ContainerRow) -> Option<KeptLog> {
    let name = container_name(row);
    match context.api.log_end(&row.id, MAX_LOG).await {
        Ok(log) => Some(KeptLog {
            name: name.to_owned(),
            exit_code: (phase(row) == Phase::Ended).then_some(row.exit_code),
            log: String::from_utf8_lossy(&log).into_owned(),
        }),
        Err(error) => {
            debug!(container = name, error = error.chain(), "container's log was not read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_last_lines_of_what_failed() {
        let log = |name: &str, exit_code, lines: &[&str]| KeptLog {
            name: name.to_owned(),
            exit_code,
            log: lines.iter().map(|line| format!("2026-01-01T00:00:00Z {line}\n")).collect(),
        };
        let long = "x".repeat(1_000);
        let cut = format!("app: {}", "x".repeat(900));
        for (containers, expected) in [
            (vec![], None),
            (vec![log("app", Some(1), &[])], None),
            (vec![log("app", Some(1), &["", " "])], None),
            (vec![log("app", Some(1), &["no such table: t"])], Some("app: no such table: t")),
            (
                vec![log("app", Some(1), &["1", "2", "3", "", "4", "5", "6"])],
                Some("app: 2 | 3 | 4 | 5 | 6"),
            ),
            (
                vec![
                    log("app", Some(1), &["a"]),
                    log("log", Some(0), &["b"]),
                    log("x", None, &["c"]),
                ],
                Some("app: a"),
            ),
            (vec![log("app", None, &["a"]), log("log", Some(0), &["b"])], Some("app: a; log: b")),
            (vec![log("app", Some(1), &[&long])], Some(cut.as_str())),
        ] {
            assert_eq!(end_of(&containers).as_deref(), expected);
        }
    }

    #[test]
    fn a_run_has_failed_when_a_container_ended_with_a_failure() {
        for (containers, expected) in [
            (&[][..], false),
            (&[("running", 0)], false),
            (&[("exited", 0), ("running", 0)], false),
            (&[("created", 127)], false),
            (&[("exited", 1)], true),
            (&[("running", 0), ("stopped", 137)], true),
        ] {
            let rows = containers.iter().map(|(state, exit_code)| ContainerRow {
                state: (*state).to_owned(),
                exit_code: *exit_code,
                ..ContainerRow::default()
            });
            assert_eq!(has_failed(&rows.collect::<Vec<_>>()), expected, "{containers:?}");
        }
    }
}
