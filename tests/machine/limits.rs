//! Limits by condition, as the kernel has them on every level of the control group.

use crate::machine::{Machine, NAME};
use crate::workloads::{MANIFESTS, Sleeper, as_user};

const MIB: u64 = 1 << 20;
/// A limit of CPU time beyond this is none: a thousand processors.
const NO_CPU_LIMIT: u64 = 100_000_000;

/// CPU time in 100 ms and bytes of memory, `None` for no limit.
type Limits = (Option<u64>, Option<u64>);

/// Returns the limits on each level from the pod's inwards, of the group that a process is in.
fn levels(machine: &Machine, process: u32) -> Vec<Limits> {
    let listed = machine.run(&format!(
        "group=$(cut -d: -f3 /proc/{process}/cgroup); while [[ $group == *libpod* ]]; do \
         f=/sys/fs/cgroup$group; echo $(cat $f/cpu.max 2>/dev/null || echo max) \
         $(cat $f/memory.max); group=${{group%/*}}; done"
    ));
    let levels = listed.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let cpu = words[0].parse().ok().filter(|cpu| *cpu < NO_CPU_LIMIT);
        (cpu, words.last().unwrap().parse().ok())
    });
    let mut levels: Vec<_> = levels.collect();
    levels.reverse();
    assert!(levels.len() >= 2, "{listed}");
    levels
}

/// Returns the limits in force: the tightest of all levels.
fn in_force(machine: &Machine, process: u32) -> Limits {
    let levels = levels(machine, process);
    let cpu = levels.iter().filter_map(|(cpu, _)| *cpu).min();
    (cpu, levels.iter().filter_map(|(_, memory)| *memory).min())
}

/// Waits until these limits are in force, and not one more on any level.
fn expect(machine: &Machine, workload: &Sleeper, limits: Limits) {
    let process = machine.runs(workload);
    let what = format!("{} is limited to {limits:?}", workload.name);
    machine.eventually(&what, |machine| (in_force(machine, process) == limits).then_some(()));
}

/// Two workloads that the device limits while it is busy: by both kinds, and in memory alone.
fn workloads(spec: &str) -> [Sleeper; 2] {
    [
        Sleeper::new("both", 200_001).limited_while_busy("cpu: 20000, memory: 64Mi"),
        Sleeper::new("memory", 200_002).limited_while_busy("memory: 64Mi"),
    ]
    .map(|sleeper| sleeper.with_spec(spec))
}

/// Makes the device busy and calm again, and looks what becomes of the two.
fn limit_and_lift(machine: &Machine, [both, memory]: &[Sleeper; 2]) {
    expect(machine, both, (None, None));
    let before = [both, memory].map(|workload| machine.runs(workload));
    for _ in 0..2 {
        machine.post_cpu(70);
        expect(machine, both, (Some(20_000), Some(64 * MIB)));
        expect(machine, memory, (None, Some(64 * MIB)));
        machine.post_cpu(10);
        expect(machine, both, (None, None));
        expect(machine, memory, (None, None));
    }
    assert_eq!([both, memory].map(|workload| machine.runs(workload)), before, "none was restarted");
    let unapplied =
        machine.run(&format!("journalctl -u {NAME} -o cat --no-pager | grep -c NotApplied || :"));
    assert_eq!(unapplied, "0", "all that was asked is in force");
}

#[test]
fn lifted_limits_are_lifted_on_every_level_under_crun_and_runc() {
    let machine = Machine::boot();
    let workloads = workloads("");
    for runtime in ["crun", "runc"] {
        machine.run("systemctl stop podman.service");
        let engine = format!("[engine]\nruntime = \"{runtime}\"\n");
        machine.write("/etc/containers/containers.conf.d/runtime.conf", engine.as_bytes());
        machine.configure(&[&workloads[0], &workloads[1]]);
        limit_and_lift(&machine, &workloads);
        let used = machine.run("podman inspect --format '{{.OCIRuntime}}' $(podman ps --quiet)");
        assert!(used.lines().all(|used| used == runtime), "{used}");
        machine.run(&format!("rm {MANIFESTS}/both.yaml {MANIFESTS}/memory.yaml"));
        machine.eventually("its pods are gone", |machine| {
            machine.run("podman pod ls --quiet").is_empty().then_some(())
        });
    }
}

#[test]
fn a_pod_that_an_older_agent_left_at_a_hundredth_of_a_processor_is_mended_at_the_agents_start() {
    let machine = Machine::boot();
    // Without a condition that limits: nothing but the agent's start can be the reason to look.
    let plain = Sleeper::new("plain", 200_003);
    machine.configure(&[&plain]);
    let process = machine.runs(&plain);
    // As earlier versions did.
    for quota in [20_000, -1] {
        machine.run(&format!(
            "id=$(podman ps --quiet --no-trunc --filter name=plain-); curl -sSf -X POST \
             --unix-socket /run/podman/podman.sock -H 'Content-Type: application/json' -d \
             '{{\"cpu\":{{\"quota\":{quota},\"period\":100000}}}}' \
             http://podman/v4.0.0/libpod/containers/$id/update"
        ));
    }
    assert_eq!(in_force(&machine, process).0, Some(1_000), "this runtime is no longer at fault");
    machine.run(&format!("systemctl restart {NAME}"));
    expect(&machine, &plain, (None, None));
    assert_eq!(machine.runs(&plain), process, "it was not restarted");
}

#[test]
fn a_users_pods_are_limited_and_freed_by_roots_agent_and_by_its_own() {
    let machine = Machine::boot();
    machine.give_user_podman();
    let workloads = workloads("  rootless: true\n");
    let config = format!("/etc/{NAME}/config.yaml");
    machine.run(&format!("echo 'XDG_RUNTIME_DIR: /run/user/1000' >>{config}"));
    machine.configure(&[&workloads[0], &workloads[1]]);
    limit_and_lift(&machine, &workloads);

    // The user's own agent takes the pods over.
    let home = format!("/home/edge/.config/{NAME}");
    machine.run(&format!("systemctl disable --now {NAME} && mkdir -p {home}"));
    machine
        .run(&format!("cp -r {MANIFESTS} {home}/ && echo DEVICE_ID: device >{home}/config.yaml"));
    machine.run(&format!("echo MANIFESTS: {home}/manifests >>{home}/config.yaml"));
    machine.run("chown -R edge: /home/edge");
    machine.run(&as_user(&format!("systemctl --user enable --now {NAME}")));
    machine.wait_for(&workloads[0], "running");
    limit_and_lift(&machine, &workloads);
}
