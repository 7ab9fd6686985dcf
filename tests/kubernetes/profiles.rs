//! Conditions that suspend a workload and limit it.

use actors::workload::WorkloadStatus::{Running, Stopped};
use actors::workload::{ConditionRef, ProfileRef, Workload};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

const ID: &str = "web-0123456789ab";

/// Returns a workload that runs while `on` or `hot` is true; `hot` limits it.
fn conditional() -> Workload {
    let condition = |name: &str, cpu| ConditionRef { name: name.into(), cpu, memory: None };
    let conditions = vec![condition("on", None), condition("hot", Some(20_000))];
    let mut workload = workload("web", ID);
    workload.profiles = vec![ProfileRef { name: "p".into(), conditions }];
    workload
}

/// The names and identities of all that the cluster holds of the workload but its pods.
async fn kept(cluster: &Cluster) -> Vec<Option<String>> {
    let all = ListParams::default();
    let deployments = cluster.deployments().list(&all).await.unwrap();
    let secrets = cluster.secrets().list(&all).await.unwrap();
    let deployments = deployments.items.iter().map(ResourceExt::uid);
    deployments.chain(secrets.items.iter().map(ResourceExt::uid)).collect()
}

async fn deployment(cluster: &Cluster) -> Deployment {
    let found = cluster.deployments().list(&ListParams::default()).await.unwrap();
    found.items.into_iter().next().unwrap()
}

fn cpu_limit(deployment: &Deployment) -> Option<String> {
    let container = &deployment.spec.as_ref()?.template.spec.as_ref()?.containers[0];
    Some(container.resources.as_ref()?.limits.as_ref()?.get("cpu")?.0.clone())
}

#[actix::test]
async fn a_profile_ends_the_pod_and_keeps_what_makes_it_and_a_limit_is_written_to_it() {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    agent.judge(&[("on", true), ("hot", false)]).await;
    agent.configure(&[conditional()]);
    let first = cluster.pod("toto", ID).await;
    cluster.runs(&first).await;
    agent.reports("web", Running).await;
    let before = kept(&cluster).await;
    assert_eq!(before.len(), 3, "a Deployment, a Secret, and that with the registry credentials");
    assert_eq!(cpu_limit(&deployment(&cluster).await), None);

    agent.judge(&[("on", true), ("hot", true)]).await;
    let limited = eventually("a pod with the limit", async || {
        let pod = cluster.pod("toto", ID).await;
        (pod.uid() != first.uid()).then_some(pod)
    })
    .await;
    assert_eq!(cpu_limit(&deployment(&cluster).await).as_deref(), Some("200m"));
    cluster.runs(&limited).await;
    agent.reports("web", Running).await;

    // As on a node: the pod ends when its kubelet says so.
    cluster.bind(&limited).await;
    agent.judge(&[("on", false), ("hot", false)]).await;
    let why = agent.reports("web", Stopped).await;
    assert_eq!(why, "profile p: on is false, hot is false");
    eventually("the end of the pod to begin", async || {
        cluster.pod("toto", ID).await.metadata.deletion_timestamp
    })
    .await;
    assert_eq!(agent.recorded("WorkloadStopped").await, 0);
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.pods().delete(&limited.name_any(), &now).await.unwrap();
    agent.records("WorkloadStopped").await;
    assert_eq!(kept(&cluster).await, before);

    // An agent that starts now leaves it as it is.
    drop(agent);
    let suspended = deployment(&cluster).await;
    let agent = Agent::start("toto", &cluster);
    agent.judge(&[("on", false), ("hot", false)]).await;
    agent.configure(&[conditional()]);
    agent.reports("web", Stopped).await;
    assert_eq!(deployment(&cluster).await, suspended);

    agent.judge(&[("on", true), ("hot", false)]).await;
    let second = cluster.pod("toto", ID).await;
    cluster.runs(&second).await;
    agent.reports("web", Running).await;
    assert_eq!(kept(&cluster).await, before);
    assert_eq!(cpu_limit(&deployment(&cluster).await), None);
    assert_eq!(agent.recorded("WorkloadFailed").await, 0);

    agent.judge(&[("on", false), ("hot", false)]).await;
    agent.reports("web", Stopped).await;
    agent.configure(&[]);
    eventually("the end of all objects", async || kept(&cluster).await.is_empty().then_some(()))
        .await;
}
