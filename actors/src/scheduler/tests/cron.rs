//! Workloads that run by the clock.

use chrono::TimeDelta;

use super::*;
use crate::scheduler::cron::clock_trust::ClockTrust;

#[test]
fn cron_workload_runs_at_each_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").build()]);
    assert_eq!(world.status("job"), WorkloadStatus::Deploying);
    world.pass(29 * SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["30s pull job", "30s start job"]);
    world.end("job", 0);
    assert_eq!(world.status("job"), WorkloadStatus::Stopped);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["90s start job"], "the image is known to be there");
}

#[test]
fn cron_run_that_lasts_over_a_tick_skips_it() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").build()]);
    world.pass(100 * SECOND);
    assert_eq!(world.log(), ["30s pull job", "30s start job"]);
    assert!(world.events().contains(&"CronSkipped"));
    world.end("job", 0);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["150s start job"], "and runs at the next");
}

#[test]
fn cron_run_is_retried_between_ticks_only_on_failure() {
    for (policy, exit_code, runs) in [
        (RestartPolicy::Always, 1, 1),
        (RestartPolicy::OnFailure, 1, 2),
        (RestartPolicy::OnFailure, 0, 1),
        (RestartPolicy::Never, 1, 1),
    ] {
        let mut world = World::at("2026-11-23T10:59:30Z");
        world.configure(&[workload("job").cron("0 * * * *").restarts(policy).build()]);
        world.pass(31 * SECOND);
        world.end("job", exit_code);
        world.pass(MINUTE);
        let starts = world.log().iter().filter(|line| line.contains("start")).count();
        assert_eq!(starts, runs, "{policy:?} {exit_code}");
    }
}

#[test]
fn cron_run_needs_its_profile_at_the_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").profile("p", &["low"]).build()]);
    world.verdict("low", Verdict::False);
    world.pass(MINUTE);
    world.verdict("low", Verdict::True);
    world.pass(SECOND);
    assert!(world.log().is_empty(), "a missed tick is not made up");
    world.pass(MINUTE);
    assert_eq!(world.running(), ["job"]);
}

#[test]
fn cron_run_that_its_profile_ends_comes_back_with_the_next_tick_and_not_before() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.verdict("low", Verdict::True);
    world.configure(&[workload("job").cron("* * * * *").profile("p", &["low"]).build()]);
    world.pass(MINUTE);
    world.log();
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["60s stop job"]);
    world.verdict("low", Verdict::True);
    world.pass(29 * SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["90s start job"]);
}

#[test]
fn cron_that_cannot_be_read_never_runs_and_says_why() {
    let mut world = World::new();
    world.configure(&[workload("job").cron("61 * * * *").build()]);
    world.pass(100 * MINUTE);
    assert!(world.log().is_empty());
    assert!(world.report("job").reason.unwrap().contains("61 * * * *"));
    assert_eq!(world.events(), ["CronInvalid"]);
}

#[test]
fn workload_that_loses_its_cron_runs_though_the_last_tick_failed() {
    let mut world = World::at("2026-11-23T10:59:30Z");
    world.fail("pull job", &[pull_error()]);
    world.configure(&[workload("job").cron("0 * * * *").build()]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["30s pull job"]);
    world.configure(&[workload("job").build()]);
    assert_eq!(world.log(), ["60s pull job", "60s start job"]);
}

#[test]
fn cron_workload_whose_runs_never_start_says_why_the_last_one_did_not() {
    let mut world = World::at("2026-11-23T10:59:30Z");
    let start = || CommandError::Start { message: "a command is not in its image".to_owned() };
    world.fail("pull job", &[pull_error()]);
    world.fail("start job", &[start()]);
    world.configure(&[workload("job").cron("0 * * * *").build()]);
    let report = world.report("job");
    assert_eq!(report.status, WorkloadStatus::Deploying, "none was due yet");
    for (ticks, failure) in [(1, "no such image"), (2, "a command is not in its image")] {
        world.pass(60 * MINUTE);
        let report = world.report("job");
        assert_eq!(report.status, WorkloadStatus::Crashed, "after {ticks}");
        let reason = report.reason.unwrap();
        assert!(reason.contains(failure), "after {ticks}: {reason}");
        assert!(world.events().contains(&"WorkloadFailed"));
    }
    world.pass(60 * MINUTE);
    assert_eq!(world.status("job"), WorkloadStatus::Running);
    world.end("job", 0);
    assert_eq!(world.status("job"), WorkloadStatus::Stopped);
}

#[test]
fn cron_is_ignored_for_k8s_with_a_warning() {
    let mut world = World::new();
    world.observe(ExecutorKind::K8s);
    world.configure(&[workload("job").on(ExecutorKind::K8s).cron("0 0 * * *").build()]);
    assert_eq!(world.log(), ["0s pull job", "0s start job"]);
    assert!(world.events().contains(&"CronIgnored"));
}

#[test]
fn workload_that_moves_to_a_cluster_runs_there_without_its_cron() {
    let mut world = World::with_cluster();
    let job = || workload("job").cron("0 0 1 1 *");
    world.configure(&[job().build()]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.configure(&[job().on(ExecutorKind::K8s).build()]);
    assert_eq!(world.log(), ["60s pull job", "60s start job"]);
}

#[test]
fn tick_that_passed_while_the_agent_was_down_is_not_made_up() {
    let mut world = World::at("2026-11-23T10:59:30Z");
    let job = workload("job").cron("0 * * * *").build();
    world.configure(std::slice::from_ref(&job));
    world.now = world.now.after(MINUTE);
    world.jobs = World::deaf_jobs();
    world.observe(ROOTFUL);
    world.observe(ExecutorKind::PodmanRootless);
    world.configure(&[job]);
    world.pass(58 * MINUTE);
    assert!(world.log().is_empty());
    world.pass(2 * MINUTE);
    assert_eq!(world.running(), ["job"]);
}

#[test]
fn clock_that_jumps_over_a_tick_runs_it_within_a_minute() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("30 * * * *").build()]);
    world.now.wall += TimeDelta::hours(3);
    world.pass(MINUTE);
    assert_eq!(world.running(), ["job"], "once, although three ticks were passed");
    assert_eq!(world.log().len(), 2);
}

#[test]
fn clock_that_is_set_back_runs_no_time_of_day_twice() {
    let mut world = World::at("2026-11-23T10:29:30Z");
    world.configure(&[workload("job").cron("30 10,11 * * *").build()]);
    world.pass(MINUTE);
    world.end("job", 0);
    world.log();
    world.now.wall -= TimeDelta::minutes(20);
    world.pass(79 * MINUTE);
    assert!(world.log().is_empty(), "10:30 has run, 11:30 is still to come");
    world.pass(MINUTE);
    assert_eq!(world.log(), ["4830s start job"]);
}

#[test]
fn job_of_every_minute_runs_on_after_the_clock_was_set_back_by_a_day() {
    let mut world = World::at("2026-11-23T10:29:30Z");
    world.configure(&[workload("job").cron("* * * * *").build()]);
    world.pass(MINUTE);
    world.end("job", 0);
    world.log();
    world.now.wall -= TimeDelta::days(1);
    world.pass(2 * MINUTE);
    assert_eq!(world.log(), ["90s start job"]);
}

#[test]
fn cron_waits_for_a_clock_that_is_trusted_and_says_why_once() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").build(), workload("web").build()]);
    world.log();
    world.events();
    world.jobs.trust_clock(ClockTrust::Unknown);
    world.pass(5 * MINUTE);
    assert_eq!(world.events(), [""; 0], "it was not decided about yet");
    for why in ["waits for a time service", "waits for a time service", "waits for another"] {
        world.jobs.trust_clock(ClockTrust::Doubted(why.into()));
        world.pass(5 * MINUTE);
        assert_eq!(world.report("job").reason.as_deref(), Some(why));
    }
    assert_eq!(world.events(), ["CronWaitsForClock"; 2]);
    assert!(world.log().is_empty());
    assert_eq!(world.running(), ["web"], "the others need no clock");
    world.jobs.trust_clock(ClockTrust::Trusted);
    world.run();
    assert!(world.log().is_empty(), "none is made up");
    world.pass(MINUTE);
    assert_eq!(world.log(), ["1230s pull job", "1230s start job"]);
}

#[test]
fn clock_that_was_never_set_is_reported() {
    let mut world = World::at("1970-01-01T00:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").build()]);
    world.pass(5 * MINUTE);
    assert_eq!(world.events(), ["CronWaitsForClock"]);
    let reason = world.report("job").reason.unwrap();
    assert_eq!(reason, "waits until the device's clock is set");
}

#[test]
fn retry_waits_by_the_clock_that_nobody_sets() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.end("web", 1);
    world.now.wall += TimeDelta::days(365);
    world.pass(RETRY - SECOND);
    assert!(world.log().is_empty());
    world.now.wall -= TimeDelta::days(400);
    world.pass(SECOND);
    assert_eq!(world.log(), ["20s start web"]);
}

#[test]
fn clock_that_jumps_a_year_runs_no_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("30 * * * *").build()]);
    world.now.wall += TimeDelta::days(365);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.pass(30 * MINUTE);
    assert_eq!(world.log().len(), 2);
}

#[test]
fn cron_run_of_a_previous_life_is_adopted() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    let job = workload("job").cron("0 0 1 1 *").build();
    world.put(ROOTFUL, &job, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[job]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    assert_eq!(world.status("job"), WorkloadStatus::Running);
}

#[test]
fn cron_run_of_a_previous_life_ends_like_any_other() {
    for (policy, exit_code, event, runs_again) in [
        (RestartPolicy::Always, 3, "WorkloadFailed", false),
        (RestartPolicy::Always, 0, "WorkloadFinished", false),
        (RestartPolicy::OnFailure, 3, "WorkloadFailed", true),
    ] {
        let mut world = World::new();
        let job = workload("job").cron("0 0 1 1 *").restarts(policy).build();
        world.put(ROOTFUL, &job, CurrentState::Running);
        world.observe(ROOTFUL);
        world.configure(&[job]);
        world.end("job", exit_code);
        assert_eq!(world.events(), [event], "{policy:?} {exit_code}");
        world.pass(MINUTE);
        assert_eq!(world.running().len(), usize::from(runs_again), "{policy:?} {exit_code}");
    }
}

#[test]
fn cron_run_outlives_the_scheduler_that_started_it() {
    let mut world = World::at("2026-11-23T10:59:30Z");
    let job = workload("job").cron("0 * * * *").build();
    world.configure(std::slice::from_ref(&job));
    world.pass(MINUTE);
    world.events();
    world.jobs.reset();
    world.observe(ROOTFUL);
    world.configure(&[job]);
    world.end("job", 3);
    assert_eq!(world.events(), ["WorkloadFailed"]);
    let reason = world.report("job").reason.unwrap();
    assert_eq!(reason, "container main ended with code 3; waits for its next cron run");
}

#[test]
fn image_that_moves_is_asked_for_at_each_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").image("quay.io/a/b:latest").cron("* * * * *").build()]);
    world.pass(MINUTE);
    world.end("job", 0);
    world.pass(MINUTE);
    let log = ["30s pull job", "30s start job", "90s pull job", "90s start job"];
    assert_eq!(world.log(), log);
}
