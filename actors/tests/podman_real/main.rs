//! The podman executor over real podman, rootful and rootless.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test"
)]

mod damage;
mod faulty_service;
mod freeze;
mod images;
mod limits;
mod refusal;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actors::clock::Monotonic;
use actors::messages::{Action, CommandError, WorkloadsObserved};
use actors::podman_executor::{ExpectedPeer, LibpodClient};
use actors::testing::podman::{
    HermeticPodman, IMAGE, PrivateRegistry, REGISTRY_PASSWORD, REGISTRY_USER,
};
use actors::testing::podman_desk::{PodmanDesk, start_of, state_in, stop_of, workload};
use actors::workload::{
    Confidential, ConfigMap, ContainerEnd, CurrentState, DeviceId, ExecutorKind,
    RegistryCredentials, Secret, Workload,
};
use serde_json::{Value, json};

/// Returns a client of root's `podman`.
fn client(podman: &HermeticPodman) -> Rc<LibpodClient> {
    Rc::new(LibpodClient::new(podman.socket(), ExpectedPeer::RootOrOwn))
}

fn desk(podman: &HermeticPodman, kind: ExecutorKind) -> PodmanDesk {
    desk_as("device-1", podman, kind)
}

/// Returns the executor of an agent whose `DEVICE_ID` is `device`.
fn desk_as(device: &str, podman: &HermeticPodman, kind: ExecutorKind) -> PodmanDesk {
    let socket = podman.socket();
    let client = match kind {
        ExecutorKind::PodmanRootless => {
            let user = ExpectedPeer::OwnerOf(socket.parent().unwrap().to_owned());
            Rc::new(LibpodClient::new(socket, user))
        }
        _ => client(podman),
    };
    PodmanDesk::start_with(kind, client, podman.volumes_root(), |deps| {
        deps.device_id = DeviceId::from(device);
    })
}

fn rootful(podman: &HermeticPodman) -> PodmanDesk {
    desk(podman, ExecutorKind::PodmanRootful)
}

fn assert_took_less(desk: &PodmanDesk, began: Monotonic, limit: Duration) {
    let took = desk.clock.now().monotonic.saturating_since(began);
    assert!(took < limit, "{took:?}");
}

/// A container that runs `script` under a shell.
fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": IMAGE, "command": ["/bin/sh", "-c", script]})
}

/// A script that does `first`, then waits for SIGTERM.
fn serving(first: &str) -> String {
    format!("trap 'exit 0' TERM; {first}; while :; do sleep 0.1; done")
}

fn pod(containers: Vec<Value>) -> Value {
    json!({"containers": containers})
}

fn serving_workload(name: &str) -> Arc<Workload> {
    Arc::new(workload(name, pod(vec![container("main", &serving("true"))])))
}

fn is_running(state: &CurrentState) -> bool {
    *state == CurrentState::Running
}

fn container_name(workload: &Workload, container: &str) -> String {
    format!("{}-{container}", workload.id)
}

fn container_id(podman: &HermeticPodman, workload: &Workload) -> String {
    let path = format!("containers/{}/json", container_name(workload, "main"));
    podman.json(&path)["Id"].as_str().unwrap().to_owned()
}

/// Waits until the container has written `line`.
async fn logged(podman: &HermeticPodman, container: &str, line: &str) -> String {
    for _ in 0..200 {
        let logs = podman.logs(container);
        if logs.contains(line) {
            return logs;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{line} was not logged: {}", podman.logs(container));
}

async fn pod_lives_and_dies(podman: HermeticPodman, kind: ExecutorKind) {
    let mut desk = desk(&podman, kind);
    let web = serving_workload("web");

    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
    let first = container_id(&podman, &web);
    // Adopted: the same container still runs.
    desk.run_start(&web).await.unwrap();
    assert_eq!(container_id(&podman, &web), first);

    desk.run_stop(&web).await.unwrap();
    desk.observe(|seen| seen.pods.as_ref().is_ok_and(Vec::is_empty)).await;
    assert_eq!(podman.json("pods/json"), json!([]));
    // Stopping what is not there is a success.
    desk.run_stop(&web).await.unwrap();
}

#[actix::test]
async fn rootful_pod_starts_is_adopted_and_stops() {
    pod_lives_and_dies(HermeticPodman::rootful(), ExecutorKind::PodmanRootful).await;
}

#[actix::test]
async fn rootless_pod_starts_is_adopted_and_stops() {
    pod_lives_and_dies(HermeticPodman::rootless(), ExecutorKind::PodmanRootless).await;
}

#[actix::test]
async fn a_pod_of_another_device_id_stays_until_the_command_that_is_shown_removes_it() {
    for (podman, kind) in [
        (HermeticPodman::rootful(), ExecutorKind::PodmanRootful),
        (HermeticPodman::rootless(), ExecutorKind::PodmanRootless),
    ] {
        let (web, lone) = (serving_workload("web"), serving_workload("lone"));
        let mut old = desk(&podman, kind);
        for workload in [&web, &lone] {
            old.run_start(workload).await.unwrap();
        }
        let first = container_id(&podman, &web);
        drop(old);

        let mut new = desk_as("device-2", &podman, kind);
        let error = new.run_start(&web).await.unwrap_err().to_string();
        let (owner, command) = error.split_once("remove its pods: ").expect(&error);
        assert!(owner.contains("it belongs to device device-1"), "{error}");
        assert_eq!(container_id(&podman, &web), first, "it is left alone");

        let remote = format!(
            "podman() {{ command podman --remote --url unix://{} \"$@\"; }}",
            podman.socket().display()
        );
        let script = format!("{remote}; {command}");
        let removed = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(removed.status.success(), "{script}: {removed:?}");
        assert_eq!(podman.json("pods/json"), json!([]));
        new.run_start(&web).await.unwrap();
        assert_ne!(container_id(&podman, &web), first);
    }
}

/// Config map and secret as variables and files, in a pod with its own scratch folder.
fn configured_workload(name: &str) -> Workload {
    let script = "echo mode=$MODE user=$P_user missing=${NONE-unset} device=$DEVICE_ID; \
        cat /etc/app/app.conf; cat /etc/one; cat /run/secrets/key; \
        ls /scratch | wc -l; echo mine > /scratch/file; echo done";
    let mut main = container("main", &serving(script));
    main["env"] = json!([
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x", "optional": true}}},
    ]);
    main["envFrom"] = json!([{"prefix": "P_", "secretRef": {"name": "login"}}]);
    main["volumeMounts"] = json!([
        {"name": "conf", "mountPath": "/etc/app"},
        {"name": "conf", "mountPath": "/etc/one", "subPath": "app.conf", "readOnly": true},
        {"name": "login", "mountPath": "/run/secrets", "readOnly": true},
        {"name": "scratch", "mountPath": "/scratch"},
    ]);
    let spec = json!({
        "containers": [main],
        "volumes": [
            {"name": "conf", "configMap": {"name": "settings"}},
            {"name": "login", "secret": {"secretName": "login", "items":
                [{"key": "password", "path": "key", "mode": 256}]}},
            {"name": "scratch", "emptyDir": {}},
        ],
    });
    let mut workload = workload(name, spec);
    workload.config_maps = vec![
        ConfigMap {
            name: "settings".to_owned(),
            data: [("mode", "fast"), ("app.conf", "from-config-map\n")]
                .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
                .into(),
        }
        .into(),
    ];
    workload.secrets = vec![
        Secret {
            name: "login".to_owned(),
            data: [("user", "alice"), ("password", "hush-hush\n")]
                .map(|(key, value)| (key.to_owned(), Confidential::new(value.as_bytes().to_vec())))
                .into(),
        }
        .into(),
    ];
    workload
}

async fn pods_get_their_configuration(podman: HermeticPodman, kind: ExecutorKind) {
    let mut desk = desk(&podman, kind);
    let workloads = ["one", "two"].map(|name| Arc::new(configured_workload(name)));
    for workload in &workloads {
        desk.run_start(workload).await.unwrap();
        let logs = logged(&podman, &container_name(workload, "main"), "done").await;
        assert!(logs.contains("mode=fast user=alice missing=unset device=device-1"), "{logs}");
        assert_eq!(logs.matches("from-config-map").count(), 2, "{logs}");
        assert!(logs.contains("hush-hush"), "{logs}");
        // The second pod's scratch folder is its own although it has the same name.
        assert!(logs.lines().any(|line| line.ends_with('0')), "{logs}");
    }
    for workload in &workloads {
        desk.run_stop(workload).await.unwrap();
    }
    // Removed in the background: a volume may be large.
    let left = || std::fs::read_dir(podman.volumes_root()).unwrap().count();
    for _ in 0..200 {
        if left() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left(), 0, "volumes are removed with their pods");
    assert_eq!(podman.json("volumes/json"), json!([]));
}

#[actix::test]
async fn rootful_pods_get_configuration_secrets_and_scratch_of_their_own() {
    pods_get_their_configuration(HermeticPodman::rootful(), ExecutorKind::PodmanRootful).await;
}

#[actix::test]
async fn rootless_pods_get_configuration_secrets_and_scratch_of_their_own() {
    pods_get_their_configuration(HermeticPodman::rootless(), ExecutorKind::PodmanRootless).await;
}

#[actix::test]
async fn partial_pod_is_replaced() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let web = serving_workload("web");
    // The image is missing: podman leaves a pod without containers.
    let manifest = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": web.id, "labels": {
            "app.kubernetes.io/managed-by": "device-worker-ng", "device-worker-ng/id": web.id,
            "device-worker-ng/workload": "web"}},
        "spec": {"containers": [{"name": "main", "image": "localhost/none:1",
            "imagePullPolicy": "Never"}]}});
    let json = [("Content-Type", "application/json")];
    let body = manifest.to_string();
    let (status, _) = podman.ask("POST", "play/kube", &json, body.as_bytes()).unwrap();
    assert_eq!(status, 500);

    // A fresh executor sees it at its start.
    let mut other = rootful(&podman);
    other.observe_state(&web.id, |state| matches!(state, CurrentState::Incomplete { .. })).await;
    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
}

#[actix::test]
async fn partial_pod_is_removed_by_a_stop() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut web = workload("web", pod(vec![container("main", "true")]));
    web.pod.containers[0].image = Some("localhost/none:1".to_owned());
    let error = desk.run_start(&Arc::new(web.clone())).await.unwrap_err();
    assert!(
        matches!(&error, CommandError::Start { message }
        if message.contains("not on the device")),
        "{error}"
    );
    assert_eq!(podman.json("pods/json"), json!([]), "nothing is left of a failed start");
    desk.run_stop(&web).await.unwrap();
}

fn from_registry(registry: &PrivateRegistry, password: Option<&str>) -> Arc<Workload> {
    let mut web = workload("web", pod(vec![container("main", &serving("true"))]));
    web.pod.containers[0].image = Some(registry.image());
    if let Some(password) = password {
        let credentials = RegistryCredentials {
            username: REGISTRY_USER.to_owned(),
            password: Confidential::new(password.to_owned()),
        };
        web.registries = [(registry.address().to_owned(), credentials)].into();
    }
    Arc::new(web)
}

async fn images_come_with_credentials(podman: HermeticPodman, kind: ExecutorKind) {
    let registry = PrivateRegistry::beside(&podman);
    let mut desk = desk(&podman, kind);
    for password in [None, Some("wrong")] {
        let workload = from_registry(&registry, password);
        let error = desk.run(Action::Pull { workload }).await.unwrap_err();
        let CommandError::Pull { image, message } = error else {
            panic!("{error}");
        };
        assert_eq!(image, registry.image());
        assert_eq!(message, "the registry wants other credentials");
    }
    let web = from_registry(&registry, Some(REGISTRY_PASSWORD));
    let workload = Arc::clone(&web);
    desk.run(Action::Pull { workload }).await.unwrap();
    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;

    let mut unknown = (*web).clone();
    unknown.pod.containers[0].image = Some(format!("{}/none:1", registry.address()));
    let workload = Arc::new(unknown);
    let error = desk.run(Action::Pull { workload }).await.unwrap_err();
    assert!(error.to_string().contains("no such image"), "{error}");
}

#[actix::test]
async fn rootful_images_come_from_a_private_registry_with_the_right_credentials_only() {
    images_come_with_credentials(HermeticPodman::rootful(), ExecutorKind::PodmanRootful).await;
}

#[actix::test]
async fn rootless_images_come_from_a_private_registry_with_the_right_credentials_only() {
    images_come_with_credentials(HermeticPodman::rootless(), ExecutorKind::PodmanRootless).await;
}

#[actix::test]
async fn failed_starts_say_why_and_leave_nothing() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut init_fails = pod(vec![container("main", &serving("true"))]);
    init_fails["initContainers"] = json!([container("migrate", "exit 4")]);
    let mut no_command = pod(vec![container("good", &serving("true"))]);
    let nope = json!({"name": "bad", "image": IMAGE, "command": ["/nope"]});
    no_command["containers"].as_array_mut().unwrap().push(nope);
    for (name, pod, reason) in [
        ("init", init_fails, "init container migrate exited with code 4"),
        ("command", no_command, "a command is not in its image"),
    ] {
        let workload = Arc::new(workload(name, pod));
        let error = desk.run_start(&workload).await.unwrap_err();
        let CommandError::Start { message } = error else {
            panic!("{error}");
        };
        assert!(message.contains(reason), "{message}");
        assert_eq!(podman.json("pods/json"), json!([]), "{name}");
    }
}

#[actix::test]
async fn crash_is_seen_at_once_with_its_exit_code() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let script = "while [ ! -e /go ]; do sleep 0.05; done; exit 7";
    let crashing = Arc::new(workload("crash", pod(vec![container("main", script)])));
    desk.run_start(&crashing).await.unwrap();
    desk.observe_state(&crashing.id, is_running).await;
    // Nothing but the event can bring the news within the period of 30 s.
    let began = desk.clock.now().monotonic;
    let name = container_name(&crashing, "main");
    exec(&podman, &name, &["touch", "/go"]);
    desk.observe_state(&crashing.id, |state| match state {
        CurrentState::Exited { ended } => {
            assert_eq!((ended[0].container.as_str(), ended[0].exit_code), ("main", 7));
            true
        }
        _ => false,
    })
    .await;
    assert_took_less(&desk, began, Duration::from_secs(10));
    // An ended pod is replaced by the next start.
    desk.run_start(&crashing).await.unwrap();
    desk.observe_state(&crashing.id, is_running).await;
}

/// Runs a command in a container.
fn exec(podman: &HermeticPodman, container: &str, command: &[&str]) {
    let json = [("Content-Type", "application/json")];
    let body = json!({"Cmd": command, "AttachStdout": true}).to_string();
    let path = format!("containers/{container}/exec");
    let (status, answer) = podman.ask("POST", &path, &json, body.as_bytes()).unwrap();
    assert_eq!(status, 201);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let path = format!("exec/{}/start", answer["Id"].as_str().unwrap());
    let _ = podman.ask("POST", &path, &json, json!({"Detach": true}).to_string().as_bytes());
}

#[actix::test]
async fn container_over_its_memory_limit_ends_as_killed() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut main = container("main", "sleep 0.3; tail /dev/zero");
    main["resources"] = json!({"limits": {"memory": "16Mi"}});
    let hungry = Arc::new(workload("hungry", pod(vec![main])));
    desk.run_start(&hungry).await.unwrap();
    desk.observe_state(&hungry.id, |state| match state {
        CurrentState::Exited { ended } => {
            // podman 4.3 does not tell why; later ones do.
            let is_explained = ended[0].oom_killed || ended[0].message.is_some();
            ended[0].exit_code == 137 && is_explained
        }
        _ => false,
    })
    .await;
}

#[actix::test]
async fn one_container_of_two_that_ends_degrades_the_pod() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let containers =
        vec![container("stays", &serving("true")), container("ends", "sleep 0.3; exit 3")];
    let both = Arc::new(workload("both", pod(containers)));
    desk.run_start(&both).await.unwrap();
    desk.observe_state(&both.id, |state| match state {
        CurrentState::Degraded { ended } => {
            assert_eq!((ended[0].container.as_str(), ended[0].exit_code), ("ends", 3));
            true
        }
        _ => false,
    })
    .await;
    // podman's own pod stop does nothing to such a pod.
    desk.run_stop(&both).await.unwrap();
    assert_eq!(podman.json("pods/json"), json!([]));
}

#[actix::test]
async fn containers_that_end_at_different_times_all_tell_how() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let last = "while [ ! -e /go ]; do sleep 0.05; done; exit 0";
    let containers = vec![
        container("last", last),
        container("first", "sleep 0.3; exit 3"),
        container("second", "sleep 0.6; exit 130"),
    ];
    let all = Arc::new(workload("all", pod(containers)));
    desk.run_start(&all).await.unwrap();
    let codes = |ended: &[ContainerEnd]| {
        let codes = ended.iter().map(|end| (end.container.clone(), end.exit_code));
        codes.collect::<BTreeMap<_, _>>()
    };
    let expected = |ends: &[(&str, i32)]| {
        ends.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect::<BTreeMap<_, _>>()
    };
    let two = expected(&[("first", 3), ("second", 130)]);
    desk.observe_state(
        &all.id,
        |state| matches!(state, CurrentState::Degraded { ended } if codes(ended) == two),
    )
    .await;
    exec(&podman, &container_name(&all, "last"), &["touch", "/go"]);
    let three = expected(&[("first", 3), ("last", 0), ("second", 130)]);
    desk.observe_state(&all.id, |state| match state {
        CurrentState::Exited { ended } => {
            assert_eq!(codes(ended), three);
            true
        }
        _ => false,
    })
    .await;
}

#[actix::test]
async fn log_of_a_container_is_cut_at_its_size() {
    let podman = HermeticPodman::rootful();
    let client = client(&podman);
    let kind = ExecutorKind::PodmanRootful;
    let mut desk = PodmanDesk::start_with(kind, client, podman.volumes_root(), |deps| {
        deps.log_max_size = "100kb".to_owned();
    });
    let script = serving("head -c 400000 /dev/zero | tr '\\0' 'x' | fold -w 99; echo; echo done");
    let loud = Arc::new(workload("loud", pod(vec![container("main", &script)])));
    desk.run_start(&loud).await.unwrap();
    let logs = logged(&podman, &container_name(&loud, "main"), "done").await;
    assert!(logs.len() < 110_000, "{} bytes are kept", logs.len());
    let detail = podman.json(&format!("containers/{}/json", container_name(&loud, "main")));
    let log = &detail["HostConfig"]["LogConfig"];
    assert_eq!((&log["Type"], &log["Size"]), (&json!("k8s-file"), &json!("100kB")), "{detail}");
}

#[actix::test]
async fn init_container_ends_before_the_others_start() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut migrated = pod(vec![container("main", &serving("cat /shared/log; echo served"))]);
    migrated["initContainers"] =
        json!([container("migrate", "sleep 1; echo migrated > /shared/log")]);
    migrated["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    for containers in ["containers", "initContainers"] {
        migrated[containers][0]["volumeMounts"] =
            json!([{"name": "shared", "mountPath": "/shared"}]);
    }
    let web = Arc::new(workload("web", migrated));
    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
    let logs = logged(&podman, &container_name(&web, "main"), "served").await;
    assert!(logs.contains("migrated"), "{logs}");
}

#[actix::test]
async fn pods_survive_a_killed_service_and_their_ends_are_seen_after_it() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let script = "while [ ! -e /go ]; do sleep 0.05; done; exit 9";
    let web = serving_workload("web");
    let ending = Arc::new(workload("ending", pod(vec![container("main", script)])));
    desk.run_start(&web).await.unwrap();
    desk.run_start(&ending).await.unwrap();
    let first = container_id(&podman, &web);
    let path = format!("containers/{}/json", container_name(&ending, "main"));
    let pid = podman.json(&path)["State"]["Pid"].as_i64().unwrap();

    podman.shut_down();
    desk.observe(|seen| seen.pods.is_err()).await;
    podman.kill_inside(pid);
    podman.restart();
    let began = desk.clock.now().monotonic;
    desk.observe(|seen| {
        let ended = |state: &CurrentState| {
            matches!(state, CurrentState::Exited { ended }
            if ended[0].exit_code == 137)
        };
        state_in(seen, &web.id).is_some_and(is_running)
            && state_in(seen, &ending.id).is_some_and(ended)
    })
    .await;
    assert_took_less(&desk, began, Duration::from_secs(10));
    assert_eq!(container_id(&podman, &web), first, "the pod was left alone");
}

#[actix::test]
async fn hung_service_is_reported_and_commands_to_it_end_in_time() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    desk.observe(|seen| seen.pods.is_ok()).await;
    podman.hang();
    let id = desk.send(start_of(&serving_workload("web")), Duration::from_secs(8));
    let finished = desk.finished.recv().await.unwrap();
    assert_eq!(finished.id, id);
    assert!(matches!(finished.result, Err(CommandError::Unavailable { .. })));
    desk.observe(|seen| seen.pods.is_err()).await;
    podman.resume();
    desk.observe(|seen| seen.pods.is_ok()).await;
    assert!(desk.health.try_recv().is_err(), "the executor was not restarted");
}

#[actix::test]
async fn executor_connects_when_the_socket_appears() {
    let podman = HermeticPodman::rootful();
    podman.shut_down();
    std::fs::remove_file(podman.socket()).unwrap();
    let mut desk = rootful(&podman);
    desk.observe(|seen| seen.pods.is_err()).await;
    podman.restart();
    let began = desk.clock.now().monotonic;
    desk.observe(|seen| seen.pods.is_ok()).await;
    assert_took_less(&desk, began, Duration::from_secs(3));
}

async fn host_network_is_honoured(podman: HermeticPodman, kind: ExecutorKind) {
    let mut desk = desk(&podman, kind);
    let mut main = container("main", &serving("true"));
    main["ports"] = json!([{"containerPort": 8099}]);
    let mut spec = pod(vec![main]);
    spec["hostNetwork"] = json!(true);
    let host = Arc::new(workload("host", spec));
    desk.run_start(&host).await.unwrap();
    let pods = podman.json("pods/json");
    let pod = pods[0]["Name"].as_str().unwrap();
    let detail = podman.json(&format!("pods/{pod}/json"));
    assert_eq!(detail["InfraConfig"]["HostNetwork"], json!(true), "{detail}");
}

#[actix::test]
async fn rootful_host_network_is_honoured() {
    host_network_is_honoured(HermeticPodman::rootful(), ExecutorKind::PodmanRootful).await;
}

#[actix::test]
async fn rootless_host_network_is_honoured() {
    host_network_is_honoured(HermeticPodman::rootless(), ExecutorKind::PodmanRootless).await;
}

#[actix::test]
async fn killed_conmon_and_container_are_noticed_without_an_event() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let web = serving_workload("web");
    desk.run_start(&web).await.unwrap();
    let path = format!("containers/{}/json", container_name(&web, "main"));
    let state = podman.json(&path)["State"].clone();
    podman.kill_inside(state["ConmonPid"].as_i64().unwrap());
    podman.kill_inside(state["Pid"].as_i64().unwrap());
    desk.observe_state(&web.id, |state| match state {
        CurrentState::Exited { ended } => ended[0].exit_code == -1,
        _ => false,
    })
    .await;
    desk.run(stop_of(&web)).await.unwrap();
    assert_eq!(podman.json("pods/json"), json!([]));
}
