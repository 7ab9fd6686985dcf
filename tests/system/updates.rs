//! Updates prove themselves: one that does not gives way to the specification before it, whatever becomes of the
//! agent meanwhile.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::fake_podman::ProbeAnswer;
use actors::testing::workloads::workload;
use actors::workload::{UpdateState, Workload, WorkloadId};
use k8s_openapi::api::core::v1::Probe;
use serde_json::{Value, json};

use crate::rig::{RETRY, Rig, configuration, in_virtual_time};

const SECOND: Duration = Duration::from_secs(1);
const PROOF: Duration = Duration::from_secs(60);
/// Covers what the agent itself takes.
const SLACK: Duration = Duration::from_secs(5);
/// Time to the next attempt of one that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);

fn web(version: u8) -> Arc<Workload> {
    workload("web").image(&format!("localhost/web:{version}")).build()
}

/// Returns version 2 with probes.
fn probed(probes: &[(&str, Value)]) -> Arc<Workload> {
    let with = |workload: &mut Workload| {
        let main = &mut workload.pod.containers[0];
        for (field, probe) in probes {
            let probe: Option<Probe> = serde_json::from_value(probe.clone()).unwrap();
            match *field {
                "livenessProbe" => main.liveness_probe = probe,
                _ => main.readiness_probe = probe,
            }
        }
    };
    workload("web").image("localhost/web:2").with(with).build()
}

/// Returns an agent whose workload proved itself, and that was then given another specification.
async fn updated_to(new: &Arc<Workload>) -> Rig {
    let rig = Rig::start(configuration(&[&web(1)], &[]));
    rig.until_running(&web(1)).await;
    tokio::time::sleep(PROOF + SLACK).await;
    rig.configure(configuration(&[new], &[]));
    rig.until("the new pod starts", |rig| rig.plays() == 2).await;
    rig
}

/// Ends each run of `new` after so long, until it has had three.
async fn fail_three_times(rig: &Rig, new: &Workload, after: Duration) {
    let before = rig.plays();
    for run in 0..3 {
        rig.until("the next run", |rig| rig.plays() == before + run).await;
        tokio::time::sleep(after).await;
        rig.podman.end_containers(new.id.as_str(), 1);
    }
}

/// Waits until the specification runs.
async fn until_in_force(rig: &Rig, wanted: &Workload) {
    for _ in 0..600 {
        let report = rig.report(wanted).await.unwrap();
        if report.id.as_ref() == Some(&wanted.id) {
            return rig.until_running(wanted).await;
        }
        tokio::time::sleep(SECOND).await;
    }
    panic!("never in force: {} but {:?}", wanted.id, rig.report(wanted).await);
}

async fn cause(rig: &Rig) -> String {
    let update = rig.update(&web(1)).await.unwrap();
    assert_eq!(update.state, UpdateState::RolledBack);
    update.reason.unwrap()
}

async fn in_force(rig: &Rig) -> Option<WorkloadId> {
    rig.report(&web(1)).await.unwrap().id
}

#[test]
fn one_that_ends_at_once_or_after_a_while_gives_way_after_three_runs() {
    for after in [Duration::ZERO, 5 * SECOND] {
        in_virtual_time(async move {
            let rig = updated_to(&web(2)).await;
            fail_three_times(&rig, &web(2), after).await;
            let took = rig.until("the old one starts", |rig| rig.plays() == 5).await;
            assert!(took <= SLACK, "{took:?}");
            until_in_force(&rig, &web(1)).await;
            assert_eq!(cause(&rig).await, "container main ended with code 1");
            rig.until_heartbeat("it is told", |told| {
                let mut events = told.events.iter();
                events.any(|event| event.reason.as_str() == "RolledBack")
            })
            .await;
            let waited = rig.until("it is tried again", |rig| rig.plays() == 6).await;
            assert!(waited >= RETRY_INTERVAL - SLACK - 5 * SECOND, "{waited:?}");
            tokio::time::sleep(PROOF + SLACK).await;
            assert_eq!(in_force(&rig).await, Some(web(2).id.clone()), "now it stays");
            assert_eq!(rig.update(&web(1)).await, None);
        });
    }
}

#[test]
fn one_that_runs_but_is_never_ready_gives_way() {
    in_virtual_time(async {
        let new = probed(&[("readinessProbe", json!({"httpGet": {"port": 8080}}))]);
        let rig = Rig::start(configuration(&[&web(1)], &[]));
        rig.podman.answer_probes("8080", ProbeAnswer::Code(503));
        rig.until_running(&web(1)).await;
        tokio::time::sleep(PROOF + SLACK).await;
        rig.configure(configuration(&[&new], &[]));
        rig.until("the new pod starts", |rig| rig.plays() == 2).await;
        let took = rig.until("the old one starts", |rig| rig.plays() == 3).await;
        assert!(PROOF - SECOND <= took && took <= PROOF + SLACK, "{took:?}");
        until_in_force(&rig, &web(1)).await;
        let cause = cause(&rig).await;
        assert!(cause.contains("not ready within 60s: ") && cause.contains("503"), "{cause}");
    });
}

#[test]
fn one_whose_liveness_fails_again_and_again_gives_way() {
    in_virtual_time(async {
        let liveness =
            json!({"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 2});
        let readiness = json!({"tcpSocket": {"port": 81}, "periodSeconds": 1});
        let new = probed(&[("livenessProbe", liveness), ("readinessProbe", readiness)]);
        let rig = updated_to(&new).await;
        for run in 0..3 {
            rig.until("the next run", |rig| rig.plays() == 2 + run).await;
            rig.podman.answer_probes("80", ProbeAnswer::Code(200));
            rig.podman.answer_probes("81", ProbeAnswer::Code(200));
            tokio::time::sleep(20 * SECOND).await;
            assert!(rig.update(&new).await.unwrap().ready_seconds >= Some(15));
            rig.podman.answer_probes("80", ProbeAnswer::Refused);
            tokio::time::sleep(5 * SECOND).await;
        }
        until_in_force(&rig, &web(1)).await;
        assert!(cause(&rig).await.contains("livenessProbe: connection refused"));
    });
}

#[test]
fn good_ones_stay_and_their_end_is_written_once() {
    in_virtual_time(async {
        let rig = updated_to(&web(2)).await;
        let writes = rig.writes();
        tokio::time::sleep(PROOF / 2).await;
        let update = rig.update(&web(2)).await.unwrap();
        assert_eq!((update.state, update.run), (UpdateState::Proving, Some(1)));
        assert_eq!((update.id, update.previous), (web(2).id.clone(), web(1).id.clone()));
        tokio::time::sleep(PROOF).await;
        assert_eq!(rig.update(&web(2)).await, None);
        tokio::time::sleep(60 * PROOF).await;
        assert_eq!(rig.writes(), writes + 1);
        fail_three_times(&rig, &web(2), SECOND).await;
        tokio::time::sleep(RETRY + SLACK).await;
        assert_eq!(in_force(&rig).await, Some(web(2).id.clone()), "what is good is in no doubt");
    });
}

#[test]
fn an_agent_that_is_killed_during_a_proof_changes_no_outcome() {
    for is_good in [true, false] {
        in_virtual_time(async move {
            let rig = updated_to(&web(2)).await;
            tokio::time::sleep(PROOF / 2).await;
            let rig = rig.restart().await;
            rig.until_running(&web(2)).await;
            if is_good {
                tokio::time::sleep(PROOF + SLACK).await;
                assert_eq!(rig.update(&web(2)).await, None);
                let rig = rig.restart().await;
                rig.until_running(&web(2)).await;
                assert_eq!(rig.update(&web(2)).await, None, "it is in no doubt again");
            } else {
                fail_three_times(&rig, &web(2), SECOND).await;
                until_in_force(&rig, &web(1)).await;
            }
        });
    }
}

#[test]
fn one_that_failed_is_not_the_first_to_run_after_a_restart_or_a_reboot() {
    for reboots in [false, true] {
        in_virtual_time(async move {
            let rig = updated_to(&web(2)).await;
            fail_three_times(&rig, &web(2), SECOND).await;
            until_in_force(&rig, &web(1)).await;
            let plays = if reboots { 0 } else { rig.plays() };
            let rig = if reboots {
                rig.reboot("2026-11-24T12:00:00Z").await
            } else {
                rig.restart().await
            };
            rig.until_running(&web(1)).await;
            until_in_force(&rig, &web(1)).await;
            assert_eq!(rig.plays(), plays + usize::from(reboots), "only the old one");
            assert_eq!(cause(&rig).await, "container main ended with code 1");
            tokio::time::sleep(RETRY_INTERVAL + SLACK).await;
            assert_eq!(in_force(&rig).await, Some(web(2).id.clone()), "it has another attempt");
        });
    }
}
