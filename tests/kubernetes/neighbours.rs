//! Workloads and devices that are easily taken for each other.

use actors::workload::WorkloadStatus::{Crashed, Deploying, Running};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

#[actix::test]
async fn workloads_with_the_same_first_twelve_characters_have_pods_of_their_own() {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    let (a, b) = ("temperature-a-0123456789ab", "temperature-b-0123456789ab");
    assert_eq!(a[..12], b[..12]);
    agent.configure(&[workload("temperature-a", a), workload("temperature-b", b)]);
    let (pod_a, pod_b) = (cluster.pod("toto", a).await, cluster.pod("toto", b).await);
    cluster.runs(&pod_a).await;
    let down = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let last = json!({"terminated": {"exitCode": 3}});
    cluster.play_kubelet(&pod_b, &down, &last).await;
    agent.reports("temperature-a", Running).await;
    let why = agent.reports("temperature-b", Crashed).await;
    assert_eq!(why, "container c: CrashLoopBackOff, last run ended with code 3");

    agent.configure(&[workload("temperature-a", a)]);
    // The Deployment goes after its pods, and what it owns after it.
    eventually("the end of the other", async || {
        let all = ListParams::default();
        let pods = cluster.pods().list(&all).await.ok()?.items;
        let secrets = cluster.secrets().list(&all).await.ok()?.items;
        let ids: Vec<_> = pods.iter().map(|pod| pod.uid()).collect();
        let owned = secrets.iter().map(|it| it.labels()["device-worker-ng/id"].as_str());
        let owned: Vec<_> = owned.collect();
        (ids == [pod_a.uid()] && owned == [a, a]).then_some(())
    })
    .await;
    agent.reports("temperature-a", Running).await;
}

#[actix::test]
async fn each_of_two_devices_removes_only_its_own_of_the_same_specification() {
    let cluster = Cluster::start().await;
    let id = "web-0123456789ab";
    let (one, other) = (Agent::start("one", &cluster), Agent::start("other", &cluster));
    for agent in [&one, &other] {
        agent.configure(&[workload("web", id)]);
        agent.reports("web", Deploying).await;
    }
    let (ones, others) = (cluster.pod("one", id).await, cluster.pod("other", id).await);
    assert_ne!(ones.uid(), others.uid());
    cluster.runs(&others).await;
    let down = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    cluster.play_kubelet(&ones, &down, &json!({"terminated": {"exitCode": 4}})).await;
    one.reports_reason("web", Crashed, "last run ended with code 4").await;
    other.reports("web", Running).await;

    one.configure(&[]);
    eventually("the end of one", async || {
        let all = ListParams::default();
        let pods = cluster.pods().list(&all).await.ok()?.items;
        let left = cluster.deployments().list(&all).await.ok()?.items;
        let pods: Vec<_> = pods.iter().map(|pod| pod.uid()).collect();
        let devices: Vec<_> =
            left.iter().map(|it| &it.labels()["device-worker-ng/device"]).collect();
        (pods == [others.uid()] && devices == ["other"]).then_some(())
    })
    .await;
    other.reports("web", Running).await;
}
