//! A new specification waits until its gates let it come.

use super::*;
use crate::scheduler::report::stats::Stats;
use crate::workload::{ConditionRef, ProfileRef, UpdateState};

fn when(condition: &str) -> Vec<ProfileRef> {
    let condition = ConditionRef { name: condition.into(), cpu: None, memory: None };
    vec![ProfileRef { name: "p".into(), conditions: vec![condition] }]
}

/// A version of a workload, with a gate.
fn version(version: u8, change: impl FnOnce(&mut Workload)) -> Arc<Workload> {
    workload("web").image(&format!("localhost/app:{version}")).with(change).build()
}

fn replaced_when_parked(workload: &mut Workload) {
    workload.gate.replace_when = when("parked");
}

/// A world whose first version has run for a minute, and in which the car drives.
fn driving() -> World {
    let mut world = World::new();
    world.configure(&[version(1, |_| {})]);
    world.verdict("parked", Verdict::False);
    world.pass(MINUTE);
    world.log();
    world.events();
    world.started_at = world.now;
    world
}

#[test]
fn the_pod_runs_on_and_the_images_come_until_it_may_be_replaced() {
    let mut world = driving();
    let old = image_running(&world);
    world.configure(&[version(2, replaced_when_parked)]);
    assert_eq!(world.log(), ["0s pull web"]);
    assert_eq!(world.events(), ["UpdateWaits"]);
    world.pass(60 * MINUTE);
    assert!(world.log().is_empty());
    assert_eq!((image_running(&world), world.status("web")), (old, WorkloadStatus::Running));
    let why = "the update to localhost/app:2 waits: profile p: parked is false";
    assert_eq!(world.report("web").reason.as_deref(), Some(why));
    let report = world.jobs.details(&mut Stats::default(), world.now);
    let update = report.workloads[0].update.clone().unwrap();
    assert_eq!(
        (update.state, Some(update.previous)),
        (UpdateState::Waiting, image_running(&world))
    );
    world.verdict("parked", Verdict::True);
    assert_eq!(world.log(), ["3600s stop web", "3600s start web"]);
    assert!(world.events().contains(&"WorkloadStarted"));
}

#[test]
fn what_is_not_known_opens_no_gate_and_the_deadline_does() {
    let mut world = driving();
    world.verdict("parked", Verdict::Unknown);
    let with_deadline = |workload: &mut Workload| {
        replaced_when_parked(workload);
        workload.gate.deadline = Some(60 * MINUTE);
    };
    world.configure(&[version(2, with_deadline)]);
    world.pass(59 * MINUTE);
    assert_eq!(world.log(), ["0s pull web"]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["3600s stop web", "3600s start web"]);
}

#[test]
fn the_time_before_a_restart_of_the_agent_counts_for_the_deadline() {
    let mut world = driving();
    let with_deadline = |workload: &mut Workload| {
        replaced_when_parked(workload);
        workload.gate.deadline = Some(60 * MINUTE);
    };
    world.configure(&[version(2, with_deadline)]);
    world.updates.date(world.now.wall);
    world.pass(50 * MINUTE);
    world.jobs = World::deaf_jobs();
    world.observe(ROOTFUL);
    world.observe(ExecutorKind::PodmanRootless);
    world.log();
    world.tell_again();
    world.verdict("parked", Verdict::False);
    world.pass(9 * MINUTE);
    assert_eq!(world.log(), ["3000s pull web"]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["3600s stop web", "3600s start web"]);
}

#[test]
fn images_come_only_when_they_may_and_a_restart_does_without() {
    let mut world = World::new();
    let pulled_on_wifi = |workload: &mut Workload| {
        workload.gate.pull_when = when("wifi");
        workload.pod.containers[0].image_pull_policy = Some("Always".to_owned());
    };
    world.verdict("wifi", Verdict::False);
    world.configure(&[version(1, pulled_on_wifi)]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    assert_eq!(world.status("web"), WorkloadStatus::Deploying);
    let why = "the start of localhost/app:1 waits: profile p: wifi is false";
    assert_eq!(world.report("web").reason.as_deref(), Some(why));
    world.verdict("wifi", Verdict::True);
    assert_eq!(world.log(), ["60s pull web", "60s start web"]);
    world.verdict("wifi", Verdict::False);
    world.end("web", 1);
    world.pass(RETRY);
    assert_eq!(world.log(), ["80s start web"], "with the image that is here");
}

#[test]
fn a_pod_that_does_not_work_is_not_protected_and_nor_is_one_that_must_go() {
    for (what, spoil) in [
        ("ended", (|world| world.end("web", 0)) as fn(&mut World)),
        ("degraded", |world| {
            world.change("web", CurrentState::Degraded { ended: vec![ended(1)] });
        }),
        ("rebooted", |world| {
            let message = "from before the last boot".to_owned();
            world.change("web", CurrentState::Incomplete { message });
        }),
        ("failing", |world| {
            let health = Health::Failing { reason: "no answer".to_owned(), grace: None };
            for pod in world.pods.values_mut() {
                pod.health = PodHealth(vec![ContainerHealth {
                    container: "main".to_owned(),
                    health: health.clone(),
                }]);
            }
            world.observe(ROOTFUL);
            world.run();
        }),
    ] {
        let mut world = driving();
        world.configure(&[version(2, replaced_when_parked)]);
        world.log();
        spoil(&mut world);
        assert_eq!(world.log(), ["0s stop web", "0s start web"], "{what}");
    }
    let mut world = driving();
    world.configure(&[version(2, replaced_when_parked)]);
    world.log();
    world.configure(&[]);
    assert_eq!(world.log(), ["0s stop web"], "it is removed");
}

#[test]
fn what_its_own_profile_turns_away_is_stopped_whatever_the_gate_says() {
    let mut world = World::new();
    let both = |workload: &mut Workload| {
        workload.profiles = when("calm");
        replaced_when_parked(workload);
    };
    let verdicts = |calm: Verdict| -> Verdicts {
        let conditions = [("calm".into(), calm), ("parked".into(), Verdict::False)].into();
        [("p".into(), Arc::new(conditions))].into()
    };
    world.jobs.evaluate(verdicts(Verdict::True), Arc::default());
    world.configure(&[version(1, both)]);
    world.pass(MINUTE);
    world.configure(&[version(2, both)]);
    world.log();
    world.jobs.evaluate(verdicts(Verdict::False), Arc::default());
    world.run();
    assert_eq!(world.log(), ["60s stop web"]);
}

#[test]
fn a_new_specification_that_fails_gives_way_at_once_and_comes_again_through_its_gate() {
    let mut world = driving();
    world.configure(&[version(2, replaced_when_parked)]);
    world.verdict("parked", Verdict::True);
    world.log();
    for _ in 0..3 {
        world.end("web", 1);
        world.verdict("parked", Verdict::False);
        world.pass(RETRY);
    }
    let old = version(1, |_| {}).id.clone();
    assert_eq!(image_running(&world), Some(old.clone()), "{:?}", world.log());
    world.pass(60 * MINUTE);
    assert_eq!(image_running(&world), Some(old), "its second attempt waits");
    world.verdict("parked", Verdict::True);
    world.pass(SECOND);
    assert_eq!(image_running(&world), Some(version(2, replaced_when_parked).id.clone()));
}

/// A version whose images may come on wifi only.
fn pulled_on_wifi(version: u8) -> Arc<Workload> {
    self::version(version, |workload| workload.gate.pull_when = when("wifi"))
}

#[test]
fn what_has_proved_itself_starts_after_a_reboot_with_the_image_that_is_here() {
    let mut world = World::new();
    world.verdict("wifi", Verdict::True);
    world.configure(&[pulled_on_wifi(1)]);
    world.pass(2 * MINUTE);
    world.jobs = World::deaf_jobs();
    world.verdict("wifi", Verdict::False);
    world.observe(ExecutorKind::PodmanRootless);
    let message = "from before the last boot".to_owned();
    world.change("web", CurrentState::Incomplete { message });
    world.log();
    world.tell_again();
    world.run();
    assert_eq!(world.log(), ["120s start web"]);
}

#[test]
fn while_the_images_of_an_update_may_not_come_the_previous_one_is_started_again() {
    let mut world = driving();
    world.verdict("wifi", Verdict::False);
    world.configure(&[pulled_on_wifi(2)]);
    assert!(world.log().is_empty());
    world.end("web", 1);
    world.pass(10 * MINUTE);
    assert_eq!(image_running(&world), Some(version(1, |_| {}).id.clone()), "{:?}", world.log());
    world.verdict("wifi", Verdict::True);
    world.pass(MINUTE);
    assert_eq!(image_running(&world), Some(pulled_on_wifi(2).id.clone()), "{:?}", world.log());
}

#[test]
fn a_lock_that_the_agent_has_forgotten_in_its_restart_is_waited_for() {
    let mut world = World::new();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.started_at = world.now;
    let old = version(1, |_| {});
    world.put(ROOTFUL, &old, CurrentState::Running);
    world.observe(ROOTFUL);
    // What is true for want of a metric.
    world.verdict("parked", Verdict::True);
    world.configure(&[version(2, replaced_when_parked)]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["0s pull web"]);
    world.verdict("parked", Verdict::False);
    world.pass(10 * MINUTE);
    assert_eq!(image_running(&world), Some(old.id.clone()), "{:?}", world.log());
}

#[test]
fn what_waits_for_a_workload_does_not_wait_for_its_update() {
    let mut world = driving();
    world.configure(&[version(2, replaced_when_parked)]);
    let app = workload("app").with(|workload| workload.after = vec!["web".into()]).build();
    world.log();
    world.configure(&[version(2, replaced_when_parked), app]);
    assert_eq!(world.log(), ["0s pull app", "0s start app"]);
}
