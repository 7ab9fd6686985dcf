//! Pods that are frozen, by a command or by hand.

use std::path::Path;

use actors::podman_executor::PodmanApi as _;
use tempfile::TempDir;

use super::*;

/// A pod that counts in the file `count` of `folder`, and writes `seen` there when it gets SIGTERM.
fn counting(folder: &Path) -> Arc<Workload> {
    let script = "trap 'echo SIGTERM > /out/seen; exit 0' TERM; n=0; \
        while :; do n=$((n+1)); echo $n > /out/next; mv /out/next /out/count; sleep 0.05; done";
    let mut main = container("main", script);
    main["volumeMounts"] = json!([{"name": "out", "mountPath": "/out"}]);
    let mut spec = pod(vec![main]);
    spec["volumes"] = json!([{"name": "out", "hostPath": {"path": folder}}]);
    Arc::new(workload("web", spec))
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

fn count(folder: &TempDir) -> u64 {
    let text = std::fs::read_to_string(folder.path().join("count")).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

async fn counts(folder: &TempDir) -> bool {
    let before = count(folder);
    for _ in 0..100 {
        if count(folder) > before {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

fn pid(podman: &HermeticPodman, workload: &Workload) -> Value {
    let path = format!("containers/{}/json", container_name(workload, "main"));
    podman.json(&path)["State"]["Pid"].clone()
}

/// Pauses the containers of `workload` as its administrator does.
fn pause_by_hand(podman: &HermeticPodman, workload: &Workload) {
    let (status, answer) =
        podman.ask("POST", &format!("pods/{}/pause", workload.id), &[], &[]).unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
}

#[actix::test]
async fn a_frozen_pod_does_nothing_and_goes_on_where_it_was() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let folder = tempfile::tempdir().unwrap();
    let web = counting(folder.path());
    desk.run_start(&web).await.unwrap();
    assert!(counts(&folder).await);
    let first = pid(&podman, &web);
    for _ in 0..2 {
        for _ in 0..2 {
            desk.run(freeze(&web)).await.unwrap();
            desk.observe_state(&web.id, is_frozen).await;
        }
        assert!(!counts(&folder).await);
        for _ in 0..2 {
            desk.run(thaw(&web)).await.unwrap();
            desk.observe_state(&web.id, is_running).await;
        }
        assert!(counts(&folder).await);
    }
    // A new agent adopts it as it is.
    desk.run(freeze(&web)).await.unwrap();
    let mut next = rootful(&podman);
    next.observe_state(&web.id, is_frozen).await;
    next.run_start(&web).await.unwrap();
    assert!(counts(&folder).await);
    assert_eq!(pid(&podman, &web), first, "it was not started again");
    assert_eq!((desk.reasons(), next.reasons()), (vec![], vec![]));
}

#[actix::test]
async fn a_frozen_pod_is_stopped_within_its_grace_period_and_gets_sigterm() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    for by_hand in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let web = counting(folder.path());
        desk.run_start(&web).await.unwrap();
        assert!(counts(&folder).await);
        match by_hand {
            false => desk.run(freeze(&web)).await.unwrap(),
            true => pause_by_hand(&podman, &web),
        }
        desk.observe_state(&web.id, is_frozen).await;
        let began = desk.clock.now().monotonic;
        let (id, name, grace) = (web.id.clone(), web.name.clone(), Duration::from_secs(30));
        let evidence = actors::messages::Evidence::default();
        desk.run(Action::Stop { id, workload: name, grace, evidence }).await.unwrap();
        assert_took_less(&desk, began, Duration::from_secs(15));
        assert!(folder.path().join("seen").exists(), "SIGTERM, by hand: {by_hand}");
        assert_eq!(podman.json("pods/json"), json!([]));
    }
}

#[actix::test]
async fn a_pod_that_is_paused_in_the_last_moment_gets_sigterm_as_well() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let folder = tempfile::tempdir().unwrap();
    let web = counting(folder.path());
    desk.run_start(&web).await.unwrap();
    assert!(counts(&folder).await);
    pause_by_hand(&podman, &web);
    // Sent before the executor has looked again.
    desk.run_stop(&web).await.unwrap();
    assert!(folder.path().join("seen").exists());
    assert_eq!(podman.json("pods/json"), json!([]));
}

#[actix::test]
async fn limits_reach_a_frozen_pod_and_leave_it_frozen() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let folder = tempfile::tempdir().unwrap();
    let web = counting(folder.path());
    desk.run_start(&web).await.unwrap();
    desk.run(freeze(&web)).await.unwrap();
    let limits = actors::workload::Limits { cpu: Some(20_000), ..Default::default() };
    desk.run(Action::Limit { workload: Arc::clone(&web), limits }).await.unwrap();
    let detail = podman.json(&format!("containers/{}/json", container_name(&web, "main")));
    assert_eq!(detail["State"]["Status"], json!("paused"));
    assert!(!counts(&folder).await);
    desk.run(thaw(&web)).await.unwrap();
    assert!(counts(&folder).await);
    assert_eq!(desk.reasons(), [""; 0]);
}

#[actix::test]
async fn what_podman_without_root_cannot_do_on_the_first_generation_is_told() {
    let podman = HermeticPodman::rootless();
    let mut desk = desk(&podman, ExecutorKind::PodmanRootless);
    let web = serving_workload("web");
    desk.run_start(&web).await.unwrap();
    let frozen = desk.run(freeze(&web)).await;
    if podman.json("info")["host"]["cgroupVersion"] == json!("v2") {
        frozen.unwrap();
        desk.observe_state(&web.id, is_frozen).await;
        return desk.run(thaw(&web)).await.unwrap();
    }
    let error = frozen.unwrap_err();
    assert!(matches!(error, CommandError::Unsupported { .. }), "{error}");
    desk.run(thaw(&web)).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
    desk.run_stop(&web).await.unwrap();
}

#[actix::test]
async fn what_cannot_be_squeezed_is_told_with_the_way_out() {
    let squeeze = |web: &Arc<Workload>, squeezed| {
        let limits = actors::workload::Limits { squeezed, ..Default::default() };
        Action::Limit { workload: Arc::clone(web), limits }
    };
    for (podman, kind, expected) in [
        (HermeticPodman::rootful(), ExecutorKind::PodmanRootful, "boot the device with cgroup v2"),
        (HermeticPodman::rootless(), ExecutorKind::PodmanRootless, "on root's podman"),
    ] {
        let mut desk = desk(&podman, kind);
        let web = serving_workload("web");
        desk.run_start(&web).await.unwrap();
        let is_v2 = podman.json("info")["host"]["cgroupVersion"] == json!("v2");
        let answer = desk.run(squeeze(&web, true)).await;
        if is_v2 && kind == ExecutorKind::PodmanRootful {
            answer.unwrap();
        } else {
            let error = answer.unwrap_err();
            assert!(matches!(error, CommandError::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        desk.run(squeeze(&web, false)).await.unwrap();
    }
}

#[actix::test]
async fn a_pod_that_is_paused_by_hand_can_be_removed_at_once() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let folder = tempfile::tempdir().unwrap();
    let web = counting(folder.path());
    desk.run_start(&web).await.unwrap();
    pause_by_hand(&podman, &web);
    let client = client(&podman);
    let rows = client.containers_of(web.id.as_str()).await.unwrap();
    assert!(rows.iter().all(|row| row.state == "paused"), "{rows:?}");
    client.remove_pod(web.id.as_str()).await.unwrap();
    assert_eq!(podman.json("pods/json"), json!([]));
    assert!(rows.iter().all(|row| !podman.lives_inside(row.pid)));
}
