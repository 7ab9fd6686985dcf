//! What is different on a cluster: it keeps what makes a pod, and others may change that.

use super::*;
use crate::scheduler::eligibility::ADOPTION_GRACE;

const K8S: ExecutorKind = ExecutorKind::K8s;

/// Returns a workload on the cluster that runs while `low` of profile `p` is true.
fn web() -> Arc<Workload> {
    workload("web").on(K8S).profile("p", &["low"]).build()
}

/// Returns one whose condition brings a limit, too.
fn limited() -> Arc<Workload> {
    let limit = |workload: &mut Workload| workload.profiles[0].conditions[1].cpu = Some(20_000);
    workload("web").on(K8S).profile("p", &["any", "low"]).with(limit).build()
}

impl World {
    /// Changes the only pod, which is on the cluster, as another client of the cluster would.
    fn meddle(&mut self, state: CurrentState) {
        for pod in self.pods.values_mut() {
            pod.state = state.clone();
            pod.is_changed = true;
        }
        self.observe(K8S);
        self.run();
    }

    /// Tells the verdicts on `any`, which is true, and `low`.
    fn low(&mut self, low: Verdict) {
        let conditions = [("low".into(), low), ("any".into(), Verdict::True)].into();
        self.jobs.evaluate([("p".into(), Arc::new(conditions))].into(), Arc::default());
        self.run();
    }
}

#[test]
fn profile_suspends_the_deployment_and_starts_it_again() {
    let mut world = World::with_cluster();
    world.configure(&[web()]);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s suspend web"]);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Stopped);
    assert_eq!(report.reason.unwrap(), "profile p: low is false");
    world.pass(MINUTE);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["60s start web"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    assert_eq!(
        world.events(),
        ["WorkloadStarted", "WorkloadStopped", "WorkloadStarted"],
        "no pod is taken for another"
    );
}

#[test]
fn suspended_deployment_goes_with_its_workload_and_before_its_successor() {
    for successor in [None, Some(workload("web").on(K8S).image("localhost/app:2").build())] {
        let mut world = World::with_cluster();
        world.configure(&[web()]);
        world.verdict("low", Verdict::True);
        world.verdict("low", Verdict::False);
        world.log();
        world.configure(&successor.iter().cloned().collect::<Vec<_>>());
        let log = world.log();
        match successor {
            None => assert_eq!(log, ["0s stop web"]),
            Some(_) => assert_eq!(log, ["0s pull web", "0s stop web", "0s start web"]),
        }
    }
}

#[test]
fn suspended_deployment_is_adopted_as_it_is() {
    let mut world = World::with_cluster();
    world.put(K8S, &web(), CurrentState::Suspended);
    world.observe(K8S);
    world.configure(&[web()]);
    world.verdict("low", Verdict::False);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["60s pull web", "60s start web"]);
}

#[test]
fn running_deployment_is_adopted_untouched() {
    let mut world = World::with_cluster();
    world.put(K8S, &web(), CurrentState::Running);
    world.observe(K8S);
    world.configure(&[web()]);
    world.verdict("low", Verdict::True);
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
    assert_eq!(world.events(), [""; 0]);
}

#[test]
fn a_suspension_whose_answer_was_lost_is_no_failure() {
    let mut world = World::with_cluster();
    world.configure(&[web()]);
    world.verdict("low", Verdict::True);
    let lost = CommandError::Unavailable { message: "gone".to_owned() };
    world.fail("suspend web", &[lost]);
    world.verdict("low", Verdict::False);
    world.events();
    // It was done all the same.
    world.put(K8S, &web(), CurrentState::Suspended);
    world.observe(K8S);
    world.pass(MINUTE);
    world.verdict("low", Verdict::True);
    assert_eq!(world.running(), ["web"], "at once");
    assert_eq!(world.events(), ["WorkloadStarted"]);
}

#[test]
fn deployment_scaled_to_zero_from_outside_comes_back_after_the_delay() {
    let mut world = World::with_cluster();
    world.configure(&[workload("web").on(K8S).restarts(RestartPolicy::Never).build()]);
    world.log();
    world.events();
    world.meddle(CurrentState::Suspended);
    assert_eq!(world.events(), ["WorkloadFailed"]);
    let reason = world.report("web").reason.unwrap();
    assert_eq!(reason, "the Deployment was scaled to zero by another user or program");
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s start web"], "whatever its restart policy");
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn deployment_modified_from_outside_is_restored_once_and_reported_once() {
    let mut world = World::with_cluster();
    world.configure(&[workload("web").on(K8S).build()]);
    world.log();
    world.events();
    world.meddle(CurrentState::Running);
    assert_eq!(world.log(), ["0s limit web"]);
    assert_eq!(world.events(), ["WorkloadChanged"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    assert_eq!(world.report("web").restarts, 0);
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn another_controller_that_changes_it_again_is_answered_once_a_minute() {
    let mut world = World::with_cluster();
    world.configure(&[workload("web").on(K8S).build()]);
    world.log();
    for _ in 0..3 {
        world.meddle(CurrentState::Running);
    }
    assert_eq!(world.log(), ["0s limit web"]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["60s limit web"]);
}

#[test]
fn change_that_cannot_be_undone_is_tried_each_minute_and_reported_once() {
    let mut world = World::with_cluster();
    world.configure(&[workload("web").on(K8S).build()]);
    world.log();
    world.events();
    let refused = CommandError::Start { message: "403".to_owned() };
    world.fail("limit web", &[refused.clone(), refused]);
    world.meddle(CurrentState::Running);
    world.pass(3 * MINUTE);
    assert_eq!(world.log(), ["0s limit web", "60s limit web", "120s limit web"]);
    assert_eq!(world.events(), ["WorkloadChanged", "LimitNotApplied"]);
}

#[test]
fn limits_of_a_running_deployment_change_once_a_minute_at_most() {
    let mut world = World::with_cluster();
    world.configure(&[limited()]);
    world.low(Verdict::False);
    world.log();
    for low in [Verdict::True, Verdict::False, Verdict::True, Verdict::False] {
        world.low(low);
    }
    assert_eq!(world.log(), ["0s limit web"], "each restarts the pod");
    world.pass(MINUTE);
    assert_eq!(world.log(), ["60s limit web"], "and now it is lifted");
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn limits_of_an_adopted_deployment_wait_for_their_metrics() {
    for (verdict, expected) in [
        (None, vec!["119s limit web"]),
        (Some(Verdict::True), vec!["0s limit web"]),
        (Some(Verdict::False), vec!["0s limit web"]),
    ] {
        let mut world = World::with_cluster();
        world.now.monotonic = Monotonic::from_start(SECOND);
        world.started_at = world.now;
        world.put(K8S, &limited(), CurrentState::Running);
        world.observe(K8S);
        world.configure(&[limited()]);
        world.low(Verdict::Unknown);
        assert!(world.log().is_empty(), "to take them away would restart the pod");
        if let Some(verdict) = verdict {
            world.low(verdict);
        }
        world.pass(ADOPTION_GRACE);
        assert_eq!(world.log(), expected);
    }
}

fn with_password(password: &str) -> Arc<Workload> {
    let credentials = crate::workload::RegistryCredentials {
        username: "u".to_owned(),
        password: crate::workload::Confidential::new(password.to_owned()),
    };
    let change = |workload: &mut Workload| {
        workload.registries.insert("quay.io".to_owned(), credentials);
    };
    workload("web").on(K8S).with(change).build()
}

#[test]
fn other_registry_credentials_are_written_at_once_and_nothing_else_happens() {
    let mut world = World::with_cluster();
    world.configure(&[with_password("old")]);
    world.log();
    world.configure(&[with_password("new")]);
    assert_eq!(world.log(), ["0s limit web"]);
    assert_eq!(world.report("web").restarts, 0);
}

#[test]
fn registry_credentials_that_change_during_a_start_are_written_after_it() {
    let mut world = World::with_cluster();
    let configured = |password| WorkloadsConfigured {
        workloads: vec![with_password(password)],
        ..WorkloadsConfigured::default()
    };
    world.jobs.configure(&configured("old"), world.now);
    world.plan();
    world.answer();
    world.plan();
    world.jobs.configure(&configured("new"), world.now);
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s start web", "0s limit web"]);
}

#[test]
fn registry_credentials_that_the_cluster_refuses_are_tried_each_minute() {
    let mut world = World::with_cluster();
    world.configure(&[with_password("old")]);
    world.log();
    let refused = CommandError::Start { message: "403".to_owned() };
    world.fail("limit web", &[refused]);
    world.configure(&[with_password("new")]);
    world.pass(10 * MINUTE);
    assert_eq!(world.log(), ["0s limit web", "60s limit web"]);
}

#[test]
fn another_controller_that_scales_up_against_a_profile_is_answered_once_a_minute() {
    let mut world = World::with_cluster();
    world.configure(&[web()]);
    world.verdict("low", Verdict::True);
    world.verdict("low", Verdict::False);
    world.log();
    for _ in 0..3 {
        world.meddle(CurrentState::Running);
    }
    assert!(world.log().is_empty());
    world.pass(MINUTE);
    assert_eq!(world.log(), ["60s suspend web"]);
}

#[test]
fn restarts_by_the_cluster_are_reported() {
    let mut world = World::with_cluster();
    world.configure(&[workload("web").on(K8S).build()]);
    for pod in world.pods.values_mut() {
        pod.restarts = 3;
        pod.state = CurrentState::Crashing { message: "CrashLoopBackOff".to_owned() };
    }
    world.observe(K8S);
    world.run();
    assert_eq!(world.report("web").restarts, 3);
    assert_eq!(world.status("web"), WorkloadStatus::Crashed);
}

fn version(version: u8) -> Arc<Workload> {
    workload("web").on(K8S).image(&format!("localhost/app:{version}")).build()
}

impl World {
    /// Changes the pod of one specification, as the cluster does.
    fn become_(&mut self, of: &Workload, state: CurrentState) {
        self.pods.entry(PodKey::of(of)).and_modify(|pod| pod.state = state);
        self.observe(K8S);
        self.run();
    }
}

/// A world whose workload proved itself and was given another specification.
fn world_with_an_update() -> World {
    let mut world = World::with_cluster();
    world.configure(&[version(1)]);
    world.pass(MINUTE);
    world.log();
    world.configure(&[version(2)]);
    assert_eq!(world.log(), ["60s pull web", "60s suspend web", "60s start web"]);
    world.events();
    world
}

#[test]
fn previous_deployment_stays_at_zero_until_the_new_one_has_proved_itself() {
    let mut world = world_with_an_update();
    world.become_(&version(2), CurrentState::Starting);
    world.pass(5 * MINUTE);
    assert!(world.log().is_empty());
    world.become_(&version(2), CurrentState::Running);
    world.pass(59 * SECOND);
    assert_eq!((world.log(), world.events()), (vec![], vec![]));
    world.pass(SECOND);
    assert_eq!(world.log(), ["420s stop web"]);
    assert_eq!(world.events(), ["UpdateProved", "WorkloadStopped"]);
    assert_eq!(world.pods.keys().collect::<Vec<_>>(), [&PodKey::of(&version(2))]);
    assert!(world.updates.is_empty());
}

#[test]
fn previous_deployment_is_scaled_up_again_if_the_new_one_is_not_ready_in_time() {
    let mut world = world_with_an_update();
    world.become_(&version(2), CurrentState::Starting);
    world.pass(11 * MINUTE - SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["720s stop web", "720s start web"]);
    assert_eq!(world.pods.keys().collect::<Vec<_>>(), [&PodKey::of(&version(1))]);
    assert!(world.events().contains(&"RolledBack"));
    // Tried again after five minutes, and the previous one kept for it.
    world.pass(5 * MINUTE);
    assert_eq!(world.log(), ["1020s suspend web", "1020s start web"]);
}

#[test]
fn previous_deployment_does_not_wait_for_one_that_crashes() {
    let mut world = world_with_an_update();
    world.become_(&version(2), CurrentState::Starting);
    world.pass(20 * SECOND);
    let crashing = CurrentState::Crashing { message: "ImagePullBackOff".to_owned() };
    world.become_(&version(2), crashing);
    world.pass(40 * SECOND - SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["120s stop web", "120s start web"]);
}

#[test]
fn previous_deployment_that_waits_goes_with_its_workload() {
    let mut world = world_with_an_update();
    world.configure(&[]);
    assert_eq!(world.log(), ["60s stop web", "60s stop web"]);
    assert!(world.pods.is_empty());
}

#[test]
fn previous_deployment_that_waits_stays_when_the_profile_stops_the_new_one() {
    let gated = |version: u8| {
        let image = format!("localhost/app:{version}");
        workload("web").on(K8S).image(&image).profile("p", &["low"]).build()
    };
    let mut world = World::with_cluster();
    world.configure(&[gated(1)]);
    world.verdict("low", Verdict::True);
    world.pass(MINUTE);
    world.configure(&[gated(2)]);
    world.log();
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["60s suspend web"]);
    world.pass(MINUTE);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["120s start web"]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["180s stop web"]);
}

#[test]
fn deployment_whose_container_ends_again_and_again_gives_way_though_it_runs_in_between() {
    let mut world = world_with_an_update();
    for _ in 0..30 {
        world.become_(&version(2), CurrentState::Running);
        world.pass(10 * SECOND);
        let crashing = CurrentState::Crashing { message: "CrashLoopBackOff".to_owned() };
        world.become_(&version(2), crashing);
        world.pass(30 * SECOND);
    }
    assert!(world.events().contains(&"RolledBack"));
}
