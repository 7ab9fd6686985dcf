//! Rights that an agent lacks, or has.

use actors::k8s_executor::ClusterAccess;
use actors::workload::Workload;
use actors::workload::WorkloadStatus::{Deploying, Running};
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::agent::{Agent, workload};
use crate::cluster::{Cluster, eventually};

const PAGE: &str = include_str!("../../docs/kubernetes.md");

/// Returns the manifest that the page shows for the namespace of a Flotta device.
fn shown_manifest() -> &'static str {
    let mut blocks = PAGE.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.find(|block| block.contains("kind: Role\n")).unwrap()
}

#[actix::test]
async fn a_missing_right_is_named_and_once_given_the_workload_starts() {
    let cluster = Cluster::start().await;
    cluster.change_rights(Some(("patch", "secrets"))).await;
    let agent = Agent::start("toto", &cluster);
    let id = "web-0123456789ab";
    agent.configure(&[workload("web", id)]);
    let why = agent.reports_reason("web", Deploying, "403").await;
    for words in [
        "apply Secret edge/web-0123456789ab-31f7a65e3155-key",
        "system:serviceaccount:edge:device-worker-ng",
        "cannot patch resource \"secrets\"",
        "in the namespace \"edge\"",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    // What would own the secret is there, and makes no pod that would wait for it.
    let deployments = cluster.deployments().list(&ListParams::default()).await.unwrap();
    let replicas: Vec<_> =
        deployments.iter().map(|it| it.spec.as_ref().unwrap().replicas).collect();
    assert_eq!(replicas, [Some(0)]);

    cluster.change_rights(None).await;
    let pod = cluster.pod("toto", id).await;
    cluster.runs(&pod).await;
    agent.reports("web", Running).await;
}

#[actix::test]
async fn a_missing_namespace_is_made_where_that_is_allowed_and_named_where_not() {
    let cluster = Cluster::start().await;
    let id = "web-0123456789ab";
    let elsewhere = Workload { namespace: "elsewhere".into(), ..workload("web", id) };
    let agent = Agent::start("one", &cluster);
    agent.configure(std::slice::from_ref(&elsewhere));
    let why = agent.reports_reason("web", Deploying, "403").await;
    for words in ["cannot patch resource \"deployments\"", "in the namespace \"elsewhere\""] {
        assert!(why.contains(words), "{words}: {why}");
    }

    let may = ClusterAccess::Kubeconfig(cluster.administrators_kubeconfig());
    let agent = Agent::start_with("other", may);
    agent.configure(&[elsewhere]);
    let made = cluster.deployment_in("elsewhere").await;
    assert_eq!(made.labels()["device-worker-ng/device"], "other");
    assert_eq!(agent.recorded("WorkloadFailed").await, 0);
}

#[actix::test]
async fn the_manifest_of_the_page_gives_the_rights_in_the_namespace_of_a_flotta_device() {
    let cluster = Cluster::start().await;
    let web = Workload { namespace: "default".into(), ..workload("web", "web-0123456789ab") };
    let agent = Agent::start("toto", &cluster);
    agent.configure(std::slice::from_ref(&web));
    let why = agent.reports_reason("web", Deploying, "403").await;
    for words in ["cannot patch resource \"deployments\"", "in the namespace \"default\""] {
        assert!(why.contains(words), "{words}: {why}");
    }

    cluster.has_namespace("default").await;
    cluster.apply_all(shown_manifest()).await;
    // Once it has its replica, config maps and secrets were written before it.
    eventually("the Deployment has its replica", async || {
        let made = cluster.deployment_in("default").await;
        (made.spec?.replicas == Some(1)).then_some(())
    })
    .await;
    agent.configure(&[]);
    eventually("the Deployment is deleted", async || {
        let all = cluster.deployments_in("default").list(&ListParams::default()).await.ok()?;
        all.items.is_empty().then_some(())
    })
    .await;
}
