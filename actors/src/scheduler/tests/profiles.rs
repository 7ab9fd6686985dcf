//! Verdicts start and stop workloads and set their limits.

use super::*;

#[test]
fn false_condition_stops_the_pod_and_true_starts_it() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    assert!(world.log().is_empty(), "no verdict yet");
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s stop web"]);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Stopped);
    assert_eq!(report.reason.unwrap(), "profile p: low is false");
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s start web"], "at once, and the image is known to be there");
}

#[test]
fn adopted_pod_is_kept_while_its_metrics_have_not_come_again() {
    let mut world = World::new();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.started_at = world.now;
    let web = workload("web").profile("p", &["low"]).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.verdict("low", Verdict::Unknown);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.pass(MINUTE);
    assert_eq!(world.log(), ["119s stop web"], "but not for ever");
}

#[test]
fn adopted_pod_is_stopped_at_once_when_a_metric_forbids_it() {
    let mut world = World::new();
    world.now.monotonic = Monotonic::from_start(SECOND);
    let web = workload("web").profile("p", &["low"]).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.running(), [""; 0]);
}

#[test]
fn flapping_profile_does_not_bypass_the_retry_delay() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.log();
    world.end("web", 1);
    world.pass(SECOND);
    world.verdict("low", Verdict::False);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["1s stop web"], "the ended pod is removed, none is started yet");
    world.pass(RETRY);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn verdict_that_names_another_profile_plans_nothing() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("q", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    assert!(world.log().is_empty());
    assert_eq!(world.report("web").reason.unwrap(), "the device does not define profile q");
}

#[test]
fn limit_comes_with_its_condition_and_goes_with_it() {
    let mut world = World::new();
    let limited = |workload: &mut Workload| {
        workload.profiles[0].conditions[0].cpu = Some(20_000);
    };
    let web = workload("web").profile("p", &["low", "any"]).with(limited).build();
    world.configure(&[web]);
    let verdicts = |low: Verdict| -> Verdicts {
        let conditions = [("low".into(), low), ("any".into(), Verdict::True)].into();
        [("p".into(), Arc::new(conditions))].into()
    };
    world.jobs.evaluate(verdicts(Verdict::False));
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.jobs.evaluate(verdicts(Verdict::True));
    world.run();
    assert_eq!(world.log(), ["0s limit web"], "the limit is brought to the running pod");
    assert_eq!(world.report("web").restarts, 0);
    world.jobs.evaluate(verdicts(Verdict::False));
    world.run();
    assert_eq!(world.log(), ["0s limit web"], "and lifted");
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn limit_that_cannot_be_applied_is_said_once_and_harms_nobody() {
    let mut world = World::new();
    let limited = |workload: &mut Workload| {
        workload.profiles[0].conditions[0].cpu = Some(20_000);
    };
    let web = workload("web").profile("p", &["low"]).with(limited).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.fail("limit web", &[CommandError::Unsupported { message: "cgroup v1".to_owned() }]);
    world.verdict("low", Verdict::True);
    world.configure(&[web]);
    world.pass(10 * MINUTE);
    assert_eq!(world.log(), ["0s limit web"]);
    assert_eq!(world.events(), ["LimitNotApplied"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
}

#[test]
fn profile_that_the_device_does_not_define_is_told_once() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("q", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.verdict("low", Verdict::False);
    assert_eq!(world.events(), ["ProfileUnknown"]);
}

#[test]
fn profile_that_comes_with_its_reference_stops_nothing() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.log();
    // The configuration arrives before the verdicts on its new profile.
    world.configure(&[workload("web").profile("p", &["high"]).build()]);
    assert!(world.log().is_empty());
    world.verdict("high", Verdict::True);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.verdict("high", Verdict::False);
    assert_eq!(world.log(), ["60s stop web"]);
}

#[test]
fn scheduler_that_was_reset_stops_nothing_for_want_of_verdicts() {
    let mut world = World::new();
    let web = workload("web").profile("p", &["low"]).build();
    world.configure(std::slice::from_ref(&web));
    world.verdict("low", Verdict::True);
    world.log();
    world.jobs.reset();
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
}
