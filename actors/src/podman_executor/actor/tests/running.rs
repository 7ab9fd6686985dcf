//! Tests of the images that are reported of running containers.

use super::*;
use crate::workload::{RunningContainer, WorkloadId};

/// What runs of the pod `id`, by an observation.
fn running_in(seen: &WorkloadsObserved, id: &WorkloadId) -> Option<Vec<RunningContainer>> {
    let pods = seen.pods.as_ref().ok()?;
    pods.iter().find(|pod| pod.id == *id).map(|pod| pod.containers.clone())
}

fn two_containers() -> Arc<Workload> {
    let pod = json!({"containers": [{"name": "side", "image": "localhost/side:1"},
        {"name": "main", "image": "localhost/web:1"}]});
    Arc::new(workload("web", pod))
}

#[actix::test]
async fn each_container_that_runs_is_told_with_its_image_which_is_asked_for_its_digest_once() {
    let podman = FakePodman::new();
    // Images have ids then.
    podman.check_health_with(&["true"]);
    let mut desk = desk(&podman);
    let web = two_containers();
    desk.run_start(&web).await.unwrap();
    let container = |name: &str, image: &str| RunningContainer {
        name: name.to_owned(),
        image: image.to_owned(),
        digest: Some("digest of an image".to_owned()),
    };
    let both = vec![container("main", "localhost/web:1"), container("side", "localhost/side:1")];
    desk.observe(|seen| running_in(seen, &web.id).as_ref() == Some(&both)).await;
    sleep(MINUTE * 10).await;
    assert_eq!(podman.count("image_digest"), 1);
    podman.end_container(web.id.as_str(), "side", 3);
    desk.observe(|seen| running_in(seen, &web.id).as_deref() == Some(&both[..1])).await;
}

#[actix::test]
async fn a_digest_that_podman_did_not_tell_is_asked_for_again() {
    let podman = FakePodman::new();
    podman.check_health_with(&["true"]);
    podman.fail_once("image_digest", Fault::Cut);
    let mut desk = desk(&podman);
    let web = two_containers();
    desk.run_start(&web).await.unwrap();
    let is_known = |container: &RunningContainer| container.digest.is_some();
    let all_known =
        |seen: &WorkloadsObserved| Some(running_in(seen, &web.id)?.iter().all(is_known));
    desk.observe(|seen| all_known(seen) == Some(true)).await;
    assert_eq!(podman.count("image_digest"), 2);

    // One that is gone has none.
    let podman = FakePodman::new();
    podman.check_health_with(&["true"]);
    podman.fail("image_digest", Fault::Refused("no such image"));
    let mut desk = desk_in_paused_time(&podman);
    desk.run_start(&web).await.unwrap();
    sleep(MINUTE * 10).await;
    assert_eq!(podman.count("image_digest"), 1);
}
