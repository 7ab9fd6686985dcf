//! The agent as an image, run as its quadlet says.

use crate::machine::{Machine, NAME, find_workload, project, target};

/// Returns the arguments of `podman run` for what a quadlet asks.
fn arguments(quadlet: &str) -> Vec<String> {
    let section = quadlet.split("[Container]").nth(1).unwrap().split("\n[").next().unwrap();
    let settings = section.lines().filter(|line| !line.starts_with('#'));
    let settings = settings.filter_map(|line| line.split_once('='));
    settings
        .flat_map(|(key, value)| match key {
            "Volume" => vec![format!("--volume={value}")],
            "Network" => vec![format!("--network={value}")],
            "ContainerName" => vec![format!("--name={value}")],
            "PodmanArgs" => vec![value.to_owned()],
            "ReadOnly" => vec![format!("--read-only={value}")],
            "NoNewPrivileges" => vec!["--security-opt=no-new-privileges".to_owned()],
            "SecurityLabelDisable" => vec!["--security-opt=label=disable".to_owned()],
            "DropCapability" => vec![format!("--cap-drop={value}")],
            "AddCapability" => value.split(' ').map(|it| format!("--cap-add={it}")).collect(),
            // systemd gets it from the unit that the quadlet becomes, and not here.
            "Notify" | "Image" => Vec::new(),
            other => panic!("{other}: what does podman run call it?"),
        })
        .collect()
}

#[test]
fn an_agent_in_a_container_runs_the_pods_beside_it() {
    let machine = Machine::boot();
    machine.import_busybox();
    for (from, to) in [
        (target().join("packaged").join(NAME), NAME),
        (project("LICENSE"), "LICENSE"),
        (project("packaging/container/Containerfile"), "Containerfile"),
    ] {
        machine.copy(&from, &format!("/root/agent/{to}"));
    }
    // The C library and nothing else, in place of a Debian.
    machine.run(
        "mkdir /root/base && cd /root/base && chmod 755 /root/agent/device-worker-ng && \
         cp --dereference --parents $(ldd /root/agent/device-worker-ng | grep -o '/[^ ]*') . && \
         tar -c . | podman import --quiet - localhost/base:test",
    );
    // By digest, as the base that is the default.
    machine.run(
        "cd /root/agent && \
         base=$(podman image inspect --format '{{index .RepoDigests 0}}' localhost/base:test) && \
         podman build --build-arg BASE=$base --tag localhost/device-worker-ng .",
    );
    let config = "DEVICE_ID: demo\nMANIFESTS: /etc/device-worker-ng/manifests\n";
    machine.write("/etc/device-worker-ng/config.yaml", config.as_bytes());
    for name in ["1-device.yaml", "2-lamp.yaml"] {
        let manifest = project("examples/demo/manifests").join(name);
        machine.copy(&manifest, &format!("/etc/device-worker-ng/manifests/{name}"));
    }
    let quadlet = project("packaging/container/device-worker-ng.container");
    let quadlet = std::fs::read_to_string(quadlet).unwrap();
    let arguments = arguments(&quadlet).join(" ");
    machine.run("install -d -m 0700 /var/lib/device-worker-ng");
    machine.run(&format!("podman run --detach {arguments} localhost/device-worker-ng"));

    machine.eventually("lamp runs", |machine| {
        let answer = machine.try_run(&format!("podman exec {NAME} {NAME} status --json"));
        let status = serde_json::from_slice(&answer.stdout).ok()?;
        find_workload(&status, "lamp").filter(|lamp| lamp["status"] == "running").map(drop)
    });
    assert!(!machine.container("lamp").is_empty());
}
