//! What explains a device's behaviour, in one file, with every secret planted that a device may have.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use actors::testing::podman::{HermeticPodman, IMAGE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::agent::eventually;
use crate::device::Device;
use crate::pods::{manifest, running, serving};
use crate::secrecy::{self, planted};

/// Runs the command beside the agent of `device`.
fn bundle(device: &Device, output: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    command.arg("support-bundle").args(more).arg("--output").arg(output);
    command.arg("--config").arg(device.path("config.yaml"));
    command.env_clear().env("RUNTIME_DIRECTORY", device.path("run"));
    command.output().unwrap()
}

/// Returns the files of a bundle by their names, without that of their folder.
fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(path).unwrap()));
    let read = |entry: Result<tar::Entry<_>, _>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name.split_once('/').unwrap().1.to_owned(), text)
    };
    archive.entries().unwrap().map(read).collect()
}

fn of_secret(kind: &str, name: &str, data: Value) -> Value {
    let field = if kind == "Secret" { "stringData" } else { "data" };
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data})
}

/// Puts secrets into every place from which a workload of a folder may have them.
fn plant_into_manifests(device: &Device) {
    device.apply("secret", &of_secret("Secret", "app", json!({"token": planted("secret")})));
    device.apply("config", &of_secret("ConfigMap", "app", json!({"key": planted("config")})));
    let auth = STANDARD.encode(format!("bob:{}", planted("login")));
    let login = json!({"auths": {"127.0.0.1:5000": {"auth": auth}}}).to_string();
    let mut pull = of_secret("Secret", "pull", json!({".dockerconfigjson": login}));
    pull["type"] = json!("kubernetes.io/dockerconfigjson");
    device.apply("pull", &pull);
    let mut pod = serving();
    let container = &mut pod["containers"][0];
    container["env"].as_array_mut().unwrap().extend([
        json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "app", "key": "token"}}}),
        json!({"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "key"}}}),
    ]);
    container["volumeMounts"] = json!([{"name": "app", "mountPath": "/app"}]);
    container["livenessProbe"] = json!({"exec": {"command": ["true", planted("probe")]}});
    pod["volumes"] = json!([{"name": "app", "secret": {"secretName": "app"}}]);
    let pull = json!({"imageRegistries": {"secretRef": {"name": "pull"}}});
    let mut web = manifest("web", &pod, pull);
    web["metadata"]["annotations"] = json!({"example.org/note": planted("annotation")});
    device.apply("web", &web);
    // It cannot be started: podman names the command.
    let mut wrong = serving();
    wrong["containers"][0]["command"] = json!(["/nonexistent", planted("argument")]);
    device.apply("wrong", &manifest("wrong", &wrong, json!({})));
    let crash = running("echo the last words; exit 3");
    device.apply("crashing", &manifest("crashing", &crash, json!({})));
}

/// Makes what others than the agent may have made with podman.
fn plant_into_podman(podman: &HermeticPodman) {
    let make = |path: &str, body: Value| {
        let kind = [("Content-Type", "application/json")];
        let (status, answer) =
            podman.ask("POST", path, &kind, body.to_string().as_bytes()).unwrap();
        assert!(status < 300, "{path}: {}", String::from_utf8_lossy(&answer));
    };
    make(
        "volumes/create",
        json!({
            "Name": "share", "Label": {"note": planted("label")},
            "Options": {"type": "tmpfs", "device": "tmpfs", "o": planted("option")},
        }),
    );
    make(
        "containers/create",
        json!({
            "name": "neighbour", "image": IMAGE, "command": ["sleep", planted("argument")],
            "entrypoint": [planted("entrypoint")], "env": {"TOKEN": planted("variable")},
            "labels": {"note": planted("label")}, "annotations": {"note": planted("annotation")},
            "healthconfig": {"Test": ["CMD", planted("probe")], "Interval": 30_000_000_000_u64,
                "Timeout": 30_000_000_000_u64, "Retries": 3},
            "hostadd": [format!("{}:127.0.0.1", planted("host"))],
        }),
    );
    // podman itself gives all of it away.
    for (path, secrets) in [
        ("volumes/json", &["label", "option"][..]),
        ("containers/json?all=true", &["label", "argument"]),
        (
            "containers/neighbour/json",
            &["argument", "entrypoint", "variable", "label", "annotation", "probe", "host"],
        ),
    ] {
        let answer = podman.json(path).to_string();
        for secret in secrets {
            assert!(answer.contains(&planted(secret)), "{path} has no {secret}: {answer}");
        }
    }
}

fn shows_no_secret(device: &Device, files: &BTreeMap<String, String>, output: &Output) {
    let keys = secrecy::keys_below(device.path("").as_path());
    let said = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    for text in files.values().chain(&said) {
        let secret = secrecy::shown(text, &keys);
        assert_eq!(secret, None, "the bundle shows it: {text}");
    }
}

#[test]
fn a_bundle_explains_a_device_and_shows_none_of_its_secrets() {
    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    fs::create_dir(device.path("run")).unwrap();
    let given = format!("RUNTIME_DIRECTORY={}", device.path("run").display());
    device.settings.through(&["env", given.as_str()]);
    plant_into_manifests(&device);
    plant_into_podman(&podman);
    let agent = device.settings.start();
    agent.wait_for_status("web", "running");
    eventually("a run is kept", || {
        agent.job("crashing").filter(|job| job["restarts"].as_u64() >= Some(1))
    });
    eventually("the wrong one is refused", || {
        agent.job("wrong").filter(|job| job["reason"].as_str().is_some_and(|it| it.len() > 20))
    });

    let path = device.path("bundle.tar.gz");
    let output = bundle(&device, &path, &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let files = unpacked(&path);
    shows_no_secret(&device, &files, &output);
    let listed = String::from_utf8(output.stdout.clone()).unwrap();
    for name in files.keys() {
        assert!(name == "contents.txt" || listed.contains(&format!("  {name} ")), "{listed}");
    }
    assert!(listed.contains(path.to_str().unwrap()), "{listed}");
    assert!(listed.starts_with(&files["contents.txt"]), "{listed}");

    let json = |name: &str| -> Value { serde_json::from_str(&files[name]).unwrap() };
    let rows =
        |name: &str| json(&format!("podman_rootful/{name}.json")).as_array().unwrap().clone();
    let workloads = json("agent/status.json")["workloads"].as_array().unwrap().len();
    assert_eq!(workloads, 3);
    assert!(!json("agent/events.json").as_array().unwrap().is_empty());
    assert!(files["configuration.txt"].contains("DEVICE_ID               cam-01"), "{files:?}");
    assert!(files["check.txt"].contains("exit code 0"), "{}", files["check.txt"]);
    assert!(files["machine.txt"].contains("MemTotal"), "{}", files["machine.txt"]);
    assert!(json("podman_rootful/info.json")["host"]["kernel"].is_string());
    assert!(json("podman_rootful/version.json")["Version"].is_string());
    assert!(rows("pods").iter().any(|pod| pod["Labels"]["device-worker-ng/workload"] == "web"));
    assert!(rows("containers").iter().any(|it| it["Names"] == json!(["neighbour"])));
    assert!(rows("images").iter().any(|it| it["RepoTags"] == json!([IMAGE])));
    assert!(rows("volumes").iter().any(|it| it["Name"] == "share"));
    let inspected = rows("containers-inspected");
    assert!(inspected.iter().any(|it| it["State"]["Running"] == true), "{inspected:?}");
    assert!(inspected.iter().any(|it| it["Name"] == "neighbour"), "{inspected:?}");
    assert!(!listed.contains("kept-logs"), "{listed}");
    // Without systemd the bundle says that there is none.
    for what in ["states", "journal"] {
        let name = format!("units/system-{what}.txt");
        assert!(files.contains_key(&name) || told.contains(&name), "{told}");
    }

    let with_logs = device.path("with-logs.tar.gz");
    let output = bundle(&device, &with_logs, &["--logs"]);
    assert_eq!(output.status.code(), Some(0));
    let files = unpacked(&with_logs);
    shows_no_secret(&device, &files, &output);
    let kept = files.iter().find(|(name, _)| name.starts_with("kept-logs/001-crashing"));
    assert!(kept.unwrap().1.contains("the last words"), "{kept:?}");
}

#[test]
fn a_bundle_takes_the_place_of_nothing_and_tells_what_it_lacks() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    device.settings.write();
    device.write("other", "untouched");
    symlink(device.path("other"), device.path("link")).unwrap();
    for name in ["other", "link"] {
        let output = bundle(&device, &device.path(name), &[]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("is there already") && told.contains("--output"), "{told}");
    }
    assert_eq!(fs::read_to_string(device.path("other")).unwrap(), "untouched");

    // No agent runs, podman hangs, and a manifest is none.
    podman.hang();
    device.write("manifests/wrong.yaml", "kind: [");
    let path = device.path("bundle.tar.gz");
    let output = bundle(&device, &path, &["--logs"]);
    podman.resume();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let files = unpacked(&path);
    for missing in ["agent/status.json: no agent answers at", "podman_rootful/info.json: "] {
        assert!(told.contains(&format!("missing: {missing}")), "{told}");
        assert!(files["contents.txt"].contains(&format!("  {missing}")), "{files:?}");
    }
    assert!(files["check.txt"].contains("the manifests have 1 problem"), "{}", files["check.txt"]);
    assert!(files["check.txt"].ends_with("exit code 2\n"), "{}", files["check.txt"]);
    assert!(files["kept-logs/none.txt"].contains("has none"), "{files:?}");
    assert!(files.contains_key("machine.txt"));

    // Not even the settings can be read.
    device.write("config.yaml", "SERVER: [");
    let path = device.path("without-settings.tar.gz");
    let output = bundle(&device, &path, &[]);
    assert_eq!(output.status.code(), Some(0));
    let files = unpacked(&path);
    assert!(files["check.txt"].contains("the file is not YAML"), "{}", files["check.txt"]);
    assert!(files.contains_key("machine.txt"));
}

#[test]
fn a_bundle_asks_roots_podman_and_that_of_a_user() {
    let (rootful, rootless) = (HermeticPodman::rootful(), HermeticPodman::rootless());
    let mut device = Device::with_manifests().on(&rootful);
    let socket = rootless.socket();
    let runtime_dir = socket.with_file_name("xdg");
    device.settings.set("XDG_RUNTIME_DIR", runtime_dir.display().to_string());
    device.settings.set("PODMAN_ROOTLESS_SOCKET", socket.display().to_string());
    device.settings.write();
    let asked = |name: &str| {
        let path = device.path(name);
        let output = bundle(&device, &path, &[]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        (unpacked(&path), told)
    };
    let (files, told) = asked("both.tar.gz");
    for (podman, is_rootless) in [("podman_rootful", false), ("podman_rootless", true)] {
        let info: Value = serde_json::from_str(&files[&format!("{podman}/info.json")]).unwrap();
        assert_eq!(info["host"]["security"]["rootless"], is_rootless, "{info}");
        let images = &files[&format!("{podman}/images.json")];
        assert!(images.contains(IMAGE), "{images}");
    }
    // The user's units are looked for in the journal alone: their manager is the user's.
    assert!(!told.contains("units/user-states"), "{told}");
    let journal = "units/user-journal.txt";
    assert!(files.contains_key(journal) || told.contains(journal), "{told}");

    rootful.shut_down();
    eventually("root's podman is gone", || rootful.ask("GET", "_ping", &[], &[]).err());
    let (files, told) = asked("one.tar.gz");
    assert!(files.contains_key("podman_rootless/containers-inspected.json"), "{files:?}");
    assert!(told.contains("missing: podman_rootful/info.json: "), "{told}");
}
