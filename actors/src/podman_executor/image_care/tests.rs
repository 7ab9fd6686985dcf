//! Images over a podman in memory, in virtual time: when they are pulled, and when they go.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::time::{pause, sleep};

use crate::messages::{Action, CommandError, WorkloadsConfigured};
use crate::podman_executor::{
    DiskFuture, Ended, PodmanDisk, Trails, Turn, Turns, Usage, VolumeFolder, on_disk,
};
use crate::testing::fake_podman::{FakePodman, Fault};
use crate::testing::podman_desk::{PodmanDesk, workload};
use crate::workload::{ExecutorKind, Workload, WorkloadId};

const HOUR: Duration = Duration::from_secs(60 * 60);
const AWAY: Fault = Fault::Refused("dial tcp 10.0.0.1:443: connect: connection refused");

fn with_image(name: &str, image: &str, policy: Option<&str>) -> Arc<Workload> {
    let main = json!({"name": "main", "image": image, "imagePullPolicy": policy});
    Arc::new(workload(name, json!({"containers": [main]})))
}

/// The executor of a device with its state in `state`.
fn desk(podman: &FakePodman, state: &TempDir) -> PodmanDesk {
    let (api, volumes) = (Rc::new(podman.clone()), state.path().join("volumes"));
    PodmanDesk::start_with(ExecutorKind::PodmanRootful, api, volumes, |deps| {
        deps.disk = on_disk(&deps.volumes_root, state.path(), deps.kind);
    })
}

async fn pull(desk: &mut PodmanDesk, workload: &Arc<Workload>) -> Result<(), CommandError> {
    desk.run(Action::Pull { workload: Arc::clone(workload) }).await
}

#[actix::test]
async fn pull_policies_decide_what_an_unreachable_registry_means() {
    pause();
    let tagged = "quay.io/edge/app:1";
    let moving = "quay.io/edge/app:latest";
    let bare = "quay.io/edge/app";
    for (image, policy, on_device, works, pulls) in [
        (tagged, None, true, true, 0),
        (tagged, None, false, false, 1),
        (tagged, Some("Always"), true, false, 1),
        (tagged, Some("Never"), false, false, 0),
        (moving, None, true, true, 1),
        (bare, None, true, true, 1),
        (bare, None, false, false, 1),
        (moving, Some("Always"), true, false, 1),
        (moving, Some("IfNotPresent"), true, true, 0),
        (moving, Some("Never"), true, true, 0),
    ] {
        let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
        let mut desk = desk(&podman, &state);
        podman.fail("pull", AWAY);
        if on_device {
            podman.bring_image(image, "old");
        }
        let answer = pull(&mut desk, &with_image("web", image, policy)).await;
        let case = format!("{image} {policy:?} {on_device}: {answer:?}");
        assert_eq!(answer.is_ok(), works, "{case}");
        assert_eq!(podman.count("pull"), pulls, "{case}");
        // Running an old copy that was not asked for is reported.
        let events = desk.reasons();
        assert_eq!(events.len(), usize::from(works && pulls > 0), "{case}: {events:?}");
    }
}

#[actix::test]
async fn image_name_that_podman_refuses_is_a_failed_pull() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    podman.fail_once("image_id", Fault::Refused("repository name must be lowercase"));
    let answer = pull(&mut desk, &with_image("app", "quay.io/Edge:1", None)).await;
    let message = "repository name must be lowercase".to_owned();
    assert_eq!(answer, Err(CommandError::Pull { image: "quay.io/Edge:1".to_owned(), message }));
}

#[actix::test]
async fn volumes_of_pods_that_are_gone_are_removed_with_the_next_configuration() {
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    let (there, wanted) = (with_image("there", "a:1", None), with_image("wanted", "b:1", None));
    desk.run_start(&there).await.unwrap();
    let volumes = state.path().join("volumes");
    for name in [there.id.as_str(), wanted.id.as_str(), "gone-1", ".left-0-gone-2"] {
        std::fs::create_dir_all(volumes.join(name).join("secret")).unwrap();
    }
    desk.configure(&[&wanted]);
    while volumes.join("gone-1").exists() || volumes.join(".left-0-gone-2").exists() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(volumes.join(there.id.as_str()).join("secret").exists());
    assert!(volumes.join(wanted.id.as_str()).join("secret").exists());
}

#[actix::test]
async fn pod_that_starts_while_volumes_are_swept_keeps_its_own() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    let volumes = state.path().join("volumes");
    std::fs::create_dir_all(volumes.join("gone-1")).unwrap();
    let pod = json!({
        "containers": [{
            "name": "main",
            "image": "a:1",
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        }],
        "volumes": [{"name": "cache", "emptyDir": {}}],
    });
    let late = Arc::new(workload("late", pod));
    desk.observe(|_| true).await;
    podman.list_late(Duration::from_secs(5));
    desk.configure(&[]);
    desk.run_start(&late).await.unwrap();
    while volumes.join("gone-1").exists() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(volumes.join(late.id.as_str()).exists());
}

#[actix::test]
async fn older_generation_of_the_configuration_sweeps_nothing() {
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let desk = desk(&podman, &state);
    let home = state.path().join("volumes").join("newer-1");
    std::fs::create_dir_all(&home).unwrap();
    let outdated = WorkloadsConfigured { is_outdated: true, ..WorkloadsConfigured::default() };
    desk.configured.send(outdated).await.unwrap();
    desk.configure(&[]);
    let listings = podman.count("containers");
    while home.exists() {
        sleep(Duration::from_millis(10)).await;
    }
    // Only the second one looked for what there is.
    assert!(podman.count("containers") <= listings + 1);
}

#[actix::test]
async fn image_goes_a_day_after_its_last_workload_was_removed() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    let (web, other) = (with_image("web", "q.io/a:1", None), with_image("other", "q.io/b:1", None));
    podman.bring_image("q.io/mine:1", "of the user");
    let mine = with_image("mine", "q.io/mine:1", None);
    for workload in [&web, &other, &mine] {
        pull(&mut desk, workload).await.unwrap();
    }
    sleep(HOUR * 48).await;
    assert_eq!(podman.images().len(), 3, "nothing goes before a configuration is known");
    // Configured but never started, as one that waits for its profile: its image stays.
    desk.configure(&[&web, &other]);
    sleep(HOUR * 48).await;
    assert_eq!(podman.images().len(), 3);
    desk.configure(&[&web]);
    sleep(HOUR * 23).await;
    assert_eq!(podman.images().len(), 3);
    sleep(HOUR * 2).await;
    assert_eq!(podman.images(), ["q.io/a:1", "q.io/mine:1"]);
    desk.configure(&[]);
    sleep(HOUR * 12).await;
    desk.configure(&[&web]);
    sleep(HOUR * 48).await;
    assert_eq!(podman.images(), ["q.io/a:1", "q.io/mine:1"], "it was wanted again in time");
    desk.configure(&[]);
    sleep(HOUR * 48).await;
    assert_eq!(podman.images(), ["q.io/mine:1"], "what others brought stays");
    let calls = podman.count("image_id");
    sleep(HOUR * 48).await;
    assert_eq!(podman.count("image_id"), calls, "what is gone is not asked for again");
}

#[actix::test]
async fn image_that_is_in_use_is_tried_again_later() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    pull(&mut desk, &with_image("web", "q.io/a:1", None)).await.unwrap();
    podman.use_image("q.io/a:1", true);
    desk.configure(&[]);
    sleep(HOUR * 48).await;
    assert_eq!(podman.images(), ["q.io/a:1"]);
    podman.use_image("q.io/a:1", false);
    sleep(HOUR * 2).await;
    assert_eq!(podman.images(), [""; 0]);
}

#[actix::test]
async fn image_that_another_program_replaced_is_not_removed() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    pull(&mut desk, &with_image("web", "q.io/a:1", None)).await.unwrap();
    podman.bring_image("q.io/a:1", "built by hand");
    desk.configure(&[]);
    sleep(HOUR * 48).await;
    assert_eq!(podman.images(), ["q.io/a:1"]);
    assert_eq!(podman.count("remove_image"), 0);
}

#[actix::test]
async fn list_of_images_outlives_the_agent_and_is_written_on_change_only() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let web = with_image("web", "q.io/a:1", None);
    let file = state.path().join("images-podman_rootful.json");
    let mut first = desk(&podman, &state);
    first.configure(&[]);
    sleep(HOUR * 3).await;
    assert!(!file.exists(), "an agent that pulled nothing writes nothing");
    pull(&mut first, &web).await.unwrap();
    first.configure(&[&web]);
    sleep(HOUR).await;
    std::fs::remove_file(&file).unwrap();
    pull(&mut first, &web).await.unwrap();
    sleep(HOUR * 48).await;
    assert!(!file.exists(), "nothing changed, nothing was written");
    first.configure(&[]);
    sleep(HOUR).await;
    assert!(file.exists());

    // Another agent, whose clock says that no time has passed.
    let other = FakePodman::new();
    other.bring_image("q.io/a:1", "id of q.io/a:1");
    let second = desk(&other, &state);
    second.configure(&[]);
    sleep(HOUR * 2).await;
    assert_eq!(other.images(), ["q.io/a:1"]);
}

#[actix::test]
async fn damaged_list_of_images_removes_nothing_and_stops_nothing() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    std::fs::write(state.path().join("images-podman_rootful.json"), "{\"images\": {\"q").unwrap();
    podman.bring_image("q.io/old:1", "1");
    let mut desk = desk(&podman, &state);
    desk.configure(&[]);
    pull(&mut desk, &with_image("web", "q.io/a:1", None)).await.unwrap();
    sleep(HOUR * 48).await;
    assert_eq!(podman.images(), ["q.io/old:1"]);
}

/// A disk that takes everything and never answers.
#[derive(Default)]
struct HungDisk(Turns);

impl PodmanDisk for HungDisk {
    fn turns(&self) -> &Turns {
        &self.0
    }

    fn volumes_removed(&self, _: WorkloadId) -> DiskFuture<()> {
        Box::pin(pending())
    }

    fn write_volumes(
        &self,
        _: Turn,
        _: WorkloadId,
        _: Vec<VolumeFolder>,
        _: Option<(u32, u32)>,
    ) -> DiskFuture<()> {
        Box::pin(pending())
    }

    fn remove_volumes(&self, _: Turn, _: WorkloadId, _: Ended) -> DiskFuture<()> {
        Box::pin(pending())
    }

    fn sweep_volumes(&self, _: Turn, _: BTreeSet<String>) -> DiskFuture<()> {
        Box::pin(pending())
    }

    fn usage(&self, _: WorkloadId, _: String) -> DiskFuture<Usage> {
        Box::pin(pending())
    }

    fn remove_again(&self) {}

    fn look_at(&self, _: BTreeSet<PathBuf>) -> DiskFuture<Trails> {
        Box::pin(pending())
    }

    fn read_images(&self) -> DiskFuture<Vec<u8>> {
        Box::pin(pending())
    }

    fn write_images(&self, _: Vec<u8>) -> DiskFuture<()> {
        Box::pin(pending())
    }
}

#[actix::test]
async fn a_disk_that_hangs_holds_up_no_pull() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let (api, volumes) = (Rc::new(podman.clone()), state.path().join("volumes"));
    let mut desk = PodmanDesk::start_with(ExecutorKind::PodmanRootful, api, volumes, |deps| {
        deps.disk = Rc::new(HungDisk::default());
    });
    let first = pull(&mut desk, &with_image("web", "quay.io/edge/app:1", None)).await;
    assert_eq!(first, Ok(()));
    let second = pull(&mut desk, &with_image("mail", "quay.io/edge/mail:1", None)).await;
    assert_eq!(second, Ok(()));
}

#[actix::test]
async fn image_that_a_workload_names_in_another_way_stays() {
    pause();
    let (podman, state) = (FakePodman::new(), tempfile::tempdir().unwrap());
    let mut desk = desk(&podman, &state);
    pull(&mut desk, &with_image("web", "nginx:1", None)).await.unwrap();
    // To podman both are the same.
    let id = podman.image("nginx:1").unwrap();
    podman.bring_image("docker.io/library/nginx:1", &id);
    desk.configure(&[&with_image("web", "docker.io/library/nginx:1", None)]);
    sleep(HOUR * 48).await;
    assert!(podman.images().contains(&"nginx:1".to_owned()));
    desk.configure(&[]);
    sleep(HOUR * 48).await;
    assert!(!podman.images().contains(&"nginx:1".to_owned()), "no workload uses it any more");
}
