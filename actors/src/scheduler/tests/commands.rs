//! One command at a time for each job, few starts at once for the device.

use super::*;

#[test]
fn job_has_one_command_in_flight() {
    let mut world = World::new();
    let configured = WorkloadsConfigured {
        workloads: vec![workload("web").build()],
        ..WorkloadsConfigured::default()
    };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.jobs.configure(
        &WorkloadsConfigured { workloads: vec![], ..WorkloadsConfigured::default() },
        world.now,
    );
    world.plan();
    world.observe(ROOTFUL);
    world.plan();
    assert_eq!(world.log(), ["0s pull web"]);
}

#[test]
fn command_that_is_never_answered_is_given_up() {
    let mut world = World::new();
    let configured = WorkloadsConfigured {
        workloads: vec![workload("web").build()],
        ..WorkloadsConfigured::default()
    };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.open.clear();
    world.pass(16 * MINUTE);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn pull_that_is_no_longer_wanted_holds_nobody_up() {
    let mut world = World::new();
    let of = |image: &str| WorkloadsConfigured {
        workloads: vec![workload("web").image(image).build()],
        ..WorkloadsConfigured::default()
    };
    world.jobs.configure(&of("slow:1"), world.now);
    world.plan();
    let slow = world.open.pop_front().unwrap();
    world.jobs.configure(&of("fast:1"), world.now);
    world.run();
    assert_eq!(world.running(), ["web"]);
    world.open.push_back(slow);
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s pull web", "0s start web"]);
}

#[test]
fn starts_pass_through_the_budget_and_all_come_to_pass() {
    let mut world = World::new();
    let workloads: Vec<_> = (0..50).map(|n| workload(&format!("w{n:02}")).build()).collect();
    let configured = WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    assert_eq!(world.open.len(), 4);
    while world.answer() {
        world.plan();
        assert!(world.open.len() <= 4);
    }
    assert_eq!(world.running().len(), 50);
}

#[test]
fn scheduler_that_was_reset_waits_for_the_command_in_flight() {
    let mut world = World::new();
    let web = workload("web").build();
    let configured = WorkloadsConfigured { workloads: vec![web], ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.answer();
    world.plan();
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.jobs.reset();
    world.observe(ROOTFUL);
    world.jobs.configure(&configured, world.now);
    world.plan();
    assert!(world.log().is_empty(), "the start is still under way");
    world.run();
    assert_eq!(world.running(), ["web"]);
    assert!(world.log().is_empty());
}

#[test]
fn stopping_agent_sends_no_more_commands_and_leaves_pods_alone() {
    let mut world = World::new();
    let workloads = vec![workload("a").build(), workload("b").build()];
    let configured = WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    assert_eq!(world.jobs.drain(), 2);
    world.run();
    world.pass(10 * MINUTE);
    assert_eq!(world.log(), ["0s pull a", "0s pull b"]);
    assert_eq!(world.jobs.drain(), 0);
}
