//! Images that are removed when no workload uses them.

use super::*;

#[actix::test]
async fn image_that_is_not_wanted_goes_and_all_others_stay() {
    let podman = HermeticPodman::rootful();
    let registry = PrivateRegistry::beside(&podman);
    let (client, volumes) = (client(&podman), podman.volumes_root());
    let mut desk = PodmanDesk::start_with(ExecutorKind::PodmanRootful, client, volumes, |deps| {
        deps.image_prune_after = Some(Duration::from_secs(1));
    });
    let web = from_registry(&registry, Some(REGISTRY_PASSWORD));
    let exists = |image: &str| {
        let path = format!("images/{image}/exists");
        podman.ask("GET", &path, &[], &[]).unwrap().0 == 204
    };
    // The registry has the same image: gone here, so that the pulled one has no other name.
    let (status, _) = podman.ask("DELETE", &format!("images/{IMAGE}"), &[], &[]).unwrap();
    assert_eq!(status, 200);
    desk.configure(&[&web]);
    desk.run(Action::Pull { workload: Arc::clone(&web) }).await.unwrap();
    desk.run_start(&web).await.unwrap();
    // The pod still runs: its image is in use, although no workload is configured for it.
    desk.configure(&[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(exists(&registry.image()));
    desk.observe_state(&web.id, is_running).await;

    desk.run_stop(&web).await.unwrap();
    for _ in 0..200 {
        if !exists(&registry.image()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!exists(&registry.image()), "the agent brought it");
    let left = podman.json("images/json").to_string();
    assert!(left.contains("podman-pause"), "the agent did not bring it: {left}");
}
