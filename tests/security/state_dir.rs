//! Another user of the device, who owns a folder on the way to STATE_DIR, or could once write there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::{Agent, eventually};
use crate::device::{Device, configuration};
use crate::pods::{manifest, one_container, pods, sent, serving, serving_after, written};

/// The attacker: neither root nor who owns the rootless podman.
const OTHER: u32 = 4321;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives `path`, and all that is in it, to the attacker.
fn give(path: &Path) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
    chown(path, Some(OTHER), Some(OTHER)).unwrap();
}

/// A pod whose `emptyDir` remembers that it ran.
fn with_data() -> Value {
    let mut pod = serving_after("echo kept > /data/file; echo done");
    pod["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    pod["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    pod
}

/// Waits for the end of an agent that refuses to start; returns what it said.
fn refusal(mut agent: Agent) -> String {
    assert_eq!(agent.exit_code(), Some(2), "{}", agent.tail());
    eventually("it says why", || {
        let said = agent.log().join("\n");
        said.contains("problem").then_some(said)
    })
}

/// Lets rootless pods run on `podman`.
fn with_user(device: &mut Device, podman: &HermeticPodman) {
    let socket = podman.socket();
    let runtime_dir = socket.with_file_name("xdg");
    device.settings.set("PODMAN_ROOTLESS_SOCKET", socket.display().to_string());
    device.settings.set("XDG_RUNTIME_DIR", runtime_dir.display().to_string());
}

#[test]
fn a_link_planted_beside_the_state_costs_no_pod_its_volumes() {
    let (podman, of_user) = (HermeticPodman::rootful(), HermeticPodman::rootless());
    let mut device = Device::with_manifests().on(&podman);
    // A folder in which others may not replace what is root's, but plant what is not there yet.
    let home = device.path("home");
    fs::create_dir(&home).unwrap();
    set_mode(&home, 0o1777);
    let state = home.join("state");
    device.settings.set("STATE_DIR", state.display().to_string());
    with_user(&mut device, &of_user);
    device.apply("web", &manifest("web", &with_data(), json!({})));
    let agent = device.settings.start();
    let web = one_container(&podman, "web");
    written(&podman, &web, "done");
    let volume = state.join("volumes/rootful/.scratch").join(&web.pod).join("data/file");
    assert_eq!(fs::read_to_string(&volume).unwrap(), "kept\n");
    let planted = home.join("state-rootless");
    symlink(&state, &planted).unwrap();
    std::os::unix::fs::lchown(&planted, Some(OTHER), Some(OTHER)).unwrap();

    // A rootless workload makes the agent write there, and sweep.
    device.apply("own", &manifest("own", &with_data(), json!({"rootless": true})));
    let reason = format!("{} belongs to user {OTHER}", planted.display());
    agent.wait_for_reason("own", &reason);
    agent.wait_for_status("web", "running");
    assert_eq!(fs::read_to_string(&volume).unwrap(), "kept\n");
    assert_eq!(fs::metadata(state.join("volumes")).unwrap().mode() & 0o777, 0o700);
    // Once the administrator has removed it, the pod runs, with its volumes in the agent's own folder.
    fs::remove_file(&planted).unwrap();
    agent.wait_for_status("own", "running");
    assert_eq!(fs::metadata(&planted).unwrap().uid(), 0);
    assert_eq!(one_container(&podman, "web"), web);
}

#[test]
fn an_agent_of_root_keeps_no_state_below_a_folder_of_another_user() {
    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    let home = device.path("home");
    let state = home.join("state");
    fs::create_dir(&home).unwrap();
    device.settings.set("STATE_DIR", state.display().to_string());
    device.apply("web", &manifest("web", &with_data(), json!({})));
    let agent = device.settings.start();
    let web = one_container(&podman, "web");
    written(&podman, &web, "done");
    drop(agent);
    // From now on another user can put another folder in its place.
    for (owner, mode) in [(OTHER, 0o755), (0, 0o777), (0, 0o757)] {
        chown(&home, Some(owner), None).unwrap();
        set_mode(&home, mode);
        let said = refusal(device.settings.start());
        let expected = format!("{} belongs to user {owner}", home.display());
        assert!(said.contains("STATE_DIR") && said.contains(&expected), "{said}");
        assert!(said.contains(&format!("mode {mode:o}")) && said.contains("/var/lib"), "{said}");
    }
    let volume = state.join("volumes/rootful/.scratch").join(&web.pod).join("data/file");
    assert_eq!(fs::read_to_string(volume).unwrap(), "kept\n");
    assert_eq!(one_container(&podman, "web"), web);
    // Nor by a link of theirs, wherever it leads.
    let link = device.path("link");
    symlink("/var/lib", &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(OTHER), Some(OTHER)).unwrap();
    device.settings.set("STATE_DIR", link.join("dw").display().to_string());
    let said = refusal(device.settings.start());
    assert!(said.contains(&format!("{} belongs to user {OTHER}", link.display())), "{said}");
    assert!(!Path::new("/var/lib/dw").exists());
}

/// Has an agent keep a configuration with a workload, which it has never run for want of podman.
fn stored(device: &Device, name: &str, pod: &Value, podman: &HermeticPodman) {
    let edge = EdgeApi::start();
    let other = Device::of(&edge).on(podman);
    edge.set_configuration(configuration(vec![sent(name, pod)]));
    let agent = other.settings.start();
    let kept = other.path("state/configuration/current");
    one_container(podman, name);
    drop(agent);
    assert!(kept.is_file());
    fs::create_dir_all(device.path("state/configuration")).unwrap();
    fs::copy(&kept, device.path("state/configuration/current")).unwrap();
}

#[test]
fn a_configuration_that_another_user_has_stored_is_not_run() {
    let podman = HermeticPodman::rootful();
    let edge = EdgeApi::start();
    let mut device = Device::of(&edge);
    // What the attacker stores is well formed: an agent has written it.
    stored(&device, "foreign", &serving(), &HermeticPodman::rootful());
    device = device.on(&podman);
    device.settings.set("SERVER", "https://127.0.0.1:1");
    let folder = device.path("state/configuration");
    let file = folder.join("current");
    type Attack = fn(&Path);
    let attacks: [(&str, Attack, &Path); 5] = [
        ("folder of another user", give, &folder),
        ("folder that all may write to", |folder| set_mode(folder, 0o777), &folder),
        ("file of another user", |folder| give(&folder.join("current")), &file),
        ("file that all may write to", |folder| set_mode(&folder.join("current"), 0o666), &file),
        (
            "link to a folder",
            |folder| {
                fs::rename(folder, folder.with_file_name("elsewhere")).unwrap();
                symlink("elsewhere", folder).unwrap();
            },
            &folder,
        ),
    ];
    for (what, attack, named) in attacks {
        if fs::read_link(&folder).is_err() {
            set_mode(&folder, 0o700);
        }
        chown(&folder, Some(0), None).unwrap();
        chown(&file, Some(0), None).unwrap();
        set_mode(&file, 0o600);
        attack(&folder);
        let agent = device.settings.start();
        let expected = named.display().to_string();
        agent.wait_for_log(&[
            "control plane trouble recorded",
            "StoredConfigurationDamaged",
            &expected,
        ]);
        agent.wait_for_log(&["remove it"]);
        agent.wait_for_log(&["runtime answered"]);
        let status = eventually("the status is there", || agent.status());
        assert_eq!(status["workloads"], json!([]), "{what}");
        assert_eq!(pods(&podman), Some(Vec::new()), "{what}");
    }
    // And as it should be, it is run.
    fs::remove_file(&folder).unwrap();
    fs::rename(folder.with_file_name("elsewhere"), &folder).unwrap();
    let _agent = device.settings.start();
    one_container(&podman, "foreign");
}

#[test]
fn a_state_folder_that_was_open_to_all_is_closed_and_what_others_put_there_is_not_believed() {
    let podman = HermeticPodman::rootful();
    let edge = EdgeApi::start();
    let device = Device::of(&edge);
    stored(&device, "foreign", &serving(), &HermeticPodman::rootful());
    let mut device = device.on(&podman);
    device.settings.set("SERVER", "https://127.0.0.1:1").unset("DEVICE_ID");
    let state = device.path("state");
    set_mode(&state, 0o777);
    give(&state.join("configuration"));
    let agent = device.settings.start();
    agent.wait_for_log(&["configuration was doubtful", "STATE_DIR", "mode 777", "was closed"]);
    agent.wait_for_log(&["StoredConfigurationDamaged", "configuration belongs to user 4321"]);
    assert_eq!(fs::metadata(&state).unwrap().mode() & 0o7777, 0o755);
    agent.wait_for_log(&["runtime answered"]);
    assert_eq!(pods(&podman), Some(Vec::new()));
    drop(agent);
    // An id is not made anew in silence: the device would be another one.
    fs::write(state.join("device-id"), "another\n").unwrap();
    give(&state.join("device-id"));
    let said = refusal(device.settings.start());
    assert!(
        said.contains("device-id belongs to user 4321") && said.contains("remove it"),
        "{said}"
    );
}

#[test]
fn a_key_that_another_user_has_put_there_is_not_the_devices() {
    let edge = EdgeApi::start();
    let device = Device::of(&edge);
    let agent = device.settings.start();
    agent.wait_for_log(&["device certificate received"]);
    let identity = device.path("state/identity");
    let key = eventually("the identity is kept", || {
        let key = identity.join("device.key");
        key.is_file().then_some(key)
    });
    drop(agent);
    for (path, expected) in [
        (&key, "device.key belongs to user 4321"),
        (&identity.join("device.crt"), "device.crt belongs to user 4321"),
        (&identity, "identity belongs to user 4321"),
    ] {
        chown(path, Some(OTHER), None).unwrap();
        let agent = device.settings.start();
        agent.wait_for_log(&["IdentityNeedsAttention", expected, "remove it"]);
        drop(agent);
        chown(path, Some(0), None).unwrap();
    }
}

#[test]
fn the_agent_of_a_user_takes_what_is_roots_and_refuses_what_is_another_users() {
    let podman = HermeticPodman::rootless();
    let owner = fs::metadata(podman.socket()).unwrap();
    let (user, group) = (owner.uid(), owner.gid());
    assert_ne!(user, OTHER);
    let mut device = Device::with_manifests();
    with_user(&mut device, &podman);
    device.settings.unset("PODMAN_SOCKET");
    let words = [format!("--reuid={user}"), format!("--regid={group}")];
    device.settings.through(&["setpriv", &words[0], &words[1], "--clear-groups"]);
    // A home as many systems make it: open to the user's group, which has no other member.
    let home = device.path("home");
    fs::create_dir_all(home.join("state")).unwrap();
    chown(&home, Some(user), Some(group)).unwrap();
    chown(home.join("state"), Some(user), Some(group)).unwrap();
    set_mode(&home, 0o775);
    device.settings.set("STATE_DIR", home.join("state").display().to_string());
    device.apply("web", &manifest("web", &with_data(), json!({"rootless": true})));
    let agent = device.settings.start();
    let web = one_container(&podman, "web");
    written(&podman, &web, "done");
    assert!(!agent.has_logged(&["configuration was doubtful"]), "{}", agent.tail());
    drop(agent);
    for (owner, group, mode) in [(OTHER, group, 0o755), (user, OTHER, 0o775), (user, group, 0o777)]
    {
        chown(&home, Some(owner), Some(group)).unwrap();
        set_mode(&home, mode);
        let said = refusal(device.settings.start());
        assert!(said.contains(&format!("{} belongs to user {owner}", home.display())), "{said}");
    }
}

/// Returns the command by which docs/kubernetes.md makes a volume the agent's own.
fn shown_command() -> &'static str {
    let page = include_str!("../../docs/kubernetes.md");
    let line = page.lines().find(|line| line.contains("command: [sh, -c, \"chown ")).unwrap();
    line.split('"').nth(1).unwrap()
}

#[test]
fn a_volume_of_a_cluster_is_refused_until_the_command_of_the_page_makes_it_the_agents_own() {
    // Neither podman nor a cluster is needed to see whether it starts.
    const USER: &str = "65532";
    let mut device = Device::with_manifests();
    let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
    device.settings.through(&["setpriv", &user[0], &user[1], "--clear-groups"]);
    device.settings.unset("PODMAN_SOCKET");
    let state = device.path("volume");
    device.settings.set("STATE_DIR", state.display().to_string());
    fs::create_dir(&state).unwrap();
    let group = USER.parse().unwrap();
    // An emptyDir, the same with an fsGroup, and another volume with one.
    for (group, mode) in [(0, 0o777), (group, 0o2777), (group, 0o2775)] {
        chown(&state, Some(0), Some(group)).unwrap();
        set_mode(&state, mode);
        let said = refusal(device.settings.start());
        assert!(said.contains(&format!("{} belongs to user 0", state.display())), "{said}");
        assert!(said.contains("chown, chmod go-w"), "{said}");
    }
    let command = shown_command().replace("/state", &state.display().to_string());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    let agent = device.settings.start();
    eventually("it says that it runs", || agent.has_logged(&["agent started"]).then_some(()));
    assert!(!agent.has_logged(&["configuration was doubtful"]), "{}", agent.tail());
}

#[test]
fn what_others_can_write_or_read_is_warned_of_at_the_start_and_by_check() {
    let device = Device::with_manifests();
    let secret = json!({"kind": "Secret", "metadata": {"name": "login"}, "stringData": {"a": "b"}});
    device.apply("secret", &secret);
    device.apply("web", &manifest("web", &serving(), json!({})));
    let config = device.settings.write();
    let warnings = || {
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
        let said = check.arg("check").arg("--config").arg(&config).output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        let said = String::from_utf8(said.stderr).unwrap();
        let agent = device.settings.start();
        agent.wait_for_log(&["listener opened"]);
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        for line in &lines {
            // The log has each of them, once.
            let line = line.strip_prefix("warning: ").unwrap();
            let line = serde_json::to_string(line).unwrap();
            agent.wait_for_log(&["WARN", line.trim_matches('"')]);
            assert_eq!(agent.times_logged(&["WARN", line.trim_matches('"')]), 1, "{line}");
        }
        lines
    };
    set_mode(&device.path("manifests/secret.yaml"), 0o600);
    assert_eq!(warnings(), [""; 0]);
    set_mode(&device.path("manifests/secret.yaml"), 0o644);
    let [secret] = &warnings()[..] else { panic!("{:?}", warnings()) };
    assert!(secret.contains("secret.yaml: it holds a Secret and others can read it; chmod 600"));
    set_mode(&device.path("manifests"), 0o700);
    assert_eq!(warnings(), [""; 0]);
    chown(device.path("manifests/web.yaml"), Some(OTHER), None).unwrap();
    // Agents write it anew, with the mode that it has.
    set_mode(&device.path("config.yaml"), 0o666);
    let found = warnings();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("config.yaml belongs to user 0 and can be written by every user"));
    assert!(found[1].contains("web.yaml belongs to user 4321"), "{found:?}");
    set_mode(&device.path("config.yaml"), 0o644);
    set_mode(&device.path("manifests"), 0o777);
    let [folder] = &warnings()[..] else { panic!("{:?}", warnings()) };
    assert!(folder.contains("MANIFESTS") && folder.contains("(mode 777)"), "{folder}");
}
