//! Storage that a power cut damaged: reported plainly, and repaired as far as that costs nothing that runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Tries that repair everything that can be repaired: the pause image, a pull, a replacement.
const TRIES: usize = 4;

/// A podman whose image comes from a registry, and has run.
struct Device {
    podman: HermeticPodman,
    registry: Option<PrivateRegistry>,
    desk: PodmanDesk,
    web: Arc<Workload>,
    /// The folders of the one layer of the workload's image and of podman's pause image.
    layer: PathBuf,
    pause: PathBuf,
}

impl Device {
    async fn new() -> Self {
        let podman = HermeticPodman::rootful();
        let registry = PrivateRegistry::beside(&podman);
        let mut desk = rootful(&podman);
        let web = from_registry(&registry, Some(REGISTRY_PASSWORD));
        // The registry has the same image: gone here, so that the pulled one has no other name.
        let (status, _) = podman.ask("DELETE", &format!("images/{IMAGE}"), &[], &[]).unwrap();
        assert_eq!(status, 200);
        run(&mut desk, &web).await.unwrap();
        desk.run_stop(&web).await.unwrap();
        let layer = layer_of(&podman, &registry.image());
        let pause = layer_of(&podman, &pause_image(&podman));
        Self { podman, registry: Some(registry), desk, web, layer, pause }
    }

    /// Does to the storage what a power cut would have done.
    fn damage(&self, damage: impl FnOnce(&Path)) {
        self.podman.shut_down();
        damage(&self.podman.storage());
        self.podman.restart();
    }
}

/// Pulls and starts, as the scheduler does at each try.
async fn run(desk: &mut PodmanDesk, workload: &Arc<Workload>) -> Result<(), CommandError> {
    desk.run(Action::Pull { workload: Arc::clone(workload) }).await?;
    desk.run_start(workload).await
}

/// Tries until the pod runs; returns what went wrong before.
async fn errors_until_it_runs(desk: &mut PodmanDesk, workload: &Arc<Workload>) -> Vec<String> {
    let mut errors = Vec::new();
    for _ in 0..TRIES {
        match run(desk, workload).await {
            Ok(()) => return errors,
            Err(error @ CommandError::Damaged { .. }) => errors.push(error.to_string()),
            Err(error) => panic!("it is not reported as damage: {error}; before: {errors:?}"),
        }
    }
    panic!("it was not repaired: {errors:?}");
}

fn layer_of(podman: &HermeticPodman, image: &str) -> PathBuf {
    let detail = podman.json(&format!("images/{}/json", image.replace('/', "%2F")));
    let content = PathBuf::from(detail["GraphDriver"]["Data"]["UpperDir"].as_str().unwrap());
    content.parent().unwrap().to_owned()
}

fn pause_image(podman: &HermeticPodman) -> String {
    let images = podman.json("images/json");
    let names = images.as_array().unwrap().iter().flat_map(|image| image["Names"].as_array());
    let names = names.flatten().filter_map(Value::as_str);
    names.into_iter().find(|name| name.contains("podman-pause")).unwrap().to_owned()
}

fn empty(path: impl AsRef<Path>) {
    assert!(path.as_ref().is_file(), "{:?}", path.as_ref());
    fs::write(path, "").unwrap();
}

/// Empties each file that describes an image.
fn empty_descriptions(storage: &Path) {
    for image in fs::read_dir(storage.join("overlay-images")).unwrap() {
        let image = image.unwrap().path();
        for file in image.is_dir().then(|| fs::read_dir(image).unwrap()).into_iter().flatten() {
            empty(file.unwrap().path());
        }
    }
}

async fn is_repaired(words: &str, damage: impl FnOnce(&Path, &Path, &Path)) {
    let mut device = Device::new().await;
    let (layer, pause) = (device.layer.clone(), device.pause.clone());
    device.damage(|storage| damage(storage, &layer, &pause));
    let errors = errors_until_it_runs(&mut device.desk, &device.web).await;
    println!("{} tries: {errors:#?}", errors.len() + 1);
    assert_eq!(errors.is_empty(), words.is_empty(), "{errors:?}");
    assert!(errors.iter().all(|error| error.contains(words)), "{errors:?}");
    device.desk.observe_state(&device.web.id, is_running).await;
    device.desk.run_stop(&device.web).await.unwrap();
}

#[actix::test]
async fn an_empty_list_of_images_is_repaired_by_a_pull() {
    is_repaired("", |storage, _, _| empty(storage.join("overlay-images/images.json"))).await;
}

#[actix::test]
async fn an_empty_list_of_layers_is_reported_and_repaired() {
    let words = "podman's list of layers is damaged";
    is_repaired(words, |storage, _, _| empty(storage.join("overlay-layers/layers.json"))).await;
}

#[actix::test]
async fn empty_descriptions_of_images_are_reported_and_repaired() {
    let words = "what podman has stored about an image is damaged";
    is_repaired(words, |storage, _, _| empty_descriptions(storage)).await;
}

#[actix::test]
async fn a_layer_without_content_is_reported_and_repaired() {
    let words = "a layer of an image is damaged";
    is_repaired(words, |_, layer, _| fs::remove_dir_all(layer.join("diff")).unwrap()).await;
}

#[actix::test]
async fn a_layer_that_is_gone_is_reported_and_repaired() {
    let words = "a layer of an image is damaged";
    is_repaired(words, |_, layer, _| fs::remove_dir_all(layer).unwrap()).await;
}

#[actix::test]
async fn a_layer_without_its_link_is_reported_and_repaired() {
    let words = "a layer of an image is damaged";
    is_repaired(words, |_, layer, _| empty(layer.join("link"))).await;
}

#[actix::test]
async fn a_pause_image_without_content_is_reported_and_repaired() {
    let words = "is damaged";
    is_repaired(words, |_, _, pause| fs::remove_dir_all(pause.join("diff")).unwrap()).await;
}

#[actix::test]
async fn a_pause_image_that_is_gone_is_reported_and_repaired() {
    is_repaired("is damaged", |_, _, pause| fs::remove_dir_all(pause).unwrap()).await;
}

#[actix::test]
async fn a_pause_image_without_its_link_is_reported_and_repaired() {
    is_repaired("is damaged", |_, _, pause| empty(pause.join("link"))).await;
}

#[actix::test]
async fn a_pause_image_that_was_made_twice_is_repaired_with_its_unnamed_duplicate() {
    let mut device = Device::new().await;
    // As two pods leave it that make it at the same time: without its name, with the same layer.
    let name = pause_image(&device.podman);
    let escaped = name.replace('/', "%2F");
    let untag = format!("images/{escaped}/untag");
    assert_eq!(device.podman.ask("POST", &untag, &[], &[]).unwrap().0, 201);
    run(&mut device.desk, &device.web).await.unwrap();
    device.desk.run_stop(&device.web).await.unwrap();
    assert_eq!(layer_of(&device.podman, &name), device.pause, "the layer is shared");
    let pause = device.pause.clone();
    device.damage(|_| empty(pause.join("link")));
    let errors = errors_until_it_runs(&mut device.desk, &device.web).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    let nameless =
        device.podman.json("images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D");
    assert_eq!(nameless, json!([]));
}

#[actix::test]
async fn a_pause_image_with_an_empty_program_is_reported_and_repaired() {
    let words = "podman's own pause image is damaged";
    is_repaired(words, |_, _, pause| empty(pause.join("diff/catatonit"))).await;
}

#[actix::test]
async fn a_list_that_is_moved_aside_by_hand_costs_no_workload() {
    for list in [
        "overlay-images/images.json",
        "overlay-layers/layers.json",
        "overlay-containers/containers.json",
    ] {
        let mut device = Device::new().await;
        run(&mut device.desk, &device.web).await.unwrap();
        let id = device.web.id.clone();
        device.podman.shut_down();
        let list = device.podman.storage().join(list);
        fs::rename(&list, list.with_extension("damaged")).unwrap();
        device.podman.restart();
        // It runs on, and comes back after its end.
        device.desk.observe_state(&id, is_running).await;
        device.desk.run_stop(&device.web).await.unwrap();
        let errors = errors_until_it_runs(&mut device.desk, &device.web).await;
        println!("{list:?}: {} tries: {errors:#?}", errors.len() + 1);
        device.desk.observe_state(&id, is_running).await;
    }
}

#[actix::test]
async fn an_image_stays_while_its_registry_is_away_and_comes_when_it_is_back() {
    let mut device = Device::new().await;
    let layer = device.layer.clone();
    device.damage(|_| fs::remove_dir_all(layer.join("diff")).unwrap());
    let image = device.registry.take().unwrap().image();
    for _ in 0..TRIES {
        let error = run(&mut device.desk, &device.web).await.unwrap_err().to_string();
        assert!(error.contains("a layer of an image is damaged"), "{error}");
        assert!(error.contains(&format!("podman image rm {image}")), "{error}");
    }
    let path = format!("images/{image}/exists");
    assert_eq!(device.podman.ask("GET", &path, &[], &[]).unwrap().0, 204, "it was not removed");
    let error = run(&mut device.desk, &device.web).await.unwrap_err().to_string();
    assert!(error.contains("the registry does not answer"), "{error}");

    // Another image is another matter.
    device.podman.import("localhost/other:test");
    let mut main = container("main", &serving("true"));
    main["image"] = json!("localhost/other:test");
    let other = Arc::new(workload("other", pod(vec![main])));
    run(&mut device.desk, &other).await.unwrap();
    device.desk.observe_state(&other.id, is_running).await;

    device.registry = Some(PrivateRegistry::of_image(&device.podman, "localhost/other:test"));
    errors_until_it_runs(&mut device.desk, &device.web).await;
    device.desk.observe_state(&device.web.id, is_running).await;
}

#[actix::test]
async fn an_image_that_was_on_the_device_is_distinguished_from_one_that_never_came() {
    let mut device = Device::new().await;
    device.damage(|storage| empty(storage.join("overlay-images/images.json")));
    drop(device.registry.take());
    let error = run(&mut device.desk, &device.web).await.unwrap_err();
    assert!(matches!(error, CommandError::Damaged { .. }), "{error}");
    let (error, image) = (error.to_string(), "127.0.0.1:5000/edge/busybox:1");
    let expected = format!("image {image} was on the device, and podman no longer has it");
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains("the registry does not answer"), "{error}");
}

#[actix::test]
async fn an_image_that_another_pod_runs_is_not_removed() {
    let mut device = Device::new().await;
    let (api, beside) = (Arc::clone(&device.web), {
        let mut beside = (*device.web).clone();
        beside.name = "beside".into();
        beside.id = "beside-1".to_owned().into();
        Arc::new(beside)
    });
    run(&mut device.desk, &api).await.unwrap();
    let first = container_id(&device.podman, &api);
    let layer = device.layer.clone();
    device.damage(|_| fs::remove_dir_all(layer.join("diff")).unwrap());
    for _ in 0..TRIES {
        run(&mut device.desk, &beside).await.unwrap_err();
    }
    let error = run(&mut device.desk, &beside).await.unwrap_err().to_string();
    assert!(error.contains("could not be pulled again"), "{error}");
    assert_eq!(container_id(&device.podman, &api), first, "it runs on");
    device.desk.observe_state(&api.id, is_running).await;
}

#[actix::test]
async fn a_command_that_is_not_in_a_sound_image_is_not_taken_for_damage() {
    let mut device = Device::new().await;
    let mut main = container("main", "true");
    main["image"] = json!(IMAGE);
    main["command"] = json!(["/nope"]);
    device.podman.import(IMAGE);
    let nope = Arc::new(workload("nope", pod(vec![main])));
    for _ in 0..3 {
        let error = run(&mut device.desk, &nope).await.unwrap_err();
        assert!(matches!(error, CommandError::Start { .. }), "{error}");
    }
}
