//! One workload from its start to its end.

use actors::workload::WorkloadStatus::{Crashed, Deploying, Running};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

const ID: &str = "web-0123456789ab";

#[actix::test]
async fn a_workload_starts_runs_crashes_and_goes_with_the_rights_of_the_manifest() {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    agent.configure(&[workload("web", ID)]);
    agent.reports("web", Deploying).await;

    let pod = cluster.pod("toto", ID).await;
    let pull = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling"}});
    cluster.play_kubelet(&pod, &pull, &json!({})).await;
    let why = agent.reports("web", Crashed).await;
    assert_eq!(why, "container c: ImagePullBackOff: Back-off pulling");

    cluster.runs(&pod).await;
    agent.reports("web", Running).await;

    // A start of the agent finds what it wants, and changes nothing.
    drop(agent);
    let before = cluster.deployments().list(&ListParams::default()).await.unwrap();
    let agent = Agent::start("toto", &cluster);
    agent.configure(&[workload("web", ID)]);
    agent.reports("web", Running).await;
    let after = cluster.deployments().list(&ListParams::default()).await.unwrap();
    assert_eq!(before.items, after.items);
    assert_eq!(cluster.pod("toto", ID).await.uid(), pod.uid());
    assert_eq!(agent.recorded("WorkloadChanged").await, 0);

    let down = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
    let last = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    cluster.play_kubelet(&pod, &down, &last).await;
    let why = agent.reports("web", Crashed).await;
    assert_eq!(why, "container c: CrashLoopBackOff, last run ended with code 137 (OOMKilled)");
    assert_eq!(agent.restarts("web").await, 1);
    assert_eq!(agent.records("WorkloadCrashing").await, why);

    // An agent that never knew it finds by its labels what is no longer configured.
    drop(agent);
    let agent = Agent::start("toto", &cluster);
    agent.configure(&[]);
    eventually("the end of all objects", async || {
        let all = ListParams::default();
        let deployments = cluster.deployments().list(&all).await.ok()?.items.len();
        let pods = cluster.pods().list(&all).await.ok()?.items.len();
        let secrets = cluster.secrets().list(&all).await.ok()?.items.len();
        (deployments + pods + secrets == 0).then_some(())
    })
    .await;
}
