//! A pod that ends is started again when its policy says so, after its delay.

use std::sync::Arc;
use std::time::Duration;

use actors::control_plane_sync::manifests_once;
use actors::testing::fake_podman::Fault;
use actors::testing::workloads::workload;
use actors::workload::{RestartPolicy, RetryPolicy, WorkloadStatus};

use crate::rig::{RETRY, Rig, configuration, in_virtual_time};

/// Covers what the agent itself takes.
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn crashed_pod_is_reported_and_restarted_after_its_delay() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        let crashed = rig.now();
        rig.podman.end_containers(web.id.as_str(), 3);
        rig.until_reported(&web, WorkloadStatus::Crashed).await;
        let report = rig.report(&web).await.unwrap();
        assert!(report.reason.as_deref().unwrap_or_default().contains("code 3"), "{report:?}");
        assert!(report.next_start.is_some(), "{report:?}");

        rig.until("it is started again", |rig| rig.plays() == 2).await;
        let took = rig.now().saturating_since(crashed);
        assert!(RETRY <= took && took <= RETRY + SLACK, "{took:?}");
        rig.until_reported(&web, WorkloadStatus::Running).await;
        assert_eq!(rig.report(&web).await.unwrap().restarts, 1);
    });
}

#[test]
fn workload_s_own_retry_counts() {
    in_virtual_time(async {
        let period = Duration::from_secs(90);
        let web = workload("web").retries(RetryPolicy::Constant { period }).build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        rig.podman.end_containers(web.id.as_str(), 1);
        let took = rig.until("it is started again", |rig| rig.plays() == 2).await;
        assert!(period <= took && took <= period + SLACK, "{took:?}");
    });
}

#[test]
fn workload_s_retry_may_be_an_annotation() {
    const MANIFEST: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: web
  annotations:
    podman/device-worker-ng.retry: '{periodSeconds: 90}'
spec:
  type: pod
  pod: {spec: {containers: [{name: main, image: 'localhost/web:1'}]}}
";
    in_virtual_time(async {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web.yaml"), MANIFEST).unwrap();
        let read = manifests_once(folder.path(), &"cam-01".into()).unwrap();
        let web = Arc::clone(read.configuration.workloads.first().expect("it is no rejected one"));
        let rig = Rig::start(read.configuration);
        rig.until_running(&web).await;
        rig.podman.end_containers(web.id.as_str(), 1);
        let took = rig.until("it is started again", |rig| rig.plays() == 2).await;
        let period = Duration::from_secs(90);
        assert!(period <= took && took <= period + SLACK, "{took:?}");
    });
}

#[test]
fn pod_that_shall_not_be_restarted_is_not() {
    for (policy, exit_code) in [(RestartPolicy::Never, 1), (RestartPolicy::OnFailure, 0)] {
        in_virtual_time(async move {
            let web = workload("web").restarts(policy).build();
            let rig = Rig::start(configuration(&[&web], &[]));
            rig.until_running(&web).await;
            rig.podman.end_containers(web.id.as_str(), exit_code);
            rig.until_reported(&web, WorkloadStatus::Stopped).await;
            tokio::time::sleep(RETRY * 10).await;
            assert_eq!(rig.plays(), 1, "{policy:?}");
        });
    }
}

#[test]
fn pod_that_cannot_be_made_is_tried_again_for_ever() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.podman.fail("play", Fault::Refused("no space left on device"));
        rig.until("it was tried ten times", |rig| rig.plays() == 10).await;
        let report = rig.report(&web).await.unwrap();
        let reason = report.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("no space left on device"), "{report:?}");
        rig.podman.mend();
        rig.until_reported(&web, WorkloadStatus::Running).await;
    });
}
