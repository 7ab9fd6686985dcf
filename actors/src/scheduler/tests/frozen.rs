//! Pods that are found frozen: by hand, or by an agent that died since.

use super::*;

#[test]
fn a_pod_that_is_found_frozen_by_a_new_agent_is_thawed_and_not_started_again() {
    let mut world = World::new();
    let web = workload("web").build();
    world.put(ROOTFUL, &web, CurrentState::Frozen);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    assert_eq!(world.log(), ["0s thaw web"]);
    assert_eq!(world.running(), ["web"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    world.pass(10 * MINUTE);
    assert_eq!(world.log(), [""; 0]);
    assert_eq!(world.events(), [""; 0]);
}

#[test]
fn a_frozen_pod_is_a_run_that_goes_on() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    world.log();
    world.events();
    for pod in world.pods.values_mut() {
        pod.state = CurrentState::Frozen;
    }
    world.observe(ROOTFUL);
    world.plan();
    let report = world.report("web");
    assert_eq!(
        (report.status, report.reason.as_deref()),
        (WorkloadStatus::Running, Some("frozen"))
    );
    assert_eq!(world.log(), ["60s thaw web"]);
    world.run();
    assert_eq!(world.report("web").reason, None);
    world.pass(10 * MINUTE);
    assert_eq!((world.log(), world.events()), (vec![], vec![]));
    assert_eq!(world.report("web").restarts, 0);
}

#[test]
fn a_thaw_that_fails_is_reported_once_and_tried_again_at_growing_intervals() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.events();
    world.fail("thaw web", &vec![CommandError::Freeze { message: "no".to_owned() }; 3]);
    world.change("web", CurrentState::Frozen);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["0s thaw web", "1s thaw web", "3s thaw web", "7s thaw web"]);
    assert_eq!(world.events(), ["RuntimeFailed"]);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn what_is_to_end_is_ended_frozen() {
    let mut world = World::new();
    let web = workload("web").build();
    world.configure(std::slice::from_ref(&web));
    world.log();
    for pod in world.pods.values_mut() {
        pod.state = CurrentState::Frozen;
    }
    world.observe(ROOTFUL);
    world.tell(&[]);
    world.run();
    assert_eq!(world.log(), ["0s stop web"], "it is no longer configured");
    assert_eq!(world.pods.len(), 0);

    let mut world = World::new();
    let web = workload("web").profile("p", &["c"]).build();
    world.configure(std::slice::from_ref(&web));
    world.verdict("c", Verdict::True);
    assert_eq!(world.running(), ["web"]);
    world.log();
    for pod in world.pods.values_mut() {
        pod.state = CurrentState::Frozen;
    }
    world.observe(ROOTFUL);
    world.verdict("c", Verdict::False);
    assert_eq!(world.log(), ["0s stop web"], "its profile forbids it");
}

#[test]
fn a_frozen_pod_of_an_older_specification_that_is_kept_is_thawed() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    for pod in world.pods.values_mut() {
        pod.state = CurrentState::Frozen;
    }
    world.observe(ROOTFUL);
    world.fail("pull web", &[pull_error()]);
    world.configure(&[workload("web").image("localhost/web:2").build()]);
    let log = world.log();
    assert_eq!(log.first().map(String::as_str), Some("0s thaw web"), "{log:?}");
}

#[test]
fn the_time_in_which_a_new_specification_is_frozen_neither_proves_nor_disproves_it() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.pass(2 * MINUTE);
    world.configure(&[workload("web").image("localhost/web:2").build()]);
    world.pass(30 * SECOND);
    world.fail("thaw web", &vec![CommandError::Freeze { message: "no".to_owned() }; 20]);
    world.events();
    world.change("web", CurrentState::Frozen);
    world.pass(5 * MINUTE);
    let events = world.events();
    assert!(!events.contains(&"UpdateProved") && !events.contains(&"RolledBack"), "{events:?}");
    world.failures.clear();
    world.pass(2 * MINUTE);
    assert!(world.events().contains(&"UpdateProved"));
}
