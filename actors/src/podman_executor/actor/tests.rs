//! The actor over a podman in memory, in virtual time, under its supervisor.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{pause, sleep};

use crate::messages::{Action, ActorHealth, CommandError, Evidence, WorkloadsObserved};
use crate::podman_executor::{
    InMemory, KeptLog, PodmanApi as _, UpdateBody, UpdateCpu, kept_runs, on_disk_and_in_memory,
};
use crate::testing::fake_podman::{FakePodman, Fault};
use crate::testing::podman_desk::{PodmanDesk, start_of, state_in, stop_of, workload};
use crate::workload::{CurrentState, ExecutorKind, Limits, Workload};

mod failed_starts;
mod freeze;
mod hooks;
mod running;

const MINUTE: Duration = Duration::from_secs(60);

fn web() -> Arc<Workload> {
    let pod = json!({"containers": [{"name": "main", "image": "localhost/web:1"}]});
    Arc::new(workload("web", pod))
}

fn desk(podman: &FakePodman) -> PodmanDesk {
    pause();
    desk_in_paused_time(podman)
}

fn desk_in_paused_time(podman: &FakePodman) -> PodmanDesk {
    let volumes = std::env::temp_dir().join("device-worker-ng-no-volumes");
    PodmanDesk::start(ExecutorKind::PodmanRootful, Rc::new(podman.clone()), volumes)
}

fn is_running(state: &CurrentState) -> bool {
    *state == CurrentState::Running
}

#[actix::test]
async fn panic_in_flight_is_answered_as_abandoned_and_the_next_command_works() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    podman.fail_once("play", Fault::Panic);
    let answer = desk.run_start(&web()).await;
    assert_eq!(answer, Err(CommandError::Abandoned));
    desk.run_start(&web()).await.unwrap();
    desk.observe_state(&web().id, is_running).await;
    let health = desk.health.recv().await.unwrap().health;
    assert!(matches!(health, ActorHealth::Restarting { .. }));
}

#[actix::test]
async fn call_that_never_ends_is_given_up_before_the_deadline_and_harms_no_other() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    podman.fail_once("play", Fault::Stuck);
    let stuck = desk.send(start_of(&web()), MINUTE);
    let other = desk.send(stop_of(&workload("other", json!({"containers": []}))), MINUTE);
    let first = desk.finished.recv().await.unwrap();
    assert_eq!((first.id, first.result), (other, Ok(())));
    let second = desk.finished.recv().await.unwrap();
    assert_eq!(second.id, stuck);
    assert!(matches!(second.result, Err(CommandError::Unavailable { .. })));
    assert!(second.finished_at.monotonic.since_start() < MINUTE);
    assert!(desk.health.try_recv().is_err(), "the executor was not restarted");
}

#[actix::test]
async fn command_after_its_deadline_is_refused_and_touches_nothing() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.send(start_of(&web()), Duration::ZERO);
    let finished = desk.finished.recv().await.unwrap();
    assert_eq!(finished.result, Err(CommandError::Expired));
    assert_eq!(podman.count("play"), 0);
}

#[actix::test]
async fn new_state_is_sent_before_the_command_is_answered() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&web()).await.unwrap();
    let mut last = None;
    while let Ok(seen) = desk.observed.try_recv() {
        last = Some(seen);
    }
    let last = last.unwrap();
    assert_eq!(state_in(&last, &web().id), Some(&CurrentState::Running));
}

#[actix::test]
async fn absent_podman_is_reported_once_and_found_within_a_second_of_its_return() {
    let podman = FakePodman::new();
    podman.fail("events", Fault::Absent);
    podman.fail("containers", Fault::Absent);
    podman.fail("pods", Fault::Absent);
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_err()).await;
    sleep(Duration::from_secs(20)).await;
    assert!(desk.observed.try_recv().is_err(), "the same failure is not reported again so soon");
    podman.mend();
    let back = desk.clock.now().monotonic;
    desk.observe(|seen| seen.pods.is_ok()).await;
    let took = desk.clock.now().monotonic.saturating_since(back);
    assert!(took <= Duration::from_millis(1_100), "{took:?}");
}

#[actix::test]
async fn configuration_that_comes_while_podman_is_away_does_not_pass_for_its_answer() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    for method in ["events", "containers", "pods"] {
        podman.fail(method, Fault::Absent);
    }
    podman.hang_up();
    desk.observe(|seen| seen.pods.is_err()).await;
    desk.configure(&[&web()]);
    sleep(Duration::from_secs(5)).await;
    let sent = std::iter::from_fn(|| desk.observed.try_recv().ok());
    assert!(sent.into_iter().all(|seen| seen.pods.is_err()));
    assert_eq!(desk.reasons(), ["RuntimeUnavailable"]);
}

#[actix::test]
async fn end_of_the_stream_is_followed_by_a_new_one_for_ever() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    for round in 2..6 {
        podman.hang_up();
        sleep(MINUTE).await;
        assert_eq!(podman.count("events"), round);
    }
    desk.run_start(&web()).await.unwrap();
    podman.end_containers(web().id.as_str(), 3);
    let began = desk.clock.now().monotonic;
    let ended = |state: &CurrentState| matches!(state, CurrentState::Exited { .. });
    desk.observe_state(&web().id, ended).await;
    let took = desk.clock.now().monotonic.saturating_since(began);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[actix::test]
async fn burst_of_events_costs_few_listings() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    sleep(Duration::from_secs(5)).await;
    let before = podman.count("containers");
    for _ in 0..1_000 {
        podman.tell("died");
    }
    sleep(Duration::from_secs(2)).await;
    let listings = podman.count("containers") - before;
    assert!((1..=3).contains(&listings), "{listings}");
}

#[actix::test]
async fn listing_begun_before_a_pod_was_stopped_does_not_bring_it_back() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    let other =
        Arc::new(workload("other", json!({"containers": [{"name": "main", "image": "i"}]})));
    desk.run_start(&web()).await.unwrap();
    desk.run_start(&other).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    podman.list_late(Duration::from_secs(3));
    podman.end_containers(other.id.as_str(), 3);
    sleep(Duration::from_millis(500)).await;
    desk.run_stop(&web()).await.unwrap();
    desk.observe(|seen| state_in(seen, &web().id).is_none()).await;
    // That listing is still on its way, with the news of the other pod.
    let ended = |seen: &WorkloadsObserved| {
        assert_eq!(state_in(seen, &web().id), None);
        matches!(state_in(seen, &other.id), Some(CurrentState::Exited { .. }))
    };
    desk.observe(ended).await;
}

#[actix::test]
async fn many_starts_are_reported_without_listing_all_pods_for_each() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    sleep(Duration::from_secs(5)).await;
    let before = podman.count("containers");
    for number in 0..20 {
        let pod = json!({"containers": [{"name": "main", "image": "i"}]});
        let started = Arc::new(workload(&format!("pod{number}"), pod));
        desk.run_start(&started).await.unwrap();
        let runs =
            |seen: &WorkloadsObserved| state_in(seen, &started.id) == Some(&CurrentState::Running);
        desk.observe(runs).await;
    }
    // Each start lists its own pod twice, for which the fake lists all.
    let listings = podman.count("containers") - before;
    assert!(listings <= 2 * 20 + 3, "{listings}");
}

#[actix::test]
async fn idle_executor_lists_once_a_period() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    sleep(Duration::from_secs(5)).await;
    let before = podman.count("containers");
    sleep(MINUTE * 10).await;
    let listings = podman.count("containers") - before;
    // Partial pods are looked for each period, which takes a second listing.
    assert!((20..=40).contains(&listings), "{listings}");
}

#[actix::test]
async fn what_a_command_does_to_its_pod_costs_no_listing_and_what_happens_to_others_does() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    let other = workload("other", json!({"containers": [{"name": "main", "image": "x"}]}));
    desk.run_start(&web()).await.unwrap();
    desk.run_start(&Arc::new(other.clone())).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    podman.fail_once("stop_container", Fault::Delay(Duration::from_secs(10)));
    desk.send(stop_of(&web()), MINUTE);
    sleep(Duration::from_secs(1)).await;
    let before = podman.count("containers");
    podman.tell_of(web().id.as_str(), "died");
    podman.tell_of(web().id.as_str(), "cleanup");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(podman.count("containers"), before);
    podman.end_containers(other.id.as_str(), 3);
    let ended = |state: &CurrentState| matches!(state, CurrentState::Exited { .. });
    desk.observe_state(&other.id, ended).await;
    assert_eq!(desk.finished.recv().await.unwrap().result, Ok(()));
}

#[actix::test]
async fn container_that_ends_while_its_pod_is_started_is_seen() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail_once("containers_of", Fault::Delay(Duration::from_secs(10)));
    desk.send(start_of(&web()), MINUTE);
    sleep(Duration::from_secs(1)).await;
    podman.end_containers(web().id.as_str(), 3);
    let ended = |state: &CurrentState| matches!(state, CurrentState::Exited { .. });
    let began = desk.clock.now().monotonic;
    desk.observe_state(&web().id, ended).await;
    let took = desk.clock.now().monotonic.saturating_since(began);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[actix::test]
async fn start_asks_for_its_pod_only_where_the_last_listing_may_be_wrong() {
    let podman = FakePodman::new();
    let mut first = desk(&podman);
    let mut second = desk_in_paused_time(&podman);
    first.observe(|seen| seen.pods.is_ok()).await;
    second.observe(|seen| seen.pods.is_ok()).await;
    first.run_start(&web()).await.unwrap();
    assert_eq!(podman.count("containers_of"), 1, "only to see that it runs");
    // The other has not listed since: it learns of the pod when podman refuses.
    podman.fail_once("play", Fault::Refused("pod already exists"));
    second.run_start(&web()).await.unwrap();
    assert_eq!((podman.count("play"), podman.count("containers_of")), (2, 2));
    assert_eq!(podman.count("remove_pod"), 0, "what runs is adopted");
    // Once the pod is known, its containers are listed before anything else.
    second.run_start(&web()).await.unwrap();
    assert_eq!((podman.count("play"), podman.count("containers_of")), (2, 3));
}

#[actix::test]
async fn stop_asks_for_the_containers_only_where_they_are_not_known() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    let asked = || (podman.count("containers_of"), podman.count("stop_container"));
    desk.run_start(&web()).await.unwrap();
    desk.run_stop(&web()).await.unwrap();
    assert_eq!(asked(), (1, 1), "by the start only");
    // It is gone, and its former containers are not taken for live ones.
    desk.run_stop(&web()).await.unwrap();
    assert_eq!(asked(), (2, 1));
    // A container that ended by itself is not taken for a live one, and is not stopped.
    desk.run_start(&web()).await.unwrap();
    podman.end_containers(web().id.as_str(), 3);
    let ended = |state: &CurrentState| matches!(state, CurrentState::Exited { .. });
    desk.observe_state(&web().id, ended).await;
    desk.run_stop(&web()).await.unwrap();
    assert_eq!(asked(), (4, 1));
    // After a listing that failed nothing is known.
    desk.run_start(&web()).await.unwrap();
    podman.fail("containers", Fault::Refused("database is locked"));
    podman.tell("died");
    desk.observe(|seen| seen.pods.is_err()).await;
    desk.run_stop(&web()).await.unwrap();
    assert_eq!(asked(), (6, 2));
}

#[actix::test]
async fn late_listing_of_an_ended_container_does_not_hide_the_one_that_runs_now() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&web()).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    podman.list_late(Duration::from_secs(5));
    podman.end_containers(web().id.as_str(), 3);
    sleep(Duration::from_secs(1)).await;
    desk.run_stop(&web()).await.unwrap();
    desk.run_start(&web()).await.unwrap();
    // It has come, and the next one has not.
    sleep(Duration::from_millis(4_500)).await;
    let before = podman.count("stop_container");
    desk.run_stop(&web()).await.unwrap();
    assert_eq!(podman.count("stop_container"), before + 1, "it has its time to end");
}

#[actix::test]
async fn listing_that_fails_is_reported_and_tried_again() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail("containers", Fault::Refused("database is locked"));
    podman.tell("died");
    desk.observe(|seen| {
        let error = seen.pods.as_ref().err();
        error.is_some_and(|error| error.message.contains("database is locked"))
    })
    .await;
    podman.mend();
    desk.observe(|seen| seen.pods.is_ok()).await;
}

#[actix::test]
async fn process_that_vanished_is_believed_after_some_seconds_only() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&web()).await.unwrap();
    podman.lose_processes(web().id.as_str());
    podman.tell("start");
    let began = desk.clock.now().monotonic;
    desk.observe_state(&web().id, |state| match state {
        CurrentState::Exited { ended } => ended[0].exit_code == -1,
        CurrentState::Starting
        | CurrentState::Running
        | CurrentState::Frozen
        | CurrentState::Degraded { .. }
        | CurrentState::Incomplete { .. }
        | CurrentState::Crashing { .. }
        | CurrentState::Suspended
        | CurrentState::Unknown => false,
    })
    .await;
    let took = desk.clock.now().monotonic.saturating_since(began);
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(10), "{took:?}");
}

#[actix::test]
async fn stop_is_tried_again_when_the_removal_fails() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&web()).await.unwrap();
    podman.fail_once("remove_pod", Fault::Refused("conmon exited prematurely"));
    desk.run_stop(&web()).await.unwrap();
    assert_eq!(podman.count("remove_pod"), 2);
}

#[actix::test]
async fn start_that_failed_says_why_although_its_remains_cannot_be_removed() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    podman.fail_once("play", Fault::Refused("address already in use"));
    podman.fail_once("remove_pod", Fault::Stuck);
    let answer = desk.run_start(&web()).await;
    assert!(matches!(answer, Err(CommandError::Start { .. })), "{answer:?}");
    assert_eq!(podman.count("remove_pod"), 1);
}

#[actix::test]
async fn executor_that_missed_a_deadline_is_restarted_and_works_again() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    // The machine was suspended, and podman is slow to come back.
    podman.fail_once("play", Fault::Freeze(MINUTE * 5));
    podman.fail("containers", Fault::Delay(Duration::from_millis(100)));
    let id = desk.send(start_of(&web()), MINUTE);
    let finished = desk.finished.recv().await.unwrap();
    assert_eq!((finished.id, finished.result), (id, Err(CommandError::Abandoned)));
    let ActorHealth::Restarting { cause, failures } = desk.health.recv().await.unwrap().health
    else {
        panic!("the supervisor restarts it");
    };
    assert_eq!((cause.as_str(), failures), ("did not finish a piece of work by its deadline", 1));
    assert_eq!(desk.health.recv().await.unwrap().health, ActorHealth::Up);
    podman.mend();
    desk.run_start(&web()).await.unwrap();
    desk.observe_state(&web().id, is_running).await;
}

#[actix::test]
async fn every_fault_is_reported_once_and_its_end_within_a_period() {
    let second = Duration::from_secs(1);
    pause();
    for fault in [
        Fault::Absent,
        Fault::Refused("database is locked"),
        Fault::Garbled,
        Fault::Cut,
        Fault::Hang(second * 5),
    ] {
        let podman = FakePodman::new();
        let mut desk = desk_in_paused_time(&podman);
        desk.observe(|seen| seen.pods.is_ok()).await;
        desk.reasons();
        for method in ["events", "containers", "pods", "host"] {
            podman.fail(method, fault.clone());
        }
        podman.hang_up();
        sleep(MINUTE * 10).await;
        let sent = std::iter::from_fn(|| desk.observed.try_recv().ok()).count();
        // The whole fact is sent each period; the event is recorded once.
        assert!((15..=25).contains(&sent), "{fault:?}: {sent}");
        assert_eq!(desk.reasons(), ["RuntimeUnavailable"], "{fault:?}");
        podman.mend();
        let mended = desk.clock.now().monotonic;
        desk.observe(|seen| seen.pods.is_ok()).await;
        let took = desk.clock.now().monotonic.saturating_since(mended);
        assert!(took <= second * 31, "{fault:?}: {took:?}");
        assert_eq!(desk.reasons(), ["RuntimeAvailable"], "{fault:?}");
        // The event stream is back within a period as well.
        sleep(second * 31).await;
        desk.run_start(&web()).await.unwrap();
        sleep(second).await;
        podman.end_containers(web().id.as_str(), 1);
        let ended = desk.clock.now().monotonic;
        let exited = |state: &CurrentState| matches!(state, CurrentState::Exited { .. });
        desk.observe_state(&web().id, exited).await;
        let took = desk.clock.now().monotonic.saturating_since(ended);
        assert!(took <= second, "{fault:?}: {took:?}");
    }
}

#[actix::test]
async fn reason_that_changes_with_each_attempt_is_logged_once_a_period() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    desk.reasons();
    for round in 0..60 {
        let cause = if round % 2 == 0 { "one" } else { "two" };
        podman.fail("containers", Fault::Refused(cause));
        podman.tell("died");
        podman.hang_up();
        sleep(Duration::from_secs(1)).await;
    }
    let events = desk.reasons().len();
    assert!((1..=4).contains(&events), "{events}");
}

#[actix::test]
async fn pod_that_another_program_removed_is_gone_and_not_incomplete() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&web()).await.unwrap();
    sleep(MINUTE).await;
    podman.remove_pod(web().id.as_str()).await.unwrap();
    while desk.observed.try_recv().is_ok() {}
    podman.tell("remove");
    let seen = desk.observed.recv().await.unwrap();
    assert_eq!(state_in(&seen, &web().id), None);
}

fn start_with(cpu: Option<u64>) -> Action {
    Action::Start { workload: web(), limits: Limits { cpu, ..Limits::default() } }
}

fn limit(cpu: Option<u64>) -> Action {
    Action::Limit { workload: web(), limits: Limits { cpu, ..Limits::default() } }
}

fn updates(podman: &FakePodman, method: &str) -> Vec<String> {
    let calls = podman.calls().into_iter();
    let calls = calls.filter(|call| call.split(' ').next() == Some(method));
    let cpu = calls.filter(|call| call.contains("quota"));
    cpu.filter_map(|call| Some(call.rsplit_once(' ')?.1.to_owned())).collect()
}

#[actix::test]
async fn limits_of_a_running_pod_change_without_a_restart() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run(start_with(None)).await.unwrap();
    desk.run(limit(Some(20_000))).await.unwrap();
    desk.run(limit(None)).await.unwrap();
    desk.run(start_with(Some(30_000))).await.unwrap();
    let quotas =
        [20_000, -1, 30_000].map(|quota| json!({"cpu": {"period": 100_000, "quota": quota}}));
    assert_eq!(updates(&podman, "update"), quotas.map(|quota| quota.to_string()));
    assert_eq!((podman.count("play"), podman.count("limit_group")), (1, 0));
}

#[actix::test]
async fn limit_command_neither_creates_nor_restarts_a_pod() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run(limit(Some(20_000))).await.unwrap();
    assert_eq!((podman.count("play"), podman.count("update")), (0, 0), "nothing is there");
    desk.run(start_with(None)).await.unwrap();
    podman.end_containers(web().id.as_str(), 3);
    desk.run(limit(Some(20_000))).await.unwrap();
    assert_eq!((podman.count("play"), podman.count("update")), (1, 0), "it ended");
    assert_eq!((podman.count("remove_pod"), podman.count("stop_container")), (0, 0));
}

#[actix::test]
async fn limit_that_podman_refuses_is_written_to_the_control_group_or_reported_once() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run(start_with(None)).await.unwrap();
    podman.fail("update", Fault::Refused("page not found"));
    desk.run(limit(Some(20_000))).await.unwrap();
    assert_eq!(updates(&podman, "limit_group").len(), 1);
    assert!(desk.reasons().is_empty(), "the limit is in force");

    podman.fail("limit_group", Fault::Refused("read-only file system"));
    for cpu in [Some(30_000), Some(30_000), Some(40_000), Some(40_000)] {
        desk.run(limit(cpu)).await.unwrap();
    }
    // CPU and memory, at each of the two changes.
    assert_eq!(desk.reasons(), ["LimitNotApplied"; 4]);
}

#[actix::test]
async fn limit_command_fails_where_podman_does_not_answer() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run(start_with(None)).await.unwrap();
    podman.fail_once("update", Fault::Cut);
    let answer = desk.run(limit(Some(20_000))).await;
    assert!(matches!(answer, Err(CommandError::Unavailable { .. })), "{answer:?}");
    assert!(desk.reasons().is_empty());
}

/// Returns the CPU limits on the levels of the one container that runs.
async fn cpu_in_force(podman: &FakePodman) -> [Option<u64>; 2] {
    let rows = podman.containers().await.unwrap_or_default();
    podman.cpu_limits(&rows[0].id)
}

#[actix::test]
async fn a_limit_that_is_lifted_leaves_nothing_behind_on_any_level() {
    pause();
    for manager in ["systemd", "cgroupfs"] {
        let podman = FakePodman::new();
        podman.limit_as_crun_does(manager);
        let mut desk = desk_in_paused_time(&podman);
        desk.run(start_with(None)).await.unwrap();
        for cpu in [Some(20_000), None, Some(30_000), None] {
            desk.run(limit(cpu)).await.unwrap();
            assert_eq!(cpu_in_force(&podman).await, [cpu; 2], "{manager}");
        }
        assert!(desk.reasons().is_empty(), "{manager}: all is in force");
    }
}

#[actix::test]
async fn a_limit_of_memory_alone_touches_no_cpu_limit() {
    let podman = FakePodman::new();
    podman.limit_as_crun_does("systemd");
    let mut desk = desk(&podman);
    desk.run(start_with(None)).await.unwrap();
    for memory in [Some(64 << 20), None] {
        let limits = Limits { cpu: None, memory, ..Limits::default() };
        desk.run(Action::Limit { workload: web(), limits }).await.unwrap();
    }
    assert_eq!((podman.count("update"), updates(&podman, "update").len()), (2, 0));
}

#[actix::test]
async fn restarted_agent_repairs_lifted_limits_and_changes_nothing_where_all_is_well() {
    let podman = FakePodman::new();
    podman.limit_as_crun_does("systemd");
    let mut older = desk(&podman);
    older.run(start_with(None)).await.unwrap();
    let container = podman.containers().await.unwrap()[0].id.clone();
    for quota in [20_000, -1] {
        let cpu = Some(UpdateCpu { quota, period: 100_000 });
        podman.update(&container, UpdateBody { cpu, memory: None }).await.unwrap();
    }
    assert_eq!(cpu_in_force(&podman).await, [Some(1_000), None], "a hundredth of a processor");
    // Also where podman does not answer at first.
    podman.fail_once("containers", Fault::Hang(Duration::from_secs(5)));
    let mut newer = desk_in_paused_time(&podman);
    newer.observe(|seen| seen.pods.is_ok()).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cpu_in_force(&podman).await, [None; 2]);

    let mut third = desk_in_paused_time(&podman);
    third.observe(|seen| seen.pods.is_ok()).await;
    let calls = ["update", "limit_group", "inspect"].map(|method| podman.count(method));
    third.run(limit(None)).await.unwrap();
    let since = ["update", "limit_group", "inspect"].map(|method| podman.count(method));
    assert_eq!(since, calls);
    assert_eq!(newer.reasons(), ["RuntimeUnavailable", "RuntimeAvailable"]);
    assert!(third.reasons().is_empty());
}

#[actix::test]
async fn limit_that_the_kernel_does_not_keep_is_reported_once_with_its_control_group() {
    let podman = FakePodman::new();
    podman.limit_as_crun_does("cgroupfs");
    podman.fail("limit_group", Fault::Refused("read-only file system"));
    let mut desk = desk(&podman);
    desk.run(start_with(None)).await.unwrap();
    desk.run(limit(Some(20_000))).await.unwrap();
    desk.run(limit(None)).await.unwrap();
    desk.run(limit(None)).await.unwrap();
    let events: Vec<_> = std::iter::from_fn(|| desk.events.try_recv().ok()).collect();
    assert_eq!(events.len(), 1, "{events:?}");
    let (event, id) = (&events[0].event, &podman.containers().await.unwrap()[0].id);
    let expected = format!(
        "the CPU limit of container main: 1000 µs in 100 ms is in force, not none, in control group \
         /{id}.scope"
    );
    assert_eq!(
        (event.reason.as_str(), event.message.as_str()),
        ("LimitNotApplied", expected.as_str())
    );
}

#[actix::test]
async fn startup_error_of_podman_is_reported_once_and_forgotten_when_it_answers() {
    pause();
    let second = Duration::from_secs(1);
    for fault in [Fault::Absent, Fault::Cut, Fault::Hang(second * 5)] {
        let podman = FakePodman::new();
        let mut desk = desk_in_paused_time(&podman);
        desk.observe(|seen| seen.pods.is_ok()).await;
        desk.reasons();
        let message =
            |seen: &WorkloadsObserved| seen.pods.as_ref().err().map(|it| it.message.clone());
        for method in ["events", "containers", "pods", "host"] {
            podman.fail(method, fault.clone());
        }
        podman.end_with(Some("beginning transaction: file is not a database"));
        podman.hang_up();
        let lost = desk.clock.now().monotonic;
        let is_damage = |seen: &WorkloadsObserved| {
            message(seen)
                .is_some_and(|error| error.starts_with("podman's database is damaged; by hand:"))
        };
        desk.observe(is_damage).await;
        let took = desk.clock.now().monotonic.saturating_since(lost);
        assert!(took <= second * 45, "{fault:?}: {took:?}");
        sleep(MINUTE * 2).await;
        let events = ["RuntimeUnavailable"; 2];
        assert_eq!(desk.reasons(), events, "{fault:?}: without podman's error, then with it");

        // The database is repaired, and something else is wrong.
        podman.end_with(Some("unknown event logger type: NOPE"));
        sleep(MINUTE * 3).await;
        desk.observe(|seen| message(seen).is_some_and(|error| error.contains("NOPE"))).await;
        assert_eq!(desk.reasons(), ["RuntimeUnavailable"], "{fault:?}");

        podman.end_with(None);
        podman.mend();
        desk.observe(|seen| seen.pods.is_ok()).await;
        podman.fail("containers", Fault::Absent);
        podman.hang_up();
        desk.observe(|seen| seen.pods.is_err()).await;
        while let Ok(seen) = desk.observed.try_recv() {
            assert!(
                message(&seen).is_none_or(|error| !error.contains("NOPE")),
                "{fault:?}: {seen:?}"
            );
        }
    }
}

/// Returns a desk whose logs of failed runs are kept in `kept` of `folder`.
fn desk_that_keeps_logs(podman: &FakePodman, folder: &Path) -> PodmanDesk {
    pause();
    let (api, volumes) = (Rc::new(podman.clone()), folder.join("volumes"));
    PodmanDesk::start_with(ExecutorKind::PodmanRootful, api, volumes, |deps| {
        let memory = InMemory { kept_logs: Some(folder.join("kept")), ..InMemory::default() };
        deps.disk = on_disk_and_in_memory(&deps.volumes_root, folder, deps.kind, &memory);
    })
}

#[actix::test]
async fn logs_of_a_failed_run_are_kept_before_its_pod_goes_and_hold_it_up_for_two_seconds_at_most()
{
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let podman = FakePodman::new();
    let mut desk = desk_that_keeps_logs(&podman, folder.path());
    let web = web();
    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
    desk.run_stop(&web).await.unwrap();
    assert_eq!(podman.count("log_end"), 0, "it has not failed");

    for again in [true, false] {
        desk.run_start(&web).await.unwrap();
        podman.end_containers(web.id.as_str(), 3);
        desk.observe_state(&web.id, |state| !is_running(state)).await;
        match again {
            true => desk.run_start(&web).await.unwrap(),
            false => desk.run_stop(&web).await.unwrap(),
        }
    }
    let runs = kept_runs(&kept).unwrap();
    let told: Vec<_> = runs.iter().map(|run| (run.workload.as_str(), run.id.as_str())).collect();
    assert_eq!(told, [("web", web.id.as_str()); 2]);
    let KeptLog { name, exit_code, log } = &runs[0].containers[0];
    assert_eq!((name.as_str(), *exit_code), ("main", Some(3)));
    assert!(log.contains("last words of id-"), "{log}");

    desk.run_start(&web).await.unwrap();
    podman.end_containers(web.id.as_str(), 3);
    desk.observe_state(&web.id, |state| !is_running(state)).await;
    podman.fail("log_end", Fault::Stuck);
    let begun = desk.clock.now().monotonic;
    desk.run_stop(&web).await.unwrap();
    let took = desk.clock.now().monotonic.saturating_since(begun);
    assert!((2_000..2_500).contains(&took.as_millis()), "{took:?}");
    assert_eq!(kept_runs(&kept).unwrap(), runs, "it went without evidence");
}

#[actix::test]
async fn log_of_a_run_that_its_probes_gave_up_is_kept_and_reported_if_it_failed_its_proof() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let podman = FakePodman::new();
    let mut desk = desk_that_keeps_logs(&podman, folder.path());
    let web = web();
    for (evidence, kept_runs_then, reasons) in [
        (Evidence::OfFailure, 0, vec![]),
        (Evidence::Kept, 1, vec![]),
        (Evidence::Reported, 2, vec!["RolledBack"]),
    ] {
        desk.run_start(&web).await.unwrap();
        desk.observe_state(&web.id, is_running).await;
        let (id, workload) = (web.id.clone(), web.name.clone());
        desk.run(Action::Stop { id, workload, grace: MINUTE, evidence }).await.unwrap();
        assert_eq!(kept_runs(&kept).unwrap().len(), kept_runs_then, "{evidence:?}");
        assert_eq!(desk.reasons(), reasons, "{evidence:?}");
    }
}
