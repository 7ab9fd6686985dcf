//! The machine goes down in good order, and its pods with it.

use std::time::Duration;

use crate::machine::{Machine, NAME};
use crate::workloads::{Sleeper, as_user};

/// Longest time that an orderly shutdown takes here; systemd ends what hangs after 90 s.
const SHUTDOWN: Duration = Duration::from_secs(45);

/// Where pods of root, and pods of the user, note what happens to them.
const ROOTS: &str = "/root/work";
const USERS: &str = "/home/edge/work";

/// A workload that notes in `folder` when it is asked to end, takes its time, and notes when it has.
fn taking_its_time(name: &'static str, seconds: u32, after: &'static str, folder: &str) -> Sleeper {
    let mut sleeper = Sleeper::new(name, seconds);
    sleeper.at_end = match name {
        "base" => "cat /proc/uptime >>/work/base; sleep 2; cat /proc/uptime >>/work/base; exit 0",
        _ => "cat /proc/uptime >>/work/top; sleep 2; cat /proc/uptime >>/work/top; exit 0",
    };
    sleeper.after = after;
    sleeper.grace = 20;
    sleeper.container = format!(
        "          volumeMounts: [{{name: work, mountPath: /work}}]\n      \
         volumes: [{{name: work, hostPath: {{path: {folder}}}}}]\n"
    );
    sleeper
}

/// Returns when a workload was asked to end and when it had ended, in seconds of the last boot.
fn end_of(machine: &Machine, name: &str, folder: &str) -> [f64; 2] {
    let noted = machine.run(&format!("cat {folder}/{name}; rm {folder}/{name}"));
    let seconds = noted.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap());
    let seconds: Vec<f64> = seconds.collect();
    seconds.try_into().unwrap_or_else(|_| panic!("{name} was not left to its end: {noted}"))
}

/// Reboots; the pods, which run, end in order and within seconds, and run again.
fn reboot_in_order(machine: &mut Machine, [base, top]: [&Sleeper; 2], folder: &str) {
    for workload in [base, top] {
        machine.runs(workload);
    }
    machine.wait_for(top, "running");
    let took = machine.reboot();
    println!("the shutdown took {took:?}");
    assert!(took < SHUTDOWN, "{took:?}{}", machine.last_shutdown());
    for workload in [base, top] {
        machine.runs(workload);
    }
    let (base, top) = (end_of(machine, "base", folder), end_of(machine, "top", folder));
    assert!(top[1] <= base[0], "top {top:?} ended before base {base:?} was asked to");
    machine.status("all is well", |status| status["health"]["state"] == "ok");
    let failed = machine.run("systemctl --failed --no-legend | wc -l");
    assert_eq!(failed, "0");
}

#[test]
fn an_orderly_reboot_ends_pods_in_order_within_seconds_and_a_restart_of_the_agent_ends_none() {
    let mut machine = Machine::boot();
    machine.run(&format!("mkdir {ROOTS}"));
    let base = taking_its_time("base", 300_001, "", ROOTS);
    let top = taking_its_time("top", 300_002, "base", ROOTS);
    machine.configure(&[&base, &top]);
    let both = [&base, &top];
    let before = both.map(|workload| machine.runs(workload));
    machine.run(&format!("systemctl restart {NAME}"));
    machine.wait_for(&top, "running");
    assert_eq!(both.map(|workload| machine.runs(workload)), before, "they ran on");

    for _ in 0..2 {
        reboot_in_order(&mut machine, both, ROOTS);
    }
}

#[test]
fn an_orderly_reboot_ends_the_pods_of_a_user_in_order_within_seconds() {
    let mut machine = Machine::boot();
    machine.give_user_podman();
    machine.run(&as_user(&format!("mkdir {USERS}")));
    machine.run(&format!("echo 'XDG_RUNTIME_DIR: /run/user/1000' >>/etc/{NAME}/config.yaml"));
    let rootless = "  rootless: true\n";
    let base = taking_its_time("base", 300_003, "", USERS).with_spec(rootless);
    let top = taking_its_time("top", 300_004, "base", USERS).with_spec(rootless);
    machine.configure(&[&base, &top]);
    reboot_in_order(&mut machine, [&base, &top], USERS);
}
