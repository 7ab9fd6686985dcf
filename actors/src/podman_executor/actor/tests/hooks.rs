//! Tests of hooks: when they run, and what becomes of the pod when they fail.

use super::*;
use crate::testing::fake_podman::ProbeAnswer;
use crate::workload::Health;

const GRACE: Duration = Duration::from_secs(2);

fn desk_over(podman: &FakePodman) -> PodmanDesk {
    let volumes = std::env::temp_dir().join("device-worker-ng-no-volumes");
    let api = Rc::new(podman.clone());
    PodmanDesk::start_with(ExecutorKind::PodmanRootful, api, volumes, |deps| {
        deps.network = Rc::new(podman.clone());
    })
}

/// A pod with one container whose hooks run these commands, or ask these ports.
fn hooked(post_start: Option<&str>, pre_stop: Option<&str>) -> Arc<Workload> {
    let handler = |what: &str| match what.parse::<u16>() {
        Ok(port) => json!({"httpGet": {"port": port}}),
        Err(_) => json!({"exec": {"command": [what]}}),
    };
    let lifecycle = json!({"postStart": post_start.map(handler), "preStop": pre_stop.map(handler)});
    Arc::new(workload(
        "web",
        json!({"containers": [{"name": "main", "image": "localhost/web:1",
        "lifecycle": lifecycle}]}),
    ))
}

/// The calls that make, ask and end containers, in order, without their arguments but those of commands.
fn calls(podman: &FakePodman) -> Vec<String> {
    let calls = podman.calls().into_iter().filter_map(|call| {
        let (method, argument) = call.split_once(' ')?;
        match method {
            "play" | "stop_container" | "remove_pod" => Some(method.to_owned()),
            "exec" | "get" => Some(argument.rsplit([' ', ':']).next()?.to_owned()),
            _ => None,
        }
    });
    calls.collect()
}

/// The messages of the events with that reason that were not returned yet.
fn told(desk: &mut PodmanDesk, reason: &str) -> Vec<String> {
    let events = std::iter::from_fn(|| desk.events.try_recv().ok()).map(|recorded| recorded.event);
    events.filter(|event| event.reason.as_str() == reason).map(|event| event.message).collect()
}

#[actix::test]
async fn hooks_run_after_the_start_and_before_the_stop() {
    pause();
    for (post_start, pre_stop, asked) in
        [("begin", "drain", ["begin", "drain"]), ("8080", "8081", ["8080/", "8081/"])]
    {
        let podman = FakePodman::new();
        let mut desk = desk_over(&podman);
        let web = hooked(Some(post_start), Some(pre_stop));
        desk.run_start(&web).await.unwrap();
        assert_eq!(calls(&podman), ["play", asked[0]]);
        desk.run_stop(&web).await.unwrap();
        assert_eq!(calls(&podman), ["play", asked[0], asked[1], "stop_container", "remove_pod"]);
        assert_eq!(told(&mut desk, "HookFailed"), [""; 0]);
    }
}

#[actix::test]
async fn a_post_start_that_fails_ends_the_run_within_its_grace_period() {
    pause();
    for (answer, expected) in [
        (ProbeAnswer::Code(3), "lifecycle.postStart of container main: exit code 3: no"),
        (ProbeAnswer::Silence, "lifecycle.postStart of container main: no answer within "),
    ] {
        let podman = FakePodman::new();
        let mut desk = desk_over(&podman);
        podman.answer_probes("begin", answer);
        let web = hooked(Some("begin"), Some("drain"));
        let id = desk.send(start_of(&web), 5 * MINUTE);
        let finished = desk.finished.recv().await.unwrap();
        assert_eq!(finished.id, id);
        let Err(CommandError::Start { message }) = finished.result else { panic!("{answer:?}") };
        assert!(message.starts_with(expected), "{message}");
        let expected = ["play", "begin", "drain", "stop_container", "remove_pod"];
        assert_eq!(calls(&podman), expected, "{answer:?}");
        desk.observe(|seen| state_in(seen, &web.id).is_none()).await;
    }
}

/// Whether the pod was last seen as one whose start has not come to its end.
fn is_half_started(state: &CurrentState) -> bool {
    let expected = "its lifecycle.postStart was not seen to end";
    matches!(state, CurrentState::Incomplete { message } if message == expected)
}

#[actix::test]
async fn a_pod_whose_post_start_was_not_seen_to_end_has_not_started_until_it_was() {
    pause();
    // Podman goes away while the hook runs, and before it.
    for (method, begun) in [("exec", 1), ("containers_of", 0)] {
        let podman = FakePodman::new();
        let mut desk = desk_over(&podman);
        desk.observe(|seen| seen.pods.is_ok()).await;
        podman.fail_once(method, Fault::Cut);
        let web = hooked(Some("begin"), None);
        let error = desk.run_start(&web).await.unwrap_err();
        assert!(matches!(error, CommandError::Unavailable { .. }), "{error}");
        desk.observe_state(&web.id, is_half_started).await;
        // Nobody but the scheduler starts a pod.
        sleep(MINUTE).await;
        assert_eq!(podman.count("exec"), begun, "{method}");
        desk.run_start(&web).await.unwrap();
        desk.observe_state(&web.id, is_running).await;
        let hooks = vec!["begin"; begun + 1];
        assert_eq!(calls(&podman), [vec!["play"], hooks].concat(), "of the same pod");
        sleep(MINUTE).await;
        desk.observe_state(&web.id, is_running).await;
    }
}

#[actix::test]
async fn a_pod_whose_executor_is_restarted_during_a_hook_has_not_started() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    podman.answer_probes("begin", ProbeAnswer::Silence);
    let web = hooked(Some("begin"), None);
    let id = desk.send(start_of(&web), 5 * MINUTE);
    desk.observe_state(&web.id, is_running).await;
    podman.fail_once("play", Fault::Panic);
    let other = Arc::new(workload_called("other"));
    desk.send(start_of(&other), MINUTE);
    let answers = [desk.finished.recv().await.unwrap(), desk.finished.recv().await.unwrap()];
    let answer = answers.iter().find(|it| it.id == id).unwrap();
    assert_eq!(answer.result, Err(CommandError::Abandoned));
    desk.observe_state(&web.id, is_half_started).await;
    podman.answer_probes("begin", ProbeAnswer::Code(200));
    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
    assert_eq!(podman.count("exec"), 2);
}

#[actix::test]
async fn a_container_that_ended_meanwhile_is_not_run_again_for_the_hook_of_another() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let hook = json!({"postStart": {"exec": {"command": ["begin"]}}});
    let pod = json!({"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "localhost/web:1", "lifecycle": hook},
        {"name": "once", "image": "localhost/web:1"}]});
    let web = Arc::new(workload("web", pod));
    podman.fail_once("exec", Fault::Cut);
    desk.run_start(&web).await.unwrap_err();
    podman.end_container(web.id.as_str(), "once", 0);
    desk.observe_state(&web.id, is_half_started).await;
    desk.run_start(&web).await.unwrap();
    assert_eq!(calls(&podman), ["play", "begin", "begin"]);
    desk.observe_state(&web.id, |state| matches!(state, CurrentState::Degraded { .. })).await;
}

#[actix::test]
async fn a_container_has_not_started_while_its_post_start_runs() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    podman.answer_probes("begin", ProbeAnswer::Silence);
    let web = hooked(Some("begin"), None);
    desk.send(start_of(&web), 5 * MINUTE);
    desk.observe(|seen| {
        let pods = seen.pods.as_ref().unwrap();
        pods.iter().any(|pod| {
            let healths = pod.health.0.iter();
            let healths: Vec<_> = healths.map(|it| (it.container.as_str(), &it.health)).collect();
            let reason = Some("lifecycle.postStart runs".to_owned());
            pod.id == web.id && healths == [("main", &Health::Starting { reason })]
        })
    })
    .await;
    podman.answer_probes("begin", ProbeAnswer::Code(200));
}

#[actix::test]
async fn a_pre_stop_that_fails_is_told_once_and_stops_nothing() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = hooked(None, Some("drain"));
    let failed =
        "lifecycle.preStop of container main: exit code 4: no; it was stopped all the same";
    for (answer, expected) in [
        (ProbeAnswer::Code(4), &[failed][..]),
        (ProbeAnswer::Code(4), &[]),
        (ProbeAnswer::Code(200), &[]),
        (ProbeAnswer::Code(4), &[failed]),
    ] {
        podman.answer_probes("drain", answer);
        desk.run_start(&web).await.unwrap();
        desk.run_stop(&web).await.unwrap();
        assert_eq!(told(&mut desk, "HookFailed"), expected, "{answer:?}");
        assert_eq!(calls(&podman).last().unwrap(), "remove_pod");
    }
}

#[actix::test]
async fn a_pre_stop_that_hangs_is_ended_with_the_grace_period() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    podman.answer_probes("drain", ProbeAnswer::Silence);
    let web = hooked(None, Some("drain"));
    desk.run_start(&web).await.unwrap();
    let begun = desk.clock.now().monotonic;
    desk.run_stop(&web).await.unwrap();
    let took = desk.clock.now().monotonic.saturating_since(begun);
    assert!((GRACE..GRACE * 2).contains(&took), "{took:?}");
    let told = told(&mut desk, "HookFailed");
    assert!(
        told[0].contains("preStop of container main: no answer within 2 s; it was"),
        "{told:?}"
    );
}

#[actix::test]
async fn a_container_that_has_ended_has_no_hook_and_no_hook_runs_twice_in_one_stop() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = hooked(None, Some("drain"));
    desk.run_start(&web).await.unwrap();
    podman.end_containers(web.id.as_str(), 1);
    desk.observe_state(&web.id, |state| !is_running(state)).await;
    desk.run_stop(&web).await.unwrap();
    assert_eq!(podman.count("exec"), 0);

    desk.run_start(&web).await.unwrap();
    podman.fail_once("remove_pod", Fault::Refused("conmon exited prematurely"));
    desk.run_stop(&web).await.unwrap();
    assert_eq!(podman.count("remove_pod"), 3);
    assert_eq!(podman.count("exec"), 1);
}

#[actix::test]
async fn the_machine_going_down_runs_pre_stop_and_a_pod_that_is_no_longer_configured_has_it_too() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let (web, other) =
        (hooked(None, Some("drain")), Arc::new(workload("other", json!({"containers": []}))));
    desk.configure(&[&web]);
    desk.run_start(&web).await.unwrap();
    desk.configure(&[&other]);
    let (id, workload) = (web.id.clone(), web.name.clone());
    desk.run(Action::Halt { id, workload, grace: GRACE }).await.unwrap();
    assert_eq!(calls(&podman), ["play", "drain", "stop_container"]);

    // The executor has begun anew meanwhile.
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    desk.configure(&[&web]);
    desk.run_start(&web).await.unwrap();
    desk.configure(&[&other]);
    podman.fail_once("play", Fault::Panic);
    let broken = desk.run_start(&Arc::new(workload_called("broken"))).await;
    assert_eq!(broken, Err(CommandError::Abandoned));
    desk.run_stop(&web).await.unwrap();
    assert_eq!(calls(&podman), ["play", "play", "drain", "stop_container", "remove_pod"]);
}

fn workload_called(name: &str) -> Workload {
    workload(name, json!({"containers": [{"name": "main", "image": "localhost/web:1"}]}))
}

#[actix::test]
async fn without_a_grace_period_there_is_no_time_for_a_hook() {
    pause();
    let podman = FakePodman::new();
    let mut desk = desk_over(&podman);
    let web = hooked(None, Some("drain"));
    desk.run_start(&web).await.unwrap();
    let (id, workload) = (web.id.clone(), web.name.clone());
    desk.run(Action::Stop { id, workload, grace: Duration::ZERO, evidence: Evidence::default() })
        .await
        .unwrap();
    assert_eq!(calls(&podman), ["play", "stop_container", "remove_pod"]);
}
