//! Verdicts start and stop workloads and set their limits.

mod turns;

use super::*;
use crate::workload::{Profile, ProfileCondition};

/// Lets the first condition of a workload's first profile limit its CPU time.
fn limited(workload: &mut Workload) {
    workload.profiles[0].conditions[0].cpu = Some(20_000);
}

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
fn what_a_stop_that_failed_has_ended_runs_again_also_if_it_is_to_run_once() {
    let errors = [
        CommandError::Stop { message: "layer is in use".to_owned() },
        CommandError::Unavailable { message: "timed out".to_owned() },
    ];
    for error in errors {
        let mut world = World::new();
        let once = workload("web").restarts(RestartPolicy::Never).profile("p", &["low"]).build();
        world.configure(&[once]);
        world.verdict("low", Verdict::True);
        let verdicts = |verdict| -> Verdicts {
            [("p".into(), Arc::new([("low".into(), verdict)].into()))].into()
        };
        world.fail("stop web", &[error]);
        world.jobs.evaluate(verdicts(Verdict::False), Arc::default());
        world.plan();
        world.jobs.evaluate(verdicts(Verdict::True), Arc::default());
        let message = "the agent stopped it, and it could not be removed".to_owned();
        for pod in world.pods.values_mut() {
            pod.state = CurrentState::Incomplete { message: message.clone() };
        }
        world.answer();
        world.pass(MINUTE);
        assert_eq!(world.running(), ["web"]);
    }
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
    let web = workload("web").profile("p", &["low", "any"]).with(limited).build();
    world.configure(&[web]);
    let verdicts = |low: Verdict| -> Verdicts {
        let conditions = [("low".into(), low), ("any".into(), Verdict::True)].into();
        [("p".into(), Arc::new(conditions))].into()
    };
    world.jobs.evaluate(verdicts(Verdict::False), Arc::default());
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.jobs.evaluate(verdicts(Verdict::True), Arc::default());
    world.run();
    assert_eq!(world.log(), ["0s limit web"], "the limit is brought to the running pod");
    assert_eq!(world.report("web").restarts, 0);
    world.jobs.evaluate(verdicts(Verdict::False), Arc::default());
    world.run();
    assert_eq!(world.log(), ["0s limit web"], "and lifted");
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn limit_of_a_pod_that_outlives_its_removal_is_lifted_when_the_workload_comes_back_without() {
    let mut world = World::new();
    world.tell(&[workload("web").profile("p", &["low"]).with(limited).build()]);
    let verdicts = [("low".into(), Verdict::True)].into();
    world.jobs.evaluate([("p".into(), Arc::new(verdicts))].into(), Arc::default());
    world.plan();
    world.answer();
    world.plan();
    // The start is answered when nobody wants the pod any more, and the stop fails.
    world.tell(&[]);
    world.fail("stop web", &[CommandError::Stop { message: "it is stuck".to_owned() }]);
    world.run();
    assert!(world.limits.values().all(|limits| limits.cpu.is_some()) && !world.limits.is_empty());
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    assert_eq!(world.running(), ["web"]);
    assert!(world.limits.values().all(|limits| *limits == Limits::default()), "{:?}", world.log());
}

#[test]
fn limit_of_an_adopted_pod_is_lifted_when_the_configuration_drops_it_while_the_runtime_is_away() {
    let mut world = World::new();
    let web = workload("web").profile("p", &["low"]).with(limited).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.lose(ROOTFUL);
    world.configure(&[web]);
    world.verdict("low", Verdict::True);
    world.configure(&[workload("web").build()]);
    assert!(world.log().is_empty(), "podman does not answer");
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.log(), ["0s limit web"]);
    assert!(world.limits.values().all(|limits| *limits == Limits::default()));
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn limit_is_lifted_when_the_configuration_drops_it_and_the_scheduler_is_restarted_meanwhile() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).with(limited).build()]);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.lose(ROOTFUL);
    world.configure(&[]);
    world.jobs.reset();
    world.configure(&[workload("web").build()]);
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.log(), ["0s limit web"]);
    assert!(world.limits.values().all(|limits| *limits == Limits::default()));
}

#[test]
fn limit_that_cannot_be_applied_is_said_once_and_harms_nobody() {
    let mut world = World::new();
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
fn profile_that_the_device_does_not_define_is_reported_once() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("q", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.verdict("low", Verdict::False);
    assert_eq!(world.events(), ["ProfileUnknown"]);
}

/// Profile `p` with one condition.
fn profile(condition: &str, expression: &str) -> Arc<[Profile]> {
    let (name, expression) = (condition.into(), expression.to_owned());
    let conditions = vec![ProfileCondition { name, expression }];
    [Profile { name: "p".into(), conditions }].into()
}

impl World {
    fn configure_with(&mut self, workload: &Arc<Workload>, profiles: &Arc<[Profile]>) {
        let (workloads, profiles) = (vec![Arc::clone(workload)], Arc::clone(profiles));
        let configured =
            WorkloadsConfigured { workloads, profiles, ..WorkloadsConfigured::default() };
        self.jobs.configure(&configured, self.now);
        self.run();
    }

    fn verdict_on(&mut self, profiles: &Arc<[Profile]>, verdict: Verdict) {
        let name = profiles[0].conditions[0].name.clone();
        let verdicts = [("p".into(), Arc::new([(name, verdict)].into()))].into();
        self.jobs.evaluate(verdicts, Arc::clone(profiles));
        self.run();
    }
}

#[test]
fn profile_that_comes_with_its_reference_stops_nothing() {
    let (old, new) = (profile("low", "load < 1"), profile("high", "load > 1"));
    let mut world = World::new();
    world.configure_with(&workload("web").profile("p", &["low"]).build(), &old);
    world.verdict_on(&old, Verdict::True);
    world.log();
    // The configuration arrives before the verdicts on its new profile.
    world.configure_with(&workload("web").profile("p", &["high"]).build(), &new);
    assert!(world.log().is_empty());
    world.verdict_on(&new, Verdict::True);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.verdict_on(&new, Verdict::False);
    assert_eq!(world.log(), ["60s stop web"]);
}

#[test]
fn verdicts_on_profiles_of_an_older_configuration_start_and_stop_nothing() {
    let web = workload("web").profile("p", &["low"]).build();
    let (old, new) = (profile("low", "load < 1"), profile("low", "load < 2"));
    for (before, after) in [(Verdict::False, Verdict::True), (Verdict::True, Verdict::False)] {
        let mut world = World::new();
        world.configure_with(&web, &old);
        world.verdict_on(&old, before);
        let running = world.running().len();
        world.log();
        world.configure_with(&web, &new);
        // A post that the evaluator took before it heard of the new profiles.
        world.verdict_on(&old, after);
        world.pass(MINUTE);
        assert!(world.log().is_empty());
        world.verdict_on(&new, Verdict::True);
        assert_eq!(world.running(), ["web"]);
        world.verdict_on(&new, Verdict::False);
        assert!(world.running().is_empty(), "{running}");
    }
}

#[test]
fn pod_that_ends_while_its_profile_is_not_judged_is_neither_removed_nor_started() {
    let web = workload("web").profile("p", &["low"]).build();
    let (old, new) = (profile("low", "load < 1"), profile("low", "load < 2"));
    let mut world = World::new();
    world.configure_with(&web, &old);
    world.verdict_on(&old, Verdict::True);
    world.log();
    world.configure_with(&web, &new);
    world.end("web", 1);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.verdict_on(&new, Verdict::True);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn limit_of_an_older_definition_is_not_lifted_before_the_new_one_is_judged() {
    let (old, new) = (profile("low", "load < 1"), profile("low", "load < 2"));
    let web = workload("web").profile("p", &["low"]).with(limited).build();
    let mut world = World::new();
    world.configure_with(&web, &old);
    world.verdict_on(&old, Verdict::True);
    world.log();
    world.configure_with(&web, &new);
    world.verdict_on(&new, Verdict::True);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn tick_that_comes_before_its_verdicts_waits_for_them() {
    let job = workload("job").cron("* * * * *").profile("p", &["low"]).build();
    let (old, new) = (profile("low", "load < 1"), profile("low", "load < 2"));
    let mut world = World::at("2026-11-23T10:00:59Z");
    world.configure_with(&job, &old);
    world.verdict_on(&old, Verdict::True);
    world.configure_with(&job, &new);
    world.pass(SECOND);
    assert!(world.log().is_empty());
    world.verdict_on(&new, Verdict::True);
    assert_eq!(world.running(), ["job"]);
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

#[test]
fn changed_pod_with_a_new_profile_is_pulled_before_the_old_one_stops() {
    let (old, new) = (profile("low", "load < 1"), profile("high", "load > 1"));
    let mut world = World::new();
    world.configure_with(&workload("web").profile("p", &["low"]).build(), &old);
    world.verdict_on(&old, Verdict::True);
    world.log();
    let second = workload("web").image("localhost/app:2").profile("p", &["high"]).build();
    world.configure_with(&second, &new);
    assert!(world.log().is_empty(), "the verdicts on the new condition are still to come");
    world.verdict_on(&new, Verdict::True);
    assert_eq!(world.log(), ["0s pull web", "0s stop web", "0s start web"]);
}

#[test]
fn older_pod_is_kept_too_while_the_metrics_have_not_come_again() {
    let mut world = World::new();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.started_at = world.now;
    let of = |image| workload("web").image(image).profile("p", &["low"]).build();
    world.put(ROOTFUL, &of("localhost/app:1"), CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[of("localhost/app:2")]);
    world.verdict("low", Verdict::Unknown);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["60s pull web", "60s stop web", "60s start web"]);
}

/// Returns a workload that `any` of profile `p` lets run and `low` limits.
fn limited_by_low() -> Arc<Workload> {
    let limit = |workload: &mut Workload| workload.profiles[0].conditions[1].cpu = Some(20_000);
    workload("web").profile("p", &["any", "low"]).with(limit).build()
}

impl World {
    /// Tells the verdicts on `any`, which is true, and `low`.
    fn load(&mut self, low: Verdict) {
        let conditions = [("low".into(), low), ("any".into(), Verdict::True)].into();
        self.jobs.evaluate([("p".into(), Arc::new(conditions))].into(), Arc::default());
        self.run();
    }
}

#[test]
fn limit_whose_outcome_is_unknown_is_written_again() {
    for (error, first, second) in [
        (CommandError::Abandoned, Verdict::True, Verdict::False),
        (CommandError::Unavailable { message: "hangs".to_owned() }, Verdict::False, Verdict::True),
    ] {
        let mut world = World::new();
        world.configure(&[limited_by_low()]);
        world.load(second.clone());
        world.log();
        world.fail("limit web", &[error]);
        world.load(first);
        world.load(second);
        world.pass(MINUTE);
        assert_eq!(world.log(), ["0s limit web", "1s limit web"]);
    }
}

#[test]
fn limits_of_a_start_whose_outcome_is_unknown_are_written_again() {
    let mut world = World::new();
    world.configure(&[limited_by_low()]);
    world.load(Verdict::False);
    world.end("web", 1);
    world.load(Verdict::True);
    world.fail("start web", &[CommandError::Abandoned]);
    world.pass(RETRY);
    world.log();
    // It was done all the same, with a limit that holds no longer.
    world.put(ROOTFUL, &limited_by_low(), CurrentState::Running);
    world.observe(ROOTFUL);
    world.load(Verdict::False);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["21s limit web"]);
}

#[test]
fn limits_of_an_adopted_pod_wait_for_their_metrics() {
    for (verdict, expected) in [
        (None, vec!["119s limit web"]),
        (Some(Verdict::True), vec!["0s limit web"]),
        (Some(Verdict::False), vec!["0s limit web"]),
    ] {
        let mut world = World::new();
        world.now.monotonic = Monotonic::from_start(SECOND);
        world.started_at = world.now;
        world.put(ROOTFUL, &limited_by_low(), CurrentState::Running);
        world.observe(ROOTFUL);
        world.configure(&[limited_by_low()]);
        world.load(Verdict::Unknown);
        assert!(world.log().is_empty(), "the one of the agent's previous life holds meanwhile");
        if let Some(verdict) = verdict {
            world.load(verdict);
        }
        world.pass(3 * MINUTE);
        assert_eq!(world.log(), expected);
    }
}

#[test]
fn image_that_moves_is_asked_for_before_each_start() {
    let of = |image, policy: Option<&str>| {
        let policy = policy.map(str::to_owned);
        let change = |it: &mut Workload| it.pod.containers[0].image_pull_policy = policy;
        workload("web").image(image).profile("p", &["low"]).with(change).build()
    };
    for (image, policy, pulls) in [
        ("quay.io/a/b:1", None, 1),
        ("quay.io/a/b:latest", None, 2),
        ("quay.io/a/b:1", Some("Always"), 2),
        ("quay.io/a/b:latest", Some("IfNotPresent"), 1),
        ("localhost/b", None, 1),
    ] {
        let mut world = World::new();
        world.configure(&[of(image, policy)]);
        for verdict in [Verdict::True, Verdict::False, Verdict::True] {
            world.verdict("low", verdict);
        }
        assert_eq!(world.running(), ["web"]);
        let found = world.log().iter().filter(|line| line.contains("pull")).count();
        assert_eq!(found, pulls, "{image} {policy:?}");
    }
}

#[test]
fn limit_that_a_start_may_have_brought_is_lifted_though_no_condition_brings_one_any_more() {
    let mut world = World::new();
    world.configure(&[limited_by_low()]);
    world.fail("start web", &[CommandError::Abandoned]);
    world.load(Verdict::True);
    world.put(ROOTFUL, &limited_by_low(), CurrentState::Running);
    world.observe(ROOTFUL);
    world.log();
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["1s limit web"]);
}
