//! Tests of starts that fail: what the command comes to when the pod stays on the device.

use super::*;

/// A start that podman answers with this fault, which goes on to make the pod all the same.
fn failing_start(podman: &FakePodman) {
    podman.fail_once("play", Fault::Made("rootlessport: address already in use"));
}

#[actix::test]
async fn a_failed_start_whose_pod_may_run_on_is_in_the_way_of_every_other() {
    pause();
    for (fault, listing) in [
        (Fault::Refused("conmon exited prematurely"), None),
        (Fault::Cut, None),
        // Nobody knows what runs.
        (Fault::Refused("conmon exited prematurely"), Some(Fault::Cut)),
    ] {
        let podman = FakePodman::new();
        let mut desk = desk_in_paused_time(&podman);
        desk.observe(|seen| seen.pods.is_ok()).await;
        failing_start(&podman);
        podman.fail_once("remove_pod", fault.clone());
        if let Some(fault) = listing {
            // The first look is for the reason, and is not needed.
            podman.fail_once("containers_of", fault.clone());
            podman.fail_once("containers_of", fault);
        }
        let error = desk.run_start(&web()).await.unwrap_err();
        let CommandError::Unavailable { message } = &error else { panic!("{error:?}") };
        assert!(message.contains("address already in use"), "{message}");
        assert!(message.contains("; the pod could not be removed, and may run"), "{message}");
        // The next one does what this one could not.
        desk.run_start(&web()).await.unwrap();
        desk.observe_state(&web().id, is_running).await;
    }
}

#[actix::test]
async fn what_cannot_be_replaced_is_in_the_way_too() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    let pod =
        json!({"containers": [{"name": "main", "image": "i"}, {"name": "side", "image": "i"}]});
    let web = Arc::new(workload("web", pod));
    desk.run_start(&web).await.unwrap();
    podman.end_container(web.id.as_str(), "side", 1);
    desk.observe_state(&web.id, |state| matches!(state, CurrentState::Degraded { .. })).await;
    podman.fail_once("stop_container", Fault::Refused("conmon is dead"));
    podman.fail_once("remove_pod", Fault::Refused("conmon is dead"));
    let error = desk.run_start(&web).await.unwrap_err();
    let CommandError::Unavailable { message } = &error else { panic!("{error:?}") };
    assert!(message.contains("conmon is dead; the pod could not be removed"), "{message}");
    // Its containers have ended by now.
    podman.end_containers(web.id.as_str(), 1);
    podman.fail_once("remove_pod", Fault::Refused("layer is in use"));
    let error = desk.run_start(&web).await.unwrap_err();
    assert!(matches!(error, CommandError::Start { .. }), "{error:?}");
}

#[actix::test]
async fn while_podman_makes_a_pod_that_was_given_up_no_other_of_its_workload_starts() {
    let podman = FakePodman::new();
    let mut desk = desk_in_paused_time(&podman);
    pause();
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.fail_once("play", Fault::Delay(Duration::from_secs(60)));
    let old = web();
    desk.send(start_of(&old), Duration::from_secs(300));
    while podman.count("play") == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    let pod = json!({"containers": [{"name": "main", "image": "i:2"}]});
    let mut new = workload("web", pod.clone());
    new.id = "web-ba9876543210".into();
    let new = Arc::new(new);
    let error = desk.run_start(&new).await.unwrap_err();
    let CommandError::Unavailable { message } = &error else { panic!("{error:?}") };
    assert!(message.contains(&format!("still making the pod {} of", old.id)), "{message}");
    let other = Arc::new(workload("web-2", pod));
    desk.run_start(&other).await.unwrap();
    desk.observe_state(&old.id, is_running).await;
}

fn is_cut_short(state: &CurrentState) -> bool {
    matches!(state, CurrentState::Incomplete { message } if message.contains("the agent stopped it"))
}

#[actix::test]
async fn what_the_agent_stopped_and_could_not_remove_is_no_ended_run() {
    let podman = FakePodman::new();
    let mut desk = desk(&podman);
    desk.run_start(&web()).await.unwrap();
    for _ in 0..3 {
        podman.fail_once("remove_pod", Fault::Refused("layer is in use"));
    }
    let stopped = desk.run_stop(&web()).await;
    assert!(matches!(stopped, Err(CommandError::Stop { .. })), "{stopped:?}");
    desk.observe_state(&web().id, is_cut_short).await;
    desk.run_start(&web()).await.unwrap();
    desk.observe_state(&web().id, is_running).await;
    // The next end is its own.
    podman.end_containers(web().id.as_str(), 0);
    desk.observe_state(&web().id, |state| matches!(state, CurrentState::Exited { .. })).await;
}
