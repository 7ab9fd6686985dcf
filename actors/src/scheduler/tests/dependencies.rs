//! Workloads that wait for others.

use super::*;

fn after(name: &str, others: &[&str]) -> Arc<Workload> {
    let others = others.iter().map(|other| WorkloadName::from(*other)).collect();
    workload(name).with(|workload| workload.after = others).build()
}

#[test]
fn workload_starts_once_those_that_it_names_run() {
    let mut world = World::new();
    let error = CommandError::Start { message: "no".to_owned() };
    world.fail("start z", &[error]);
    world.configure(&[after("a", &["z"]), after("z", &[])]);
    assert_eq!(world.log(), ["0s pull a", "0s pull z", "0s start z"]);
    assert_eq!(world.report("a").reason.unwrap(), "waits until z runs");
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s pull z", "20s start z", "20s start a"]);
}

#[test]
fn one_that_has_finished_holds_nobody_up() {
    let mut world = World::new();
    let migrate = workload("migrate").restarts(RestartPolicy::Never).build();
    world.configure(&[migrate]);
    world.end("migrate", 0);
    let migrate = workload("migrate").restarts(RestartPolicy::Never).build();
    world.configure(&[after("a", &["migrate"]), migrate]);
    assert_eq!(world.running(), ["a"]);
}

#[test]
fn restart_does_not_wait_for_others_again() {
    let mut world = World::new();
    world.configure(&[after("a", &["z"]), after("z", &[])]);
    world.end("z", 1);
    world.end("a", 1);
    world.log();
    world.fail("start z", &[CommandError::Start { message: "no".to_owned() }]);
    world.pass(RETRY);
    assert_eq!(world.running(), ["a"]);
}

#[test]
fn pod_that_runs_on_without_some_of_its_containers_is_ready_for_others() {
    let mut world = World::new();
    let once = workload("z").restarts(RestartPolicy::Never).build();
    let all = [after("a", &["z"]), once];
    world.fail("start a", &[CommandError::Abandoned]);
    world.configure(&all);
    world.end("a", 0);
    world.change("z", CurrentState::Degraded { ended: vec![ended(0)] });
    world.pods.retain(|_, pod| pod.workload.as_str() == "z");
    world.jobs = World::deaf_jobs();
    world.observe(ROOTFUL);
    world.observe(ExecutorKind::PodmanRootless);
    world.configure(&all);
    assert!(world.running().contains(&"a"));
}

#[test]
fn circle_is_reported_once_and_runs_unordered() {
    let mut world = World::new();
    let circle = [after("a", &["b"]), after("b", &["a"])];
    world.configure(&circle);
    world.configure(&circle);
    assert_eq!(world.running(), ["a", "b"]);
    let circles = world.events().iter().filter(|reason| **reason == "DependencyCircle").count();
    assert_eq!(circles, 2, "one for each member");
}

#[test]
fn workload_that_is_not_configured_is_not_waited_for() {
    let mut world = World::new();
    world.configure(&[after("a", &["nobody"])]);
    assert_eq!(world.running(), ["a"]);
    assert!(world.events().contains(&"DependencyUnknown"));
}
