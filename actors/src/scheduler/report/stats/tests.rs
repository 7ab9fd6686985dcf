//! What is counted, and since when a status holds.

use super::*;

fn job(name: &str, status: WorkloadStatus) -> JobReport {
    JobReport {
        workload: name.into(),
        id: None,
        executor: None,
        status,
        reason: None,
        restarts: 0,
        next_start: None,
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[test]
fn a_status_counts_from_its_last_change_and_not_from_its_last_report() {
    let mut stats = Stats::default();
    let (running, stopped) = (WorkloadStatus::Running, WorkloadStatus::Stopped);
    let web = WorkloadName::from("web");
    for (second, status, since) in
        [(1, running, 1), (2, running, 1), (3, stopped, 3), (4, stopped, 3), (5, running, 5)]
    {
        stats.note([job("web", status)].iter(), at(second));
        assert_eq!(stats.since(&web), Some(at(since)), "at {second}");
    }
    stats.note([].iter(), at(6));
    assert_eq!(stats.since(&web), None);
}

#[test]
fn only_commands_that_a_post_led_to_count_as_reactions() {
    let mut stats = Stats::default();
    stats.sent(ExecutorKind::K8s, "stop", Some(Duration::from_millis(2)));
    stats.sent(ExecutorKind::K8s, "stop", None);
    assert_eq!(stats.commands, [((ExecutorKind::K8s, "stop"), 2)].into());
    assert_eq!(stats.reactions.total(), 1);
}
