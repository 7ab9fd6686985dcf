//! Configured workloads start, unconfigured ones go, what runs is adopted.

use super::*;
use crate::workload::RejectedWorkload;

#[test]
fn configured_workload_is_pulled_and_started() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty(), "nothing more is to do");
}

#[test]
fn running_pod_is_adopted_untouched() {
    let mut world = World::new();
    let web = workload("web").build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    assert_eq!(world.status("web"), WorkloadStatus::Running);
}

#[test]
fn nothing_starts_before_the_runtime_was_heard() {
    let mut world = World::new();
    world.lose(ROOTFUL);
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Deploying);
    assert_eq!(report.reason.unwrap(), "podman_rootful is not available: connection refused");
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.log(), ["60s pull web", "60s start web"]);
}

#[test]
fn slow_runtime_is_used_and_says_that_it_is_slow() {
    let mut world = World::new();
    let slow = || Some("it takes 14 s for an answer".to_owned());
    let observe = |world: &mut World, slow| {
        let (executor, observed_at) = (ROOTFUL, world.now);
        world.jobs.observe(WorkloadsObserved { executor, observed_at, pods: Ok(vec![]), slow });
    };
    observe(&mut world, slow());
    let web = workload("web").build();
    world.jobs.configure(
        &WorkloadsConfigured { workloads: vec![web], ..WorkloadsConfigured::default() },
        world.now,
    );
    world.plan();
    assert_eq!(world.log(), ["0s pull web"]);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Deploying);
    let reason = report.reason.unwrap();
    assert_eq!(reason, "pulling images; podman_rootful: it takes 14 s for an answer");
    assert_eq!(world.jobs.silent_runtimes(), [ROOTFUL].into(), "the heartbeat is degraded");
    observe(&mut world, None);
    assert_eq!(world.report("web").reason.unwrap(), "pulling images");
    assert!(world.jobs.silent_runtimes().is_empty());
}

#[test]
fn runtime_without_executor_is_reported_with_the_way_out() {
    let mut world = World::new();
    world.configure(&[workload("web").on(ExecutorKind::K8s).build()]);
    assert_eq!(world.report("web").reason.unwrap(), "set KUBECONFIG");
    world.configure(&[workload("web").on(ExecutorKind::K8s).build()]);
    assert_eq!(world.events(), ["RuntimeNotConfigured"], "once, not at each repetition");
}

#[test]
fn removed_workload_is_stopped_and_forgotten() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.configure(&[]);
    assert_eq!(world.log(), ["0s stop web"]);
    assert!(world.pods.is_empty());
    assert!(world.jobs.reports(world.now).is_empty());
}

#[test]
fn unconfigured_pod_is_removed_only_once_a_configuration_is_known() {
    let mut world = World::new();
    world.put(ROOTFUL, &workload("old").build(), CurrentState::Running);
    world.observe(ROOTFUL);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.configure(&[]);
    assert_eq!(world.log(), ["60s stop old"]);
}

#[test]
fn changed_workload_is_pulled_before_the_old_pod_stops() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    assert_eq!(world.log(), ["0s pull web", "0s stop web", "0s start web"]);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn old_pod_runs_on_while_the_new_image_cannot_be_pulled() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.fail("pull web", &[pull_error(), pull_error()]);
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    assert_eq!(world.log(), ["0s pull web"]);
    assert_eq!(world.running(), ["web"]);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Deploying);
    assert!(report.reason.unwrap().contains("no such image"));
    world.pass(2 * RETRY);
    assert_eq!(world.log(), ["20s pull web", "40s pull web", "40s stop web", "40s start web"]);
}

#[test]
fn change_of_profiles_alone_keeps_the_pod() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.verdict("low", Verdict::True);
    world.log();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    assert!(world.log().is_empty());
}

#[test]
fn moved_to_another_runtime_it_runs_there_alone() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.configure(&[workload("web").on(ExecutorKind::PodmanRootless).build()]);
    let runtimes: Vec<_> = world.pods.keys().map(|key| key.executor).collect();
    assert_eq!(runtimes, [ExecutorKind::PodmanRootless]);
}

#[test]
fn refused_workload_is_reported_with_its_reason() {
    let mut world = World::new();
    let reason = "kind vm is unknown".to_owned();
    let rejected = vec![RejectedWorkload { name: WorkloadName::from("bad"), reason }];
    let configured =
        WorkloadsConfigured { workloads: Vec::new(), rejected, ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.jobs.configure(&configured, world.now);
    assert_eq!(world.report("bad").reason.unwrap(), "kind vm is unknown");
    assert_eq!(world.events(), ["WorkloadRejected"], "once, not at each repetition");
}

#[test]
fn pod_on_a_podman_that_was_not_heard_yet_is_not_doubled() {
    let mut world = World::new();
    world.jobs = World::deaf_jobs();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.started_at = world.now;
    world.put(ROOTFUL, &workload("web").build(), CurrentState::Running);
    world.observe(ExecutorKind::PodmanRootless);
    let moved = workload("web").on(ExecutorKind::PodmanRootless).build();
    world.configure(&[moved]);
    world.pass(3 * SECOND);
    assert_eq!(world.log(), ["0s pull web"]);
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.log(), ["3s stop web", "3s start web"]);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn older_generation_of_the_configuration_removes_nothing() {
    let mut world = World::new();
    let newer = workload("web").image("localhost/app:2").build();
    let (older, unconfigured) = (workload("web").build(), workload("orphan").build());
    world.put(ROOTFUL, &newer, CurrentState::Running);
    world.put(ROOTFUL, &unconfigured, CurrentState::Running);
    world.observe(ROOTFUL);
    let other = workload("other").build();
    let outdated = WorkloadsConfigured {
        workloads: vec![older.clone(), other.clone()],
        is_outdated: true,
        ..WorkloadsConfigured::default()
    };
    world.jobs.configure(&outdated, world.now);
    world.run();
    world.pass(60 * MINUTE);
    assert_eq!(world.log(), ["0s pull other", "0s start other"], "what it knows runs");
    world.configure(&[older, other]);
    assert_eq!(world.log().len(), 4, "the source was heard: web is replaced, the orphan goes");
    assert_eq!(world.running(), ["other", "web"]);
}

#[test]
fn older_generation_stops_no_pod_of_a_newer_one_for_its_profile_or_cron() {
    let profile = workload("web").profile("p", &["low"]).build();
    let cron = workload("web").cron("0 0 1 1 *").build();
    for older in [profile, cron] {
        let mut world = World::new();
        let newer = workload("web").image("localhost/app:2").build();
        world.put(ROOTFUL, &newer, CurrentState::Running);
        world.observe(ROOTFUL);
        let outdated = WorkloadsConfigured {
            workloads: vec![older],
            is_outdated: true,
            ..WorkloadsConfigured::default()
        };
        world.jobs.configure(&outdated, world.now);
        world.verdict("low", Verdict::False);
        world.verdict("low", Verdict::True);
        world.pass(60 * MINUTE);
        assert!(world.log().is_empty());
    }
}

#[test]
fn podman_that_never_speaks_holds_the_other_up_for_a_minute_at_most() {
    let mut world = World::new();
    world.jobs = World::deaf_jobs();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.observe(ROOTFUL);
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn init_containers_have_an_hour() {
    for (inits, minutes) in [(0, 5), (1, 60)] {
        let init = |it: &mut Workload| {
            it.pod.init_containers = Some(vec![it.pod.containers[0].clone(); inits]);
        };
        let mut world = World::new();
        let workloads = vec![workload("web").with(init).build()];
        let configured = WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() };
        world.jobs.configure(&configured, world.now);
        world.plan();
        world.answer();
        world.plan();
        let (_, start) = world.open.pop_front().unwrap();
        assert_eq!(start.deadline, world.now.monotonic + minutes * MINUTE);
    }
}
