//! An API server that goes and comes back.

use actors::workload::WorkloadStatus::{Crashed, Running};
use kube::ResourceExt as _;
use serde_json::json;

use crate::agent::{Agent, workload};
use crate::cluster::Cluster;

#[actix::test]
async fn an_api_server_that_is_killed_and_restarted_finds_the_pods_undisturbed() {
    let mut cluster = Cluster::start().await;
    let kubeconfig = cluster.agents_kubeconfig();
    let good = std::fs::read_to_string(&kubeconfig).unwrap();
    // Each is reported, and each is noticed without a restart.
    let absent = kubeconfig.with_extension("later");
    std::fs::rename(&kubeconfig, &absent).unwrap();
    let agent = Agent::start("toto", &cluster);
    agent.records_words("ClusterUnreachable", "No such file").await;
    std::fs::write(&kubeconfig, cluster.kubeconfig("wrong")).unwrap();
    agent.records_words("ClusterUnreachable", "does not accept the credentials").await;
    std::fs::write(&kubeconfig, good).unwrap();
    agent.records("ClusterReachable").await;

    let (old, new) = ("web-0123456789ab", "shop-0123456789ab");
    agent.configure(&[workload("web", old)]);
    let before = cluster.pod("toto", old).await;
    cluster.runs(&before).await;
    agent.reports("web", Running).await;

    cluster.kill_api_server();
    agent.records_words("ClusterUnreachable", "watch").await;
    // What is wanted meanwhile is done when the cluster is back.
    agent.configure(&[workload("web", old), workload("shop", new)]);
    cluster.start_api_server().await;

    let added = cluster.pod("toto", new).await;
    cluster.runs(&added).await;
    agent.reports("shop", Running).await;
    agent.reports("web", Running).await;
    let after = cluster.pod("toto", old).await;
    assert_eq!(after.uid(), before.uid());
    assert_eq!(after.metadata.deletion_timestamp, None);

    // The watches are there again, too.
    let down = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let last = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    cluster.play_kubelet(&after, &down, &last).await;
    agent.reports_reason("web", Crashed, "last run ended with code 1 (Error)").await;
}
