//! All pods end because the machine goes down.

use super::*;

fn after(name: &str, others: &[&str]) -> Arc<Workload> {
    let others = others.iter().map(|other| WorkloadName::from(*other)).collect();
    workload(name).with(|workload| workload.after = others).build()
}

impl World {
    /// Asks for the end of all pods once more. Returns how many workloads are left, and whose pods are
    /// being ended from now on.
    fn halt(&mut self) -> (usize, Vec<String>) {
        let (left, commands) = self.jobs.halt(self.now);
        let names = commands.iter().map(|(_, command)| {
            assert!(matches!(command.action, Action::Halt { .. }), "{command:?}");
            command.action.workload_name().to_string()
        });
        let names = names.collect();
        self.open.extend(commands);
        (left, names)
    }
}

/// `db` runs before `cache` and `app`, `app` before `web`; `alone` stands apart.
fn device() -> World {
    let mut world = World::new();
    world.configure(&[
        after("db", &[]),
        after("cache", &["db"]),
        after("app", &["db"]),
        after("web", &["app"]),
        after("alone", &[]),
    ]);
    assert_eq!(world.running(), ["alone", "app", "cache", "db", "web"]);
    world.log();
    world
}

#[test]
fn pods_end_before_those_that_they_started_after() {
    let mut world = device();
    assert_eq!(world.halt(), (5, vec!["alone".into(), "cache".into(), "web".into()]));
    assert_eq!(world.halt(), (5, vec![]), "each is ended once");
    // Not while one of two still runs.
    for (left, expected) in [(4, &[][..]), (3, &[]), (2, &["app"]), (1, &["db"]), (0, &[])] {
        assert!(world.answer());
        let (still, named) = world.halt();
        assert_eq!((still, named), (left, expected.iter().map(|it| (*it).to_owned()).collect()));
    }
    world.plan();
    assert!(world.log().is_empty(), "none starts again");
}

#[test]
fn a_pod_that_does_not_end_holds_up_the_machine_no_longer_than_it_may() {
    let mut world = device();
    world.halt();
    world.open.clear();
    world.now = world.now.after(Duration::from_secs(29));
    assert_eq!(world.halt(), (5, vec![]));
    // Its grace period and the margin are over.
    world.now = world.now.after(Duration::from_secs(1));
    assert_eq!(world.halt(), (2, vec!["app".into()]));
}

#[test]
fn a_refused_end_counts_as_one_and_so_does_one_before_a_restart_of_the_scheduler() {
    let mut world = device();
    let refusal = CommandError::Stop { message: "no".to_owned() };
    world.fail("halt web", &[refusal]);
    world.halt();
    while world.answer() {}
    assert_eq!(world.halt(), (2, vec!["app".into()]));
    world.jobs.reset();
    assert_eq!(world.halt(), (2, vec![]), "it is being ended already");
}

#[test]
fn pods_of_a_cluster_stay() {
    let mut world = World::with_cluster();
    let k8s = workload("far").with(|workload| workload.executor = ExecutorKind::K8s).build();
    world.configure(&[k8s, after("near", &[])]);
    assert_eq!(world.halt(), (1, vec!["near".into()]));
}

#[test]
fn a_pod_that_was_not_started_to_its_end_may_run_and_is_ended_too() {
    let mut world = device();
    let half = CurrentState::Incomplete { message: "some containers never started".to_owned() };
    world.pods.values_mut().for_each(|pod| pod.state = half.clone());
    world.observe(ROOTFUL);
    assert_eq!(world.halt(), (5, vec!["alone".into(), "cache".into(), "web".into()]));
}
