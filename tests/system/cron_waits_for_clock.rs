//! Cron on a clock that runs and may be wrong: it waits until something speaks for it.

use std::sync::Arc;
use std::time::Duration;

use actors::scheduler::Written;
use actors::testing::workloads::workload;
use actors::workload::{EventReason, Workload};
use chrono::TimeDelta;

use crate::rig::{Rig, configuration, in_virtual_time};

const MINUTE: Duration = Duration::from_secs(60);
/// The time that systemd was built, and that the clock has after a boot without a battery.
const BUILT: &str = "2026-02-03T04:05:10Z";

fn job() -> Arc<Workload> {
    workload("job").cron("* * * * *").build()
}

/// Boots a device whose clock runs by some time of before.
async fn boot(job: &Arc<Workload>, newest: Option<Written>) -> Rig {
    let rig = Rig::start(configuration(&[job], &[]));
    rig.until("the first run", |rig| rig.plays() == 1).await;
    rig.witness.boot(newest);
    rig.reboot(BUILT).await
}

async fn reason(rig: &Rig, job: &Arc<Workload>) -> String {
    rig.report(job).await.and_then(|report| report.reason).unwrap_or_default()
}

fn written(at: &str) -> Option<Written> {
    Some(Written { at: at.parse().expect("a time"), what: "/state/current".to_owned() })
}

#[test]
fn cron_waits_for_the_time_service_and_says_so_in_status_and_heartbeat() {
    in_virtual_time(async {
        let job = job();
        let rig = boot(&job, None).await;
        let why =
            "waits until the device's clock is synchronised, or the device has been up for 300s";
        rig.until_heartbeat("an event says what cron waits for", |heartbeat| {
            let mut events = heartbeat.events.iter();
            events
                .any(|event| event.reason == EventReason::CronWaitsForClock && event.message == why)
        })
        .await;
        tokio::time::sleep(MINUTE * 3).await;
        assert_eq!((rig.plays(), reason(&rig, &job).await), (0, why.to_owned()));
        let waits = rig.report(&job).await.expect("it is known");
        assert_eq!(waits.next_start, None, "it is not known when");

        rig.clock.step(TimeDelta::days(120));
        rig.witness.synchronize();
        let waited = rig.until("the next tick runs", |rig| rig.plays() == 1).await;
        assert!(waited <= MINUTE * 2, "{waited:?}");
    });
}

#[test]
fn device_that_never_gets_a_time_service_runs_its_cron_after_the_grace_period() {
    in_virtual_time(async {
        let rig = boot(&job(), written("2026-02-01T00:00:00Z")).await;
        let waited = rig.until("the first run", |rig| rig.plays() == 1).await;
        assert!((MINUTE * 5..MINUTE * 7).contains(&waited), "{waited:?}");
    });
}

#[test]
fn clock_that_is_behind_the_disk_is_not_followed_until_it_is_set() {
    in_virtual_time(async {
        let job = job();
        let rig = boot(&job, written("2026-05-01T00:00:00Z")).await;
        tokio::time::sleep(MINUTE * 60 * 24).await;
        let said = reason(&rig, &job).await;
        assert!(said.contains("earlier than 2026-05-01T00:00:00Z, when /state/current"), "{said}");
        assert_eq!(rig.plays(), 0);

        // Set by hand, where there is no time service.
        rig.clock.step(TimeDelta::days(120));
        let waited = rig.until("the next tick runs", |rig| rig.plays() == 1).await;
        assert!(waited <= MINUTE * 2, "{waited:?}");
    });
}

#[test]
fn disk_that_does_not_say_what_was_written_last_keeps_cron_waiting_and_nothing_else() {
    in_virtual_time(async {
        let (job, web) = (job(), workload("web").build());
        let rig = Rig::start(configuration(&[&job, &web], &[]));
        rig.until("both run", |rig| rig.plays() == 2).await;
        rig.witness.be_silent();
        let rig = rig.reboot(BUILT).await;
        rig.until_running(&web).await;
        tokio::time::sleep(MINUTE * 30).await;
        assert_eq!(rig.plays(), 1);
        rig.witness.boot(None);
        rig.witness.synchronize();
        rig.until("the next tick runs", |rig| rig.plays() == 2).await;
    });
}

#[test]
fn job_of_every_minute_runs_on_when_the_clock_is_put_back_by_a_day() {
    in_virtual_time(async {
        let rig = Rig::start(configuration(&[&job()], &[]));
        let ends = async |rig: &Rig, runs: usize| {
            let waited = rig.until("a run", |rig| rig.plays() == runs).await;
            rig.podman.end_containers(job().id.as_str(), 0);
            waited
        };
        ends(&rig, 1).await;
        ends(&rig, 2).await;
        rig.clock.step(-TimeDelta::days(1));
        for runs in 3..8 {
            let waited = ends(&rig, runs).await;
            assert!(waited <= MINUTE * 2, "{runs}: {waited:?}");
        }
    });
}
