//! The ways in which an agent gets access, beside the kubeconfig with a token of all other tests.

use actors::k8s_executor::ClusterAccess;
use actors::workload::WorkloadStatus::{Crashed, Running};
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::timeout;

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, LIMIT, is_in_a_pod};
use crate::network::Network;

const ID: &str = "web-0123456789ab";

#[actix::test]
async fn a_certificate_and_a_program_that_gives_a_token_open_the_cluster() {
    let cluster = Cluster::start().await;
    let certificate = cluster.write_kubeconfig_with_certificate();
    let program = cluster.write_kubeconfig_with_program("cat");
    for (device, kubeconfig) in [("one", certificate), ("other", program)] {
        let agent = Agent::start_with(device, ClusterAccess::Kubeconfig(kubeconfig));
        agent.configure(&[workload("web", ID)]);
        let pod = cluster.pod(device, ID).await;
        assert_eq!(pod.labels()["device-worker-ng/device"], device);
        assert_eq!(agent.recorded("ClusterUnreachable").await, 0);
    }
}

#[actix::test]
async fn a_kubeconfig_that_is_replaced_while_the_old_one_serves_is_used_without_an_outage() {
    let cluster = Cluster::start().await;
    let agent = Agent::start("toto", &cluster);
    agent.configure(&[workload("web", ID)]);
    let pod = cluster.pod("toto", ID).await;
    cluster.runs(&pod).await;
    agent.reports("web", Running).await;

    // The new one leads another way.
    let network = Network::to(cluster.port()).await;
    let replacement = cluster.write_kubeconfig_through(network.port());
    std::fs::rename(replacement, cluster.agents_kubeconfig()).unwrap();
    timeout(LIMIT, network.used()).await.expect("the new way is taken");
    let down = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    cluster.play_kubelet(&pod, &down, &json!({"terminated": {"exitCode": 3}})).await;
    agent.reports("web", Crashed).await;
    for reason in ["ClusterUnreachable", "ClusterReachable", "WorkloadFailed", "WorkloadChanged"] {
        assert_eq!(agent.recorded(reason).await, 0, "{reason}");
    }
    assert_eq!(cluster.pod("toto", ID).await.uid(), pod.uid());
}

/// Runs a second time, as the agent: in surroundings as the cluster makes them for its pods.
#[actix::test]
async fn what_a_cluster_gives_to_its_pods_opens_it_to_the_agent_in_one() {
    if is_in_a_pod() {
        let agent = Agent::start_with("toto", ClusterAccess::InCluster);
        agent.configure(&[workload("web", ID)]);
        agent.reports("web", Running).await;
        assert_eq!(agent.recorded("ClusterUnreachable").await, 0);
        return;
    }
    let mut cluster = Cluster::start().await;
    let test = "access::what_a_cluster_gives_to_its_pods_opens_it_to_the_agent_in_one";
    let in_a_pod = cluster.start_test_in_a_pod(test);
    let pod = cluster.pod("toto", ID).await;
    cluster.runs(&pod).await;
    assert!(cluster.end_of(in_a_pod).await.success());
}
