//! Who can make the agent fail, and reads what it leaves behind.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;

use crate::device::Device;

#[test]
fn an_agent_that_is_ended_by_a_fault_leaves_no_core_dump() {
    let mut device = Device::with_manifests();
    // It may leave as much as it likes.
    device.settings.through(&["prlimit", "--core=unlimited:unlimited"]);
    let mut agent = device.settings.start();
    agent.wait_for_log(&["agent started"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    agent.signal("ABRT");
    let ended = agent.ended();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
}

#[test]
fn no_other_process_of_its_user_looks_into_its_memory() {
    let mut device = Device::with_manifests();
    let (user, state) = (4321, device.path("state"));
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(user), Some(user)).unwrap();
    device.settings.unset("PODMAN_SOCKET");
    let as_user = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"];
    device.settings.through(&as_user);
    let agent = device.settings.start();
    agent.wait_for_log(&["agent started"]);
    let memory = format!("/proc/{}/mem", agent.pid());
    assert_eq!(fs::metadata(&memory).unwrap().uid(), 0, "the kernel gives it to root");
    let mut reader = std::process::Command::new(as_user[0]);
    let reader = reader.args(&as_user[1..]).args(["head", "-c", "1", &memory]).output().unwrap();
    let errors = String::from_utf8(reader.stderr).unwrap();
    assert!(errors.contains("Permission denied"), "{errors}");
}
