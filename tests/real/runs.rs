//! Pods that end, and whether and when another run follows.

use std::time::Duration;

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::{eventually, eventually_within};
use crate::device::Device;
use crate::pods::{manifest, running};

/// A container of one run, alive or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RunOf {
    id: String,
    /// Unix seconds.
    started_at: i64,
    /// Once it has ended.
    exit_code: Option<i64>,
}

/// Returns the containers of a workload's pods, whatever became of them.
fn runs(podman: &HermeticPodman, workload: &str) -> Vec<RunOf> {
    let list = podman.json("containers/json?all=true");
    let of_workload = |container: &&Value| {
        let pod = container["PodName"].as_str().unwrap_or_default();
        pod.rsplit_once('-').is_some_and(|(name, _)| name == workload)
            && container["IsInfra"] != true
    };
    let run = |container: &Value| RunOf {
        id: container["Id"].as_str().unwrap().to_owned(),
        started_at: container["StartedAt"].as_i64().unwrap_or_default(),
        exit_code: (container["State"] == "exited")
            .then(|| container["ExitCode"].as_i64().unwrap()),
    };
    list.as_array().into_iter().flatten().filter(of_workload).map(run).collect()
}

#[test]
fn restart_policy_decides_whether_a_real_pod_runs_again() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let table = [
        ("always", "Always", 0, true),
        ("failing", "OnFailure", 3, true),
        ("done", "OnFailure", 0, false),
        ("never", "Never", 3, false),
    ];
    for (name, policy, code, _) in table {
        let mut pod = running(&format!("sleep 1; exit {code}"));
        pod["restartPolicy"] = json!(policy);
        device.apply(name, &manifest(name, &pod, json!({})));
    }
    let agent = device.settings.start();
    let first: Vec<_> = table
        .iter()
        .map(|(name, ..)| {
            eventually(&format!("{name} runs"), || runs(&podman, name).into_iter().next())
        })
        .collect();
    // Those that shall not run again had the time for it: theirs is the same delay.
    for (name, ..) in table.iter().filter(|row| row.3) {
        eventually(&format!("{name} runs for the third time"), || {
            agent.job(name).filter(|job| job["restarts"].as_u64() >= Some(2))
        });
    }
    for ((name, _, code, again), first) in table.into_iter().zip(first) {
        let now = runs(&podman, name);
        if again {
            assert!(now.iter().all(|run| run.id != first.id), "{name}: {now:?}");
            continue;
        }
        let ended = RunOf { exit_code: Some(code), ..first };
        assert_eq!(now, [ended], "{name} has had its one run");
        let job = agent.wait_for_status(name, "stopped");
        assert_eq!(job["restarts"], 0, "{job}");
    }
    assert!(agent.has_logged(&["WorkloadFailed", "never", "container main ended with code 3"]));
    assert!(agent.has_logged(&["WorkloadFinished", "done", "container main ended with code 0"]));
}

/// Takes between one and two minutes of real time, nearly all of it waiting.
#[test]
fn cron_runs_a_real_pod_at_two_consecutive_minutes() {
    /// From any moment to the start of the next minute's run, on a busy machine.
    const A_MINUTE_AND_MORE: Duration = Duration::from_secs(85);

    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    let tick = running("echo tick");
    device.apply("tick", &manifest("tick", &tick, json!({"cron": "*\\1 * * * *"})));
    let agent = device.settings.start();
    let waiting = agent.wait_for_reason("tick", "waits for its next cron run");
    assert!(waiting["next_start"].is_string(), "{waiting}");
    assert_eq!(runs(&podman, "tick"), []);

    let mut seen: Vec<RunOf> = Vec::new();
    for _ in 0..2 {
        let what = format!("a run after {seen:?} ends");
        let next = || {
            let ended = runs(&podman, "tick").into_iter().filter(|run| run.exit_code.is_some());
            ended.into_iter().find(|run| seen.iter().all(|before| before.id != run.id))
        };
        let next = eventually_within(A_MINUTE_AND_MORE, &what, next, || agent.tail());
        agent.wait_for_status("tick", "stopped");
        assert_eq!(podman.logs(&next.id).matches("tick").count(), 1);
        seen.push(next);
    }
    let minutes: Vec<_> = seen.iter().map(|run| run.started_at.div_euclid(60)).collect();
    assert_eq!(minutes[1], minutes[0] + 1, "{seen:?}");
    assert!(seen.iter().all(|run| run.exit_code == Some(0)), "{seen:?}");
    let seconds = seen.iter().map(|run| run.started_at.rem_euclid(60));
    println!(
        "seconds after the minute at the start of each run: {:?}",
        seconds.collect::<Vec<_>>()
    );
}
