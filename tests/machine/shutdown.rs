//! The machine goes down in good order, and its pods with it.

use std::time::Duration;

use crate::machine::{Machine, NAME};
use crate::workloads::Sleeper;

/// Longest time that an orderly shutdown takes here; systemd ends what hangs after 90 s.
const SHUTDOWN: Duration = Duration::from_secs(45);

/// A workload that notes when it is asked to end, takes its time, and notes when it has.
fn taking_its_time(name: &'static str, seconds: u32, after: &'static str) -> Sleeper {
    let mut sleeper = Sleeper::new(name, seconds);
    sleeper.at_end = match name {
        "base" => "cat /proc/uptime >>/work/base; sleep 2; cat /proc/uptime >>/work/base; exit 0",
        _ => "cat /proc/uptime >>/work/top; sleep 2; cat /proc/uptime >>/work/top; exit 0",
    };
    sleeper.after = after;
    sleeper.grace = 20;
    sleeper.container = "          volumeMounts: [{name: work, mountPath: /work}]\n      \
                         volumes: [{name: work, hostPath: {path: /root/work}}]\n"
        .to_owned();
    sleeper
}

/// Returns when a workload was asked to end and when it had ended, in seconds of the last boot.
fn end_of(machine: &Machine, name: &str) -> [f64; 2] {
    let noted = machine.run(&format!("cat /root/work/{name}; rm /root/work/{name}"));
    let seconds = noted.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap());
    let seconds: Vec<f64> = seconds.collect();
    seconds.try_into().unwrap_or_else(|_| panic!("{name} was not left to its end: {noted}"))
}

#[test]
fn an_orderly_reboot_ends_pods_in_order_within_seconds_and_a_restart_of_the_agent_ends_none() {
    let mut machine = Machine::boot();
    machine.run("mkdir /root/work");
    let (base, top) =
        (taking_its_time("base", 300_001, ""), taking_its_time("top", 300_002, "base"));
    machine.configure(&[&base, &top]);
    let both = [&base, &top];
    let before = both.map(|workload| machine.runs(workload));
    machine.run(&format!("systemctl restart {NAME}"));
    machine.wait_for(&top, "running");
    assert_eq!(both.map(|workload| machine.runs(workload)), before, "they ran on");

    for _ in 0..2 {
        for workload in both {
            machine.runs(workload);
        }
        machine.wait_for(&top, "running");
        let took = machine.reboot();
        println!("the shutdown took {took:?}");
        assert!(took < SHUTDOWN, "{took:?}{}", machine.last_shutdown());
        for workload in both {
            machine.runs(workload);
        }
        let (base, top) = (end_of(&machine, "base"), end_of(&machine, "top"));
        assert!(top[1] <= base[0], "top {top:?} ended before base {base:?} was asked to");
        machine.status("all is well", |status| status["health"]["state"] == "ok");
        let failed = machine.run("systemctl --failed --no-legend | wc -l");
        assert_eq!(failed, "0");
    }
}
