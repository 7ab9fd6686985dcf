//! Pods that end, vanish or do not start, and what comes after.

use super::*;
use crate::scheduler::report::stats::Stats;

#[test]
fn ended_pod_restarts_after_the_retry_delay() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.end("web", 3);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Crashed);
    assert_eq!(report.reason.unwrap(), "container main ended with code 3");
    assert!(report.next_start.is_some());
    world.pass(RETRY - SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["20s start web"], "the image is known to be there");
    assert_eq!(world.report("web").restarts, 1);
}

#[test]
fn the_last_failure_is_known_when_the_workload_runs_again_and_after_a_restart_of_the_scheduler() {
    let mut world = World::new();
    let last_failure = |world: &World| {
        let report = world.jobs.details(&mut Stats::default(), world.now).workloads.remove(0);
        report.last_failure.map(|it| (it.at, it.message))
    };
    world.configure(&[workload("web").build()]);
    assert_eq!(last_failure(&world), None);
    let at = world.now.wall;
    world.end("web", 3);
    world.pass(MINUTE);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    let expected = Some((at, "container main ended with code 3".to_owned()));
    assert_eq!(last_failure(&world), expected);
    world.jobs.reset();
    world.tell_again();
    world.run();
    assert_eq!(last_failure(&world), expected);
}

#[test]
fn a_pod_whose_start_was_not_seen_to_end_is_started_again_and_not_replaced() {
    let mut world = World::new();
    let web = workload("web").build();
    world.fail("start web", &[CommandError::Unavailable { message: "cut".to_owned() }]);
    world.configure(std::slice::from_ref(&web));
    let message = "its lifecycle.postStart was not seen to end".to_owned();
    world.put(ROOTFUL, &web, CurrentState::Incomplete { message });
    world.observe(ROOTFUL);
    assert_eq!(world.status("web"), WorkloadStatus::Deploying);
    world.log();
    world.events();
    world.pass(MINUTE);
    assert_eq!(world.log(), ["1s start web"]);
    assert_eq!(world.events(), ["WorkloadStarted"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
}

#[test]
fn restart_policy_decides_whether() {
    for (policy, exit_code, restarts) in [
        (RestartPolicy::Always, 0, true),
        (RestartPolicy::Always, 1, true),
        (RestartPolicy::OnFailure, 0, false),
        (RestartPolicy::OnFailure, 1, true),
        (RestartPolicy::Never, 0, false),
        (RestartPolicy::Never, 1, false),
    ] {
        let mut world = World::new();
        world.configure(&[workload("web").restarts(policy).build()]);
        world.end("web", exit_code);
        let status = if restarts { WorkloadStatus::Crashed } else { WorkloadStatus::Stopped };
        assert_eq!(world.status("web"), status, "{policy:?} {exit_code}");
        world.pass(MINUTE);
        assert_eq!(!world.running().is_empty(), restarts, "{policy:?} {exit_code}");
    }
}

#[test]
fn degraded_pod_is_restarted_whole_after_the_delay() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.change("web", CurrentState::Degraded { ended: vec![ended(1)] });
    assert_eq!(world.status("web"), WorkloadStatus::Crashed);
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s stop web", "20s start web"]);
}

#[test]
fn degraded_pod_that_shall_not_repeat_is_left_alone() {
    for (policy, exit_code) in
        [(RestartPolicy::OnFailure, 0), (RestartPolicy::Never, 0), (RestartPolicy::Never, 1)]
    {
        let mut world = World::new();
        world.configure(&[workload("web").restarts(policy).build()]);
        world.log();
        world.change("web", CurrentState::Degraded { ended: vec![ended(exit_code)] });
        world.pass(10 * MINUTE);
        assert!(world.log().is_empty(), "{policy:?} {exit_code}");
    }
}

#[test]
fn pod_whose_containers_end_one_by_one_is_judged_by_all_of_them() {
    for (first, last, status) in [(0, 1, WorkloadStatus::Crashed), (0, 0, WorkloadStatus::Stopped)]
    {
        let mut world = World::new();
        world.configure(&[workload("web").restarts(RestartPolicy::OnFailure).build()]);
        world.change("web", CurrentState::Degraded { ended: vec![ended(first)] });
        let all = vec![ended(first), ended(last)];
        world.change("web", CurrentState::Exited { ended: all });
        assert_eq!(world.status("web"), status, "{first} then {last}");
    }
}

#[test]
fn failed_pulls_grow_the_delay_like_failed_runs() {
    let initial = Duration::from_secs(2);
    let retry = RetryPolicy::Exponential { initial, multiplier: 2.0, randomization: 0.0 };
    let mut world = World::new();
    world.fail("pull web", &vec![pull_error(); 3]);
    world.configure(&[workload("web").retries(retry).build()]);
    world.pass(MINUTE);
    let pulls = ["0s pull web", "2s pull web", "6s pull web", "14s pull web", "14s start web"];
    assert_eq!(world.log(), pulls);
}

#[test]
fn pod_that_vanished_comes_back() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.pods.clear();
    world.observe(ROOTFUL);
    world.run();
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s start web"]);
}

#[test]
fn runtime_that_is_gone_for_a_while_costs_no_healthy_pod() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.lose(ROOTFUL);
    world.pass(10 * MINUTE);
    world.observe(ROOTFUL);
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn leftover_of_an_earlier_boot_is_started_at_once() {
    let mut world = World::new();
    let web = workload("web").build();
    let message = "from an earlier boot".to_owned();
    world.put(ROOTFUL, &web, CurrentState::Incomplete { message });
    world.observe(ROOTFUL);
    world.configure(&[web]);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
}

#[test]
fn exponential_retry_grows_and_resets_after_health() {
    let retry = RetryPolicy::Exponential {
        initial: Duration::from_secs(2),
        multiplier: 2.0,
        randomization: 0.0,
    };
    let mut world = World::new();
    world.configure(&[workload("web").retries(retry).build()]);
    world.log();
    for (run, delay) in [2, 4, 8, 16].into_iter().enumerate() {
        world.end("web", 1);
        world.pass(Duration::from_secs(delay) - SECOND);
        assert!(world.running().is_empty(), "run {run} started too early");
        world.pass(SECOND);
        assert_eq!(world.running(), ["web"], "run {run} did not start");
    }
    world.pass(Duration::from_secs(33));
    world.end("web", 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.running(), ["web"], "the first delay again");
}

#[test]
fn failure_that_repeats_itself_is_reported_once() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    let mut fails = |code| {
        world.end("web", code);
        world.pass(RETRY);
        world.events().iter().filter(|it| **it == "WorkloadFailed").count()
    };
    assert_eq!([3, 3, 4, 3].map(&mut fails), [1, 0, 1, 1]);
}

#[test]
fn failed_start_counts_as_a_failed_run() {
    let mut world = World::new();
    let error = CommandError::Start { message: "exec: \"/nope\": not found".to_owned() };
    world.fail("start web", &[error]);
    world.configure(&[workload("web").build()]);
    assert_eq!(world.status("web"), WorkloadStatus::Deploying);
    assert!(world.report("web").reason.unwrap().contains("/nope"));
    world.log();
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s pull web", "20s start web"], "the image may have been removed");
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn runtime_failure_is_not_the_workloads_fault() {
    let mut world = World::new();
    let error = CommandError::Unavailable { message: "timed out".to_owned() };
    world.fail("start web", &[error, CommandError::Abandoned]);
    world.configure(&[workload("web").build()]);
    world.pass(2 * SECOND);
    assert_eq!(world.log(), ["0s pull web", "0s start web", "1s start web"]);
    world.pass(SECOND);
    assert_eq!(world.log(), ["3s start web"], "the wait doubles");
}

#[test]
fn start_that_was_given_up_is_not_reported_as_running() {
    for error in
        [CommandError::Abandoned, CommandError::Unavailable { message: "timed out".to_owned() }]
    {
        let mut world = World::new();
        world.fail("start web", &[error]);
        world.configure(&[workload("web").build()]);
        assert_eq!(world.status("web"), WorkloadStatus::Deploying);
        world.pass(2 * SECOND);
        assert_eq!(world.status("web"), WorkloadStatus::Running);
    }
}

#[test]
fn pod_that_does_not_stop_is_tried_again_with_growing_waits() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    let error = CommandError::Stop { message: "device busy".to_owned() };
    world.fail("stop web", &[error.clone(), error.clone(), error]);
    world.configure(&[]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["0s stop web", "1s stop web", "3s stop web", "7s stop web"]);
    assert_eq!(world.events().iter().filter(|reason| **reason == "StopFailed").count(), 1);
}

#[test]
fn pod_that_fails_to_stop_in_another_way_is_warned_of_again() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    let [busy, denied] = ["device busy", "permission denied"]
        .map(|message| CommandError::Stop { message: message.to_owned() });
    world.fail("stop web", &[busy.clone(), busy, denied.clone(), denied]);
    world.configure(&[]);
    world.pass(MINUTE);
    assert_eq!(world.events().iter().filter(|reason| **reason == "StopFailed").count(), 2);
}

#[test]
fn shorter_retry_shortens_the_wait_under_way() {
    let of = |seconds| {
        let retry = RetryPolicy::Constant { period: Duration::from_secs(seconds) };
        workload("web").retries(retry).build()
    };
    let mut world = World::new();
    world.configure(&[of(24 * 60 * 60)]);
    world.end("web", 1);
    world.configure(&[of(5)]);
    world.pass(5 * SECOND);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn longer_retry_does_not_lengthen_the_wait_under_way() {
    let of = |seconds| {
        let retry = RetryPolicy::Constant { period: Duration::from_secs(seconds) };
        workload("web").retries(retry).build()
    };
    let mut world = World::new();
    world.configure(&[of(5)]);
    world.end("web", 1);
    world.configure(&[of(24 * 60 * 60)]);
    world.pass(5 * SECOND);
    assert_eq!(world.running(), ["web"]);
}
