//! A new specification proves itself, or the previous one comes back: their Deployments.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::workload::Workload;
use actors::workload::WorkloadStatus::Running;
use kube::api::ListParams;

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

const OLD: &str = "web-000000000001";
const NEW: &str = "web-000000000002";
/// Label of a Deployment that has the id of its specification.
const ID_LABEL: &str = "device-worker-ng/id";

/// Returns a specification that proves itself in `seconds`.
fn proving(id: &str, seconds: u64) -> Workload {
    let mut workload = workload("web", id);
    workload.proving = Duration::from_secs(seconds);
    workload
}

/// Returns the replicas that are wanted of each specification's Deployment.
async fn replicas(cluster: &Cluster) -> BTreeMap<String, i32> {
    let all = cluster.deployments().list(&ListParams::default()).await.unwrap();
    let of = |deployment: k8s_openapi::api::apps::v1::Deployment| {
        let id = deployment.metadata.labels?.remove(ID_LABEL)?;
        Some((id, deployment.spec?.replicas?))
    };
    all.items.into_iter().filter_map(of).collect()
}

async fn become_(cluster: &Cluster, expected: &[(&str, i32)]) {
    let expected = expected.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
    eventually(&format!("replicas {expected:?}"), async || {
        (replicas(cluster).await == expected).then_some(())
    })
    .await;
}

/// Returns a cluster and an agent whose workload has proved itself.
async fn with_a_proved_workload() -> (Cluster, Agent) {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    agent.configure(&[proving(OLD, 0)]);
    let pod = cluster.pod("toto", OLD).await;
    cluster.runs(&pod).await;
    agent.reports("web", Running).await;
    (cluster, agent)
}

#[actix::test]
async fn a_previous_deployment_waits_at_zero_replicas_until_the_new_one_has_proved_itself() {
    let (cluster, agent) = with_a_proved_workload().await;
    agent.configure(&[proving(NEW, 4)]);
    become_(&cluster, &[(OLD, 0), (NEW, 1)]).await;
    // Its time counts from when it is ready.
    let pod = cluster.pod("toto", NEW).await;
    assert_eq!(agent.recorded("UpdateProved").await, 0);
    cluster.runs(&pod).await;
    agent.records("UpdateProved").await;
    become_(&cluster, &[(NEW, 1)]).await;
    agent.reports("web", Running).await;
}

#[actix::test]
async fn a_previous_deployment_is_scaled_up_again_when_the_cluster_refuses_the_new_one() {
    let (cluster, agent) = with_a_proved_workload().await;
    let mut refused = proving(NEW, 60);
    refused.pod.containers[0].name = "Not A Name".to_owned();
    agent.configure(&[refused]);
    let event = agent.records("RolledBack").await;
    assert!(event.contains("Not A Name"), "{event}");
    become_(&cluster, &[(OLD, 1)]).await;
    let pod = cluster.pod("toto", OLD).await;
    cluster.runs(&pod).await;
    agent.reports("web", Running).await;
}
