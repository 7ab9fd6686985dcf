//! A changed specification that does not start gives way to the one before it.

mod gates;

use super::*;
use crate::workload::EventReason;

/// A world whose workload ran well and was given a specification that cannot start.
fn world_with_a_bad_successor(failures: usize) -> World {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    world.log();
    let error = CommandError::Start { message: "exec: \"/nope\": not found".to_owned() };
    world.fail("start web", &vec![error; failures]);
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    world
}

fn image_running(world: &World) -> Option<WorkloadId> {
    let running = world.pods.values().find(|pod| pod.state == CurrentState::Running);
    running.map(|pod| pod.id.clone())
}

#[test]
fn gap_between_the_old_pod_and_the_new_one_is_measured_and_reported() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.jobs.take_events();
    let new = workload("web").image("localhost/app:2").build();
    world.tell(std::slice::from_ref(&new));
    // The pull and the stop take their time; what counts is from the old pod's end.
    for milliseconds in [9_000, 500, 1_234] {
        world.plan();
        world.now = world.now.after(Duration::from_millis(milliseconds));
        world.answer();
    }
    let event = world.jobs.take_events().pop().unwrap();
    assert_eq!(event.reason, EventReason::WorkloadStarted);
    let expected = format!("pod {} started, 1234 ms after its predecessor ended", new.id);
    assert_eq!(event.message, expected);
}

#[test]
fn time_in_which_nothing_should_run_is_no_gap() {
    let mut world = World::new();
    let of = |image| workload("web").image(image).profile("p", &["low"]).build();
    world.verdict("low", Verdict::True);
    world.configure(&[of("localhost/app:1")]);
    world.fail("start web", &[CommandError::Start { message: "no".to_owned() }]);
    world.configure(&[of("localhost/app:2")]);
    world.verdict("low", Verdict::False);
    world.pass(60 * MINUTE);
    world.jobs.take_events();
    world.verdict("low", Verdict::True);
    let messages: Vec<_> =
        world.jobs.take_events().into_iter().map(|event| event.message).collect();
    assert_eq!(messages, [format!("pod {} started", of("localhost/app:2").id)]);
}

#[test]
fn specification_that_does_not_start_in_three_attempts_is_rolled_back() {
    let mut world = world_with_a_bad_successor(3);
    assert!(world.running().is_empty());
    world.pass(2 * RETRY);
    assert_eq!(image_running(&world), Some(workload("web").build().id.clone()));
    assert!(world.events().contains(&"RolledBack"));
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Running);
    let reason = report.reason.unwrap();
    assert!(reason.starts_with("rolled back to the previous specification:"), "{reason}");
}

#[test]
fn rolled_back_specification_is_tried_again_and_stays_when_it_starts() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    world.log();
    world.fail("start web", &[CommandError::Start { message: "still not".to_owned() }]);
    world.pass(5 * MINUTE);
    let again = ["400s pull web", "400s stop web", "400s start web", "400s start web"];
    assert_eq!(world.log(), again, "the new one is tried once, then the old one is back");
    assert_eq!(image_running(&world), Some(workload("web").build().id.clone()), "in vain");
    world.pass(10 * MINUTE);
    let new = workload("web").image("localhost/app:2").build();
    assert_eq!(image_running(&world), Some(new.id.clone()));
    world.pass(20 * MINUTE);
    assert_eq!(image_running(&world), Some(new.id.clone()));
}

#[test]
fn mended_specification_ends_the_rollback_at_once() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    let mended = workload("web").image("localhost/app:3").build();
    world.configure(std::slice::from_ref(&mended));
    assert_eq!(image_running(&world), Some(mended.id.clone()));
}

#[test]
fn first_specification_has_nothing_to_roll_back_to() {
    let mut world = World::new();
    let error = CommandError::Start { message: "no".to_owned() };
    world.fail("start web", &vec![error; 5]);
    world.configure(&[workload("web").build()]);
    world.pass(5 * RETRY);
    assert_eq!(world.running(), ["web"]);
    assert!(!world.events().contains(&"RolledBack"));
}

#[test]
fn rollback_that_ends_during_a_command_waits_for_it() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    assert!(world.report("web").reason.unwrap().starts_with("rolled back"));
    // The rollback lasts 5 min; 4 s before its end a retry sends a command that is not answered yet.
    world.pass(5 * MINUTE - RETRY - 5 * SECOND);
    world.end("web", 1);
    world.log();
    world.now = world.now.after(RETRY + SECOND);
    world.plan();
    assert_eq!(world.log(), ["396s start web"]);
    world.now = world.now.after(10 * SECOND);
    world.plan();
    assert!(world.log().is_empty());
    let alarm = world.jobs.next_alarm().unwrap();
    let next = alarm.saturating_since(world.now.monotonic);
    assert!(next > MINUTE, "the command's deadline comes next, not the rollback's end: {next:?}");
    world.run();
    let attempt = ["406s pull web", "406s stop web", "406s start web"];
    assert_eq!(world.log(), attempt, "the ended pod goes, and the new one has its attempt");
}

/// A world whose workload ran well and was given a specification whose image does not come.
fn world_with_a_successor_that_does_not_come(failures: usize) -> World {
    let mut world = World::new();
    world.verdict("low", Verdict::True);
    world.configure(&[first()]);
    world.pass(MINUTE);
    world.fail("pull web", &vec![pull_error(); failures]);
    world.configure(&[second()]);
    world.log();
    world
}

fn first() -> Arc<Workload> {
    workload("web").profile("p", &["low"]).build()
}

fn second() -> Arc<Workload> {
    workload("web").image("localhost/app:2").profile("p", &["low"]).build()
}

#[test]
fn pod_that_ends_while_its_successor_does_not_come_is_started_again() {
    let mut world = world_with_a_successor_that_does_not_come(4);
    for _ in 0..3 {
        world.end("web", 1);
        world.pass(RETRY);
        assert_eq!(image_running(&world), Some(first().id.clone()));
    }
    world.pass(10 * MINUTE);
    assert_eq!(image_running(&world), Some(second().id.clone()), "the image came in the end");
}

#[test]
fn pod_that_its_profile_stops_while_its_successor_does_not_come_comes_back() {
    let mut world = world_with_a_successor_that_does_not_come(4);
    world.verdict("low", Verdict::False);
    assert_eq!(image_running(&world), None);
    world.verdict("low", Verdict::True);
    assert_eq!(image_running(&world), Some(first().id.clone()), "at once");
    world.pass(10 * MINUTE);
    assert_eq!(image_running(&world), Some(second().id.clone()));
}

#[test]
fn pod_is_supervised_after_its_rollback_too() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    world.fail("pull web", &vec![pull_error(); 10]);
    world.pass(5 * MINUTE);
    world.end("web", 1);
    world.pass(RETRY);
    assert_eq!(image_running(&world), Some(workload("web").build().id.clone()));
}

#[test]
fn rollback_outlives_the_scheduler_that_decided_on_it() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    world.log();
    world.jobs.reset();
    world.observe(ROOTFUL);
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    world.pass(MINUTE);
    assert!(world.log().is_empty(), "the pod that runs well is left alone");
    assert!(world.report("web").reason.unwrap().starts_with("rolled back"));
}

#[test]
fn older_pod_is_given_the_time_that_its_own_specification_grants() {
    let of = |image, grace| {
        let change = |it: &mut Workload| it.pod.termination_grace_period_seconds = Some(grace);
        workload("web").image(image).with(change).build()
    };
    let mut world = World::new();
    world.configure(&[of("localhost/app:1", 60)]);
    world.tell(&[of("localhost/app:2", 1)]);
    world.plan();
    world.answer();
    world.plan();
    let (_, stop) = world.open.pop_front().unwrap();
    let Action::Stop { grace, .. } = stop.action else { panic!("{:?}", stop.action) };
    assert_eq!(grace, MINUTE);
}

#[test]
fn pod_that_ends_during_a_pull_that_hangs_is_started_again() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    world.log();
    let new = workload("web").image("localhost/app:2").build();
    world.tell(std::slice::from_ref(&new));
    world.plan();
    let pull = world.open.pop_front().unwrap();
    world.end("web", 1);
    world.pass(MINUTE);
    assert_eq!(image_running(&world), Some(workload("web").build().id.clone()));
    world.events();
    // The image came in the end: the next attempt is not waited for.
    world.open.push_back(pull);
    world.run();
    assert_eq!(image_running(&world), Some(new.id.clone()));
    let log = ["60s pull web", "90s start web", "120s stop web", "120s start web"];
    assert_eq!(world.log(), log);
}

#[test]
fn specification_that_is_taken_back_falls_back_on_nothing() {
    let mut world = world_with_a_bad_successor(2);
    world.configure(&[workload("web").build()]);
    world.end("web", 1);
    let error = CommandError::Start { message: "no".to_owned() };
    world.fail("start web", &vec![error; 5]);
    world.pass(10 * MINUTE);
    assert!(!world.events().contains(&"RolledBack"));
}

#[test]
fn answer_to_a_start_says_nothing_of_the_specification_that_came_meanwhile() {
    let error = || CommandError::Start { message: "no".to_owned() };
    for failures in [vec![], vec![error()]] {
        let mut world = World::new();
        let of = |image| workload("web").image(image).restarts(RestartPolicy::Never).build();
        world.fail("start web", &failures);
        world.tell(&[of("localhost/app:1")]);
        world.plan();
        world.answer();
        world.plan();
        world.tell(&[of("localhost/app:2")]);
        world.run();
        assert_eq!(image_running(&world), Some(of("localhost/app:2").id.clone()), "at once");
    }
}

#[test]
fn run_that_is_over_is_not_repeated_for_want_of_its_successor() {
    for (policy, exit_code) in
        [(RestartPolicy::Never, 1), (RestartPolicy::Never, 0), (RestartPolicy::OnFailure, 0)]
    {
        let of = |image| workload("web").image(image).restarts(policy).build();
        let mut world = World::new();
        world.configure(&[of("localhost/app:1")]);
        world.pass(MINUTE);
        world.fail("pull web", &vec![pull_error(); 5]);
        world.configure(&[of("localhost/app:2")]);
        world.log();
        world.end("web", exit_code);
        world.pass(4 * RETRY);
        assert!(world.running().is_empty(), "{policy:?} {exit_code}");
        world.pass(RETRY);
        assert_eq!(image_running(&world), Some(of("localhost/app:2").id.clone()));
        assert!(!world.events().contains(&"RolledBack"));
    }
}

#[test]
fn pod_that_ends_again_and_again_does_not_keep_its_successor_from_coming() {
    let mut world = world_with_a_successor_that_does_not_come(4);
    for _ in 0..6 {
        world.end("web", 1);
        world.pass(RETRY);
    }
    world.pass(MINUTE);
    assert_eq!(image_running(&world), Some(second().id.clone()));
}

/// A world whose podman started a pod and answered, and has not listed since.
fn world_with_an_unlisted_pod() -> World {
    let mut world = World::new();
    world.tell(&[workload("web").image("localhost/app:1").build()]);
    world.plan();
    assert!(world.answer());
    world.plan();
    let (executor, start) = world.open.pop_front().unwrap();
    world.carry_out(executor, &start.action);
    world.finish(executor, &start, Ok(()));
    world.plan();
    world
}

#[test]
fn pod_that_no_listing_has_shown_since_its_start_was_not_removed_by_others() {
    let mut world = world_with_an_unlisted_pod();
    world.pass(MINUTE);
    assert_eq!(world.events(), ["WorkloadStarted"]);
    world.observe(ExecutorKind::PodmanRootful);
    world.pass(MINUTE);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
}

#[test]
fn pod_that_no_listing_has_shown_since_its_start_is_stopped_before_its_successor_comes() {
    let mut world = world_with_an_unlisted_pod();
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    let expected = ["pull", "start", "pull", "stop", "start"].map(|step| format!("0s {step} web"));
    assert_eq!(world.log(), expected);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn pod_that_was_started_for_an_older_specification_is_stopped_though_no_listing_has_shown_it() {
    let of = |image| workload("web").image(image).build();
    let mut world = World::new();
    world.tell(&[of("localhost/app:1")]);
    world.plan();
    assert!(world.answer());
    world.plan();
    let (executor, start) = world.open.pop_front().unwrap();
    world.carry_out(executor, &start.action);
    world.tell(&[of("localhost/app:2")]);
    world.finish(executor, &start, Ok(()));
    world.log();
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s stop web", "0s start web"]);
    assert_eq!(world.pods.len(), 1);
}
