//! The package for Debian, from its installation to its purge.

use serde_json::Value;

use crate::machine::{Machine, NAME, deb, find_workload, later_deb, project, target};

const CONFIG: &str = "/etc/device-worker-ng/config.yaml";
const MANIFESTS: &str = "/etc/device-worker-ng/manifests";

/// A machine with the package, whose agent has answered.
fn installed() -> Machine {
    let machine = Machine::boot();
    machine.install(&deb());
    machine.status("the agent answers", |_| true);
    machine
}

/// Returns the process that the unit has started, 0 while there is none.
fn agent(machine: &Machine) -> String {
    machine.run(&format!("systemctl show --property MainPID --value {NAME}"))
}

/// Lets the agent run the manifests of the demo.
fn run_the_demo(machine: &Machine) {
    machine.import_busybox();
    machine.run(&format!("echo 'DEVICE_ID: demo' >> {CONFIG}"));
    machine.run(&format!("cp /usr/share/doc/{NAME}/examples/manifests/* {MANIFESTS}"));
    machine.run(&format!("systemctl restart {NAME}"));
    machine.wait_for("lamp", "running");
}

#[test]
fn an_installation_starts_the_agent_under_systemd() {
    let machine = installed();
    for question in ["is-enabled", "is-active"] {
        machine.run(&format!("systemctl {question} {NAME}"));
    }
    let status =
        machine.status("podman answers", |status| status["runtimes"][0]["state"] == "available");
    assert_eq!(status["health"]["state"], "ok", "{status}");
    assert_eq!(status["control_plane"]["place"], MANIFESTS, "{status}");
    assert_eq!(status["workloads"], Value::Array(Vec::new()), "{status}");
    for (path, mode) in [
        ("/var/lib/device-worker-ng", "700"),
        ("/var/lib/device-worker-ng-rootless", "711"),
        ("/run/device-worker-ng", "755"),
        ("/run/device-worker-ng-memory", "755"),
        (MANIFESTS, "700"),
    ] {
        assert_eq!(machine.run(&format!("stat --format %a {path}")), mode, "{path}");
    }
    // Only the user itself may want an agent of its own.
    assert!(!machine.can(&format!("systemctl --global is-enabled {NAME}")));
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let machine = installed();
    let kinds = [".service", "-metrics.socket"];
    for (kind, (manager, place)) in
        kinds.iter().flat_map(|kind| [(kind, ("--system", "system")), (kind, ("--user", "user"))])
    {
        let unit = format!("/usr/lib/systemd/{place}/{NAME}{kind}");
        let verify = format!("XDG_RUNTIME_DIR=/run systemd-analyze verify {manager} {unit} 2>&1");
        let said = machine.run(&verify);
        let about_us: Vec<_> = said.lines().filter(|line| line.contains(NAME)).collect();
        assert!(about_us.is_empty(), "{about_us:?}");
    }
    // In tenths of the 10 that a unit without any limit gets. What is left, the agent needs: root, /proc,
    // control groups, sockets, the ownership of volumes.
    machine.run(&format!("systemd-analyze security --no-pager --threshold=29 {NAME}"));
    let journal = machine.run(&format!("journalctl --unit {NAME} --output cat"));
    assert!(!journal.contains("core dumps could not be forbidden"), "{journal}");
}

#[test]
fn a_socket_unit_keeps_the_address_while_the_agent_is_away() {
    let machine = installed();
    assert!(!machine.can(&format!("systemctl is-enabled {NAME}-metrics.socket")));
    machine.run(&format!(
        "systemctl stop {NAME} && systemctl enable --now {NAME}-metrics.socket && \
         systemctl is-active {NAME}-metrics.socket && ! systemctl is-active {NAME}"
    ));
    // The first who posts starts the agent, and is answered by it.
    post_cpu(&machine, 10);
    machine.run(&format!("systemctl is-active {NAME}"));
    let before = agent(&machine);
    for address in ["127.0.0.1", "[::1]"] {
        machine.eventually("both families are served", |machine| {
            let ask = format!("curl --silent --fail --globoff http://{address}:8080/healthz");
            machine.can(&ask).then_some(())
        });
    }
    machine.run(&format!("kill -KILL {before}"));
    post_cpu(&machine, 20);
    assert_ne!(agent(&machine), before);

    machine.run(&format!("apt-get purge -y -qq {NAME}"));
    assert!(!machine.can("curl --silent http://127.0.0.1:8080/healthz"));
    let left = format!("find /etc/systemd /run/systemd/system -name '{NAME}-metrics.socket'");
    assert_eq!(machine.run(&left), "");
}

#[test]
fn the_agent_can_write_where_it_must_and_nowhere_else() {
    let machine = installed();
    let process = agent(&machine);
    let can_write = |path: &str| {
        machine.can(&format!("nsenter --target {process} --mount sh -c 'test -w \"{path}\"'"))
    };
    for path in [
        "/var/lib/device-worker-ng",
        "/var/lib/device-worker-ng-rootless",
        "/run/device-worker-ng",
        "/run/device-worker-ng-memory",
        // Limits of pods that run, where podman does not set them itself.
        "$(ls /sys/fs/cgroup/cpu/cgroup.procs /sys/fs/cgroup/cgroup.procs 2>/dev/null | head -n 1)",
    ] {
        assert!(can_write(path), "{path}");
    }
    for path in [
        "/",
        "/proc/sys/kernel/core_pattern",
        "/sys/kernel/uevent_helper",
        "/etc/device-worker-ng",
        MANIFESTS,
        "/usr/bin",
        "/var/lib",
        "/home",
        "/root",
    ] {
        assert!(!can_write(path), "{path}");
    }
}

#[test]
fn a_reload_reaches_the_agent_that_runs() {
    let machine = installed();
    let before = agent(&machine);
    machine.run(&format!("echo 'LOG_LEVEL: debug' >> {CONFIG}"));
    machine.run(&format!("systemctl reload {NAME}"));
    machine.eventually("the agent reads its level again", |machine| {
        let journal = format!("journalctl --unit {NAME} --output cat");
        machine.run(&journal).contains(r#""level":"debug""#).then_some(())
    });
    assert_eq!(agent(&machine), before);
}

#[test]
fn an_agent_that_dies_or_hangs_is_replaced_and_its_pods_run_on() {
    let machine = installed();
    run_the_demo(&machine);
    let pod = machine.container("lamp");
    // The watchdog of the unit notices a process that is there and does nothing.
    for signal in ["KILL", "STOP"] {
        let before = agent(&machine);
        machine.run(&format!("kill -{signal} {before}"));
        machine.eventually(&format!("another agent after {signal}"), |machine| {
            let now = agent(machine);
            (now != "0" && now != before).then_some(())
        });
        let lamp = machine.wait_for("lamp", "running");
        assert_eq!(lamp["restarts"], 0, "{lamp}");
        assert_eq!(machine.container("lamp"), pod);
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_not_tried_again() {
    let machine = installed();
    machine.run(&format!("echo 'LOG_FORMAT: none' >> {CONFIG}"));
    machine.try_run(&format!("systemctl restart {NAME}"));
    let unit = format!("systemctl show --property ActiveState,ExecMainStatus,NRestarts {NAME}");
    machine.eventually("the unit has failed", |machine| {
        machine.run(&unit).contains("ActiveState=failed").then_some(())
    });
    let unit = machine.run(&unit);
    assert!(unit.contains("ExecMainStatus=2") && unit.contains("NRestarts=0"), "{unit}");
    assert!(machine.run(&format!("journalctl --unit {NAME}")).contains("LOG_FORMAT"));
}

#[test]
fn workloads_run_and_the_probe_posts_for_their_profiles() {
    let machine = installed();
    run_the_demo(&machine);
    machine.copy(&target().join("probe-image/probe"), "/root/probe/probe");
    machine.copy(&project("examples/probe/Containerfile"), "/root/probe/Containerfile");
    let image = "localhost/probe:0.1.0";
    machine.run(&format!("chmod 755 /root/probe/probe && podman build --tag {image} /root/probe"));
    machine.run(&format!("cp /usr/share/doc/{NAME}/examples/probe.yaml {MANIFESTS}"));
    machine.wait_for("probe", "running");

    let status = machine.status("the profile knows the processor's load", |status| {
        let condition = &status["profiles"][0]["conditions"][0];
        condition["verdict"] == "true" || condition["verdict"] == "false"
    });
    let metrics = status["metrics"].as_array().unwrap();
    for (name, unit) in [("cpu", "%"), ("mem_free", "B"), ("disk", "%")] {
        let metric = metrics.iter().find(|metric| metric["name"] == name);
        assert_eq!(metric.unwrap()["unit"], unit, "{status}");
    }
    // It runs while the load is under 50 %, whatever that is now.
    let calm = status["profiles"][0]["conditions"][0]["verdict"] == "true";
    machine.wait_for("forecast", if calm { "running" } else { "stopped" });
}

/// Posts the processor's load from inside the machine.
fn post_cpu(machine: &Machine, value: u8) {
    machine.run(&format!(
        "curl --silent --fail --header 'Content-Type: application/json' \
         --data '{{\"name\":\"cpu\",\"value\":{value}}}' http://localhost:8080/metrics"
    ));
}

#[test]
fn a_limit_reaches_a_pod_that_runs() {
    let machine = installed();
    run_the_demo(&machine);
    for (file, before, further) in [
        ("1-device", "expression: .*", "        - name: busy\\n          expression: cpu >= 50%"),
        ("3-forecast", "- name: calm", "        - name: busy\\n          cpu: 20000"),
    ] {
        machine.run(&format!("sed -i 's/{before}/&\\n{further}/' {MANIFESTS}/{file}.yaml"));
    }
    machine.status("the device knows the condition", |status| {
        status["profiles"][0]["conditions"].as_array().is_some_and(|all| all.len() == 2)
    });
    post_cpu(&machine, 10);
    machine.wait_for("forecast", "running");
    let pod = machine.container("forecast");

    post_cpu(&machine, 60);
    machine.status("the limit holds", |status| {
        find_workload(status, "forecast")
            .is_some_and(|it| it["limits"]["cpu"] == 20000 && it["command"].is_null())
    });
    machine.eventually("the kernel knows the limit", |machine| {
        let quota = machine.run(&format!(
            "cat $(find /sys/fs/cgroup -path '*{pod}*' -name cpu.cfs_quota_us -o \
             -path '*{pod}*' -name cpu.max)"
        ));
        let mut quotas = quota.lines().filter_map(|line| line.split(' ').next());
        quotas.any(|quota| quota == "20000").then_some(())
    });
    assert_eq!(machine.container("forecast"), pod);
}

#[test]
fn an_upgrade_keeps_settings_and_pods() {
    let machine = installed();
    run_the_demo(&machine);
    let (before, pod) = (agent(&machine), machine.container("lamp"));
    assert!(!pod.is_empty());

    machine.install(&later_deb());
    let version = machine.run(&format!("dpkg-query --show --showformat '${{Version}}' {NAME}"));
    assert_eq!(version, "99");
    assert_ne!(agent(&machine), before);
    let lamp = machine.wait_for("lamp", "running");
    assert_eq!(lamp["restarts"], 0, "{lamp}");
    assert_eq!(machine.container("lamp"), pod);
    assert!(machine.run(&format!("cat {CONFIG}")).ends_with("DEVICE_ID: demo"));
}

#[test]
fn an_agent_that_was_switched_off_stays_off_over_an_upgrade() {
    let machine = installed();
    machine.run(&format!("systemctl disable --now {NAME}"));
    machine.install(&later_deb());
    assert!(!machine.can(&format!("systemctl is-enabled {NAME}")));
}

#[test]
fn a_removal_keeps_what_a_purge_takes() {
    let machine = installed();
    run_the_demo(&machine);
    let pod = machine.container("lamp");

    machine.apt(&format!("remove -y -qq {NAME}"));
    assert!(!machine.can(&format!("systemctl is-active {NAME}")));
    assert!(!machine.can(&format!("test -e /usr/bin/{NAME}")));
    assert_eq!(machine.container("lamp"), pod);
    machine.run(&format!("grep 'DEVICE_ID: demo' {CONFIG}"));
    machine.run("test -n \"$(ls /var/lib/device-worker-ng)\"");

    // It comes back to what it left.
    machine.install(&deb());
    machine.wait_for("lamp", "running");
    assert_eq!(machine.container("lamp"), pod);

    machine.run(&format!("rm {MANIFESTS}/4-report.yaml"));
    machine.apt(&format!("purge -y -qq {NAME}"));
    for gone in [CONFIG, "/var/lib/device-worker-ng", "/var/lib/device-worker-ng-rootless"] {
        assert!(!machine.can(&format!("test -e {gone}")), "{gone}");
    }
    assert_eq!(machine.container("lamp"), pod);
    machine.run(&format!("test -e {MANIFESTS}/2-lamp.yaml"));
}

#[test]
fn a_purge_of_an_agent_without_manifests_leaves_nothing() {
    let machine = installed();
    machine.apt(&format!("purge -y -qq {NAME}"));
    assert_eq!(machine.run(&format!("find / -xdev -name '*{NAME}*'")), "");
}

#[test]
fn zsh_and_fish_complete_its_commands() {
    let machine = Machine::boot();
    machine.install(&deb());
    let fish = machine.run(&format!("fish --command \"complete --do-complete '{NAME} st'\""));
    assert!(fish.starts_with("status\t"), "{fish}");
    let fish = machine.run(&format!("fish --command \"complete -C '{NAME} status --wa'\""));
    assert!(fish.starts_with("--watch\t"), "{fish}");
    // What zsh has found for the program, by the folders that it searches.
    let zsh = "autoload -Uz compinit && compinit -u && print -r -- $_comps[device-worker-ng]";
    assert_eq!(machine.run(&format!("zsh -fc '{zsh}'")), "_device-worker-ng");
    machine.run("zsh -n /usr/share/zsh/vendor-completions/_device-worker-ng");
}

/// Shell: the database of root's podman, bolt's or SQLite's.
const DATABASE: &str = "cd /var/lib/containers/storage; ls libpod/bolt_state.db db.sql 2>/dev/null";

#[test]
fn a_podman_that_does_not_start_is_reported_from_inside_the_sandbox_and_mended_as_it_says() {
    let machine = installed();
    run_the_demo(&machine);
    let database = machine.run(&format!("{DATABASE} || :"));
    machine.run(&format!(
        "systemctl stop podman.service; cd /var/lib/containers/storage; rm -f db.sql-*; \
         head -c 30000 /dev/urandom > {database}"
    ));
    let status = machine.status("podman's own words are reported", |status| {
        status["health"]["reasons"].to_string().contains("podman says: ")
    });
    assert_eq!(status["health"]["state"], "degraded", "{status}");
    let reasons = status["health"]["reasons"].to_string();
    let way_out = reasons.split_once("podman's database is damaged; by hand: ").expect(&reasons).1;
    let way_out = way_out.split_once(" (podman says: ").expect(&reasons).0;
    assert!(way_out.contains(&database), "{reasons}");
    let health = machine.run("curl --silent http://localhost:8080/healthz");
    assert!(health.contains("podman's database is damaged"), "{health}");

    // As it says, but that the reboot is played: it ends what runs on without podman.
    let (before, after) = way_out.split_once(", reboot, ").expect(&reasons);
    machine.run(&format!("bash -c '{}'", before.replace(", ", " && ")));
    assert_ne!(machine.run("pgrep conmon | wc -l"), "0", "it ran on");
    machine.run(
        "systemctl kill --signal=KILL 'libpod-*.scope'; \
         umount /var/lib/containers/storage/overlay-containers/*/userdata/shm; \
         systemctl start podman.socket",
    );
    machine.run(after);
    machine.wait_for("lamp", "running");
    let status = machine.status("all is well", |status| status["health"]["state"] == "ok");
    assert_eq!(status["runtimes"][0]["state"], "available", "{status}");
}
