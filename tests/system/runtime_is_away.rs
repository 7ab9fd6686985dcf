//! A runtime that does not answer is reported to the control plane.

use actors::control_plane_sync::AgentStatus;
use actors::testing::fake_cluster::Mood;
use actors::testing::fake_podman::Fault;
use actors::testing::workloads::workload;
use actors::workload::{ExecutorKind, WorkloadStatus};

use crate::rig::{Rig, configuration, in_virtual_time};

#[test]
fn the_heartbeat_is_degraded_while_a_needed_podman_is_away_and_up_when_it_is_back() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_reported(&web, WorkloadStatus::Running).await;
        rig.until_heartbeat("all is well", |heartbeat| heartbeat.status == AgentStatus::Up).await;
        rig.podman.fail("containers", Fault::Absent);
        rig.until_heartbeat("the heartbeat says so", |heartbeat| {
            heartbeat.status == AgentStatus::Degraded
        })
        .await;
        rig.podman.mend();
        rig.until_heartbeat("all is well again", |heartbeat| heartbeat.status == AgentStatus::Up)
            .await;
        assert_eq!(rig.plays(), 1, "the pod was left alone");
    });
}

#[test]
fn a_podman_that_no_workload_needs_may_be_away() {
    in_virtual_time(async {
        let web = workload("web").on(ExecutorKind::K8s).build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.podman.fail("containers", Fault::Absent);
        rig.until("the Deployment is made", |rig| !rig.cluster.applied().is_empty()).await;
        rig.cluster.set_available(&web.id, 1);
        rig.until_reported(&web, WorkloadStatus::Running).await;
        tokio::time::sleep(std::time::Duration::from_secs(300)).await;
        let heartbeats = rig.control_plane.record().heartbeats;
        assert!(
            heartbeats.iter().all(|heartbeat| heartbeat.status == AgentStatus::Up),
            "{heartbeats:?}"
        );
    });
}

#[test]
fn a_cluster_that_goes_and_comes_back_disturbs_no_pod() {
    in_virtual_time(async {
        let web = workload("web").build();
        let shop = workload("shop").on(ExecutorKind::K8s).build();
        let rig = Rig::start(configuration(&[&web, &shop], &[]));
        rig.until("the Deployment is made", |rig| !rig.cluster.applied().is_empty()).await;
        rig.cluster.set_available(&shop.id, 1);
        for workload in [&web, &shop] {
            rig.until_reported(workload, WorkloadStatus::Running).await;
        }

        rig.cluster.become_(Mood::Unreachable);
        rig.until_heartbeat("it is reported", |heartbeat| {
            heartbeat.status == AgentStatus::Degraded
        })
        .await;
        // Podman works as if nothing had been.
        let late = workload("late").build();
        rig.configure(configuration(&[&web, &shop, &late], &[]));
        rig.until_reported(&late, WorkloadStatus::Running).await;

        rig.cluster.become_(Mood::Well);
        rig.until_heartbeat("all is well", |heartbeat| heartbeat.status == AgentStatus::Up).await;
        for workload in [&web, &shop, &late] {
            rig.until_reported(workload, WorkloadStatus::Running).await;
        }
        assert_eq!(rig.plays(), 2);
        assert_eq!(rig.cluster.applied().len(), 1);
    });
}
