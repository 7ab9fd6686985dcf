//! The actor over a podman that is slow, in virtual time: what it is asked, and what it is not.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{pause, sleep};

use crate::messages::{CommandError, CommandId};
use crate::podman_executor::libpod::api::PodmanApi as _;
use crate::testing::fake_podman::{FakePodman, Fault};
use crate::testing::podman_desk::{PodmanDesk, start_of, state_in, stop_of, workload};
use crate::workload::{CurrentState, ExecutorKind, Workload};

const MINUTE: Duration = Duration::from_secs(60);
/// Time for a start, as the scheduler gives it.
const START: Duration = Duration::from_secs(300);

fn pod(number: usize) -> Arc<Workload> {
    let pod = json!({"containers": [{"name": "main", "image": "localhost/web:1"}]});
    Arc::new(workload(&format!("pod{number}"), pod))
}

fn desk(podman: &FakePodman) -> PodmanDesk {
    pause();
    let volumes = std::env::temp_dir().join("device-worker-ng-no-volumes");
    PodmanDesk::start(ExecutorKind::PodmanRootful, Rc::new(podman.clone()), volumes)
}

/// Makes every call take so long.
fn slow_down(podman: &FakePodman, answer: Duration) {
    for method in [
        "host",
        "events",
        "containers",
        "containers_of",
        "pods",
        "pod",
        "inspect",
        "play",
        "stop_container",
        "remove_pod",
        "update",
        "image_id",
        "pull",
    ] {
        podman.fail(method, Fault::Delay(answer));
    }
}

async fn answers(
    desk: &mut PodmanDesk,
    count: usize,
) -> Vec<(CommandId, Result<(), CommandError>)> {
    let mut answers = Vec::new();
    while answers.len() < count
        && let Some(finished) = desk.finished.recv().await
    {
        answers.push((finished.id, finished.result));
    }
    assert_eq!(answers.len(), count, "every command is answered");
    answers
}

/// Starts the first pod, which podman makes after a while, and lets the executor panic over the second.
async fn begin_and_panic(desk: &mut PodmanDesk, podman: &FakePodman, slow: &Arc<Workload>) {
    podman.fail_once("play", Fault::Delay(Duration::from_secs(40)));
    podman.fail_once("play", Fault::Panic);
    desk.send(start_of(slow), START);
    sleep(Duration::from_secs(1)).await;
    desk.send(start_of(&pod(2)), START);
    for (_, answer) in answers(desk, 2).await {
        assert_eq!(answer, Err(CommandError::Abandoned));
    }
}

#[actix::test]
async fn facts_that_many_starts_wait_for_are_asked_for_once() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail("host", Fault::Delay(Duration::from_secs(3)));
    for number in 0..8 {
        desk.send(start_of(&pod(number)), START);
    }
    for (id, answer) in answers(&mut desk, 8).await {
        assert_eq!(answer, Ok(()), "{id:?}");
    }
    assert_eq!(podman.count("host"), 1);
    sleep(MINUTE * 60).await;
    desk.run_start(&pod(9)).await.unwrap();
    assert_eq!(podman.count("host"), 1, "they do not change");
}

#[actix::test]
async fn facts_that_come_too_late_for_some_serve_all_others() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail("host", Fault::Delay(Duration::from_secs(28)));
    let mut started = 0;
    for _ in 0..4 {
        for number in 0..4 {
            desk.send(start_of(&pod(number)), START);
        }
        let all = answers(&mut desk, 4).await;
        started = all.iter().filter(|(_, answer)| answer.is_ok()).count();
    }
    assert_eq!(started, 4);
    assert_eq!(podman.count("host"), 1);
}

#[actix::test]
async fn facts_are_asked_for_again_once_the_service_was_restarted() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&pod(0)).await.unwrap();
    podman.hang_up();
    sleep(MINUTE).await;
    desk.run_start(&pod(1)).await.unwrap();
    assert_eq!(podman.count("host"), 2);
    // No event has announced this one.
    podman.fail_once("containers", Fault::Cut);
    podman.tell("died");
    sleep(MINUTE).await;
    desk.run_start(&pod(2)).await.unwrap();
    assert_eq!(podman.count("host"), 3);
}

#[actix::test]
async fn question_that_was_given_up_is_not_asked_again_while_podman_works_on_it() {
    let podman = FakePodman::new();
    podman.fail("containers", Fault::Delay(Duration::from_secs(14)));
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_err()).await;
    for _ in 0..60 {
        podman.tell("died");
        sleep(Duration::from_secs(1)).await;
        let elapsed = desk.clock.now().monotonic.since_start().as_secs();
        let asked = podman.count("containers");
        assert!(asked as u64 <= 1 + elapsed / 14, "{asked} in {elapsed} s");
    }
    // By now it is known how long this podman takes.
    while desk.observed.try_recv().is_ok() {}
    sleep(MINUTE * 5).await;
    let observed = std::iter::from_fn(|| desk.observed.try_recv().ok());
    let failed = observed.filter(|seen| seen.pods.is_err()).count();
    assert_eq!(failed, 0);
}

#[actix::test]
async fn calls_under_way_are_bounded_however_many_pods_there_are() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    slow_down(&podman, Duration::from_secs(2));
    for number in 0..100 {
        desk.send(start_of(&pod(number)), START);
    }
    let all = answers(&mut desk, 100).await;
    assert!(all.iter().all(|(_, answer)| answer.is_ok()), "{all:?}");
    let starting = podman.most_at_once();
    assert!(starting <= 26, "ten short ones and sixteen starts: {starting}");
    for number in 0..100 {
        desk.send(stop_of(&pod(number)), START);
    }
    let all = answers(&mut desk, 100).await;
    assert!(all.iter().all(|(_, answer)| answer.is_ok()), "{all:?}");
    let stopping = podman.most_at_once();
    assert!(stopping <= 42, "ten short ones and thirty-two stops: {stopping}");
}

#[actix::test]
async fn long_calls_hold_up_no_short_one() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail("play", Fault::Stuck);
    podman.fail("pull", Fault::Stuck);
    for number in 0..40 {
        desk.send(start_of(&pod(number)), START);
        desk.send(crate::messages::Action::Pull { workload: pod(number) }, START);
    }
    sleep(Duration::from_secs(1)).await;
    while desk.observed.try_recv().is_ok() {}
    podman.tell("died");
    let began = desk.clock.now().monotonic;
    desk.observe(|seen| seen.pods.is_ok()).await;
    desk.run_stop(&pod(99)).await.unwrap();
    let took = desk.clock.now().monotonic.saturating_since(began);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[actix::test]
async fn start_that_podman_finishes_late_is_adopted_and_not_undone() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail_once("play", Fault::Delay(Duration::from_secs(330)));
    desk.send(start_of(&pod(0)), START);
    let first = desk.finished.recv().await.unwrap().result;
    assert!(matches!(first, Err(CommandError::Unavailable { .. })), "{first:?}");
    desk.send(start_of(&pod(0)), START);
    let second = desk.finished.recv().await.unwrap().result;
    assert_eq!(second, Ok(()));
    assert_eq!((podman.count("play"), podman.count("remove_pod")), (1, 0));
    let runs = |state: &CurrentState| *state == CurrentState::Running;
    desk.observe_state(&pod(0).id, runs).await;
}

#[actix::test]
async fn start_whose_init_containers_have_no_time_left_is_undone() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    let container = json!([{"name": "main", "image": "localhost/web:1"}]);
    let with_init = json!({"containers": container, "initContainers": container});
    podman.fail_once("play", Fault::Delay(Duration::from_secs(330)));
    desk.send(start_of(&Arc::new(workload("init", with_init))), START);
    let answer = desk.finished.recv().await.unwrap().result;
    assert!(matches!(answer, Err(CommandError::Start { .. })), "{answer:?}");
    assert_eq!(podman.count("remove_pod"), 1);
}

#[actix::test]
async fn start_waits_for_the_removal_that_podman_goes_on_with() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&pod(0)).await.unwrap();
    podman.fail_once("remove_pod", Fault::Delay(Duration::from_secs(70)));
    desk.send(stop_of(&pod(0)), Duration::from_secs(42));
    let stopped = desk.finished.recv().await.unwrap().result;
    assert!(matches!(stopped, Err(CommandError::Unavailable { .. })), "{stopped:?}");
    desk.send(start_of(&pod(0)), START);
    assert_eq!(desk.finished.recv().await.unwrap().result, Ok(()));
    assert_eq!((podman.count("play"), podman.count("remove_pod")), (2, 1));
    desk.observe(|seen| state_in(seen, &pod(0).id) == Some(&CurrentState::Running)).await;
}

#[actix::test]
async fn podman_that_is_too_slow_is_reported_with_the_reason_until_it_is_quick_again() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    assert_eq!(desk.reasons(), [""; 0]);
    slow_down(&podman, Duration::from_secs(14));
    for _ in 0..20 {
        podman.tell("died");
        sleep(MINUTE).await;
    }
    desk.observe(|seen| {
        let slow = seen.slow.as_deref().unwrap_or_default();
        slow.starts_with("podman is too slow: it takes 14 s for an answer")
    })
    .await;
    assert!(desk.reasons().contains(&"RuntimeSlow"));
    podman.mend();
    sleep(MINUTE * 20).await;
    while desk.observed.try_recv().is_ok() {}
    desk.observe(|seen| seen.pods.is_ok() && seen.slow.is_none()).await;
    assert_eq!(desk.reasons().last(), Some(&"RuntimeAvailable"));
}

#[actix::test]
async fn executor_that_is_restarted_still_knows_what_podman_works_on() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&pod(0)).await.unwrap();
    begin_and_panic(&mut desk, &podman, &pod(1)).await;
    desk.send(start_of(&pod(1)), START);
    assert_eq!(desk.finished.recv().await.unwrap().result, Ok(()));
    assert_eq!(podman.count("play"), 3, "the pods 0, 1 and 2 once each");
    assert_eq!(podman.count("host"), 1);
}

#[actix::test]
async fn stop_of_a_pod_that_an_abandoned_start_is_still_to_make_leaves_none() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    begin_and_panic(&mut desk, &podman, &pod(1)).await;
    desk.send(stop_of(&pod(1)), START);
    assert_eq!(desk.finished.recv().await.unwrap().result, Ok(()));
    sleep(MINUTE * 2).await;
    assert_eq!(podman.containers().await.unwrap(), [], "{:?}", podman.calls());
}

#[actix::test]
async fn volumes_of_a_pod_that_an_abandoned_start_is_still_to_make_are_not_swept_away() {
    let podman = FakePodman::new();
    pause();
    let volumes = tempfile::tempdir().unwrap();
    let root = volumes.path().join("volumes");
    let kind = ExecutorKind::PodmanRootful;
    let mut desk = PodmanDesk::start(kind, Rc::new(podman.clone()), root.clone());
    desk.observe(|seen| seen.pods.is_ok()).await;
    let with_volume = Arc::new(workload(
        "kept",
        json!({
            "containers": [{"name": "main", "image": "localhost/web:1",
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        }),
    ));
    begin_and_panic(&mut desk, &podman, &with_volume).await;
    let folder = root.join(with_volume.id.as_str());
    assert!(folder.is_dir());
    desk.configure(&[]);
    // Longer than the sweep takes, and not so long that podman has made the pod.
    sleep(Duration::from_secs(10)).await;
    assert!(folder.is_dir(), "podman mounts it at any moment");
    let names = podman.containers().await.unwrap().into_iter().map(|row| row.pod_name);
    assert!(!names.into_iter().any(|name| name == with_volume.id.as_str()), "it is not made yet");
}
