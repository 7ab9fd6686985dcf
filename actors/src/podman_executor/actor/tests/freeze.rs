//! Tests of pods that are frozen, by a command or by hand, and of pods that are squeezed.

use super::*;
use crate::messages::CommandId;
use crate::testing::fake_podman::ProbeAnswer;
use crate::workload::Health;

const GRACE: Duration = Duration::from_secs(2);

fn desk_over(podman: &FakePodman) -> PodmanDesk {
    pause();
    desk_over_in_paused_time(podman)
}

fn desk_over_in_paused_time(podman: &FakePodman) -> PodmanDesk {
    let volumes = std::env::temp_dir().join("device-worker-ng-no-volumes");
    let api = Rc::new(podman.clone());
    PodmanDesk::start_with(ExecutorKind::PodmanRootful, api, volumes, |deps| {
        deps.network = Rc::new(podman.clone());
    })
}

/// A pod with two containers.
fn pair() -> Arc<Workload> {
    let container = |name: &str| json!({"name": name, "image": "localhost/web:1"});
    let pod = json!({"containers": [container("main"), container("side")]});
    Arc::new(workload("web", pod))
}

fn freeze(workload: &Workload) -> Action {
    Action::Freeze { id: workload.id.clone(), workload: workload.name.clone() }
}

fn thaw(workload: &Workload) -> Action {
    Action::Thaw { id: workload.id.clone(), workload: workload.name.clone() }
}

fn is_frozen(state: &CurrentState) -> bool {
    *state == CurrentState::Frozen
}

/// The states of the containers, in the order in which they were made.
async fn states(podman: &FakePodman) -> Vec<String> {
    let rows = podman.containers().await.unwrap_or_default();
    rows.into_iter().map(|row| row.state).collect()
}

/// The calls to `methods`, in order.
fn calls(podman: &FakePodman, methods: &[&str]) -> Vec<String> {
    let calls = podman.calls().into_iter();
    let calls = calls.filter_map(|call| Some(call.split_once(' ')?.0.to_owned()));
    calls.filter(|method| methods.contains(&method.as_str())).collect()
}

#[actix::test]
async fn a_pod_is_frozen_and_thawed_and_each_is_seen_before_the_answer() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = pair();
    desk.run_start(&web).await.unwrap();
    for _ in 0..2 {
        // Again is no error.
        for _ in 0..2 {
            desk.run(freeze(&web)).await.unwrap();
            assert_eq!(states(&podman).await, ["paused"; 2]);
            desk.observe_state(&web.id, is_frozen).await;
        }
        for _ in 0..2 {
            desk.run(thaw(&web)).await.unwrap();
            assert_eq!(states(&podman).await, ["running"; 2]);
            desk.observe_state(&web.id, is_running).await;
        }
    }
    assert_eq!((podman.count("play"), podman.count("stop_container")), (1, 0));
    assert_eq!(desk.reasons(), [""; 0]);
}

#[actix::test]
async fn what_does_not_run_cannot_be_frozen_and_is_thawed_already() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = pair();
    let nothing = CommandError::Freeze { message: "nothing of it runs".to_owned() };
    assert_eq!(desk.run(freeze(&web)).await, Err(nothing.clone()), "it is not there");
    desk.run(thaw(&web)).await.unwrap();
    desk.run_start(&web).await.unwrap();
    podman.end_containers(web.id.as_str(), 3);
    assert_eq!(desk.run(freeze(&web)).await, Err(nothing), "it has ended");
    desk.run(thaw(&web)).await.unwrap();
    assert_eq!((podman.count("pause"), podman.count("unpause")), (0, 0));
}

#[actix::test]
async fn half_a_freeze_is_undone() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = pair();
    desk.run_start(&web).await.unwrap();
    podman.fail_once("pause", Fault::Refused("no freezer"));
    let expected = "failed to freeze or thaw the pod: failed to pause: no freezer";
    assert_eq!(desk.run(freeze(&web)).await.unwrap_err().to_string(), expected);
    assert_eq!(states(&podman).await, ["running"; 2]);
    desk.observe_state(&web.id, is_running).await;

    podman.fail_once("pause", Fault::Cut);
    let error = desk.run(freeze(&web)).await.unwrap_err();
    assert!(matches!(error, CommandError::Unavailable { .. }), "{error}");
    assert_eq!(states(&podman).await, ["running"; 2]);
}

#[actix::test]
async fn podman_without_root_on_the_first_generation_of_control_groups_freezes_nothing() {
    let podman = FakePodman::new();
    podman.be_rootless_on_v1();
    let mut desk = desk_over(&podman);
    let web = pair();
    desk.run_start(&web).await.unwrap();
    let error = desk.run(freeze(&web)).await.unwrap_err();
    assert!(matches!(error, CommandError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("cgroup v2"), "{error}");
    assert_eq!(podman.count("pause"), 0);
}

/// A pod whose one container has a `preStop` that runs `drain`.
fn draining() -> Arc<Workload> {
    let lifecycle = json!({"preStop": {"exec": {"command": ["drain"]}}});
    let pod = json!({"containers": [{"name": "main", "image": "localhost/web:1",
        "lifecycle": lifecycle}]});
    Arc::new(workload("web", pod))
}

const ENDING: [&str; 4] = ["unpause", "exec", "stop_container", "remove_pod"];

#[actix::test]
async fn a_frozen_pod_is_thawed_before_it_is_stopped_whoever_froze_it() {
    pause();
    let web = draining();
    for by_hand in [false, true] {
        let podman = FakePodman::new();
        let mut desk = desk_over_in_paused_time(&podman);
        desk.run_start(&web).await.unwrap();
        match by_hand {
            false => desk.run(freeze(&web)).await.unwrap(),
            true => {
                podman.pause_by_hand(web.id.as_str(), true);
                desk.observe_state(&web.id, is_frozen).await;
            }
        }
        desk.run_stop(&web).await.unwrap();
        assert_eq!(calls(&podman, &ENDING), ENDING, "{by_hand}");
        assert_eq!(states(&podman).await, [""; 0]);
    }
}

#[actix::test]
async fn a_pod_that_was_paused_a_moment_ago_still_gets_its_sigterm() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = pair();
    desk.run_start(&web).await.unwrap();
    podman.list_late(MINUTE);
    podman.pause_by_hand(web.id.as_str(), true);
    desk.run_stop(&web).await.unwrap();
    let each = ["stop_container", "unpause", "stop_container"];
    assert_eq!(calls(&podman, &ENDING), [&each[..], &each[..], &["remove_pod"]].concat());
}

#[actix::test]
async fn a_frozen_pod_is_thawed_before_it_is_halted() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = draining();
    desk.run_start(&web).await.unwrap();
    desk.run(freeze(&web)).await.unwrap();
    let (id, workload) = (web.id.clone(), web.name.clone());
    desk.run(Action::Halt { id, workload, grace: GRACE }).await.unwrap();
    assert_eq!(calls(&podman, &ENDING), ENDING[..3]);
    assert_eq!(states(&podman).await, ["exited"]);
}

#[actix::test]
async fn a_start_that_finds_its_pod_frozen_thaws_it_and_makes_no_other() {
    let podman = FakePodman::new();
    let mut first = desk_over(&podman);
    let web = pair();
    first.run_start(&web).await.unwrap();
    first.run(freeze(&web)).await.unwrap();
    // An agent that has listed, and one to which only the name that is taken says that there is one.
    for has_listed in [true, false] {
        let mut next = desk_in_paused_time(&podman);
        next.observe_state(&web.id, is_frozen).await;
        if !has_listed {
            first.run_stop(&web).await.unwrap();
            next.observe(|seen| state_in(seen, &web.id).is_none()).await;
            first.run_start(&web).await.unwrap();
            podman.fail_once("play", Fault::Refused("pod already exists"));
            podman.pause_by_hand(web.id.as_str(), true);
        }
        let made = podman.count("remove_pod");
        next.run_start(&web).await.unwrap();
        next.observe_state(&web.id, is_running).await;
        assert_eq!(states(&podman).await, ["running"; 2]);
        assert_eq!(podman.count("remove_pod"), made, "{has_listed}");
        podman.pause_by_hand(web.id.as_str(), true);
    }
}

/// A pod whose one container is asked each second by `command`, beginning 10 s after its start.
fn probed(kind: &str, failures: u32) -> Arc<Workload> {
    let probe = json!({"exec": {"command": ["ask"]}, "periodSeconds": 1, "timeoutSeconds": 1,
        "initialDelaySeconds": 10, "failureThreshold": failures});
    let pod = json!({"containers": [{"name": "main", "image": "localhost/web:1", kind: probe}]});
    Arc::new(workload("web", pod))
}

async fn asked_within(podman: &FakePodman, time: Duration) -> usize {
    let before = podman.count("exec");
    sleep(time).await;
    podman.count("exec") - before
}

/// Returns whether the probes of the pod have given a container up, as was last seen.
fn has_failed(desk: &mut PodmanDesk) -> bool {
    let seen = std::iter::from_fn(|| desk.observed.try_recv().ok());
    let mut pods = seen.filter_map(|seen| seen.pods.ok()).flatten();
    pods.any(|pod| pod.health.0.iter().any(|it| matches!(it.health, Health::Failing { .. })))
}

#[actix::test]
async fn a_frozen_pod_is_not_probed_and_its_probes_begin_with_a_clean_count_after_that() {
    let second = Duration::from_secs(1);
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = probed("livenessProbe", 3);
    desk.run_start(&web).await.unwrap();
    sleep(20 * second).await;
    assert!(asked_within(&podman, 5 * second).await >= 4);
    for _ in 0..5 {
        // Two failures each time are less than three in a row.
        podman.answer_probes("ask", ProbeAnswer::Code(1));
        let before = podman.count("exec");
        while podman.count("exec") < before + 2 {
            sleep(second / 10).await;
        }
        desk.run(freeze(&web)).await.unwrap();
        assert_eq!(asked_within(&podman, 5 * MINUTE).await, 0);
        desk.run(thaw(&web)).await.unwrap();
        assert!(asked_within(&podman, 2 * second).await >= 1, "without its initial delay");
        podman.answer_probes("ask", ProbeAnswer::Code(200));
        sleep(2 * second).await;
    }
    assert!(!has_failed(&mut desk));
    podman.answer_probes("ask", ProbeAnswer::Code(1));
    sleep(5 * second).await;
    assert!(has_failed(&mut desk), "it is probed as before");
}

#[actix::test]
async fn the_time_in_which_a_container_is_frozen_is_no_part_of_its_initial_delay() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = probed("startupProbe", 3);
    desk.run_start(&web).await.unwrap();
    desk.run(freeze(&web)).await.unwrap();
    assert_eq!(asked_within(&podman, 5 * MINUTE).await, 0);
    desk.run(thaw(&web)).await.unwrap();
    sleep(MINUTE).await;
    let is_ready = |seen: &WorkloadsObserved| {
        seen.pods.as_ref().is_ok_and(|pods| pods.iter().any(|pod| pod.health.is_ready()))
    };
    desk.observe(is_ready).await;
}

#[actix::test]
async fn the_health_check_of_an_image_rests_while_its_container_is_paused_by_hand() {
    let podman = FakePodman::new();
    podman.check_health_with(&["ask"]);
    let mut desk = desk_over(&podman);
    let web = pair();
    desk.configure(&[&web]);
    desk.run_start(&web).await.unwrap();
    assert!(asked_within(&podman, MINUTE).await > 10);
    podman.pause_by_hand(web.id.as_str(), true);
    desk.observe_state(&web.id, is_frozen).await;
    assert_eq!(asked_within(&podman, 5 * MINUTE).await, 0);
    podman.pause_by_hand(web.id.as_str(), false);
    desk.observe_state(&web.id, is_running).await;
    assert!(asked_within(&podman, MINUTE).await > 10);
    assert_eq!(podman.count("healthcheck"), 1, "the image is not asked again");
}

#[actix::test]
async fn limits_are_brought_to_a_frozen_pod_as_well() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    desk.run_start(&web()).await.unwrap();
    desk.run(freeze(&web())).await.unwrap();
    desk.run(limit(Some(20_000))).await.unwrap();
    assert_eq!(updates(&podman, "update").len(), 1);
    assert_eq!(states(&podman).await, ["paused"]);
}

fn squeeze(cpu: Option<u64>, squeezed: bool) -> Action {
    Action::Limit { workload: web(), limits: Limits { cpu, squeezed, ..Limits::default() } }
}

#[actix::test]
async fn a_pod_is_squeezed_beside_its_limits_and_released_again() {
    let podman = FakePodman::new();
    podman.limit_as_crun_does("cgroupfs");
    let mut desk = desk_over(&podman);
    desk.run(start_with(None)).await.unwrap();
    let id = podman.containers().await.unwrap()[0].id.clone();
    for (cpu, squeezed) in [(None, true), (Some(20_000), true), (Some(20_000), false)] {
        desk.run(squeeze(cpu, squeezed)).await.unwrap();
        assert_eq!((podman.is_squeezed(&id), podman.cpu_limits(&id)), (squeezed, [cpu; 2]));
    }
    assert_eq!(desk.reasons(), [""; 0]);
}

#[actix::test]
async fn a_pod_that_cannot_be_squeezed_has_its_other_limits_all_the_same() {
    let podman = FakePodman::new();
    podman.limit_as_crun_does("cgroupfs");
    let mut desk = desk_over(&podman);
    desk.run(start_with(None)).await.unwrap();
    let id = podman.containers().await.unwrap()[0].id.clone();
    podman.fail("squeeze", Fault::Refused("cgroup v1 has no memory.high; boot with v2"));
    for _ in 0..2 {
        let error = desk.run(squeeze(Some(20_000), true)).await.unwrap_err();
        assert!(matches!(error, CommandError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("the memory of container main is not squeezed"));
        assert!(error.to_string().ends_with("boot with v2"), "{error}");
        assert_eq!(podman.cpu_limits(&id), [Some(20_000); 2]);
    }
}

#[actix::test]
async fn a_pod_that_an_agent_left_squeezed_is_released_by_the_next() {
    let podman = FakePodman::new();
    let mut older = desk_over(&podman);
    older.run(start_with(None)).await.unwrap();
    older.run(squeeze(None, true)).await.unwrap();
    let id = podman.containers().await.unwrap()[0].id.clone();
    assert!(podman.is_squeezed(&id));
    let mut newer = desk_in_paused_time(&podman);
    newer.observe(|seen| seen.pods.is_ok()).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!podman.is_squeezed(&id));
}

#[actix::test]
async fn a_freeze_that_podman_answers_late_is_not_done_after_the_thaw() {
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = pair();
    desk.run_start(&web).await.unwrap();
    podman.fail_once("pause", Fault::Delay(Duration::from_secs(20)));
    let ids: [CommandId; 2] = [desk.send(freeze(&web), MINUTE), desk.send(thaw(&web), 2 * MINUTE)];
    let mut answered = Vec::new();
    for _ in ids {
        answered.push(desk.finished.recv().await.unwrap());
    }
    sleep(MINUTE).await;
    assert_eq!(states(&podman).await, ["running"; 2], "{answered:?}");
}
