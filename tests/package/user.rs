//! The agent of a user, under that user's own systemd.

use serde_json::Value;

use crate::machine::{Machine, NAME, deb, find_workload, project};

/// As the user, with that user's systemd at hand.
fn as_user(command: &str) -> String {
    format!(
        "runuser -u ada -- env HOME=/home/ada XDG_RUNTIME_DIR=/run/user/$(id -u ada) \
         sh -c 'cd; {command}'"
    )
}

#[test]
fn a_user_has_an_agent_and_pods_of_its_own() {
    let machine = Machine::boot();
    machine.install(&deb());
    machine.run(&format!("systemctl disable --now {NAME}"));
    machine.run("useradd --create-home --shell /bin/bash ada && loginctl enable-linger ada");
    machine.eventually("the user's systemd is up", |machine| {
        machine.can(&as_user("systemctl --user is-active default.target")).then_some(())
    });
    // Without a configuration there is nothing to do, and nothing fails.
    machine.run(&as_user(&format!("systemctl --user start {NAME}")));
    assert!(!machine.can(&as_user(&format!("systemctl --user is-active {NAME}"))));

    machine.import_busybox();
    machine.run("podman save --quiet localhost/busybox:test > /tmp/busybox.tar");
    machine.run(&as_user("podman load --quiet --input /tmp/busybox.tar"));
    let home = "/home/ada/.config/device-worker-ng";
    let config = format!("DEVICE_ID: demo\nMANIFESTS: {home}/manifests\n");
    machine.write(&format!("{home}/config.yaml"), config.as_bytes());
    for name in ["1-device.yaml", "2-lamp.yaml"] {
        let text = std::fs::read_to_string(project("examples/demo/manifests").join(name)).unwrap();
        let text = text.replace("  type: pod ", "  rootless: true\n  type: pod ");
        // The machine has no device for a network of the user's own.
        let text = text.replace("      containers:", "      hostNetwork: true\n      containers:");
        machine.write(&format!("{home}/manifests/{name}"), text.as_bytes());
    }
    machine.run("chown --recursive ada: /home/ada");
    machine.run(&as_user(&format!("systemctl --user enable --now podman.socket {NAME}")));

    machine.wait_for("lamp", "running");
    let status = machine.status("the user's podman runs it", |status| {
        find_workload(status, "lamp").is_some_and(|it| it["executor"] == "podman_rootless")
    });
    assert_eq!(status["health"]["state"], Value::from("ok"), "{status}");
    let pods = machine.run(&as_user("podman ps --quiet --filter name=^lamp-"));
    assert_eq!(pods.lines().count(), 1, "{pods}");
    assert_eq!(machine.container("lamp"), "", "root has none");
}
