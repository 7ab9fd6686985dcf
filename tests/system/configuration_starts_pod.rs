//! What the control plane wants becomes pods and Deployments, and what it no longer wants ends.

use actors::control_plane_sync::{AgentStatus, Call};
use actors::testing::workloads::workload;
use actors::workload::{ExecutorKind, WorkloadStatus};

use crate::rig::{Rig, configuration, in_virtual_time};

#[test]
fn new_device_enrols_registers_and_runs_what_it_is_given() {
    in_virtual_time(async {
        let (web, cam) = (workload("web").build(), workload("cam").build());
        let rig = Rig::start(configuration(&[&web, &cam], &[]));
        rig.until_reported(&web, WorkloadStatus::Running).await;
        rig.until_reported(&cam, WorkloadStatus::Running).await;
        assert_eq!(rig.plays(), 2);
        assert_eq!(rig.control_plane.times(Call::Registration).len(), 1);
        let record = rig.control_plane.record();
        assert_eq!(record.heartbeats.last().map(|last| last.status), Some(AgentStatus::Up));
    });
}

#[test]
fn image_is_pulled_before_the_pod_is_made() {
    in_virtual_time(async {
        let web = workload("web").image("quay.io/edge/web:1").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        let calls = rig.podman.calls();
        let place = |start: &str| calls.iter().position(|call| call.starts_with(start));
        assert!(place("pull quay.io/edge/web:1").is_some(), "{calls:?}");
        assert!(place("pull quay.io/edge/web:1") < place("play"), "{calls:?}");
    });
}

#[test]
fn workload_that_is_no_longer_configured_is_removed_and_no_other_is_touched() {
    in_virtual_time(async {
        let (web, cam) = (workload("web").build(), workload("cam").build());
        let rig = Rig::start(configuration(&[&web, &cam], &[]));
        rig.until_running(&web).await;
        rig.until_running(&cam).await;
        rig.configure(configuration(&[&cam], &[]));
        rig.until("the pod is removed", |rig| rig.podman.count("remove_pod") > 0).await;
        let calls = rig.podman.calls();
        let removed: Vec<_> = calls.iter().filter(|call| call.starts_with("remove_pod")).collect();
        assert_eq!(removed, [&format!("remove_pod {}", web.id)]);
        assert_eq!(rig.plays(), 2);
    });
}

#[test]
fn changed_workload_is_pulled_then_replaced() {
    in_virtual_time(async {
        let before = workload("web").image("quay.io/edge/web:1").build();
        let after = workload("web").image("quay.io/edge/web:2").build();
        let rig = Rig::start(configuration(&[&before], &[]));
        rig.until_running(&before).await;
        rig.configure(configuration(&[&after], &[]));
        rig.until("the new pod is made", |rig| rig.plays() == 2).await;
        let calls = rig.podman.calls();
        let last = |start: &str| calls.iter().rposition(|call| call.starts_with(start));
        let pulled = last("pull quay.io/edge/web:2");
        let removed = last(&format!("remove_pod {}", before.id));
        assert!(pulled.is_some() && pulled < removed && removed < last("play"), "{calls:?}");
    });
}

#[test]
fn the_same_answer_again_changes_nothing() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        let asked = rig.control_plane.times(Call::Configuration).len();
        rig.until("it is asked for again and again", |rig| {
            rig.control_plane.times(Call::Configuration).len() > asked + 20
        })
        .await;
        assert_eq!(rig.plays(), 1);
        assert_eq!(rig.podman.count("stop_container"), 0);
    });
}

#[test]
fn kubernetes_workload_becomes_a_deployment() {
    in_virtual_time(async {
        let web = workload("web").on(ExecutorKind::K8s).build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until("it is applied", |rig| !rig.cluster.applied().is_empty()).await;
        rig.cluster.set_available(&web.id, 1);
        rig.until_reported(&web, WorkloadStatus::Running).await;
        assert_eq!(rig.plays(), 0);
    });
}
