//! A watch that the cluster cannot go on with.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use actors::k8s_executor::ClusterAccess;
use actors::workload::WorkloadStatus::{Crashed, Running};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::timeout;
use tracing::field::Field;
use tracing_subscriber::layer::{self, Layer, SubscriberExt as _};

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, LIMIT, eventually};
use crate::network::Network;

/// Why each watch expired, by the agent's log.
#[derive(Clone, Default)]
struct Expiries(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Expiries {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        let (mut message, mut error) = (String::new(), String::new());
        event.record(&mut |field: &Field, value: &dyn Debug| match field.name() {
            "message" => message = format!("{value:?}"),
            "error" => error = format!("{value:?}"),
            _ => {}
        });
        if message == "watch expired" {
            self.0.lock().unwrap().push(error);
        }
    }
}

/// What identifies each Deployment, and counts its changes.
async fn written(cluster: &Cluster) -> Vec<(Option<String>, Option<i64>)> {
    let deployments = cluster.deployments().list(&ListParams::default()).await.unwrap();
    deployments.iter().map(|it| (it.uid(), it.metadata.generation)).collect()
}

#[actix::test]
async fn what_changes_before_a_watch_goes_on_is_seen_though_the_cluster_has_forgotten_it() {
    let expiries = Expiries::default();
    let subscriber = tracing_subscriber::registry().with(expiries.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    // Only etcd knows the past, and it is made to forget it.
    let cluster = Cluster::start_with(&["--watch-cache=false"]).await;
    let network = Network::to(cluster.port()).await;
    let kubeconfig = cluster.write_kubeconfig_through(network.port());
    let agent = Agent::start_with("toto", ClusterAccess::Kubeconfig(kubeconfig));
    let (web, shop) = ("web-0123456789ab", "shop-0123456789ab");
    agent.configure(&[workload("web", web), workload("shop", shop)]);
    let (steady, failing) = (cluster.pod("toto", web).await, cluster.pod("toto", shop).await);
    for (name, pod) in [("web", &steady), ("shop", &failing)] {
        cluster.runs(pod).await;
        agent.reports(name, Running).await;
    }

    // Each watch ends after a minute, and the next shall go on where it ended. Only then this changes.
    timeout(LIMIT, network.hold(2)).await.expect("the watches are asked for again");
    let down = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    cluster.play_kubelet(&failing, &down, &json!({"terminated": {"exitCode": 3}})).await;
    let before = written(&cluster).await;
    cluster.forget_history().await;
    network.release();
    agent.reports_reason("shop", Crashed, "last run ended with code 3").await;

    let expected = ["failed to watch Deployments: ", "failed to watch Pods: "];
    eventually("both watches to have expired", async || {
        let expired = expiries.0.lock().unwrap().clone();
        expected.iter().all(|call| expired.iter().any(|one| one.contains(call))).then_some(())
    })
    .await;
    for expiry in expiries.0.lock().unwrap().iter() {
        assert!(expiry.contains("the cluster answered 410: "), "{expiry}");
    }
    // It goes on as if nothing had been: nothing is reported, nothing written, nothing restarted.
    agent.reports("web", Running).await;
    assert_eq!(agent.recorded("ClusterUnreachable").await, 0);
    assert_eq!(agent.recorded("WorkloadFailed").await, 0);
    assert_eq!(written(&cluster).await, before);
    for (id, pod) in [(web, steady), (shop, failing)] {
        assert_eq!(cluster.pod("toto", id).await.uid(), pod.uid());
    }

    // The new watches live.
    let pod = cluster.pod("toto", shop).await;
    cluster.runs(&pod).await;
    agent.reports("shop", Running).await;
}
