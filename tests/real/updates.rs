//! Updates on real podman, root's and a user's: a new specification proves itself, or the one before it
//! comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::{Agent, eventually, eventually_or};
use crate::device::Device;
use crate::pods::{
    Container, containers, manifest, one_container, running, serving_after, written,
};

/// Time for which a pod has to be ready, in seconds.
const PROVING: u64 = 15;

/// Both podmans of a device.
struct Podmans {
    root: HermeticPodman,
    user: HermeticPodman,
}

impl Podmans {
    fn start() -> Self {
        Self { root: HermeticPodman::rootful(), user: HermeticPodman::rootless() }
    }

    /// Returns the one that a workload called so runs on.
    fn of(&self, workload: &str) -> &HermeticPodman {
        if is_rootless(workload) { &self.user } else { &self.root }
    }
}

/// Returns the names of a workload: that of the one of root's and of its twin, which is the user's.
fn twins(workload: &str) -> [String; 2] {
    [workload.to_owned(), format!("user-{workload}")]
}

fn is_rootless(workload: &str) -> bool {
    workload.starts_with("user-")
}

/// A new specification that is no good.
#[derive(Clone)]
struct Bad {
    workload: &'static str,
    pod: Value,
    /// Why it fails, as the event says.
    reason: &'static str,
    /// What it writes last.
    last_line: &'static str,
}

fn probed(script: &str, field: &str, command: &str) -> Value {
    let mut pod = serving_after(script);
    pod["containers"][0][field] = json!({
        "exec": {"command": ["/bin/sh", "-c", command]},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    pod
}

fn bad_ones() -> [Bad; 4] {
    let ill = "touch /tmp/well; (sleep 2; echo I feel ill; rm /tmp/well) & :";
    [
        Bad {
            workload: "at-once",
            pod: running("echo no such table; exit 1"),
            reason: "container main ended with code 1",
            last_line: "main: no such table",
        },
        Bad {
            workload: "after-a-while",
            pod: running("echo begun; sleep 3; echo gave up; exit 4"),
            reason: "container main ended with code 4",
            last_line: "main: begun | gave up",
        },
        Bad {
            workload: "never-ready",
            pod: probed("echo waits for nothing", "readinessProbe", "echo not yet; exit 1"),
            reason: "was not ready within",
            last_line: "main: waits for nothing",
        },
        Bad {
            workload: "falls-ill",
            pod: probed(ill, "livenessProbe", "test -e /tmp/well"),
            reason: "livenessProbe",
            last_line: "main: I feel ill",
        },
    ]
}

/// Returns version `version` of a workload, whose pod has a folder of the device at `/data`.
fn at_version(device: &Device, workload: &str, version: u8, mut pod: Value) -> Value {
    let data = folder(device, workload);
    pod["volumes"] = json!([{"name": "data", "hostPath": {"path": data.display().to_string()}}]);
    let container = &mut pod["containers"][0];
    container["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    container["env"] = json!([{"name": "VERSION", "value": version.to_string()}]);
    let retry = json!({"initialIntervalSeconds": 1, "multiplier": 1.5});
    let more = json!({"retry": retry, "update": {"provingSeconds": PROVING},
        "rootless": is_rootless(workload)});
    manifest(workload, &pod, more)
}

fn folder(device: &Device, workload: &str) -> PathBuf {
    device.path("data").join(workload)
}

/// Returns the first version, which is good: it writes down that it was there.
fn first(device: &Device, workload: &str) -> Value {
    let folder = folder(device, workload);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    at_version(device, workload, 1, serving_after("echo version $VERSION >>/data/who; echo up"))
}

/// Starts the agent, and waits until these first specifications have proved themselves, which nothing
/// says.
fn with_proved(device: &Device, workloads: &[String]) -> Agent {
    for workload in workloads {
        device.apply(workload, &first(device, workload));
    }
    let agent = device.settings.start();
    for workload in workloads {
        agent.wait_for_status(workload, "running");
    }
    thread::sleep(Duration::from_secs(PROVING + 1));
    agent
}

/// Waits until an update has proved itself.
fn proved(agent: &Agent, workload: &str) {
    let is_proved = || {
        let job = agent.job(workload)?;
        (job["status"] == "running" && job["update"].is_null()).then_some(())
    };
    let what = format!("the specification of {workload} has proved itself");
    eventually_or(&what, is_proved, || format!("{:?}\n{}", agent.job(workload), agent.tail()));
}

/// Waits until the status has an event of that reason about a workload which holds `part`.
fn wait_for_event(agent: &Agent, reason: &str, workload: &str, part: &str) {
    let is_there = || {
        let status = agent.status()?;
        let events = status["events"].as_array()?;
        let fits = |event: &&Value| {
            event["reason"] == reason
                && event["workload"] == workload
                && event["message"].as_str().is_some_and(|message| message.contains(part))
        };
        events.iter().find(fits).map(drop)
    };
    let events = || agent.status().map(|status| status["events"].to_string()).unwrap_or_default();
    eventually_or(&format!("{reason} of {workload} says {part:?}"), is_there, events);
}

/// Waits until the pod of `before` runs again, in another container.
fn back(podmans: &Podmans, workload: &str, before: &Container) {
    eventually(&format!("the first specification of {workload} is back"), || {
        match containers(podmans.of(workload), workload).as_slice() {
            [only] if only.pod == before.pod && only.id != before.id => Some(()),
            _ => None,
        }
    });
}

#[test]
fn what_fails_in_its_proving_time_gives_way_to_what_ran_before_and_says_what_it_wrote_last() {
    let podmans = Podmans::start();
    let device = Device::with_manifests().on(&podmans.root).on_user(&podmans.user);
    let bad: Vec<_> = bad_ones()
        .into_iter()
        .flat_map(|bad| twins(bad.workload).map(|workload| (workload, bad.clone())))
        .collect();
    let good = twins("good");
    let workloads: Vec<_> = bad.iter().map(|(it, _)| it.clone()).chain(good.clone()).collect();
    let agent = with_proved(&device, &workloads);
    let container = |workload: &String| one_container(podmans.of(workload), workload);
    let before: Vec<_> = workloads.iter().map(container).collect();

    for (workload, Bad { pod, .. }) in &bad {
        device.apply(workload, &at_version(&device, workload, 2, pod.clone()));
    }
    for good in &good {
        let better = serving_after("echo mine >>/data/who");
        device.apply(good, &at_version(&device, good, 2, better));
    }
    for ((workload, Bad { reason, last_line, .. }), before) in bad.iter().zip(&before) {
        wait_for_event(&agent, "RolledBack", workload, reason);
        wait_for_event(&agent, "RolledBack", workload, last_line);
        back(&podmans, workload, before);
        written(podmans.of(workload), &container(workload), "up");
        let who = fs::read_to_string(folder(&device, workload).join("who")).unwrap();
        assert_eq!(who, "version 1\nversion 1\n", "{workload}: the data are intact");
        agent.wait_for_reason(workload, "rolled back to the previous specification");
    }
    for good in &good {
        wait_for_event(&agent, "UpdateProved", good, "has proved itself");
        proved(&agent, good);
        let who = fs::read_to_string(folder(&device, good).join("who")).unwrap();
        assert_eq!(who, "version 1\nmine\n", "{good}");
        assert_eq!(agent.job(good).unwrap()["restarts"], 0, "{good}");
    }
}

#[test]
fn the_end_of_the_agent_and_of_podman_in_the_middle_of_a_proof_change_no_outcome() {
    let podmans = Podmans::start();
    let device = Device::with_manifests().on(&podmans.root).on_user(&podmans.user);
    let (bad, good) = (twins("bad"), twins("good"));
    let agent = with_proved(&device, &[bad.clone(), good.clone()].concat());
    let before = bad.each_ref().map(|it| one_container(podmans.of(it), it));

    for bad in &bad {
        let script = running("echo begun; sleep 3; echo gave up; exit 4");
        device.apply(bad, &at_version(&device, bad, 2, script));
    }
    for good in &good {
        device.apply(good, &at_version(&device, good, 2, serving_after("true")));
    }
    for workload in bad.iter().chain(&good) {
        eventually(&format!("the second specification of {workload} runs"), || {
            let job = agent.job(workload)?;
            (job["update"]["state"] == "proving").then_some(())
        });
    }
    agent.signal("KILL");
    drop(agent);
    let agent = device.settings.start();
    agent.wait_for_log(&["runtime answered"]);
    podmans.root.kill_service();
    podmans.user.kill_service();
    for (bad, before) in bad.iter().zip(&before) {
        wait_for_event(&agent, "RolledBack", bad, "ended with code 4");
        back(&podmans, bad, before);
    }
    for good in &good {
        wait_for_event(&agent, "UpdateProved", good, "has proved itself");
        proved(&agent, good);
    }
    assert!(!agent.has_logged(&["actor failed"]), "{}", agent.tail());
}
