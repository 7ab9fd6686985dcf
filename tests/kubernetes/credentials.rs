//! Registry credentials of a workload.

use actors::workload::WorkloadStatus::Running;
use actors::workload::{Confidential, RegistryCredentials, Workload};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

const ID: &str = "web-0123456789ab";

/// Returns the configuration of an image pull that the pod's one secret for that holds.
async fn pull_configuration(cluster: &Cluster) -> Option<Value> {
    let pod = cluster.pod("toto", ID).await;
    let names = pod.spec.unwrap().image_pull_secrets.unwrap();
    let secret = cluster.secrets().get(&names[0].name).await.ok()?;
    serde_json::from_slice(&secret.data?[".dockerconfigjson"].0).ok()
}

#[actix::test]
async fn credentials_that_are_withdrawn_leave_the_cluster_and_the_pod_runs_on() {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    let without = workload("web", ID);
    let password = Confidential::new("p".into());
    let credentials = RegistryCredentials { username: "u".into(), password };
    let registries = [("registry.example".into(), credentials)].into();
    agent.configure(&[Workload { registries, ..without.clone() }]);
    let before = cluster.pod("toto", ID).await;
    cluster.runs(&before).await;
    agent.reports("web", Running).await;
    let some = json!({"username": "u", "password": "p", "auth": "dTpw"});
    let given = pull_configuration(&cluster).await.unwrap();
    assert_eq!(given, json!({"auths": {"registry.example": some}}));

    agent.configure(&[without]);
    eventually("the end of the credentials", async || {
        (pull_configuration(&cluster).await? == json!({"auths": {}})).then_some(())
    })
    .await;
    let after = cluster.pod("toto", ID).await;
    assert_eq!(after.uid(), before.uid());
    assert_eq!(after.metadata.deletion_timestamp, None);
    assert_eq!(agent.status("web").await, Some(Running));
    assert_eq!(agent.recorded("WorkloadChanged").await, 0);
}
