//! One command at a time for each job, few starts at once for the device.

use super::*;
use crate::scheduler::report::stats::Stats;

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
    let under_way = |world: &World, is: fn(&Action) -> bool| {
        world.open.iter().filter(|(_, command)| is(&command.action)).count()
    };
    while world.answer() {
        world.plan();
        assert!(under_way(&world, |action| matches!(action, Action::Pull { .. })) <= 4);
        assert!(under_way(&world, |action| matches!(action, Action::Start { .. })) <= 4);
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

#[test]
fn pull_that_is_wanted_again_is_not_sent_again() {
    let mut world = World::new();
    world.jobs.evaluate(low(Verdict::True), Arc::default());
    let web = workload("web").profile("p", &["low"]).build();
    let configured = WorkloadsConfigured { workloads: vec![web], ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    for verdict in [Verdict::False, Verdict::True, Verdict::False, Verdict::True] {
        world.jobs.evaluate(low(verdict), Arc::default());
        world.plan();
    }
    assert_eq!(world.log(), ["0s pull web"]);
    world.run();
    assert_eq!(world.log(), ["0s start web"]);
}

#[test]
fn pull_that_ends_while_nobody_waits_for_it_counts_all_the_same() {
    let mut world = World::new();
    world.jobs.evaluate(low(Verdict::True), Arc::default());
    let web = workload("web").profile("p", &["low"]).build();
    let configured = WorkloadsConfigured { workloads: vec![web], ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.jobs.evaluate(low(Verdict::False), Arc::default());
    world.run();
    world.log();
    world.jobs.evaluate(low(Verdict::True), Arc::default());
    world.run();
    assert_eq!(world.log(), ["0s start web"]);
}

fn low(verdict: Verdict) -> Verdicts {
    [("p".into(), Arc::new([("low".into(), verdict)].into()))].into()
}

#[test]
fn pulls_that_hang_hold_no_restart_up() {
    let mut world = World::new();
    let web = || workload("web").build();
    world.configure(&[web()]);
    world.log();
    let hanging = (0..9).map(|n| workload(&format!("h{n}")).build());
    let workloads = hanging.chain([web()]).collect();
    let configured = WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    let hang = std::mem::take(&mut world.open);
    assert!(!hang.is_empty());
    world.end("web", 1);
    world.pass(RETRY);
    assert_eq!(world.running(), ["web"]);
}

fn configured(names: &[&str]) -> WorkloadsConfigured {
    WorkloadsConfigured {
        workloads: names.iter().map(|name| workload(name).build()).collect(),
        ..WorkloadsConfigured::default()
    }
}

#[test]
fn those_that_wait_for_a_place_are_served_in_order_of_arrival() {
    let mut world = World::new();
    for names in [&["p", "q", "r", "s"][..], &["p", "q", "r", "s", "z"]] {
        world.jobs.configure(&configured(names), world.now);
        world.plan();
    }
    world.log();
    // A place falls free in the very moment in which another workload wants one.
    let (executor, command) = world.open.pop_front().unwrap();
    world.finish(executor, &command, Err(pull_error()));
    world.jobs.configure(&configured(&["a", "p", "q", "r", "s", "z"]), world.now);
    world.plan();
    assert_eq!(world.log(), ["0s pull z"]);
}

#[test]
fn place_that_is_no_longer_wanted_goes_to_the_next() {
    let mut world = World::new();
    world.jobs.configure(&configured(&["p", "q", "r", "s", "y", "z"]), world.now);
    world.plan();
    world.log();
    world.jobs.configure(&configured(&["p", "q", "r", "s", "z"]), world.now);
    let (executor, command) = world.open.pop_front().unwrap();
    world.finish(executor, &command, Err(pull_error()));
    world.plan();
    assert_eq!(world.log(), ["0s pull z"]);
}

#[test]
fn damage_is_reported_for_as_long_as_it_keeps_a_wanted_workload_from_running() {
    let mut world = World::new();
    let damaged = || CommandError::Damaged { message: "a layer is damaged".to_owned() };
    world.fail("start web", &[damaged()]);
    world.fail("pull far", &[damaged()]);
    world.fail("start other", &[CommandError::Start { message: "no".to_owned() }]);
    world.configure(&[workload("web").build(), workload("far").build(), workload("other").build()]);
    let damages = |world: &World| world.jobs.details(&mut Stats::default(), world.now).damages;
    assert_eq!(
        damages(&world),
        [
            "workload far: the pod does not start: a layer is damaged",
            "workload web: the pod does not start: a layer is damaged",
        ]
    );
    world.pass(RETRY);
    assert_eq!(world.running(), ["far", "other", "web"]);
    assert_eq!(damages(&world), Vec::<String>::new());
}
