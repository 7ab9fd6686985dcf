//! A Deployment that is changed or deleted outside the agent.

use actors::workload::WorkloadStatus::Running;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

const ID: &str = "web-0123456789ab";

async fn only_deployment(cluster: &Cluster) -> Option<Deployment> {
    let found = cluster.deployments().list(&ListParams::default()).await.ok()?.items;
    <[Deployment; 1]>::try_from(found).ok().map(|[one]| one)
}

async fn edit(cluster: &Cluster, change: &Value) {
    let name = only_deployment(cluster).await.unwrap().name_any();
    let params = PatchParams { field_manager: Some("somebody".into()), ..Default::default() };
    cluster.deployments().patch(&name, &params, &Patch::Strategic(change)).await.unwrap();
}

/// Lets every pod run that the cluster makes until the workload runs in a single one, other than
/// `last`: on the way there may be pods of a changed specification.
async fn runs_again(cluster: &Cluster, agent: &Agent, last: Option<&Pod>) -> Pod {
    eventually("the workload to run in one pod", async || {
        let [pod] = <[Pod; 1]>::try_from(cluster.all_run().await).ok()?;
        let image = pod.spec.as_ref()?.containers[0].image.as_deref();
        let is_another = last.is_none_or(|last| last.uid() != pod.uid());
        let is_right = image == Some("nginx") && pod.metadata.deletion_timestamp.is_none();
        (is_another && is_right && agent.status("web").await == Some(Running)).then_some(pod)
    })
    .await
}

#[actix::test]
async fn a_deployment_changed_or_deleted_from_outside_is_restored_and_reported_once() {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    agent.configure(&[workload("web", ID)]);
    runs_again(&cluster, &agent, None).await;

    // Another key, which is not watched, and another image and replica.
    let name = format!("{}-key", only_deployment(&cluster).await.unwrap().name_any());
    let key = json!({"data": {"k": "c3RvbGVu"}});
    let params = PatchParams::default();
    cluster.secrets().patch(&name, &params, &Patch::Merge(&key)).await.unwrap();
    let containers = json!([{"name": "c", "image": "miner"}]);
    let change = json!({"spec": {"replicas": 2, "template": {"spec": {"containers": containers}}}});
    edit(&cluster, &change).await;
    let why = agent.records("WorkloadChanged").await;
    assert_eq!(why, "another user or program changed the Deployment: it is restored");
    eventually("the Deployment as it was", async || {
        let spec = only_deployment(&cluster).await?.spec?;
        let image = spec.template.spec?.containers[0].image.clone();
        (spec.replicas == Some(1) && image.as_deref() == Some("nginx")).then_some(())
    })
    .await;
    let secret = cluster.secrets().get(&name).await.unwrap();
    assert_eq!(secret.data.unwrap()["k"].0, [1, 2, 3]);
    let first = runs_again(&cluster, &agent, None).await;
    assert_eq!(agent.recorded("WorkloadChanged").await, 1);

    edit(&cluster, &json!({"spec": {"replicas": 0}})).await;
    let why = agent.records("WorkloadFailed").await;
    assert!(why.contains("scaled to zero"), "{why}");
    let second = runs_again(&cluster, &agent, Some(&first)).await;

    let before = only_deployment(&cluster).await.unwrap();
    cluster.deployments().delete(&before.name_any(), &DeleteParams::foreground()).await.unwrap();
    runs_again(&cluster, &agent, Some(&second)).await;
    assert_eq!(agent.recorded("WorkloadFailed").await, 2);
    // The secret went with the Deployment that owned it: the pod needs another.
    eventually("the secret", async || {
        let secrets = cluster.secrets().list(&ListParams::default()).await.ok()?.items;
        let owner = secrets.first()?.metadata.owner_references.as_ref()?.first()?.uid.clone();
        (Some(owner) == only_deployment(&cluster).await?.uid()).then_some(())
    })
    .await;
}
