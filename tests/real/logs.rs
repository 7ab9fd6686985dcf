//! What workloads have written, read beside the agent.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use actors::testing::podman::HermeticPodman;
use serde_json::json;

use crate::agent::eventually;
use crate::device::Device;
use crate::pods::{manifest, running, serving_after};

/// Returns the command with these words, as a shell beside the agent of `device` has it.
fn command(device: &Device, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    command.args(words.split(' ')).arg("--config").arg(device.path("config.yaml"));
    command.env_clear().env("RUNTIME_DIRECTORY", device.path("run"));
    command
}

fn output(device: &Device, words: &str) -> Output {
    command(device, words).output().unwrap()
}

fn stdout(device: &Device, words: &str) -> String {
    let output = output(device, words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn the_last_words_of_a_crash_are_kept_and_logs_are_read_while_the_agent_is_stopped() {
    let podman = HermeticPodman::rootful();
    let mut device = Device::with_manifests().on(&podman);
    fs::create_dir(device.path("run")).unwrap();
    let given = format!("RUNTIME_DIRECTORY={}", device.path("run").display());
    device.settings.through(&["env", given.as_str()]);
    let crash = running("echo begin; sleep 1; echo the last words >&2; exit 3");
    device.apply("crashing", &manifest("crashing", &crash, json!({})));
    let mut pod = serving_after("echo one; echo two");
    let mut second =
        serving_after("while :; do echo tick; sleep 0.1; done")["containers"][0].clone();
    second["name"] = json!("ticking");
    pod["containers"].as_array_mut().unwrap().push(second);
    device.apply("web", &manifest("web", &pod, json!({})));
    let mut agent = device.settings.start();
    agent.wait_for_status("web", "running");
    eventually("it crashes four times", || {
        agent.job("crashing").filter(|job| job["restarts"].as_u64() >= Some(4))
    });
    // Room is made for a run before it is written.
    let kept = || files(&device.path("run/kept-logs/podman_rootful"));
    assert!(kept() <= 2, "two runs are kept at the most");
    eventually("two runs are kept", || (kept() == 2).then_some(()));
    let status = stdout(&device, "status crashing");
    assert!(status.contains("The last lines of main in its last failed run"), "{status}");
    assert!(status.ends_with("  begin\n  the last words\n"), "{status}");
    agent.signal("TERM");
    assert_eq!(agent.exit_code(), Some(0));

    let previous = output(&device, "logs crashing --previous");
    assert_eq!(String::from_utf8_lossy(&previous.stdout), "begin\nthe last words\n");
    let told = String::from_utf8_lossy(&previous.stderr).into_owned();
    assert!(told.contains("main ended with exit code 3"), "{told}");
    assert_eq!(stdout(&device, "logs crashing --previous --tail 1"), "the last words\n");

    assert_eq!(stdout(&device, "logs web -c main"), "one\ntwo\n");
    assert_eq!(stdout(&device, "logs web -c main --tail 1"), "two\n");
    assert_eq!(stdout(&device, "logs web -c main --since 2100-01-01T00:00:00Z"), "");
    let timed = stdout(&device, "logs web -c main --tail 1 --timestamps");
    let (time, text) = timed.split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.contains('T') && text == "two\n", "{timed}");
    let both = stdout(&device, "logs web --tail 1");
    assert_eq!(both, "[main] two\n[ticking] tick\n");

    for (words, code, parts) in [
        ("logs api", 1, &["workload api has no pod on podman at", "these have: crashing, web"][..]),
        ("logs web -c db", 1, &["workload web has no container db, but these: main, ticking"]),
        ("logs api --previous", 1, &["no failed run of api is kept in", "of these: crashing"]),
    ] {
        let output = output(&device, words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{words}: {told}");
    }

    let mut following =
        command(&device, "logs web -f --tail 0").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        assert_eq!(lines.next().unwrap().unwrap(), "[ticking] tick");
    }
    following.kill().unwrap();
    following.wait().unwrap();
}
