//! The package runs workloads, and a power cut costs nothing.

use crate::machine::Machine;
use crate::workloads::Sleeper;

#[test]
fn what_ran_before_a_power_cut_runs_once_after_it() {
    let mut machine = Machine::boot();
    let hello = Sleeper::new("hello", 100_001);
    machine.configure(&[&hello]);
    machine.runs(&hello);
    machine.cut();
    machine.start();
    machine.runs(&hello);
    machine.wait_for(&hello, "running");
    let status = machine.status("all is well", |status| status["health"]["state"] == "ok");
    assert_eq!(status["workloads"].as_array().map(Vec::len), Some(1), "{status}");
}
