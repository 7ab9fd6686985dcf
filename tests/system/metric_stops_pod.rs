//! A posted metric, or one that became stale, stops and starts pods at that very moment.

use std::time::Duration;

use actors::testing::workloads::workload;
use actors::workload::WorkloadStatus;

use crate::rig::{Rig, configuration, in_virtual_time, profile};

const TTL: Duration = Duration::from_secs(10);
/// Timers go by whole milliseconds.
const TICK: Duration = Duration::from_millis(2);

#[test]
fn posted_metric_stops_the_pod_without_a_timer_in_between() {
    in_virtual_time(async {
        let web = workload("web").profile("load", &["calm"]).build();
        let rig = Rig::start(configuration(&[&web], &[profile("load", "calm", "cpu < 50%")]));
        rig.until_profiles_are_known().await;
        rig.post("cpu", 20.0).await;
        rig.until_running(&web).await;

        rig.post("cpu", 90.0).await;
        assert!(rig.at_once(|rig| rig.podman.count("stop_container") == 1).await);
        rig.until_reported(&web, WorkloadStatus::Stopped).await;
        let report = rig.report(&web).await.unwrap();
        assert_eq!(report.reason.as_deref(), Some("profile load: calm is false"));

        // A start prepares volumes on the disk, in another thread; virtual time waits for that.
        rig.post("cpu", 30.0).await;
        tokio::time::sleep(TICK).await;
        assert_eq!(rig.plays(), 2, "{:?}", rig.podman.calls());
    });
}

#[test]
fn stale_metric_starts_a_workload_behind_nil_at_that_moment() {
    for (default_ttl, own_ttl) in [(Some(TTL), None), (None, Some(TTL)), (Some(TTL * 9), Some(TTL))]
    {
        in_virtual_time(async move {
            let web = workload("web").profile("idle", &["off"]).build();
            let wanted = configuration(&[&web], &[profile("idle", "off", "x == nil")]);
            let rig = Rig::start_with_ttl(wanted, default_ttl);
            rig.until_running(&web).await;
            rig.post_for("x", 1.0, own_ttl).await;
            assert!(rig.at_once(|rig| rig.podman.count("stop_container") == 1).await);

            tokio::time::sleep(TTL - TICK).await;
            assert_eq!(rig.plays(), 1);
            tokio::time::sleep(TICK * 2).await;
            assert_eq!(rig.plays(), 2);
        });
    }
}

#[test]
fn condition_with_for_stops_the_pod_when_its_time_is_over_though_nothing_is_posted() {
    in_virtual_time(async {
        let web = workload("web").profile("load", &["calm"]).build();
        let calm = profile("load", "calm", "cpu < 50% for 30s");
        let rig = Rig::start(configuration(&[&web], &[calm]));
        rig.post("cpu", 20.0).await;
        let took = rig.until("it runs", |rig| rig.plays() == 1).await;
        assert!(took >= Duration::from_secs(30), "{took:?}");
        rig.until_running(&web).await;
        rig.post("cpu", 90.0).await;
        assert!(rig.at_once(|rig| rig.podman.count("stop_container") == 1).await);
    });
}

#[test]
fn status_explains_a_condition_by_its_values() {
    in_virtual_time(async {
        let rig = Rig::start(configuration(&[], &[profile("load", "calm", "cpu < 50%")]));
        rig.until_profiles_are_known().await;
        let explained = |report: actors::messages::EvaluatorReport| {
            report.conditions.into_iter().map(|it| it.explanation).collect::<Vec<_>>()
        };
        let never = ["cpu < 50% is unknown: never posted"];
        assert_eq!(explained(rig.conditions().await), never);
        rig.post("cpu", 90.0).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let posted =
            ["cpu < 50% is false: cpu = 90 without a unit, compared with 50, posted 4 s ago"];
        assert_eq!(explained(rig.conditions().await), posted);
    });
}

#[test]
fn verdict_becomes_a_command_in_the_moment_of_the_post() {
    in_virtual_time(async {
        let web = workload("web").profile("load", &["calm"]).build();
        let wanted = configuration(&[&web], &[profile("load", "calm", "cpu < 50%")]);
        let (rig, commands) = Rig::start_watched(wanted);
        // Both sides are known by now: what the profile says, and what runs.
        tokio::time::sleep(TTL).await;
        assert!(commands.take().is_empty(), "nothing runs while cpu was never posted");
        rig.post("cpu", 20.0).await;
        let mut sent = Vec::new();
        let mut is_commanded = |what: &str| {
            sent.extend(commands.take().iter().map(|command| command.action.as_str()));
            sent.contains(&what)
        };
        assert!(rig.at_once(|_| is_commanded("pull")).await);
        rig.until_running(&web).await;
        tokio::time::sleep(TTL).await;
        rig.post("cpu", 90.0).await;
        assert!(rig.at_once(|_| is_commanded("stop")).await);
    });
}
