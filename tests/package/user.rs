//! Pods of a user: run by an agent of that user's own, or by root's.

use crate::machine::{Machine, NAME, deb, find_workload, project};

/// The user's folder of settings.
const HOME: &str = "/home/ada/.config/device-worker-ng";

/// As the user, with that user's systemd at hand.
fn as_user(command: &str) -> String {
    format!(
        "runuser -u ada -- env HOME=/home/ada XDG_RUNTIME_DIR=/run/user/$(id -u ada) \
         sh -c 'cd; {command}'"
    )
}

/// A machine with the package, and a user whose podman has the image of the demo.
fn machine_with_user() -> Machine {
    let machine = Machine::boot();
    machine.install(&deb());
    machine.run("useradd --create-home --shell /bin/bash ada && loginctl enable-linger ada");
    machine.eventually("the user's systemd is up", |machine| {
        machine.can(&as_user("systemctl --user is-active default.target")).then_some(())
    });
    machine.import_busybox();
    machine.run("podman save --quiet localhost/busybox:test > /tmp/busybox.tar");
    machine.run(&as_user("podman load --quiet --input /tmp/busybox.tar"));
    machine.run(&as_user("systemctl --user enable --now podman.socket"));
    machine
}

/// Puts the device of the demo and `lamp` into `folder`, and the agent's settings beside them.
fn configure(machine: &Machine, folder: &str, further: &str, lamp: &str) {
    let config = format!("DEVICE_ID: demo\nMANIFESTS: {folder}/manifests\n{further}");
    machine.write(&format!("{folder}/config.yaml"), config.as_bytes());
    let device = project("examples/demo/manifests/1-device.yaml");
    machine.copy(&device, &format!("{folder}/manifests/device.yaml"));
    machine.write(&format!("{folder}/manifests/lamp.yaml"), lamp.as_bytes());
}

/// The demo's `lamp`, for a user. The machine has no device for a network of the user's own.
fn rootless_lamp() -> String {
    let lamp = std::fs::read_to_string(project("examples/demo/manifests/2-lamp.yaml")).unwrap();
    lamp.replace("  type: pod ", "  rootless: true\n  type: pod ")
        .replace("      containers:", "      hostNetwork: true\n      containers:")
}

fn lamp_is_the_users(machine: &Machine) {
    let lamp = machine.wait_for("lamp", "running");
    assert_eq!(lamp["executor"], "podman_rootless", "{lamp}");
    let pods = machine.run(&as_user("podman ps --quiet --filter name=^lamp-"));
    assert_eq!(pods.lines().count(), 1, "{pods}");
    assert_eq!(machine.container("lamp"), "", "root has none");
}

#[test]
fn a_user_has_an_agent_of_its_own() {
    let machine = machine_with_user();
    machine.run(&format!("systemctl disable --now {NAME}"));
    // Without a configuration there is nothing to do, and nothing fails.
    machine.run(&as_user(&format!("systemctl --user start {NAME}")));
    assert!(!machine.can(&as_user(&format!("systemctl --user is-active {NAME}"))));

    configure(&machine, HOME, "", &rootless_lamp());
    machine.run("chown --recursive ada: /home/ada");
    machine.run(&as_user(&format!("systemctl --user enable --now {NAME}")));
    lamp_is_the_users(&machine);
    let status = machine.status("the user's podman answers", |status| {
        find_workload(status, "lamp").is_some() && status["health"]["state"] == "ok"
    });
    assert_eq!(status["control_plane"]["place"], format!("{HOME}/manifests"), "{status}");
}

#[test]
fn an_agent_of_root_reaches_a_users_podman_from_inside_the_sandbox() {
    let machine = machine_with_user();
    // A volume of the workload's own lies where that user can pass through to it.
    let lamp = rootless_lamp()
        + "          volumeMounts: [{name: scratch, mountPath: /scratch}]\n"
        + "      volumes: [{name: scratch, emptyDir: {}}]\n";
    let user = format!("XDG_RUNTIME_DIR: /run/user/{}\n", machine.run("id -u ada"));
    configure(&machine, "/etc/device-worker-ng", &user, &lamp);
    machine.run(&format!("systemctl restart {NAME}"));
    lamp_is_the_users(&machine);
    let pod = machine.run(&as_user("podman ps --quiet --filter name=^lamp-"));
    machine.run(&as_user(&format!("podman exec {pod} sh -c \"echo held > /scratch/note\"")));
    machine.run("grep --recursive --quiet held /var/lib/device-worker-ng-rootless");
}

#[test]
fn a_users_podman_that_does_not_start_is_reported_by_an_agent_of_root() {
    let machine = machine_with_user();
    let user = format!("XDG_RUNTIME_DIR: /run/user/{}\n", machine.run("id -u ada"));
    configure(&machine, "/etc/device-worker-ng", &user, &rootless_lamp());
    machine.run(&format!("systemctl restart {NAME}"));
    lamp_is_the_users(&machine);
    machine.run(&as_user("systemctl --user stop podman.service"));
    machine.run(
        "cd /home/ada/.local/share/containers/storage; rm -f db.sql-*; \
         for file in libpod/bolt_state.db db.sql; do [ ! -e $file ] || head -c 30000 /dev/urandom >$file; done",
    );
    let status = machine.status("podman's own words are reported", |status| {
        status["health"]["reasons"].to_string().contains("podman says: ")
    });
    assert_eq!(status["health"]["state"], "degraded", "{status}");
    let reasons = status["health"]["reasons"].to_string();
    assert!(
        reasons.contains("podman_rootless is not available: podman's database is damaged"),
        "{reasons}"
    );
    assert!(reasons.contains("systemctl --user stop podman.socket podman.service"), "{reasons}");
    assert_eq!(machine.container("lamp"), "", "nothing of it is root's");
}
